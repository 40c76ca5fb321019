//! A thread that computes without end: the host has a processor less, the service goes on answering.

use std::{
    hint::black_box,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle},
};

/// What the thread is called, for whoever looks at the host.
const NAME: &str = "burn";
/// About 0.1 ms: so long may it take until the thread sees that it is to end.
const STEPS: u64 = 100_000;

/// Burns from its start until it is dropped, which waits for the thread.
#[derive(Debug)]
pub(super) struct Burner {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Burner {
    pub(super) fn start() -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = Builder::new().name(NAME.to_owned()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for step in 0..STEPS {
                    black_box(step);
                }
            }
        })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Burner {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok(); // It can't panic.
        }
    }
}
