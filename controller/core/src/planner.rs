//! Scenario, fleet, inventory and seed to a plan that leaves nothing to choose.
//!
//! - [`plan`]: the plan, or every reason why there can be none.
//! - [`Planned`]: the plan with what a person wants to know before nodding: [`render`].
//! - `question`: what is asked of one instance. `spread`: when each target is asked first. `judge`: the scenario's expectations in the plan's words. `estimate`: whether what is planned
//!   can decide what is expected. `capacity`: whether their hosts can send it. `permitted`: whether the agents' policies allow it.
//!
//! The same scenario, fleet, files, agents and seed give the same plan id.

mod capacity;
mod estimate;
mod judge;
mod load;
mod permitted;
mod pool;
mod question;
mod spread;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    calibrated::Calibrated,
    control::PolicyReport,
    id::{AgentId, Digest, EnvironmentName, Feature, InstanceId, PlanId, StageName, StepName},
    plan::{
        Act, Check, Load, Plan, PlannedAgent, PlannedInstance, PlannedPath, PlannedStage,
        PlannedStep, Probe, Route, Watch,
    },
    time::Nanos,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::permitted::Permitted;
pub use self::{
    estimate::Estimate,
    permitted::{BlastRadius, in_a_word, local_policy},
    text::render,
};
use crate::{
    fleet::{Fleet, Instance},
    scenario::{self, Agents, Loaded, Scenario, Step},
};

/// Names the JSON form of [`Planned`].
pub const SCHEMA: &str = "nepho.planned/v1";

/// Who is connected and what each can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// By name.
    pub agents: BTreeMap<AgentId, Available>,
}

/// An agent that could take part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Available {
    /// Where it is.
    pub environment: EnvironmentName,
    /// What it can do.
    pub features: BTreeSet<Feature>,
    /// What its host lets it do, as it said; `None` from a release that has no policy.
    pub policy: Option<PolicyReport>,
    /// Its host's name. Agents on one host share what it can send.
    pub host: String,
    /// How much its host was found to send on time, if anybody measured it.
    pub calibrated: Option<Calibrated>,
}

/// What the operator decides beside the scenario.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Choices {
    /// Draws whatever the scenario leaves to chance.
    pub seed: u64,
    /// Later stages start although an earlier one failed.
    pub keep_going: bool,
}

/// A plan and what a person wants to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Planned {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Names the plan for ever.
    pub id: PlanId,
    /// What will be done.
    pub plan: Plan,
    /// How long the stages last in all.
    pub lasts: Nanos,
    /// Requests in all.
    pub requests: u64,
    /// What stolen, this controller could do with these agents, and what this plan does.
    #[serde(default)]
    pub blast: BlastRadius,
    /// The policies of the agents that take part, in a word each.
    #[serde(default)]
    pub policies: BTreeMap<AgentId, String>,
    /// For each expectation, whether what is planned can decide it.
    pub estimates: Vec<Estimate>,
    /// What deserves a look: paths that are not declared, agents that have nothing to do.
    pub notes: Vec<String>,
}

/// Why there can be no plan; a sentence each, with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Impossible(pub Vec<String>);

/// Plans.
///
/// # Errors
/// Every reason why it can't be done with these agents, at once.
pub fn plan(
    loaded: &Loaded,
    files: BTreeMap<String, Digest>,
    inventory: &Inventory,
    choices: Choices,
) -> Result<Planned, Impossible> {
    let Loaded { scenario, fleet } = loaded;
    let mut draft = Draft {
        scenario,
        fleet,
        inventory,
        seed: choices.seed,
        problems: Vec::new(),
        unattended: BTreeMap::new(),
        notes: Vec::new(),
    };
    let mut stages: Vec<_> = scenario
        .stages
        .iter()
        .map(|stage| draft.stage(stage))
        .collect();
    judge::steady_state(&scenario.steady_state, &mut stages);
    judge::abort_if(&scenario.abort_if, &mut stages);
    let Draft {
        mut notes,
        mut problems,
        unattended,
        ..
    } = draft;
    problems.extend(unattended.iter().map(|(environment, places)| {
        format!(
            "no agent is connected in environment {environment}, which {} asks from; start one \
             there, or leave the environment out of `from`",
            places.join(", ")
        )
    }));
    if !problems.is_empty() {
        return Err(Impossible(problems));
    }
    let (agents, instances) = taking_part(&stages, fleet, inventory);
    let plan = Plan {
        schema: Plan::SCHEMA.to_owned(),
        scenario: scenario.name.clone(),
        title: scenario
            .title
            .as_ref()
            .map_or_else(|| scenario.name.to_string(), |t| t.as_str().to_owned()),
        seed: choices.seed,
        keep_going: choices.keep_going,
        lost_agent: scenario.lost_agent,
        files,
        agents,
        instances,
        stages,
    };
    let Permitted {
        blast,
        policies,
        notes: of_policies,
    } = permitted::judge(&plan, inventory).map_err(Impossible)?;
    notes.extend(of_policies);
    notes.extend(capacity::notes(&plan, inventory));
    Ok(Planned {
        schema: SCHEMA.to_owned(),
        id: plan.id(),
        lasts: Nanos(plan.stages.iter().map(|stage| stage.lasts.0).sum()),
        requests: plan.stages.iter().map(requests).sum(),
        blast,
        policies,
        estimates: estimate::estimates(&plan),
        notes,
        plan,
    })
}

