//! The rules. Each asks: would it still pass if everything missing were as bad as can be? Then it
//! passes. Would it fail even if everything missing were as good as can be? Then it fails.
//! Otherwise what is missing decides, so nobody can: inconclusive.
//!
//! | kind | worst case of a missing request | best case |
//! |---|---|---|
//! | failures | it failed | it succeeded |
//! | success-rate | it failed | it succeeded |
//! | latency, max | it took for ever | it took no time |
//! | latency, min | it took no time | it took for ever |
//!
//! With a confidence, a share passes only when what was seen shows it, and fails only when what was
//! seen shows that it is not so; what shows neither is inconclusive.

use std::{cmp::Ordering, collections::BTreeMap};

use nepho_common::{
    histogram::Histogram,
    plan::{Judge, Quantile, Ratio},
    recording::Outcome,
    time::Nanos,
};

use super::{
    model::{Expected, Observed, Uncertainty, Verdict},
    sample::Sample,
    stats::{
        self,
        blocks::ByBlocks,
        share::{clopper_pearson_ppm, samples_for, samples_like, shows_at_least, shows_less},
    },
};

/// A rule applied to figures.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) ground: Ground,
    pub(super) observed: Observed,
    pub(super) uncertainty: Option<Uncertainty>,
}

/// What a verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ground {
    /// The bound is met, whatever is missing.
    Met,
    /// Too many requests failed.
    Failures,
    /// There is no latency, because no request succeeded.
    NothingSucceeded,
    /// Above the most that it may be.
    Slow,
    /// Below the least that it may be.
    Fast,
    /// What is missing decides.
    Missing,
    /// So few values say nothing about a quantile.
    TooFew { had: u64, needed: u64 },
    /// It shows neither, with the confidence that is asked for. About so many like these would.
    Unsure { enough: Option<u64> },
    /// A certificate ends too soon.
    Ending,
    /// Of a target that should show a certificate none was seen.
    NoCertificate,
    /// Without the generator's own lateness it would have passed.
    LateSender { lag: Nanos },
    /// The generator's own lateness may hide that it was too fast.
    LagHidesMin { lag: Nanos },
}

/// Judges a sample of at least one planned request.
pub(super) fn judge(judge: &Judge, sample: &Sample<'_>) -> Judged {
    match judge {
        Judge::Failures { max, confidence } => failures(*max, *confidence, sample),
        Judge::SuccessRate { min, confidence } => success_rate(*min, *confidence, sample),
        Judge::Latency { quantile, max, min } => Latency {
            quantile: *quantile,
            max: *max,
            min: *min,
        }
        .judge(sample),
        Judge::Certificate { min } => certificate(*min, sample),
    }
}

fn three_way(worst_passes: bool, best_passes: bool, failed: Ground) -> (Verdict, Ground) {
    match (worst_passes, best_passes) {
        (true, _) => (Verdict::Pass, Ground::Met),
        (false, false) => (Verdict::Fail, failed),
        (false, true) => (Verdict::Inconclusive, Ground::Missing),
    }
}

fn failures(max: u64, confidence: Option<Ratio>, sample: &Sample<'_>) -> Judged {
    let (failed, missing) = (sample.failures(), sample.samples().missing);
    let n = sample.successes().saturating_add(failed);
    let text = format!("{failed} of {n} failed{}", how(&sample.outcomes));
    let (verdict, ground) = if let Some(confidence) = confidence {
        // So many of all that were planned, as a share.
        let all = n.saturating_add(missing);
        let good = all.saturating_sub(max);
        match confident((good, all.max(1)), confidence, sample) {
            // A stage of another length would have other failures to allow.
            (verdict, Ground::Unsure { .. }) => (verdict, Ground::Unsure { enough: None }),
            found => found,
        }
    } else {
        let worst = failed.saturating_add(missing) <= max;
        three_way(worst, failed <= max, Ground::Failures)
    };
    let uncertainty = match confidence {
        None => stats::wilson_ppm(failed, n).map(|interval| share("failures", interval)),
        Some(confidence) => bounds("failures", failed, n, confidence),
    };
    Judged {
        verdict,
        ground,
        observed: observed(text, sample),
        uncertainty,
    }
}

