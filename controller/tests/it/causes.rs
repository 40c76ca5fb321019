//! One symptom, two causes, on real processes: the report names the right one.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::fs::symlink,
    path::Path,
    process::Command,
};

use nepho_controller_core::report::model::Report;

use crate::{
    found::{dimension, findings, report},
    process::{Running, clean, program, took},
    site::{Place, Site},
};

/// An address of this host that no other test listens at, so that its listeners are ours alone.
const HERE: &str = "127.0.77.1";

/// A service that runs under its own name, as most do outside of tests.
struct Named {
    address: SocketAddr,
    _running: Running,
}

impl Named {
    fn start(dir: &Path, file: &str, options: &[&str]) -> Self {
        let path = dir.join(file);
        symlink(program("nepho-sample-fleet"), &path).unwrap();
        let mut service = clean(Command::new(&path));
        service.args(["service", "--environment", "a", "--name", file]);
        service
            .args(["--listen", &format!("{HERE}:0")])
            .args(options);
        service.arg(format!("--die-with-parent={}", std::process::id()));
        let (running, ready) = Running::announced(&mut service, dir, file);
        Self {
            address: ready["listen"].as_str().unwrap().parse().unwrap(),
            _running: running,
        }
    }
}

/// A port that was free a moment ago.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    listener.local_addr().unwrap()
}

fn cause(report: &Report, service: &str) -> (String, String) {
    let found = findings(report, |one| {
        dimension(one, "environment") == "a" && dimension(one, "service") == service
    });
    let [finding] = found.as_slice() else {
        panic!("one finding of {service}: {found:#?}")
    };
    (
        finding.cause.clone().unwrap(),
        finding.remedy.clone().unwrap(),
    )
}

#[test]
fn one_symptom_with_two_causes_is_told_apart_by_evidence() {
    let _took = took("causes");
    let site = Site::start();
    let dir = site.dir();
    let moved = Named::start(dir, "moved", &[]);
    let squatter = Named::start(dir, "squatter", &[]);
    let old = ["--service-version", "1.4.0", "--switch", "{\"status\":404}"];
    let old = Named::start(dir, "old", &old);
    let new = Named::start(dir, "old-b", &["--service-version", "2.0.0"]);
    let lost = Named::start(dir, "lost", &[]);
    let found = Named::start(dir, "lost-b", &[]);
    let (stopped, elsewhere) = (nobody(), nobody());
    let mut fleet = "api: nepho/v1\nenvironments: {a: {}, b: {}}\nservices:\n".to_owned();
    for (environment, name, health, address) in [
        ("a", "stopped", "/health", stopped),
        ("a", "moved", "/health", elsewhere),
        ("a", "held", "/held/health", squatter.address),
        ("a", "old", "/health", old.address),
        ("b", "old", "/health", new.address),
        ("a", "lost", "/helth", lost.address),
        ("b", "lost", "/health", found.address),
    ] {
        fleet.push_str(&format!(
            "  - {{name: {name}, environment: {environment}, http: {{health: {health}}}, \
             address: {{inside: \"{address}\", default: \"{address}\"}}}}\n"
        ));
    }
    std::fs::write(dir.join("fleet.yaml"), fleet).unwrap();
    let scenario = "api: nepho/v1\nname: twins\nfleet: fleet.yaml\nstages:\n  - name: only\n    \
                    lasts: 2s\n    steps: {reach: {probe: {health: {}, every: 500ms, timeout: 1s, \
                    from: [a]}}}\n    expect: [{on: reach, failures: {max: 0}, by: [environment, service]}]\n";
    std::fs::write(dir.join("twins.yaml"), scenario).unwrap();
    let _agent = site.agent(&Place::new("a-1", "a"));
    site.ask(&["run", "twins.yaml", "--out", "out"]).with(10);
    let report = report(&dir.join("out"));

    let (why, remedy) = cause(&report, "stopped");
    assert!(why.contains("it is not running"), "{why}");
    assert!(remedy.starts_with("Start a/stopped/1"), "{remedy}");
    let (why, remedy) = cause(&report, "moved");
    let port = moved.address.port();
    assert!(
        why.contains(&format!("on port {port}: the port is wrong")),
        "{why}"
    );
    assert!(remedy.contains(&format!("to {port}")), "{remedy}");
    let (why, _) = cause(&report, "held");
    assert!(why.contains("held by another program, squatter"), "{why}");
    let (why, _) = cause(&report, "old");
    assert!(
        why.contains("a/old/1 runs version 1.4.0, while b/old/1 runs 2.0.0"),
        "{why}"
    );
    let (why, _) = cause(&report, "lost");
    assert!(
        why.contains("does not know this path") && why.contains("GET /health"),
        "{why}"
    );
}
