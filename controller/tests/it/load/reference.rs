//! A generator whose one lane has more to do than it can, beside its reference lane; and one that rests.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
};

use nepho_common::time::Nanos;
use nepho_controller_core::report::{
    Report,
    model::{Code, LoadReport},
};

use super::calm::{Came, on_a_calm_host};
use crate::{
    found::report,
    process::took,
    site::{Place, Site},
};

/// So many numbers are read in far less time than it takes to make values of them.
const NUMBERS: u32 = 20_000;

/// Two stages: in one each answer is a long document that the lane looks into, by users who do not
/// wait; in the other it is short, and the lane has nearly all of its time for itself.
const SCENARIO: &str = "api: nepho/v1
name: compared
fleet: fleet.yaml
stages:
  - name: busy
    lasts: 7s
    steps:
      web: {load: {closed: {users: 64}, threads: 1, to: {service: [web]}, requests: [{get: /long, expect: {json: {$.last: \"1\"}}}]}}
    expect: [{on: web, failures: {max: 0}}]
  - name: calm
    lasts: 7s
    steps:
      web: {load: {open: {rate: 1000/s, arrivals: constant}, to: {service: [web]}, requests: [{get: /short}]}}
    expect: [{on: web, failures: {max: 0}}]
";

/// Answers `/long` with a document, and everything else with nothing.
fn start() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let numbers: Vec<_> = (0..NUMBERS).map(|number| number.to_string()).collect();
    let body = format!("{{\"all\": [{}], \"last\": 1}}", numbers.join(","));
    let length = body.len();
    let long = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
    let long = Arc::<str>::from(long);
    std::thread::spawn(move || {
        for peer in listener.incoming() {
            let (peer, long) = (peer.unwrap(), Arc::clone(&long));
            std::thread::spawn(move || answer(peer, &long));
        }
    });
    address
}

fn answer(mut peer: TcpStream, long: &str) -> Option<()> {
    peer.set_nodelay(true).ok()?;
    let mut head = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let length = peer.read(&mut buffer).ok().filter(|length| *length > 0)?;
        head.extend_from_slice(&buffer[..length]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let answer = if head.starts_with(b"GET /long ") {
            long
        } else {
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
        };
        head.clear();
        peer.write_all(answer.as_bytes()).ok()?;
    }
}

/// What both kinds of lane saw in a stage, and whether the generator is doubted for it.
fn compared(report: &Report, stage: &str) -> (Nanos, Nanos, bool) {
    let mut loads = report.loads.iter();
    let found = loads.find(|load| load.stage.as_str() == stage).unwrap();
    let LoadReport {
        reference_ns,
        lanes_ns,
        ..
    } = found;
    let about = format!("a-1/{stage}/web/reference");
    let mut doubts = report.doubts.iter();
    let is_doubted = doubts.any(|one| one.code == Code::Generator && one.about == about);
    (lanes_ns.unwrap(), reference_ns.unwrap(), is_doubted)
}

#[test]
fn a_lane_that_has_too_much_to_do_sees_more_than_its_reference_lane_and_one_that_rests_does_not() {
    let _took = took("lanes and their reference lane");
    let (site, target) = (Site::start(), start());
    let dir = site.dir();
    let fleet = format!(
        "api: nepho/v1\nenvironments: {{a: {{}}}}\nservices:\n  \
         - {{name: web, environment: a, http: {{health: /}}, address: {{default: \"http://{target}\"}}}}\n"
    );
    std::fs::write(dir.join("fleet.yaml"), fleet).unwrap();
    std::fs::write(dir.join("s.yaml"), SCENARIO).unwrap();
    site.enrol(&Place::new("a-1", "a"));
    let path = site.data("a-1").join("policy.yaml");
    let policy = std::fs::read_to_string(&path).unwrap();
    let more = policy
        .replacen("probe.http", "load.http, probe.http", 1)
        // Users who do not wait may ask as often as can be, and the reference lane asks beside them.
        .replacen(
            "requests-per-second: 500",
            "requests-per-second: 10000050",
            1,
        );
    let allows = |what| more.contains(what);
    assert!(allows("load.http, ") && allows(": 10000050"), "{more}");
    std::fs::write(&path, more).unwrap();
    let _agent = site.run_enrolled("a-1");
    let attempt = |nth| {
        let out = format!("run-{nth}");
        site.ask(&["run", "s.yaml", "--out", &out]).with(0);
        let report = report(&dir.join(out));
        let (lanes, reference, is_doubted) = compared(&report, "busy");
        println!("busy: lanes {lanes}, reference lane {reference}, doubted: {is_doubted}");
        assert!(is_doubted && lanes.0 > 2 * reference.0);
        // The control.
        let (lanes, reference, is_doubted) = compared(&report, "calm");
        println!("calm: lanes {lanes}, reference lane {reference}, doubted: {is_doubted}");
        if is_doubted {
            // Whose threads did not come to run in time saw more, whatever they had to do.
            return Came::Undecided;
        }
        Came::Expected(())
    };
    on_a_calm_host("a_lane_that_has_too_much_to_do…", attempt);
}
