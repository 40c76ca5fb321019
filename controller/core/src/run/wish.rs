//! What is wanted of each agent: it follows from the state and the agent's last known phase.

use nepho_common::{
    control::{Order, Phase, StopMode},
    id::AgentId,
    plan::Plan,
    time::{Mono, Nanos, RunTime},
};

use super::{Action, Run, State, member::Member};
use crate::clock::Reading;

/// After this an order that had no effect is repeated.
const REPEAT_AFTER: Nanos = Nanos::from_secs(1);

impl Run {
    /// What has to be sent now: what is wanted and was not sent, or sent too long ago.
    pub(super) fn orders(&mut self, now: Mono) -> Vec<Action> {
        let mut actions = Vec::new();
        if !self.begun {
            return actions;
        }
        let (state, stop, plan) = (&self.state, self.stop, &self.plan);
        for (agent, member) in &mut self.members {
            let Some(wish) = wanted(member, state, stop, plan) else {
                member.asked = None;
                continue;
            };
            let waiting = member
                .asked
                .as_ref()
                .is_some_and(|(asked, at)| *asked == wish && now.since(*at) < REPEAT_AFTER);
            if !member.lost && !waiting {
                if wish == Wish::ReadClock {
                    actions.push(Action::MeasureClock(agent.clone()));
                }
                let order = wish.order(agent, plan, member);
                member.asked = Some((wish, now));
                actions.extend(order.map(|order| Action::Send {
                    agent: agent.clone(),
                    order,
                }));
            }
        }
        actions
    }
}

/// What is wanted of a member: an order without its content, cheap to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    Prepare,
    Arm(usize),
    Start {
        stage: usize,
        at_run: RunTime,
    },
    /// Read its clock: it is to go on with a stage that has begun.
    ReadClock,
    Resume {
        stage: usize,
        at_run: RunTime,
        at: Mono,
    },
    Stop(StopMode),
    Release,
}

impl Wish {
    fn order(&self, agent: &AgentId, plan: &Plan, member: &Member) -> Option<Order> {
        let name = |stage: usize| plan.stages.get(stage).map(|stage| stage.name.clone());
        match self {
            Self::Prepare => plan
                .slice(agent)
                .map(|slice| Order::Prepare(Box::new(slice))),
            Self::Arm(stage) => name(*stage).map(Order::Arm),
            Self::Start { stage, at_run } => {
                let at = member.start?.at;
                Some(Order::Start {
                    stage: name(*stage)?,
                    at_run: *at_run,
                    at,
                })
            }
            Self::ReadClock => None,
            Self::Resume { stage, at_run, at } => Some(Order::Resume {
                stage: name(*stage)?,
                at_run: *at_run,
                at: *at,
            }),
            Self::Stop(mode) => Some(Order::Stop(*mode)),
            Self::Release => Some(Order::Release),
        }
    }
}

fn wanted(member: &Member, state: &State, stop: Option<StopMode>, plan: &Plan) -> Option<Wish> {
    let name = |stage: usize| plan.stages.get(stage).map(|stage| &stage.name);
    if !member.is_active() {
        return None;
    }
    match state {
        State::Releasing { .. } => (!member.is_unknown()).then_some(Wish::Release),
        State::Over | State::Judging { .. } => None,
        State::Preparing { .. }
        | State::Arming { .. }
        | State::Timing { .. }
        | State::Running { .. }
            if stop.is_some() =>
        {
            stop.filter(|_| member.is_stoppable()).map(Wish::Stop)
        }
        State::Preparing { .. } => (!member.is_prepared()).then_some(Wish::Prepare),
        State::Arming { stage, .. } => match &member.phase {
            None | Some(Phase::Unknown) => Some(Wish::Prepare),
            Some(_) if name(*stage).is_some_and(|name| member.is_armed(name)) => None,
            Some(_) => Some(Wish::Arm(*stage)),
        },
        State::Timing { .. } => None,
        State::Running { kept: false, .. } => None,
        State::Running {
            stage, at_run, at, ..
        } if member.again => match &member.phase {
            Some(Phase::Unknown) => Some(Wish::Prepare),
            Some(Phase::Prepared) => Some(Wish::Arm(*stage)),
            Some(Phase::Armed(_)) => Some(match member.clock {
                None => Wish::ReadClock,
                Some(Reading { offset, .. }) => Wish::Resume {
                    stage: *stage,
                    at_run: *at_run,
                    at: at.shifted(offset.middle()),
                },
            }),
            None
            | Some(
                Phase::Refused(_)
                | Phase::Scheduled(_)
                | Phase::Running(_)
                | Phase::Draining(_)
                | Phase::Sealed { .. }
                | Phase::Stopped,
            ) => None,
        },
        State::Running { stage, at_run, .. } => {
            let armed = name(*stage).is_some_and(|name| member.is_armed(name));
            (armed && member.start.is_some()).then_some(Wish::Start {
                stage: *stage,
                at_run: *at_run,
            })
        }
    }
}
