//! What a generator makes of one core, beside others on the same targets in the same rounds.
//!
//! The target has core 0 for itself, the client core 1, and on both an idle loop keeps the processor
//! from sleeping ([`spin`]): without it client and server fall into lock step, and the same command
//! gives a third of the requests or all of them. All clients take turns in each round, and what is
//! told of them is the ratio to wrk (in HTTP/2, to h2load) in that very round: what the machine gives
//! drifts by a quarter over minutes, and a ratio does not. Target and client have real-time priority
//! where that may be: what else runs displaces neither, though the kernel keeps a twentieth of each
//! core for it.
//!
//! The open loop comes after that, without idle loops: a timer that is late because the processor
//! slept is the generator's lag as its users have it.
//!
//! - [`client`]: how each is called and what it says; [`ours`]: the same of `nepho load`.
//! - [`target`]: what they are aimed at. [`trial`]: one run of one client. [`told`]: the tables.

mod client;
mod ours;
mod spin;
mod target;
mod told;
mod trial;

use std::{num::NonZero, path::Path};

use rustix::process::{getpid, set_child_subreaper};

pub(crate) use self::spin::spin;
use self::{
    client::{Client, measure_of},
    target::Target,
    told::Round,
};

const CONNECTIONS: u32 = 64;
const TARGET_CORE: usize = 0;
const CLIENT_CORE: usize = 1;
/// The open loop that is promised something.
const RATE: u32 = 20_000;
/// How many times as long as a turn of the closed loop one of the open loop lasts: its p99.9 needs
/// more.
const OPEN_TURNS: u32 = 2;

pub(crate) fn measure(bin: &Path, rounds: NonZero<u32>, seconds: NonZero<u32>) {
    let (rounds, seconds) = (rounds.get(), seconds.get());
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(cores >= 2, "one core for the target and one for the client");
    let dir = tempfile::Builder::new()
        .prefix("nepho-bench-")
        .tempdir()
        .unwrap();
    let dir = dir.path();
    // Who loses his parent is ours: what he took can be asked, and he is not left behind.
    set_child_subreaper(Some(getpid())).unwrap();
    let clients = Client::here(bin);
    let mut targets = Target::start_all(bin, dir);
    targets.retain(|target| clients.iter().any(|client| client.speaks_to(target)));
    let mut found = Vec::new();
    {
        let _spinning = [TARGET_CORE, CLIENT_CORE].map(|core| spin::on(core, dir));
        for target in &targets {
            // Opens what is opened once: the target's memory, its first connections.
            trial::run(measure_of(target), bin, target, 1, dir);
        }
        for nth in 0..rounds {
            for target in &targets {
                found.push(round(nth, &clients, bin, target, seconds, dir));
            }
        }
    }
    told::closed(&found, &targets, rounds, seconds);
    if clients.contains(&Client::Ours) {
        told::promises(&found);
        let seconds = OPEN_TURNS * seconds;
        let mut open = Vec::new();
        for _ in 0..rounds {
            for target in targets.iter().filter(|target| target.streams.is_none()) {
                open.push((target.name(), trial::open(bin, target, seconds, dir)));
            }
        }
        told::open(&open, rounds, seconds);
    }
}

/// Every client once. Another one begins in each round, so that nobody always follows the same.
fn round(
    nth: u32,
    clients: &[Client],
    bin: &Path,
    target: &Target,
    seconds: u32,
    dir: &Path,
) -> Round {
    let clients: Vec<_> = clients
        .iter()
        .copied()
        .filter(|client| client.speaks_to(target))
        .collect();
    let begins = nth as usize % clients.len();
    let (later, first) = clients.split_at(begins);
    let mut trials = Vec::new();
    for client in first.iter().chain(later) {
        let trial = trial::run(*client, bin, target, seconds, dir);
        eprintln!(
            "round {}, {}: {}",
            nth + 1,
            target.name(),
            trial.line(*client)
        );
        trials.push((*client, trial));
    }
    Round {
        target: target.name(),
        measure: measure_of(target),
        trials,
    }
}
