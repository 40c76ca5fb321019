//! Durations as people write them: `150ms`, `2s`, `1h30m`. Integers only.

use nepho_common::time::Nanos;

use crate::diagnose::{Checker, Code, Pointer, Problem, quoted};

/// Units from the largest; the schema's pattern says the same.
const UNITS: &[(&str, u64)] = &[
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// For editors: what [`parse_duration`] reads, but for sums beyond 64 bits.
pub(crate) const PATTERN: &str =
    r"^(?=[0-9])([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?([0-9]+(us|µs))?([0-9]+ns)?$";

/// Why a text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadDuration {
    /// A number without its unit, the commonest slip.
    #[error("the unit is missing")]
    NoUnit,
    /// A unit that does not exist.
    #[error("the units are h, m, s, ms, us and ns")]
    Unit,
    /// `1s 30m`, `1s1s`.
    #[error("units stand from large to small, each once: 1h30m")]
    Order,
    /// `-1s`
    #[error("a duration is never negative")]
    Negative,
    /// `1.5s`
    #[error("whole numbers only: 1s500ms, not 1.5s")]
    Fraction,
    /// More than 584 years.
    #[error("this is longer than can be counted in nanoseconds")]
    Overflow,
    /// Anything else.
    #[error("a duration is a number and a unit, such as 250ms, 30s or 1h30m")]
    Form,
}

/// Parses `1h30m`, `250ms`.
///
/// ```
/// use nepho_common::time::Nanos;
/// use nepho_controller_core::scenario::{parse_duration, print_duration};
/// assert_eq!(parse_duration("1m30s"), Ok(Nanos::from_secs(90)));
/// assert_eq!(print_duration(Nanos::from_millis(1500)), "1s500ms");
/// ```
///
/// # Errors
/// What is wrong with the text.
pub fn parse_duration(text: &str) -> Result<Nanos, BadDuration> {
    if text.starts_with(['-', '−']) {
        return Err(BadDuration::Negative);
    }
    if text.contains('.') {
        return Err(BadDuration::Fraction);
    }
    let mut rest = text;
    let mut units = UNITS;
    let mut total = 0u64;
    while !rest.is_empty() || text.is_empty() {
        let (number, after) = split_at_first(rest, |c| !c.is_ascii_digit());
        if number.is_empty() {
            return Err(BadDuration::Form);
        }
        let (unit, after) = split_at_first(after, |c| c.is_ascii_digit());
        let unit = match unit {
            "" => return Err(BadDuration::NoUnit),
            "µs" | "μs" => "us",
            other => other,
        };
        let Some(at) = units.iter().position(|(name, _)| *name == unit) else {
            let known = UNITS.iter().any(|(name, _)| *name == unit);
            return Err(if known {
                BadDuration::Order
            } else {
                BadDuration::Unit
            });
        };
        let number: u64 = number.parse().map_err(|_| BadDuration::Overflow)?;
        let (_, size) = units[at];
        total = number
            .checked_mul(size)
            .and_then(|part| total.checked_add(part))
            .ok_or(BadDuration::Overflow)?;
        units = &units[at + 1..];
        rest = after;
    }
    Ok(Nanos(total))
}