fn success_rate(min: Ratio, confidence: Option<Ratio>, sample: &Sample<'_>) -> Judged {
    let (succeeded, failed) = (sample.successes(), sample.failures());
    let missing = sample.samples().missing;
    let n = succeeded.saturating_add(failed);
    let (verdict, ground) = if let Some(confidence) = confidence {
        confident((u64::from(min.0), 1_000_000), confidence, sample)
    } else {
        let all = u128::from(n) + u128::from(missing);
        let enough = |succeeded: u64| u128::from(succeeded) * 1_000_000 >= u128::from(min.0) * all;
        let best = enough(succeeded.saturating_add(missing));
        three_way(enough(succeeded), best, Ground::Failures)
    };
    let uncertainty = match confidence {
        None => stats::wilson_ppm(succeeded, n).map(|interval| share("successes", interval)),
        Some(confidence) => bounds("successes", succeeded, n, confidence),
    };
    let text = match share_ppm(succeeded, n) {
        None => format!("nothing was observed{}", how(&sample.outcomes)),
        Some(ppm) => format!(
            "{} of {n} succeeded{}",
            Ratio(ppm / 100 * 100),
            how(&sample.outcomes)
        ),
    };
    Judged {
        verdict,
        ground,
        observed: observed(text, sample),
        uncertainty,
    }
}

/// Passes when what was seen shows that at least `share` succeeds, fails when it shows that less
/// does.
fn confident(share: (u64, u64), confidence: Ratio, sample: &Sample<'_>) -> (Verdict, Ground) {
    let missing = sample.samples().missing;
    let (succeeded, failed) = (sample.successes(), sample.failures());
    let seen = succeeded.saturating_add(failed);
    let all = seen.saturating_add(missing);
    let (worst, best) = (succeeded, succeeded.saturating_add(missing));
    let shown = |good| shows_at_least(good, all, share, confidence.0);
    let refuted = |good| shows_less(good, all, share, confidence.0);
    if shown(worst) {
        (Verdict::Pass, Ground::Met)
    } else if refuted(best) {
        (Verdict::Fail, Ground::Failures)
    } else if shown(best) || refuted(worst) {
        (Verdict::Inconclusive, Ground::Missing)
    } else {
        let ppm = u128::from(share.0) * 1_000_000 / u128::from(share.1);
        let enough = if failed == 0 {
            samples_for(u32::try_from(ppm).unwrap_or(u32::MAX), confidence.0)
        } else {
            samples_like(succeeded, seen, share, confidence.0)
        };
        (Verdict::Inconclusive, Ground::Unsure { enough })
    }
}

struct Latency {
    quantile: Quantile,
    max: Option<Nanos>,
    min: Option<Nanos>,
}

