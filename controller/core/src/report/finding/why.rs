//! Why a finding is not a pass, and what to do about it.

use std::collections::BTreeMap;

use nepho_common::{
    id::{AgentId, InstanceId},
    plan::{Judge, PlannedStep, Window},
    time::Nanos,
};

use super::Place;
use crate::{
    report::{
        cause::{Cause, Failures, slow, slowest},
        measured::Measurements,
        missing,
        model::Priority,
        sample::Sample,
        tuple::from,
        verdict::{self, Ground, Judged, ends_before},
    },
    scenario::LASTS,
};

impl Place<'_> {
    pub(super) fn nothing_planned(&self, sample: &Sample<'_>) -> Cause {
        let Some(first) = sample.no_path.first() else {
            let text = "The plan holds no request for it.";
            return Cause::new(Priority::Low, text, "Let the stage last longer.");
        };
        let mut here: Vec<_> = sample
            .no_path
            .iter()
            .map(|path| from(self.plan, &path.agent))
            .collect();
        here.sort();
        here.dedup();
        let here = here.join(", ");
        Cause::new(
            Priority::Low,
            format!(
                "No path from {here}: the fleet declares no address of {} for it.",
                first.to
            ),
            format!("Declare an address for {here} in the fleet file, if there is one."),
        )
    }

    /// What takes away the right to a pass: somebody's records can't be believed.
    pub(super) fn spoiled(&self, sample: &Sample<'_>) -> String {
        let mut why = self.spoiled_by(sample.agents().iter());
        if let Some(path) = sample.surplus().next() {
            let (agent, to) = (&path.path.agent, &path.path.to);
            why.push(format!(
                "{agent} reported more requests to {to} than were planned."
            ));
        }
        why.join(" ")
    }

    /// Whose clock stood still while the stage ran: what it saw from then on is nothing to judge by.
    pub(super) fn disturbed(&self, sample: &Sample<'_>) -> Option<Cause> {
        let story = &self.folded.story;
        let of = |agent: &AgentId| {
            let spoilt = story.disturbed.spoilt(story, self.stage, agent)?;
            Some((agent.to_string(), spoilt.why))
        };
        let found: Vec<_> = sample.agents().iter().filter_map(of).collect();
        let (first, _) = found.first()?;
        let remedy = format!(
            "Keep the host of {first} from sleeping or being paused while it measures, then run it \
             again."
        );
        let why = found.iter().map(|(agent, why)| format!("{agent}: {why}."));
        let text = format!(
            "What was measured can't be judged by. {}",
            why.collect::<Vec<_>>().join(" ")
        );
        Some(Cause::new(Priority::Medium, text, remedy))
    }

    pub(super) fn cause(
        &self,
        measurements: &Measurements,
        step: &PlannedStep,
        sample: &Sample<'_>,
        judged: &Judged,
    ) -> Option<Cause> {
        let folded = self.folded;
        let medium = Priority::Medium;
        Some(match judged.ground {
            Ground::Met => return None,
            Ground::Failures | Ground::NothingSucceeded => {
                let mut cause = Failures {
                    plan: self.plan,
                    measurements,
                    witnessed: &folded.story.witnessed,
                    stage: self.stage,
                    step,
                }
                .cause(sample);
                if judged.ground == Ground::NothingSucceeded {
                    cause.cause = format!("No request succeeded. {}", cause.cause);
                }
                cause
            }
            Ground::Slow => {
                let slowest = slowest(self.plan, measurements, self.stage, step, sample);
                let text = format!("It is slower than expected. {slowest}.");
                match slow(self.plan, measurements, self.stage, step, sample) {
                    Some(told) => Cause::new(medium, format!("{} {text}", told.cause), told.remedy),
                    None => Cause::new(medium, text, LOOK_AT_THE_MATRIX),
                }
            }
            Ground::Fast => {
                let slowest = slowest(self.plan, measurements, self.stage, step, sample);
                let text = format!("It is faster than expected. {slowest}.");
                Cause::new(medium, text, LOOK_AT_THE_MATRIX)
            }
            Ground::Missing => Cause::new(
                medium,
                missing::sentence(folded, self.stage, &step.name, sample),
                format!(
                    "Find out what became of {}, then run it again.",
                    missing::whose(sample).join(" and ")
                ),
            ),
            Ground::TooFew { had, needed } => Cause::new(
                medium,
                format!(
                    "{had} successes say too little: {} is judged from {needed} on.",
                    figure(&self.expectation.judge)
                ),
                longer(self.expectation.during, step, sample, needed),
            ),
            Ground::Unsure { enough } => Cause::new(
                medium,
                format!(
                    "{}: that shows neither that it is as expected nor that it is not.",
                    judged.observed.text
                ),
                match enough {
                    Some(enough) => longer(self.expectation.during, step, sample, enough),
                    None => "It lies too close to the bound: move the bound, or judge what was \
                             observed, without `confidence`."
                        .to_owned(),
                },
            ),
            Ground::Ending => ending(&self.expectation.judge, sample),
            Ground::NoCertificate => unseen(sample),
            Ground::LateSender { lag } => Cause::new(
                medium,
                format!(
                    "The measuring side was late: p99 of its send lag is {lag}. From the actual \
                     sending on, the answers came in time."
                ),
                "Give the agent's host more room, then run it again.",
            ),
            Ground::LagHidesMin { lag } => Cause::new(
                medium,
                format!(
                    "The measuring side was late: p99 of its send lag is {lag}, which makes \
                     answers look slower than they are."
                ),
                "Give the agent's host more room, then run it again.",
            ),
        })
    }
}

