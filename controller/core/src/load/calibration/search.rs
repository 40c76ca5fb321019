//! Looks for the highest rate that is kept up with.
//!
//! The rates are tried by halves of the way between one that was kept up with and one that was not,
//! in equal factors. One second may be spoiled by a neighbour, so a rate counts as too much when it
//! was too much twice.

use nepho_common::{
    plan::{Rate, Ratio},
    time::Nanos,
};
use serde::Serialize;

use crate::load::Summary;

/// So much of what was due must be sent.
const SENT_MIN: Ratio = Ratio(999_000);
/// The lowest rate that is tried, beside the highest that a closed loop reached.
const LOWEST: u64 = 128;
/// Halvings of the way from the lowest to the highest: 128^(1/64) is 7.9 %.
const HALVINGS: u32 = 6;
/// Into so many equal factors the way is cut.
const STEPS: u32 = 1 << HALVINGS;

/// By so many eighths the way is made longer at a time, if its end was kept up with.
const MORE: u64 = 8;
/// No generator of ours is asked for more, in requests per second.
const MOST: u64 = 10_000_000;

/// How late a request may be sent, at the 99th percentile.
pub(super) const LIMITS: [Nanos; 2] = [Nanos::from_millis(1), Nanos(100_000)];

/// What came of a second at one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Trial {
    /// Requests per second that were due.
    pub rate: u64,
    /// The share of them that was sent, in parts per million.
    pub sent_ppm: u32,
    /// How late the generator turned to them: the 99th percentile, in nanoseconds.
    pub lag_p99_ns: u64,
}

impl Trial {
    /// What a load of this rate amounted to.
    #[must_use]
    pub fn of(rate: u64, summary: &Summary) -> Self {
        let sent = u128::from(summary.sent) * 1_000_000;
        let sent = sent.checked_div(summary.offered.into()).unwrap_or(0);
        let lag = summary.send_lag_ns.and_then(|lag| lag.p99);
        Self {
            rate,
            sent_ppm: u32::try_from(sent).unwrap_or(u32::MAX),
            lag_p99_ns: lag.unwrap_or(u64::MAX),
        }
    }

    const fn keeps(&self, limit: Nanos) -> bool {
        self.sent_ppm >= SENT_MIN.0 && self.lag_p99_ns <= limit.0
    }
}

/// Looks for the highest rates that are kept up with.
#[derive(Debug, Clone)]
pub struct Search {
    /// Rates in equal factors, from the lowest to the highest.
    rates: Vec<u64>,
    tried: Vec<Trial>,
}

impl Search {
    /// Up to what a closed loop reached, in requests per second.
    #[must_use]
    pub fn up_to(most: u64) -> Self {
        let lowest = (most / LOWEST).max(1);
        let rates = (0..=STEPS).map(|step| between(lowest, most.max(1), step));
        Self {
            rates: rates.collect(),
            tried: Vec::new(),
        }
    }

    /// What to try next, in requests per second; `None` when all is known.
    #[must_use]
    pub fn next_rate(&mut self) -> Option<Rate> {
        // The closed loop may have had a bad second: then there is more above it.
        let most = self.rates.last().copied().unwrap_or(0);
        if most < MOST && self.found(LIMITS[0]) == Some(most) {
            self.rates
                .extend((1..=MORE).map(|step| further(most, step)));
        }
        let open = LIMITS.iter().find_map(|limit| self.open(*limit));
        open.map(|rate| Rate(rate.saturating_mul(1_000)))
    }

    /// What came of it.
    pub fn note(&mut self, trial: Trial) {
        self.tried.push(trial);
    }

    /// Every second that was tried, in order.
    #[must_use]
    pub fn tried(&self) -> &[Trial] {
        &self.tried
    }

    /// The highest rate of those that were kept up with so well.
    #[must_use]
    pub fn found(&self, limit: Nanos) -> Option<u64> {
        let (low, _) = self.bounds(limit);
        self.rates.get(low?).copied()
    }

    /// The rate in the middle of what is not known yet.
    fn open(&self, limit: Nanos) -> Option<u64> {
        let (low, high) = self.bounds(limit);
        let from = low.map_or(0, |low| low + 1);
        let middle = from + (high.checked_sub(from).filter(|left| *left > 0)?) / 2;
        self.rates.get(middle).copied()
    }