impl Latency {
    fn judge(&self, sample: &Sample<'_>) -> Judged {
        let (had, missing) = (sample.response.count(), sample.samples().missing);
        let needed = self.quantile.samples_needed();
        let (verdict, ground) = if had == 0 && missing == 0 && sample.failures() > 0 {
            // Failures as infinite exceed any bound from above, and say nothing of one from below.
            match self.max {
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
        let lag = sample.lag.quantile(99, 100).unwrap_or_default();
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
            Ground::Slow if sample.service.count() == sample.response.count() => {
                if below(&service_alone()) {
                    return (Verdict::Inconclusive, Ground::LateSender { lag });
                }
                found
            }
            Ground::Met => match self.min {
                // No answer was faster than its service time, which lag is no part of: if that meets
                // the bound, lag hides nothing.
                Some(min)
                    if lag > Nanos::from_millis(1).max(Nanos(min.0 / 10))
                        && !above(&service_alone()) =>
                {
                    (Verdict::Inconclusive, Ground::LagHidesMin { lag })
                }
                Some(_) | None => found,
            },
            Ground::Slow
            | Ground::Fast
            | Ground::Failures
            | Ground::NothingSucceeded
            | Ground::Missing
            | Ground::TooFew { .. }
            | Ground::Unsure { .. }
            | Ground::Ending
            | Ground::NoCertificate
            | Ground::LateSender { .. }
            | Ground::LagHidesMin { .. } => found,
        }
    }

    fn observed(&self, sample: &Sample<'_>) -> Observed {
        let (num, den) = self.quantile.fraction();
        let word = self.quantile.word();
        let (had, failed) = (sample.response.count(), sample.failures());
        let to_show = self.quantile.samples_to_show();
        let Some(found) = sample.response.quantile(num, den) else {
            return observed(format!("no success{}", how(&sample.outcomes)), sample);
        };
        if had < to_show {
            let text = format!("{had} successes; {word} is shown from {to_show} on");
            return observed(text, sample);
        }
        let with_failures = Bounds::of(
            &sample.response,
            self.quantile,
            failed,
            Case::MissingAreSlow,
        )
        .high;
        let mut text = format!("{word} {found} over {had} successes");
        if failed > 0 {
            let counted = with_failures.map_or("infinite".to_owned(), |at| at.to_string());
            text.push_str(&format!(
                "; {counted} if the {failed} failures count as infinite"
            ));
        }
        Observed {
            latency_ns: Some(found),
            latency_with_failures_ns: with_failures,
            ..observed(text, sample)
        }
    }

    fn uncertainty(&self, sample: &Sample<'_>) -> Option<Uncertainty> {
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
            return Some(Uncertainty {
                text: format!("95% interval {low} to {high}, by blocks of {block}"),
                method: "block-bootstrap".to_owned(),
                low_ns: Some(low),
                high_ns: Some(high),
                ..Uncertainty::default()
            });
        }
        let (lower, upper) = stats::quantile_ranks(response.count(), quantile)?;
        let (low, high) = (response.at_rank(lower)?.0, response.at_rank(upper)?.1);
        Some(Uncertainty {
            text: format!("95% interval {low} to {high}, assumes independence"),
            method: "order-statistic".to_owned(),
            low_ns: Some(low),
            high_ns: Some(high),
            ..Uncertainty::default()
        })
    }
}

/// A certificate that nobody saw may be the one that ends; one that was seen to end has ended.
fn certificate(min: Nanos, sample: &Sample<'_>) -> Judged {
    let shown: Vec<_> = sample
        .paths
        .iter()
        .filter(|path| path.shows_certificate())
        .collect();
    let seen = shown.iter().filter_map(|path| path.certificate);
    let least = seen.clone().min();
    let (verdict, ground) = if least.is_some_and(|left| ends_before(left, min)) {
        (Verdict::Fail, Ground::Ending)
    } else if shown.is_empty() || seen.count() < shown.len() {
        (Verdict::Inconclusive, Ground::NoCertificate)
    } else {
        (Verdict::Pass, Ground::Met)
    };
    let text = match least {
        None => format!("no certificate was seen{}", how(&sample.outcomes)),
        Some(left) => format!("the first to end {}", ending(left)),
    };
    Judged {
        verdict,
        ground,
        observed: Observed {
            certificate_left_ns: least,
            ..observed(text, sample)
        },
        uncertainty: None,
    }
}

/// Whether what is left, in nanoseconds, is less than this.
pub(super) fn ends_before(left: i64, min: Nanos) -> bool {
    i128::from(left) < i128::from(min.0)
}

/// `ends in 5 days`, `ended 3 hours ago`.
pub(super) fn ending(left: i64) -> String {
    let span = long(Nanos(left.unsigned_abs()));
    if left < 0 {
        format!("ended {span} ago")
    } else {
        format!("ends in {span}")
    }
}

