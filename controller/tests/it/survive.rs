//! Runs outlive whoever drives them: one controller at a time, an abort that is not forgotten, an
//! agent that stood still.

use std::{path::Path, process::Command, time::Duration};

use nepho_common::event::{RunEnd, What};
use nepho_controller_core::report::Verdict;
use rustix::process::Signal;

use crate::{
    fleet::{Service, scenario, write_fleet_of},
    found::{events, journal, report},
    process::{Running, clean, command, eventually, program, said, took},
    site::{Place, Site},
};

fn services(dir: &Path, lasts: &str, extra: &str) -> [Service; 2] {
    let services = ["a", "b"].map(|env| Service::start(dir, env, &format!("svc-{env}")));
    write_fleet_of(dir, &services);
    let text = scenario("s", &["only"], lasts, "250ms");
    let text = text.replace("stages:\n", &format!("{extra}stages:\n"));
    std::fs::write(dir.join("s.yaml"), text).unwrap();
    services
}

#[test]
fn a_second_controller_on_one_store_is_refused_and_takes_over_once_the_first_is_gone() {
    let _took = took("two controllers on one store");
    let mut site = Site::start();
    let second = || {
        let mut second = command("nepho");
        let data = site.dir().join("controller");
        second.arg("controller").arg("--data-dir").arg(data);
        second.args(["--enrolment", "127.0.0.1:0", "--sessions", "127.0.0.1:0"]);
        said(&mut second)
    };
    let refused = second();
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(refused.stderr.contains("another controller"), "{refused:?}");
    // The first one was not disturbed.
    site.ask(&["runs"]).with(0);
    site.kill_controller();
    site.start_controller();
    site.ask(&["runs"]).with(0);
}

#[test]
fn an_abort_that_was_said_once_survives_the_controller_and_reaches_the_agent() {
    let _took = took("an abort and a dying controller");
    let mut site = Site::start();
    let dir = site.dir().to_owned();
    let _services = services(&dir, "60s", "");
    let held = dir.join("held");
    let mut agents = vec![site.agent(&Place::new("b-1", "b"))];
    site.enrol(&Place::new("a-1", "a"));
    let mut starter = clean(Command::new(program("nepho-agent")));
    starter.env("NEPHO_HOLD", format!("command.stop:{}", held.display()));
    agents.push(site.run_agent("a-1", &mut starter));
    let mut run = site.nepho(&["run", "s.yaml", "--anyway", "--out", "out"]);
    let run = Running::start(&mut run, &dir, "run");
    let id = eventually("the stage is under way", || {
        let runs = site.ask(&["status", "-o", "json"]).with(0);
        let runs: serde_json::Value = serde_json::from_str(&runs).unwrap();
        let run = runs["runs"].get(0)?.clone();
        let id = run["run"].as_str()?.to_owned();
        (run["progress"]["state"] == "running").then_some(id)
    });
    site.ask(&["abort", &id]).with(0);
    eventually("the abort has reached the agent", || {
        held.exists().then_some(())
    });
    site.kill_controller();
    std::fs::remove_file(&held).unwrap();
    site.start_controller();
    // Nobody says it again.
    let said = run.said(Duration::from_secs(50));
    let journal = journal(&dir.join("out"));
    let ends: Vec<_> = events(&journal, "controller")
        .into_iter()
        .filter(|what| matches!(what, What::RunEnded { .. }))
        .collect();
    assert!(
        matches!(
            ends[..],
            [What::RunEnded {
                how: RunEnd::Stopped(_)
            }]
        ),
        "{ends:?} {said:?}"
    );
    assert_ne!(report(&dir.join("out")).verdict, Verdict::Pass);
}

#[test]
fn an_agent_that_stood_still_is_waited_for_when_the_scenario_says_so_and_named() {
    let _took = took("an agent stopped for 20 s");
    let site = Site::start();
    let dir = site.dir().to_owned();
    let _services = services(&dir, "4s", "lost-agent: wait\nlost-agent-within: 40s\n");
    let _other = site.agent(&Place::new("b-1", "b"));
    let frozen = site.agent(&Place::new("a-1", "a"));
    let mut run = site.nepho(&["run", "s.yaml", "--anyway", "--out", "out"]);
    let run = Running::start(&mut run, &dir, "run");
    eventually("the stage is under way", || {
        let log = std::fs::read_to_string(dir.join("run.stderr")).unwrap_or_default();
        log.contains("stage only starts").then_some(())
    });
    frozen.signal(Signal::STOP);
    eventually("it is called lost", || {
        let log = std::fs::read_to_string(dir.join("run.stderr")).unwrap_or_default();
        log.contains("agent a-1 is lost").then_some(())
    });
    frozen.signal(Signal::CONT);
    let said = run.said(Duration::from_secs(80));
    let report = report(&dir.join("out"));
    assert_eq!(report.verdict, Verdict::Inconclusive, "{said:?}");
    let agent = report
        .agents
        .iter()
        .find(|one| one.agent.as_str() == "a-1")
        .unwrap();
    let [lost] = &agent.lost[..] else {
        panic!("{agent:?}")
    };
    assert!(lost.to_ns.is_some() && !lost.restarted, "{lost:?}");
    // It was waited for: its seal is there, and what it did not send is counted as missing.
    assert_eq!(agent.sealed.len(), 1, "{agent:?}");
    assert!(
        agent.missing.iter().all(|missing| missing.requests > 0),
        "{agent:?}"
    );
}

/// The host is not asleep, its clocks go on: what was due and not sent is counted as such. A real
/// suspend can't be made here, and a time namespace sets its clocks once; the fleet simulation sleeps.
#[test]
fn an_agent_that_stood_still_for_three_seconds_does_not_pass_what_it_did_not_send() {
    let _took = took("an agent stopped for 3 s");
    let site = Site::start();
    let dir = site.dir().to_owned();
    let _services = services(&dir, "8s", "");
    let _other = site.agent(&Place::new("b-1", "b"));
    let frozen = site.agent(&Place::new("a-1", "a"));
    let measure = |out: &str, stop: bool| {
        let name = format!("run-{out}");
        let mut run = site.nepho(&["run", "s.yaml", "--anyway", "--out", out]);
        let run = Running::start(&mut run, &dir, &name);
        if stop {
            eventually("the stage is under way", || {
                let log = std::fs::read_to_string(dir.join(format!("{name}.stderr")));
                log.unwrap_or_default()
                    .contains("stage only starts")
                    .then_some(())
            });
            // The start is a second after it is told.
            std::thread::sleep(Duration::from_secs(2));
            frozen.signal(Signal::STOP);
            std::thread::sleep(Duration::from_secs(3));
            frozen.signal(Signal::CONT);
        }
        let said = run.said(Duration::from_secs(80));
        (report(&dir.join(out)), said)
    };
    // The control: the same without it.
    let (sound, said) = measure("sound", false);
    assert_eq!(sound.verdict, Verdict::Pass, "{said:?}");
    let (stopped, said) = measure("stopped", true);
    assert_eq!(stopped.verdict, Verdict::Inconclusive, "{said:?}");
    assert!(stopped.agents.iter().all(|one| one.lost.is_empty()));
    for finding in &stopped.findings {
        let of_frozen = finding.agents.iter().any(|agent| agent.as_str() == "a-1");
        let expected = if of_frozen {
            Verdict::Inconclusive
        } else {
            Verdict::Pass
        };
        assert_eq!(finding.verdict, expected, "{finding:?}");
        if of_frozen {
            let cause = finding.cause.as_ref().unwrap();
            assert!(cause.contains("were due and not sent"), "{cause}");
        }
    }
}
