//! Whether what is planned can decide what is expected: samples needed against samples planned.

use nepho_common::{
    id::{StageName, StepName},
    plan::{
        Act, DecidesOn, Expectation, Judge, LatencyMax, Load, Member, Plan, PlannedPath,
        PlannedStage, PlannedStep, Probe, Ratio, Route, Watch, Window,
    },
    time::Nanos,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    report::{
        stats::{
            distribution::{Backend, distribution},
            share,
        },
        tuple::{Tuple, tuples, watched},
    },
    scenario,
};

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
    /// How long the part of the stage is that is judged.
    #[serde(default)]
    pub within: Nanos,
    /// How long it would have to be, when it is too short.
    pub would_need: Option<Nanos>,
    /// How often it would have to be asked instead; absent when no probe may ask so often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub or_every: Option<Nanos>,
}

impl Estimate {
    /// What would let it be decided; `None` when it can be.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let would_need = self.would_need?;
        let or = self
            .or_every
            .map_or_else(String::new, |every| format!(", or a probe every {every}"));
        if would_need > scenario::LASTS.1 {
            return Some(format!(
                "{would_need} would do, which is longer than a stage may last{or}; ask more \
                 targets or from more agents, or expect less"
            ));
        }
        Some(format!("{would_need} would do{or}"))
    }

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
    let probe = match &step.act {
        Act::Probe(probe) => probe,
        Act::Watch(watch) => return Some(readings(plan, stage, expectation, watch)),
        Act::Load(load) => return loaded(plan, stage, expectation, (step, load)),
    };
    let all = tuples(plan, step, &expectation.by);
    let needed = needed(&expectation.judge);
    let asked: Vec<_> = all.iter().filter(|tuple| paths(tuple) > 0).collect();
    let span = expectation.during.span(stage.lasts);
    let given = |tuple: &&Tuple<'_>| planned(probe, tuple, span);
    let poorest = asked.iter().copied().min_by_key(given);
    let planned = poorest.as_ref().map_or(0, given);
    let within = Nanos(span.1.0 - span.0.0);
    let rounds = poorest
        .filter(|_| planned < needed)
        .map(|tuple| needed.div_ceil(paths(tuple).max(1)));
    let would_need = rounds.map(|rounds| Nanos(rounds.saturating_mul(probe.every.0)));
    // Whole milliseconds, and one round to spare for paths that begin late in the interval.
    let or_every = rounds.map(|rounds| Nanos(within.0 / (rounds + 1) / 1_000_000 * 1_000_000));
    Some(Estimate {
        stage: stage.name.clone(),
        on: expectation.on.clone(),
        expected: text(expectation),
        findings: all.len() as u64,
        without_path: (all.len() - asked.len()) as u64,
        needed,
        planned,
        within,
        would_need,
        or_every: or_every.filter(|every| *every >= scenario::EVERY.0),
    })
}

/// Requests of a load; `None` when only answers decide how many there will be.
fn loaded(
    plan: &Plan,
    stage: &PlannedStage,
    expectation: &Expectation,
    (step, load): (&PlannedStep, &Load<PlannedPath>),
) -> Option<Estimate> {
    let all = tuples(plan, step, &expectation.by);
    let needed = needed(&expectation.judge);
    let span = expectation.during.span(stage.lasts);
    let within = Nanos(span.1.0.saturating_sub(span.0.0));
    let asked: Vec<_> = all.iter().filter(|tuple| paths(tuple) > 0).collect();
    let given = |tuple: &&Tuple<'_>| {
        let with_path = tuple
            .paths
            .iter()
            .filter(|path| path.route != Route::NoPath);
        with_path
            .map(|path| load.planned(path, span))
            .sum::<Option<u64>>()
    };
    let each: Option<Vec<u64>> = asked.iter().map(given).collect();
    let planned = each?.into_iter().min().unwrap_or(0);
    // As much more time as there is too little of it.
    let would_need = (planned < needed).then(|| {
        let wide = u128::from(within.0) * u128::from(needed) / u128::from(planned.max(1));
        let whole = wide.div_ceil(1_000_000_000) * 1_000_000_000 + u128::from(span.0.0);
        Nanos(u64::try_from(whole).unwrap_or(u64::MAX))
    });
    Some(Estimate {
        stage: stage.name.clone(),
        on: expectation.on.clone(),
        expected: text(expectation),
        findings: all.len() as u64,
        without_path: (all.len() - asked.len()) as u64,
        needed,
        planned,
        within,
        would_need,
        or_every: None,
    })
}

/// Readings of what is watched: each host or thing alone must give enough.
fn readings(
    plan: &Plan,
    stage: &PlannedStage,
    expectation: &Expectation,
    watch: &Watch,
) -> Estimate {
    let planned = watch.readings(stage.lasts);
    let needed = Watch::READINGS_MIN;
    Estimate {
        stage: stage.name.clone(),
        on: expectation.on.clone(),
        expected: text(expectation),
        findings: watched(plan, watch, expectation).len() as u64,
        without_path: 0,
        needed,
        planned,
        within: stage.lasts,
        would_need: (planned < needed).then(|| Nanos(watch.every.0.saturating_mul(needed))),
        or_every: None,
    }
}

