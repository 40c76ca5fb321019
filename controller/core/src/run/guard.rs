//! What agents tell while a stage runs, merged over all of them, and whether it still holds what the
//! scenario says must hold.
//!
//! What is looked at is whole spans of recordings: a second of a load, ten of a probe. A span is
//! judged with those before it once every agent that measures the step has told of it; one that is
//! silent is waited for a little. After a restart of the controller the past is empty, and fills again.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    histogram::Histogram,
    id::{AgentId, StageName, StepName},
    plan::{AbortIf, Judge, PlannedStage, Quantile, Ratio, Route},
    time::{Interval, Nanos, RunTime},
};

/// For so long after its end a span waits for agents that have not told of it.
const GRACE: Nanos = Nanos::from_secs(5);
/// No clock of an agent is known worse than this: what claims to be of later is not believed.
const AHEAD: Nanos = Nanos::from_secs(2);

/// What an agent's recordings of one span say of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// Who measured.
    pub agent: AgentId,
    /// In which stage.
    pub stage: StageName,
    /// The step.
    pub step: StepName,
    /// When, in run time.
    pub span: Interval,
    /// Response times of what succeeded.
    pub successes: Histogram,
    /// How many failed on the target's side.
    pub failures: u64,
}

/// The past of the stage that runs.
#[derive(Debug, Default)]
pub(super) struct Guard {
    stage: Option<StageName>,
    steps: BTreeMap<StepName, BTreeMap<Interval, Span>>,
    /// Up to where each condition was judged, by its place.
    judged: BTreeMap<usize, RunTime>,
}

#[derive(Debug, Default)]
struct Span {
    successes: Histogram,
    failures: u64,
    told: BTreeSet<AgentId>,
}

/// A condition that does not hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) step: StepName,
    pub(super) why: String,
}

impl Guard {
    /// Takes what an agent told of the stage that began at `began` and may not be over at `now`.
    pub(super) fn add(
        &mut self,
        stage: &PlannedStage,
        (began, now): (RunTime, RunTime),
        glance: Glance,
    ) {
        let is_asked = stage.abort_if.iter().any(|one| one.on == glance.step);
        let is_past = glance.span.from >= began
            && glance.span.from < glance.span.to
            && glance.span.to <= now.plus(AHEAD);
        if glance.stage != stage.name || !is_asked || !is_past {
            return;
        }
        if self.stage.as_ref() != Some(&stage.name) {
            *self = Self {
                stage: Some(stage.name.clone()),
                ..Self::default()
            };
        }
        let spans = self.steps.entry(glance.step).or_default();
        let span = spans.entry(glance.span).or_default();
        span.successes.merge(&glance.successes);
        span.failures = span.failures.saturating_add(glance.failures);
        span.told.insert(glance.agent);
    }

    /// The first condition that does not hold any more.
    pub(super) fn broken(
        &mut self,
        stage: &PlannedStage,
        (began, now): (RunTime, RunTime),
    ) -> Option<Broken> {
        if self.stage.as_ref() != Some(&stage.name) {
            return None;
        }
        let mut found = None;
        for (place, one) in stage.abort_if.iter().enumerate() {
            let Some(spans) = self.steps.get(&one.on) else {
                continue;
            };
            let known = self.judged.get(&place).copied();
            let ends: BTreeSet<RunTime> = spans
                .iter()
                .filter(|(at, span)| known < Some(at.to) && is_told(stage, one, (at, span), now))
                .map(|(at, _)| at.to)
                .collect();
            for end in ends {
                self.judged.insert(place, end);
                // A whole past, or none.
                if end.since(began) < one.over {
                    continue;
                }
                let past = |at: &Interval| at.to <= end && end.since(at.from) <= one.over;
                let past = spans
                    .iter()
                    .filter(|(at, _)| past(at))
                    .map(|(_, span)| span);
                if let Some(why) = breaks(one, past) {
                    found.get_or_insert(Broken {
                        step: one.on.clone(),
                        why,
                    });
                }
            }
        }
        self.forget(stage);
        found
    }

