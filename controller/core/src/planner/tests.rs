use nepho_common::policy::{Policy, Ports, TargetRule};

use super::*;
use crate::scenario::{Bundle, Source};

const FLEET: &str = "api: nepho/v1
environments: {local: {}, cloud: {}}
services:
  - {name: web, environment: local, group: front, http: {}, address: {inside: '10.0.0.1:80', from: {cloud: 'https://web.example'}}}
  - {name: db, environment: local, group: data, tcp: {}, address: {inside: '10.0.0.2:5432'}}
";

fn bundle(stages: &str) -> Bundle {
    let source = |name: &str, text: String| Source {
        name: name.to_owned(),
        text,
    };
    let scenario = format!("api: nepho/v1\nname: s\nfleet: fleet.yaml\nstages:\n{stages}");
    let fleet = source("fleet.yaml", FLEET.to_owned());
    Bundle {
        scenario: source("s.yaml", scenario),
        files: [("fleet.yaml".to_owned(), fleet)].into(),
    }
}

/// The careful default, and the one name that the fleet declares.
fn policy() -> Policy {
    let mut policy = Policy::careful();
    policy.targets.push(TargetRule {
        network: None,
        host: Some("web.example".to_owned().try_into().unwrap()),
        ports: Ports::All,
    });
    policy
}

fn inventory(agents: &[(&str, &str)]) -> Inventory {
    let available = |(agent, environment): &(&str, &str)| {
        let features = ["probe.http".parse().unwrap(), "probe.tcp".parse().unwrap()].into();
        let environment = environment.parse().unwrap();
        (
            agent.parse().unwrap(),
            Available {
                environment,
                features,
                policy: Some(PolicyReport::of(&policy())),
            },
        )
    };
    Inventory {
        agents: agents.iter().map(available).collect(),
    }
}

fn planned(stages: &str, agents: &[(&str, &str)], choices: Choices) -> Result<Planned, Impossible> {
    let bundle = bundle(stages);
    let loaded = scenario::load(&bundle).unwrap_or_else(|d| panic!("{}", d.render(false)));
    plan(&loaded, bundle.digests(), &inventory(agents), choices)
}

const REACH: &str = "  - name: one
    lasts: 10s
    steps: {reach: {probe: {health: {}}}}
    expect:
      - {on: reach, failures: {max: 0}, by: [from, service]}
      - {on: reach, latency: {p50: {max: 50ms}, max: {max: 1s}}}
";
const BOTH: [(&str, &str); 2] = [("cloud-1", "cloud"), ("local-1", "local")];

fn paths(planned: &Planned) -> Vec<&PlannedPath> {
    let Act::Probe(probe) = &planned.plan.stages[0].steps[0].act;
    probe.to.iter().collect()
}

#[test]
fn every_environment_asks_every_instance_and_undeclared_paths_are_said() {
    let planned = planned(REACH, &BOTH, Choices::default()).unwrap();
    let told: Vec<_> = paths(&planned)
        .iter()
        .map(|path| {
            let route = match &path.route {
                Route::Ask {
                    check: Check::Http(http),
                    offset,
                } => format!("{} +{offset}", http.url),
                Route::Ask {
                    check: Check::Tcp(tcp),
                    offset,
                } => format!("{}:{} +{offset}", tcp.host, tcp.port),
                Route::NoPath => "no path".to_owned(),
            };
            format!("{} {} {}: {route}", path.agent, path.to, path.operation)
        })
        .collect();
    insta::assert_snapshot!(
        "paths",
        told.join(
            "
"
        )
    );
    assert_eq!(planned.notes.len(), 1);
    assert_eq!(planned.requests, 30);
    insta::assert_snapshot!("plan", render(&planned));
}

#[test]
fn what_is_the_same_has_the_same_id_and_what_differs_another() {
    let id = |stages: &str, agents: &[_], seed| {
        planned(
            stages,
            agents,
            Choices {
                seed,
                keep_going: false,
            },
        )
        .unwrap()
        .id
    };
    let first = id(REACH, &BOTH, 1);
    assert_eq!(id(REACH, &BOTH, 1), first);
    assert_ne!(id(REACH, &BOTH, 2), first);
    assert_ne!(id(&REACH.replace("10s", "11s"), &BOTH, 1), first);
    assert_ne!(
        id(REACH, &[("cloud-2", "cloud"), ("local-1", "local")], 1),
        first
    );
}

#[test]
fn an_agent_that_has_nothing_to_do_with_it_changes_nothing() {
    let stages = REACH.replace("health: {}", "health: {}, from: [local]");
    let alone = planned(&stages, &BOTH[1..], Choices::default()).unwrap();
    let beside = planned(&stages, &BOTH, Choices::default()).unwrap();
    assert_eq!(alone.id, beside.id);
}

#[test]
fn one_agent_of_each_environment_asks_unless_more_are_wanted() {
    let three = [("a", "local"), ("b", "local"), ("c", "local")];
    let asking = |agents: &str| {
        let stages = REACH.replace(
            "health: {}",
            &format!("health: {{}}, from: [local]{agents}"),
        );
        planned(&stages, &three, Choices::default())
            .unwrap()
            .plan
            .agents
            .len()
    };
    assert_eq!(
        [asking(""), asking(", agents: '2'"), asking(", agents: all")],
        [1, 2, 3]
    );
}

#[test]
fn all_reasons_against_a_plan_come_at_once() {
    let stages = "  - name: one
    lasts: 10s
    steps:
      port: {probe: {tcp: {}, to: {group: [data], service: [web]}}}
      page: {probe: {http: {path: /}, to: {service: [db]}}}
      secret: {probe: {http: {path: /, headers: {x-key: '${env:KEY}'}}, to: {service: [web]}}}
";
    let Impossible(why) = planned(stages, &BOTH[1..], Choices::default()).unwrap_err();
    insta::assert_snapshot!("impossible", why.join("\n"));
}

#[test]
fn too_few_samples_are_said_with_the_duration_that_would_do() {
    let stages = REACH
        .replace("health: {}", "health: {}, every: 4s, from: [local]")
        .replace("lasts: 10s", "lasts: 5s");
    let planned = planned(&stages, &BOTH, Choices::default()).unwrap();
    let median = planned
        .estimates
        .iter()
        .find(|e| e.expected.contains("p50"))
        .unwrap();
    assert_eq!((median.needed, median.planned), (6, 3));
    assert_eq!(median.would_need, Some(Nanos::from_secs(12)));
    assert!(planned.estimates.iter().filter(|e| !e.is_enough()).count() == 1);
}
