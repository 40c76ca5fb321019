//! A probe: ask each target regularly, and note whether and how fast it answers.

use std::{collections::BTreeSet, num::NonZeroU32};

use nepho_common::{id::EnvironmentName, time::Nanos};

use super::{
    ProbeKind, Selector, asked,
    duration::duration,
    raw::RawProbe,
    selector::{environments, selector},
};
use crate::{
    diagnose::{Checker, Code, Pointer, Problem, quoted},
    fleet::Names,
};

/// Ask each target regularly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub kind: ProbeKind,
    /// The time from one question to the next.
    pub every: Nanos,
    /// How long an answer is waited for; may be longer than `every`.
    pub timeout: Nanos,
    /// The environments whose agents ask; empty for all.
    pub from: BTreeSet<EnvironmentName>,
    /// Who is asked.
    pub to: Selector,
    /// How many agents of each environment ask.
    pub agents: Agents,
}

/// How many agents of each environment take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agents {
    /// Every one.
    All,
    /// As many, or all when there are fewer.
    AtMost(NonZeroU32),
}

/// A probe that asks every target 20 times a second is a load already.
pub(crate) const EVERY: (Nanos, Nanos) = (Nanos::from_millis(50), Nanos::from_secs(3600));
/// Below 10 ms timers decide, above a minute nobody waits.
const TIMEOUT: (Nanos, Nanos) = (Nanos::from_millis(10), Nanos::from_secs(60));

/// Parses the probe at `at`.
pub(crate) fn probe(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawProbe,
    names: Option<&Names>,
) -> Option<Probe> {
    let kind = asked::kind(checker, at, raw);
    let every = raw.every.as_deref().unwrap_or("1s");
    let every = duration(checker, &at.key("every"), Some(every), EVERY.0, EVERY.1);
    let timeout = raw.timeout.as_deref().unwrap_or("2s");
    let timeout = duration(
        checker,
        &at.key("timeout"),
        Some(timeout),
        TIMEOUT.0,
        TIMEOUT.1,
    );
    let from = environments(checker, &at.key("from"), raw.from.as_ref(), names);
    let to = selector(checker, &at.key("to"), raw.to.as_ref(), names);
    let agents = checker.text(
        &at.key("agents"),
        Some(raw.agents.as_deref().unwrap_or("1")),
        agents,
    );
    Some(Probe {
        kind: kind?,
        every: every?,
        timeout: timeout?,
        from,
        to,
        agents: agents?,
    })
}

pub(super) fn agents(text: &str) -> Result<Agents, Problem> {
    if text == "all" {
        return Ok(Agents::All);
    }
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<NonZeroU32>() {
        Ok(count) if digits && count.get() < 10_000 => Ok(Agents::AtMost(count)),
        Ok(_) | Err(_) => Err(Problem::new(
            Code::NotOneOf,
            format!("{} is not a number of agents", quoted(text)),
        )
        .label("`all`, or a number from 1 to 9999 in quotes")),
    }
}
