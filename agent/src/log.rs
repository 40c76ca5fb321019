//! The log on standard error: text for people, JSON for programs; life events only.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::scrub;

/// Starts the log, without secrets, and lets panics speak there. `NEPHO_LOG` says how much, in the form of `RUST_LOG`.
pub fn start() {
    let filter = EnvFilter::try_from_env("NEPHO_LOG");
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("warn,nepho_agent=info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| scrub::Stderr);
    scrub::panics();
    if io::stderr().is_terminal() {
        log.init();
    } else {
        log.json().init();
    }
}
