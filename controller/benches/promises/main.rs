//! What the product promises in figures, measured: `scripts/bench` builds and starts this.
//!
//! Nothing here fails on a figure: it prints a Markdown table with the promise beside what was
//! found. It does fail when something was lost, or when what was to be measured did not happen.
//!
//! - [`fleet`]: two thousand agents in one session each with a real controller; [`crowd`] plays them.
//! - [`rest`]: a real agent at rest, and probing forty services.
//! - [`load`]: requests of a load generator on one core, beside others.
//! - [`merge`]: recordings decoded, checked and merged.
//! - [`report`]: the report of an hour, and how large its page is; [`hour`] is its journal.
//! - [`site`]: programs and their directory. [`usage`]: what a process takes. [`table`]: the output.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that can't measure fails by panicking"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "figures go to stdout, progress to stderr"
)]

mod crowd;
mod fleet;
mod hour;
mod load;
mod merge;
mod report;
mod rest;
mod site;
mod table;
mod usage;

use std::{num::NonZero, path::PathBuf};

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
    /// `cargo bench` says so to every benchmark.
    #[arg(long, global = true, hide = true)]
    bench: bool,
    /// Where the programs are.
    #[arg(long, global = true, env = "NEPHO_BIN_DIR", default_value = ".")]
    bin_dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Agents on one controller.
    Fleet {
        /// How many.
        #[arg(long, default_value_t = 2000)]
        agents: usize,
    },
    /// An agent at rest and probing.
    Agent {
        /// How long each state is watched, in seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// A load generator on one core.
    Load {
        /// How often every client has its turn.
        #[arg(long, env = "NEPHO_ROUNDS", default_value = "5")]
        rounds: NonZero<u32>,
        /// How long a turn is.
        #[arg(long, env = "NEPHO_SECONDS", default_value = "3")]
        seconds: NonZero<u32>,
    },
    /// What `load` starts to keep a core busy.
    #[command(hide = true)]
    Spin,
    /// Recordings decoded, checked and merged.
    Merge {
        /// How often.
        #[arg(long, default_value_t = 9)]
        repetitions: usize,
    },
    /// The report of an hour.
    Report {
        /// How often.
        #[arg(long, default_value_t = 5)]
        repetitions: usize,
    },
}

fn main() {
    let cli = Cli::parse();
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    match cli.what {
        What::Fleet { agents } => fleet::measure(&cli.bin_dir, agents),
        What::Agent { seconds } => rest::measure(&cli.bin_dir, seconds),
        What::Load { rounds, seconds } => load::measure(&cli.bin_dir, rounds, seconds),
        What::Spin => load::spin(),
        What::Merge { repetitions } => merge::measure(repetitions),
        What::Report { repetitions } => report::measure(repetitions),
    }
}
