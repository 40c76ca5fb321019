//! For how long certificates are valid.

use nepho_common::time::Nanos;

use super::{Ground, Judged, how, observed};
use crate::report::{
    model::{Observed, Verdict},
    said::{Said, said},
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
        None => {
            let how = how(&sample.outcomes);
            said!("no certificate was seen{how}", "没有看到证书{how}"; how)
        }
        Some(left) => {
            let ending = ending(left);
            said!("the first to end {ending}", "最早到期的{ending}"; ending)
        }
    };
    let figures = Observed {
        certificate_left_ns: least,
        ..observed(sample)
    };
    Judged {
        verdict,
        ground,
        observed: (text, figures),
        uncertainty: None,
    }
}

/// Whether what is left, in nanoseconds, is less than this.
pub(crate) fn ends_before(left: i64, min: Nanos) -> bool {
    i128::from(left) < i128::from(min.0)
}

/// `ends in 5 days`, `ended 3 hours ago`.
pub(crate) fn ending(left: i64) -> Said {
    let span = long(Nanos(left.unsigned_abs()));
    if left < 0 {
        said!("ended {span} ago", "已过期 {span}"; span)
    } else {
        said!("ends in {span}", "将在 {span}后到期"; span)
    }
}

/// Whole days or hours, rounded down: what is left of a certificate is never said to be more.
pub(super) fn long(span: Nanos) -> Said {
    let hours = span.0 / Nanos::from_secs(3_600).0;
    let days = hours / 24;
    match hours {
        1 => said!("1 hour", "1 小时"),
        0..48 => said!("{hours} hours", "{hours} 小时"),
        48.. => said!("{days} days", "{days} 天"),
    }
}
