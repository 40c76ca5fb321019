//! What happened, inwards.

use std::collections::BTreeMap;

use nepho_common::{
    event::{ClockJump, Known, LoadEnd, RunEnd, Skip, StageEnd, StartOrder, What},
    id::{AgentId, Fence, PlanId, Seq},
    time::{ClockOffset, Mono},
};

use super::symptom::{fact_seen, symptom_seen};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    convert::field::{
        at_most, choice, id, list, mark, name, names, part, run_time, seq, span, text,
    },
    limits::{AGENTS_MAX, ENTRIES_MAX, FEATURES_MAX},
    wire::{self, event::What as Wire},
};

impl TryFrom<Wire> for What {
    type Error = BadMessage;

    fn try_from(wire: Wire) -> Result<Self, BadMessage> {
        match wire {
            Wire::StageStarted(wire) => stage_started(wire).within("stage_started"),
            Wire::StageEnded(wire) => stage_ended(wire).within("stage_ended"),
            Wire::Missed(wire) => missed(wire).within("missed"),
            Wire::EpochOpened(wire) => epoch_opened(wire).within("epoch_opened"),
            Wire::HostClock(wire) => wire.try_into().map(Self::HostClock).within("host_clock"),
            Wire::ClockDisturbed(wire) => clock_disturbed(wire).within("clock_disturbed"),
            Wire::HostClockRejected(wire) => {
                host_clock_rejected(wire).within("host_clock_rejected")
            }
            Wire::SpoolFull(wire) => spool_full(wire).within("spool_full"),
            Wire::RunStarted(wire) => run_started(wire).within("run_started"),
            Wire::AgentJoined(wire) => agent_joined(wire).within("agent_joined"),
            Wire::AgentRefused(wire) => agent_refused(wire).within("agent_refused"),
            Wire::StageOrdered(wire) => stage_ordered(wire).within("stage_ordered"),
            Wire::AgentLost(wire) => agent_lost(wire).within("agent_lost"),
            Wire::AgentReturned(wire) => agent_returned(wire).within("agent_returned"),
            Wire::ControllerReturned(wire) => {
                controller_returned(wire).within("controller_returned")
            }
            Wire::StageCollected(wire) => stage_collected(wire).within("stage_collected"),
            Wire::StageSkipped(wire) => stage_skipped(wire).within("stage_skipped"),
            Wire::StopRequested(wire) => stop_requested(wire).within("stop_requested"),
            Wire::RecordRefused(wire) => record_refused(wire).within("record_refused"),
            Wire::RunEnded(wire) => run_ended(wire).within("run_ended"),
            Wire::SymptomSeen(wire) => symptom_seen(wire).within("symptom_seen"),
            Wire::FactSeen(wire) => fact_seen(wire).within("fact_seen"),
            Wire::ThingSeen(wire) => thing_seen(wire).within("thing_seen"),
            Wire::LoadEnded(wire) => load_ended(wire).within("load_ended"),
            Wire::Aborted(wire) => aborted(wire).within("aborted"),
            Wire::Gap(wire) => gap(wire).within("gap"),
            Wire::Reported(wire) => reported(wire).within("reported"),
        }
    }
}

fn thing_seen(wire: wire::ThingSeen) -> Result<What, BadMessage> {
    Ok(What::ThingSeen {
        stage: name("stage", wire.stage)?,
        step: name("step", wire.step)?,
        thing: name("thing", wire.thing)?,
        at: run_time("at", wire.at)?,
        how: choice::<wire::Presence, _>("how", wire.how)?,
    })
}

fn stage_started(wire: wire::StageStarted) -> Result<What, BadMessage> {
    Ok(What::StageStarted {
        stage: name("stage", wire.stage)?,
        planned: Mono(wire.planned),
        actual: Mono(wire.actual),
    })
}

fn stage_ended(wire: wire::StageEnded) -> Result<What, BadMessage> {
    let how = match wire.stopped {
        0 => StageEnd::Completed,
        mode => StageEnd::Stopped(choice::<wire::StopMode, _>("stopped", mode)?),
    };
    Ok(What::StageEnded {
        stage: name("stage", wire.stage)?,
        at: run_time("at", wire.at)?,
        how,
    })
}

