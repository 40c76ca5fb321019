//! The scenario's expectations in the plan's words: one for each bound that is judged alone.

use nepho_common::{
    id::Operation,
    plan::{AbortIf, Expectation, Judge, PlannedStage, Ratio, Window},
    time::Nanos,
};

use super::pool::Pool;
use crate::scenario::{self, Bounds, Over, Steady, Step};

/// What is expected of a stage.
pub(super) fn expectations(
    written: &scenario::Expectation,
    of: Option<&Step>,
    pool: Option<&Pool>,
) -> Vec<Expectation> {
    let during = match (written.during, of) {
        (Window::Baseline, Some(Step::Load(load))) if load.warm_up > Nanos(0) => {
            Window::Warm(load.warm_up)
        }
        (during, _) => during,
    };
    let expectation = |judge| Expectation {
        on: written.on.clone(),
        judge,
        by: written.by.iter().copied().collect(),
        during,
        gate: written.gate,
    };
    judges(&written.judge, pool)
        .into_iter()
        .map(expectation)
        .collect()
}

/// The steady state, put where it is judged: it comes before what is expected of the first stage
/// that has the step, and after what is expected of the last.
pub(super) fn steady_state(written: &[Steady], stages: &mut [PlannedStage]) {
    for (place, one) in written.iter().enumerate() {
        let having = |stage: &PlannedStage| stage.steps.iter().any(|step| step.name == one.on);
        let expectations = |during| {
            let expectation = move |judge| Expectation {
                on: one.on.clone(),
                judge,
                by: one.by.iter().copied().collect(),
                during,
                gate: true,
            };
            judges(&one.judge, None).into_iter().map(expectation)
        };
        if let Some(stage) = stages.iter_mut().find(|stage| having(stage)) {
            let place = place.min(stage.expectations.len());
            let before = expectations(Window::Before(one.over));
            stage.expectations.splice(place..place, before);
        }
        if let Some(stage) = stages.iter_mut().rfind(|stage| having(stage)) {
            stage
                .expectations
                .extend(expectations(Window::After(one.over)));
        }
    }
}

/// What ends the run, put into each stage that has the step.
pub(super) fn abort_if(written: &[scenario::AbortIf], stages: &mut [PlannedStage]) {
    for one in written {
        for stage in stages.iter_mut() {
            if stage.steps.iter().any(|step| step.name == one.on) {
                let each = judges(&one.judge, None).into_iter();
                stage.abort_if.extend(each.map(|judge| AbortIf {
                    on: one.on.clone(),
                    judge,
                    over: one.over,
                }));
            }
        }
    }
}

/// A latency with bounds on several quantiles makes one for each, from small to large.
fn judges(judge: &scenario::Judge, pool: Option<&Pool>) -> Vec<Judge> {
    match judge {
        scenario::Judge::Failures { max, confidence } => vec![Judge::Failures {
            max: *max,
            confidence: confidence.map(|confidence| Ratio(confidence.ppm())),
        }],
        scenario::Judge::SuccessRate { min, confidence } => vec![Judge::SuccessRate {
            min: Ratio(min.ppm()),
            confidence: confidence.map(|confidence| Ratio(confidence.ppm())),
        }],
        scenario::Judge::Certificate { min } => vec![Judge::Certificate { min: *min }],
        scenario::Judge::Resource { name, bounds } => vec![Judge::Resource {
            name: Operation::try_from((*name).to_owned()).expect("one of our own names"),
            max: bounds.max,
            min: bounds.min,
        }],
        scenario::Judge::Distribution {
            over,
            tolerance,
            confidence,
        } => {
            let over = match over {
                Over::Instances => "instance",
                Over::Versions(_) => "version",
            };
            let judge = |pool: &Pool| Judge::Distribution {
                over: Operation::try_from(over.to_owned()).expect("one of our own words"),
                decides_on: pool.decides_on,
                members: pool.members.clone(),
                tolerance: Ratio(tolerance.ppm()),
                confidence: Ratio(confidence.ppm()),
            };
            pool.map(judge).into_iter().collect()
        }
        scenario::Judge::Same { fact } => vec![Judge::Same {
            fact: Operation::try_from((*fact).to_owned()).expect("one of our own words"),
        }],
        scenario::Judge::Concurrency {
            min,
            latency,
            success_rate,
        } => vec![Judge::Concurrency {
            min: *min,
            latency: *latency,
            success_rate: success_rate.map(|min| Ratio(min.ppm())),
        }],
        scenario::Judge::Throughput {
            bounds: Bounds { min, max },
        } => vec![Judge::Throughput {
            max: *max,
            min: *min,
        }],
        scenario::Judge::Latency { bounds } => {
            let latency =
                |(&quantile, &Bounds { min, max }): (&_, &_)| Judge::Latency { quantile, max, min };
            bounds.iter().map(latency).collect()
        }
    }
}
