//! From where to where: the tables that show the distances between environments, and the services
//! that are out of line.

use std::collections::BTreeMap;

use nepho_common::{
    id::{EnvironmentName, ServiceName},
    plan::{Plan, PlannedPath, PlannedStage, PlannedStep},
};

use super::{
    measured::Measurements,
    model::{Cell, Matrix, ServiceRow},
    sample::Sample,
};

type Service<'a> = (&'a EnvironmentName, &'a EnvironmentName, &'a ServiceName);

/// The tables of one step.
pub(super) fn matrix(
    plan: &Plan,
    measurements: &Measurements,
    stage: &PlannedStage,
    step: &PlannedStep,
) -> Matrix {
    let mut cells: BTreeMap<(&EnvironmentName, &EnvironmentName), Vec<&PlannedPath>> =
        BTreeMap::new();
    let mut services: BTreeMap<Service<'_>, Vec<&PlannedPath>> = BTreeMap::new();
    for path in step.act.to() {
        let Some(agent) = plan.agents.get(&path.agent) else {
            continue;
        };
        let (from, to) = (&agent.environment, &path.to.environment);
        cells.entry((from, to)).or_default().push(path);
        services
            .entry((from, to, &path.to.service))
            .or_default()
            .push(path);
    }
    let figures = |paths: Vec<&PlannedPath>| Sample::of(measurements, stage, step, paths).figures();
    Matrix {
        step: step.name.clone(),
        cells: cells
            .into_iter()
            .map(|((from, to), paths)| Cell {
                from: from.clone(),
                to: to.clone(),
                figures: figures(paths),
            })
            .collect(),
        services: services
            .into_iter()
            .map(|((from, environment, service), paths)| ServiceRow {
                from: from.clone(),
                environment: environment.clone(),
                group: paths
                    .first()
                    .and_then(|path| plan.instances.get(&path.to))
                    .and_then(|planned| planned.group.clone()),
                service: service.clone(),
                figures: figures(paths),
            })
            .collect(),
    }
}
