//! One run on the controller: what agents say, what the store has, and time in; orders, events and
//! requests for judgement out.
//!
//! ```text
//! Preparing -> [ Arming -> Timing -> Running -> Judging ] for each stage -> Releasing -> Over
//! ```
//! Orders are level-triggered: what is wanted of an agent follows from the state and its last known
//! phase, and is repeated until the agent says that it is so. Every waiting state has a deadline
//! and says what it waits for ([`Run::progress`]).

mod member;
mod progress;
mod stages;
mod wish;

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    control::{Host, Order, Phase, StopMode},
    event::{RunEnd, What},
    id::{AgentId, EnvironmentName, Feature, RunKey, Seq, SpoolId, StageName},
    plan::{Plan, PlannedStage},
    time::{ClockOffset, Mono, Nanos, RunTime},
};

use self::member::Member;
pub use self::progress::Progress;

/// An agent that has been silent for this long is lost: three heartbeats.
pub const LOST_AFTER: Nanos = Nanos::from_secs(15);
/// How long agents may take to check an assignment, and to arm: nothing of it is slow; a little
/// longer than losing an agent takes, so that a dead one is called lost and not slow.
const READY_WITHIN: Nanos = Nanos::from_secs(20);

/// What the run is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A session of this agent was opened.
    Connected {
        /// Who.
        agent: AgentId,
        /// Its process is another one than before.
        restarted: bool,
    },
    /// Something came from this agent.
    Heard(AgentId),
    /// An agent says where it stands in this run.
    Status {
        /// Who.
        agent: AgentId,
        /// Where.
        phase: Phase,
    },
    /// The burst of clock exchanges with this agent is over.
    Clock {
        /// Who.
        agent: AgentId,
        /// Where its offset lies.
        offset: ClockOffset,
        /// The shortest round trip behind it.
        round_trip: Nanos,
    },
    /// Exchanges with this agent contradict each other.
    ClockDisturbed(AgentId),
    /// The store has committed everything of this spool up to `seq`.
    Durable {
        /// Whose.
        agent: AgentId,
        /// Which.
        spool: SpoolId,
        /// Up to where.
        seq: Seq,
    },
    /// A stage was judged.
    Judged {
        /// Which.
        stage: StageName,
        /// Whether the stages after it may begin.
        passed: bool,
    },
    /// Somebody wants an end.
    Stop {
        /// How.
        mode: StopMode,
        /// Who.
        by: String,
    },
    /// Time has passed.
    Tick,
}

/// What the driver does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send an order.
    Send {
        /// To whom.
        agent: AgentId,
        /// What.
        order: Order,
    },
    /// Write this down.
    Journal(What),
    /// Exchange clocks with this agent in a burst, then [`Input::Clock`].
    MeasureClock(AgentId),
    /// Fold the journal and judge this stage, then [`Input::Judged`].
    Judge(StageName),
    /// The run is over: tell whoever watches, make the report.
    Ended(RunEnd),
}

/// An agent that takes part, as the inventory knew it when the run began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// Where it is.
    pub environment: EnvironmentName,
    /// Its host.
    pub host: Host,
    /// What it can do.
    pub features: BTreeSet<Feature>,
}

/// One execution of a plan.
#[derive(Debug)]
pub struct Run {
    key: RunKey,
    plan: Plan,
    members: BTreeMap<AgentId, Member>,
    state: State,
    since: Mono,
    /// The controller's instant of run time zero, once it is chosen.
    origin: Option<Mono>,
    passed: BTreeMap<StageName, bool>,
    stop: Option<StopMode>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Preparing {
        until: Mono,
    },
    Arming {
        stage: usize,
        until: Mono,
    },
    Timing {
        stage: usize,
        until: Mono,
    },
    Running {
        stage: usize,
        at: Mono,
        at_run: RunTime,
        ends: Mono,
        until: Mono,
    },
    Judging {
        stage: usize,
    },
    Releasing {
        until: Mono,
    },
    Over,
}

impl Run {
    /// A run that begins now. The driver has journalled the plan as an exhibit before.
    #[must_use]
    pub fn begin(
        key: RunKey,
        plan: Plan,
        controller: Host,
        participants: &BTreeMap<AgentId, Participant>,
        now: Mono,
    ) -> (Self, Vec<Action>) {
        let mut actions = vec![Action::Journal(What::RunStarted {
            plan: plan.id(),
            host: controller,
        })];
        actions.extend(participants.iter().map(|(agent, participant)| {
            Action::Journal(What::AgentJoined {
                agent: agent.clone(),
                environment: participant.environment.clone(),
                host: participant.host.clone(),
                features: participant.features.iter().cloned().collect(),
            })
        }));
        let member = |agent: &AgentId| (agent.clone(), Member::new(now));
        let mut run = Self {
            members: plan.agents.keys().map(member).collect(),
            key,
            plan,
            state: State::Preparing {
                until: now.plus(READY_WITHIN),
            },
            since: now,
            origin: None,
            passed: BTreeMap::new(),
            stop: None,
        };
        actions.extend(run.orders(now));
        (run, actions)
    }

