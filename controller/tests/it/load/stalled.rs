//! A load of a scenario whose generator stands still for two seconds, and one whose target does: what
//! becomes of each kind of verdict.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nepho_controller_core::report::{
    Report, Verdict,
    model::{Code, Finding},
};
use rustix::process::Signal;

use super::{
    Light,
    calm::{Came, on_a_calm_host},
};
use crate::{
    found::report,
    process::{Running, eventually, took},
    site::{Place, Site},
};

/// Shorter than what makes an agent lost.
const STILL: Duration = Duration::from_secs(2);
/// So many answers are two seconds of its load.
const BEFORE: u64 = 600;

/// A balancer with two instances behind it, in one: it takes turns.
struct Turns {
    address: SocketAddr,
    answered: Arc<AtomicU64>,
}

impl Turns {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let answered = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&answered);
        std::thread::spawn(move || {
            for peer in listener.incoming() {
                let (peer, count) = (peer.unwrap(), Arc::clone(&count));
                std::thread::spawn(move || Self::answer(peer, &count));
            }
        });
        Self { address, answered }
    }

    fn answer(mut peer: TcpStream, count: &AtomicU64) -> Option<()> {
        let mut head = Vec::new();
        loop {
            let mut buffer = [0; 4096];
            let length = peer.read(&mut buffer).ok().filter(|length| *length > 0)?;
            head.extend_from_slice(&buffer[..length]);
            if !head.ends_with(b"\r\n\r\n") {
                continue;
            }
            head.clear();
            let turn = count.fetch_add(1, Ordering::Relaxed) % 2 + 1;
            let answer =
                format!("HTTP/1.1 200 OK\r\nx-instance: web/{turn}\r\ncontent-length: 0\r\n\r\n");
            peer.write_all(answer.as_bytes()).ok()?;
        }
    }
}