fn missed(wire: wire::Missed) -> Result<What, BadMessage> {
    Ok(What::Missed {
        stage: name("stage", wire.stage)?,
        step: name("step", wire.step)?,
        count: wire.count,
        longest: span("longest", wire.longest)?,
    })
}

fn epoch_opened(wire: wire::EpochOpened) -> Result<What, BadMessage> {
    Ok(What::EpochOpened {
        suspended: span("suspended", wire.suspended)?,
        awake: wire.awake.map(Mono),
    })
}

fn clock_disturbed(wire: wire::ClockDisturbed) -> Result<What, BadMessage> {
    Ok(What::ClockDisturbed {
        agent: name("agent", wire.agent)?,
        at: run_time("at", wire.at)?,
        jump: wire.jump.map(clock_jump).transpose().within("jump")?,
    })
}

fn clock_jump(wire: wire::ClockJump) -> Result<ClockJump, BadMessage> {
    Ok(ClockJump {
        since: run_time("since", wire.since)?,
        moved: part("moved", wire.moved)?,
    })
}

fn host_clock_rejected(wire: wire::HostClockRejected) -> Result<What, BadMessage> {
    Ok(What::HostClockRejected {
        agent: name("agent", wire.agent)?,
        at: run_time("at", wire.at)?,
        claimed: part("claimed", wire.claimed)?,
        measured: part("measured", wire.measured)?,
    })
}

fn spool_full(wire: wire::SpoolFull) -> Result<What, BadMessage> {
    Ok(What::SpoolFull {
        stage: name("stage", wire.stage)?,
        why: choice::<wire::Shortage, _>("why", wire.why)?,
        waited: span("waited", wire.waited)?,
        longest: span("longest", wire.longest)?,
    })
}

fn load_ended(wire: wire::LoadEnded) -> Result<What, BadMessage> {
    use wire::load_ended::Why;
    Ok(What::LoadEnded {
        stage: name("stage", wire.stage)?,
        step: name("step", wire.step)?,
        at: run_time("at", wire.at)?,
        why: match wire.why {
            Some(Why::Unheard(nanos)) => LoadEnd::Unheard(span("unheard", nanos)?),
            Some(Why::Unable(why)) => LoadEnd::Unable(text("unable", why)?),
            None => return Err(Wrong::Missing).within("why"),
        },
    })
}

fn aborted(wire: wire::Aborted) -> Result<What, BadMessage> {
    Ok(What::Aborted {
        stage: name("stage", wire.stage)?,
        step: name("step", wire.step)?,
        at: run_time("at", wire.at)?,
        why: text("why", wire.why)?,
    })
}

fn gap(wire: wire::Gap) -> Result<What, BadMessage> {
    let (from, to) = range(&wire::Range {
        from: wire.from,
        to: wire.to,
    })?;
    Ok(What::Gap { from, to })
}

fn reported(wire: wire::Reported) -> Result<What, BadMessage> {
    if wire.revision == 0 {
        return Err(Wrong::Missing).within("revision");
    }
    let ranges = wire.known.iter().map(|known| known.ranges.len()).sum();
    at_most("ranges", ranges, ENTRIES_MAX)?;
    Ok(What::Reported {
        revision: wire.revision,
        known: list("known", wire.known, ENTRIES_MAX)?,
    })
}

impl TryFrom<wire::Known> for Known {
    type Error = BadMessage;

    fn try_from(wire: wire::Known) -> Result<Self, BadMessage> {
        let ranges = wire.ranges.into_iter().enumerate();
        let range = |(place, wire)| range(&wire).within(&format!("ranges[{place}]"));
        Ok(Self {
            agent: name("agent", wire.agent)?,
            spool: id("spool", &wire.spool)?,
            ranges: ranges.map(range).collect::<Result<_, BadMessage>>()?,
        })
    }
}

fn range(wire: &wire::Range) -> Result<(Seq, Seq), BadMessage> {
    let (from, to) = (seq("from", wire.from)?, seq("to", wire.to)?);
    if from > to {
        return Err(Wrong::Backwards.into());
    }
    Ok((from, to))
}

fn run_started(wire: wire::RunStarted) -> Result<What, BadMessage> {
    Ok(What::RunStarted {
        plan: PlanId(id("plan", &wire.plan)?),
        host: part("host", wire.host)?,
    })
}

