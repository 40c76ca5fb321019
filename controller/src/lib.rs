//! The controller's body, and the command line.
//!
//! - [`driver`]: one loop owns sessions and runs; [`driver::Handle`] is how everybody else asks.
//! - [`sessions`]: agents' streams, over nouns. [`inbox`]: what waits of them, bounded by bytes.
//! - [`scribe`]: writes a run's own events, judges its stages, makes its report.
//! - [`journal`]: the store. [`export`]: run directories.
//! - [`identity`]: the authority, join tokens, enrolment. [`listen`]: the accept loop.
//! - [`service`]: all of it wired together, as `nepho controller`, `--local` and the demo run it.
//! - [`web`]: the HTTP/JSON API and its client. [`cli`]: a file per verb. [`view`]: what both show.
//! - [`doctor`]: facts of this host, for the doctor. [`rate`]: how often something may happen.
//! - [`clock`], [`discipline`]: the controller's own clocks. [`exit`]: exit codes.

pub mod cli;
pub mod clock;
pub mod demo;
pub mod discipline;
pub mod doctor;
pub mod driver;
pub mod exit;
pub mod export;
pub mod hold;
pub mod identity;
pub mod inbox;
pub mod journal;
pub mod listen;
pub mod local;
pub mod news;
pub mod rate;
#[cfg(test)]
mod replay;
pub mod revise;
pub mod scribe;
pub mod service;
pub mod sessions;
pub mod view;
pub mod web;
