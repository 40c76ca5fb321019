//! Whether a balancer spreads its decisions over back ends as it is configured to.
//!
//! A decision is what the balancer chooses for: a request, or a connection with all requests on it.
//! Those on one connection went where their connection went, so they count once
//! ([`Backend::decisions`]).
//!
//! Each share gets Wilson's interval, all of them at once (C. E. Bonferroni): with the confidence
//! that is asked for none of them misses. A share within the tolerance with its whole interval is
//! as configured, one that is beyond it with its whole interval is not, and in between nobody knows
//! yet. Many decisions make any test find something, so the test is of the size of a difference and
//! not of its existence.

pub(crate) mod dispersion;

use nepho_common::plan::Ratio;

use self::dispersion::Dispersion;
use super::{
    normal,
    share::{doubt, power, wilson_like, wilson_ppm_at},
};
use crate::{fleet::DecidesOn, report::model::Verdict};

/// More decisions than these are nothing to ask for.
const ASKED_MAX: u64 = 1_000_000_000;

/// A back end, and what it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backend {
    /// What answers call it.
    pub(crate) name: String,
    /// Its configured weight: with 0 it should get nothing. `None` if nobody configured it.
    pub(crate) weight: Option<u32>,
    /// Requests that it answered.
    pub(crate) requests: u64,
    /// Connections of which it answered the requests.
    pub(crate) connections: u64,
}

impl Backend {
    /// How often the balancer chose it.
    pub(crate) const fn decisions(&self, on: DecidesOn) -> u64 {
        match on {
            DecidesOn::Request => self.requests,
            DecidesOn::Connection => self.connections,
        }
    }
}

/// What a distribution was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Distribution {
    /// Pass, fail or inconclusive.
    pub(crate) verdict: Verdict,
    /// Of how many decisions.
    pub(crate) decisions: u64,
    /// Each back end, in the order in which they were given.
    pub(crate) shares: Vec<Given>,
    /// Total variation distance in parts per million, rounded up: the share of the decisions that
    /// would have to go elsewhere. `None` of no decisions.
    pub(crate) distance_ppm: Option<u32>,
    /// How even it is beside chance; `None` when there is nothing to compare, or too little.
    pub(crate) dispersion: Option<Dispersion>,
    /// About how many decisions in all would decide it if they fell as these did, or as configured
    /// if there were none. `None` if it is decided, or lies so near the bound that no number will.
    pub(crate) enough: Option<u64>,
}

/// What one back end got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// What answers call it.
    pub(crate) name: String,
    /// How often the balancer chose it.
    pub(crate) decisions: u64,
    /// Its configured share in parts per million, rounded to the nearest.
    pub(crate) expected_ppm: u32,
    /// Its share of the decisions, rounded to the nearest; `None` of no decisions.
    pub(crate) observed_ppm: Option<u32>,
    /// Its simultaneous interval, rounded outwards; `None` of no decisions.
    pub(crate) interval_ppm: Option<(u32, u32)>,
    /// What that says.
    pub(crate) found: Found,
}

/// What the share of one back end says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Found {
    /// Its whole interval is within the tolerance.
    AsConfigured,
    /// Neither within nor beyond with the confidence that is asked for.
    Unsure,
    /// Its whole interval lies above the tolerance.
    TooMuch,
    /// Its whole interval lies below the tolerance.
    TooLittle,
    /// It should get some and got nothing, and chance hardly makes that.
    Starved,
    /// It should get nothing and got some.
    Drained,
    /// Nobody configured it, and it got some.
    Unknown,
}

impl Found {
    /// Whether it speaks against the balancer.
    pub(crate) const fn accuses(self) -> bool {
        match self {
            Self::AsConfigured | Self::Unsure => false,
            Self::TooMuch | Self::TooLittle | Self::Starved | Self::Drained | Self::Unknown => true,
        }
    }
}

/// Judges what back ends got. `tolerance` is absolute: with 5 % and a configured share of a third, a
/// share from 28.4 % to 38.3 % is as configured. `confidence` is that of all back ends together.
pub(crate) fn distribution(
    back_ends: &[Backend],
    on: DecidesOn,
    tolerance: Ratio,
    confidence: Ratio,
) -> Distribution {
    let rule = Rule::new(back_ends, tolerance, confidence);
    let counts: Vec<_> = back_ends.iter().map(|one| one.decisions(on)).collect();
    let decisions = counts.iter().fold(0u64, |sum, &n| sum.saturating_add(n));
    let given = |(one, &n): (&Backend, &u64)| {
        let weight = one.weight.unwrap_or(0);
        let found = match one.weight {
            None | Some(0) if n == 0 => Found::AsConfigured,
            None => Found::Unknown,
            Some(0) => Found::Drained,
            Some(weight) => rule.found(weight, n, decisions),
        };
        Given {
            name: one.name.clone(),
            decisions: n,
            expected_ppm: nearest(u64::from(weight), rule.weights.max(1)),
            observed_ppm: (decisions > 0).then(|| nearest(n, decisions)),
            interval_ppm: wilson_ppm_at(rule.z, n, decisions),
            found,
        }
    };
    let shares: Vec<_> = back_ends.iter().zip(&counts).map(given).collect();
    let verdict = if shares.iter().any(|share| share.found.accuses()) {
        Verdict::Fail
    } else if decisions > 0 && shares.iter().all(|one| one.found == Found::AsConfigured) {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    };
    let weighed: Vec<_> = back_ends
        .iter()
        .zip(&counts)
        .map(|(one, &n)| (one.weight.unwrap_or(0), n))
        .collect();
    Distribution {
        verdict,
        decisions,
        distance_ppm: rule.distance_ppm(&weighed, decisions),
        dispersion: dispersion::dispersion(&weighed, confidence),
        enough: match verdict {
            Verdict::Inconclusive => rule.enough(&weighed, decisions),
            Verdict::Pass | Verdict::Fail | Verdict::NotRun | Verdict::Error => None,
        },
        shares,
    }
}