struct Draft<'a> {
    scenario: &'a Scenario,
    fleet: &'a Fleet,
    inventory: &'a Inventory,
    seed: u64,
    problems: Vec<String>,
    /// Environments without an agent, and the steps that need one there.
    unattended: BTreeMap<EnvironmentName, Vec<String>>,
    notes: Vec<String>,
}

impl Draft<'_> {
    fn stage(&mut self, stage: &scenario::Stage) -> PlannedStage {
        let steps = stage.steps.iter().map(|(name, step)| {
            let act = match step {
                Step::Probe(probe) => Act::Probe(self.probe(&stage.name, name, probe)),
                Step::Watch(watch) => Act::Watch(self.watch(&stage.name, name, watch)),
                Step::Load(load) => Act::Load(self.load(stage, name, load)),
            };
            PlannedStep {
                name: name.clone(),
                act,
            }
        });
        let mut steps: Vec<_> = steps.collect();
        spread::spread(&mut steps);
        let unshown = stage.expect.iter().filter_map(|one| {
            let on = steps.iter().filter(|step| step.name == one.on);
            let mut checks = on.flat_map(asked);
            let why = match one.judge {
                scenario::Judge::Certificate { .. } => {
                    (!checks.any(Check::shows_certificate)).then_some("shows one; ask over https")
                }
                scenario::Judge::Same { .. } => {
                    (!checks.any(Check::tells_version)).then_some("tells of it; ask over HTTP")
                }
                scenario::Judge::Failures { .. }
                | scenario::Judge::SuccessRate { .. }
                | scenario::Judge::Latency { .. }
                | scenario::Judge::Distribution { .. }
                | scenario::Judge::Concurrency { .. }
                | scenario::Judge::Throughput { .. }
                | scenario::Judge::Resource { .. } => None,
            }?;
            Some(format!(
                "stage {}, step {}: `{}` is expected, but nothing that is asked there {why}",
                stage.name,
                one.on,
                one.judge.as_str()
            ))
        });
        self.problems.extend(unshown);
        let mut expectations = Vec::new();
        for one in &stage.expect {
            match pool::pool(self.fleet, stage, one) {
                Ok(pool) => {
                    let of = stage.steps.get(&one.on);
                    expectations.extend(judge::expectations(one, of, pool.as_ref()));
                }
                Err(why) => {
                    let (stage, on) = (&stage.name, &one.on);
                    let problem = format!("stage {stage}, step {on}: {why}");
                    self.problems.push(problem);
                }
            }
        }
        PlannedStage {
            name: stage.name.clone(),
            after: stage.after.clone(),
            lasts: stage.lasts,
            steps,
            expectations,
            abort_if: Vec::new(),
        }
    }

    fn probe(
        &mut self,
        stage: &StageName,
        step: &StepName,
        probe: &scenario::Probe,
    ) -> Probe<PlannedPath> {
        let place = format!("stage {stage}, step {step}");
        let matches = |(id, instance): &(&InstanceId, &Instance)| probe.to.matches(id, instance);
        let targets: Vec<_> = self.fleet.instances.iter().filter(matches).collect();
        if targets.is_empty() {
            self.problems
                .push(format!("{place}: `to` selects no instance of the fleet"));
        }
        let asking = self.asking(&place, stage, step, (&probe.from, probe.agents));
        let mut to = Vec::new();
        for (agent, environment) in &asking {
            let mut paths = Vec::new();
            for (id, instance) in &targets {
                match question::ask(
                    self.fleet.path(environment, instance),
                    instance,
                    &probe.kind,
                ) {
                    Ok((operation, route)) => {
                        let (agent, to) = (agent.clone(), (*id).clone());
                        paths.push(PlannedPath {
                            agent,
                            to,
                            operation,
                            route,
                        });
                    }
                    Err(why) => self.problems.push(format!("{place}: {id}: {why}")),
                }
            }
            let missing = paths
                .iter()
                .filter(|path| path.route == Route::NoPath)
                .count();
            if missing > 0 {
                let note = format!(
                    "{place}: the fleet declares no path from {environment} to {missing} of {} instances; those are not run",
                    paths.len()
                );
                self.notes.push(note);
            }
            to.append(&mut paths);
        }
        Probe {
            every: probe.every,
            timeout: probe.timeout,
            to,
        }
    }

    fn watch(&mut self, stage: &StageName, step: &StepName, watch: &scenario::Watch) -> Watch {
        let place = format!("stage {stage}, step {step}");
        let looking = self.asking(&place, stage, step, (&watch.from, watch.agents));
        Watch {
            every: watch.every,
            hosts: looking.into_iter().map(|(agent, _)| agent).collect(),
            without_host: !watch.host,
            processes: watch.processes.clone(),
            containers: watch.containers.clone(),
        }
    }

    /// The agents that ask: of each environment one, so many or all, by rendezvous hash, so that
    /// one agent more or less moves no other.
    fn asking(
        &mut self,
        place: &str,
        stage: &StageName,
        step: &StepName,
        (from, agents): (&BTreeSet<EnvironmentName>, Agents),
    ) -> Vec<(AgentId, EnvironmentName)> {
        let everywhere = || self.fleet.environments.keys().cloned().collect();
        let from = if from.is_empty() {
            everywhere()
        } else {
            from.clone()
        };
        let mut asking = Vec::new();
        for environment in from {
            let here = self
                .inventory
                .agents
                .iter()
                .filter(|(_, a)| a.environment == environment);
            let mut here: Vec<_> = here.map(|(agent, _)| agent.clone()).collect();
            if here.is_empty() {
                self.unattended
                    .entry(environment.clone())
                    .or_default()
                    .push(place.to_owned());
            }
            if let Agents::AtMost(most) = agents {
                let name = &self.scenario.name;
                let weight = |agent: &AgentId| {
                    Digest::of(format!("{name}/{stage}/{step}/{environment}/{agent}").as_bytes())
                };
                here.sort_by_key(weight);
                here.truncate(usize::try_from(most.get()).unwrap_or(usize::MAX));
                here.sort();
            }
            asking.extend(here.into_iter().map(|agent| (agent, environment.clone())));
        }
        asking
    }
}

