//! The delay proxy: it gives addresses on one machine the distance of the places they stand for.
//!
//! ```text
//! config --read--> routes --reserve ports--> announce
//! target (is it there?) --Sight--> route (listen, accept) --connection--> pipe x 2 --at--> timer
//! ```
//!
//! Deliberately absent: loss, jitter, bandwidth. And one thing that no userspace proxy can do: the
//! handshake of TCP itself is not delayed, the kernel answers it. Requests and answers are.

mod config;
mod pipe;
mod route;
mod start;
mod target;
mod timer;

pub(crate) use start::{Arguments, run};