    /// The place of the highest rate that was kept up with, below all that were not; and the place of
    /// the lowest that was not.
    fn bounds(&self, limit: Nanos) -> (Option<usize>, usize) {
        let of = |rate: u64| self.tried.iter().filter(move |trial| trial.rate == rate);
        let is_kept = |rate: u64| of(rate).any(|trial| trial.keeps(limit));
        let is_lost = |rate: u64| !is_kept(rate) && of(rate).count() >= 2;
        let mut rates = self.rates.iter();
        let high = rates
            .position(|rate| is_lost(*rate))
            .unwrap_or(self.rates.len());
        let below = self.rates.get(..high).unwrap_or_default();
        (below.iter().rposition(|rate| is_kept(*rate)), high)
    }
}

/// Beyond the end, by eighths of it.
const fn further(most: u64, step: u64) -> u64 {
    most + (most * step).div_ceil(8)
}

/// Geometrically between the two, in [`STEPS`] steps. The root is drawn exactly, step by step.
fn between(lowest: u64, most: u64, step: u32) -> u64 {
    let factor = (0..HALVINGS).fold(float(most) / float(lowest), |factor, _| factor.sqrt());
    let rate = (0..step).fold(float(lowest), |rate, _| rate * factor);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between the two, which are no smaller than 1"
    )]
    let rate = rate.round() as u64;
    rate.clamp(lowest, most)
}

#[expect(clippy::cast_precision_loss, reason = "rates are far below 2^53")]
pub(super) const fn float(rate: u64) -> f64 {
    rate as f64
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A host that is late from some rate on.
    pub(in super::super) fn host(rate: u64, on_time: u64, within_1_ms: u64) -> Trial {
        Trial {
            rate,
            sent_ppm: 1_000_000,
            lag_p99_ns: match rate {
                rate if rate <= on_time => 60_000,
                rate if rate <= within_1_ms => 700_000,
                _ => 20_000_000,
            },
        }
    }

    /// Both rates, and how many trials it took.
    fn search(most: u64, mut trial: impl FnMut(u64) -> Trial) -> (Option<u64>, Option<u64>, usize) {
        let mut search = Search::up_to(most);
        while let Some(rate) = search.next_rate() {
            search.note(trial(rate.0 / 1_000));
            assert!(search.tried.len() < 100, "it ends");
        }
        let [slack, strict] = LIMITS.map(|limit| search.found(limit));
        (slack, strict, search.tried.len())
    }

    #[test]
    fn a_host_that_keeps_up_is_tried_up_to_its_limit() {
        let (slack, strict, trials) = search(64_000, |rate| host(rate, 64_000, 64_000));
        assert_eq!((slack, strict), (Some(64_000), Some(64_000)));
        assert!(trials <= 16, "{trials}");
    }

    #[test]
    fn a_closed_loop_that_was_spoiled_is_no_limit() {
        let (slack, strict, _) = search(1_000, |rate| host(rate, 30_000, 40_000));
        let (slack, strict) = (slack.unwrap(), strict.unwrap());
        assert!((36_000..=40_000).contains(&slack) && (26_000..=30_000).contains(&strict));
    }

    #[test]
    fn one_that_never_keeps_up_has_no_rate() {
        let (slack, strict, trials) = search(64_000, |rate| host(rate, 0, 0));
        assert_eq!((slack, strict), (None, None));
        assert!(trials <= 14, "{trials}");
    }

    #[test]
    fn one_bad_second_is_tried_again_and_two_are_believed() {
        let mut seconds = 0;
        let spoiled = |rate| {
            seconds += 1;
            let on_time = if seconds == 1 { 0 } else { 64_000 };
            host(rate, on_time, on_time)
        };
        assert_eq!(search(64_000, spoiled).0, Some(64_000));
        let few = |rate| Trial {
            sent_ppm: 998_999,
            ..host(rate, 64_000, 64_000)
        };
        assert_eq!(search(64_000, few).0, None, "on time, but not all was sent");
    }

    proptest! {
        #[test]
        fn what_is_found_is_at_most_a_step_below_the_truth(
            most in 10_000u64..1_000_000, on_time in 1u64..1_000_000, more in 0u64..1_000_000,
        ) {
            let within = on_time + more;
            let (slack, strict, trials) = search(most, |rate| host(rate, on_time, within));
            prop_assert!(trials < 100, "{}", trials);
            for (found, truth) in [(slack, within), (strict, on_time)] {
                let lowest = (most / LOWEST).max(1);
                if truth < lowest {
                    prop_assert_eq!(found, None);
                } else {
                    let found = found.unwrap();
                    prop_assert!(found <= truth && found * 114 + 200 >= truth * 100, "{} of {}", found, truth);
                }
            }
        }
    }
}
