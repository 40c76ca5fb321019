//! How evenly decisions fall beside how chance would let them fall.
//!
//! Pearson's chi-square over its degrees of freedom is about one if each decision is a draw of its
//! own. One turn after the other leaves hardly any difference, so it is far below; several
//! balancers that each take turns add up to less than chance, too. Far above one, decisions follow
//! something else than the weights.

use nepho_common::plan::Ratio;

use crate::report::stats::{chi, share::doubt};

/// Pearson's approximation needs so many expected decisions at each back end (W. G. Cochran, 1954).
const EXPECTED_MIN: u64 = 5;

/// How even a distribution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dispersion {
    /// Chi-square over its degrees of freedom, in thousandths, rounded to the nearest.
    pub(crate) statistic_milli: u64,
    /// Degrees of freedom: one fewer than back ends with a weight.
    pub(crate) degrees: u32,
    /// The most that a back end is off from its due, in decisions, rounded up. Of balancers that take
    /// turns, about so many are independent of each other.
    pub(crate) off_by: u64,
    /// What that says.
    pub(crate) evenness: Evenness,
}

/// How even it is beside chance, two-sided with the confidence that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evenness {
    /// Chance is hardly ever so even: back ends take turns.
    RoundRobin,
    /// Chance does that.
    Random,
    /// Chance is hardly ever so uneven.
    Uneven,
}

/// Of back ends with a weight, and what they got; `None` if fewer than two or too little.
pub(super) fn dispersion(weighed: &[(u32, u64)], confidence: Ratio) -> Option<Dispersion> {
    let mut weighed: Vec<_> = weighed.iter().filter(|(weight, _)| *weight > 0).collect();
    // The same sum in whatever order they were given, and of weights twice as large.
    weighed.sort_unstable();
    let divisor = weighed
        .iter()
        .fold(0, |gcd, (weight, _)| divisor(gcd, *weight));
    let weights: u128 = weighed.iter().map(|(w, _)| u128::from(w / divisor)).sum();
    let all: u128 = weighed.iter().map(|(_, n)| u128::from(*n)).sum();
    let degrees = u32::try_from(weighed.len().checked_sub(1)?).ok()?;
    let (least, _) = weighed.first()?;
    if degrees == 0 || all * u128::from(least / divisor) < u128::from(EXPECTED_MIN) * weights {
        return None;
    }
    let (mut statistic, mut off_by) = (0.0, 0);
    for &&(weight, n) in &weighed {
        let weight = weight / divisor;
        let due = all * u128::from(weight);
        let off = (u128::from(n) * weights).abs_diff(due);
        off_by = off_by.max(off.div_ceil(weights));
        statistic += float(off) / float(weights) * (float(off) / float(due));
    }
    let (below, above) = chi::tails(degrees, statistic);
    let doubt = doubt(confidence.0) / 2.0;
    let evenness = if below <= doubt {
        Evenness::RoundRobin
    } else if above <= doubt {
        Evenness::Uneven
    } else {
        Evenness::Random
    };
    Some(Dispersion {
        statistic_milli: whole(statistic / f64::from(degrees) * 1_000.0),
        degrees,
        off_by: u64::try_from(off_by).unwrap_or(u64::MAX),
        evenness,
    })
}

/// The greatest common divisor.
const fn divisor(mut a: u32, mut b: u32) -> u32 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[expect(clippy::cast_precision_loss, reason = "the statistic has few digits")]
const fn float(count: u128) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative; beyond 2^64 the largest is as telling"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}