    /// What no condition will look at again.
    fn forget(&mut self, stage: &PlannedStage) {
        for (step, spans) in &mut self.steps {
            let mine = stage.abort_if.iter().enumerate();
            let needed = mine.filter(|(_, one)| one.on == *step).map(|(place, one)| {
                let judged = self.judged.get(&place).map_or(0, |judged| judged.0);
                judged - i64::try_from(one.over.0).unwrap_or(i64::MAX)
            });
            let needed = needed.min().unwrap_or(i64::MIN);
            spans.retain(|at, _| at.from.0 >= needed);
        }
    }
}

/// Whether all have told of a span, or had the time to.
fn is_told(
    stage: &PlannedStage,
    one: &AbortIf,
    (at, span): (&Interval, &Span),
    now: RunTime,
) -> bool {
    let steps = stage.steps.iter().filter(|step| step.name == one.on);
    let paths = steps.flat_map(|step| step.act.to());
    let mut asking = paths.filter(|path| path.route != Route::NoPath);
    now >= at.to.plus(GRACE) || asking.all(|path| span.told.contains(&path.agent))
}

/// What is wrong with these spans together.
fn breaks<'a>(one: &AbortIf, spans: impl Iterator<Item = &'a Span>) -> Option<String> {
    let (mut successes, mut failures) = (Histogram::default(), 0_u64);
    for span in spans {
        successes.merge(&span.successes);
        failures = failures.saturating_add(span.failures);
    }
    let all = successes.count().saturating_add(failures);
    let over = one.over;
    match &one.judge {
        Judge::Failures { max, .. } => (failures > *max).then(|| {
            format!("{failures} of {all} requests failed within {over}, and at most {max} may")
        }),
        Judge::SuccessRate { min, .. } => {
            let ppm = u128::from(successes.count()) * 1_000_000 / u128::from(all.max(1));
            let share = Ratio(u32::try_from(ppm).unwrap_or(u32::MAX));
            (all > 0 && share < *min).then(|| {
                format!(
                    "{share} of {all} requests succeeded within {over}, and at least {min} must"
                )
            })
        }
        Judge::Latency { quantile, max, min } => {
            let value = among(&successes, all, *quantile)?;
            let word = quantile.word();
            let told = |value: Option<Nanos>| {
                value.map_or_else(|| "no answer at all".to_owned(), |value| value.to_string())
            };
            let slow = max.filter(|max| value.is_none_or(|value| value > *max));
            let fast = min.filter(|min| value.is_some_and(|value| value < *min));
            if let Some(max) = slow {
                let told = told(value);
                Some(format!(
                    "the {word} of {all} requests was {told} within {over}, and {max} is the most"
                ))
            } else {
                fast.map(|min| {
                    let told = told(value);
                    format!(
                        "the {word} of {all} requests was {told} within {over}, and {min} is the least"
                    )
                })
            }
        }
        Judge::Certificate { .. }
        | Judge::Resource { .. }
        | Judge::Same { .. }
        | Judge::Concurrency { .. }
        | Judge::Throughput { .. }
        | Judge::Distribution { .. } => None,
    }
}

/// A quantile of successes and failures, of which a failure took longer than any success: `None`
/// inside when it falls among the failures, `None` when there was nothing.
fn among(successes: &Histogram, all: u64, quantile: Quantile) -> Option<Option<Nanos>> {
    if all == 0 {
        return None;
    }
    let (num, den) = quantile.fraction();
    let rank = (u128::from(all) * u128::from(num)).div_ceil(u128::from(den));
    let count = successes.count();
    if rank > u128::from(count) {
        return Some(None);
    }
    // The same rank, asked for as a share of the successes.
    let rank = u64::try_from(rank).unwrap_or(u64::MAX);
    Some(successes.quantile(rank, count))
}

#[cfg(test)]
mod tests;
