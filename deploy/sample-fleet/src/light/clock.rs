//! The kernel's monotonic clock, read and waited for to the nanosecond.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

/// Nanoseconds on `CLOCK_MONOTONIC`, which all processes of a host share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(u64);

impl Stamp {
    pub(super) fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        let now = Duration::try_from(now).expect("the monotonic clock is never negative");
        Self(now.as_nanos().try_into().expect("584 years are enough"))
    }

    pub(super) fn after(self, delay: Duration) -> Self {
        let delay = delay.as_nanos().try_into().unwrap_or(u64::MAX);
        Self(self.0.saturating_add(delay))
    }

    /// How long it is from here to `later`; nothing if that is over.
    pub(super) fn until(self, later: Self) -> Duration {
        Duration::from_nanos(later.0.saturating_sub(self.0))
    }

    pub(super) fn nanoseconds(self) -> u64 {
        self.0
    }

    #[cfg(test)]
    pub(super) fn at(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }
}

/// A timer of the kernel: late by tens of microseconds, never early.
#[derive(Debug)]
pub(super) struct Alarm {
    kernel: OwnedFd,
    set: Option<Stamp>,
}

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self {
            kernel: timerfd_create(TimerfdClockId::Monotonic, flags)?,
            set: None,
        })
    }

    /// Makes it readable at `at`, or never. What was set before is forgotten.
    pub(super) fn set(&mut self, at: Option<Stamp>) -> io::Result<()> {
        if self.set == at {
            return Ok(());
        }
        let it_value = match at {
            // All zeros would mean never.
            Some(at) => Duration::from_nanos(at.0.max(1))
                .try_into()
                .map_err(io::Error::other)?,
            None => Timespec::default(),
        };
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value,
        };
        timerfd_settime(&self.kernel, TimerfdTimerFlags::ABSTIME, &once)?;
        self.set = at;
        Ok(())
    }

    /// Takes notice that it is readable.
    pub(super) fn rang(&mut self) -> io::Result<()> {
        match rustix::io::read(&self.kernel, &mut [0_u8; size_of::<u64>()]) {
            Ok(_) => self.set = None,
            // Set anew since the kernel told us.
            Err(rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.kernel.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    #[test]
    fn an_alarm_is_never_early_and_can_be_set_anew() {
        let mut alarm = Alarm::new().unwrap();
        alarm
            .set(Some(Stamp::now().after(Duration::from_secs(3600))))
            .unwrap();
        for microseconds in [0, 300, 2500] {
            let at = Stamp::now().after(Duration::from_micros(microseconds));
            alarm.set(Some(at)).unwrap();
            poll(&mut [PollFd::new(&alarm, PollFlags::IN)], None).unwrap();
            assert!(Stamp::now() >= at);
            alarm.rang().unwrap();
            alarm.rang().unwrap(); // Nothing left to notice.
        }
    }
}
