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
    sort: Sort,
) -> Option<Amount> {
    checker.text(at, text, |text| {
        parse(text, sort).ok_or_else(|| {
            let message = format!("{} does not bound this", quoted(text));
            Problem::new(Code::BadBounds, message).label(format!("write it as {}", example(sort)))
        })
    })
}

/// What sort of amount bounds a gauge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// In this unit; a share is of a whole.
    In(Unit),
    /// A share of one core, which may be more than 100%.
    OfCore,
}

impl Sort {
    /// Of the gauge of this name.
    pub(crate) fn of(gauge: &str, unit: Unit) -> Self {
        match gauge {
            "process.cpu" | "container.cpu" => Self::OfCore,
            _ => Self::In(unit),
        }
    }
}

/// No host has more cores than this share of one: 4,000.
const CORES_MAX: u64 = 4_000_000_000;

const fn example(sort: Sort) -> &'static str {
    match sort {
        Sort::OfCore => "150%, which is one core and a half",
        Sort::In(Unit::Ratio) => "80%",
        Sort::In(Unit::Count | Unit::PerSecond | Unit::Nanoseconds) => "2.5",
        Sort::In(Unit::Bytes) => "512MiB",
        Sort::In(Unit::BytesPerSecond) => "10MiB/s",
    }
}

fn parse(text: &str, sort: Sort) -> Option<Amount> {
    let unit = match sort {
        Sort::OfCore => {
            // A thousandth of a percent is ten parts per million.
            let ppm = thousandths(text.strip_suffix('%')?)?.checked_mul(10)?;
            let ppm = u32::try_from(ppm)
                .ok()
                .filter(|ppm| u64::from(*ppm) <= CORES_MAX)?;
            return Some(Amount::Share(Ratio(ppm)));
        }
        Sort::In(unit) => unit,
    };
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
            let found = parse(text, Sort::In(unit)).unwrap();
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
            assert_eq!(parse(text, Sort::In(unit)), None, "{text} {unit:?}");
        }
    }
}
