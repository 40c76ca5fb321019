//! How long answers took.

use std::cmp::Ordering;

use nepho_common::{histogram::Histogram, plan::Quantile, time::Nanos};

use super::{Ground, Judged, how, observed, three_way};
use crate::report::{
    loads::{Compared, GAP_MAX},
    model::{Observed, Uncertainty, Verdict},
    said::{Said, said},
    sample::Sample,
    sending::lag_max,
    stats::{self, blocks::ByBlocks},
};

/// Bounds of a quantile of the latency of successes.
pub(super) struct Latency {
    pub(super) quantile: Quantile,
    pub(super) max: Option<Nanos>,
    pub(super) min: Option<Nanos>,
}

impl Latency {
    pub(super) fn judge(&self, sample: &Sample<'_>) -> Judged {
        let (had, missing) = (sample.response.count(), sample.samples().missing);
        let needed = self.quantile.samples_needed();
        let (verdict, ground) = if had == 0 && missing == 0 && sample.failures() > 0 {
            // Failures as infinite exceed any bound from above, and say nothing of one from below.
            let requests = sample.overdue();
            match self.max {
                Some(_) if requests == sample.failures() => {
                    let lag = lag(sample);
                    (Verdict::Inconclusive, Ground::Overdue { requests, lag })
                }
                Some(_) => (Verdict::Fail, Ground::NothingSucceeded),
                None => (Verdict::Inconclusive, Ground::TooFew { had, needed }),
            }
        } else if had < needed {
            let ground = if missing > 0 {
                Ground::Missing
            } else {
                Ground::TooFew { had, needed }
            };
            (Verdict::Inconclusive, ground)
        } else {
            self.against_bounds(sample, missing)
        };
        Judged {
            verdict,
            ground,
            observed: self.observed(sample),
            uncertainty: self.uncertainty(sample),
        }
    }

    fn against_bounds(&self, sample: &Sample<'_>, missing: u64) -> (Verdict, Ground) {
        let found = self.as_measured(sample, missing);
        match sample.compared {
            Some(compared) if self.rests_on(compared, &found, sample, missing) => {
                (Verdict::Inconclusive, Ground::Loaded(compared))
            }
            Some(_) | None => found,
        }
    }

    /// Whether what the generator's lanes saw more than its reference lane decides it.
    fn rests_on(
        &self,
        compared: Compared,
        (verdict, ground): &(Verdict, Ground),
        sample: &Sample<'_>,
        missing: u64,
    ) -> bool {
        let Some(added) = compared.added() else {
            return false;
        };
        let case = Case::MissingAreFast;
        let low = Bounds::of(&sample.response, self.quantile, missing, case).low;
        let without = low.map(|at| Nanos(at.0.saturating_sub(added.0)));
        match verdict {
            Verdict::Fail if *ground != Ground::Fast => {
                self.max.zip(without).is_some_and(|(max, at)| at <= max)
            }
            Verdict::Pass => self.min.zip(without).is_some_and(|(min, at)| at < min),
            Verdict::Fail | Verdict::Inconclusive | Verdict::NotRun | Verdict::Error => false,
        }
    }

    fn as_measured(&self, sample: &Sample<'_>, missing: u64) -> (Verdict, Ground) {
        let fastest = Bounds::of(
            &sample.response,
            self.quantile,
            missing,
            Case::MissingAreFast,
        );
        let slowest = Bounds::of(
            &sample.response,
            self.quantile,
            missing,
            Case::MissingAreSlow,
        );
        let below = |found: &Bounds| {
            self.max
                .is_none_or(|max| found.high.is_some_and(|at| at <= max))
        };
        let above = |found: &Bounds| {
            self.min
                .is_none_or(|min| found.low.is_none_or(|at| at >= min))
        };
        let failed = if below(&fastest) {
            Ground::Fast
        } else {
            Ground::Slow
        };
        let worst_passes = below(&slowest) && above(&fastest);
        let best_passes = below(&fastest) && above(&slowest);
        let found = three_way(worst_passes, best_passes, failed);
        let lag = lag(sample);
        let service_alone = || {
            let missing = missing + sample.response.count().abs_diff(sample.service.count());
            Bounds::of(
                &sample.service,
                self.quantile,
                missing,
                Case::MissingAreFast,
            )
        };
        match found.1 {
            Ground::Slow
                if sample.service.count() == sample.response.count() && below(&service_alone()) =>
            {
                match self.delayed_by_us(sample, &fastest) {
                    Some(ground) => (Verdict::Inconclusive, ground),
                    None => {
                        let longest = sample.service.max().unwrap_or_default();
                        (Verdict::Fail, Ground::Stalled { longest })
                    }
                }
            }
            Ground::Met => match self.min {
                // No answer was faster than its service time, which lag is no part of: if that meets
                // the bound, lag hides nothing.
                Some(min)
                    if (lag > lag_max(min) || sample.generator.gap > GAP_MAX)
                        && !above(&service_alone()) =>
                {
                    (Verdict::Inconclusive, Ground::LagHidesMin { lag })
                }
                Some(_) | None => match sample.unsent().filter(|_| self.max.is_some()) {
                    Some((offered, requests)) => {
                        let ground = Ground::Unsent { requests, offered };
                        (Verdict::Inconclusive, ground)
                    }
                    None => found,
                },
            },
            Ground::Slow
            | Ground::Stalled { .. }
            | Ground::Fast
            | Ground::Failures
            | Ground::NothingSucceeded
            | Ground::Missing
            | Ground::TooFew { .. }
            | Ground::Unsure { .. }
            | Ground::Ending
            | Ground::NoCertificate
            | Ground::LateSender { .. }
            | Ground::Overdue { .. }
            | Ground::Unsent { .. }
            | Ground::Crowded { .. }
            | Ground::Loaded(_)
            | Ground::LagHidesMin { .. }
            | Ground::Busy { .. }
            | Ground::Few
            | Ground::Many
            | Ground::Shaped { .. }
            | Ground::Silent => found,
        }
    }

