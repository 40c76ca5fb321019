//! Identities over real processes: revoked, renewed, come back, and found twice.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use nepho_controller_core::report::Verdict;
use rustix::process::Signal;

use crate::{
    fleet::{Service, scenario, write_fleet_of},
    found::report,
    process::{PATIENCE, Running, clean, command, eventually, program, took},
    site::{Place, Site},
};

const AGENT: &str = "a-1";

fn place() -> Place<'static> {
    Place::new(AGENT, "a")
}

/// An agent that tells what it lives through, not waited for.
fn started(site: &Site, data: &Path, name: &str) -> Running {
    let mut agent = clean(Command::new(program("nepho-agent")));
    agent.arg("run").arg("--data-dir");
    agent.arg(data).arg("--die-with-parent");
    Running::start(&mut agent, site.dir(), name)
}

fn until_says(running: &Running, what: &str) {
    eventually(what, || running.errors().contains(what).then_some(()));
}

/// Between an agent and its controller: when bytes from the controller last came through, and how
/// many connections stand.
#[derive(Debug)]
struct Wire {
    address: SocketAddr,
    live: &'static AtomicU64,
}

impl Wire {
    fn to(sessions: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // A test's few threads outlive nothing but the test's own process.
        let live: &AtomicU64 = Box::leak(Box::default());
        thread::spawn(move || {
            for agent in listener.incoming().flatten() {
                let Ok(controller) = TcpStream::connect(sessions) else {
                    continue;
                };
                let (from, to) = (agent.try_clone().unwrap(), controller.try_clone().unwrap());
                thread::spawn(move || pour(from, to));
                live.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    pour(controller, agent);
                    live.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, live }
    }

    fn live(&self) -> u64 {
        self.live.load(Ordering::SeqCst)
    }
}

/// Until either side ends; then both do.
fn pour(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        if to.write_all(bytes.get(..n).unwrap_or_default()).is_err() {
            break;
        }
    }
    from.shutdown(std::net::Shutdown::Both).ok();
    to.shutdown(std::net::Shutdown::Both).ok();
}

#[test]
fn a_revoked_agents_streams_end_within_a_second_and_it_does_not_come_back() {
    let _took = took("revocation, five times");
    let site = Site::start();
    let mut times = Vec::new();
    for n in 1..=5 {
        let name = format!("a-{n}");
        let wire = Wire::to(site.sessions);
        let place = Place {
            sessions: Some(wire.address),
            ..Place::new(&name, "a")
        };
        let mut agent = site.agent(&place);
        eventually("both of its connections stand", || {
            (wire.live() == 2).then_some(())
        });
        let asked = Instant::now();
        let mut revoke = site.nepho(&["agents", "revoke", &name, "-o", "json"]);
        let revoke = Running::start(&mut revoke, site.dir(), "revoke");
        // What it opens anew is turned away: from here on both counts reach zero only if cut.
        while wire.live() > 0 {
            assert!(asked.elapsed() < PATIENCE, "it is not cut");
            thread::sleep(Duration::from_millis(1));
        }
        times.push(asked.elapsed());
        let said = revoke.said(PATIENCE).with(0);
        assert!(said.contains("nepho.revoked/v1"), "{said}");
        until_says(&agent, "the controller ended the session: revoked");
        let seen = site.seen(&name);
        assert!(seen["revoked"].is_string() || seen["revoked"].is_number());
        // It tries again and again; nobody lets it in.
        eventually("it was turned away", || {
            (agent.errors().matches("control session lost").count() >= 3).then_some(())
        });
        assert!(agent.is_alive());
        assert_eq!(site.seen(&name)["connected"], false);
        agent.signal(Signal::TERM);
        assert!(agent.ended(PATIENCE).success());
    }
    times.sort();
    println!("from `nepho agents revoke` to the end of both streams: {times:?}");
    println!("median {:?}, worst {:?}", times[2], times[4]);
    assert!(times[2] <= Duration::from_secs(1), "{times:?}");
    assert!(times[4] <= Duration::from_secs(3), "{times:?}");
    let again = site.ask(&["agents", "revoke", "a-1"]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let unknown = site.ask(&["agents", "revoke", "nobody"]);
    assert_eq!(unknown.code, Some(2), "{}", unknown.stderr);
}

#[test]
fn an_agent_that_was_off_past_its_certificates_end_comes_back_by_itself() {
    let _took = took("back after the end");
    let site = Site::start_with(&["--certificate-life", "2s"]);
    site.enrol(&place());
    let identity = site.data(AGENT).join("identity.pem");
    let before = std::fs::read(&identity).unwrap();
    // Time itself is what is tested: nothing tells when a certificate has ended.
    thread::sleep(Duration::from_secs(4));
    let mut agent = started(&site, &site.data(AGENT), AGENT);
    until_says(&agent, "control session opened");
    let said = agent.errors();
    assert!(said.contains("\"after_its_end\":true"), "{said}");
    println!("{said}");
    assert_ne!(std::fs::read(&identity).unwrap(), before);
    agent.signal(Signal::TERM);
    assert!(agent.ended(PATIENCE).success());

    // The certificate from before no longer counts, though its key is good: it was replaced.
    let copy = site.dir().join("copy");
    std::fs::create_dir(&copy).unwrap();
    std::fs::write(copy.join("identity.pem"), before).unwrap();
    std::fs::copy(site.data(AGENT).join("agent.json"), copy.join("agent.json")).unwrap();
    let mut stale = started(&site, &copy, "stale");
    until_says(&stale, "the certificate can't be renewed");
    assert!(
        stale.errors().contains("running twice"),
        "{}",
        stale.errors()
    );
    assert!(stale.is_alive());

    // Revoked while it is off, it does not come back by proving its key.
    site.ask(&["agents", "revoke", AGENT]).with(0);
    thread::sleep(Duration::from_secs(3));
    let revoked = started(&site, &site.data(AGENT), "revoked");
    until_says(&revoked, "the certificate can't be renewed");
    let said = revoked.errors();
    assert!(said.contains("was revoked"), "{said}");
    assert!(!said.contains("control session opened"), "{said}");
}

#[test]
fn a_run_passes_while_its_agents_certificate_is_renewed_twice() {
    let _took = took("two lifetimes in one run");
    let site = Site::start_with(&["--certificate-life", "5s"]);
    let service = Service::start(site.dir(), "a", "svc");
    write_fleet_of(site.dir(), std::slice::from_ref(&service));
    let text = scenario("s", &["only"], "12s", "200ms");
    std::fs::write(site.dir().join("s.yaml"), text).unwrap();
    site.enrol(&place());
    let agent = site.run_agent(AGENT, &mut clean(Command::new(program("nepho-agent"))));
    let out = site.dir().join("out");
    site.ask(&["run", "s.yaml", "--out", "out"]).with(0);
    let said = agent.errors();
    let renewed = said.matches("the agent has a new certificate").count();
    let opened = said.matches("control session opened").count();
    println!("{said}");
    println!("{renewed} renewals, {opened} sessions");
    assert!(renewed >= 2, "{said}");
    assert!(!said.contains("\"after_its_end\":true"), "{said}");
    assert!(opened >= 2, "the first certificate's end cut its session");
    let report = report(&out);
    assert_eq!(report.verdict, Verdict::Pass);
    let seen = report.agents[0].samples;
    println!("{seen} samples");
    // Nothing that is measured waits for a session.
    assert!(seen >= 55, "{seen} samples in 12 s, one each 200 ms");
}

#[test]
fn a_second_copy_of_an_identity_is_an_alarm_and_does_not_push_the_first_one_out() {
    let _took = took("a copy");
    let site = Site::start();
    let first = site.agent(&place());
    let copy = site.dir().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for file in ["identity.pem", "agent.json"] {
        std::fs::copy(site.data(AGENT).join(file), copy.join(file)).unwrap();
    }
    let second = started(&site, &copy, "second");
    until_says(&second, "another copy of a-1 is in a session");
    assert_eq!(site.seen(AGENT)["cloned"], true);
    assert_eq!(site.seen(AGENT)["connected"], true);
    let list = site.ask(&["agents", "ls"]).with(0);
    assert!(list.contains("cloned?"), "{list}");
    assert!(site.log().contains("ALARM"), "{}", site.log());
    assert!(
        !first.errors().contains("session lost"),
        "{}",
        first.errors()
    );
    // Once the first one is gone, the copy is nothing but the agent, started again.
    first.kill();
    until_says(&second, "control session opened");
}

#[test]
fn an_agent_that_was_killed_and_started_again_is_no_copy() {
    let _took = took("no copy");
    let site = Site::start();
    let first = site.agent(&place());
    first.kill();
    let again = site.run_agent(AGENT, &mut clean(Command::new(program("nepho-agent"))));
    assert_eq!(site.seen(AGENT)["cloned"], false);
    assert!(
        !again.errors().contains("another copy"),
        "{}",
        again.errors()
    );
}

#[test]
fn the_advertised_address_is_what_a_new_agent_is_told() {
    let site = Site::start_with(&["--advertise", "controller.example:7443"]);
    let said = site.ask(&["enroll", "--environment", "a"]);
    let told = "nepho-agent join --controller controller.example:7443 ";
    assert!(said.stderr.contains(told), "{}", said.stderr);
    let mut bad = command("nepho");
    let bad = crate::process::said(bad.args(["controller", "--advertise", "no port"]));
    assert_eq!(bad.code, Some(2), "{}", bad.stderr);
}