/// The agents and instances that the stages name.
fn taking_part(
    stages: &[PlannedStage],
    fleet: &Fleet,
    inventory: &Inventory,
) -> (
    BTreeMap<AgentId, PlannedAgent>,
    BTreeMap<InstanceId, PlannedInstance>,
) {
    let mut agents: BTreeMap<AgentId, PlannedAgent> = BTreeMap::new();
    let mut instances = BTreeMap::new();
    let planned = |agent: &AgentId| {
        let available = inventory.agents.get(agent).expect("agents come from there");
        PlannedAgent {
            environment: available.environment.clone(),
            features: BTreeSet::new(),
        }
    };
    for step in stages.iter().flat_map(|stage| &stage.steps) {
        for path in step.act.to() {
            let instance = fleet
                .instances
                .get(&path.to)
                .expect("targets come from the fleet");
            instances.insert(
                path.to.clone(),
                PlannedInstance {
                    group: instance.group.clone(),
                },
            );
            let agent = agents.entry(path.agent.clone());
            let agent = agent.or_insert_with(|| planned(&path.agent));
            if let Route::Ask { check, .. } = &path.route {
                match &step.act {
                    Act::Load(_) => drop(agent.features.insert(Load::<PlannedPath>::action())),
                    Act::Probe(_) | Act::Watch(_) => agent.features.extend(check.features()),
                }
            }
        }
        if let Act::Watch(watch) = &step.act {
            for host in &watch.hosts {
                let agent = agents.entry(host.clone()).or_insert_with(|| planned(host));
                agent.features.extend(watch.features());
            }
        }
    }
    (agents, instances)
}

/// What a step asks.
fn asked(step: &PlannedStep) -> impl Iterator<Item = &Check> {
    step.act.to().iter().filter_map(|path| match &path.route {
        Route::Ask { check, .. } => Some(check),
        Route::NoPath => None,
    })
}

/// Requests of a stage in all.
fn requests(stage: &PlannedStage) -> u64 {
    let of_step = |step: &PlannedStep| {
        let probe = match &step.act {
            Act::Probe(probe) => probe,
            Act::Watch(_) => return 0,
            Act::Load(load) => {
                let all = load.to.iter();
                return all
                    .filter_map(|path| load.planned(path, (Nanos(0), stage.lasts)))
                    .sum();
            }
        };
        let of_path = |path: &PlannedPath| match &path.route {
            Route::Ask { offset, .. } => probe.requests(*offset, stage.lasts),
            Route::NoPath => 0,
        };
        probe.to.iter().map(of_path).sum::<u64>()
    };
    stage.steps.iter().map(of_step).sum()
}

#[cfg(test)]
mod tests;