    /// Why answers were late that came in time from their sending on; `None` if that was the target's
    /// doing, which stood still while others waited for their turn.
    fn delayed_by_us(&self, sample: &Sample<'_>, found: &Bounds) -> Option<Ground> {
        let (num, den) = self.quantile.fraction();
        let at = |of: &Histogram| of.quantile(num, den).unwrap_or_default();
        let wait = at(&sample.wait);
        let late = Ground::LateSender { lag: lag(sample) };
        if wait <= at(&sample.lag) {
            return Some(late);
        }
        if sample.is_pool_small() {
            return Some(Ground::Crowded { wait });
        }
        // What was not sent while the generator stood still is due at once when it goes on. Connections
        // that are free for half of the time have caught up with that after as long again.
        let most = self.max.unwrap_or_default().0;
        let worst = sample.lag.max().unwrap_or_default().0;
        let most = most.saturating_add(worst.saturating_mul(2));
        let is_explained = found.low.is_some_and(|at| at.0 <= most);
        is_explained.then_some(late)
    }

    fn observed(&self, sample: &Sample<'_>) -> (Said, Observed) {
        let (num, den) = self.quantile.fraction();
        let word = self.quantile.word();
        let (had, failed) = (sample.response.count(), sample.failures());
        let to_show = self.quantile.samples_to_show();
        let Some(found) = sample.response.quantile(num, den) else {
            let how = how(&sample.outcomes);
            let text = said!("no success{how}", "没有成功的请求{how}"; how);
            return (text, observed(sample));
        };
        if had < to_show {
            let text = said!(
                "{had} successes; {word} is shown from {to_show} on",
                "成功 {had} 次；{word} 需 {to_show} 次以上才给出"
            );
            return (text, observed(sample));
        }
        let with_failures = Bounds::of(
            &sample.response,
            self.quantile,
            failed,
            Case::MissingAreSlow,
        )
        .high;
        let text = said!(
            "{word} {found} over {had} successes",
            "{word} 为 {found}（{had} 次成功）"
        );
        let counted = (failed > 0).then(|| match with_failures {
            Some(at) => said!(
                "{at} if the {failed} failures count as infinite",
                "若把 {failed} 次失败计为无穷大，则为 {at}"
            ),
            None => said!(
                "infinite if the {failed} failures count as infinite",
                "若把 {failed} 次失败计为无穷大，则为无穷大"
            ),
        });
        let figures = Observed {
            latency_ns: Some(found),
            latency_with_failures_ns: with_failures,
            ..observed(sample)
        };
        (
            Said::clauses([Some(text), counted].into_iter().flatten()),
            figures,
        )
    }

    fn uncertainty(&self, sample: &Sample<'_>) -> Option<(Said, Uncertainty)> {
        let response = &sample.response;
        match self.quantile {
            // The largest value seen is a fact of what was seen.
            Quantile::Max => return None,
            Quantile::P50
            | Quantile::P75
            | Quantile::P90
            | Quantile::P95
            | Quantile::P99
            | Quantile::P999 => {}
        }
        if response.count() < self.quantile.samples_to_show() {
            return None;
        }
        let quantile = self.quantile.fraction();
        let by_blocks = sample
            .slot
            .and_then(|slot| sample.slots.interval(slot, quantile));
        if let Some(ByBlocks { low, high, block }) = by_blocks {
            let text = said!(
                "95% interval {low} to {high}, by blocks of {block}",
                "95% 区间 {low} 至 {high}（按 {block} 的时间块估计）"
            );
            return Some((text, interval("block-bootstrap", low, high)));
        }
        let (lower, upper) = stats::quantile_ranks(response.count(), quantile)?;
        let (low, high) = (response.at_rank(lower)?.0, response.at_rank(upper)?.1);
        let text = said!(
            "95% interval {low} to {high}, assumes independence",
            "95% 区间 {low} 至 {high}（假定样本相互独立）"
        );
        Some((text, interval("order-statistic", low, high)))
    }
}

/// How late requests were sent, mostly.
fn lag(sample: &Sample<'_>) -> Nanos {
    sample.lag.quantile(99, 100).unwrap_or_default()
}

fn interval(method: &str, low: Nanos, high: Nanos) -> Uncertainty {
    Uncertainty {
        method: method.to_owned(),
        low_ns: Some(low),
        high_ns: Some(high),
        ..Uncertainty::default()
    }
}

#[derive(Clone, Copy)]
enum Case {
    MissingAreFast,
    MissingAreSlow,
}

/// Between which values a quantile lies. `None` is infinite.
struct Bounds {
    low: Option<Nanos>,
    high: Option<Nanos>,
}

impl Bounds {
    /// The quantile of `seen` and `missing` more values that all lie below or all above those seen.
    fn of(seen: &Histogram, quantile: Quantile, missing: u64, case: Case) -> Self {
        let (num, den) = quantile.fraction();
        let all = u128::from(seen.count()) + u128::from(missing);
        let rank = (all * u128::from(num)).div_ceil(u128::from(den));
        let rank = match case {
            Case::MissingAreFast => rank.saturating_sub(u128::from(missing)),
            Case::MissingAreSlow => rank,
        };
        let at = match rank.cmp(&0) {
            Ordering::Equal => Some((Nanos(0), Nanos(0))),
            Ordering::Less | Ordering::Greater => {
                u64::try_from(rank).ok().and_then(|rank| seen.at_rank(rank))
            }
        };
        Self {
            low: at.map(|at| at.0),
            high: at.map(|at| at.1),
        }
    }
}
