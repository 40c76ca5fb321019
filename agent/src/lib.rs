//! The agent's body: it probes what the controller names, keeps what it saw on disk until the
//! controller has it, and dials out for all of that.
//!
//! ```text
//! session --Command--> driver --Action--> pacer --one task per request--> Observation
//!    ^                 |  ^                                                    |
//!    +---- Status -----+  +----------------------- Sighting -------------------+
//!                      |
//!                      +--Draft--> spool thread --on disk--> courier ==results==> controller
//! ```
//! The decisions are `nepho-agent-core`'s; this package has sockets, files and clocks.
//!
//! - [`config`], [`join`], [`identity`], [`address`]: the command line, and how an agent gets its
//!   identity.
//! - [`agent`]: everything wired, and its end in order; [`leave`]: how it is asked to end.
//! - [`driver`]: the one loop that owns engine and recorders.
//! - [`dial`], [`backoff`], [`session`], [`results`]: the two connections to the controller.
//! - [`renewal`]: the identity stays fresh, or is made anew after an absence.
//! - [`spool`], [`durable`]: results on disk.
//! - [`policy`]: the file in which the host's owner says what may be done.
//! - [`work`]: the workers of a stage.
//! - [`clock`], [`discipline`], [`host`], [`random`]: what the host gives.
//! - [`doctor`]: facts of this host, for the doctor.
//! - [`hold`]: hold points for crash tests. [`chain`], [`log`]: errors and life events, for people.
//!   [`scrub`]: without secrets. [`ration`]: not without end.
//!
//! Deliberately absent: a listener of any kind, and any decision about a run.

pub mod address;
pub mod agent;
pub mod backoff;
pub mod calibrated;
pub mod chain;
pub mod clock;
pub mod config;
pub mod dial;
pub mod discipline;
pub mod doctor;
pub mod driver;
pub mod durable;
pub mod hold;
pub mod host;
pub mod identity;
pub mod join;
pub mod leave;
pub mod log;
pub mod policy;
pub mod random;
pub mod ration;
pub mod renewal;
pub mod results;
pub mod scrub;
pub mod session;
pub mod spool;
pub mod work;
