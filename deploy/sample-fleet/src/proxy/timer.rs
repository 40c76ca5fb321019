//! Waking at a point of time, precisely.
//!
//! tokio's own timer has a wheel of 1 ms, which is a fifteenth of the distance that the demo shows.
//! One timerfd of the kernel serves all connections of the process and is early never, late by tens
//! of microseconds.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::{io::unix::AsyncFd, sync::oneshot};

use crate::listener::locked;

/// A point on the kernel's monotonic clock. `Instant` is the same clock but doesn't show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(Duration);

impl Stamp {
    pub(super) fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        Self(
            now.try_into()
                .expect("the monotonic clock is never negative"),
        )
    }

    pub(super) fn after(self, delay: Duration) -> Self {
        Self(self.0 + delay)
    }
}

#[derive(Debug)]
pub(super) struct Timer {
    kernel: AsyncFd<OwnedFd>,
    waits: Mutex<Waits>,
}

/// Who waits, by time and then by order of asking. As many as there are pipes, at most.
#[derive(Debug, Default)]
struct Waits {
    by_time: BTreeMap<(Stamp, u64), oneshot::Sender<()>>,
    asked: u64,
}

impl Timer {
    #[expect(
        deprecated,
        reason = "what replaces it is unsafe, for types whose file can change; an OwnedFd's can't"
    )]
    pub(super) fn new() -> io::Result<Arc<Self>> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let kernel = AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?;
        Ok(Arc::new(Self {
            kernel,
            waits: Mutex::default(),
        }))
    }

    /// Returns at `at` or a little later, never earlier.
    pub(super) async fn reach(&self, at: Stamp) {
        if at <= Stamp::now() {
            return;
        }
        let (wake, woken) = oneshot::channel();
        {
            let mut waits = locked(&self.waits);
            waits.asked += 1;
            let key = (at, waits.asked);
            waits.by_time.insert(key, wake);
            if waits
                .by_time
                .first_key_value()
                .is_some_and(|(first, _)| *first == key)
            {
                self.arm(at);
            }
        }
        // The sender lives in the map until it is used, and the map lives as long as we do.
        woken.await.expect("a wait is woken, not forgotten");
    }

    /// Wakes whoever is due, for ever. Everything that waits needs this to run.
    pub(super) async fn run(&self) -> io::Result<Infallible> {
        loop {
            let mut ready = self.kernel.readable().await?;
            let read = ready.try_io(|kernel| {
                Ok(rustix::io::read(
                    kernel.get_ref(),
                    &mut [0_u8; size_of::<u64>()],
                )?)
            });
            if let Ok(read) = read {
                read?; // Otherwise it was a false alarm; there is nothing to read yet.
            }
            self.wake_due();
        }
    }

    fn wake_due(&self) {
        let mut waits = locked(&self.waits);
        while let Some(first) = waits.by_time.first_entry() {
            let (at, _) = *first.key();
            if at > Stamp::now() {
                self.arm(at);
                return;
            }
            first.remove().send(()).ok(); // Its connection may be gone.
        }
    }

    fn arm(&self, at: Stamp) {
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: at
                .0
                .try_into()
                .expect("a stamp came from a timespec plus a minute at most"),
        };
        timerfd_settime(self.kernel.get_ref(), TimerfdTimerFlags::ABSTIME, &once)
            .expect("a timerfd of ours takes every valid time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<Output>(test: impl AsyncFnOnce(&Timer) -> Output) -> Output {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let timer = Timer::new().unwrap();
            tokio::select! {
                output = test(&timer) => output,
                failed = timer.run() => panic!("{failed:?}"),
            }
        })
    }

    #[test]
    fn a_wait_is_never_early_and_its_median_is_late_by_less_than_a_wheel_tick() {
        let mut late: Vec<Duration> = run(async |timer| {
            let mut late = Vec::new();
            for step in 0..101_u32 {
                let at = Stamp::now().after(Duration::from_micros(500 + u64::from(step) * 13));
                timer.reach(at).await;
                let now = Stamp::now();
                assert!(now >= at);
                late.push(now.0 - at.0);
            }
            late
        });
        late.sort_unstable();
        assert!(
            late[50] < Duration::from_micros(900),
            "median {:?}",
            late[50]
        );
    }

    #[test]
    fn an_earlier_wait_overtakes_a_later_one() {
        let order = run(async |timer| {
            let order = Mutex::new(Vec::new());
            let start = Stamp::now();
            let wait = async |milliseconds| {
                timer
                    .reach(start.after(Duration::from_millis(milliseconds)))
                    .await;
                locked(&order).push(milliseconds);
            };
            tokio::join!(wait(30), wait(10), wait(20), wait(0));
            order.into_inner().unwrap()
        });
        assert_eq!(order, [0, 10, 20, 30]);
    }
}