fn split_at_first(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

/// Prints a duration exactly: what [`parse_duration`] reads back as the same.
#[must_use]
pub fn print_duration(duration: Nanos) -> String {
    let mut rest = duration.0;
    let mut text = String::new();
    for (unit, size) in UNITS {
        if rest / size > 0 {
            text.push_str(&format!("{}{unit}", rest / size));
        }
        rest %= size;
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

/// For editors: what [`days`] reads.
pub(crate) const DAYS: &str = "^[1-9][0-9]{0,3}(d|h)$";

/// Parses `14d` or `36h`: times so long that nobody writes them in seconds.
pub(crate) fn days(checker: &mut Checker, at: &Pointer, text: Option<&str>) -> Option<Nanos> {
    checker.text(at, text, |text| {
        let bad = || {
            let message = format!("{} is not a number of days or hours", quoted(text));
            Problem::new(Code::BadDuration, message).label("such as 14d or 36h")
        };
        let (number, unit) = text
            .split_at_checked(text.len().saturating_sub(1))
            .ok_or_else(bad)?;
        let hours = match unit {
            "d" => 24,
            "h" => 1,
            _ => return Err(bad()),
        };
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = number.parse().ok().filter(|_| digits).ok_or_else(bad)?;
        if number == 0 || number > 9_999 {
            return Err(bad());
        }
        Ok(Nanos::from_secs(number * hours * 3_600))
    })
}

/// Prints what [`days`] reads; what it can't read, as a duration.
pub(crate) fn print_days(span: Nanos) -> String {
    let hour = Nanos::from_secs(3_600).0;
    match span.0 / hour {
        hours if !span.0.is_multiple_of(hour) || hours == 0 => print_duration(span),
        hours if hours.is_multiple_of(24) => format!("{}d", hours / 24),
        hours => format!("{hours}h"),
    }
}

/// Parses the duration at `at` and holds it against both bounds.
pub(crate) fn duration(
    checker: &mut Checker,
    at: &Pointer,
    text: Option<&str>,
    least: Nanos,
    most: Nanos,
) -> Option<Nanos> {
    checker.text(at, text, |text| {
        let found = parse_duration(text).map_err(|why| {
            let problem = Problem::new(
                Code::BadDuration,
                format!("{} is not a duration", quoted(text)),
            )
            .label(why.to_string());
            match why {
                BadDuration::NoUnit => problem.help(format!("{text}s or {text}ms?")),
                BadDuration::Unit
                | BadDuration::Order
                | BadDuration::Negative
                | BadDuration::Fraction
                | BadDuration::Overflow
                | BadDuration::Form => problem,
            }
        })?;
        let label = if found < least {
            format!("at least {}", print_duration(least))
        } else if found > most {
            format!("at most {}", print_duration(most))
        } else {
            return Ok(found);
        };
        let message = format!("{} is out of bounds", quoted(text));
        Err(Problem::new(Code::BadDuration, message).label(label))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_duration_reads_back_what_it_printed(ns in any::<u64>()) {
            prop_assert_eq!(parse_duration(&print_duration(Nanos(ns))), Ok(Nanos(ns)));
        }

        #[test]
        fn editors_and_parser_agree(text in "([0-9]{1,3}(h|m|s|ms|us|µs|ns|d|)){0,3}") {
            let pattern = serde_json::json!({ "pattern": PATTERN });
            let validator = jsonschema::draft7::new(&pattern).unwrap();
            let agreed = validator.is_valid(&serde_json::json!(text));
            // A pattern cannot add: that a sum passes 64 bits is the parser's to say.
            let parsed = parse_duration(&text);
            prop_assume!(parsed != Err(BadDuration::Overflow));
            prop_assert_eq!(agreed, parsed.is_ok(), "{}", text);
        }
    }

    #[test]
    fn slips_are_told_apart() {
        for (text, why) in [
            ("10", BadDuration::NoUnit),
            ("1h30", BadDuration::NoUnit),
            ("-1s", BadDuration::Negative),
            ("1.5s", BadDuration::Fraction),
            ("1d", BadDuration::Unit),
            ("1 s", BadDuration::Unit),
            ("1s1m", BadDuration::Order),
            ("1s1s", BadDuration::Order),
            ("", BadDuration::Form),
            ("s", BadDuration::Form),
            ("ten seconds", BadDuration::Form),
            ("NaN", BadDuration::Form),
            ("18446744073709551616ns", BadDuration::Overflow),
            ("9999999h", BadDuration::Overflow),
            ("99999999999999999999999s", BadDuration::Overflow),
        ] {
            assert_eq!(parse_duration(text), Err(why), "{text:?}");
        }
    }
}