/// Where to look when nothing tells the way from the service.
const LOOK_AT_THE_MATRIX: &str = "Compare with the distance between the environments in the matrix: if \
     only one service is out of line look there, if all are, look at the network.";

/// What has to be enough of.
const fn figure(judge: &Judge) -> &'static str {
    match judge {
        Judge::Latency { quantile, .. } => quantile.word(),
        Judge::Failures { .. }
        | Judge::SuccessRate { .. }
        | Judge::Certificate { .. }
        | Judge::Resource { .. }
        | Judge::Same { .. } => judge.kind(),
    }
}

/// Whose certificates end too soon, the first to end before the others.
fn ending(judge: &Judge, sample: &Sample<'_>) -> Cause {
    let min = match judge {
        Judge::Certificate { min } => *min,
        Judge::Failures { .. }
        | Judge::SuccessRate { .. }
        | Judge::Latency { .. }
        | Judge::Resource { .. }
        | Judge::Same { .. } => Nanos(0),
    };
    let mut soon: BTreeMap<&InstanceId, i64> = BTreeMap::new();
    for path in &sample.paths {
        if let Some(left) = path.certificate.filter(|left| ends_before(*left, min)) {
            let least = soon.entry(&path.path.to).or_insert(left);
            *least = left.min(*least);
        }
    }
    let mut soon: Vec<_> = soon.into_iter().collect();
    soon.sort_by_key(|(to, left)| (*left, *to));
    let ended = soon.first().is_some_and(|(_, left)| *left < 0);
    let more = soon.len().saturating_sub(NAMED);
    let more = if more > 0 {
        format!(", and {more} more end too soon")
    } else {
        String::new()
    };
    let told = soon.iter().take(NAMED);
    let told: Vec<_> = told
        .map(|(to, left)| format!("that of {to} {}", verdict::ending(*left)))
        .collect();
    Cause::new(
        if ended {
            Priority::High
        } else {
            Priority::Medium
        },
        format!("Certificates end: {}{more}.", told.join(", ")),
        "Renew them, and look why that was not done in time.",
    )
}

/// Of whom no certificate was seen.
fn unseen(sample: &Sample<'_>) -> Cause {
    let mut paths = sample
        .paths
        .iter()
        .filter(|path| path.shows_certificate() && path.certificate.is_none());
    let Some(first) = paths.next() else {
        return Cause::new(
            Priority::Medium,
            "Nothing that is asked here shows a certificate.",
            "Judge certificates of a step that asks over HTTPS.",
        );
    };
    let (agent, to) = (&first.path.agent, &first.path.to);
    let more = match paths.count() {
        0 => String::new(),
        more => format!(", nor on {more} more paths"),
    };
    Cause::new(
        Priority::Medium,
        format!("{agent} saw no certificate of {to}{more}."),
        "Look whether it answers at all; what fails before the handshake shows none.",
    )
}

/// How many are named; the rest is counted.
const NAMED: usize = 5;

/// What would give so many samples.
fn longer(during: Window, step: &PlannedStep, sample: &Sample<'_>, needed: u64) -> String {
    let every = step.act.probe().map_or(Nanos(0), |probe| probe.every);
    let rounds = needed.div_ceil((sample.paths.len() as u64).max(1));
    let lasts = Nanos(rounds.saturating_mul(every.0));
    if lasts > LASTS.1 {
        return format!(
            "It would take {lasts}, longer than a stage may last: ask more often, more targets or \
             from more agents, or expect less."
        );
    }
    if during.is_part() {
        return format!("Let `over` be {lasts} at least, or ask more often.");
    }
    format!("Let the stage last {lasts} at least, or ask more often.")
}
