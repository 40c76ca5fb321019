//! A run that another process began, taken up from what its journal says.
//!
//! The journal is written before anybody is told of a start, so it never knows less than the
//! agents. What it does not hold is asked again: where each agent stands, and its clock.

use std::collections::BTreeMap;

use nepho_common::{
    control::{Phase, StopMode},
    event::{Event, RunEnd, What},
    id::{RunKey, StageName},
    plan::Plan,
    time::{Mono, Nanos},
};

use super::{
    Action, FAILOVER, READY_WITHIN, Run, State,
    guard::Guard,
    member::Member,
    stages::{COLLECTED_WITHIN, RELEASED_WITHIN, collected_by},
};

/// What is known of a run that is to be taken up.
#[derive(Debug, Clone)]
pub struct Past<'a> {
    /// With the fence of the process that takes it up.
    pub key: RunKey,
    /// What is executed.
    pub plan: Plan,
    /// What the controller's processes said, in their order.
    pub said: &'a [Event],
    /// What has to be added to their clock to have the present one; zero on a host that was not
    /// restarted in between.
    pub shift: i64,
    /// How the stages that were collected are judged.
    pub passed: BTreeMap<StageName, bool>,
}

/// The last thing that a journal says of the stages.
enum Place {
    /// Nothing.
    Before,
    /// This stage was ordered and not collected.
    Under(State),
    /// This stage is done with.
    After(usize),
}

impl Run {
    /// Takes up a run; agents have until [`FAILOVER`] to come back before they are called lost.
    /// `None` when the journal does not say that it began: then nobody was asked for anything.
    #[must_use]
    pub fn restore(past: Past<'_>, now: Mono) -> Option<(Self, Vec<Action>)> {
        let Past {
            key,
            plan,
            said,
            shift,
            passed,
        } = past;
        let began = said.iter().find_map(|event| match event.what {
            What::RunStarted { .. } => Some(event.at.shifted(shift)),
            _ => None,
        })?;
        let grace = now.plus(FAILOVER);
        let member = |agent: &_| (Clone::clone(agent), Member::returning(now, grace));
        let mut run = Self {
            members: plan.agents.keys().map(member).collect(),
            key,
            plan,
            state: State::Over,
            since: began,
            origin: None,
            passed,
            stop: None,
            guard: Guard::default(),
            begun: true,
            taken_up: Some(now),
        };
        let mut place = Place::Before;
        let mut ended = None;
        for event in said {
            run.recall(&event.what, shift, &mut place, &mut ended);
        }
        let actions = run.go_on(place, ended, now);
        Some((run, actions))
    }

    fn recall(&mut self, what: &What, shift: i64, place: &mut Place, ended: &mut Option<RunEnd>) {
        let index = |stage: &StageName| self.plan.stages.iter().position(|s| s.name == *stage);
        match what {
            What::AgentJoined {
                agent, features, ..
            } => {
                if let Some(member) = self.members.get_mut(agent) {
                    member.resumes = features.iter().any(|one| one.as_str() == super::RESUME);
                }
            }
            What::AgentRefused { agent, why } => {
                if let Some(member) = self.members.get_mut(agent) {
                    member.phase = Some(Phase::Refused(why.clone()));
                }
            }
            What::StageOrdered {
                stage,
                at_run,
                at,
                agents,
            } => {
                let Some(stage) = index(stage) else { return };
                let at = at.shifted(shift);
                self.origin = Some(at.shifted(at_run.0.saturating_neg()));
                for (agent, member) in &mut self.members {
                    member.start = agents.get(agent).copied();
                    member.again = false;
                }
                let planned = self.stage(stage);
                *place = Place::Under(State::Running {
                    stage,
                    at,
                    at_run: *at_run,
                    ends: at.plus(planned.lasts),
                    until: collected_by(planned, at),
                    kept: true,
                });
            }
            What::AgentLost { agent, .. } => {
                if let Some(member) = self.members.get_mut(agent) {
                    member.lost = true;
                    member.lost_since = self.taken_up;
                }
            }
            What::AgentReturned {
                agent, restarted, ..
            } => {
                if let Some(member) = self.members.get_mut(agent) {
                    member.lost = false;
                    member.again |= *restarted && member.resumes;
                }
            }
            What::StageCollected { stage, .. } => {
                let Some(at) = index(stage) else { return };
                // Who takes it up judges what was collected; unjudged is not passed.
                self.passed.entry(stage.clone()).or_insert(false);
                *place = Place::After(at);
            }
            What::StageSkipped { stage, .. } => {
                let Some(at) = index(stage) else { return };
                self.passed.insert(stage.clone(), false);
                *place = Place::After(at);
            }
            What::StopRequested { mode, .. } => self.stop = self.stop.max(Some(*mode)),
            What::RunEnded { how } => *ended = Some(how.clone()),
            What::RunStarted { .. }
            | What::ControllerReturned { .. }
            | What::Aborted { .. }
            | What::RecordRefused { .. }
            | What::Reported { .. }
            | What::StageStarted { .. }
            | What::StageEnded { .. }
            | What::Missed { .. }
            | What::HostClock(_)
            | What::ClockDisturbed { .. }
            | What::HostClockRejected { .. }
            | What::SpoolFull { .. }
            | What::LoadEnded { .. }
            | What::SymptomSeen { .. }
            | What::FactSeen { .. }
            | What::ThingSeen { .. }
            | What::Gap { .. }
            | What::EpochOpened { .. } => {}
        }
    }

    fn go_on(&mut self, place: Place, ended: Option<RunEnd>, now: Mono) -> Vec<Action> {
        if let Some(how) = ended {
            self.state = State::Releasing {
                until: now.plus(RELEASED_WITHIN),
            };
            return vec![Action::Ended(how)];
        }
        let at = self.run_time(now);
        let fence = self.key.fence;
        let mut actions = vec![Action::Journal(What::ControllerReturned { at, fence })];
        match place {
            Place::Before => {
                self.state = State::Preparing {
                    until: now.plus(FAILOVER).plus(READY_WITHIN),
                };
            }
            Place::Under(State::Running {
                stage,
                at,
                at_run,
                ends,
                until,
                kept,
            }) => {
                // What waited for us while we were away has its time to arrive.
                let until = until.max(now.plus(COLLECTED_WITHIN));
                self.state = State::Running {
                    stage,
                    at,
                    at_run,
                    ends,
                    until,
                    kept,
                };
            }
            Place::Under(_) => {}
            Place::After(stage) => self.enter_stage(stage + 1, now, &mut actions),
        }
        actions.extend(self.orders(now));
        actions
    }

    /// The way in which somebody asked for an end; it outlives the process that was asked.
    #[must_use]
    pub const fn stopped(&self) -> Option<StopMode> {
        self.stop
    }
}

/// How far the present clock is ahead of the one that `said` was stamped with, by wall time. Only
/// for a host that was restarted in between: it is as good as the wall clock is.
#[must_use]
pub fn shift_by_wall(said: &[Event], now: Mono, wall: nepho_common::time::WallMillis) -> i64 {
    let Some(last) = said.last() else { return 0 };
    let passed = wall.0.saturating_sub(last.wall.0).saturating_mul(1_000_000);
    let passed = Nanos(u64::try_from(passed).unwrap_or_default());
    now.minus(last.at.plus(passed))
}
