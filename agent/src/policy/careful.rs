//! What joining writes: probes of private targets, and no secret.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use nepho_common::policy::Policy;

const HEAD: &str = "\
# What this agent may do, whoever asks. Owned by root or by the agent's own user, and writable by
# nobody else. The agent reads it when it starts and at SIGHUP; without it, it refuses every work.
# `nepho-agent policy check` says what is wrong with it.
#
# targets: {network: 10.0.0.0/8, ports: all} or {host: \"*.staging.example\", ports: [443, 8000-8010]}
#   A name must be named by a host, and each of its addresses must lie in a network, or in the
#   name's own: {host: api.example, addresses: [93.184.0.0/16], ports: 443}
# secrets: env:NAME or file:/PATH, each with the targets that it may be sent to:
#   env:API_TOKEN: [{host: api.example, ports: 443}]
# watch: which processes and containers may be looked at; all when there is no list:
#   watch: {processes: [{name: nginx}, {pid-file: /run/x.pid}, {unit: x.service}],
#           containers: [{name: web}, {label: role=web}], engine: /var/run/docker.sock}
# Link-local, metadata, multicast and broadcast addresses and the controller itself are refused
# whatever stands here.
";

/// Writes the careful default, unless there is a file already; whether it did.
///
/// # Errors
/// The file can't be made.
pub fn write_careful(path: &Path) -> io::Result<bool> {
    let mut file = match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error),
    };
    file.write_all(careful().as_bytes())?;
    file.sync_all()?;
    Ok(true)
}

pub(super) fn careful() -> String {
    let Policy {
        api,
        actions,
        targets,
        limits,
        ..
    } = Policy::careful();
    // A line of JSON is a line of YAML.
    let json = |rule| serde_json::to_string(rule).expect("a rule has only string keys");
    let actions: Vec<_> = actions.iter().map(ToString::to_string).collect();
    let targets: Vec<_> = targets
        .iter()
        .map(|rule| format!("  - {}\n", json(rule)))
        .collect();
    format!(
        "{HEAD}api: {api}\nactions: [{}]\ntargets:\n{}limits:\n  requests-per-second: {}\n  \
         connections: {}\n  stage-seconds: {}\nsecrets: {{}}\n",
        actions.join(", "),
        targets.concat(),
        limits.requests_per_second,
        limits.connections,
        limits.stage_seconds
    )
}
