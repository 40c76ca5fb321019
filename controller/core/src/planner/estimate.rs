//! Whether what is planned can decide what is expected: samples needed against samples planned.

use nepho_common::{
    id::{StageName, StepName},
    plan::{Act, Expectation, Judge, Plan, PlannedPath, PlannedStage, Probe, Route},
    time::Nanos,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::tuple::{Tuple, tuples};

/// What one expectation needs, and what the plan gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The stage.
    pub stage: StageName,
    /// The step.
    pub on: StepName,
    /// What is expected, in the words of the file.
    pub expected: String,
    /// How many findings it makes.
    pub findings: u64,
    /// How many of them have no declared path and are not run.
    pub without_path: u64,
    /// Samples that each finding needs for a verdict.
    pub needed: u64,
    /// Samples that the poorest finding gets.
    pub planned: u64,
    /// How long the stage would have to last for it, when it is too short.
    pub would_need: Option<Nanos>,
}

impl Estimate {
    /// Whether every finding that is run can be decided.
    #[must_use]
    pub const fn is_enough(&self) -> bool {
        self.would_need.is_none()
    }
}

pub(super) fn estimates(plan: &Plan) -> Vec<Estimate> {
    let of_stage = |stage| move |expectation| estimate(plan, stage, expectation);
    plan.stages
        .iter()
        .flat_map(|stage| stage.expectations.iter().filter_map(of_stage(stage)))
        .collect()
}

fn estimate(plan: &Plan, stage: &PlannedStage, expectation: &Expectation) -> Option<Estimate> {
    let step = stage
        .steps
        .iter()
        .find(|step| step.name == expectation.on)?;
    let Act::Probe(probe) = &step.act;
    let all = tuples(plan, step, &expectation.by);
    let needed = needed(&expectation.judge);
    let asked: Vec<_> = all.iter().filter(|tuple| paths(tuple) > 0).collect();
    let given = |tuple: &&Tuple<'_>| planned(probe, tuple, stage.lasts);
    let poorest = asked.iter().copied().min_by_key(given);
    let planned = poorest.as_ref().map_or(0, given);
    let would_need = poorest.filter(|_| planned < needed).map(|tuple| {
        let rounds = needed.div_ceil(paths(tuple).max(1));
        Nanos(rounds.saturating_mul(probe.every.0))
    });
    Some(Estimate {
        stage: stage.name.clone(),
        on: expectation.on.clone(),
        expected: text(expectation),
        findings: all.len() as u64,
        without_path: (all.len() - asked.len()) as u64,
        needed,
        planned,
        would_need,
    })
}

/// The fewest samples that let a judge decide.
const fn needed(judge: &Judge) -> u64 {
    match judge {
        Judge::Failures { .. } | Judge::SuccessRate { .. } => 1,
        Judge::Latency { quantile, .. } => quantile.samples_needed(),
    }
}

fn paths(tuple: &Tuple<'_>) -> u64 {
    tuple
        .paths
        .iter()
        .filter(|path| path.route != Route::NoPath)
        .count() as u64
}

fn planned(probe: &Probe<PlannedPath>, tuple: &Tuple<'_>, lasts: Nanos) -> u64 {
    let of_path = |path: &&PlannedPath| match &path.route {
        Route::Ask { offset, .. } => probe.requests(*offset, lasts),
        Route::NoPath => 0,
    };
    tuple.paths.iter().map(of_path).sum()
}

fn text(expectation: &Expectation) -> String {
    let judged = match &expectation.judge {
        Judge::Failures { max } => format!("failures ≤ {max}"),
        Judge::SuccessRate { min } => format!("success-rate ≥ {min}"),
        Judge::Latency { quantile, max, min } => {
            let low = min.map(|min| format!("{min} ≤ ")).unwrap_or_default();
            let high = max.map(|max| format!(" ≤ {max}")).unwrap_or_default();
            format!("{low}latency {}{high}", quantile.word())
        }
    };
    if expectation.by.is_empty() {
        return judged;
    }
    let by: Vec<_> = expectation.by.iter().map(|by| by.word()).collect();
    format!("{judged} by {}", by.join(", "))
}
