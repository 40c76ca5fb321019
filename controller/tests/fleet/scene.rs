//! What is played: three agents, two stages, four targets each, everything expected to succeed.

use std::collections::{BTreeMap, BTreeSet};

use nepho_agent_core::engine::Engine;
use nepho_common::{
    control::Host,
    id::{AgentId, Feature},
    plan::{
        Act, Check, Dimension, Expectation, Judge, LostAgent, Plan, PlannedAgent, PlannedInstance,
        PlannedPath, PlannedStage, PlannedStep, Probe, Route, TcpCheck, Window,
    },
    policy::{Policy, Ports, TargetRule},
    time::Nanos,
};

pub(crate) const AGENTS: [&str; 3] = ["aliyun-1", "local-1", "tencent-1"];

/// Requests of one agent in one stage: four targets, once a second for twelve seconds.
pub(crate) const REQUESTS: u64 = 48;

pub(crate) fn agent(index: usize) -> AgentId {
    AGENTS[index].parse().unwrap()
}

pub(crate) fn environment(name: &str) -> nepho_common::id::EnvironmentName {
    name.trim_end_matches("-1").parse().unwrap()
}

pub(crate) fn host() -> Host {
    let text = |text: &str| text.to_owned();
    Host {
        name: text("sim"),
        os: text("sim"),
        kernel: text("sim"),
        arch: text("sim"),
        cpus: 1,
        memory: 1,
        version: text("0.1.0"),
    }
}

pub(crate) fn engine() -> Engine {
    let mut policy = Policy::careful();
    let host = "sim".to_owned().try_into().unwrap();
    policy.targets.push(TargetRule::host(host, Ports::All));
    Engine::new(features(), Ok(policy), Vec::new())
}

pub(crate) fn plan(seed: u64) -> Plan {
    let targets = ["local/a/1", "local/b/1", "tencent/c/1", "aliyun/d/1"];
    let path = |(index, agent, to): (u64, &str, &str)| PlannedPath {
        agent: agent.parse().unwrap(),
        to: to.parse().unwrap(),
        operation: "connect".to_owned().try_into().unwrap(),
        route: Route::Ask {
            check: Check::Tcp(TcpCheck {
                host: "sim".to_owned(),
                port: 1,
                ..TcpCheck::default()
            }),
            offset: Nanos::from_millis(index * 250),
        },
    };
    let everyone = || {
        AGENTS
            .iter()
            .flat_map(|agent| (0..4).zip(targets).map(move |(i, to)| (i, *agent, to)))
    };
    let stage = |name: &str, after: &[&str]| PlannedStage {
        name: name.parse().unwrap(),
        after: after.iter().map(|name| name.parse().unwrap()).collect(),
        lasts: Nanos::from_secs(12),
        steps: vec![PlannedStep {
            name: "reach".parse().unwrap(),
            act: Act::Probe(Probe {
                every: Nanos::from_secs(1),
                timeout: Nanos::from_secs(2),
                to: everyone().map(path).collect(),
            }),
        }],
        abort_if: Vec::new(),
        expectations: vec![Expectation {
            on: "reach".parse().unwrap(),
            judge: Judge::Failures {
                max: 0,
                confidence: None,
            },
            by: vec![Dimension::From],
            during: Window::Stage,
            gate: true,
        }],
    };
    let planned = |name: &&str| {
        let features = BTreeSet::from(["probe.tcp".parse().unwrap()]);
        (
            name.parse().unwrap(),
            PlannedAgent {
                environment: environment(name),
                features,
            },
        )
    };
    let instance = |to: &str| (to.parse().unwrap(), PlannedInstance { group: None });
    Plan {
        schema: Plan::SCHEMA.to_owned(),
        scenario: "sim".parse().unwrap(),
        title: "sim".to_owned(),
        seed,
        keep_going: true,
        lost_agent: LostAgent::default(),
        files: BTreeMap::new(),
        agents: AGENTS.iter().map(planned).collect(),
        instances: targets.into_iter().map(instance).collect(),
        stages: vec![stage("one", &[]), stage("two", &["one"])],
    }
}

/// What the agents of this world can do.
pub(crate) fn features() -> BTreeSet<Feature> {
    ["probe.tcp", "run.resume"]
        .map(|name| name.parse().unwrap())
        .into()
}
