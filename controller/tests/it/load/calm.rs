//! Tests that need a host with time to spare, and what becomes of them where there is none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::quantile;
use crate::process::skip;

/// How often it is tried.
const ATTEMPTS: u32 = 5;
/// So many on a calm host say that it was not the host.
const CALM: u32 = 3;
/// How long a thread of the test's own sleeps at a time.
const SLEEP: Duration = Duration::from_millis(1);
/// By how much it may wake up late: half of the lag that spoils a distribution, and half of such a gap.
const LATE_MAX: Duration = Duration::from_micros(500);
const GAP_MAX: Duration = Duration::from_millis(50);

/// What comes of the first attempt that has an answer. Where the host keeps everybody from running in
/// time there may be none: that is said, and the test is over.
pub(super) fn on_a_calm_host<T>(
    test: &str,
    mut attempt: impl FnMut(u32) -> Option<T>,
) -> Option<T> {
    let mut calm = 0;
    for nth in 0..ATTEMPTS {
        let host = Host::watch();
        if let Some(found) = attempt(nth) {
            return Some(found);
        }
        calm += u32::from(host.was_calm());
        assert!(calm < CALM, "{test}: and the host was calm");
    }
    skip(test, "this host is busy with something else");
    None
}

/// A thread that is due to run each millisecond.
struct Host {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u64>>,
}

impl Host {
    fn watch() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut late = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let began = Instant::now();
                std::thread::sleep(SLEEP);
                let more = began.elapsed().saturating_sub(SLEEP);
                late.push(u64::try_from(more.as_nanos()).unwrap());
            }
            late
        });
        Self { over, thread }
    }

    fn was_calm(self) -> bool {
        self.over.store(true, Ordering::Relaxed);
        let mut late = self.thread.join().unwrap();
        let [p99, max] = [0.99, 1.0].map(|share| quantile(&mut late, share));
        let [p99, max] = [p99, max].map(Duration::from_nanos);
        println!("a thread that sleeps is late by {p99:?} at p99, {max:?} at most");
        p99 <= LATE_MAX && max <= GAP_MAX
    }
}
