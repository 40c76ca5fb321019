//! One run on the controller: what agents say, what the store has, and time in; orders, events and
//! requests for judgement out.
//!
//! ```text
//! Preparing -> [ Arming -> Timing -> Running -> Judging ] for each stage -> Releasing -> Over
//! ```
//! Orders are level-triggered: what is wanted of an agent follows from the state and its last known
//! phase, and is repeated until the agent says that it is so. Every waiting state has a deadline
//! and says what it waits for ([`Run::progress`]).

mod guard;
mod member;
mod progress;
mod restore;
mod stages;
mod wish;

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    control::{Host, Order, Phase, StopMode},
    event::{ClockJump, RunEnd, What},
    id::{AgentId, EnvironmentName, Feature, RunKey, Seq, SpoolId, StageName},
    plan::{LostAgent, Plan, PlannedStage},
    time::{ClockOffset, Mono, Nanos, RunTime},
};

pub use self::{
    guard::Glance,
    progress::Progress,
    restore::{Past, shift_by_wall},
};
use self::{
    guard::{Broken, Guard},
    member::Member,
};
use crate::clock::{Jump, Reading};

/// An agent that has been silent for this long is lost: three heartbeats.
pub const LOST_AFTER: Nanos = Nanos::from_secs(15);
/// How long agents may take to check an assignment, and to arm: nothing of it is slow; a little
/// longer than losing an agent takes, so that a dead one is called lost and not slow.
const READY_WITHIN: Nanos = Nanos::from_secs(20);

