//! Why a command ends badly: whose fault it is decides the exit code.

use std::{error::Error as _, io, path::PathBuf};

use nepho_common::histogram::BadHistogram;
use nepho_controller_core::diagnose::Diagnostics;

use crate::{
    demo::DemoError,
    exit::Exit,
    export::ExportError,
    local::{private::PrivateError, sibling::SiblingError},
    service::ServiceError,
    web::ClientError,
};

/// Why a command ends badly.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Stdout is broken.
    #[error("can't write to stdout")]
    Output(#[source] io::Error),
    /// The words don't fit together.
    #[error("{0}")]
    Usage(String),
    /// There is no place for our data.
    #[error("there is no HOME to keep data in")]
    NoHome,
    /// A file of the user can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file can't be written.
    #[error("can't write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Files that would have to be overwritten.
    #[error("{} in the way, and nothing was written", names(.0))]
    InTheWay(Vec<PathBuf>),
    /// Scenario or fleet hold mistakes.
    #[error("{} in the files", count(.0.len()))]
    Mistakes(Box<Diagnostics>),
    /// It can't be done with these agents.
    #[error("refused: {}", .0.join("\n"))]
    Refused(Vec<String>),
    /// A run directory can't be read or written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The controller does not answer, or says no.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A program of ours is missing.
    #[error(transparent)]
    Sibling(#[from] SiblingError),
    /// The private controller does not start.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// The controller does not start.
    #[error("can't start the controller")]
    Service(#[from] ServiceError),
    /// The demo does not start.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// Signals can't be listened for.
    #[error("can't listen for signals")]
    Signals(#[source] io::Error),
    /// The generator can't be started, or talked to.
    #[error("can't talk to the load generator")]
    Pipe(#[source] io::Error),
    /// The generator ended without saying so.
    #[error("the load generator ended ({0}) before it was done")]
    GeneratorEnded(String),
    /// The generator told everything, and then did not end well.
    #[error("the load generator did not end well ({0}): what it told may not be all")]
    GeneratorFailed(String),
    /// The generator tells what is none.
    #[error("the load generator tells what can't be")]
    Generator(#[source] BadHistogram),
    /// Ended by a signal before anything ran.
    #[error("interrupted; everything that was started has ended")]
    Interrupted(Exit),
}

fn count(mistakes: usize) -> String {
    match mistakes {
        1 => "one mistake".to_owned(),
        more => format!("{more} mistakes"),
    }
}

fn names(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    match names.as_slice() {
        [one] => format!("{one} is"),
        several => format!("{} are", several.join(", ")),
    }
}

impl Failure {
    /// The exit code that goes with it.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Read { .. } | Self::Mistakes(_) => Exit::Invalid,
            Self::Refused(_) | Self::InTheWay(_) => Exit::Refused,
            Self::Export(error) => match error {
                ExportError::Write { .. } => Exit::Internal,
                ExportError::Read { .. }
                | ExportError::Manifest { .. }
                | ExportError::ManifestSize { .. }
                | ExportError::Schema { .. }
                | ExportError::Damaged { .. }
                | ExportError::Missing { .. }
                | ExportError::Extra { .. }
                | ExportError::Other { .. } => Exit::Invalid,
            },
            Self::Client(error) => error.exit(),
            Self::Interrupted(exit) => *exit,
            Self::Output(_)
            | Self::NoHome
            | Self::Write { .. }
            | Self::Sibling(_)
            | Self::Private(_)
            | Self::Service(_)
            | Self::Demo(_)
            | Self::Pipe(_)
            | Self::GeneratorEnded(_)
            | Self::GeneratorFailed(_)
            | Self::Generator(_)
            | Self::Signals(_) => Exit::Internal,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Client(error) => return error.hint(),
            Self::Mistakes(_) => "nepho explain CODE says more about each",
            Self::InTheWay(_) => "move what is there away, or name another folder: nepho init DIR",
            Self::Export(ExportError::Read { .. }) => {
                "a run directory holds manifest.json and journal.ndjson: `nepho run` and \
                 `nepho export` write one"
            }
            Self::NoHome => "set HOME or XDG_STATE_HOME, or name a directory with --data-dir",
            Self::Sibling(_) | Self::Private(PrivateError::Sibling(_)) => {
                "build all programs (cargo build --workspace --bins), or name their folder \
                 with --bin-dir"
            }
            Self::Output(_)
            | Self::Usage(_)
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Refused(_)
            | Self::Export(_)
            | Self::Private(_)
            | Self::Service(_)
            | Self::Demo(_)
            | Self::Pipe(_)
            | Self::GeneratorEnded(_)
            | Self::GeneratorFailed(_)
            | Self::Generator(_)
            | Self::Signals(_)
            | Self::Interrupted(_) => return None,
        };
        Some(hint.to_owned())
    }

    /// All of it for people: what, why, and what to do.
    #[must_use]
    pub fn text(&self, color: bool) -> String {
        let (red, bold, reset) = if color {
            ("\x1b[1;31m", "\x1b[1m", "\x1b[0m")
        } else {
            ("", "", "")
        };
        let mut text = String::new();
        if let Self::Mistakes(found) = self {
            text.push_str(&format!("{}\n\n", found.render(color)));
        }
        text.push_str(&format!("{red}error:{reset} {self}"));
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        if let Some(hint) = self.hint() {
            text.push_str(&format!("\n{bold}hint:{reset} {hint}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::refusal::{Blame, Refusal};

    #[test]
    fn a_failure_says_what_why_and_what_to_do() {
        let failure = Failure::from(ClientError::Unreachable {
            socket: "/var/lib/nepho/nepho.sock".into(),
            source: io::ErrorKind::NotFound.into(),
        });
        assert_eq!(failure.exit(), Exit::Unreachable);
        insta::assert_snapshot!(failure.text(false), @r"
        error: no controller answers on /var/lib/nepho/nepho.sock: entity not found
        hint: start one with `nepho controller`, name another one with --controller, or use `nepho run SCENARIO --local`, which brings its own
        ");
    }

    #[test]
    fn what_the_controller_says_keeps_its_blame() {
        let refusal = |code| Failure::from(ClientError::from(Refusal::new(code, "no"))).exit();
        assert_eq!(refusal(Blame::Invalid), Exit::Invalid);
        assert_eq!(refusal(Blame::Refused), Exit::Refused);
        assert_eq!(refusal(Blame::NotAuthorised), Exit::NotAuthorised);
        assert_eq!(refusal(Blame::NotFound), Exit::Usage);
        assert_eq!(refusal(Blame::Internal), Exit::Internal);
    }
}
