//! An event in a word and in a sentence.

use nepho_common::{
    control::StopMode,
    event::{LoadEnd, RunEnd, Shortage, Skip, StageEnd, Subject, What},
    id::AgentId,
    symptom::{CertificateFault, Listener, Symptom},
    time::Nanos,
};

use crate::diagnose::is_unsafe;

/// What an agent says of itself may be as long as it likes; this much of it is shown.
const LONGEST: usize = 400;

/// The kind of an event: the same word in every release.
#[must_use]
pub const fn kind(what: &What) -> &'static str {
    match what {
        What::StageStarted { .. } => "stage-started",
        What::StageEnded { .. } => "stage-ended",
        What::Missed { .. } => "missed",
        What::EpochOpened { .. } => "epoch-opened",
        What::HostClock(_) => "host-clock",
        What::ClockDisturbed { .. } => "clock-disturbed",
        What::HostClockRejected { .. } => "host-clock-rejected",
        What::SpoolFull { .. } => "spool-full",
        What::LoadEnded { .. } => "load-ended",
        What::Aborted { .. } => "aborted",
        What::SymptomSeen { .. } => "symptom-seen",
        What::FactSeen { .. } => "fact-seen",
        What::ThingSeen { .. } => "thing-seen",
        What::Gap { .. } => "gap",
        What::RunStarted { .. } => "run-started",
        What::AgentJoined { .. } => "agent-joined",
        What::AgentRefused { .. } => "agent-refused",
        What::StageOrdered { .. } => "stage-ordered",
        What::AgentLost { .. } => "agent-lost",
        What::AgentReturned { .. } => "agent-returned",
        What::ControllerReturned { .. } => "controller-returned",
        What::StageCollected { .. } => "stage-collected",
        What::StageSkipped { .. } => "stage-skipped",
        What::StopRequested { .. } => "stop-requested",
        What::RecordRefused { .. } => "record-refused",
        What::RunEnded { .. } => "run-ended",
        What::Reported { .. } => "reported",
    }
}