/// The fewest samples that let a judge decide; of a confidence, that let it pass.
fn needed(judge: &Judge) -> u64 {
    match judge {
        Judge::Failures { .. }
        | Judge::SuccessRate {
            confidence: None, ..
        }
        | Judge::Certificate { .. }
        | Judge::Concurrency { .. }
        | Judge::Throughput { .. }
        | Judge::Same { .. } => 1,
        Judge::Distribution {
            members,
            tolerance,
            confidence,
            ..
        } => spread(members, *tolerance, *confidence),
        Judge::Resource { .. } => Watch::READINGS_MIN,
        Judge::SuccessRate {
            min,
            confidence: Some(confidence),
        } => share::samples_for(min.0, confidence.0).unwrap_or(u64::MAX),
        Judge::Latency { quantile, .. } => quantile.samples_needed(),
    }
}

/// Decisions that would show a spread as configured to be so.
fn spread(members: &[Member], tolerance: Ratio, confidence: Ratio) -> u64 {
    let back_end = |member: &Member| Backend {
        name: member.name.to_string(),
        weight: Some(member.weight),
        requests: 0,
        connections: 0,
    };
    let back_ends: Vec<_> = members.iter().map(back_end).collect();
    let none = distribution(&back_ends, DecidesOn::Request, tolerance, confidence);
    none.enough.unwrap_or(u64::MAX)
}

fn paths(tuple: &Tuple<'_>) -> u64 {
    tuple
        .paths
        .iter()
        .filter(|path| path.route != Route::NoPath)
        .count() as u64
}

fn planned(probe: &Probe<PlannedPath>, tuple: &Tuple<'_>, span: (Nanos, Nanos)) -> u64 {
    let of_path = |path: &&PlannedPath| match &path.route {
        Route::Ask { offset, .. } => probe.requests_within(*offset, span),
        Route::NoPath => 0,
    };
    tuple.paths.iter().map(of_path).sum()
}

/// A bound, for people.
pub(super) fn judged(judge: &Judge) -> String {
    match judge {
        Judge::Failures { max, confidence } => {
            format!("failures ≤ {max}{}", with(*confidence))
        }
        Judge::SuccessRate { min, confidence } => {
            format!("success-rate ≥ {min}{}", with(*confidence))
        }
        Judge::Latency { quantile, max, min } => {
            let low = min.map(|min| format!("{min} ≤ ")).unwrap_or_default();
            let high = max.map(|max| format!(" ≤ {max}")).unwrap_or_default();
            format!("{low}latency {}{high}", quantile.word())
        }
        Judge::Resource { name, max, min } => {
            let low = min.map(|min| format!("{min} ≤ ")).unwrap_or_default();
            let high = max.map(|max| format!(" ≤ {max}")).unwrap_or_default();
            format!("{low}{name}{high}")
        }
        Judge::Certificate { min } => {
            format!("certificate left ≥ {}", scenario::print_days(*min))
        }
        Judge::Distribution {
            over,
            tolerance,
            confidence,
            ..
        } => format!("distribution over {over} within {tolerance} with {confidence} confidence"),
        Judge::Same { fact } => format!("the same {fact}"),
        Judge::Throughput { max, min } => {
            let low = min.map(|min| format!("{min} ≤ ")).unwrap_or_default();
            let high = max.map(|max| format!(" ≤ {max}")).unwrap_or_default();
            format!("{low}throughput{high}")
        }
        Judge::Concurrency {
            min,
            latency,
            success_rate,
        } => {
            let latency = latency
                .map(|LatencyMax { quantile, max }| format!("latency {} ≤ {max}", quantile.word()));
            let share = success_rate.map(|min| format!("success-rate ≥ {min}"));
            let within: Vec<_> = latency.into_iter().chain(share).collect();
            format!("concurrency ≥ {min} within {}", within.join(" and "))
        }
    }
}

fn text(expectation: &Expectation) -> String {
    let judged = judged(&expectation.judge);
    let judged = match expectation.during {
        Window::Stage | Window::Baseline | Window::Warm(_) | Window::Stair { .. } => judged,
        Window::Before(over) => format!("steady state, {judged} over the first {over}"),
        Window::After(over) => format!("steady state, {judged} over the last {over}"),
    };
    if expectation.by.is_empty() {
        return judged;
    }
    let by: Vec<_> = expectation.by.iter().map(|by| by.word()).collect();
    format!("{judged} by {}", by.join(", "))
}

fn with(confidence: Option<Ratio>) -> String {
    confidence.map_or_else(String::new, |confidence| {
        format!(" with {confidence} confidence")
    })
}
