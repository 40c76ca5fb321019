//! A real agent: at rest, and probing forty services each second. And how large its program is.

use std::{
    fs, io::Write as _, net::SocketAddr, path::Path, process::Command, thread, time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    site::{Controller, Running, eventually},
    table::{Table, kept},
    usage::Usage,
};

const SERVICES: usize = 40;
const MIB: f64 = 1024.0;
/// How often the two states of the agent are looked at while time passes.
const LOOKS: u32 = 6;

pub(crate) fn measure(bin: &Path, seconds: u64) {
    let dir = tempfile::Builder::new()
        .prefix("nepho-bench-")
        .tempdir()
        .unwrap();
    let dir = dir.path();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let controller = Controller::start(bin, dir, any, any);
    let agent = agent(bin, dir, &controller);
    let mut table = Table::new();

    let size = fs::metadata(bin.join("nepho-agent")).unwrap().len() as f64 / f64::from(1 << 20);
    let figure = format!("{size:.1} MiB: {}", kept(size <= 12.0));
    table.row("the program, stripped", "≤ 12 MiB", figure);

    let watched = Duration::from_secs(seconds);
    thread::sleep(Duration::from_secs(5)); // The first heartbeats and whatever starting left to do.
    let rest = watch(agent.pid(), watched);
    let resident = rest.largest / MIB;
    let figure = format!(
        "{resident:.1} MiB, {:.1} at the peak: {}",
        rest.peak / MIB,
        kept(resident <= 15.0)
    );
    table.row("resident, at rest", "≤ 15 MiB", figure);
    let figure = format!(
        "{:.3} % of a core over {seconds} s: {}",
        rest.core,
        kept(rest.core <= 0.2)
    );
    table.row("processor, at rest", "≤ 0.2 % of a core", figure);

    let services: Vec<_> = (1..=SERVICES)
        .map(|n| Service::start(bin, dir, n))
        .collect();
    scenario(dir, &services, seconds + 10);
    let mut run = nepho(bin, dir);
    run.args(["run", "s.yaml", "--out", "out"]);
    let run = Running::start(&mut run, dir, "run");
    let first = || services.first().map_or(0, |service| service.requests(dir));
    eventually("the probes have begun", || (first() > 1).then_some(()));
    let busy = watch(agent.pid(), watched);
    run.done();
    let figure = format!(
        "{:.1} MiB, {:.1} at the peak",
        busy.largest / MIB,
        busy.peak / MIB
    );
    table.row(
        &format!("resident, {SERVICES} services probed each second"),
        "",
        figure,
    );
    let figure = format!("{:.2} % of a core over {seconds} s", busy.core);
    table.row(
        &format!("processor, {SERVICES} services probed each second"),
        "",
        figure,
    );
    agent.end(Signal::TERM);
    controller.running.end(Signal::TERM);
    table.print("An agent at rest and at work (`scripts/bench agent`)");
}

/// What was seen of a process over some time.
struct Watched {
    /// The most that was resident at a look, KiB.
    largest: f64,
    /// The most that was ever resident, KiB.
    peak: f64,
    /// Share of a core, in percent.
    core: f64,
}

fn watch(pid: u32, time: Duration) -> Watched {
    let before = Usage::of(pid);
    let mut largest = before.resident;
    let mut after = before;
    for _ in 0..LOOKS {
        thread::sleep(time / LOOKS);
        after = Usage::of(pid);
        largest = largest.max(after.resident);
    }
    Watched {
        largest,
        peak: after.peak,
        core: after.core_since(&before),
    }
}

fn nepho(bin: &Path, dir: &Path) -> Command {
    let mut nepho = Command::new(bin.join("nepho"));
    let socket = crate::site::data(dir).join("nepho.sock");
    nepho
        .arg("--controller")
        .arg(format!("unix://{}", socket.display()));
    nepho.current_dir(dir);
    nepho
}

fn agent(bin: &Path, dir: &Path, controller: &Controller) -> Running {
    let mut enroll = nepho(bin, dir);
    enroll.args([
        "enroll",
        "--environment",
        "a",
        "--name",
        "a-1",
        "--out",
        "token",
    ]);
    Running::start(&mut enroll, dir, "enroll").done();
    let data = dir.join("agent");
    let mut join = Command::new(bin.join("nepho-agent"));
    join.args(["join", "--controller", &controller.enrolment.to_string()]);
    join.args(["--sessions", &controller.sessions.to_string()]);
    join.arg("--token-file").arg(dir.join("token"));
    join.arg("--data-dir").arg(&data);
    Running::start(&mut join, dir, "join").done();
    let mut run = Command::new(bin.join("nepho-agent"));
    run.arg("run").arg("--data-dir").arg(&data);
    let agent = Running::start(&mut run, dir, "agent");
    eventually("the agent has a session", || {
        agent
            .errors()
            .contains("control session opened")
            .then_some(())
    });
    agent
}

struct Service {
    name: String,
    address: SocketAddr,
    _running: Running,
}

impl Service {
    fn start(bin: &Path, dir: &Path, n: usize) -> Self {
        let name = format!("service-{n}");
        let mut service = Command::new(bin.join("nepho-sample-fleet"));
        service.args(["service", "--environment", "a", "--name", &name]);
        let running = Running::start(&mut service, dir, &name);
        let said = dir.join(format!("{name}.stdout"));
        let address = eventually("a service listens", || {
            let said: Value = serde_json::from_str(&fs::read_to_string(&said).ok()?).ok()?;
            said["listen"].as_str()?.parse().ok()
        });
        Self {
            name,
            address,
            _running: running,
        }
    }

    /// How many requests it received.
    fn requests(&self, dir: &Path) -> u64 {
        use std::io::Read as _;
        let mut stream = std::net::TcpStream::connect(self.address).unwrap();
        let ask = "GET /state HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(ask.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let state: Value =
            serde_json::from_str(body).unwrap_or_else(|_| panic!("{}: {text}", dir.display()));
        state["requests"].as_u64().unwrap()
    }
}

fn scenario(dir: &Path, services: &[Service], seconds: u64) {
    let mut fleet = "api: nepho/v1\nenvironments:\n  a: {}\nservices:\n".to_owned();
    for Service { name, address, .. } in services {
        fleet.push_str(&format!(
            "  - {{name: {name}, environment: a, http: {{}}, address: {{inside: \"{address}\", default: \"{address}\"}}}}\n"
        ));
    }
    fs::write(dir.join("fleet.yaml"), fleet).unwrap();
    let scenario = format!(
        "api: nepho/v1\nname: bench\nfleet: fleet.yaml\nstages:\n  - name: steady\n    lasts: {seconds}s\n    steps:\n      \
         reach: {{probe: {{health: {{}}, every: 1s, timeout: 1s}}}}\n    expect:\n      \
         - {{on: reach, failures: {{max: 0}}, by: [from, environment, service]}}\n"
    );
    fs::write(dir.join("s.yaml"), scenario).unwrap();
}
