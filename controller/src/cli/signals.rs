//! Ctrl-C and SIGTERM, listened for from the moment of construction.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;
use crate::exit::Exit;

/// The signals that ask us to end.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(Failure::Signals)?,
            terminate: signal(SignalKind::terminate()).map_err(Failure::Signals)?,
        })
    }

    /// Waits for the next one; the exit code of a command that it ends.
    pub(crate) async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
        }
    }

    /// Does `work`, unless a signal comes before it is done: then it is dropped.
    pub(crate) async fn unless<T, E>(
        &mut self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        tokio::select! {
            exit = self.next() => Err(Failure::Interrupted(exit)),
            done = work => Ok(done?),
        }
    }
}
