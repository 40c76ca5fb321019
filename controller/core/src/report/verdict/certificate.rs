//! For how long certificates are valid.

use nepho_common::time::Nanos;

use super::{Ground, Judged, how, observed};
use crate::report::{
    model::{Observed, Verdict},
    sample::Sample,
};

/// A certificate that nobody saw may be the one that ends; one that was seen to end has ended.
pub(super) fn judge(min: Nanos, sample: &Sample<'_>) -> Judged {
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
pub(crate) fn ends_before(left: i64, min: Nanos) -> bool {
    i128::from(left) < i128::from(min.0)
}

/// `ends in 5 days`, `ended 3 hours ago`.
pub(crate) fn ending(left: i64) -> String {
    let span = long(Nanos(left.unsigned_abs()));
    if left < 0 {
        format!("ended {span} ago")
    } else {
        format!("ends in {span}")
    }
}

/// Whole days or hours, rounded down: what is left of a certificate is never said to be more.
pub(super) fn long(span: Nanos) -> String {
    let hours = span.0 / Nanos::from_secs(3_600).0;
    let (number, unit) = if hours < 48 {
        (hours, "hour")
    } else {
        (hours / 24, "day")
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
}
