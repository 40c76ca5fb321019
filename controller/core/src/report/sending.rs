//! Whether an open load was sent as it was due, and whose doing it is where that made a difference:
//! the generator's, the pool's of its connections, or the target's.
//!
//! Response times begin when requests are due, so they hold what the generator was late by (lag) and
//! what requests waited for a connection (wait). A target that stands still makes those wait that are
//! due meanwhile: that is its doing. A pool that could not have carried the load anyway, and a
//! generator that did not run, are not.

use nepho_common::{
    histogram::{Histogram, range_of},
    plan::{Load, PlannedPath, Pool, Share},
    recording::Outcome,
    time::Nanos,
};

use super::{
    generator::BUSY,
    loads::{GAP_MAX, Second},
    sample::Sample,
    verdict::Ground,
};

/// Of what was due so much must have been sent, in thousandths: else what was sent is another load.
const SENT_MIN: u128 = 999;
/// Below this nobody was late.
const LATE: Nanos = Nanos::from_millis(1);

/// No more are open at once on a connection that speaks HTTP/2 (`agent/src/work/load/http2.rs`). A
/// target that allows fewer makes requests wait by its own choice.
pub(super) const STREAMS: u64 = 100;

/// What is planned of a load in a sample.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sending {
    /// How many requests all shares in the sample can have open at once.
    pub(super) places: u64,
    /// How many requests may have been open while a thread stood still for a good part of their time:
    /// it reads no answers meanwhile.
    pub(super) unread: u64,
    /// How long an answer is waited for, from when its request was due.
    pub(super) timeout: Nanos,
    /// How long the part of the stage is that is looked at.
    pub(super) lasts: Nanos,
}

/// How many requests a share can have open at once.
pub(super) fn places(load: &Load<PlannedPath>, share: &Share) -> u64 {
    let is_shared = load.carried.http2 && load.carried.pool == Pool::Shared;
    let each = if is_shared { STREAMS } else { 1 };
    u64::from(share.connections).saturating_mul(each)
}

/// What a lag above makes of a figure with this bound: it hides a tenth of it.
pub(super) fn lag_max(bound: Nanos) -> Nanos {
    LATE.max(Nanos(bound.0 / 10))
}

impl Sample<'_> {
    /// What speaks against a generator whose users wait for their answers, where a target seems to
    /// fail: they are due when the last answer was read, so its own lateness is no lag.
    pub(super) fn busy(&self) -> Option<Ground> {
        let Second { cpu, gap, .. } = self.generator;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a core, above nought"
        )]
        let core = (cpu * 1_000.0) as u32;
        (cpu > BUSY || gap > GAP_MAX).then_some(Ground::Busy { core, gap })
    }

    /// How late requests were sent at the 99th percentile, and the longest gap, if either has shaped the
    /// arrivals that a target saw.
    pub(super) fn shaped(&self) -> Option<(Nanos, Nanos)> {
        let lag = self.lag.quantile(99, 100).unwrap_or_default();
        let gap = self.generator.gap;
        (lag > LATE || gap > GAP_MAX).then_some((lag, gap))
    }

    /// How many were due, and how many of those were not sent, if that is more than a bound from above
    /// may pass with: nothing may be dropped, and 99.9 % must be sent.
    pub(super) fn unsent(&self) -> Option<(u64, u64)> {
        let sending = &self.generator;
        let dropped = sending.shed.saturating_add(sending.cut);
        let sent = u128::from(sending.sent) * 1_000;
        let is_short = sent < u128::from(sending.offered) * SENT_MIN;
        let unsent = sending.offered.saturating_sub(sending.sent);
        (dropped > 0 || is_short).then_some((sending.offered, unsent.max(dropped)))
    }

    /// How many requests may have timed out only because the generator turned to them, or to their
    /// answers, too late: their failure is nobody's. Which of those that were late timed out nobody
    /// noted, so as many as can be.
    pub(super) fn overdue(&self) -> u64 {
        let Some(sending) = self.sending else {
            return 0;
        };
        let limit = lag_max(sending.timeout);
        let late = self
            .lag
            .bins()
            .filter(|(bin, _)| range_of(*bin).0 > limit.0);
        let late = late.fold(sending.unread, |sum, (_, n)| u64::saturating_add(sum, n));
        let timeouts = self.outcomes.get(&Outcome::Timeout).copied();
        timeouts.unwrap_or_default().min(late)
    }

    /// Whether the connections of the load would have been busy for half of the time, or more, with
    /// answers as they mostly were. A target that stands still holds up as many answers as can be open:
    /// so many of the slowest are not counted.
    pub(super) fn is_pool_small(&self) -> bool {
        let Some(sending) = self.sending else {
            return false;
        };
        let busy = self
            .service
            .sum()
            .saturating_sub(slowest(&self.service, sending.places));
        let all = u128::from(sending.places) * u128::from(sending.lasts.0);
        busy.saturating_mul(2) >= all
    }
}

