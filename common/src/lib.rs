//! The nouns that agent and controller both hold.
//!
//! This package is pure: no async, no clock, no files, no randomness, and nothing that prost or
//! tonic generate. Whatever crosses the wire or lies in the journal has its meaning here; how it
//! is written down is the business of `nepho-proto`.
//!
//! - [`id`]: who and what: environments, services, agents, runs, digests.
//! - [`time`]: run time, monotonic instants, offsets between clocks as intervals.
//! - [`measured`]: a value, or the reason why there is none.
//! - [`histogram`] and [`recording`]: latency in layout 1, and the four kinds of measurement.
//! - [`plan`]: what will be done, by whom, to what; and one agent's slice of it.
//! - [`policy`] and [`secret`]: what an agent may do, and how a plan refers to secrets.
//! - [`load`]: load on one address, outside of a plan. [`calibrated`]: how much a host sends on time.
//! - [`control`]: what controller and agent tell each other while a run is under way.
//! - [`protocol`]: which version two sides speak, and who has to be upgraded.
//! - [`event`]: what an agent or the controller says happened.
//! - [`symptom`]: what was seen of a request that failed.
//! - [`journal`]: the append-only record of a run, and the seal that proves it complete.
//! - [`doctor`]: what a doctor says on either side: checks, and the commands that mend.
//!
//! Deliberately absent: verdicts (the controller's), spools and sessions (bodies), encodings.

#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

pub mod calibrated;
pub mod control;
pub mod doctor;
pub mod event;
pub mod histogram;
pub mod id;
pub mod journal;
pub mod json_path;
pub mod load;
pub mod measured;
pub mod plan;
pub mod policy;
pub mod protocol;
pub mod recording;
pub mod secret;
pub mod symptom;
pub mod template;
pub mod time;
