//! The product from outside: real processes on loopback, started, killed and asked as a person or
//! a script would.
//!
//! The programs come from `NEPHO_BIN_DIR`, else from the folder above this test's own. The agent
//! must have hold points: `cargo build --workspace --bins --features nepho-agent/hold-points`.
//!
//! - [`process`]: a program that runs and ends, or runs until it is dropped.
//! - [`site`]: a controller with agents in a temporary directory. [`fleet`]: services to measure.
//! - [`found`]: a report and a journal as the tests read them.
//! - A file for each promise: [`nginx`], [`mistakes`], [`refold`], [`crash`], [`disk`], [`start`], [`kept`],
//!   [`ending`], [`command_line`], [`identity`], [`late`], [`load`], [`matrix`], [`secret`], [`survive`],
//!   [`causes`], [`certificate`], [`doctor`], [`newcomer`], [`steady`], [`browser`], [`watched`].

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![expect(clippy::print_stdout, reason = "a test says what it measured")]

mod browser;
mod causes;
mod certificate;
mod command_line;
mod crash;
mod disk;
mod doctor;
mod ending;
mod fleet;
mod found;
mod identity;
mod kept;
mod kinds;
mod languages;
mod late;
mod load;
mod matrix;
mod mistakes;
mod newcomer;
mod nginx;
mod process;
mod refold;
mod secret;
mod site;
mod start;
mod steady;
mod survive;
mod watched;
