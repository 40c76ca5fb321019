//! Which findings an expectation asks for. Made from the plan alone, never from what was seen, so
//! that a path of which nothing is known can't drop out.

use std::collections::BTreeMap;

use nepho_common::{
    id::{AgentId, ThingName},
    plan::{Dimension, Expectation, Judge, Plan, PlannedPath, PlannedStep, Watch},
    recording::Scope,
};

/// The value of a dimension that a path has none of. No name, so it can't be mistaken for one.
const NOTHING: &str = "-";

/// The paths of a step that share the values of some dimensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tuple<'a> {
    /// In the order of the expectation's `by`.
    pub(crate) values: Vec<(Dimension, String)>,
    pub(crate) paths: Vec<&'a PlannedPath>,
}

/// The tuples of `step`, ordered by their values. One with all paths when `by` is empty.
pub(crate) fn tuples<'a>(plan: &Plan, step: &'a PlannedStep, by: &[Dimension]) -> Vec<Tuple<'a>> {
    let mut all: BTreeMap<Vec<(Dimension, String)>, Vec<&PlannedPath>> = BTreeMap::new();
    if by.is_empty() {
        all.insert(Vec::new(), Vec::new());
    }
    for path in step.act.to() {
        let value = |&dimension: &Dimension| (dimension, value(plan, path, dimension));
        all.entry(by.iter().map(value).collect())
            .or_default()
            .push(path);
    }
    let tuple = |(values, paths)| Tuple { values, paths };
    all.into_iter().map(tuple).collect()
}

/// Whose readings: of a host, or of something on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Watched<'a> {
    pub(crate) agent: &'a AgentId,
    pub(crate) thing: Option<&'a ThingName>,
}

/// What a watch looks at and an expectation judges, by the values of its dimensions. One group with
/// all when `by` is empty.
pub(crate) fn watched<'a>(
    plan: &Plan,
    watch: &'a Watch,
    expectation: &Expectation,
) -> BTreeMap<Vec<(Dimension, String)>, Vec<Watched<'a>>> {
    let by = &expectation.by;
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    if by.is_empty() {
        all.insert(Vec::new(), Vec::new());
    }
    let scope = match &expectation.judge {
        Judge::Resource { name, .. } => Scope::of(name.as_str()),
        Judge::Failures { .. }
        | Judge::SuccessRate { .. }
        | Judge::Latency { .. }
        | Judge::Certificate { .. }
        | Judge::Distribution { .. }
        | Judge::Concurrency { .. }
        | Judge::Throughput { .. }
        | Judge::Same { .. } => None,
    };
    let things: Vec<_> = scope
        .into_iter()
        .flat_map(|scope| watch.things(scope))
        .collect();
    for (agent, thing) in watch
        .hosts
        .iter()
        .flat_map(|agent| things.iter().map(move |thing| (agent, *thing)))
    {
        let value = |&dimension: &Dimension| match dimension {
            Dimension::From => (dimension, from(plan, agent)),
            Dimension::Process | Dimension::Container => {
                let name = thing.map_or(NOTHING, ThingName::as_str);
                (dimension, name.to_owned())
            }
            Dimension::Environment
            | Dimension::Group
            | Dimension::Service
            | Dimension::Instance => (dimension, NOTHING.to_owned()),
        };
        all.entry(by.iter().map(value).collect())
            .or_default()
            .push(Watched { agent, thing });
    }
    all
}

fn value(plan: &Plan, path: &PlannedPath, dimension: Dimension) -> String {
    match dimension {
        Dimension::From => from(plan, &path.agent),
        Dimension::Environment => path.to.environment.to_string(),
        Dimension::Group => plan
            .instances
            .get(&path.to)
            .and_then(|planned| planned.group.as_ref())
            .map_or_else(|| NOTHING.to_owned(), ToString::to_string),
        Dimension::Service => path.to.service.to_string(),
        Dimension::Instance => path.to.instance.to_string(),
        Dimension::Process | Dimension::Container => NOTHING.to_owned(),
    }
}

/// The environment of an agent of the plan.
pub(super) fn from(plan: &Plan, agent: &AgentId) -> String {
    plan.agents.get(agent).map_or_else(
        || NOTHING.to_owned(),
        |planned| planned.environment.to_string(),
    )
}
