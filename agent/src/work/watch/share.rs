//! Shares and rates of counters.

use nepho_common::time::Nanos;

/// A part of a whole, between 0 and 1; nothing of nothing is none.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (float(part) / float(whole)).min(1.0)
}

/// So much per second.
pub(super) fn rate(much: u64, within: Nanos) -> f64 {
    float(much) * 1e9 / float(within.0.max(1))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; 53 bits of bytes are 8 PiB"
)]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}