/// How long so many of the slowest took together, to the width of their bins.
fn slowest(times: &Histogram, many: u64) -> u128 {
    let max = times.max().unwrap_or_default();
    let mut below = times.count().saturating_sub(many);
    let mut sum = 0u128;
    for (bin, n) in times.bins() {
        let left_out = below.min(n);
        below -= left_out;
        let at = range_of(bin).1.min(max.0);
        sum = sum.saturating_add(u128::from(n - left_out) * u128::from(at));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(all: &[(u64, u64)]) -> Histogram {
        let mut times = Histogram::default();
        for (n, millis) in all {
            (0..*n).for_each(|_| times.record(Nanos::from_millis(*millis)));
        }
        times
    }

    /// 4,000 requests in 8 s over 16 connections.
    fn sample(service: &[(u64, u64)]) -> Sample<'static> {
        Sample {
            service: times(service),
            sending: Some(Sending {
                places: 16,
                unread: 0,
                timeout: Nanos::from_secs(1),
                lasts: Nanos::from_secs(8),
            }),
            ..Sample::default()
        }
    }

    #[test]
    fn a_pool_is_small_for_slow_answers_and_not_for_a_target_that_stood_still() {
        // 16 connections have 128 s in all.
        assert!(!sample(&[(4_000, 15)]).is_pool_small(), "60 s");
        assert!(
            sample(&[(4_016, 16)]).is_pool_small(),
            "64 s, without the 16 slowest"
        );
        assert!(
            !sample(&[(4_000, 16)]).is_pool_small(),
            "with them it would be"
        );
        // It stood still for 7 of 8 s, and all that waited was answered at once.
        assert!(!sample(&[(3_984, 1), (16, 7_000)]).is_pool_small());
        // One of ten takes a second: no stall does that.
        assert!(sample(&[(3_600, 1), (400, 1_000)]).is_pool_small());
        assert!(!Sample::default().is_pool_small(), "a probe has no pool");
    }

    #[test]
    fn what_timed_out_is_the_generators_as_far_as_it_was_late() {
        let overdue = |timeouts: u64, lag: &[(u64, u64)]| {
            let mut sample = sample(&[]);
            sample.outcomes.insert(Outcome::Timeout, timeouts);
            sample.lag = times(lag);
            sample.overdue()
        };
        assert_eq!(overdue(50, &[(3_000, 0), (40, 1_500)]), 40);
        assert_eq!(overdue(30, &[(3_000, 0), (40, 1_500)]), 30);
        assert_eq!(
            overdue(30, &[(3_000, 99)]),
            0,
            "a tenth of the time-out is not too late"
        );
        assert_eq!(overdue(30, &[(3_000, 101)]), 30);
        let mut sample = sample(&[]);
        sample.outcomes.insert(Outcome::Timeout, 30);
        sample.lag = times(&[(20, 1_500)]);
        sample.sending.as_mut().unwrap().unread = 5;
        assert_eq!(
            sample.overdue(),
            25,
            "and those whose answers nobody could read"
        );
    }

    #[test]
    fn nothing_may_be_dropped_and_a_thousandth_may_be_unsent() {
        let unsent = |sent, shed, cut| {
            let mut sample = sample(&[]);
            sample.generator = Second {
                offered: 4_000,
                sent,
                shed,
                cut,
                ..Second::default()
            };
            sample.unsent()
        };
        assert_eq!(unsent(4_000, 0, 0), None);
        assert_eq!(unsent(3_996, 0, 0), None);
        assert_eq!(unsent(3_995, 0, 0), Some((4_000, 5)));
        assert_eq!(unsent(3_999, 1, 0), Some((4_000, 1)));
        assert_eq!(unsent(4_000, 0, 2), Some((4_000, 2)));
        assert_eq!(
            Sample::default().unsent(),
            None,
            "of a probe nothing is said"
        );
    }
}
