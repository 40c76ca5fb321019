//! Values to places, and which values get a label.

use nepho_common::{recording::Unit, time::Nanos};

use super::Px;

/// The binary logarithm in 1/1024ths, by squaring; 0 for 0 and 1. Integers only, because the
/// logarithms of floating-point libraries differ from one another.
pub(super) fn log2(value: u64) -> i64 {
    let value = value.max(1);
    let whole = value.ilog2();
    // The mantissa, from 1 to 2, with 31 bits behind the point.
    let mut mantissa = (u128::from(value) << 31) >> whole;
    let mut log = i64::from(whole);
    for _ in 0..10 {
        mantissa = (mantissa * mantissa) >> 31;
        log *= 2;
        if mantissa >= 2 << 31 {
            mantissa >>= 1;
            log += 1;
        }
    }
    log
}

/// Where `value` lies between `low` and `high`, drawn from `from` to `to`.
pub(super) fn place(value: i64, (low, high): (i64, i64), (from, to): (i64, i64)) -> Px {
    let part = i128::from(value) - i128::from(low);
    let whole = (i128::from(high) - i128::from(low)).max(1);
    let length = i128::from(to) - i128::from(from);
    let at = i128::from(from) + part * length / whole;
    Px(i64::try_from(at).unwrap_or(to))
}

/// Durations from below `low` to above `high` at 1, 2, 5 of each power of ten; only the powers when
/// there would be too many.
pub(super) fn durations(low: Nanos, high: Nanos) -> Vec<Nanos> {
    const MANY: usize = 9;
    let all = |steps: &[u64]| {
        let mut found: Vec<u64> = Vec::new();
        let mut power = 1u64;
        loop {
            for step in steps {
                let tick = power.saturating_mul(*step);
                if tick <= low.0 {
                    // Only the last one below counts.
                    found.clear();
                }
                found.push(tick);
                if tick >= high.0 && found.len() > 1 || tick == u64::MAX {
                    return found;
                }
            }
            power = power.saturating_mul(10);
        }
    };
    let fine = all(&[1, 2, 5]);
    let ticks = if fine.len() > MANY { all(&[1]) } else { fine };
    ticks.into_iter().map(Nanos).collect()
}

/// Up to five whole steps from 0 to at least `high`; bytes are counted in powers of two.
pub(super) fn steps(high: i64, unit: Unit) -> Vec<i64> {
    let high = high.max(1);
    let (factor, between): (i64, &[i64]) = match unit {
        Unit::Bytes | Unit::BytesPerSecond => (2, &[1]),
        Unit::Count | Unit::Nanoseconds | Unit::Ratio | Unit::PerSecond => (10, &[1, 2, 5]),
    };
    let mut power = 1i64;
    loop {
        for step in between {
            let one = power.saturating_mul(*step);
            let parts = high / one + i64::from(high % one > 0);
            if parts <= 5 {
                return (0..=parts).map(|n| one.saturating_mul(n)).collect();
            }
        }
        power = power.saturating_mul(factor);
    }
}

/// A value of a gauge as it is stored, in words.
pub(in super::super) fn amount(value: i64, unit: Unit) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let size = value.unsigned_abs();
    let text = match unit {
        Unit::Ratio => format!("{}%", decimal(size, 10_000)),
        Unit::Count => decimal(size, 1_000),
        Unit::PerSecond => format!("{}/s", decimal(size, 1_000)),
        Unit::Nanoseconds => Nanos(size).to_string(),
        Unit::Bytes => bytes(size),
        Unit::BytesPerSecond => format!("{}/s", bytes(size)),
    };
    format!("{sign}{text}")
}

/// Three digits or so.
fn decimal(value: u64, one: u64) -> String {
    let whole = value / one;
    if whole >= 100 || value.is_multiple_of(one) {
        return whole.to_string();
    }
    let tenths = (value % one) * 100 / one;
    let text = format!("{whole}.{tenths:02}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn bytes(value: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.into_iter().find(|(bits, _)| value >= 1 << bits);
    match unit {
        Some((bits, name)) => format!("{} {name}", decimal(value, 1 << bits)),
        None => format!("{value} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_grow_and_are_exact_at_powers_of_two() {
        for bits in 0..64 {
            assert_eq!(log2(1 << bits), i64::from(bits) * 1_024);
        }
        // 1,024 · log2(10) is 3,401.65.
        assert_eq!(log2(10), 3_401);
        let values = [1, 3, 1_000, 1_001, 1_010, 3_600_000_000_000, u64::MAX];
        assert!(values.map(log2).is_sorted());
    }

    #[test]
    fn ticks_hold_what_is_drawn() {
        for (low, high) in [
            (1, 1),
            (0, 0),
            (2_100_000, 31_000_000),
            (1_000, 3_600_000_000_000),
            (1, u64::MAX),
        ] {
            let ticks = durations(Nanos(low), Nanos(high));
            assert!(ticks.len() >= 2 && ticks.len() <= 21, "{ticks:?}");
            assert!(
                ticks[0].0 <= low.max(1) && ticks.last().unwrap().0 >= high,
                "{ticks:?}"
            );
            assert!(ticks.is_sorted());
        }
        for high in [0, 1, 7, 100, 999_999, i64::MAX] {
            for unit in Unit::ALL {
                let steps = steps(high, unit);
                let last = *steps.last().unwrap();
                assert!(steps.len() <= 6 && last >= high, "{steps:?}");
            }
        }
    }

    #[test]
    fn amounts_are_said_in_their_unit() {
        let said = [
            amount(805_000, Unit::Ratio),
            amount(3_000, Unit::Count),
            amount(2_500, Unit::PerSecond),
            amount(15 << 20, Unit::Bytes),
            amount(1_500_000, Unit::Nanoseconds),
            amount(-1_536, Unit::BytesPerSecond),
        ];
        assert_eq!(said.join(" "), "80.5% 3 2.5/s 15 MiB 1.5ms -1.5 KiB/s");
    }
}
