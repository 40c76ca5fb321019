//! The host's clocks: now, an alarm that is never early, and whether the host slept.
//!
//! Tokio's timer wheel turns once a millisecond, which is as large as the error that a stage's
//! start may have; a timerfd fires within about 60 µs on the same machine.

use std::{
    io,
    os::fd::OwnedFd,
    time::{SystemTime, UNIX_EPOCH},
};

use nepho_common::time::{ClockEpoch, Mono, Nanos, WallMillis};
use rustix::{
    io::Errno,
    time::{
        ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
        clock_gettime, timerfd_create, timerfd_settime,
    },
};
use tokio::io::{Interest, unix::AsyncFd};

/// A difference between the clocks with and without sleep that grew by more than this was a sleep.
/// Reading two clocks one after the other takes microseconds; being scheduled out between the two
/// readings takes a few milliseconds.
const SUSPEND_MIN: Nanos = Nanos::from_millis(100);

/// This instant on `CLOCK_MONOTONIC`.
#[must_use]
pub fn now() -> Mono {
    Mono(nanos(clock_gettime(ClockId::Monotonic)))
}

/// Wall time, for display only.
#[must_use]
pub fn wall() -> WallMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    WallMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn nanos(time: Timespec) -> u64 {
    let [secs, nanos] = [time.tv_sec, time.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    secs.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Waits for instants of `CLOCK_MONOTONIC`, one at a time.
#[derive(Debug)]
pub struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    /// An alarm of the runtime that this is called on.
    ///
    /// # Errors
    /// The process is out of file handles.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "an OwnedFd keeps the promise that the unsafe replacement asks for"
        )]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Self(timer))
    }

    /// Returns at `at` or a little later, never before. May be dropped and called again.
    ///
    /// # Errors
    /// The kernel refuses the timer, which it does not do to a sound one.
    pub async fn until(&mut self, at: Mono) -> io::Result<()> {
        if now() >= at {
            return Ok(());
        }
        let secs = |ns: u64| i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX);
        let timer = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: secs(at.0),
                tv_nsec: i64::try_from(at.0 % 1_000_000_000).unwrap_or(0),
            },
        };
        // Setting the timer also forgets an expiry that nobody read.
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::ABSTIME, &timer)?;
        loop {
            let mut ready = self.0.readable().await?;
            let mut expiries = [0; 8];
            match rustix::io::read(self.0.get_ref(), &mut expiries) {
                Ok(_) if now() >= at => return Ok(()),
                // The readiness was that of an earlier instant.
                Ok(_) | Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Notices sleeps of the host: `CLOCK_BOOTTIME` goes on in them, `CLOCK_MONOTONIC` does not.
#[derive(Debug)]
pub struct Epochs {
    epoch: ClockEpoch,
    slept: Nanos,
    looked: Mono,
}

/// A sleep of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slept {
    /// For how long.
    pub long: Nanos,
    /// The last look that found it awake: the sleep began after it.
    pub awake: Mono,
}

impl Epochs {
    /// The first epoch of this process.
    #[must_use]
    pub fn new() -> Self {
        let looked = now();
        Self::at(slept(), looked)
    }

    const fn at(slept: Nanos, looked: Mono) -> Self {
        Self {
            epoch: ClockEpoch(1),
            slept,
            looked,
        }
    }

    /// The present epoch.
    #[must_use]
    pub const fn epoch(&self) -> ClockEpoch {
        self.epoch
    }

    /// Whether the host slept since the last look; then a new epoch has begun.
    pub fn look(&mut self) -> Option<Slept> {
        // Before the look: a sleep between the two would be seen by the next one.
        let looked = now();
        self.look_at(slept(), looked)
    }

    fn look_at(&mut self, slept: Nanos, looked: Mono) -> Option<Slept> {
        let grown = Nanos(slept.0.saturating_sub(self.slept.0));
        let awake = std::mem::replace(&mut self.looked, looked);
        if grown <= SUSPEND_MIN {
            // A scheduling gap between the two readings must not raise the base for ever.
            self.slept = self.slept.min(slept);
            return None;
        }
        self.slept = slept;
        self.epoch = ClockEpoch(self.epoch.0 + 1);
        Some(Slept { long: grown, awake })
    }
}

impl Default for Epochs {
    fn default() -> Self {
        Self::new()
    }
}

/// How long the host has slept since it booted. Monotonic is read first, so a gap between the two
/// readings can only look like a sleep if it is longer than [`SUSPEND_MIN`].
fn slept() -> Nanos {
    let awake = nanos(clock_gettime(ClockId::Monotonic));
    Nanos(nanos(clock_gettime(ClockId::Boottime)).saturating_sub(awake))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn an_alarm_is_never_early_and_its_lateness_is_printed() {
        let mut alarm = Alarm::new().unwrap();
        let mut late: Vec<_> = Vec::new();
        for _ in 0..50 {
            let at = now().plus(Nanos(1_300_000));
            alarm.until(at).await.unwrap();
            let then = now();
            assert!(then >= at);
            late.push(then.since(at));
        }
        late.sort();
        println!("alarm late: median {}, worst {}", late[25], late[49]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_alarm_that_was_given_up_does_not_ring_into_the_next() {
        let mut alarm = Alarm::new().unwrap();
        for _ in 0..20 {
            let early = now().plus(Nanos::from_millis(1));
            assert!(alarm.until(early).now_or_never().is_none());
            let at = now().plus(Nanos::from_millis(3));
            alarm.until(at).await.unwrap();
            assert!(now() >= at);
        }
    }

    #[test]
    fn a_sleep_opens_an_epoch_and_jitter_does_not() {
        let mut epochs = Epochs::at(Nanos::from_secs(7), Mono(1));
        assert_eq!(epochs.look_at(Nanos::from_millis(7_080), Mono(2)), None);
        let slept = Slept {
            long: Nanos::from_millis(160),
            awake: Mono(2),
        };
        let looked = epochs.look_at(Nanos::from_millis(7_160), Mono(3));
        assert_eq!(looked, Some(slept));
        assert_eq!(epochs.epoch(), ClockEpoch(2));
        assert_eq!(epochs.look_at(Nanos::from_millis(7_160), Mono(4)), None);
    }
}