fn agent_joined(wire: wire::AgentJoined) -> Result<What, BadMessage> {
    Ok(What::AgentJoined {
        agent: name("agent", wire.agent)?,
        environment: name("environment", wire.environment)?,
        host: part("host", wire.host)?,
        features: names("features", wire.features, FEATURES_MAX)?,
    })
}

fn agent_refused(wire: wire::AgentRefused) -> Result<What, BadMessage> {
    Ok(What::AgentRefused {
        agent: name("agent", wire.agent)?,
        why: part("why", wire.why)?,
    })
}

fn stage_ordered(wire: wire::StageOrdered) -> Result<What, BadMessage> {
    at_most("agents", wire.agents.len(), AGENTS_MAX)?;
    let mut agents = BTreeMap::new();
    for (place, order) in wire.agents.into_iter().enumerate() {
        let place = format!("agents[{place}]");
        let (agent, order) = start_order(order).within(&place)?;
        if agents.insert(agent, order).is_some() {
            return Err(Wrong::Twice).within(&place);
        }
    }
    Ok(What::StageOrdered {
        stage: name("stage", wire.stage)?,
        at_run: run_time("at_run", wire.at_run)?,
        at: Mono(wire.at),
        agents,
    })
}

fn start_order(wire: wire::StartOrder) -> Result<(AgentId, StartOrder), BadMessage> {
    if wire.offset_lo > wire.offset_hi {
        return Err(Wrong::Backwards).within("offset");
    }
    let order = StartOrder {
        at: Mono(wire.at),
        offset: ClockOffset {
            lo: wire.offset_lo,
            hi: wire.offset_hi,
        },
        round_trip: span("round_trip", wire.round_trip)?,
        measured: wire
            .measured
            .map(TryInto::try_into)
            .transpose()
            .within("measured")?,
    };
    Ok((name("agent", wire.agent)?, order))
}

fn agent_lost(wire: wire::AgentLost) -> Result<What, BadMessage> {
    Ok(What::AgentLost {
        agent: name("agent", wire.agent)?,
        last_heard: run_time("last_heard", wire.last_heard)?,
        at: run_time("at", wire.at)?,
    })
}

fn agent_returned(wire: wire::AgentReturned) -> Result<What, BadMessage> {
    Ok(What::AgentReturned {
        agent: name("agent", wire.agent)?,
        at: run_time("at", wire.at)?,
        restarted: wire.restarted,
    })
}

fn controller_returned(wire: wire::ControllerReturned) -> Result<What, BadMessage> {
    Ok(What::ControllerReturned {
        at: run_time("at", wire.at)?,
        fence: Fence(wire.fence),
    })
}

fn stage_collected(wire: wire::StageCollected) -> Result<What, BadMessage> {
    Ok(What::StageCollected {
        stage: name("stage", wire.stage)?,
        missing: names("missing", wire.missing, AGENTS_MAX)?,
    })
}

fn stage_skipped(wire: wire::StageSkipped) -> Result<What, BadMessage> {
    use wire::stage_skipped::Why;

    let why = match wire.why.ok_or(Wrong::Missing).within("why")? {
        Why::After(stage) => Skip::After(name("after", stage)?),
        Why::Stopped(set) => mark("stopped", set).map(|()| Skip::Stopped)?,
        Why::NotReady(why) => Skip::NotReady(text("not_ready", why)?),
    };
    Ok(What::StageSkipped {
        stage: name("stage", wire.stage)?,
        why,
    })
}

fn stop_requested(wire: wire::StopRequested) -> Result<What, BadMessage> {
    Ok(What::StopRequested {
        mode: choice::<wire::StopMode, _>("mode", wire.mode)?,
        by: text("by", wire.by)?,
    })
}

fn record_refused(wire: wire::RecordRefused) -> Result<What, BadMessage> {
    Ok(What::RecordRefused {
        agent: name("agent", wire.agent)?,
        why: text("why", wire.why)?,
    })
}

fn run_ended(wire: wire::RunEnded) -> Result<What, BadMessage> {
    use wire::run_ended::How;

    let how = match wire.how.ok_or(Wrong::Missing).within("how")? {
        How::Completed(set) => mark("completed", set).map(|()| RunEnd::Completed)?,
        How::Stopped(mode) => RunEnd::Stopped(choice::<wire::StopMode, _>("stopped", mode)?),
        How::Failed(why) => RunEnd::Failed(text("failed", why)?),
    };
    Ok(What::RunEnded { how })
}
