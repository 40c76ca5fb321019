//! Results that arrive when the run is over: they make the next revision of its report, and the
//! earlier one can still be had as it was.

use std::{path::Path, process::Command, time::Duration};

use nepho_controller_core::report::{Report, Verdict, render::json};
use rustix::process::Signal;

use crate::{
    fleet::{Service, scenario, write_fleet_of},
    found::{parsed, report},
    process::{Running, clean, eventually, program, said, took},
    site::{Place, Site},
};

fn reported(site: &Site, run: &str, more: &[&str]) -> Report {
    let mut asked = vec!["report", run, "--format", "json"];
    asked.extend(more);
    parsed(&said(&mut site.nepho(&asked)).stdout)
}

fn row(site: &Site, run: &str) -> String {
    let list = site.ask(&["runs"]).with(0);
    let row = list.lines().find(|line| line.contains(run));
    row.unwrap().to_owned()
}

/// A run of two agents of which one is killed with everything in its spool and nothing sent.
fn run_with_one_killed(site: &Site, dir: &Path) -> (Report, String) {
    let services = ["a", "b"].map(|env| Service::start(dir, env, &format!("svc-{env}")));
    write_fleet_of(dir, &services);
    let text = scenario("s", &["only"], "2s", "100ms");
    std::fs::write(dir.join("s.yaml"), text).unwrap();
    let _other = site.agent(&Place::new("b-1", "b"));
    site.enrol(&Place::new("a-1", "a"));
    let mut starter = clean(Command::new(program("nepho-agent")));
    let held = format!("results.before-send:{}", dir.join("held").display());
    starter.env("NEPHO_HOLD", held);
    let mut killed = site.run_agent("a-1", &mut starter);
    let mut run = site.nepho(&["run", "s.yaml", "--anyway", "--out", "out"]);
    let run = Running::start(&mut run, dir, "run");
    eventually("the agent has sealed what it can't send", || {
        let runs = site.ask(&["status", "-o", "json"]).with(0);
        let runs: serde_json::Value = serde_json::from_str(&runs).unwrap();
        let progress = &runs["runs"].get(0)?["progress"];
        let waits = progress["waiting"].as_array()?;
        (progress["state"] == "collecting" && waits.len() == 1).then_some(())
    });
    killed.die();
    let said = run.said(Duration::from_secs(60));
    assert_eq!(said.code, Some(11), "{said:?}");
    let report = report(&dir.join("out"));
    let id = report.run.as_ref().unwrap().to_string();
    (report, id)
}

#[test]
fn what_a_killed_agent_still_had_makes_the_second_revision_and_the_first_can_still_be_had() {
    let _took = took("late results");
    let site = Site::start();
    let dir = site.dir().to_owned();
    let (first, run) = run_with_one_killed(&site, &dir);
    let revision = first.revision.as_ref().unwrap();
    assert_eq!((revision.number, revision.closed), (1, true));
    assert_eq!(first.verdict, Verdict::Inconclusive);
    assert!(row(&site, &run).contains("inconclusive ") && !row(&site, &run).contains("revision"));

    let _back = site.run_agent("a-1", &mut clean(Command::new(program("nepho-agent"))));
    eventually("the report has a second revision", || {
        row(&site, &run).contains("(revision 2)").then_some(())
    });
    let second = reported(&site, &run, &[]);
    let revision = second.revision.as_ref().unwrap();
    assert_eq!(
        (revision.number, revision.closed),
        (2, true),
        "{revision:?}"
    );
    assert_eq!(revision.was, Some(Verdict::Inconclusive));
    let late: Vec<_> = revision.late.keys().map(|agent| agent.as_str()).collect();
    assert_eq!(late, ["a-1"]);
    assert!(!revision.changes.is_empty(), "{revision:?}");
    let missing =
        |report: &Report| -> u64 { report.findings.iter().map(|one| one.samples.missing).sum() };
    assert!(missing(&first) > 0);
    assert_eq!(
        missing(&second),
        0,
        "everything that was planned is there now"
    );

    // What was forwarded yesterday can be had again, from the controller and from an export.
    assert_eq!(reported(&site, &run, &["--revision", "1"]), first);
    site.ask(&["export", &run, "--out", "again"]).with(0);
    for (asked, expected) in [("1", &first), ("2", &second)] {
        let from = [
            "report",
            "--from",
            "again",
            "--format",
            "json",
            "--revision",
            asked,
        ];
        let again = said(&mut site.nepho(&from)).stdout;
        assert_eq!(again, json::render(expected), "revision {asked}");
    }
    let none = said(&mut site.nepho(&["report", &run, "--revision", "3"]));
    assert_eq!(none.code, Some(2), "{none:?}");
    assert!(
        none.stderr.contains("has revisions 1 to 2 of its report"),
        "{none:?}"
    );
}

#[test]
fn late_results_that_the_last_process_did_not_come_to_are_found_at_the_next_start() {
    let _took = took("late results and a killed controller");
    let mut site = Site::start();
    let dir = site.dir().to_owned();
    let (_, run) = run_with_one_killed(&site, &dir);
    let back = site.run_agent("a-1", &mut clean(Command::new(program("nepho-agent"))));
    eventually("they are stored", || {
        let now = reported(&site, &run, &[]).revision?;
        (now.number == 2).then_some(())
    });
    // It waits for two quiet seconds; whether it came to it or not, the next one does.
    site.kill_controller();
    back.signal(Signal::TERM);
    site.start_controller();
    eventually("the report has a second revision", || {
        row(&site, &run).contains("(revision 2)").then_some(())
    });
    let revision = reported(&site, &run, &[]).revision.unwrap();
    assert_eq!(
        (revision.number, revision.closed),
        (2, true),
        "{revision:?}"
    );
}
