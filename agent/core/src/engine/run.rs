//! One run on this agent: the states, and what leads from one to the next.

use nepho_common::{
    control::{Order, Phase, Refusal, Status, StopMode},
    event::StageEnd,
    id::{RunKey, Seq, SpoolId, StageName},
    plan::{Act, AssignedStage, Assignment},
    time::{Mono, Nanos, RunTime},
};

use super::Action;

/// How long after the last time-out an answer is still waited for before the workers are cut off.
/// Their own time-outs end them before; this is for a worker that hangs.
const DRAIN_GRACE: Nanos = Nanos::from_secs(2);
/// A run that nobody has spoken of for this long and that does nothing is forgotten.
pub(super) const FORGET_AFTER: Nanos = Nanos::from_secs(3600);

#[derive(Debug)]
pub(super) struct Run {
    pub(super) key: RunKey,
    assignment: Assignment,
    state: State,
    pub(super) spoken_of: Mono,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Prepared,
    Armed(usize),
    Scheduled(Slot),
    Running(Slot),
    Draining {
        slot: Slot,
        until: Mono,
        ended: RunTime,
        how: StageEnd,
    },
    Sealing {
        slot: Slot,
    },
    Sealed {
        stage: usize,
        spool: SpoolId,
        seal: Seq,
    },
    Stopped,
}

/// A stage and its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    stage: usize,
    at: Mono,
    at_run: RunTime,
}

impl Run {
    /// A run that was just taken on.
    pub(super) const fn prepared(key: RunKey, assignment: Assignment, now: Mono) -> Self {
        Self {
            key,
            assignment,
            state: State::Prepared,
            spoken_of: now,
        }
    }

    pub(super) fn status(&self) -> Status {
        let name = |stage: usize| self.stage(stage).name.clone();
        let phase = match &self.state {
            State::Prepared => Phase::Prepared,
            State::Armed(stage) => Phase::Armed(name(*stage)),
            State::Scheduled(slot) => Phase::Scheduled(name(slot.stage)),
            State::Running(slot) => Phase::Running(name(slot.stage)),
            State::Draining { slot, .. } | State::Sealing { slot } => {
                Phase::Draining(name(slot.stage))
            }
            State::Sealed { stage, spool, seal } => Phase::Sealed {
                stage: name(*stage),
                spool: *spool,
                seal: *seal,
            },
            State::Stopped => Phase::Stopped,
        };
        Status {
            key: self.key.clone(),
            phase,
        }
    }

    fn stage(&self, index: usize) -> &AssignedStage {
        self.assignment
            .stages
            .get(index)
            .expect("a slot is made from a place that was found")
    }

    fn tell(&self) -> Vec<Action> {
        vec![Action::Tell(self.status())]
    }

    pub(super) const fn is_idle(&self) -> bool {
        match self.state {
            State::Prepared | State::Armed(_) | State::Sealed { .. } | State::Stopped => true,
            State::Scheduled(_)
            | State::Running(_)
            | State::Draining { .. }
            | State::Sealing { .. } => false,
        }
    }

    /// Whether a stage is to send or sends.
    pub(super) const fn is_sending(&self) -> bool {
        matches!(self.state, State::Scheduled(_) | State::Running(_))
    }

    /// Whether this order leads to another stage than those that were begun. What is said again of
    /// a stage that was sealed is answered with its seal, which the controller waits for.
    pub(super) fn would_begin(&self, order: &Order) -> bool {
        let place = |name: &StageName| self.assignment.stages.iter().position(|s| s.name == *name);
        match (order, &self.state) {
            (
                Order::Prepare(_) | Order::Arm(_) | Order::Start { .. } | Order::Resume { .. },
                State::Prepared | State::Armed(_),
            ) => true,
            (Order::Arm(name), State::Sealed { stage, .. }) => {
                place(name).is_some_and(|wanted| wanted > *stage)
            }
            (
                Order::Prepare(_)
                | Order::Arm(_)
                | Order::Start { .. }
                | Order::Resume { .. }
                | Order::Stop(_)
                | Order::Release,
                State::Prepared
                | State::Armed(_)
                | State::Scheduled(_)
                | State::Running(_)
                | State::Draining { .. }
                | State::Sealing { .. }
                | State::Sealed { .. }
                | State::Stopped,
            ) => false,
        }
    }

