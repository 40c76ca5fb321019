//! Runs that somebody ends before their time.

use std::time::{Duration, Instant};

use nepho_common::{control::StopMode, event::What};
use nepho_controller_core::report::Verdict;
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    fleet::{Service, scenario, write_fleet_of},
    found::{events, journal, parsed, report},
    process::{Running, command, eventually, nothing_is_left, took},
    site::{Place, Site},
};

const STAGES: [&str; 2] = ["first", "second"];

/// A site on which `s.yaml` would take a minute.
fn site() -> (Site, Service, Running) {
    let site = Site::start();
    let service = Service::start(site.dir(), "a", "svc");
    write_fleet_of(site.dir(), std::slice::from_ref(&service));
    let text = scenario("s", &STAGES, "30s", "200ms");
    std::fs::write(site.dir().join("s.yaml"), text).unwrap();
    let agent = site.agent(&Place::new("a-1", "a"));
    (site, service, agent)
}

fn is_measured(service: &Service) -> Option<()> {
    (service.requests() > 2).then_some(())
}

#[test]
fn one_interrupt_stops_the_run_and_its_report_is_made() {
    let _took = took("stop");
    let (site, service, _agent) = site();
    let mut run = site.nepho(&["run", "s.yaml", "--out", "out"]);
    let run = Running::start(&mut run, site.dir(), "run");
    eventually("the first stage runs", || is_measured(&service));
    let asked = Instant::now();
    run.signal(Signal::INT);
    let said = run.said(Duration::from_secs(30));
    println!("ended {:?} after the interrupt", asked.elapsed());
    assert_eq!(said.code, Some(130), "{}", said.stderr);
    assert!(said.stderr.contains("stopping"), "{}", said.stderr);
    let out = site.dir().join("out");
    let report = report(&out);
    assert_ne!(report.verdict, Verdict::Pass);
    assert_eq!(report.stages[1].verdict, Verdict::NotRun);
    assert!(report.stages[1].skipped.is_some() && report.stages[1].began_ns.is_none());
    let seen = report.agents[0].samples;
    assert!(seen > 0 && service.requests() >= seen, "{seen} samples");
    let journal = journal(&out);
    let stop = |what: &&What| {
        matches!(
            what,
            What::StopRequested {
                mode: StopMode::Stop,
                ..
            }
        )
    };
    assert_eq!(
        events(&journal, "controller")
            .into_iter()
            .filter(stop)
            .count(),
        1
    );
    eventually("the agent is free again", || {
        let agents = site.ask(&["agents", "ls", "-o", "json"]).with(0);
        let agents: Value = serde_json::from_str(&agents).unwrap();
        agents["agents"][0]["runs"]
            .as_array()
            .unwrap()
            .is_empty()
            .then_some(())
    });
}

#[test]
fn an_interrupted_local_run_leaves_a_report_and_nothing_else() {
    let _took = took("stop, local");
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let service = Service::start(dir, "a", "svc");
    write_fleet_of(dir, std::slice::from_ref(&service));
    std::fs::write(dir.join("s.yaml"), scenario("s", &STAGES, "30s", "200ms")).unwrap();
    let temp = dir.join("temp");
    std::fs::create_dir(&temp).unwrap();
    let mut run = command("nepho");
    run.args(["run", "s.yaml", "--local", "--out", "out"])
        .env("TMPDIR", &temp)
        .current_dir(dir);
    let run = Running::start(&mut run, dir, "run");
    eventually("the first stage runs", || is_measured(&service));
    run.signal(Signal::INT);
    let said = run.said(Duration::from_secs(30));
    assert_eq!(said.code, Some(130), "{}", said.stderr);
    assert_eq!(report(&dir.join("out")).stages[1].verdict, Verdict::NotRun);
    nothing_is_left(&temp);
}

#[test]
fn a_detached_run_is_aborted_from_elsewhere() {
    let _took = took("abort");
    let (site, service, _agent) = site();
    let started = site.ask(&["run", "s.yaml", "--detach"]).with(0);
    let run = started.trim();
    assert_eq!(started.lines().count(), 1, "{started}");
    eventually("the first stage runs", || is_measured(&service));
    site.ask(&["abort", run]).with(0);
    let view: Value = eventually("the run is over", || {
        let status = site.ask(&["status", run, "-o", "json"]).with(0);
        let view: Value = serde_json::from_str(&status).unwrap();
        (!view["verdict"].is_null()).then_some(view)
    });
    let told = site.ask(&["report", run, "--format", "json"]);
    let report = parsed(&told.stdout);
    assert_eq!(told.code, Some(11), "{}", told.stderr);
    assert_eq!(view["exit_code"], 11);
    assert_ne!(report.verdict, Verdict::Pass);
    assert_eq!(report.stages[1].verdict, Verdict::NotRun);
    assert!(
        report
            .conditions
            .end
            .as_deref()
            .unwrap_or_default()
            .contains("abort"),
        "{:?}",
        report.conditions
    );
    let again = site.ask(&["abort", run]);
    assert_eq!(again.code, Some(7), "{}", again.stderr);
    assert!(again.stderr.contains("over already"), "{}", again.stderr);
    let unknown = site.ask(&["abort", "20260101-000000-0000"]);
    assert_eq!(unknown.code, Some(2), "{}", unknown.stderr);
}
