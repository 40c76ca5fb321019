//! Whether the common start is as common as the report says. Time namespaces give the truth: an
//! agent's clock is the controller's plus a number of seconds that we chose.

use std::{collections::BTreeMap, process::Command};

use nepho_common::{event::What, journal::Entry};
use nepho_controller_core::report::Report;

use crate::{
    fleet::{Service, distances, scenario, write_fleet_of},
    found::{events, journal, report},
    process::{clean, exists, program, skip, took},
    site::{Place, Site},
};

const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MILLISECOND;

/// How far from the ordered instant each agent really began each stage, in nanoseconds; `Err` when
/// that contradicts what the report states. `ahead` is how far each agent's clock really is ahead.
pub(crate) fn true_errors(
    journal: &[Entry],
    report: &Report,
    ahead: &BTreeMap<&str, i64>,
) -> Result<Vec<(String, i64)>, String> {
    let mut errors = Vec::new();
    for what in events(journal, "controller") {
        let What::StageOrdered {
            stage, at, agents, ..
        } = what
        else {
            continue;
        };
        for (agent, order) in agents {
            let started = events(journal, agent.as_str())
                .into_iter()
                .find_map(|what| match what {
                    What::StageStarted {
                        stage: begun,
                        actual,
                        ..
                    } if begun == stage => Some(*actual),
                    _ => None,
                });
            let started = started.ok_or(format!("{agent} does not say that it began {stage}"))?;
            let error = started.shifted(-ahead[agent.as_str()]).minus(*at);
            let mut starts = report.stages.iter().flat_map(|stage| &stage.starts);
            let stated = starts.find(|one| one.agent == *agent && one.stage == *stage);
            let stated = stated.ok_or(format!("no start of {agent} in {stage}"))?;
            let bound = stated.bound_ns.ok_or("no bound")?.0.cast_signed();
            let round_trip = stated.round_trip_ns.ok_or("no round trip")?.0.cast_signed();
            let said = format!(
                "{stage} on {agent}: {error} ns off, stated {} ± {bound} ns, round trip {round_trip}",
                stated.late_ns
            );
            println!("{said}");
            if (error - stated.late_ns).abs() > bound || error.abs() > stated.late_ns.abs() + bound
            {
                return Err(said);
            }
            if bound > round_trip / 2 + MILLISECOND
                || order.round_trip.0.cast_signed() != round_trip
            {
                return Err(format!("the bound is too wide: {said}"));
            }
            errors.push((agent.to_string(), error));
        }
    }
    Ok(errors)
}

/// Whether [`namespace`] works here.
pub(crate) fn gives_namespaces() -> bool {
    let tried = exists("unshare").map(|_| namespace(1).arg("true").output());
    tried.is_some_and(|tried| tried.is_ok_and(|said| said.status.success()))
}

/// Starts a program whose clocks, but for the time of day, are ahead by so much.
pub(crate) fn namespace(seconds: i64) -> Command {
    let mut unshare = clean(Command::new("unshare"));
    // `--fork`, for a time namespace holds the children; `--kill-child`, so that none stays.
    unshare.args(["--time", "--fork", "--kill-child"]);
    for clock in ["--monotonic", "--boottime"] {
        unshare.args([clock, &seconds.to_string()]);
    }
    unshare.arg("--");
    unshare
}

#[test]
fn agents_on_other_clocks_behind_lopsided_paths_start_as_close_as_the_report_says() {
    let _took = took("start, other clocks");
    const TEST: &str = "agents_on_other_clocks…";
    if !rustix::process::geteuid().is_root() {
        return skip(TEST, "time namespaces need root");
    }
    if !gives_namespaces() {
        return skip(TEST, "the kernel gives no time namespace");
    }

    let site = Site::start();
    let dir = site.dir();
    let services = ["a", "b", "c"].map(|at| Service::start(dir, at, &format!("svc-{at}")));
    write_fleet_of(dir, &services);
    let stages = ["one", "two", "three"];
    std::fs::write(dir.join("s.yaml"), scenario("s", &stages, "3s", "500ms")).unwrap();
    let (_proxy, paths) = distances(dir, site.sessions, &[(60, 0), (0, 60)]);
    let places = [
        ("there-1", "a", Some(paths[0]), 1_000),
        ("back-1", "b", Some(paths[1]), 5_000),
        ("direct-1", "c", None, 20_000),
    ];
    let _agents = places.map(|(agent, environment, sessions, seconds)| {
        site.enrol(&Place {
            agent,
            environment,
            sessions,
        });
        site.run_agent(agent, namespace(seconds).arg(program("nepho-agent")))
    });
    site.ask(&["run", "s.yaml", "--out", "out"]).with(0);

    let (journal, report) = (journal(&dir.join("out")), report(&dir.join("out")));
    let ahead = |wrong: i64| {
        places
            .iter()
            .map(move |(agent, _, _, seconds)| (*agent, seconds * SECOND + wrong))
            .collect()
    };
    let errors = true_errors(&journal, &report, &ahead(0)).unwrap();
    assert_eq!(errors.len(), 9);
    // The lopsided paths do what they are for: half of 60 ms, either way. On a host whose clock is
    // kept the kernel knows better.
    let ordered = events(&journal, "controller");
    let kept = ordered.iter().any(|what| match what {
        What::StageOrdered { agents, .. } => agents.values().any(|order| order.measured.is_some()),
        _ => false,
    });
    for (agent, error) in errors.iter().filter(|_| !kept) {
        let lopsided = match agent.as_str() {
            "there-1" => *error < -15 * MILLISECOND,
            "back-1" => *error > 15 * MILLISECOND,
            _ => true,
        };
        assert!(lopsided, "{agent}: {error} ns");
    }
    // The check can fail.
    for wrong in [-100, 100] {
        assert!(
            true_errors(&journal, &report, &ahead(wrong * MILLISECOND)).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn ten_starts_on_loopback_are_close() {
    let _took = took("start, loopback");
    let site = Site::start();
    let dir = site.dir();
    let services = ["a", "b"].map(|at| Service::start(dir, at, &format!("svc-{at}")));
    write_fleet_of(dir, &services);
    let stages = ["one", "two", "three", "four", "five"];
    std::fs::write(dir.join("s.yaml"), scenario("s", &stages, "1s", "250ms")).unwrap();
    let _agents =
        [("a-1", "a"), ("b-1", "b")].map(|(agent, at)| site.agent(&Place::new(agent, at)));
    site.ask(&["run", "s.yaml", "--out", "out"]).with(0);
    let (journal, report) = (journal(&dir.join("out")), report(&dir.join("out")));
    let ahead = BTreeMap::from([("a-1", 0), ("b-1", 0)]);
    let mut errors: Vec<_> = true_errors(&journal, &report, &ahead)
        .unwrap()
        .into_iter()
        .map(|(_, error)| error.abs())
        .collect();
    errors.sort_unstable();
    let [min, .., max] = errors[..] else {
        panic!("{errors:?}")
    };
    let median = errors[errors.len() / 2];
    println!("ten starts: median {median} ns, least {min} ns, most {max} ns; the goal is 1 ms");
    assert_eq!(errors.len(), 10);
    assert!(median < 50 * MILLISECOND, "{errors:?}");
}
