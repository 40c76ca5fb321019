//! Probes of every kind that reads, from a scenario file to the report, against real servers.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nepho_common::{
    journal::Body,
    recording::{Gauge, Metric, Outcome},
};
use nepho_controller_core::report::Verdict;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::{
    found::{findings, journal, report},
    process::{Running, command, eventually, exists, said, skip, took},
};

const TEST: &str = "every_kind_of_probe_is_measured…";

/// Free a moment ago: none of these servers says which port it took.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn start(dir: &Path, name: &str, address: SocketAddr, arguments: &[String]) -> Option<Running> {
    let Some(program) = exists(name) else {
        skip(TEST, &format!("there is no {name}"));
        return None;
    };
    let mut running = Running::start(Command::new(program).args(arguments), dir, name);
    eventually(name, || {
        assert!(running.is_alive(), "{}", running.errors());
        TcpStream::connect(address).ok()
    });
    Some(running)
}

/// An authority in `authority.pem`; a certificate of it for localhost, good for five days, and its
/// key in `both.pem`.
fn certify(dir: &Path) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "An authority of this test");
    authority.distinguished_name = subject;
    let its_key = KeyPair::generate().unwrap();
    let signed = authority.self_signed(&its_key).unwrap();
    std::fs::write(dir.join("authority.pem"), signed.pem()).unwrap();
    let issuer = Issuer::new(authority, its_key);
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName("localhost".try_into().unwrap())];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let day = Duration::from_secs(86_400);
    params.not_before = date_time_ymd(1970, 1, 1) + now - day;
    params.not_after = date_time_ymd(1970, 1, 1) + now + day * 5;
    let key = KeyPair::generate().unwrap();
    let signed = params.signed_by(&key, &issuer).unwrap();
    let both = format!("{}{}", signed.pem(), key.serialize_pem());
    std::fs::write(dir.join("both.pem"), both).unwrap();
}

fn nginx(dir: &Path, address: SocketAddr) -> Option<Running> {
    let at = dir.display();
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temp = temp.map(|kind| format!("{kind}_temp_path {at}/{kind};"));
    let config = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
         events {{}}\nhttp {{ access_log off; {}\nserver {{ listen {address} ssl http2;\n\
         ssl_certificate {at}/both.pem; ssl_certificate_key {at}/both.pem;\n\
         location / {{ return 200 '{{\"status\":\"ok\"}}'; }} }} }}\n",
        temp.join(" "),
    );
    std::fs::write(dir.join("nginx.conf"), config).unwrap();
    let path = |name: &str| dir.join(name).display().to_string();
    let arguments = [
        "-p",
        &at.to_string(),
        "-e",
        &path("error.log"),
        "-c",
        &path("nginx.conf"),
    ];
    start(dir, "nginx", address, &arguments.map(str::to_owned))
}

const SCENARIO: &str = r#"api: nepho/v1
name: kinds
fleet: fleet.yaml
stages:
  - name: all
    lasts: 3s
    steps:
      page: {probe: {http: {path: /, json: {$.status: ok}, version: "2"}, every: 500ms, to: {service: [web]}}}
      certificate: {probe: {tls: {left: 96h}, every: 500ms, to: {service: [web]}}}
      soon: {probe: {tls: {left: 240h}, every: 500ms, to: {service: [web]}}}
      name: {probe: {dns: {name: crm.test, answers: [10.0.0.5]}, every: 500ms, to: {service: [dns]}}}
      wrong: {probe: {dns: {name: crm.test, answers: [10.0.0.6]}, every: 500ms, to: {service: [dns]}}}
      ping: {probe: {tcp: {send: "PING\r\n", expect: +PONG}, every: 500ms, to: {service: [redis]}}}
      stream: {probe: {event: {redis: {stream: nepho-probe}}, every: 500ms, to: {service: [redis]}}}
      echo: {probe: {icmp: {}, every: 500ms, to: {service: [redis]}}}
    expect:
      - {on: page, failures: {max: 0}}
      - {on: certificate, failures: {max: 0}}
      - {on: soon, failures: {max: 0}}
      - {on: name, failures: {max: 0}}
      - {on: wrong, failures: {max: 0}}
      - {on: ping, failures: {max: 0}}
      - {on: stream, failures: {max: 0}}
      - {on: echo, failures: {max: 0}}
"#;

