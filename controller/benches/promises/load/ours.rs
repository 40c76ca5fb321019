//! `nepho load`: the one place that knows how it is called here, and how its JSON names things.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{
    CLIENT_CORE, CONNECTIONS, RATE,
    client::{Answered, on_core},
};

/// Whether this build has it.
pub(crate) fn is_here(bin: &Path) -> bool {
    let mut help = Command::new(bin.join("nepho"));
    help.args(["load", "--help"]);
    let help = help.stdout(Stdio::null()).stderr(Stdio::null()).status();
    help.is_ok_and(|status| status.success())
}

/// As many requests as it can for so long; in HTTP/2, so many at a time on each connection.
pub(crate) fn closed(bin: &Path, url: &str, streams: Option<u32>, seconds: u32) -> Command {
    let mut load = load(bin, url, seconds, &["--closed"]);
    if let Some(streams) = streams {
        let in_flight = (CONNECTIONS * streams).to_string();
        load.args(["--http2", "--in-flight", &in_flight]);
    }
    load
}

/// [`RATE`], whatever the answers do.
pub(crate) fn open(bin: &Path, url: &str, seconds: u32) -> Command {
    load(bin, url, seconds, &["--rate", &format!("{RATE}/s")])
}

fn load(bin: &Path, url: &str, seconds: u32, model: &[&str]) -> Command {
    let mut load = on_core(CLIENT_CORE, bin.join("nepho"));
    load.args(["load", url]).args(model);
    load.args(["-c", &CONNECTIONS.to_string(), "-d", &format!("{seconds}s")]);
    load.args(["-o", "json"]);
    load
}

pub(crate) fn answered(said: &str) -> Option<Answered> {
    let said: Value = serde_json::from_str(said).ok()?;
    let lost = ["shed", "unsent", "cut"].map(|name| said[name].as_u64());
    let fine = said["errors"].as_object()?.is_empty() && lost == [Some(0); 3];
    fine.then_some(Answered {
        requests: said["succeeded"].as_f64()?,
        seconds: said["took_ns"].as_f64()? / 1e9,
    })
}

/// Percentiles of the open loop in microseconds: p50, p99, p99.9, the largest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Percentiles(pub(crate) [f64; 4]);

/// Response time, service time and send lag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) response: Percentiles,
    pub(crate) service: Percentiles,
    pub(crate) lag: Percentiles,
}

pub(crate) fn times(said: &str) -> Option<Times> {
    let said: Value = serde_json::from_str(said).ok()?;
    let of = |name: &str| {
        let mut found = [0.0; 4];
        for (value, key) in found.iter_mut().zip(["p50", "p99", "p99.9", "max"]) {
            *value = said[name][key].as_f64()? / 1e3;
        }
        Some(Percentiles(found))
    };
    Some(Times {
        response: of("response_ns")?,
        service: of("service_ns")?,
        lag: of("send_lag_ns")?,
    })
}