/// An event in a sentence; whatever stands in it, it is one line and steers no terminal.
#[must_use]
pub fn words(what: &What) -> String {
    let text = match what {
        What::StageStarted {
            stage,
            planned,
            actual,
        } => {
            let late = actual.minus(*planned);
            let by = Nanos(late.unsigned_abs());
            let how = if late < 0 { "before" } else { "after" };
            format!("stage {stage} began {by} {how} its instant")
        }
        What::StageEnded { stage, at, how } => {
            let how = match how {
                StageEnd::Completed => "its time was up",
                StageEnd::Stopped(StopMode::Stop) => "it was stopped",
                StageEnd::Stopped(StopMode::Abort) => "it was aborted",
            };
            format!("stage {stage} ended at {at}: {how}")
        }
        What::Missed {
            stage,
            step,
            count,
            longest,
        } => format!(
            "{count} requests of {stage}/{step} that were due were not sent; the latest was {longest} late"
        ),
        What::EpochOpened { suspended, .. } => {
            format!("its clock was disturbed: {suspended} asleep")
        }
        What::HostClock(clock) if clock.synchronised => {
            format!("its host keeps the wall clock within {}", clock.max_error)
        }
        What::HostClock(_) => "nobody keeps its host's wall clock".to_owned(),
        What::ClockDisturbed { agent, .. } => {
            format!("the clock of {agent} or of the controller was disturbed")
        }
        What::HostClockRejected { agent, .. } => {
            format!("what the hosts of {agent} and of the controller say of their clocks is not so")
        }
        What::SpoolFull {
            stage,
            why,
            waited,
            longest,
        } => {
            let why = match why {
                Shortage::Disk => "the disk took nothing",
                Shortage::Quota => "it was as large as it may be",
            };
            format!(
                "its spool was full for {waited}, because {why}: results of stage {stage} are \
                 divided no finer than by {longest} in places"
            )
        }
        What::LoadEnded {
            stage, step, why, ..
        } => {
            let why = match why {
                LoadEnd::Unheard(silence) => {
                    format!("nothing was heard of the controller for {silence}")
                }
                LoadEnd::Unable(why) => format!("it could not go on: {why}"),
            };
            format!("load {stage}/{step} ended before its time, because {why}")
        }
        What::Aborted {
            stage, step, why, ..
        } => format!("the run is aborted, because of {stage}/{step} {why}"),
        What::SymptomSeen {
            of,
            outcome,
            symptom,
            ..
        } => {
            let Subject { stage, step, to } = of;
            let seen = seen(symptom);
            format!("{stage}/{step} to {to} fails: {}{seen}", outcome.word())
        }
        What::FactSeen {
            of, name, value, ..
        } => format!("{} says that its {name} is {value}", of.to),
        What::ThingSeen {
            stage,
            step,
            thing,
            how,
            ..
        } => format!("{thing} of {stage}/{step} {}", how.words()),
        What::Gap { from, to } => format!("its disk did not give back the records {from} to {to}"),
        What::RunStarted { plan, host } => {
            let (name, version) = (&host.name, &host.version);
            format!(
                "the run begins: plan {}, controller {version} on {name}",
                plan.0.short()
            )
        }
        What::AgentJoined {
            agent,
            environment,
            host,
            ..
        } => format!(
            "agent {agent} takes part, from {environment}: nepho-agent {} on {}",
            host.version, host.name
        ),
        What::AgentRefused { agent, why } => format!("agent {agent} refuses: {why}"),
        What::StageOrdered { stage, agents, .. } => {
            let widths = agents.values().map(|order| order.offset.width().half());
            let bound = widths.max().unwrap_or_default();
            match agents.len() {
                1 => format!("stage {stage} starts, its clock known within ±{bound}"),
                n => format!("stage {stage} starts on {n} agents, together within ±{bound}"),
            }
        }
        What::AgentLost {
            agent,
            last_heard,
            at,
        } => format!(
            "agent {agent} is lost: silent for {}",
            at.since(*last_heard)
        ),
        What::AgentReturned {
            agent, restarted, ..
        } => {
            let how = if *restarted { ", restarted" } else { "" };
            format!("agent {agent} is back{how}")
        }
        What::ControllerReturned { .. } => "the controller is back and goes on".to_owned(),
        What::StageCollected { stage, missing } if missing.is_empty() => {
            format!("stage {stage}: all results are there")
        }
        What::StageCollected { stage, missing } => {
            format!("stage {stage}: results are missing from {}", names(missing))
        }
        What::StageSkipped { stage, why } => match why {
            Skip::After(before) => format!("stage {stage} is not run: {before} did not pass"),
            Skip::Stopped => format!("stage {stage} is not run: the run was stopped"),
            Skip::NotReady(why) => format!("stage {stage} is not run: {why}"),
        },
        What::StopRequested { mode, by } => match mode {
            StopMode::Stop => format!("{by} asked for an end"),
            StopMode::Abort => format!("{by} asked for an end at once"),
        },
        What::RecordRefused { agent, why } => format!("a record of {agent} was refused: {why}"),
        What::RunEnded { how } => match how {
            RunEnd::Completed => "the run is over".to_owned(),
            RunEnd::Stopped(StopMode::Stop) => "the run is over: it was stopped".to_owned(),
            RunEnd::Stopped(StopMode::Abort) => "the run is over: it was aborted".to_owned(),
            RunEnd::Failed(why) => format!("the run can't go on: {why}"),
        },
        What::Reported { revision: 1, .. } => "the report is made".to_owned(),
        What::Reported { revision, .. } => {
            format!("results came late: revision {revision} of the report is made")
        }
    };
    safe(&text)
}

/// What an agent saw of a failure: where, and in which words.
fn seen(symptom: &Symptom) -> String {
    let Symptom {
        address,
        status,
        certificate,
        listeners,
        said,
    } = symptom;
    let mut text = String::new();
    if let Some(address) = address {
        text.push_str(&format!(", at {address}"));
    }
    if let Some(status) = status {
        text.push_str(&format!(", status {status}"));
    }
    if let Some(fault) = certificate {
        text.push_str(&match fault {
            CertificateFault::Expired(ago) => format!(", its certificate ended {ago} ago"),
            CertificateFault::NotYet(within) => format!(", its certificate begins in {within}"),
            CertificateFault::Name => ", its certificate names others".to_owned(),
            CertificateFault::Issuer => ", nobody trusted signed its certificate".to_owned(),
        });
    }
    // Who listens beside it is for the cause in the report; here one look at the port is enough.
    let there = |listeners: &Vec<Listener>| {
        let port = address.map(|address| address.port());
        listeners.iter().any(|one| Some(one.port) == port)
    };
    if listeners.as_ref().is_some_and(|all| !there(all)) {
        text.push_str(", nobody listens on that port");
    }
    if !said.is_empty() {
        text.push_str(&format!(": {said}"));
    }
    text
}

fn names(agents: &[AgentId]) -> String {
    let names: Vec<_> = agents.iter().map(AgentId::as_str).collect();
    names.join(", ")
}

fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        if at == LONGEST {
            safe.push('…');
            break;
        }
        if is_unsafe(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}
