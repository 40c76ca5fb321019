//! The controller's mind: scenario to plan, plan to run, journal to report.
//!
//! This package is pure: `now` and `seed` are arguments, texts come in as values.
//!
//! - [`diagnose`]: all errors of a file at once, with line and caret.
//! - [`fleet`]: the services under test. [`scenario`]: what is to be done and expected.
//! - [`compose`]: a fleet to begin with, from a Compose file.
//! - [`planner`]: scenario, fleet, inventory and seed to a plan that leaves nothing to choose.
//! - [`run`]: the state machine of one run. [`clock`]: how far an agent's clock is off.
//! - [`doctor`]: what is wrong with a controller's host, from facts.
//! - [`load`]: what a generator on its own counted, and what speaks against it.
//! - [`log`]: a run's events in words.
//! - [`report`]: a fold of the journal, verdicts with their evidence, renderers.
//!
//! Deliberately absent: the store, sessions, HTTP, files; encodings.

#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

pub mod clock;
pub mod compose;
pub mod diagnose;
pub mod doctor;
pub mod fleet;
pub mod load;
pub mod log;
pub mod planner;
pub mod report;
pub mod run;
pub mod scenario;
