//! The slowest paths of a sample, and what makes the slowest of them slow.

use std::{cmp::Reverse, collections::BTreeMap};

use nepho_common::{
    id::InstanceId,
    plan::{Plan, PlannedStage, PlannedStep},
};

use super::{NAMED, Told, more, slow::Views};
use crate::report::{
    measured::Measurements,
    said::{Said, said},
    sample::Sample,
    tuple::from,
};

/// What makes the slowest path slow, if the evidence tells.
pub(in crate::report) fn slow(
    plan: &Plan,
    measurements: &Measurements,
    stage: &PlannedStage,
    step: &PlannedStep,
    sample: &Sample<'_>,
) -> Option<Told> {
    let seen = sample.paths.iter().map(|one| {
        let response = Sample::of(measurements, stage, step, [one.path]).response;
        let by = (
            response.quantile(1, 2),
            Reverse((&one.path.to, &one.path.agent)),
        );
        (by, one.path)
    });
    let (_, slowest) = seen.max_by_key(|(by, _)| *by)?;
    Views::of(plan, measurements, stage, slowest).cause(slowest)
}

/// Which paths are slowest, for a latency that is too high.
pub(in crate::report) fn slowest(
    plan: &Plan,
    measurements: &Measurements,
    stage: &PlannedStage,
    step: &PlannedStep,
    sample: &Sample<'_>,
) -> Said {
    let mut by_path: BTreeMap<(Reverse<u64>, &InstanceId), Said> = BTreeMap::new();
    for path in &sample.paths {
        let one = Sample::of(measurements, stage, step, [path.path]);
        if let (Some(p50), Some(max)) = (one.response.quantile(1, 2), one.response.max()) {
            let (here, to) = (from(plan, &path.path.agent), &path.path.to);
            let text = said!(
                "{here} → {to}: p50 {p50}, max {max}",
                "{here} → {to}：p50 {p50}，max {max}"
            );
            by_path.insert((Reverse(max.0), &path.path.to), text);
        }
    }
    let rest = by_path.len().saturating_sub(NAMED);
    let mut named: Vec<_> = by_path.into_values().take(NAMED).collect();
    named.extend(more(rest));
    Said::clauses(named)
}
