//! Being a well-behaved child: say where we listen, end when asked, end with the parent.
//!
//! This is the only place of the program that writes to stdout or, apart from logs, to stderr.

use std::{
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use rustix::process::{Pid, Resource, Signal, getppid, getrlimit, setrlimit};
use serde::Serialize;
use tokio::signal::unix::{self, SignalKind};

/// How long what is open may go on after the signal. The starter waits a second before it kills.
pub(crate) const GRACE: Duration = Duration::from_millis(500);

/// What every role is told about its process.
#[derive(Debug, clap::Args)]
pub(crate) struct ChildArguments {
    /// End when the parent dies; give the parent's process id to leave no race at all.
    ///
    /// The kernel counts the death of the parent's *thread* that started us: start us from a
    /// thread that lives as long as the parent does, not from a short-lived worker.
    #[arg(long, value_name = "PID", num_args = 0..=1, require_equals = true)]
    #[expect(
        clippy::option_option,
        reason = "clap's way to say: a flag with an optional value"
    )]
    die_with_parent: Option<Option<i32>>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ChildError {
    #[error("bind our life to that of the parent")]
    BindToParent(#[source] io::Error),
    #[error("the parent died before we were ready")]
    Orphaned,
    #[error("listen for the signals that end us")]
    Signals(#[source] io::Error),
    #[error("start the event loop")]
    Runtime(#[source] io::Error),
    #[error("announce on stdout where we listen")]
    Announce(#[source] io::Error),
}

impl ChildArguments {
    /// Makes the process end when its parent does, if that was asked for.
    pub(crate) fn bind_to_parent(&self) -> Result<(), ChildError> {
        let Some(expected) = self.die_with_parent else {
            return Ok(());
        };
        let before = getppid();
        let expected = match expected {
            Some(pid) => Pid::from_raw(pid),
            None => before,
        };
        rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
            .map_err(|error| ChildError::BindToParent(error.into()))?;
        // A parent that died before the call sends no signal; we would live on under another one.
        if getppid() == expected {
            Ok(())
        } else {
            Err(ChildError::Orphaned)
        }
    }
}

/// One thread is enough, and keeps forty of these processes small.
pub(crate) fn event_loop() -> Result<tokio::runtime::Runtime, ChildError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ChildError::Runtime)
}

/// SIGTERM and SIGINT, listened for from the moment of construction.
#[derive(Debug)]
pub(crate) struct EndSignals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl EndSignals {
    pub(crate) fn listen() -> Result<Self, ChildError> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate()).map_err(ChildError::Signals)?,
            interrupt: unix::signal(SignalKind::interrupt()).map_err(ChildError::Signals)?,
        })
    }

    /// Waits, without a deadline, for the order to end: it is what the process lives for.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}

/// Writes the one line that the starter reads.
pub(crate) fn announce(line: &impl Serialize) -> Result<(), ChildError> {
    let mut text = serde_json::to_vec(line).expect("our own values have string keys");
    text.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(&text)
        .and_then(|()| stdout.flush())
        .map_err(ChildError::Announce)
}

/// Lifts the soft limit of open files to the hard one; a proxied connection needs two.
pub(crate) fn lift_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Why the program ends with a code other than 0.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    code: u8,
}

/// Whose fault an error is, as the documented exit codes of Nephoscope know it.
pub(crate) trait Blame {
    /// 1 for our own failure, 2 for a wrong argument, 3 for an invalid configuration.
    fn exit_code(&self) -> u8;
}

impl Failure {
    pub(crate) fn from_error(error: impl Error + Blame) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        Self {
            text,
            code: error.exit_code(),
        }
    }

    pub(crate) fn exit(self) -> ExitCode {
        // A closed stderr leaves the exit code to speak.
        writeln!(io::stderr(), "nepho-sample-fleet: {}", self.text).ok();
        ExitCode::from(self.code)
    }
}
