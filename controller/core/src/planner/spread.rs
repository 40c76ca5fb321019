//! When each target is asked first, so that no agent asks in bursts and no two agents ask one target
//! at one instant.

use std::collections::BTreeMap;

use nepho_common::{
    id::AgentId,
    plan::{Act, PlannedPath, PlannedStep, Route},
    time::Nanos,
};

/// Gives every request of a stage its offset.
///
/// Within a step, an agent's targets share the interval evenly; the order is turned by the agent's
/// rank. An agent's steps share the time between two targets, so that steps with one interval never
/// ask together. Each agent's first step asks its first target at the very start of the stage.
pub(super) fn spread(steps: &mut [PlannedStep]) {
    let mut of_agent: BTreeMap<AgentId, u64> = BTreeMap::new();
    for step in &*steps {
        for (agent, _) in asked(step.act.to()) {
            *of_agent.entry(agent).or_default() += 1;
        }
    }
    let mut before: BTreeMap<AgentId, u64> = BTreeMap::new();
    for step in steps {
        let Act::Probe(probe) = &mut step.act else {
            continue;
        };
        let counts = asked(&probe.to);
        let agents = counts.len() as u64;
        for (rank, (agent, count)) in (0u64..).zip(&counts) {
            let all = of_agent.get(agent).copied().unwrap_or(1);
            let phase = before.entry(agent.clone()).or_default();
            let turn = rank * count / agents;
            let mine = probe.to.iter_mut().filter(|path| path.agent == *agent);
            let mut place = turn;
            for path in mine {
                if let Route::Ask { offset, .. } = &mut path.route {
                    let slot = u128::from(place % count * all + *phase);
                    let into = u128::from(probe.every.0) * slot / u128::from(count * all);
                    *offset = Nanos(u64::try_from(into).expect("less than `every`"));
                    place += 1;
                }
            }
            *phase += 1;
        }
    }
}

/// The agents that ask, and how many targets each.
fn asked(paths: &[PlannedPath]) -> BTreeMap<AgentId, u64> {
    let mut counts = BTreeMap::new();
    for path in paths.iter().filter(|path| path.route != Route::NoPath) {
        *counts.entry(path.agent.clone()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use nepho_common::plan::{Check, Probe, TcpCheck};
    use proptest::prelude::*;

    use super::*;

    fn step(index: usize, agents: usize, targets: usize, every: Nanos) -> PlannedStep {
        let path = |agent: usize, target: usize| PlannedPath {
            agent: format!("a{agent}").parse().unwrap(),
            to: format!("local/s{target}/1").parse().unwrap(),
            operation: "connect".to_owned().try_into().unwrap(),
            route: Route::Ask {
                check: Check::Tcp(TcpCheck {
                    host: String::new(),
                    port: 1,
                    ..TcpCheck::default()
                }),
                offset: Nanos(0),
            },
        };
        let to = (0..agents).flat_map(|agent| (0..targets).map(move |target| path(agent, target)));
        let act = Act::Probe(Probe {
            every,
            timeout: every,
            to: to.collect(),
        });
        PlannedStep {
            name: format!("p{index}").parse().unwrap(),
            act,
        }
    }

    fn offsets(step: &PlannedStep, agent: &str) -> Vec<Nanos> {
        let offset = |path: &PlannedPath| match path.route {
            Route::Ask { offset, .. } if path.agent.as_str() == agent => Some(offset),
            Route::Ask { .. } | Route::NoPath => None,
        };
        step.act.to().iter().filter_map(offset).collect()
    }

    proptest! {
        #[test]
        fn requests_are_spread_evenly_and_none_share_an_instant(
            targets in 1usize..50, agents in 1usize..5, steps in 1usize..6, every in 100u64..10_000,
        ) {
            let every = Nanos::from_millis(every);
            let mut all: Vec<_> = (0..steps).map(|i| step(i, agents, targets, every)).collect();
            spread(&mut all);
            for agent in 0..agents {
                let agent = format!("a{agent}");
                let mut due: Vec<_> = all.iter().flat_map(|step| offsets(step, &agent)).collect();
                prop_assert_eq!(due.iter().min(), Some(&Nanos(0)), "something shows the start");
                due.sort();
                for (place, offset) in (0u128..).zip(&due) {
                    let even = u128::from(every.0) * place / (targets * steps) as u128;
                    prop_assert_eq!(u128::from(offset.0), even);
                }
            }
            if targets >= agents {
                let first = |agent| offsets(&all[0], &format!("a{agent}"))[0];
                let mut firsts: Vec<_> = (0..agents).map(first).collect();
                firsts.sort();
                firsts.dedup();
                prop_assert_eq!(firsts.len(), agents, "one target is asked by one agent at a time");
            }
        }
    }
}
