//! What happened, outwards.

use nepho_common::{
    event::{Known, LoadEnd, RunEnd, Skip, StageEnd, StartOrder, What},
    id::{AgentId, Seq},
};

use crate::{
    convert::field::said,
    wire::{self, event::What as Wire},
};

impl From<&What> for Wire {
    fn from(what: &What) -> Self {
        match what {
            What::StageStarted {
                stage,
                planned,
                actual,
            } => Self::StageStarted(wire::StageStarted {
                stage: stage.to_string(),
                planned: planned.0,
                actual: actual.0,
            }),
            What::StageEnded { stage, at, how } => Self::StageEnded(wire::StageEnded {
                stage: stage.to_string(),
                at: at.0,
                stopped: match how {
                    StageEnd::Completed => 0,
                    StageEnd::Stopped(mode) => wire::StopMode::from(*mode).into(),
                },
            }),
            What::Missed {
                stage,
                step,
                count,
                longest,
            } => Self::Missed(wire::Missed {
                stage: stage.to_string(),
                step: step.to_string(),
                count: *count,
                longest: longest.0,
            }),
            What::EpochOpened { suspended, awake } => Self::EpochOpened(wire::EpochOpened {
                suspended: suspended.0,
                awake: awake.map(|awake| awake.0),
            }),
            What::HostClock(clock) => Self::HostClock((*clock).into()),
            What::ClockDisturbed { agent, at, jump } => {
                Self::ClockDisturbed(wire::ClockDisturbed {
                    agent: agent.to_string(),
                    at: at.0,
                    jump: jump.map(|jump| wire::ClockJump {
                        since: jump.since.0,
                        moved: Some(jump.moved.into()),
                    }),
                })
            }
            What::HostClockRejected {
                agent,
                at,
                claimed,
                measured,
            } => Self::HostClockRejected(wire::HostClockRejected {
                agent: agent.to_string(),
                at: at.0,
                claimed: Some((*claimed).into()),
                measured: Some((*measured).into()),
            }),
            What::SpoolFull {
                stage,
                why,
                waited,
                longest,
            } => Self::SpoolFull(wire::SpoolFull {
                stage: stage.to_string(),
                why: wire::Shortage::from(*why).into(),
                waited: waited.0,
                longest: longest.0,
            }),
            What::LoadEnded {
                stage,
                step,
                at,
                why,
            } => Self::LoadEnded(wire::LoadEnded {
                stage: stage.to_string(),
                step: step.to_string(),
                at: at.0,
                why: Some(match why {
                    LoadEnd::Unheard(nanos) => wire::load_ended::Why::Unheard(nanos.0),
                    LoadEnd::Unable(why) => wire::load_ended::Why::Unable(said(why)),
                }),
            }),
            What::Aborted {
                stage,
                step,
                at,
                why,
            } => Self::Aborted(wire::Aborted {
                stage: stage.to_string(),
                step: step.to_string(),
                at: at.0,
                why: said(why),
            }),
            What::SymptomSeen {
                of,
                at,
                outcome,
                symptom,
            } => Self::SymptomSeen(super::symptom::symptom_out(of, *at, *outcome, symptom)),
            What::FactSeen {
                of,
                at,
                name,
                value,
            } => Self::FactSeen(wire::FactSeen {
                of: Some(of.into()),
                at: at.0,
                name: name.to_string(),
                value: value.to_string(),
            }),
            What::ThingSeen {
                stage,
                step,
                thing,
                at,
                how,
            } => Self::ThingSeen(wire::ThingSeen {
                stage: stage.to_string(),
                step: step.to_string(),
                thing: thing.to_string(),
                at: at.0,
                how: wire::Presence::from(*how).into(),
            }),
            What::Gap { from, to } => Self::Gap(wire::Gap {
                from: from.0,
                to: to.0,
            }),
            What::RunStarted { plan, host } => Self::RunStarted(wire::RunStarted {
                plan: plan.0.bytes().to_vec(),
                host: Some(host.into()),
            }),
            What::AgentJoined {
                agent,
                environment,
                host,
                features,
            } => Self::AgentJoined(wire::AgentJoined {
                agent: agent.to_string(),
                environment: environment.to_string(),
                host: Some(host.into()),
                features: features.iter().map(ToString::to_string).collect(),
            }),
            What::AgentRefused { agent, why } => Self::AgentRefused(wire::AgentRefused {
                agent: agent.to_string(),
                why: Some(why.into()),
            }),
            What::StageOrdered {
                stage,
                at_run,
                at,
                agents,
            } => Self::StageOrdered(wire::StageOrdered {
                stage: stage.to_string(),
                at_run: at_run.0,
                at: at.0,
                agents: agents.iter().map(start_order).collect(),
            }),
            What::AgentLost {
                agent,
                last_heard,
                at,
            } => Self::AgentLost(wire::AgentLost {
                agent: agent.to_string(),
                last_heard: last_heard.0,
                at: at.0,
            }),
            What::AgentReturned {
                agent,
                at,
                restarted,
            } => Self::AgentReturned(wire::AgentReturned {
                agent: agent.to_string(),
                at: at.0,
                restarted: *restarted,
            }),
            What::ControllerReturned { at, fence } => {
                Self::ControllerReturned(wire::ControllerReturned {
                    at: at.0,
                    fence: fence.0,
                })
            }
            What::StageCollected { stage, missing } => Self::StageCollected(wire::StageCollected {
                stage: stage.to_string(),
                missing: missing.iter().map(ToString::to_string).collect(),
            }),
            What::StageSkipped { stage, why } => Self::StageSkipped(wire::StageSkipped {
                stage: stage.to_string(),
                why: Some(skip(why)),
            }),
            What::StopRequested { mode, by } => Self::StopRequested(wire::StopRequested {
                mode: wire::StopMode::from(*mode).into(),
                by: said(by),
            }),
            What::RecordRefused { agent, why } => Self::RecordRefused(wire::RecordRefused {
                agent: agent.to_string(),
                why: said(why),
            }),
            What::RunEnded { how } => Self::RunEnded(wire::RunEnded {
                how: Some(run_end(how)),
            }),
            What::Reported { revision, known } => Self::Reported(wire::Reported {
                revision: *revision,
                known: known.iter().map(known_records).collect(),
            }),
        }
    }
}

fn known_records(known: &Known) -> wire::Known {
    let range = |&(from, to): &(Seq, Seq)| wire::Range {
        from: from.0,
        to: to.0,
    };
    wire::Known {
        agent: known.agent.to_string(),
        spool: known.spool.bytes().to_vec(),
        ranges: known.ranges.iter().map(range).collect(),
    }
}

fn start_order((agent, order): (&AgentId, &StartOrder)) -> wire::StartOrder {
    wire::StartOrder {
        agent: agent.to_string(),
        at: order.at.0,
        offset_lo: order.offset.lo,
        offset_hi: order.offset.hi,
        round_trip: order.round_trip.0,
        measured: order.measured.map(Into::into),
    }
}

fn skip(why: &Skip) -> wire::stage_skipped::Why {
    use wire::stage_skipped::Why;

    match why {
        Skip::After(stage) => Why::After(stage.to_string()),
        Skip::Stopped => Why::Stopped(true),
        Skip::NotReady(why) => Why::NotReady(said(why)),
    }
}

fn run_end(how: &RunEnd) -> wire::run_ended::How {
    use wire::run_ended::How;

    match how {
        RunEnd::Completed => How::Completed(true),
        RunEnd::Stopped(mode) => How::Stopped(wire::StopMode::from(*mode).into()),
        RunEnd::Failed(why) => How::Failed(said(why)),
    }
}
