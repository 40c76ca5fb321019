//! What must hold after every death, and that the check can fail.

use std::collections::BTreeSet;

use nepho_common::{
    event::What,
    journal::{Body, Entry},
};
use nepho_controller_core::report::{Report, Verdict};

use crate::found::{dimension, events, findings};

/// What is left after a cell.
#[derive(Debug, Clone)]
pub(super) struct Evidence {
    /// Up to where each agent knew its records to be stored when somebody died.
    pub(super) acked: [u64; 2],
    /// The numbers of the records that the store has of each.
    pub(super) stored: [BTreeSet<u64>; 2],
    /// The services' own counts.
    pub(super) received: [u64; 2],
    pub(super) services: [String; 2],
    pub(super) journal: Vec<Entry>,
    pub(super) report: Report,
    /// The verdict that the store has.
    pub(super) verdict: String,
}

impl Evidence {
    /// How many requests the report counts.
    pub(super) fn counted(&self) -> u64 {
        self.report
            .findings
            .iter()
            .map(|one| one.samples.observed)
            .sum()
    }
}

fn demand(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

pub(super) fn check(evidence: &Evidence) -> Result<(), String> {
    let Evidence {
        acked,
        stored,
        received,
        services,
        journal,
        report,
        verdict,
        ..
    } = evidence;
    for (acked, stored) in acked.iter().zip(stored) {
        demand((1..=*acked).all(|seq| stored.contains(&seq)), || {
            format!("{acked} were acknowledged, {stored:?} are stored")
        })?;
    }
    let mut keys = BTreeSet::new();
    for entry in journal {
        demand(keys.insert(entry.key.clone()), || {
            format!("{:?} is stored twice", entry.key)
        })?;
    }
    for (service, received) in services.iter().zip(received) {
        let of = findings(report, |one| dimension(one, "service") == service);
        let counted: u64 = of.iter().map(|one| one.samples.observed).sum();
        demand(counted <= *received, || {
            format!("{service} received {received} requests, {counted} are counted")
        })?;
    }
    for finding in &report.findings {
        let samples = finding.samples;
        demand(samples.observed <= samples.planned, || {
            format!("{}: counted twice: {samples:?}", finding.id)
        })?;
        demand(
            finding.verdict != Verdict::Pass || samples.missing == 0,
            || {
                format!(
                    "{}: passed without {} requests",
                    finding.id, samples.missing
                )
            },
        )?;
        demand(
            finding.verdict == Verdict::Pass || finding.cause.is_some(),
            || format!("{}: no cause is named", finding.id),
        )?;
    }
    let complete =
        !report.findings.is_empty() && report.findings.iter().all(|one| one.samples.missing == 0);
    demand(verdict != "pass" || complete, || {
        "the run passed although something is missing".to_owned()
    })?;
    demand(verdict != "fail", || {
        "nothing was wrong with the services, and somebody is blamed".to_owned()
    })?;
    let said = events(journal, "controller");
    for (what, most, is) in [
        (
            "ordered",
            1,
            (|w| matches!(w, What::StageOrdered { .. })) as fn(&What) -> bool,
        ),
        ("collected", 1, |w| matches!(w, What::StageCollected { .. })),
        ("ended", 1, |w| matches!(w, What::RunEnded { .. })),
    ] {
        let times = said.iter().filter(|what| is(what)).count();
        demand(times <= most, || format!("{what} {times} times"))?;
    }
    let seals = |agent: &str| {
        let of = journal
            .iter()
            .filter(|entry| entry.key.agent.as_str() == agent);
        of.filter(|entry| matches!(entry.body, Body::Seal(_)))
            .count()
    };
    for agent in &report.agents {
        let seals = seals(agent.agent.as_str());
        demand(seals <= 1, || {
            format!("{} sealed {seals} times", agent.agent)
        })?;
    }
    Ok(())
}

/// Whether this says that a stage was ordered.
pub(super) fn orders(entry: &Entry) -> bool {
    let Body::Events(events) = &entry.body else {
        return false;
    };
    events
        .iter()
        .any(|event| matches!(event.what, What::StageOrdered { .. }))
}
