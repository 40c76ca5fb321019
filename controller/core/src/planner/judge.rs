//! The scenario's expectations in the plan's words: one for each bound that is judged alone.

use nepho_common::plan::{Dimension, Expectation, Judge, Quantile, Ratio, Window};

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
        by: written.by.iter().map(|&by| dimension(by)).collect(),
        during: match written.during {
            scenario::Window::Stage => Window::Stage,
            scenario::Window::Baseline => Window::Baseline,
        },
        gate: written.gate,
    };
    judges.into_iter().map(expectation).collect()
}

const fn dimension(by: scenario::Dimension) -> Dimension {
    match by {
        scenario::Dimension::From => Dimension::From,
        scenario::Dimension::Environment => Dimension::Environment,
        scenario::Dimension::Group => Dimension::Group,
        scenario::Dimension::Service => Dimension::Service,
        scenario::Dimension::Instance => Dimension::Instance,
    }
}