#[test]
fn every_kind_of_probe_is_measured_from_the_scenario_to_the_report() {
    let _took = took("every kind of probe");
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    certify(dir);
    let [web, dns, redis] = [free(), free(), free()];
    let texts = |all: &[&str]| -> Vec<String> { all.iter().map(|one| (*one).to_owned()).collect() };
    let of_dns = texts(&[
        "--keep-in-foreground",
        "--user=root",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--pid-file",
        "--bind-interfaces",
        "--listen-address=127.0.0.1",
        "--host-record=crm.test,10.0.0.5",
        &format!("--port={}", dns.port()),
    ]);
    let of_redis = texts(&[
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        &dir.display().to_string(),
        "--port",
        &redis.port().to_string(),
    ]);
    let (Some(_web), Some(_dns), Some(_redis)) = (
        nginx(dir, web),
        start(dir, "dnsmasq", dns, &of_dns),
        start(dir, "redis-server", redis, &of_redis),
    ) else {
        return;
    };
    let fleet = format!(
        "api: nepho/v1\nenvironments: {{local: {{}}}}\nservices:\n  \
         - {{name: web, environment: local, http: {{}}, address: {{inside: 'https://localhost:{}'}}}}\n  \
         - {{name: dns, environment: local, tcp: {{}}, address: {{inside: '{dns}'}}}}\n  \
         - {{name: redis, environment: local, tcp: {{}}, address: {{inside: '{redis}'}}}}\n",
        web.port()
    );
    std::fs::write(dir.join("fleet.yaml"), fleet).unwrap();
    std::fs::write(dir.join("kinds.yaml"), SCENARIO).unwrap();
    let mut run = command("nepho");
    run.args(["run", "kinds.yaml", "--local", "--out", "out"]);
    run.env("SSL_CERT_FILE", dir.join("authority.pem"));
    // A certificate of five days is not good for ten, and a wrong answer is none.
    said(run.current_dir(dir)).with(10);
    let found = report(&dir.join("out"));
    for step in [
        "page",
        "certificate",
        "name",
        "ping",
        "stream",
        "echo",
        "soon",
        "wrong",
    ] {
        let of_step = findings(&found, |finding| finding.step.as_str() == step);
        let [finding] = of_step[..] else {
            panic!("{step}: {of_step:?}")
        };
        let expected = match step {
            "soon" | "wrong" => Verdict::Fail,
            _ => Verdict::Pass,
        };
        assert_eq!(finding.verdict, expected, "{finding:?}");
        assert_eq!(finding.samples.observed, 6, "{finding:?}");
    }
    measured(&dir.join("out"));
}

/// What beside the verdicts is in the journal: the phases that took place, and the certificate.
fn measured(out: &Path) {
    let mut phases = BTreeSet::new();
    let mut gauges: Vec<Gauge> = Vec::new();
    for entry in journal(out) {
        match entry.body {
            Body::Recordings(all) => phases.extend(all.into_iter().map(|one| {
                let series = one.series;
                (series.step.to_string(), series.outcome, series.metric)
            })),
            Body::Gauges(all) => gauges.extend(all),
            Body::Events(_) | Body::Traces(_) | Body::Exhibits(_) | Body::Seal(_) => {}
        }
    }
    let took_place =
        |step: &str, metric| phases.contains(&(step.to_owned(), Outcome::Success, metric));
    for metric in [
        Metric::Resolve,
        Metric::Connect,
        Metric::Handshake,
        Metric::FirstByte,
    ] {
        assert!(took_place("page", metric), "{metric:?}");
        assert!(
            !took_place("soon", metric),
            "of what failed no phases are kept"
        );
    }
    assert!(took_place("ping", Metric::Connect));
    for metric in [Metric::Resolve, Metric::Handshake] {
        assert!(
            !took_place("ping", metric),
            "an address without TLS has no {metric:?}"
        );
    }
    gauges.retain(|gauge| gauge.name.as_str() == "certificate.left");
    let steps: BTreeSet<_> = gauges.iter().map(|gauge| gauge.step.to_string()).collect();
    assert_eq!(
        gauges.len(),
        3,
        "once for each step that saw it: {gauges:?}"
    );
    assert_eq!(
        steps,
        ["certificate", "page", "soon"].map(str::to_owned).into()
    );
    for gauge in gauges {
        let days = gauge.value / 86_400e9;
        assert!((4.9..=5.0).contains(&days), "{days} days");
        assert_eq!(gauge.of, Some("local/web/1".parse().unwrap()));
    }
}
