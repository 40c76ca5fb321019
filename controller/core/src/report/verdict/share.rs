//! How many failed, and which share succeeded.

use nepho_common::plan::Ratio;

use super::{Ground, Judged, how, observed, share_ppm, three_way};
use crate::report::{
    model::{Uncertainty, Verdict},
    said::{Said, said},
    sample::Sample,
    stats::{
        share::{clopper_pearson_ppm, samples_for, samples_like, shows_at_least, shows_less},
        wilson_ppm,
    },
};

pub(super) fn failures(max: u64, confidence: Option<Ratio>, sample: &Sample<'_>) -> Judged {
    let failed = sample.failures();
    let n = sample.successes().saturating_add(failed);
    let how = how(&sample.outcomes);
    let text = said!("{failed} of {n} failed{how}", "{n} 次中失败 {failed} 次{how}"; how);
    let (verdict, ground) = unless_overdue(sample, |seen| {
        let Some(confidence) = confidence else {
            let worst = seen.failed.saturating_add(seen.missing) <= max;
            return three_way(worst, seen.failed <= max, Ground::Failures);
        };
        // So many of all that were planned, as a share.
        let good = seen.all().saturating_sub(max);
        match confident((good, seen.all().max(1)), confidence, seen) {
            // A stage of another length would have other failures to allow.
            (verdict, Ground::Unsure { .. }) => (verdict, Ground::Unsure { enough: None }),
            found => found,
        }
    });
    let uncertainty = match confidence {
        None => wilson_ppm(failed, n).map(|interval| share(Of::Failures, interval)),
        Some(confidence) => bounds(Of::Failures, failed, n, confidence),
    };
    Judged {
        verdict,
        ground,
        observed: (text, observed(sample)),
        uncertainty,
    }
}

pub(super) fn success_rate(min: Ratio, confidence: Option<Ratio>, sample: &Sample<'_>) -> Judged {
    let (succeeded, failed) = (sample.successes(), sample.failures());
    let n = succeeded.saturating_add(failed);
    let (verdict, ground) = unless_overdue(sample, |seen| {
        if let Some(confidence) = confidence {
            return confident((u64::from(min.0), 1_000_000), confidence, seen);
        }
        let all = u128::from(seen.all());
        let enough = |succeeded: u64| u128::from(succeeded) * 1_000_000 >= u128::from(min.0) * all;
        let best = enough(succeeded.saturating_add(seen.missing));
        three_way(enough(succeeded), best, Ground::Failures)
    });
    let uncertainty = match confidence {
        None => wilson_ppm(succeeded, n).map(|interval| share(Of::Successes, interval)),
        Some(confidence) => bounds(Of::Successes, succeeded, n, confidence),
    };
    let how = how(&sample.outcomes);
    let text = match share_ppm(succeeded, n) {
        None => said!("nothing was observed{how}", "没有测得任何结果{how}"; how),
        Some(ppm) => {
            let share = Ratio(ppm / 100 * 100);
            said!("{share} of {n} succeeded{how}", "{n} 次中成功 {share}{how}"; how)
        }
    };
    Judged {
        verdict,
        ground,
        observed: (text, observed(sample)),
        uncertainty,
    }
}

/// How many there are of each.
#[derive(Clone, Copy)]
struct Seen {
    succeeded: u64,
    failed: u64,
    missing: u64,
}

impl Seen {
    const fn all(self) -> u64 {
        let seen = self.succeeded.saturating_add(self.failed);
        seen.saturating_add(self.missing)
    }
}

/// Judges what was seen. What timed out because the generator had used up its time says nothing of the
/// target: where that alone makes it fail, nobody knows.
fn unless_overdue(
    sample: &Sample<'_>,
    judge: impl Fn(Seen) -> (Verdict, Ground),
) -> (Verdict, Ground) {
    let seen = Seen {
        succeeded: sample.successes(),
        failed: sample.failures(),
        missing: sample.samples().missing,
    };
    let found = judge(seen);
    let requests = sample.overdue();
    let (without, _) = judge(Seen {
        failed: seen.failed.saturating_sub(requests),
        missing: seen.missing.saturating_add(requests),
        ..seen
    });
    if found.0 == Verdict::Fail && without != Verdict::Fail {
        let lag = sample.lag.quantile(99, 100).unwrap_or_default();
        return (Verdict::Inconclusive, Ground::Overdue { requests, lag });
    }
    found
}

/// Passes when what was seen shows that at least `share` succeeds, fails when it shows that less
/// does.
fn confident(share: (u64, u64), confidence: Ratio, seen: Seen) -> (Verdict, Ground) {
    let Seen {
        succeeded,
        failed,
        missing,
    } = seen;
    let all = seen.all();
    let seen = succeeded.saturating_add(failed);
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

/// Whose share it is.
#[derive(Clone, Copy)]
enum Of {
    Failures,
    Successes,
}

fn share(of: Of, (low, high): (u32, u32)) -> (Said, Uncertainty) {
    let (least, most) = shown(low, high);
    let text = match of {
        Of::Failures => said!(
            "95% interval of the share of failures: {least} to {most}",
            "失败率的 95% 区间：{least} 至 {most}"
        ),
        Of::Successes => said!(
            "95% interval of the share of successes: {least} to {most}",
            "成功率的 95% 区间：{least} 至 {most}"
        ),
    };
    (text, interval("wilson", low, high))
}

/// What is possible still, each bound with its own confidence.
fn bounds(of: Of, good: u64, n: u64, confidence: Ratio) -> Option<(Said, Uncertainty)> {
    if n == 0 {
        return None;
    }
    let (low, high) = clopper_pearson_ppm(good, n, confidence.0);
    let (least, most) = shown(low, high);
    let text = match of {
        Of::Failures => said!(
            "share of failures at least {least}, and at most {most}, each with {confidence} \
             confidence, assumes independence",
            "失败率不低于 {least}、不高于 {most}，两个界限的置信度各为 {confidence}（假定样本相互独立）"
        ),
        Of::Successes => said!(
            "share of successes at least {least}, and at most {most}, each with {confidence} \
             confidence, assumes independence",
            "成功率不低于 {least}、不高于 {most}，两个界限的置信度各为 {confidence}（假定样本相互独立）"
        ),
    };
    Some((text, interval("clopper-pearson", low, high)))
}

/// Two decimals for people, rounded outwards.
const fn shown(low: u32, high: u32) -> (Ratio, Ratio) {
    (Ratio(low / 100 * 100), Ratio(high.div_ceil(100) * 100))
}

fn interval(method: &str, low: u32, high: u32) -> Uncertainty {
    Uncertainty {
        method: method.to_owned(),
        low_ppm: Some(low),
        high_ppm: Some(high),
        ..Uncertainty::default()
    }
}
