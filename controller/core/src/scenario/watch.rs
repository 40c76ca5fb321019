//! A watch: read regularly what hosts use and have left.

use std::collections::BTreeSet;

use nepho_common::{id::EnvironmentName, time::Nanos};

use super::{Agents, duration::duration, probe::agents, raw::RawWatch, selector::environments};
use crate::{
    diagnose::{Checker, Code, Pointer, Problem},
    fleet::Names,
};

/// Read regularly what the hosts of agents use and have left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The time from one reading to the next.
    pub every: Nanos,
    /// The environments whose agents look at their hosts; empty for all.
    pub from: BTreeSet<EnvironmentName>,
    /// How many agents of each environment look.
    pub agents: Agents,
}

/// A reading takes a millisecond or two; below a second the kernel's own figures hardly move.
const EVERY: (Nanos, Nanos) = (Nanos::from_secs(1), Nanos::from_secs(3600));

/// Parses the watch at `at`.
pub(crate) fn watch(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawWatch,
    names: Option<&Names>,
) -> Option<Watch> {
    if raw.host.is_none() && !checker.is_incomplete(at) {
        let problem = Problem::new(Code::ExactlyOne, "this watch doesn't say what to look at")
            .label("`host: {}` is missing");
        checker.at_key(at, problem);
    }
    let every = raw.every.as_deref().unwrap_or("5s");
    let every = duration(checker, &at.key("every"), Some(every), EVERY.0, EVERY.1);
    let from = environments(checker, &at.key("from"), raw.from.as_ref(), names);
    let agents = checker.text(
        &at.key("agents"),
        Some(raw.agents.as_deref().unwrap_or("all")),
        agents,
    );
    raw.host.as_ref()?;
    Some(Watch {
        every: every?,
        from,
        agents: agents?,
    })
}