fn fleet(turns: &Turns, light: &Light) -> String {
    let light = light.url.trim_end_matches('/');
    format!(
        "api: nepho/v1
environments: {{a: {{}}}}
groups:
  web: {{balancing: {{policy: round-robin, decides-on: request, told-by: {{header: x-instance}}}}}}
services:
  - {{name: lb, environment: a, http: {{}}, balances: web, address: {{inside: \"{}\"}}}}
  - name: web
    environment: a
    group: web
    http: {{}}
    instances:
      - {{name: \"1\", address: {{inside: \"127.0.0.1:1\"}}}}
      - {{name: \"2\", address: {{inside: \"127.0.0.1:2\"}}}}
  - {{name: light, environment: a, http: {{health: /}}, address: {{default: \"{light}\"}}}}
",
        turns.address
    )
}

/// Time runs out in `short` for what is asked late, or answered late.
const SCENARIO: &str = "api: nepho/v1
name: stalled
fleet: fleet.yaml
stages:
  - name: one
    lasts: 8s
    steps:
      web: {load: {open: {rate: 300/s}, connections: 16, to: {group: [web], via: balancer}, requests: [{get: /}]}}
      light: {load: {open: {rate: 300/s}, connections: 180, to: {service: [light]}, requests: [{get: /}]}}
      short: {load: {open: {rate: 100/s}, connections: 60, timeout: 500ms, to: {service: [light]}, requests: [{get: /}]}}
    expect:
      - {on: web, distribution: {over: instance, tolerance: 5%}}
      - {on: light, latency: {p90: {max: 300ms}}}
      - {on: light, latency: {p95: {max: 5s}}, by: [from]}
      - {on: light, latency: {p90: {min: 200ms}}, by: [service]}
      - {on: light, failures: {max: 0}}
      - {on: light, success-rate: {min: 99.9%}}
      - {on: short, failures: {max: 0}}
      - {on: short, success-rate: {min: 99%}}
      - {on: short, latency: {p50: {max: 300ms}}}
";

/// Who stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    Generator,
    Target,
}

/// A run in whose middle somebody stands still.
struct Stage {
    site: Site,
    turns: Turns,
    light: Light,
    agent: Running,
}

impl Stage {
    fn set() -> Self {
        let site = Site::start();
        let dir = site.dir();
        let (turns, light) = (Turns::start(), Light::start(dir, &[]));
        std::fs::write(dir.join("fleet.yaml"), fleet(&turns, &light)).unwrap();
        std::fs::write(dir.join("s.yaml"), SCENARIO).unwrap();
        site.enrol(&Place::new("a-1", "a"));
        let path = site.data("a-1").join("policy.yaml");
        let policy = std::fs::read_to_string(&path).unwrap();
        let more = policy
            .replacen("probe.http", "load.http, probe.http", 1)
            .replacen("requests-per-second: 500", "requests-per-second: 5000", 1);
        let allows = |what| more.contains(what);
        assert!(allows("load.http, ") && allows(": 5000"), "{more}");
        std::fs::write(&path, more).unwrap();
        let agent = site.run_enrolled("a-1");
        Self {
            site,
            turns,
            light,
            agent,
        }
    }

    /// With these verdicts, and a cause of that on `light/latency.p90` that says this.
    fn judged(&self, who: Who, expected: &[(&str, Verdict)], why: &str) {
        let attempt = |nth| {
            let report = self.run(who, &format!("{who:?}-{nth}"));
            let of = verdicts(&report);
            let came = Came::of(expected.iter().map(|(id, verdict)| (*id, of[id], *verdict)));
            let said = cause(&report, "light/latency.p90");
            if matches!(came, Came::Expected(())) && !said.contains(why) {
                return Came::Contrary(format!("light/latency.p90 says {said:?}, not {why:?}"));
            }
            came
        };
        on_a_calm_host(&format!("what_a_generator_or_a_target… ({who:?})"), attempt);
    }

    fn run(&self, who: Who, out: &str) -> Report {
        let before = self.turns.answered.load(Ordering::Relaxed);
        let dir = self.site.dir();
        let mut run = self.site.nepho(&["run", "s.yaml", "--out", out]);
        let mut running = Running::start(&mut run, dir, out);
        eventually("it is under way", || {
            assert!(running.is_alive(), "{}", running.errors());
            let answered = self.turns.answered.load(Ordering::Relaxed) - before;
            (answered > BEFORE).then_some(())
        });
        let signal = |signal| match who {
            Who::Nobody => {}
            Who::Generator => self.agent.signal(signal),
            Who::Target => self.light.signal(signal),
        };
        signal(Signal::STOP);
        std::thread::sleep(STILL);
        signal(Signal::CONT);
        let said = running.said(Duration::from_secs(60));
        let report = report(&dir.join(out));
        println!("{who:?}: {:?} {}", said.code, said.stderr);
        for finding in &report.findings {
            let cause = finding.cause.as_deref().unwrap_or_default();
            let Finding {
                id,
                verdict,
                observed,
                ..
            } = finding;
            println!("  {id}: {verdict:?}: {} {cause}", observed.text);
        }
        report
    }
}

fn verdicts(report: &Report) -> BTreeMap<&str, Verdict> {
    let all = report.findings.iter();
    all.map(|one| (one.id.strip_prefix("one/").unwrap(), one.verdict))
        .collect()
}

fn cause<'a>(report: &'a Report, id: &str) -> &'a str {
    let mut all = report.findings.iter();
    let found = all.find(|one| one.id.strip_prefix("one/") == Some(id));
    found
        .and_then(|one| one.cause.as_deref())
        .unwrap_or_default()
}

#[test]
fn what_a_generator_or_a_target_that_stood_still_does_to_each_kind_of_verdict() {
    use Verdict::{Fail, Inconclusive, Pass};
    let _took = took("a generator and a target that stand still in a scenario");
    let stage = Stage::set();

    let frozen = stage.run(Who::Generator, "generator");
    let of = verdicts(&frozen);
    for (id, verdict) in [
        ("web/distribution.instance", Inconclusive),
        ("light/latency.p90", Inconclusive),
        ("light/latency.p95/a", Pass),
        ("light/latency.p90/light", Inconclusive),
        ("light/failures", Pass),
        ("light/success-rate", Pass),
    ] {
        assert_eq!(of[id], verdict, "{id}");
    }
    // How many of those that were overdue are sent all the same is a race; none is the target's failure.
    for id in ["short/failures", "short/success-rate", "short/latency.p50"] {
        assert!(matches!(of[id], Pass | Inconclusive), "{id}: {:?}", of[id]);
    }
    for (id, said) in [
        ("web/distribution.instance", "The generator did not keep up"),
        ("light/latency.p90", "the answers came in time"),
        ("light/latency.p90/light", "makes answers look slower"),
    ] {
        let cause = cause(&frozen, id);
        assert!(cause.contains(said), "{id}: {cause}");
    }
    let mut doubts = frozen.doubts.iter();
    let doubt = doubts.find(|one| one.code == Code::Generator && one.about == "a-1/one/light");
    let doubt = &doubt.unwrap().text;
    assert!(doubt.contains("a thread stood still for"), "{doubt}");

    // A host that is late by itself is a late generator, too.
    let slow = [
        ("light/latency.p90", Fail),
        ("light/latency.p95/a", Pass),
        ("light/failures", Pass),
        ("short/failures", Fail),
        ("short/success-rate", Fail),
    ];
    stage.judged(Who::Target, &slow, "It stands still for a while");
    // The control.
    let calm = [
        ("web/distribution.instance", Pass),
        ("light/latency.p90", Pass),
        ("light/latency.p95/a", Pass),
        ("light/latency.p90/light", Fail),
        ("light/failures", Pass),
        ("light/success-rate", Pass),
        ("short/failures", Pass),
        ("short/success-rate", Pass),
        ("short/latency.p50", Pass),
    ];
    stage.judged(Who::Nobody, &calm, "");
}
