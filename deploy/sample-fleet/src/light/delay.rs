//! Durations on the command line: a number and its unit.

use std::time::Duration;

/// Longer ones are slips of the pen; no test waits for them.
const LONGEST: Duration = Duration::from_secs(3600);

/// Reads `250us`, `10ms`, `1.5s`.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = text.strip_suffix(unit).unwrap_or_default();
    let seconds = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return Err("not a number with ns, us, ms or s".to_owned()),
    };
    let number: f64 = number.parse().map_err(|error| format!("{error}"))?;
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(delay) if delay <= LONGEST => Ok(delay),
        Ok(_) | Err(_) => Err(format!("longer than {LONGEST:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit() {
        for (text, microseconds) in [("10ms", 10_000), ("1.5s", 1_500_000), ("250us", 250)] {
            assert_eq!(parse(text), Ok(Duration::from_micros(microseconds)));
        }
        for wrong in [
            "", "10", "ms", "-1s", "1e3s", "1.2.3s", "3601s", "1 s", "s1s",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