    pub(super) fn is_forgotten(&self, now: Mono) -> bool {
        self.is_idle() && now.since(self.spoken_of) > FORGET_AFTER
    }

    pub(super) fn wake(&self) -> Option<Mono> {
        match &self.state {
            State::Scheduled(slot) => Some(slot.at),
            State::Running(slot) => Some(slot.at.plus(self.stage(slot.stage).lasts)),
            State::Draining { until, .. } => Some(*until),
            State::Sealing { .. } => None,
            State::Prepared | State::Armed(_) | State::Sealed { .. } | State::Stopped => {
                Some(self.spoken_of.plus(FORGET_AFTER))
            }
        }
    }

    pub(super) fn order(&mut self, order: Order, now: Mono) -> Vec<Action> {
        match order {
            // It is known already, so it was prepared; or it is busy, and release must wait.
            Order::Prepare(_) | Order::Release => self.tell(),
            Order::Arm(stage) => self.arm(&stage),
            Order::Start { stage, at_run, at } => self.start(&stage, (at, at_run), false, now),
            Order::Resume { stage, at_run, at } => self.start(&stage, (at, at_run), true, now),
            Order::Stop(mode) => self.stop(mode, now),
        }
    }

    fn arm(&mut self, name: &StageName) -> Vec<Action> {
        let found = self
            .assignment
            .stages
            .iter()
            .position(|stage| stage.name == *name);
        let Some(wanted) = found else {
            let phase = Phase::Refused(Refusal::Invalid(format!("no stage {name} was assigned")));
            return vec![Action::Tell(Status {
                key: self.key.clone(),
                phase,
            })];
        };
        let is_next = match &self.state {
            State::Prepared | State::Armed(_) => true,
            State::Sealed { stage, .. } => wanted > *stage,
            State::Scheduled(_)
            | State::Running(_)
            | State::Draining { .. }
            | State::Sealing { .. }
            | State::Stopped => false,
        };
        if is_next {
            self.state = State::Armed(wanted);
        }
        self.tell()
    }

    fn start(
        &mut self,
        name: &StageName,
        (at, at_run): (Mono, RunTime),
        resumed: bool,
        now: Mono,
    ) -> Vec<Action> {
        let State::Armed(stage) = self.state else {
            return self.tell();
        };
        let mut assigned = self.stage(stage).clone();
        if assigned.name != *name {
            return self.tell();
        }
        // What comes a little late joins late: requests that were due are counted as missed. When
        // the whole stage is over there is nothing to join.
        if now >= at.plus(assigned.lasts) {
            let phase = Phase::Refused(Refusal::Late(now.since(at)));
            return vec![Action::Tell(Status {
                key: self.key.clone(),
                phase,
            })];
        }
        if resumed {
            assigned.steps.retain(|step| may_be_resumed(&step.act));
        }
        self.state = State::Scheduled(Slot { stage, at, at_run });
        let begin = Action::Begin {
            key: self.key.clone(),
            plan: self.assignment.plan,
            stage: assigned,
            at,
            at_run,
            resumed,
        };
        [vec![begin], self.tell(), self.tick(now)].concat()
    }

