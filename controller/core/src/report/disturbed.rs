//! When an agent's clock stood still, and which of its evidence that spoils.
//!
//! While a host sleeps its monotonic clock stands still and the world does not: an answer that was on
//! its way looks faster than it was, a time-out may be the host's own, and whatever it asks
//! afterwards comes later than everybody else's. So of a stage in which the clock of an agent stood
//! still only what was over before that says anything. Nothing that rests on it passes; what failed
//! beyond its bound before, however good the rest may have been, has failed.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    event::{ClockJump, Event, StartOrder, What},
    id::{AgentId, StageName},
    plan::{Act, PlannedStage},
    time::{ClockEpoch, Interval, Mono, Nanos, RunTime},
};

use super::{
    said::{Said, said},
    story::{Ordered, Story},
};

/// The controller measures clocks before it chooses a start, and gives each agent so long for it
/// (`run::stages`, where an agent that takes longer is not started). One that slept after it was
/// measured starts late.
const MEASURED_WITHIN: Nanos = Nanos::from_secs(5);
/// A clock that stood still for less is not told from one that was slewed: what an agent itself
/// calls a sleep (`agent/src/clock.rs`).
const STOOD_STILL_MIN: i64 = 100_000_000;

/// Until when an offset had not moved, and by how much it did, at least and at most.
type Jump = (RunTime, i64, i64);

/// What is said of clocks that were disturbed.
#[derive(Debug, Default)]
pub(super) struct Disturbances {
    /// By the agent itself: when it noticed, since when, for how long it slept.
    slept: BTreeMap<AgentId, BTreeSet<(Mono, Option<Mono>, Nanos)>>,
    /// By the controller: when it noticed, and what it knows.
    moved: BTreeMap<AgentId, BTreeSet<(RunTime, Option<Jump>)>>,
    /// The epochs in which an agent began and ended a stage, and when it ended.
    epochs: BTreeMap<(AgentId, StageName), Epochs>,
}

#[derive(Debug, Default)]
struct Epochs {
    began: Option<ClockEpoch>,
    ended: Option<(ClockEpoch, Mono)>,
}

/// What is left of an agent's evidence in a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spoilt {
    /// What was over by then, in run time, is sound.
    pub(super) until: RunTime,
    /// What happened.
    pub(super) why: Said,
}

impl Disturbances {
    pub(super) fn note(&mut self, author: &AgentId, event: &Event) {
        match &event.what {
            What::EpochOpened { suspended, awake } => {
                let slept = self.slept.entry(author.clone()).or_default();
                slept.insert((event.at, *awake, *suspended));
            }
            What::ClockDisturbed { agent, at, jump } if author.is_controller() => {
                let known = |jump: &ClockJump| (jump.since, jump.moved.lo, jump.moved.hi);
                let moved = self.moved.entry(agent.clone()).or_default();
                moved.insert((*at, jump.as_ref().map(known)));
            }
            What::StageStarted { stage, .. } => {
                self.epochs(author, stage).began = Some(event.epoch);
            }
            What::StageEnded { stage, .. } => {
                self.epochs(author, stage).ended = Some((event.epoch, event.at));
            }
            What::ClockDisturbed { .. }
            | What::Missed { .. }
            | What::HostClock(_)
            | What::HostClockRejected { .. }
            | What::SpoolFull { .. }
            | What::LoadEnded { .. }
            | What::SymptomSeen { .. }
            | What::FactSeen { .. }
            | What::ThingSeen { .. }
            | What::Gap { .. }
            | What::RunStarted { .. }
            | What::AgentJoined { .. }
            | What::AgentRefused { .. }
            | What::StageOrdered { .. }
            | What::AgentLost { .. }
            | What::AgentReturned { .. }
            | What::ControllerReturned { .. }
            | What::StageCollected { .. }
            | What::StageSkipped { .. }
            | What::StopRequested { .. }
            | What::Aborted { .. }
            | What::RecordRefused { .. }
            | What::RunEnded { .. }
            | What::Reported { .. } => {}
        }
    }

    fn epochs(&mut self, author: &AgentId, stage: &StageName) -> &mut Epochs {
        let key = (author.clone(), stage.clone());
        self.epochs.entry(key).or_default()
    }

