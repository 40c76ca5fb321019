//! How much of something: a bound of a gauge, without a float in the plan.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Ratio;
use crate::recording::Unit;

/// How much of something, in the unit of a gauge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Amount {
    /// A share of a whole.
    Share(Ratio),
    /// A count of things, in thousandths.
    Count(u64),
    /// Bytes.
    Bytes(u64),
    /// Bytes per second.
    BytesPerSecond(u64),
}

impl Amount {
    /// In whole steps of a plan, rounded up; `None` when it is negative, not finite, or in a unit
    /// that nothing is bounded in.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and beyond 2^64 it is the most that there is"
    )]
    pub fn of(value: f64, unit: Unit) -> Option<Self> {
        if !value.is_finite() || value < 0.0 {
            return None;
        }
        match unit {
            Unit::Ratio => Some(Self::Share(Ratio((value * 1e6).ceil() as u32))),
            Unit::Count => Some(Self::Count((value * 1e3).ceil() as u64)),
            Unit::Bytes => Some(Self::Bytes(value.ceil() as u64)),
            Unit::BytesPerSecond => Some(Self::BytesPerSecond(value.ceil() as u64)),
            Unit::Nanoseconds | Unit::PerSecond => None,
        }
    }

    /// The unit of gauges that it bounds.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::Share(_) => Unit::Ratio,
            Self::Count(_) => Unit::Count,
            Self::Bytes(_) => Unit::Bytes,
            Self::BytesPerSecond(_) => Unit::BytesPerSecond,
        }
    }

    /// As a gauge of that unit would have it.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float; 53 bits of bytes are 8 PiB"
    )]
    pub fn value(self) -> f64 {
        match self {
            Self::Share(share) => f64::from(share.0) / 1e6,
            Self::Count(thousandths) => thousandths as f64 / 1e3,
            Self::Bytes(bytes) | Self::BytesPerSecond(bytes) => bytes as f64,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Two decimals are what a person reads.
            Self::Share(share) => Ratio(share.0.div_ceil(100).saturating_mul(100)).fmt(f),
            Self::Count(thousandths) => f.write_str(&decimal(*thousandths, 1_000)),
            Self::Bytes(bytes) => f.write_str(&scaled(*bytes)),
            Self::BytesPerSecond(bytes) => write!(f, "{}/s", scaled(*bytes)),
        }
    }
}

/// In the largest unit of which there is one, with at most three decimals, rounded up.
fn scaled(bytes: u64) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => {
            let thousandths = (u128::from(bytes) * 1_000).div_ceil(u128::from(*size));
            let thousandths = u64::try_from(thousandths).unwrap_or(u64::MAX);
            format!("{}{unit}", decimal(thousandths, 1_000))
        }
        None => format!("{bytes}B"),
    }
}

fn decimal(parts: u64, of: u64) -> String {
    let (whole, rest) = (parts / of, parts % of);
    if rest == 0 {
        return whole.to_string();
    }
    format!("{whole}.{}", format!("{rest:03}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_print_as_people_write_them() {
        let of = |value, unit| Amount::of(value, unit).unwrap().to_string();
        assert_eq!(of(0.8, Unit::Ratio), "80%");
        assert_eq!(of(0.931_234, Unit::Ratio), "93.13%");
        assert_eq!(of(1.5, Unit::Count), "1.5");
        assert_eq!(of(2_147_483_648.0, Unit::Bytes), "2GiB");
        assert_eq!(of(1_536.0, Unit::BytesPerSecond), "1.5KiB/s");
        assert_eq!(of(12.0, Unit::Bytes), "12B");
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for value in [-0.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Amount::of(value, Unit::Ratio), None, "{value}");
        }
        assert_eq!(Amount::of(1.0, Unit::Nanoseconds), None);
        assert!((Amount::Share(Ratio(800_000)).value() - 0.8).abs() < 1e-12);
    }
}