/// After a restart of the controller its agents have this long to come back: twice the longest wait
/// between two tries of theirs, and a dial.
pub const FAILOVER: Nanos = Nanos::from_secs(30);
/// What an agent can that goes on with a stage after its own restart.
pub const RESUME: &str = "run.resume";

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
    /// What the process of this agent that is about to connect found in its spool; comes before
    /// [`Input::Connected`].
    Owes {
        /// Who.
        agent: AgentId,
        /// Which spool.
        spool: SpoolId,
        /// Its last record.
        seq: Seq,
    },
    /// The store has committed that the run began: agents may be asked for something.
    Begun,
    /// The store has committed the order to start this stage: agents may be told.
    Ordered(StageName),
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
        /// What they showed.
        reading: Reading,
    },
    /// Exchanges with this agent contradict each other: its offset moved so.
    ClockDisturbed(AgentId, Jump),
    /// Exchanges contradict what this agent's host and ours say of their clocks.
    HostClockRejected {
        /// Whose.
        agent: AgentId,
        /// Where the offset would lie by them.
        claimed: ClockOffset,
        /// Where it lies.
        measured: ClockOffset,
    },
    /// The store has committed everything of this spool up to `seq`.
    Durable {
        /// Whose.
        agent: AgentId,
        /// Which.
        spool: SpoolId,
        /// Up to where.
        seq: Seq,
    },
    /// What agents' results, which the store has, say of the stage that runs.
    Glanced(Vec<Glance>),
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
    guard: Guard,
    /// That the run began is in the journal; nobody is asked for anything before.
    begun: bool,
    /// When this process took the run up, if another one began it.
    taken_up: Option<Mono>,
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
        /// The order is in the journal. Nobody is told before: a controller that takes the run up
        /// must know of every start.
        kept: bool,
    },
    Judging {
        stage: usize,
        until: Mono,
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
        let member = |agent: &AgentId| {
            let features = participants.get(agent).map(|one| &one.features);
            let resumes = features.is_some_and(|all| all.iter().any(|one| one.as_str() == RESUME));
            (agent.clone(), Member::new(now, resumes))
        };
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
            guard: Guard::default(),
            begun: false,
            taken_up: None,
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
        let has_ended = matches!(self.state, State::Releasing { .. } | State::Over);
        self.note(input, now, &mut actions);
        let lost = self.members.values().filter(|member| member.lost).count();
        self.lose(now, &mut actions);
        self.bear_losses(lost, now, &mut actions);
        self.keep_safe(now, &mut actions);
        while self.advance(now, &mut actions) {}
        // The report is made of what was said until the end, and must be the same when it is made again.
        actions.retain(|action| !(has_ended && matches!(action, Action::Journal(_))));
        actions.extend(self.orders(now));
        actions
    }

    fn note(&mut self, input: Input, now: Mono, actions: &mut Vec<Action>) {
        match input {
            Input::Connected { agent, restarted } => self.heard(&agent, restarted, now, actions),
            Input::Heard(agent) => self.heard(&agent, false, now, actions),
            Input::Status { agent, phase } => {
                let before = self.members.get(&agent).map_or(now, |m| m.last_heard);
                self.heard(&agent, false, now, actions);
                let Some(member) = self.members.get_mut(&agent) else {
                    return;
                };
                if let Phase::Refused(why) = &phase
                    && !member.is_refused()
                {
                    let (agent, why) = (agent.clone(), why.clone());
                    actions.push(Action::Journal(What::AgentRefused { agent, why }));
                }
                if phase == Phase::Unknown && self.is_gone(&agent) {
                    self.gone(&agent, before, now, actions);
                } else if let Some(member) = self.members.get_mut(&agent) {
                    let running = matches!(self.state, State::Running { .. });
                    member.note(phase, running);
                }
            }
            Input::Owes { agent, spool, seq } => {
                if let Some(member) = self.members.get_mut(&agent) {
                    member.owes = Some((spool, seq));
                }
            }
            Input::Begun => self.begun = true,
            Input::Ordered(stage) => {
                let name = self.stage_name();
                if let State::Running { kept, .. } = &mut self.state {
                    *kept |= name.as_ref() == Some(&stage);
                }
            }
            Input::Clock { agent, reading } => {
                if let Some(member) = self.members.get_mut(&agent) {
                    member.clock = Some(reading);
                    // Said again at each start: a run may have begun long after it was found.
                    if let Some(claimed) = reading.rejected {
                        let measured = reading.offset;
                        let rejected = Input::HostClockRejected {
                            agent,
                            claimed,
                            measured,
                        };
                        self.note(rejected, now, actions);
                    }
                }
            }
            Input::ClockDisturbed(agent, Jump { since, moved }) => {
                let at = self.run_time(now);
                let since = self.run_time(since);
                let jump = Some(ClockJump { since, moved });
                if self.members.contains_key(&agent) {
                    actions.push(Action::Journal(What::ClockDisturbed { agent, at, jump }));
                }
            }
            Input::HostClockRejected {
                agent,
                claimed,
                measured,
            } => {
                let at = self.run_time(now);
                if self.members.contains_key(&agent) {
                    actions.push(Action::Journal(What::HostClockRejected {
                        agent,
                        at,
                        claimed,
                        measured,
                    }));
                }
            }
            Input::Durable { agent, spool, seq } => {
                if let Some(member) = self.members.get_mut(&agent) {
                    let durable = member.durable.entry(spool).or_default();
                    *durable = seq.max(*durable);
                }
            }
            Input::Glanced(glances) => {
                if let Some((stage, began)) = self.running() {
                    let now = self.run_time(now);
                    if let Some(planned) = self.plan.stages.get(stage) {
                        let times = (began, now);
                        let each = glances.into_iter();
                        each.for_each(|glance| self.guard.add(planned, times, glance));
                    }
                }
            }
            Input::Judged { stage, passed } => {
                if let State::Judging { stage: judged, .. } = self.state
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
        let before = std::mem::replace(&mut member.last_heard, now);
        if restarted {
            self.gone(agent, before, now, actions);
        } else if std::mem::take(&mut member.lost) {
            let agent = agent.clone();
            actions.push(Action::Journal(What::AgentReturned {
                agent,
                at,
                restarted,
            }));
        }
    }

    /// Whether an agent that does not know this run is one that knew it in this stage.
    fn is_gone(&self, agent: &AgentId) -> bool {
        let member = self.members.get(agent);
        matches!(self.state, State::Running { .. })
            && member.is_some_and(|m| m.start.is_some() && !m.is_unknown() && !m.is_sealed())
    }

    /// The process that took part is gone, and another one is here: what the old one knew of this
    /// run is gone with it, but for what it had on disk.
    fn gone(&mut self, agent: &AgentId, heard: Mono, now: Mono, actions: &mut Vec<Action>) {
        let at = self.run_time(now);
        let origin = self.origin;
        let may_resume = match self.state {
            State::Running { ends, .. } => now < ends && self.stop.is_none(),
            State::Preparing { .. }
            | State::Arming { .. }
            | State::Timing { .. }
            | State::Judging { .. }
            | State::Releasing { .. }
            | State::Over => false,
        };
        let Some(member) = self.members.get_mut(agent) else {
            return;
        };
        if !std::mem::take(&mut member.lost) {
            let last_heard = run_time(origin, heard);
            let agent = agent.clone();
            actions.push(Action::Journal(What::AgentLost {
                agent,
                last_heard,
                at,
            }));
        }
        if !member.is_sealed() {
            member.phase = Some(Phase::Unknown);
        }
        member.clock = None;
        member.again = may_resume && member.resumes && member.start.is_some();
        actions.push(Action::Journal(What::AgentReturned {
            agent: agent.clone(),
            at,
            restarted: true,
        }));
    }

    fn lose(&mut self, now: Mono, actions: &mut Vec<Action>) {
        if self.is_over() {
            return;
        }
        let at = self.run_time(now);
        let origin = self.origin;
        for (agent, member) in &mut self.members {
            if !member.lost && now > member.lost_at() {
                member.lost = true;
                member.lost_since = Some(now);
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

    /// Does what the scenario asks for when agents were lost.
    fn bear_losses(&mut self, before: usize, now: Mono, actions: &mut Vec<Action>) {
        let lost = self.members.iter().filter(|(_, member)| member.lost);
        let lost: Vec<_> = lost.map(|(agent, _)| agent.to_string()).collect();
        if lost.len() <= before {
            return;
        }
        match self.plan.lost_agent {
            LostAgent::Continue => {}
            LostAgent::Fail => {
                let by = format!("the scenario (lost-agent: fail; {} lost)", lost.join(", "));
                let mode = StopMode::Stop;
                self.note(Input::Stop { mode, by }, now, actions);
            }
            LostAgent::Wait(within) => self.extend(now.plus(within)),
        }
    }

    /// Ends the run when what must hold does not.
    fn keep_safe(&mut self, now: Mono, actions: &mut Vec<Action>) {
        let Some((stage, began)) = self.running().filter(|_| self.stop.is_none()) else {
            return;
        };
        let at = self.run_time(now);
        let Some(planned) = self.plan.stages.get(stage) else {
            return;
        };
        if let Some(Broken { step, why }) = self.guard.broken(planned, (began, at)) {
            actions.push(Action::Journal(What::Aborted {
                stage: planned.name.clone(),
                step,
                at,
                why,
            }));
            let (mode, by) = (StopMode::Abort, "the scenario (abort-if)".to_owned());
            self.note(Input::Stop { mode, by }, now, actions);
        }
    }

    /// The stage that runs, and its start.
    const fn running(&self) -> Option<(usize, RunTime)> {
        match self.state {
            State::Running { stage, at_run, .. } => Some((stage, at_run)),
            State::Preparing { .. }
            | State::Arming { .. }
            | State::Timing { .. }
            | State::Judging { .. }
            | State::Releasing { .. }
            | State::Over => None,
        }
    }

    /// The present state waits for agents, and may do so until then.
    fn extend(&mut self, to: Mono) {
        match &mut self.state {
            State::Preparing { until }
            | State::Arming { until, .. }
            | State::Running { until, .. } => *until = to.max(*until),
            State::Timing { .. }
            | State::Judging { .. }
            | State::Releasing { .. }
            | State::Over => {}
        }
    }

    /// Whether a member is lost and still waited for.
    fn is_awaited(&self, member: &Member, now: Mono) -> bool {
        let LostAgent::Wait(within) = self.plan.lost_agent else {
            return false;
        };
        let since = member
            .lost_since
            .filter(|_| member.lost && self.stop.is_none());
        since.is_some_and(|since| now < since.plus(within))
    }

    fn stage(&self, index: usize) -> &PlannedStage {
        self.plan
            .stages
            .get(index)
            .expect("a state's stage is a place in the plan")
    }

    /// The stage that it is about.
    fn stage_name(&self) -> Option<StageName> {
        match self.state {
            State::Arming { stage, .. }
            | State::Timing { stage, .. }
            | State::Running { stage, .. }
            | State::Judging { stage, .. } => Some(self.stage(stage).name.clone()),
            State::Preparing { .. } | State::Releasing { .. } | State::Over => None,
        }
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
mod taken_up;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timed;