/// Whole days or hours, rounded down: what is left of a certificate is never said to be more.
fn long(span: Nanos) -> String {
    let hours = span.0 / Nanos::from_secs(3_600).0;
    let (number, unit) = if hours < 48 {
        (hours, "hour")
    } else {
        (hours / 24, "day")
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
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

fn observed(text: String, sample: &Sample<'_>) -> Observed {
    let (succeeded, failed) = (sample.successes(), sample.failures());
    let outcomes = sample.outcomes.iter();
    Observed {
        text,
        outcomes: outcomes
            .map(|(outcome, n)| (outcome.word().to_owned(), *n))
            .collect(),
        success_ppm: share_ppm(succeeded, succeeded.saturating_add(failed)),
        latency_ns: None,
        latency_with_failures_ns: None,
        certificate_left_ns: None,
    }
}

/// Rounded down, so that only all is 100 %. `None` of nothing.
fn share_ppm(part: u64, whole: u64) -> Option<u32> {
    let ppm = (u128::from(part) * 1_000_000).checked_div(u128::from(whole))?;
    u32::try_from(ppm).ok()
}

/// ` (timeout 3, refused 1)`, most frequent first; nothing when all succeeded.
pub(super) fn how(outcomes: &BTreeMap<Outcome, u64>) -> String {
    let mut bad: Vec<_> = outcomes
        .iter()
        .filter(|(outcome, n)| **outcome != Outcome::Success && **n > 0)
        .collect();
    if bad.is_empty() {
        return String::new();
    }
    bad.sort_by_key(|(outcome, n)| (std::cmp::Reverse(**n), **outcome));
    let words = bad
        .iter()
        .map(|(outcome, n)| format!("{} {n}", outcome.word()));
    format!(" ({})", words.collect::<Vec<_>>().join(", "))
}

fn share(of: &str, (low, high): (u32, u32)) -> Uncertainty {
    // Two decimals for people, rounded outwards.
    let (shown_low, shown_high) = (low / 100 * 100, high.div_ceil(100) * 100);
    Uncertainty {
        text: format!(
            "95% interval of the share of {of}: {} to {}",
            Ratio(shown_low),
            Ratio(shown_high)
        ),
        method: "wilson".to_owned(),
        low_ppm: Some(low),
        high_ppm: Some(high),
        ..Uncertainty::default()
    }
}

/// What is possible still, each bound with its own confidence.
fn bounds(of: &str, good: u64, n: u64, confidence: Ratio) -> Option<Uncertainty> {
    if n == 0 {
        return None;
    }
    let (low, high) = clopper_pearson_ppm(good, n, confidence.0);
    let (shown_low, shown_high) = (low / 100 * 100, high.div_ceil(100) * 100);
    Some(Uncertainty {
        text: format!(
            "share of {of} at least {}, and at most {}, each with {confidence} confidence, assumes \
             independence",
            Ratio(shown_low),
            Ratio(shown_high)
        ),
        method: "clopper-pearson".to_owned(),
        low_ppm: Some(low),
        high_ppm: Some(high),
        ..Uncertainty::default()
    })
}

/// What a judge asks for.
pub(super) fn expected(judge: &Judge) -> Expected {
    match judge {
        Judge::Failures { max, confidence } => Expected {
            text: match max {
                0 => format!("no failure{}", with(*confidence)),
                1 => format!("at most 1 failure{}", with(*confidence)),
                max => format!("at most {max} failures{}", with(*confidence)),
            },
            max_failures: Some(*max),
            confidence_ppm: confidence.map(|confidence| confidence.0),
            ..Expected::default()
        },
        Judge::SuccessRate { min, confidence } => Expected {
            text: format!("at least {min} succeed{}", with(*confidence)),
            min_success_ppm: Some(min.0),
            confidence_ppm: confidence.map(|confidence| confidence.0),
            ..Expected::default()
        },
        Judge::Latency { quantile, max, min } => {
            let bounds = [
                min.map(|min| format!("at least {min}")),
                max.map(|max| format!("at most {max}")),
            ];
            let bounds: Vec<_> = bounds.into_iter().flatten().collect();
            Expected {
                text: format!("{} {}", quantile.word(), bounds.join(" and ")),
                quantile: Some(*quantile),
                max_ns: *max,
                min_ns: *min,
                ..Expected::default()
            }
        }
        Judge::Certificate { min } => Expected {
            text: format!("certificates are valid for at least {} more", long(*min)),
            min_left_ns: Some(*min),
            ..Expected::default()
        },
    }
}

fn with(confidence: Option<Ratio>) -> String {
    confidence.map_or_else(String::new, |confidence| {
        format!(", with {confidence} confidence")
    })
}
