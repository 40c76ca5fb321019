//! An agent is killed where it hurts. What it had acknowledged is there, once; what is missing is
//! told: how much, from whom, for how long; and nobody calls it a pass.

use std::{process::Command, thread, time::Duration};

use nepho_common::{
    event::What,
    id::RunId,
    journal::{Body, Entry},
};
use nepho_controller_core::report::{Report, Verdict, model::AgentReport};

use crate::{
    fleet::{Service, scenario, write_fleet_of},
    found::{dimension, events, findings, journal, numbers, parsed, report},
    process::{Running, clean, eventually, program, took},
    site::{Place, Site},
};

/// Where an agent is killed, and how long the stage is.
#[derive(Debug, Clone, Copy)]
struct Death {
    point: &'static str,
    lasts: &'static str,
    /// Started again afterwards, this much of what it had written must arrive.
    back: Back,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Back {
    /// It is not started again.
    Never,
    /// That the stage began.
    Beginning,
    /// All of it, with its seal.
    Everything,
}

const fn at(point: &'static str, lasts: &'static str, back: Back) -> Death {
    Death { point, lasts, back }
}

const KILLED: &str = "a-1";

#[test]
fn an_agent_killed_while_a_stage_runs_loses_nothing_acknowledged_and_is_never_a_pass() {
    let _took = took("crash, five points side by side");
    side_by_side([
        at("stage.running", "5s", Back::Never),
        at("spool.after-append", "5s", Back::Never),
        at("spool.after-sync", "5s", Back::Beginning),
        at("results.before-send", "5s", Back::Beginning),
        at("results.after-send", "5s", Back::Beginning),
    ]);
}

#[test]
fn an_agent_killed_while_a_stage_is_sealed_loses_nothing_acknowledged_and_is_never_a_pass() {
    let _took = took("crash, two points side by side");
    side_by_side([
        // So long that recordings are acknowledged before the death: they are sealed every 10 s.
        at("seal.before-write", "12s", Back::Never),
        at("seal.after-sync", "5s", Back::Everything),
    ]);
}

fn side_by_side<const N: usize>(deaths: [Death; N]) {
    thread::scope(|scope| {
        let deaths = deaths.map(|death| (death, scope.spawn(move || die(death))));
        let failed = deaths.map(|(death, done)| (death.point, done.join().is_err()));
        let failed: Vec<_> = failed.iter().filter(|(_, failed)| *failed).collect();
        assert!(failed.is_empty(), "see above for each of {failed:?}");
    });
}

fn die(death: Death) {
    let Death { point, lasts, back } = death;
    let site = Site::start();
    let dir = site.dir();
    let services = [
        Service::start(dir, "a", "svc-a"),
        Service::start(dir, "b", "svc-b"),
    ];
    write_fleet_of(dir, &services);
    std::fs::write(dir.join("s.yaml"), scenario("s", &["only"], lasts, "250ms")).unwrap();
    let _other = site.agent(&Place::new("b-1", "b"));
    site.enrol(&Place::new(KILLED, "a"));
    let held = dir.join("held");
    let mut starter = clean(Command::new(program("nepho-agent")));
    starter.env("NEPHO_HOLD", format!("{point}:{}", held.display()));
    let killed = site.run_agent(KILLED, &mut starter);

    let mut run = site.nepho(&["run", "s.yaml", "--out", "out"]);
    let run = Running::start(&mut run, dir, "run");
    eventually(
        &format!("{point} is reached (is the agent built with hold-points?)"),
        || held.exists().then_some(()),
    );
    killed.kill();
    let acked = acked(&site);
    let said = run.said(Duration::from_secs(90));
    assert_eq!(
        said.code,
        Some(11),
        "{point}: {}{}",
        said.stdout,
        said.stderr
    );

    let out = dir.join("out");
    let stored = numbers(&out, KILLED);
    assert!(
        (1..=acked).all(|seq| stored.contains(&seq)),
        "{point}: {acked} of {stored:?}"
    );
    assert!(
        (1..=stored.len() as u64).all(|seq| stored.contains(&seq)),
        "{point}: {stored:?}"
    );
    let before = report(&out);
    println!(
        "{point}: acknowledged {acked}, stored {}, {}",
        stored.len(),
        told(&before)
    );
    tells_what_is_missing(point, &before);
    counts_no_more_than(&services, &before);

    if back != Back::Never {
        std::fs::remove_file(&held).unwrap();
        let again = site.run_agent(KILLED, &mut clean(Command::new(program("nepho-agent"))));
        let run = before.run.clone().unwrap();
        comes_back(&site, point, back, &run);
        let after = parsed(
            &site
                .ask(&["report", run.as_str(), "--format", "json"])
                .stdout,
        );
        println!("{point}: after its return {}", told(&after));
        assert!(samples(&after) >= samples(&before), "{point}");
        if back == Back::Everything {
            assert!(samples(&after) > samples(&before), "{point}");
            assert_eq!(killed_of(&after).sealed.len(), 1, "{point}");
            assert!(killed_of(&after).missing.is_empty(), "{point}");
        }
        counts_no_more_than(&services, &after);
        drop(again);
    }
    // Last, so that everything else was looked at.
    let why = &killed_of(&before).missing[0].why;
    assert!(
        why.contains("lost") || why.contains("heard"),
        "{point}: {why}"
    );
}

/// Up to where the agent knows its records to be stored.
fn acked(site: &Site) -> u64 {
    let ack = std::fs::read_to_string(site.data(KILLED).join("spool/ack"));
    let number = |text: String| text.split(' ').next().unwrap().parse().unwrap();
    ack.map_or(0, number)
}

fn killed_of(report: &Report) -> &AgentReport {
    let mut agents = report.agents.iter();
    agents.find(|agent| agent.agent.as_str() == KILLED).unwrap()
}

fn samples(report: &Report) -> u64 {
    killed_of(report).samples
}

fn told(report: &Report) -> String {
    format!(
        "{}, {} samples of {KILLED}",
        report.verdict.word(),
        samples(report)
    )
}

fn tells_what_is_missing(point: &str, report: &Report) {
    assert_eq!(report.verdict, Verdict::Inconclusive, "{point}");
    let killed = killed_of(report);
    let [lost] = &killed.lost[..] else {
        panic!("{point}: {:?}", killed.lost)
    };
    assert!(
        lost.given_up_ns.since(lost.from_ns).0 >= 15_000_000_000,
        "{point}: {lost:?}"
    );
    assert_eq!((lost.to_ns, lost.restarted), (None, false), "{point}");
    assert!(killed.sealed.is_empty(), "{point}: {:?}", killed.sealed);
    let [missing] = &killed.missing[..] else {
        panic!("{point}: {:?}", killed.missing)
    };
    assert!(missing.requests > 0, "{point}: {missing:?}");

    let from = |environment| findings(report, move |one| dimension(one, "from") == environment);
    assert_eq!((from("a").len(), from("b").len()), (2, 2), "{point}");
    let mut sum = 0;
    for finding in from("a") {
        assert_eq!(
            finding.verdict,
            Verdict::Inconclusive,
            "{point}: {finding:?}"
        );
        let samples = finding.samples;
        assert!(samples.missing > 0, "{point}: {finding:?}");
        assert_eq!(
            samples.observed + samples.missing,
            samples.planned,
            "{point}: {finding:?}"
        );
        let cause = finding.cause.clone().unwrap();
        let counted = format!("{} from {KILLED}", samples.missing);
        assert!(
            cause.contains(&counted),
            "{point}: {counted:?} in {cause:?}"
        );
        sum += samples.missing;
    }
    assert_eq!(sum, missing.requests, "{point}");
    for finding in from("b") {
        assert_eq!(finding.verdict, Verdict::Pass, "{point}: {finding:?}");
        assert_eq!(finding.samples.missing, 0, "{point}: {finding:?}");
    }
}

/// Everything that was counted was also received.
fn counts_no_more_than(services: &[Service], report: &Report) {
    for service in services {
        let name = service.name.as_str();
        let seen = findings(report, |one| dimension(one, "service") == name);
        let seen: u64 = seen.iter().map(|one| one.samples.observed).sum();
        let received = service.requests();
        assert!(
            received >= seen,
            "{name}: {received} received, {seen} counted"
        );
    }
}

/// The agent was started again: what it had on disk arrives late, and once.
fn comes_back(site: &Site, point: &str, back: Back, run: &RunId) {
    let out = site.dir().join("late");
    eventually(&format!("{point}: what was spooled arrives"), || {
        site.ask(&["export", run.as_str(), "--out", &out.display().to_string()])
            .with(0);
        let journal = journal(&out);
        let of_killed = |entry: &&Entry| entry.key.agent.as_str() == KILLED;
        let is_there = match back {
            Back::Never => true,
            Back::Beginning => events(&journal, KILLED)
                .iter()
                .any(|what| matches!(what, What::StageStarted { .. })),
            Back::Everything => journal
                .iter()
                .filter(of_killed)
                .any(|entry| matches!(entry.body, Body::Seal(_))),
        };
        is_there.then_some(())
    });
    let stored = numbers(&out, KILLED);
    assert!(
        (1..=stored.len() as u64).all(|seq| stored.contains(&seq)),
        "{point}: {stored:?}"
    );
    let acked = eventually(&format!("{point}: it is acknowledged"), || {
        let acked = acked(site);
        (acked >= stored.len() as u64).then_some(acked)
    });
    println!(
        "{point}: after its return acknowledged {acked}, stored {}",
        stored.len()
    );
}