/// What all back ends are judged by.
struct Rule {
    /// Parts per million.
    tolerance: u32,
    /// The sum of all weights.
    weights: u64,
    /// How many standard deviations an interval reaches to each side.
    z: f64,
    /// The chance of being wrong at one end of one interval.
    doubt: f64,
}

/// Where an interval lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Within,
    Across,
    Above,
    Below,
}

impl Rule {
    fn new(back_ends: &[Backend], tolerance: Ratio, confidence: Ratio) -> Self {
        let due = back_ends.iter().filter_map(|one| one.weight);
        let weighed = due.clone().filter(|&weight| weight > 0).count().max(1);
        let ends = u32::try_from(weighed).unwrap_or(u32::MAX).saturating_mul(2);
        let doubt = doubt(confidence.0) / f64::from(ends);
        Self {
            tolerance: tolerance.0,
            weights: due.map(u64::from).sum(),
            z: normal::beyond(doubt),
            doubt,
        }
    }

    fn found(&self, weight: u32, n: u64, decisions: u64) -> Found {
        let Some(interval) = wilson_ppm_at(self.z, n, decisions) else {
            return Found::Unsure;
        };
        match self.place(weight, interval) {
            _ if n == 0 && self.is_starved(weight, decisions) => Found::Starved,
            Place::Above => Found::TooMuch,
            Place::Below => Found::TooLittle,
            // Nothing is never as configured, however small the share is.
            Place::Within if n > 0 => Found::AsConfigured,
            Place::Within | Place::Across => Found::Unsure,
        }
    }

    /// Exact: products of whole numbers, so no weight of a share is rounded.
    fn place(&self, weight: u32, (low, high): (u32, u32)) -> Place {
        let whole = u128::from(self.weights);
        let expected = u128::from(weight) * 1_000_000;
        let margin = u128::from(self.tolerance) * whole;
        let (low, high) = (u128::from(low) * whole, u128::from(high) * whole);
        if low > expected + margin {
            Place::Above
        } else if high + margin < expected {
            Place::Below
        } else if low + margin >= expected && high <= expected + margin {
            Place::Within
        } else {
            Place::Across
        }
    }

    /// Whether chance hardly gives nothing to so much weight.
    fn is_starved(&self, weight: u32, decisions: u64) -> bool {
        power(1.0 - share(u64::from(weight), self.weights), decisions) <= self.doubt
    }

    /// Half of the sum of all differences, of which each is below the number of decisions times
    /// that of the weights: 2^64 times 2^32 times the back ends.
    fn distance_ppm(&self, weighed: &[(u32, u64)], decisions: u64) -> Option<u32> {
        let (weights, all) = (u128::from(self.weights), u128::from(decisions));
        if all == 0 {
            return None;
        }
        if weights == 0 {
            return Some(1_000_000);
        }
        let off = |&(weight, n): &(u32, u64)| {
            (u128::from(n) * weights).abs_diff(u128::from(weight) * all)
        };
        let sum: u128 = weighed.iter().map(off).sum();
        let whole = 2 * weights * all;
        // Twenty bits for the million may be too many: then the last digits are nothing.
        let (sum, whole) = match sum.checked_mul(1_000_000) {
            Some(scaled) => (scaled, whole),
            None => (sum, whole / 1_000_000),
        };
        u32::try_from(sum.div_ceil(whole)).ok()
    }

    /// The first number of decisions of which the same shares decide it.
    fn enough(&self, weighed: &[(u32, u64)], decisions: u64) -> Option<u64> {
        let weighed = weighed.iter().filter(|(weight, _)| *weight > 0);
        let (mut all_within, mut one_beyond) = (Some(1), None::<u64>);
        for &(weight, n) in weighed {
            let is_none = decisions > 0 && n == 0;
            let share = if decisions == 0 {
                share(u64::from(weight), self.weights)
            } else {
                share(n, decisions)
            };
            let place = |n: u64| self.place(weight, wilson_like(self.z, share, n));
            let within = first(|n| !is_none && place(n) == Place::Within);
            let beyond = first(|n| {
                matches!(place(n), Place::Above | Place::Below)
                    || is_none && self.is_starved(weight, n)
            });
            all_within = all_within.zip(within).map(|(a, b)| a.max(b));
            one_beyond = match (one_beyond, beyond) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        match (all_within, one_beyond) {
            _ if self.weights == 0 => None,
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

/// The first number for which it holds, if it goes on to hold; `None` beyond all that may be asked.
fn first(holds: impl Fn(u64) -> bool) -> Option<u64> {
    if !holds(ASKED_MAX) {
        return None;
    }
    let (mut low, mut high) = (1, ASKED_MAX);
    while low < high {
        let middle = u64::midpoint(low, high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(high)
}

/// Parts per million, rounded to the nearest, of a whole that is not 0.
fn nearest(part: u64, whole: u64) -> u32 {
    let (part, whole) = (u128::from(part), u128::from(whole));
    u32::try_from((part * 2_000_000 + whole) / (2 * whole)).unwrap_or(1_000_000)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share is rounded far more than by this"
)]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests;
