//! What this host can send, said by `nepho calibrate`.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::step::allow;
use crate::{
    process::{clean, command, program, said, took},
    site::{Place, Site},
};

#[test]
fn a_host_is_calibrated_within_half_a_minute() {
    let _took = took("calibrate");
    let mut nepho = command("nepho");
    let dir = tempfile::tempdir().unwrap();
    nepho.args(["calibrate", "-o", "json", "--quiet", "-c", "16", "--save"]);
    let ended = said(nepho.arg("--data-dir").arg(dir.path()));
    // On a machine that is busy with other tests no rate may be kept up with: it says so.
    assert!(matches!(ended.code, Some(0 | 11)), "{}", ended.stderr);
    let found: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(found["schema"], "nepho.calibration/v1");
    assert_eq!(found["connections"], 16);
    let closed = found["closed_rate"].as_f64().unwrap();
    let cpu = found["cpu_seconds_per_million"].as_f64().unwrap();
    println!(
        "{closed:.0}/s, {cpu:.1} CPU seconds per million, {}",
        found["on_time"]
    );
    // A thread has one second of processor time a second, and a request takes some of it.
    assert!(
        closed > 1.0 && cpu > 0.5 && closed * cpu < 1.1e6,
        "{found:#}"
    );
    assert!(
        found["took_ns"].as_u64().unwrap() < 30_000_000_000,
        "{found:#}"
    );
    let rates: Vec<_> = (0..2)
        .map(|nth| found["on_time"][nth]["rate"].as_u64())
        .collect();
    assert!(rates[1] <= rates[0], "less lag is no more rate: {found:#}");
    assert_eq!(ended.code == Some(11), rates == [None, None]);
    let trials = found["trials"].as_array().unwrap();
    for (limit, rate) in [(1_000_000, rates[0]), (100_000, rates[1])] {
        let Some(rate) = rate else { continue };
        let kept = trials.iter().any(|trial| {
            let figure = |name: &str| trial[name].as_u64().unwrap();
            figure("rate") == rate && figure("lag_p99_ns") <= limit && figure("sent_ppm") >= 999_000
        });
        assert!(kept, "{rate} within {limit} ns: {found:#}");
    }
    let saved = std::fs::read(dir.path().join("calibration.json")).ok();
    let saved: Option<Value> = saved.map(|text| serde_json::from_slice(&text).unwrap());
    let saved = saved.map(|saved| saved["rate"].as_u64().unwrap());
    assert_eq!(saved, rates[0], "nothing is left when nothing was found");
}

const SCENARIO: &str = "\
api: nepho/v1
name: more
fleet: fleet.yaml
stages:
  - name: one
    lasts: 10s
    steps:
      busy: {load: {open: {rate: 300/s}, requests: [{get: /}]}}
    expect:
      - {on: busy, success-rate: {min: 99%}}
";

const FLEET: &str = "\
api: nepho/v1
environments: {a: {}}
services:
  - {name: svc, environment: a, http: {health: /}, address: {default: \"http://127.0.0.1:9\"}}
";

/// What a plan says of what hosts can send, with agents of a controller and with those of a local run.
fn told(calibration: &str) -> [String; 2] {
    let site = Site::start();
    let data = site.data("a-1");
    site.enrol(&Place::new("a-1", "a"));
    allow(&site, "a-1");
    std::fs::write(data.join("calibration.json"), calibration).unwrap();
    let _agent = site.run_enrolled("a-1");
    std::fs::write(site.dir().join("s.yaml"), SCENARIO).unwrap();
    std::fs::write(site.dir().join("fleet.yaml"), FLEET).unwrap();
    [vec!["plan", "s.yaml"], vec!["plan", "s.yaml", "--local"]].map(|arguments| {
        let mut nepho = site.nepho(&arguments);
        let said = said(nepho.env("NEPHO_AGENT_DATA", &data));
        let text = said.with(0);
        let notes = text.lines().filter(|line| line.contains("on time"));
        notes.collect::<Vec<_>>().join("\n")
    })
}

#[test]
fn a_plan_above_seven_tenths_of_what_a_host_was_found_to_send_says_so() {
    let cores = std::thread::available_parallelism().unwrap();
    let found = |rate| format!("{{\"rate\": {rate}, \"threads\": 1, \"cores\": {cores}}}");
    for notes in told(&found(400)) {
        assert!(
            notes.contains("would send 300/s, which is more than 70% of the 400/s"),
            "{notes}"
        );
    }
    assert_eq!(
        told(&found(2_200)),
        [""; 2],
        "the control: 1,540/s would do"
    );
}

#[test]
fn the_target_that_does_nothing_ends_with_whoever_started_it() {
    let mut null = clean(Command::new(program("nepho-agent")));
    null.arg("null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut null = null.spawn().unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(null.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let address = ready["listen"].as_str().unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{ready}");
    let mut peer = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut peer, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut told = [0; 15];
    std::io::Read::read_exact(&mut peer, &mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 200 OK");
    drop(null.stdin.take());
    assert!(null.wait().unwrap().success());
}
