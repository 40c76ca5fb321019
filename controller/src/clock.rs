//! The controller's own clocks.

use nepho_common::time::{Mono, WallMillis};
use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC`.
#[must_use]
pub fn now() -> Mono {
    let at = clock_gettime(ClockId::Monotonic);
    let [secs, nanos] = [at.tv_sec, at.tv_nsec].map(|part| u64::try_from(part).unwrap_or_default());
    Mono(secs * 1_000_000_000 + nanos)
}

/// Wall time, for display only.
#[must_use]
pub fn wall() -> WallMillis {
    let at = clock_gettime(ClockId::Realtime);
    WallMillis(at.tv_sec * 1000 + at.tv_nsec / 1_000_000)
}
