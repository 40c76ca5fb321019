//! Amounts as people write them: `80%`, `2.5`, `512MiB`, `10MiB/s`.

use nepho_common::{
    plan::{Amount, Ratio},
    recording::Unit,
};

use crate::diagnose::{Checker, Code, Pointer, Problem, quoted};

/// For editors: what [`amount`] reads.
pub(crate) const PATTERN: &str = r"^[0-9]+(\.[0-9]{1,4})?(%|(B|KiB|MiB|GiB)(/s)?)?$";

/// Parses the amount at `at`, which is a bound of a gauge in `unit`.
pub(crate) fn amount(
    checker: &mut Checker,
    at: &Pointer,
    text: Option<&str>,
    unit: Unit,
) -> Option<Amount> {
    checker.text(at, text, |text| {
        parse(text, unit).ok_or_else(|| {
            let message = format!("{} does not bound this", quoted(text));
            Problem::new(Code::BadBounds, message).label(format!("write it as {}", example(unit)))
        })
    })
}

const fn example(unit: Unit) -> &'static str {
    match unit {
        Unit::Ratio => "80%",
        Unit::Count | Unit::PerSecond | Unit::Nanoseconds => "2.5",
        Unit::Bytes => "512MiB",
        Unit::BytesPerSecond => "10MiB/s",
    }
}

fn parse(text: &str, unit: Unit) -> Option<Amount> {
    match unit {
        Unit::Ratio => {
            let ratio: super::Ratio = text.parse().ok()?;
            Some(Amount::Share(Ratio(ratio.ppm())))
        }
        Unit::Count => thousandths(text).map(Amount::Count),
        Unit::Bytes => bytes(text).map(Amount::Bytes),
        Unit::BytesPerSecond => bytes(text.strip_suffix("/s")?).map(Amount::BytesPerSecond),
        Unit::Nanoseconds | Unit::PerSecond => None,
    }
}

fn bytes(text: &str) -> Option<u64> {
    let units = [
        ("KiB", 1u128 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("B", 1),
    ];
    let (number, size) = units
        .iter()
        .find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)))?;
    let wide = u128::from(thousandths(number)?) * size / 1_000;
    u64::try_from(wide).ok()
}

/// A number with at most three decimals, in thousandths.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(rest) || rest.len() > 3 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let rest: u64 = format!("{rest:0<3}").parse().ok()?;
    whole.checked_mul(1_000)?.checked_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_reads_back_what_it_printed() {
        for (text, unit) in [
            ("80%", Unit::Ratio),
            ("99.99%", Unit::Ratio),
            ("2.5", Unit::Count),
            ("0.125", Unit::Count),
            ("512MiB", Unit::Bytes),
            ("1.5GiB", Unit::Bytes),
            ("12B", Unit::Bytes),
            ("10MiB/s", Unit::BytesPerSecond),
        ] {
            let found = parse(text, unit).unwrap();
            assert_eq!((found.to_string().as_str(), found.unit()), (text, unit));
        }
    }

    #[test]
    fn an_amount_of_something_else_is_refused() {
        for (text, unit) in [
            ("80", Unit::Ratio),
            ("101%", Unit::Ratio),
            ("80%", Unit::Count),
            ("-1", Unit::Count),
            ("1.2345", Unit::Count),
            ("512", Unit::Bytes),
            ("512MB", Unit::Bytes),
            ("10MiB", Unit::BytesPerSecond),
            ("99999999999GiB", Unit::Bytes),
            ("", Unit::Count),
            (".5", Unit::Count),
            ("1", Unit::Nanoseconds),
        ] {
            assert_eq!(parse(text, unit), None, "{text} {unit:?}");
        }
    }
}