    /// What is left of `agent`'s evidence in `stage`; `None` when its clock was not disturbed.
    pub(super) fn spoilt(
        &self,
        story: &Story,
        stage: &PlannedStage,
        agent: &AgentId,
    ) -> Option<Spoilt> {
        let ordered = story.ordered.get(&stage.name);
        let order = ordered.and_then(|ordered| Some((ordered, ordered.agents.get(agent)?)));
        let Some((ordered, order)) = order else {
            let any = self.slept.contains_key(agent) || self.moved.contains_key(agent);
            return any.then(|| Spoilt {
                until: RunTime(i64::MIN),
                why: said!(
                    "its clock was disturbed, and nothing says when the stage began",
                    "它的时钟曾受干扰，而阶段何时开始没有记录"
                ),
            });
        };
        let epochs = self.epochs.get(&(agent.clone(), stage.name.clone()));
        let ended = epochs.and_then(|epochs| epochs.ended);
        let on = On {
            ordered,
            order,
            stage,
        };
        let slept = self.slept.get(agent).into_iter().flatten();
        let slept = slept.filter_map(|slept| on.slept(*slept, ended.map(|(_, at)| at)));
        let moved = self.moved.get(agent).into_iter().flatten();
        let moved = moved.filter_map(|moved| on.moved(*moved));
        let all: Vec<Spoilt> = slept.chain(moved).collect();
        let until = all.iter().map(|one| one.until).min();
        let Some(until) = until else {
            // The record of a sleep may be lost; every later event tells of it by its epoch.
            let began = epochs.and_then(|epochs| epochs.began)?;
            let slept = ended.is_some_and(|(ended, _)| ended > began);
            return slept.then(|| Spoilt {
                until: ordered.at_run,
                why: said!(
                    "its clock was disturbed while the stage ran",
                    "阶段进行中它的时钟曾受干扰"
                ),
            });
        };
        let why: BTreeSet<Said> = all.into_iter().map(|one| one.why).collect();
        let and = |all: Said, one: Said| said!("{all}, and {one}", "{all}，且{one}"; all, one);
        let why = why.into_iter().reduce(and)?;
        Some(Spoilt { until, why })
    }

    /// Whether anything was disturbed: without it nothing has to be looked at twice.
    pub(super) fn any(&self) -> bool {
        let slept = |epochs: &Epochs| {
            let both = epochs.began.zip(epochs.ended);
            both.is_some_and(|(began, (ended, _))| ended > began)
        };
        !self.slept.is_empty() || !self.moved.is_empty() || self.epochs.values().any(slept)
    }
}

/// A stage on an agent.
struct On<'a> {
    ordered: &'a Ordered,
    order: &'a StartOrder,
    stage: &'a PlannedStage,
}

impl On<'_> {
    /// In run time on the agent's own clock, which is off by what its offset was unsure.
    fn run_time(&self, at: Mono) -> RunTime {
        let into = at.minus(self.order.at);
        RunTime(self.ordered.at_run.0.saturating_add(into))
    }

    /// From when on a clock that stood still spoils the stage: since it was measured for the start.
    fn from(&self) -> Nanos {
        let lead = self.ordered.at.since(self.ordered.said);
        Nanos(lead.0.saturating_add(MEASURED_WITHIN.0))
    }

    fn slept(
        &self,
        (noticed, awake, long): (Mono, Option<Mono>, Nanos),
        ended: Option<Mono>,
    ) -> Option<Spoilt> {
        let from = Mono(self.order.at.0.saturating_sub(self.from().0));
        let awake = awake.unwrap_or(from);
        if noticed < from || ended.is_some_and(|ended| awake > ended) {
            return None;
        }
        let (since, to) = (self.run_time(awake), self.run_time(noticed));
        Some(Spoilt {
            until: self.before(since),
            why: said!(
                "its host was suspended for {long} between {since} and {to}",
                "它的主机在 {since} 与 {to} 之间休眠了 {long}"
            ),
        })
    }

    fn moved(&self, (noticed, known): (RunTime, Option<Jump>)) -> Option<Spoilt> {
        let begins = self.ordered.at_run;
        let from = RunTime(begins.0.saturating_sub_unsigned(self.from().0));
        let ends = begins.plus(self.stage.lasts).plus(answered(self.stage));
        let Some((since, lo, hi)) = known else {
            // A release that does not say what it saw.
            return (noticed >= from).then(|| Spoilt {
                until: begins,
                why: said!(
                    "its clock or the controller's was disturbed before {noticed}",
                    "它或控制器的时钟在 {noticed} 之前曾受干扰"
                ),
            });
        };
        // An offset that grew is the controller's own clock that stood still.
        let may_have_stood = hi < 0 && lo <= -STOOD_STILL_MIN;
        if !may_have_stood || noticed < from || since > ends {
            return None;
        }
        let (least, most) = (Nanos(hi.unsigned_abs()), Nanos(lo.unsigned_abs()));
        Some(Spoilt {
            until: self.before(since),
            why: said!(
                "its clock stood still for {least} to {most} between {since} and {noticed}",
                "它的时钟在 {since} 与 {noticed} 之间停顿了 {least} 至 {most}"
            ),
        })
    }

    fn before(&self, at: RunTime) -> RunTime {
        let unsure = self.order.offset.width().0;
        RunTime(at.0.saturating_sub_unsigned(unsure))
    }
}

/// How long after it was due a request of `stage` is over at the latest: sent late by up to its own
/// interval, and answered within its time-out.
fn answered(stage: &PlannedStage) -> Nanos {
    let steps = stage.steps.iter().map(|step| match &step.act {
        Act::Probe(probe) => probe.every.0.saturating_add(probe.timeout.0),
        Act::Load(load) => load.timeout.0,
        Act::Watch(_) => 0,
    });
    Nanos(steps.max().unwrap_or_default())
}

impl Spoilt {
    /// Whether everything that a recording of `stage` has of this interval was over before.
    pub(super) fn leaves(&self, stage: &PlannedStage, interval: Interval) -> bool {
        let Interval { to, .. } = interval;
        to.plus(answered(stage)) <= self.until
    }
}

#[cfg(test)]
mod tests;
