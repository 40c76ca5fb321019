//! How many failed, and which share succeeded.

use nepho_common::plan::Ratio;

use super::{Ground, Judged, how, observed, share_ppm, three_way};
use crate::report::{
    model::{Uncertainty, Verdict},
    sample::Sample,
    stats::{
        share::{clopper_pearson_ppm, samples_for, samples_like, shows_at_least, shows_less},
        wilson_ppm,
    },
};

pub(super) fn failures(max: u64, confidence: Option<Ratio>, sample: &Sample<'_>) -> Judged {
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
        None => wilson_ppm(failed, n).map(|interval| share("failures", interval)),
        Some(confidence) => bounds("failures", failed, n, confidence),
    };
    Judged {
        verdict,
        ground,
        observed: observed(text, sample),
        uncertainty,
    }
}

pub(super) fn success_rate(min: Ratio, confidence: Option<Ratio>, sample: &Sample<'_>) -> Judged {
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
        None => wilson_ppm(succeeded, n).map(|interval| share("successes", interval)),
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
