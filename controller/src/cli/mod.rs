//! The command line: a file per verb.
//!
//! ```text
//! arguments --perform--> verb --client--> the controller's API (its own one, with --local)
//!                          |--out--> data on stdout, talk on stderr, an exit code
//! ```
//!
//! - [`arguments`]: what can be typed. `context`: what every verb is given.
//! - [`out`]: the one place that prints. `colour`: who wants it. `lang`: in which
//!   language. `table`, `summary`: how lists and
//!   results are shown. `published`: the forms of what programs read. `patience`: what is said of
//!   something slow. [`failure`]: why a command ends badly, and its exit code.
//! - `found`: what a run found, in English and in the reader's language.
//! - `bundle`: a scenario and every file that it names. `execute`: a run from its start to its
//!   files, with `progress` and `signals`. `watch`: a run as others see it change. `artifacts`: what
//!   a run leaves on disk.
//! - Verbs: `agents`, `calibrate`, `completion`, `controller`, `demo`, `doctor`, `enroll`, `explain`, `export`,
//!   `init`, `load`, `logs`, `plan`, `report`, `run`, `runs`, `schema`, `status`, `stop` (and `abort`),
//!   `validate`.
//!
//! Deliberately absent: verbs that this release does not have; prompts.

mod agents;
pub mod arguments;
mod artifacts;
mod bundle;
mod calibrate;
mod colour;
mod completion;
mod context;
mod controller;
mod demo;
mod doctor;
mod enroll;
mod execute;
mod explain;
mod export;
pub mod failure;
mod found;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod init;
mod lang;
mod load;
mod logs;
pub mod out;
mod patience;
mod plan;
mod progress;
mod published;
mod report;
mod run;
mod runs;
mod schema;
mod signals;
mod status;
mod stop;
mod summary;
mod table;
mod validate;
mod watch;

pub use arguments::Cli;
pub(crate) use context::Context;
pub(crate) use execute::{Execution, execute};
pub use failure::Failure;
pub use out::Out;
pub(crate) use signals::Signals;
