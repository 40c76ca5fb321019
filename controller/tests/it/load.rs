//! Load against targets whose truth is known: the schedule says when each request was due, and the
//! target's own stamps say when its answer went.

mod bad;
mod calibrate;
mod calm;
mod climb;
mod frozen;
mod guards;
mod queue;
mod reference;
mod spread;
mod stalled;
mod step;
mod target;
mod verb;

use std::process::Command;

use nepho_agent_core::pace::Pace;
use nepho_common::plan::{Arrivals, Schedule, Stripe};
use serde_json::Value;

use self::target::Light;
use crate::process::{Running, clean, program, said};

/// What `nepho load` prints in JSON, if it ends with this code.
fn load(words: &[&str], code: i32) -> Value {
    let printed = said(&mut command(words)).with(code);
    serde_json::from_str(&printed).unwrap()
}

fn command(words: &[&str]) -> Command {
    let mut nepho = clean(Command::new(program("nepho")));
    nepho.args(["load", "-o", "json", "--quiet"]).args(words);
    nepho
}

/// The intended instants of a schedule, by number, on the host's clock.
fn due(arrivals: Arrivals, rate: &str, seconds: u64, summary: &Value) -> Vec<u64> {
    let lasts = nepho_common::time::Nanos::from_secs(seconds);
    let schedule = Schedule::constant(arrivals, rate.parse().unwrap(), lasts).unwrap();
    let pace = Pace::new(&schedule, 1, Stripe::WHOLE).unwrap();
    let began = summary["began_ns"].as_u64().unwrap();
    pace.map(|arrival| began + arrival.at.0).collect()
}

/// The value of this rank share, nearest rank.
fn quantile(values: &mut [u64], share: f64) -> u64 {
    values.sort_unstable();
    let rank = (values.len() as f64 * share).ceil() as usize;
    values[rank.max(1) - 1]
}

/// Within 2 % or 5 ms, whichever is more: what is promised.
fn is_near(measured: u64, truth: u64) -> bool {
    measured.abs_diff(truth) <= (truth / 50).max(5_000_000)
}

fn ns(summary: &Value, spread: &str, quantile: &str) -> u64 {
    let value = summary[spread][quantile].as_u64();
    value.unwrap_or_else(|| panic!("{spread} {quantile}: {summary:#}"))
}
