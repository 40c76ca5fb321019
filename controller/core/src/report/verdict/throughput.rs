//! How many requests of a load succeed in a second.

use nepho_common::plan::Rate;

use super::{Ground, Judged, how, observed};
use crate::report::{
    model::{Observed, Verdict},
    render::shown,
    said::said,
    sample::Sample,
};

/// Bounds of the successes in a second, each by when it was due.
pub(super) fn judge((min, max): (Option<Rate>, Option<Rate>), sample: &Sample<'_>) -> Judged {
    let rate = sample.rate();
    let (verdict, ground) = believed(against((min, max), sample), max.is_some(), sample);
    let (n, about) = (sample.successes(), shown(rate));
    let how = how(&sample.outcomes);
    let text = said!(
        "{about}, {n} successes{how}",
        "{about}，成功 {n} 次{how}";
        how
    );
    let figures = Observed {
        rate: Some(rate),
        ..observed(sample)
    };
    Judged {
        verdict,
        ground,
        observed: (text, figures),
        uncertainty: None,
    }
}

/// What is missing may have succeeded or failed.
fn against((min, max): (Option<Rate>, Option<Rate>), sample: &Sample<'_>) -> (Verdict, Ground) {
    let lasts = sample.sending.map_or(0, |sending| sending.lasts.0);
    // In thousandths of a success, in so many nanoseconds.
    let found = |n: u64| u128::from(n) * 1_000 * 1_000_000_000;
    let asked = |rate: Rate| u128::from(rate.0) * u128::from(lasts);
    let is_few = |n: u64| min.is_some_and(|min| found(n) < asked(min));
    let is_many = |n: u64| max.is_some_and(|max| found(n) > asked(max));
    let (needed, had) = (1, sample.samples().observed);
    let fewest = sample.successes();
    let most = fewest.saturating_add(sample.samples().missing);
    if is_few(most) {
        (Verdict::Fail, Ground::Few)
    } else if is_many(fewest) {
        (Verdict::Fail, Ground::Many)
    } else if is_few(fewest) || is_many(most) {
        (Verdict::Inconclusive, Ground::Missing)
    } else if had == 0 {
        (Verdict::Inconclusive, Ground::TooFew { had, needed })
    } else {
        (Verdict::Pass, Ground::Met)
    }
}

/// What stands of it where the generator did not send what it should, when it should. That fewer were
/// sent makes nobody seem to do more.
fn believed(found: (Verdict, Ground), has_max: bool, sample: &Sample<'_>) -> (Verdict, Ground) {
    let shaped = sample.shaped();
    let shaped = shaped.map(|(lag, gap)| Ground::Shaped { lag, gap });
    let of_generator = match &found {
        (Verdict::Pass | Verdict::Fail, _) if shaped.is_some() => shaped,
        (Verdict::Fail, Ground::Few) => short(sample).or_else(|| sample.busy()),
        (Verdict::Pass, _) if has_max => short(sample),
        (
            Verdict::Pass
            | Verdict::Fail
            | Verdict::Inconclusive
            | Verdict::NotRun
            | Verdict::Error,
            _,
        ) => None,
    };
    of_generator.map_or(found, |ground| (Verdict::Inconclusive, ground))
}

/// Why less was sent than was due.
fn short(sample: &Sample<'_>) -> Option<Ground> {
    if !sample.silent.is_empty() {
        return Some(Ground::Silent);
    }
    let (offered, requests) = sample.unsent()?;
    Some(Ground::Unsent { requests, offered })
}