    /// What every command of this run carries.
    #[must_use]
    pub const fn key(&self) -> &RunKey {
        &self.key
    }

    /// What is executed.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether nothing of this run is left to do.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Takes one input and says what to do.
    pub fn handle(&mut self, input: Input, now: Mono) -> Vec<Action> {
        let mut actions = Vec::new();
        self.note(input, now, &mut actions);
        self.lose(now, &mut actions);
        while self.advance(now, &mut actions) {}
        actions.extend(self.orders(now));
        actions
    }

    fn note(&mut self, input: Input, now: Mono, actions: &mut Vec<Action>) {
        match input {
            Input::Connected { agent, restarted } => self.heard(&agent, restarted, now, actions),
            Input::Heard(agent) => self.heard(&agent, false, now, actions),
            Input::Status { agent, phase } => {
                self.heard(&agent, false, now, actions);
                let Some(member) = self.members.get_mut(&agent) else {
                    return;
                };
                if let Phase::Refused(why) = &phase
                    && !member.is_refused()
                {
                    let why = why.clone();
                    actions.push(Action::Journal(What::AgentRefused { agent, why }));
                }
                member.phase = Some(phase);
            }
            Input::Clock {
                agent,
                offset,
                round_trip,
            } => {
                if let Some(member) = self.members.get_mut(&agent) {
                    member.clock = Some((offset, round_trip));
                }
            }
            Input::ClockDisturbed(agent) => {
                let at = self.run_time(now);
                if self.members.contains_key(&agent) {
                    actions.push(Action::Journal(What::ClockDisturbed { agent, at }));
                }
            }
            Input::Durable { agent, spool, seq } => {
                if let Some(member) = self.members.get_mut(&agent) {
                    let durable = member.durable.entry(spool).or_default();
                    *durable = seq.max(*durable);
                }
            }
            Input::Judged { stage, passed } => {
                if let State::Judging { stage: judged } = self.state
                    && self.stage(judged).name == stage
                {
                    self.passed.insert(stage, passed);
                    self.enter_stage(judged + 1, now, actions);
                }
            }
            Input::Stop { mode, by } => {
                // An abort overrides a stop; nothing overrides an abort.
                if self.stop < Some(mode)
                    && !matches!(self.state, State::Releasing { .. } | State::Over)
                {
                    self.stop = Some(mode);
                    actions.push(Action::Journal(What::StopRequested { mode, by }));
                }
            }
            Input::Tick => {}
        }
    }

    fn heard(&mut self, agent: &AgentId, restarted: bool, now: Mono, actions: &mut Vec<Action>) {
        let at = self.run_time(now);
        let Some(member) = self.members.get_mut(agent) else {
            return;
        };
        member.last_heard = now;
        if restarted {
            // What the old process knew of this run is gone with it.
            member.phase = Some(Phase::Unknown);
        }
        if std::mem::take(&mut member.lost) || restarted {
            let agent = agent.clone();
            actions.push(Action::Journal(What::AgentReturned {
                agent,
                at,
                restarted,
            }));
        }
    }

    fn lose(&mut self, now: Mono, actions: &mut Vec<Action>) {
        if self.is_over() {
            return;
        }
        let at = self.run_time(now);
        let origin = self.origin;
        for (agent, member) in &mut self.members {
            if !member.lost && now.since(member.last_heard) > LOST_AFTER {
                member.lost = true;
                let last_heard = run_time(origin, member.last_heard);
                let agent = agent.clone();
                actions.push(Action::Journal(What::AgentLost {
                    agent,
                    last_heard,
                    at,
                }));
            }
        }
    }

    fn stage(&self, index: usize) -> &PlannedStage {
        self.plan
            .stages
            .get(index)
            .expect("a state's stage is a place in the plan")
    }

    fn run_time(&self, now: Mono) -> RunTime {
        run_time(self.origin, now)
    }
}

/// Zero until there is a common start.
fn run_time(origin: Option<Mono>, now: Mono) -> RunTime {
    origin.map_or(RunTime(0), |origin| RunTime(now.minus(origin)))
}

#[cfg(test)]
mod tests;
