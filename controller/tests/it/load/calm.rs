//! Tests that need a host with time to spare, and what becomes of them where there is none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nepho_controller_core::report::Verdict;

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

/// What came of one attempt.
#[derive(Debug)]
pub(super) enum Came<T> {
    /// What was expected.
    Expected(T),
    /// Nothing that contradicts it: a late generator decides nothing.
    Undecided,
    /// The contrary. Only a host that holds up the target itself can excuse that.
    Contrary(String),
}

impl Came<()> {
    /// The same, of this.
    pub(super) fn with<T>(self, found: T) -> Came<T> {
        match self {
            Self::Expected(()) => Came::Expected(found),
            Self::Undecided => Came::Undecided,
            Self::Contrary(what) => Came::Contrary(what),
        }
    }

    /// What these verdicts are beside those that were expected.
    pub(super) fn of<'a>(
        mut pairs: impl Iterator<Item = (&'a str, Verdict, Verdict)> + Clone,
    ) -> Self {
        let is_contrary = |(_, found, expected): &(&str, Verdict, Verdict)| {
            found != expected && *found != Verdict::Inconclusive
        };
        if let Some((id, found, expected)) = pairs.clone().find(is_contrary) {
            return Self::Contrary(format!("{id} is {found:?}, not {expected:?}"));
        }
        if pairs.all(|(_, found, expected)| found == expected) {
            Self::Expected(())
        } else {
            Self::Undecided
        }
    }
}

/// What comes of the first attempt that has an answer. Where the host keeps everybody from running in
/// time there may be none: that is said, and the test is over. On a calm host what is contrary to what
/// was expected fails at once, and what stays undecided fails at the third time.
pub(super) fn on_a_calm_host<T>(test: &str, mut attempt: impl FnMut(u32) -> Came<T>) -> Option<T> {
    let mut calm = 0;
    for nth in 0..ATTEMPTS {
        let host = Host::watch();
        let came = attempt(nth);
        let was_calm = host.was_calm();
        match came {
            Came::Expected(found) => {
                println!("{test}: attempt {} of {ATTEMPTS}", nth + 1);
                return Some(found);
            }
            Came::Contrary(what) => {
                println!("{test}: {what}");
                assert!(!was_calm, "{test}: {what}, and the host was calm");
            }
            Came::Undecided => {}
        }
        calm += u32::from(was_calm);
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