    fn stop(&mut self, mode: StopMode, now: Mono) -> Vec<Action> {
        let run = self.key.run.clone();
        match self.state {
            State::Prepared | State::Armed(_) | State::Sealed { .. } | State::Stopped => {
                if !matches!(self.state, State::Sealed { .. }) {
                    self.state = State::Stopped;
                }
                self.tell()
            }
            State::Scheduled(slot) | State::Running(slot) => {
                let ended = slot.run_time(now);
                let until = self.drained_by(slot, now);
                let how = StageEnd::Stopped(mode);
                self.state = State::Draining {
                    slot,
                    until,
                    ended,
                    how,
                };
                let act = match mode {
                    StopMode::Stop => Action::StopSending(run),
                    StopMode::Abort => Action::Cut(run),
                };
                [vec![act], self.tell()].concat()
            }
            State::Draining {
                slot,
                until,
                ended,
                how,
            } => match mode {
                StopMode::Stop => self.tell(),
                StopMode::Abort => {
                    // Draining cut short is still a stage that ended when it ended.
                    self.state = State::Draining {
                        slot,
                        until,
                        ended,
                        how,
                    };
                    [vec![Action::Cut(run)], self.tell()].concat()
                }
            },
            State::Sealing { .. } => self.tell(),
        }
    }

    fn drained_by(&self, slot: Slot, now: Mono) -> Mono {
        now.plus(self.stage(slot.stage).drain()).plus(DRAIN_GRACE)
    }

    pub(super) fn tick(&mut self, now: Mono) -> Vec<Action> {
        match self.state {
            State::Scheduled(slot) if now >= slot.at => {
                self.state = State::Running(slot);
                [self.tell(), self.tick(now)].concat()
            }
            State::Running(slot) if now >= slot.at.plus(self.stage(slot.stage).lasts) => {
                let ended = slot.at_run.plus(self.stage(slot.stage).lasts);
                let until = self.drained_by(slot, now);
                let how = StageEnd::Completed;
                self.state = State::Draining {
                    slot,
                    until,
                    ended,
                    how,
                };
                [vec![Action::StopSending(self.key.run.clone())], self.tell()].concat()
            }
            State::Draining {
                slot,
                until,
                ended,
                how,
            } if now >= until => {
                // A worker hangs: cut it, and seal what there is.
                let cut = Action::Cut(self.key.run.clone());
                [vec![cut], self.seal(slot, ended, how)].concat()
            }
            State::Prepared
            | State::Armed(_)
            | State::Scheduled(_)
            | State::Running(_)
            | State::Draining { .. }
            | State::Sealing { .. }
            | State::Sealed { .. }
            | State::Stopped => Vec::new(),
        }
    }

    pub(super) fn workers_idle(&mut self) -> Vec<Action> {
        match self.state {
            State::Draining {
                slot, ended, how, ..
            } => self.seal(slot, ended, how),
            State::Prepared
            | State::Armed(_)
            | State::Scheduled(_)
            | State::Running(_)
            | State::Sealing { .. }
            | State::Sealed { .. }
            | State::Stopped => Vec::new(),
        }
    }

    fn seal(&mut self, slot: Slot, at: RunTime, how: StageEnd) -> Vec<Action> {
        self.state = State::Sealing { slot };
        let stage = self.stage(slot.stage).name.clone();
        vec![Action::Seal {
            key: self.key.clone(),
            stage,
            at,
            how,
        }]
    }

    pub(super) fn seal_written(
        &mut self,
        name: &StageName,
        spool: SpoolId,
        seal: Seq,
    ) -> Vec<Action> {
        let State::Sealing { slot } = self.state else {
            return Vec::new();
        };
        if self.stage(slot.stage).name != *name {
            return Vec::new();
        }
        self.state = State::Sealed {
            stage: slot.stage,
            spool,
            seal,
        };
        self.tell()
    }
}

/// Whether an act goes on after its agent was restarted in the middle. A probe asks as often as it
/// did, and what was not asked meanwhile is missing. Whatever makes load must say no here: half of
/// the first process's requests may still be under way, and nobody knows how many.
const fn may_be_resumed<T>(act: &Act<T>) -> bool {
    match act {
        Act::Probe(_) | Act::Watch(_) => true,
        Act::Load(_) => false,
    }
}

impl Slot {
    fn run_time(self, now: Mono) -> RunTime {
        RunTime(self.at_run.0.saturating_add(now.minus(self.at)))
    }
}
