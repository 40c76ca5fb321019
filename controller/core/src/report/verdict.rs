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
//! | throughput, min | it failed | it succeeded |
//! | throughput, max | it succeeded | it failed |
//!
//! With a confidence, a share passes only when what was seen shows it, and fails only when what was
//! seen shows that it is not so; what shows neither is inconclusive.

mod certificate;
mod expected;
mod latency;
mod share;
mod throughput;

use std::collections::BTreeMap;

use nepho_common::{plan::Judge, recording::Outcome, time::Nanos};

use self::latency::Latency;
pub(super) use self::{
    certificate::{ending, ends_before},
    expected::expected,
};
use super::{
    loads::Compared,
    model::{Observed, Uncertainty, Verdict},
    render::outcome,
    said::{Said, said},
    sample::Sample,
};

/// A rule applied to figures.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) ground: Ground,
    /// In words, and in figures.
    pub(super) observed: (Said, Observed),
    /// In words, and in figures.
    pub(super) uncertainty: Option<(Said, Uncertainty)>,
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
    /// Above it, because requests waited for connections that answers held for up to so long. Once
    /// sent they were answered in time, and mostly there were connections enough.
    Stalled { longest: Nanos },
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
    /// Without so many time-outs it would have passed, and the generator turned to as many too late.
    Overdue { requests: u64, lag: Nanos },
    /// So many of those that were due were not sent: the others met another load than was planned.
    Unsent { requests: u64, offered: u64 },
    /// Without waiting for a connection of the load's own it would have passed.
    Crowded { wait: Nanos },
    /// The generator's own lateness may hide that it was too fast.
    LagHidesMin { lag: Nanos },
    /// Without what the generator's lanes saw more than its reference lane it may be otherwise.
    Loaded(Compared),
    /// It did not pass while the generator had no time left: so much of its core was used, in
    /// thousandths, or it stood still for so long.
    Busy { core: u32, gap: Nanos },
    /// Fewer succeed in a second than must.
    Few,
    /// More succeed in a second than may.
    Many,
    /// Requests were not sent when they were due, which shaped what the target saw.
    Shaped { lag: Nanos, gap: Nanos },
    /// A generator said nothing of a part of the time: nobody knows what was sent.
    Silent,
}

impl Ground {
    /// Whether the generator's own doing keeps anybody from judging the target.
    pub(super) const fn is_of_generator(&self) -> bool {
        match self {
            Self::LateSender { .. }
            | Self::Overdue { .. }
            | Self::Unsent { .. }
            | Self::Crowded { .. }
            | Self::LagHidesMin { .. }
            | Self::Loaded(_)
            | Self::Shaped { .. }
            | Self::Busy { .. } => true,
            Self::Met
            | Self::Failures
            | Self::NothingSucceeded
            | Self::Slow
            | Self::Stalled { .. }
            | Self::Fast
            | Self::Missing
            | Self::TooFew { .. }
            | Self::Unsure { .. }
            | Self::Ending
            | Self::NoCertificate
            | Self::Few
            | Self::Many
            | Self::Silent => false,
        }
    }
}

/// Judges a sample of at least one planned request.
pub(super) fn judge(judge: &Judge, sample: &Sample<'_>) -> Judged {
    match judge {
        Judge::Failures { max, confidence } => share::failures(*max, *confidence, sample),
        Judge::SuccessRate { min, confidence } => share::success_rate(*min, *confidence, sample),
        Judge::Latency { quantile, max, min } => Latency {
            quantile: *quantile,
            max: *max,
            min: *min,
        }
        .judge(sample),
        Judge::Certificate { min } => certificate::judge(*min, sample),
        Judge::Throughput { max, min } => throughput::judge((*min, *max), sample),
        // Readings are judged where they are (`finding/used.rs`); a sample has none.
        Judge::Resource { .. } => Judged {
            verdict: Verdict::Inconclusive,
            ground: Ground::Missing,
            observed: (
                said!("a probe reads no host", "探测步骤不读取主机"),
                observed(sample),
            ),
            uncertainty: None,
        },
        // Who answered is with the traces (`finding/spread.rs`).
        Judge::Distribution { .. } => Judged {
            verdict: Verdict::Inconclusive,
            ground: Ground::Missing,
            observed: (said!("nothing was said", "没有任何报告"), observed(sample)),
            uncertainty: None,
        },
        // What targets say of themselves is with the events (`finding/same.rs`), and stairs are parts
        // of the stage, each with a sample of its own (`finding/climb.rs`).
        Judge::Same { .. } | Judge::Concurrency { .. } => Judged {
            verdict: Verdict::Inconclusive,
            ground: Ground::Missing,
            observed: (said!("nothing was said", "没有任何报告"), observed(sample)),
            uncertainty: None,
        },
    }
}

fn three_way(worst_passes: bool, best_passes: bool, failed: Ground) -> (Verdict, Ground) {
    match (worst_passes, best_passes) {
        (true, _) => (Verdict::Pass, Ground::Met),
        (false, false) => (Verdict::Fail, failed),
        (false, true) => (Verdict::Inconclusive, Ground::Missing),
    }
}

fn observed(sample: &Sample<'_>) -> Observed {
    let (succeeded, failed) = (sample.successes(), sample.failures());
    let outcomes = sample.outcomes.iter();
    Observed {
        outcomes: outcomes
            .map(|(outcome, n)| (outcome.word().to_owned(), *n))
            .collect(),
        success_ppm: share_ppm(succeeded, succeeded.saturating_add(failed)),
        ..Observed::default()
    }
}

/// Rounded down, so that only all is 100 %. `None` of nothing.
fn share_ppm(part: u64, whole: u64) -> Option<u32> {
    let ppm = (u128::from(part) * 1_000_000).checked_div(u128::from(whole))?;
    u32::try_from(ppm).ok()
}

/// ` (timeout 3, refused 1)`, most frequent first; nothing when all succeeded.
pub(super) fn how(outcomes: &BTreeMap<Outcome, u64>) -> Said {
    let mut bad: Vec<_> = outcomes
        .iter()
        .filter(|(outcome, n)| **outcome != Outcome::Success && **n > 0)
        .collect();
    if bad.is_empty() {
        return Said::default();
    }
    bad.sort_by_key(|(outcome, n)| (std::cmp::Reverse(**n), **outcome));
    let words = bad.into_iter().map(|(&one, n)| {
        let word = outcome(one);
        said!("{word} {n}", "{word} {n}"; word)
    });
    let words = Said::list(words);
    said!(" ({words})", "（{words}）"; words)
}
