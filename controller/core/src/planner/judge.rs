//! The scenario's expectations in the plan's words: one for each bound that is judged alone.

use nepho_common::plan::{Expectation, Judge, Quantile, Ratio};

use crate::scenario::{self, Bounds};

/// A latency with bounds on two quantiles makes two.
pub(super) fn expectations(written: &scenario::Expectation) -> Vec<Expectation> {
    let judges = match &written.judge {
        scenario::Judge::Failures { max } => vec![Judge::Failures { max: *max }],
        scenario::Judge::SuccessRate { min } => {
            vec![Judge::SuccessRate {
                min: Ratio(min.ppm()),
            }]
        }
        scenario::Judge::Latency { p50, max } => {
            let latency = |quantile, bounds: &Option<Bounds<_>>| {
                bounds.map(|Bounds { min, max }| Judge::Latency { quantile, max, min })
            };
            let both = [latency(Quantile::P50, p50), latency(Quantile::Max, max)];
            both.into_iter().flatten().collect()
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
