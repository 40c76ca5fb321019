//! A plain balancer in front of services: what a distribution is measured at.
//!
//! `start` reads the arguments and ends the process, `back_end` is where requests go, `choice` says
//! whose turn it is, `tally` is what became of that, `upstream` holds the connections that one client
//! has to back ends, `forward` carries its requests.
//!
//! Deliberately absent: TLS, health checks, a pool that clients share (each has connections of its
//! own, so that no answer waits for a stranger's), caches, and any header of its own.

mod back_end;
mod choice;
mod forward;
mod start;
mod tally;
mod upstream;

pub(crate) use start::{Arguments, run};
