//! The real controller against clients that are not our agent: recorded bytes of other releases,
//! and whoever means no good.
//!
//! - `site`: a controller in this process, and identities that it gave.
//! - `raw`: a client that sends bytes as they are.
//! - `ending`: a controller that is told to end.
//! - `frames`: HTTP/2 by hand. `hostile`: what it is for.
//! - `versions`: agents a version older or newer.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test program: a failure is a panic, in its helpers too"
)]

mod ending;
mod frames;
mod hostile;
mod raw;
mod site;
mod versions;
