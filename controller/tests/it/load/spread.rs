//! What a balancer makes of a load: three nginx behind HAProxy, fair, weighted, with one down, with
//! weights that the fleet file does not know, with connections kept and not, by request and by
//! connection.

use std::{
    array::from_fn,
    fmt::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
};

use nepho_controller_core::report::{Report, Verdict, model::Finding};

use super::calm::{Came, on_a_calm_host};
use crate::{
    found::report,
    process::{Running, command, eventually, exists, said, skip, took},
};

/// A group of three behind a frontend of its own.
struct Case {
    name: &'static str,
    /// What HAProxy is told of its backend, and the weights of its servers.
    balancer: (&'static str, [u32; 3]),
    /// What the fleet file says of them.
    weights: [u32; 3],
    decides_on: &'static str,
    /// Whether a third of the servers is not there.
    is_down: bool,
    /// Whether servers close a connection after each answer.
    closes: bool,
}

const FAIR: Case = Case {
    name: "fair",
    balancer: ("mode http\n  balance roundrobin", [1, 1, 1]),
    weights: [1, 1, 1],
    decides_on: "request",
    is_down: false,
    closes: false,
};

const CASES: [Case; 7] = [
    FAIR,
    Case {
        name: "weighted",
        balancer: ("mode http\n  balance roundrobin", [5, 1, 1]),
        weights: [5, 1, 1],
        ..FAIR
    },
    Case {
        name: "closing",
        balancer: (
            "mode http\n  balance roundrobin\n  option httpclose",
            [1, 1, 1],
        ),
        ..FAIR
    },
    Case {
        name: "down",
        is_down: true,
        ..FAIR
    },
    Case {
        name: "wrong",
        balancer: ("mode http\n  balance roundrobin", [3, 1, 1]),
        ..FAIR
    },
    // A few connections for thousands of requests: a handful of decisions.
    Case {
        name: "few",
        balancer: ("mode tcp\n  balance roundrobin", [1, 1, 1]),
        decides_on: "connection",
        ..FAIR
    },
    Case {
        name: "many",
        balancer: ("mode tcp\n  balance roundrobin", [1, 1, 1]),
        decides_on: "connection",
        closes: true,
        ..FAIR
    },
];

/// Free a moment ago: neither can be told to take any port.
fn ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    held.map(|one| one.local_addr().unwrap().port())
}

fn listens(running: &mut Running, port: u16) {
    eventually("it listens", || {
        assert!(running.is_alive(), "{}", running.errors());
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
    });
}

/// One nginx, which answers for one instance of each case.
fn nginx(program: &Path, dir: &Path, nth: usize, all: &[[u16; 3]]) -> Running {
    let name = format!("nginx-{nth}");
    let dir = dir.join(&name);
    std::fs::create_dir(&dir).unwrap();
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temp = temp.map(|kind| format!("{kind}_temp_path {}/{kind};", dir.display()));
    let mut servers = String::new();
    for (case, ports) in CASES.iter().zip(all) {
        if case.is_down && nth == 2 {
            continue;
        }
        let (port, instance) = (ports[nth], nth + 1);
        let kept = if case.closes { 1 } else { 1_000_000 };
        writeln!(
            servers,
            "server {{ listen 127.0.0.1:{port}; keepalive_requests {kept}; location / {{ \
             add_header X-Instance {}/{instance}; return 200; }} }}",
            case.name
        )
        .unwrap();
    }
    let at = dir.display();
    let config = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
         events {{ worker_connections 4096; }}\nhttp {{ access_log off; {}\n{servers}}}\n",
        temp.join(" "),
    );
    std::fs::write(dir.join("nginx.conf"), config).unwrap();
    let mut nginx = Command::new(program);
    nginx
        .arg("-p")
        .arg(&dir)
        .arg("-e")
        .arg(dir.join("error.log"));
    nginx.arg("-c").arg(dir.join("nginx.conf"));
    let mut running = Running::start(&mut nginx, &dir, &name);
    listens(&mut running, all[0][nth]);
    running
}

fn haproxy(program: &Path, dir: &Path, fronts: &[u16], all: &[[u16; 3]]) -> Running {
    let mut text =
        "defaults\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n".to_owned();
    for ((case, front), ports) in CASES.iter().zip(fronts).zip(all) {
        let (how, weights) = case.balancer;
        writeln!(
            text,
            "listen {}\n  bind 127.0.0.1:{front}\n  {how}",
            case.name
        )
        .unwrap();
        for ((port, weight), nth) in ports.iter().zip(weights).zip(1..) {
            let checked = if case.is_down {
                "check inter 100ms fall 1"
            } else {
                ""
            };
            writeln!(
                text,
                "  server s{nth} 127.0.0.1:{port} weight {weight} {checked}"
            )
            .unwrap();
        }
    }
    std::fs::write(dir.join("haproxy.cfg"), text).unwrap();
    let mut haproxy = Command::new(program);
    haproxy.args(["-db", "-f"]).arg(dir.join("haproxy.cfg"));
    let mut running = Running::start(&mut haproxy, dir, "haproxy");
    listens(&mut running, fronts[0]);
    running
}

