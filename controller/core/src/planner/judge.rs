//! The scenario's expectations in the plan's words: one for each bound that is judged alone.

use nepho_common::plan::{Expectation, Judge, Ratio};

use crate::scenario::{self, Bounds};

/// A latency with bounds on several quantiles makes one for each, from small to large.
pub(super) fn expectations(written: &scenario::Expectation) -> Vec<Expectation> {
    let judges = match &written.judge {
        scenario::Judge::Failures { max, confidence } => vec![Judge::Failures {
            max: *max,
            confidence: confidence.map(|confidence| Ratio(confidence.ppm())),
        }],
        scenario::Judge::SuccessRate { min, confidence } => vec![Judge::SuccessRate {
            min: Ratio(min.ppm()),
            confidence: confidence.map(|confidence| Ratio(confidence.ppm())),
        }],
        scenario::Judge::Latency { bounds } => {
            let latency =
                |(&quantile, &Bounds { min, max }): (&_, &_)| Judge::Latency { quantile, max, min };
            bounds.iter().map(latency).collect()
        }
    };
    let expectation = |judge| Expectation {
        on: written.on.clone(),
        judge,
        by: written.by.iter().copied().collect(),
        during: written.during,
        gate: written.gate,
    };
    judges.into_iter().map(expectation).collect()
}
