//! Services to measure, and the files that name them.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
};

use serde_json::{Value, json};

use crate::process::{PATIENCE, Running, command};

/// A service of the sample fleet.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) environment: String,
    pub(crate) address: SocketAddr,
    _running: Running,
}

impl Service {
    pub(crate) fn start(dir: &Path, environment: &str, name: &str) -> Self {
        let mut service = command("nepho-sample-fleet");
        service.args(["service", "--environment", environment, "--name", name]);
        service.arg(format!("--die-with-parent={}", std::process::id()));
        let (running, ready) = Running::announced(&mut service, dir, name);
        Self {
            name: name.to_owned(),
            environment: environment.to_owned(),
            address: ready["listen"].as_str().unwrap().parse().unwrap(),
            _running: running,
        }
    }

    /// How many requests it received.
    pub(crate) fn requests(&self) -> u64 {
        let state = get(self.address, "/state");
        let state: Value = serde_json::from_str(&state).unwrap();
        state["requests"].as_u64().unwrap()
    }
}

/// The body that a server answers with.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Writes `fleet.yaml`: these HTTP services, each with its environment and address.
pub(crate) fn write_fleet(dir: &Path, services: &[(&str, &str, SocketAddr)]) {
    let mut environments: Vec<_> = services
        .iter()
        .map(|(environment, ..)| environment)
        .collect();
    environments.dedup();
    let mut text = "api: nepho/v1\nenvironments:\n".to_owned();
    environments
        .iter()
        .for_each(|name| text.push_str(&format!("  {name}: {{}}\n")));
    text.push_str("services:\n");
    for (environment, name, address) in services {
        text.push_str(&format!(
            "  - {{name: {name}, environment: {environment}, http: {{}}, \
             address: {{inside: \"{address}\", default: \"{address}\"}}}}\n"
        ));
    }
    std::fs::write(dir.join("fleet.yaml"), text).unwrap();
}

/// The same for services that run.
pub(crate) fn write_fleet_of(dir: &Path, services: &[Service]) {
    let services: Vec<_> = services
        .iter()
        .map(|one| (one.environment.as_str(), one.name.as_str(), one.address))
        .collect();
    write_fleet(dir, &services);
}

/// A scenario on `fleet.yaml` with these stages, each a health probe from everywhere to everything.
pub(crate) fn scenario(name: &str, stages: &[&str], lasts: &str, every: &str) -> String {
    let mut text = format!("api: nepho/v1\nname: {name}\nfleet: fleet.yaml\nstages:\n");
    for stage in stages {
        text.push_str(&format!(
            "  - name: {stage}\n    lasts: {lasts}\n    steps:\n      \
             reach: {{probe: {{health: {{}}, every: {every}, timeout: 1s}}}}\n    expect:\n      \
             - {{on: reach, failures: {{max: 0}}, by: [from, environment, service]}}\n"
        ));
    }
    text
}

/// A proxy whose routes lead to `target`, each with its delays in milliseconds, there and back;
/// where they listen.
pub(crate) fn distances(
    dir: &Path,
    target: SocketAddr,
    delays: &[(u32, u32)],
) -> (Running, Vec<SocketAddr>) {
    let routes = delays.iter().enumerate().map(|(nth, (there, back))| {
        // Unchecked: a TLS listener would log every look as a failed handshake.
        json!({"name": format!("route {nth}"), "listen": "127.0.0.1:0", "target": target,
            "there_ms": there, "back_ms": back, "check": false})
    });
    let routes: Vec<_> = routes.collect();
    let path = dir.join("proxy.json");
    let config = json!({"schema": "nepho.sample-proxy/v1", "routes": routes});
    std::fs::write(&path, config.to_string()).unwrap();
    let mut proxy = command("nepho-sample-fleet");
    proxy.arg("proxy").arg("--config").arg(path);
    proxy.arg(format!("--die-with-parent={}", std::process::id()));
    let (running, ready) = Running::announced(&mut proxy, dir, "proxy");
    let routes = ready["routes"].as_array().unwrap().iter();
    let listen = routes.map(|route| route["listen"].as_str().unwrap().parse().unwrap());
    (running, listen.collect())
}