fn files(dir: &Path, fronts: &[u16], all: &[[u16; 3]]) -> PathBuf {
    let mut fleet = "api: nepho/v1\nenvironments: {local: {}}\ngroups:\n".to_owned();
    for case in &CASES {
        let (name, decides_on) = (case.name, case.decides_on);
        writeln!(
            fleet,
            "  {name}: {{balancing: {{policy: round-robin, decides-on: {decides_on}, told-by: \
             {{header: x-instance}}}}}}"
        )
        .unwrap();
    }
    fleet.push_str("services:\n");
    let mut steps = String::new();
    let mut expect = String::new();
    for ((case, front), ports) in CASES.iter().zip(fronts).zip(all) {
        let name = case.name;
        writeln!(
            fleet,
            "  - {{name: lb-{name}, environment: local, http: {{}}, balances: {name}, address: \
             {{inside: \"127.0.0.1:{front}\"}}}}\n  - name: {name}\n    environment: local\n    \
             group: {name}\n    http: {{}}\n    instances:"
        )
        .unwrap();
        for ((port, weight), nth) in ports.iter().zip(case.weights).zip(1..) {
            writeln!(
                fleet,
                "      - {{name: \"{nth}\", weight: {weight}, address: {{inside: \
                 \"127.0.0.1:{port}\"}}}}"
            )
            .unwrap();
        }
        writeln!(
            steps,
            "      {name}: {{load: {{open: {{rate: 300/s}}, connections: 12, to: {{group: [{name}], \
             via: balancer}}, requests: [{{get: /}}]}}}}"
        )
        .unwrap();
        writeln!(
            expect,
            "      - {{on: {name}, distribution: {{over: instance, tolerance: 5%}}}}"
        )
        .unwrap();
    }
    std::fs::write(dir.join("fleet.yaml"), fleet).unwrap();
    let text = format!(
        "api: nepho/v1\nname: spread\nfleet: fleet.yaml\nstages:\n  - name: one\n    lasts: 8s\n    \
         steps:\n{steps}    expect:\n{expect}"
    );
    let scenario = dir.join("spread.yaml");
    std::fs::write(&scenario, text).unwrap();
    scenario
}

/// What is said of each; twelve decisions say little.
const EXPECTED: [(&str, Verdict); CASES.len()] = [
    ("fair", Verdict::Pass),
    ("weighted", Verdict::Pass),
    ("closing", Verdict::Pass),
    ("many", Verdict::Pass),
    ("down", Verdict::Fail),
    ("wrong", Verdict::Fail),
    ("few", Verdict::Inconclusive),
];

fn of<'a>(report: &'a Report, case: &str) -> &'a Finding {
    let id = format!("one/{case}/distribution.instance");
    let mut all = report.findings.iter();
    all.find(|one| one.id == id).unwrap()
}

#[test]
fn how_a_balancer_spreads_is_told_by_request_and_by_connection() {
    let test = "how_a_balancer_spreads…";
    let _took = took("three nginx behind HAProxy");
    let [Some(nginx_at), Some(haproxy_at)] = ["nginx", "haproxy"].map(exists) else {
        return skip(test, "nginx or haproxy is not installed");
    };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // All at once: one that was given back may be given again.
    let ports = ports::<{ CASES.len() * 4 }>();
    let all: [[u16; 3]; CASES.len()] = from_fn(|case| from_fn(|nth| ports[case * 4 + nth]));
    let fronts: [u16; CASES.len()] = from_fn(|case| ports[case * 4 + 3]);
    let _servers = [0, 1, 2].map(|nth| nginx(&nginx_at, dir, nth, &all));
    let _balancer = haproxy(&haproxy_at, dir, &fronts, &all);
    let scenario = files(dir, &fronts, &all);
    // A host that is late by itself makes all of it inconclusive.
    let found = on_a_calm_host(test, |nth| {
        let out = format!("out-{nth}");
        let mut run = command("nepho");
        let words = ["--local", "--out", &out];
        let said = said(run.arg("run").arg(&scenario).args(words).current_dir(dir));
        let is_known = matches!(said.code, Some(10 | 11));
        assert!(is_known, "{}{}", said.stdout, said.stderr);
        let report = report(&dir.join(out));
        let pairs = EXPECTED.map(|(case, expected)| (case, of(&report, case).verdict, expected));
        Came::of(pairs.into_iter()).with(report)
    });
    let Some(report) = found else { return };
    for case in CASES {
        let finding = of(&report, case.name);
        let cause = finding.cause.as_deref().unwrap_or_default();
        println!(
            "{}: {:?}: {} {cause}",
            case.name, finding.verdict, finding.observed.text
        );
    }
    for (case, said) in [
        ("down", "local/down/3 got nothing of its 33.33%"),
        ("wrong", "local/wrong/1 got 60"),
    ] {
        let cause = of(&report, case).cause.as_deref().unwrap_or_default();
        assert!(cause.contains(said), "{cause}");
    }
    let few = &of(&report, "few").observed.shares;
    let decisions: u64 = few.iter().map(|share| share.decisions).sum();
    assert!(
        (12..40).contains(&decisions),
        "connections count, not requests: {decisions}"
    );
}
