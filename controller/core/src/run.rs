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

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    control::{Host, Order, Phase, StopMode},
    event::{RunEnd, Skip, StartOrder, What},
    id::{AgentId, EnvironmentName, Feature, RunKey, Seq, SpoolId, StageName},
    plan::{Act, Plan, PlannedStage},
    time::{ClockOffset, Mono, Nanos, RunTime},
};

use self::member::Member;
pub use self::progress::Progress;

/// An agent that has been silent for this long is lost: three heartbeats.
pub const LOST_AFTER: Nanos = Nanos::from_secs(15);
/// How long agents may take to check an assignment, and to arm: nothing of it is slow; a little
/// longer than losing an agent takes, so that a dead one is called lost and not slow.
const READY_WITHIN: Nanos = Nanos::from_secs(20);
/// How long the burst of clock exchanges may take: eight round trips of half a second.
const TIMED_WITHIN: Nanos = Nanos::from_secs(5);
/// How long results may take to arrive after the last answer was due.
const COLLECTED_WITHIN: Nanos = Nanos::from_secs(60);
/// How long the good-bye may take; nothing depends on it.
const RELEASED_WITHIN: Nanos = Nanos::from_secs(3);
/// After this an order that had no effect is repeated.
const REPEAT_AFTER: Nanos = Nanos::from_secs(1);
/// The least time between choosing a start and the start.
const LEAD_MIN: Nanos = Nanos::from_secs(1);
const SECOND: i64 = 1_000_000_000;

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

    /// One step of the state machine; whether there was one.
    fn advance(&mut self, now: Mono, actions: &mut Vec<Action>) -> bool {
        match self.state.clone() {
            State::Preparing { until } => self.advance_preparing(until, now, actions),
            State::Arming { stage, until } => self.advance_arming(stage, until, now, actions),
            State::Timing { stage, until } => self.advance_timing(stage, until, now, actions),
            State::Running { stage, until, .. } => self.advance_running(stage, until, now, actions),
            State::Judging { .. } | State::Over => false,
            State::Releasing { until } => {
                let all = self
                    .members
                    .values()
                    .all(|m| !m.is_active() || m.is_unknown());
                let over = all || now >= until;
                if over {
                    self.state = State::Over;
                }
                over
            }
        }
    }

    fn advance_preparing(&mut self, until: Mono, now: Mono, actions: &mut Vec<Action>) -> bool {
        if self.stop.is_some() {
            self.enter_stage(0, now, actions);
            return true;
        }
        let failed = self
            .members
            .iter()
            .find_map(|(agent, member)| match &member.phase {
                Some(Phase::Refused(why)) => Some(format!("agent {agent} refuses: {why}")),
                _ if member.lost => Some(format!("agent {agent} was lost before anything ran")),
                _ if now >= until && !member.is_prepared() => Some(format!(
                    "agent {agent} did not take its assignment within {READY_WITHIN}"
                )),
                _ => None,
            });
        if let Some(why) = failed {
            self.end(RunEnd::Failed(why), now, actions);
            return true;
        }
        let ready = self.members.values().all(Member::is_prepared);
        if ready {
            self.enter_stage(0, now, actions);
        }
        ready
    }

    fn advance_arming(
        &mut self,
        stage: usize,
        until: Mono,
        now: Mono,
        actions: &mut Vec<Action>,
    ) -> bool {
        if self.stop.is_some() {
            self.enter_stage(stage, now, actions);
            return true;
        }
        let name = self.stage(stage).name.clone();
        let active = || self.members.iter().filter(|(_, member)| member.is_active());
        let armed: Vec<_> = active()
            .filter(|(_, m)| m.is_armed(&name))
            .map(|(a, _)| a.clone())
            .collect();
        let all = active().count() == armed.len();
        if armed.is_empty() && (all || now >= until) {
            self.skip(stage, Skip::NotReady(self.not_armed(&name)), actions);
            self.enter_stage(stage + 1, now, actions);
            return true;
        }
        if !all && now < until {
            return false;
        }
        for agent in armed {
            if let Some(member) = self.members.get_mut(&agent) {
                member.clock = None;
            }
            actions.push(Action::MeasureClock(agent));
        }
        self.state = State::Timing {
            stage,
            until: now.plus(TIMED_WITHIN),
        };
        true
    }

    fn not_armed(&self, stage: &StageName) -> String {
        let waited = self
            .members
            .iter()
            .filter(|(_, member)| !member.is_armed(stage));
        let said: Vec<_> = waited
            .map(|(agent, m)| format!("{agent} {}", m.describe()))
            .collect();
        said.join(", ")
    }

    fn advance_timing(
        &mut self,
        stage: usize,
        until: Mono,
        now: Mono,
        actions: &mut Vec<Action>,
    ) -> bool {
        if self.stop.is_some() {
            self.enter_stage(stage, now, actions);
            return true;
        }
        let name = self.stage(stage).name.clone();
        let mut armed = self
            .members
            .values()
            .filter(|m| m.is_active() && m.is_armed(&name));
        if now < until && armed.any(|member| member.clock.is_none()) {
            return false;
        }
        let clocks: BTreeMap<AgentId, (ClockOffset, Nanos)> = self
            .members
            .iter()
            .filter(|(_, member)| member.is_active() && member.is_armed(&name))
            .filter_map(|(agent, member)| Some((agent.clone(), member.clock?)))
            .collect();
        if clocks.is_empty() {
            let why = "no agent's clock could be read".to_owned();
            self.skip(stage, Skip::NotReady(why), actions);
            self.enter_stage(stage + 1, now, actions);
        } else {
            self.start(stage, &clocks, now, actions);
        }
        true
    }

    /// Chooses the common start, once everybody is armed: late enough for the slowest path.
    fn start(
        &mut self,
        stage: usize,
        clocks: &BTreeMap<AgentId, (ClockOffset, Nanos)>,
        now: Mono,
        actions: &mut Vec<Action>,
    ) {
        let slowest = clocks
            .values()
            .map(|(offset, rtt)| (6 * rtt.0).max(3 * offset.width().0));
        let lead = Nanos(slowest.max().unwrap_or_default().max(LEAD_MIN.0));
        let earliest = now.plus(lead);
        let origin = *self.origin.get_or_insert(earliest);
        let into = earliest.minus(origin).max(0);
        let at_run = RunTime((into + SECOND - 1) / SECOND * SECOND);
        let at = origin.shifted(at_run.0);
        let agents: BTreeMap<_, _> = clocks
            .iter()
            .map(|(agent, &(offset, round_trip))| {
                let order = StartOrder {
                    at: at.shifted(offset.middle()),
                    offset,
                    round_trip,
                };
                (agent.clone(), order)
            })
            .collect();
        for (agent, member) in &mut self.members {
            member.start = agents.get(agent).copied();
        }
        let planned = self.stage(stage);
        let ends = at.plus(planned.lasts);
        let until = ends.plus(longest_timeout(planned)).plus(COLLECTED_WITHIN);
        let name = planned.name.clone();
        actions.push(Action::Journal(What::StageOrdered {
            stage: name,
            at_run,
            at,
            agents,
        }));
        self.state = State::Running {
            stage,
            at,
            at_run,
            ends,
            until,
        };
    }

    fn advance_running(
        &mut self,
        stage: usize,
        until: Mono,
        now: Mono,
        actions: &mut Vec<Action>,
    ) -> bool {
        let name = self.stage(stage).name.clone();
        let waits = |member: &Member| member.start.is_some() && !member.is_done(&name);
        if now < until && self.members.values().any(waits) {
            return false;
        }
        let missing = self
            .members
            .iter()
            .filter(|(_, member)| !member.is_collected(&name));
        let missing = missing.map(|(agent, _)| agent.clone()).collect();
        actions.push(Action::Journal(What::StageCollected {
            stage: name.clone(),
            missing,
        }));
        actions.push(Action::Judge(name));
        self.state = State::Judging { stage };
        true
    }

    /// Arms the first stage from `index` on that may begin; skips the others; ends after the last.
    fn enter_stage(&mut self, index: usize, now: Mono, actions: &mut Vec<Action>) {
        for index in index..self.plan.stages.len() {
            match self.reason_to_skip(index) {
                Some(why) => self.skip(index, why, actions),
                None => {
                    self.state = State::Arming {
                        stage: index,
                        until: now.plus(READY_WITHIN),
                    };
                    return;
                }
            }
        }
        let how = self.stop.map_or(RunEnd::Completed, RunEnd::Stopped);
        self.end(how, now, actions);
    }

    fn reason_to_skip(&self, index: usize) -> Option<Skip> {
        if self.stop.is_some() {
            return Some(Skip::Stopped);
        }
        if self.plan.keep_going {
            return None;
        }
        let failed = |stage: &&StageName| self.passed.get(*stage) != Some(&true);
        self.stage(index)
            .after
            .iter()
            .find(failed)
            .cloned()
            .map(Skip::After)
    }

    fn skip(&mut self, index: usize, why: Skip, actions: &mut Vec<Action>) {
        let stage = self.stage(index).name.clone();
        self.passed.insert(stage.clone(), false);
        actions.push(Action::Journal(What::StageSkipped { stage, why }));
    }

    fn end(&mut self, how: RunEnd, now: Mono, actions: &mut Vec<Action>) {
        actions.push(Action::Journal(What::RunEnded { how: how.clone() }));
        actions.push(Action::Ended(how));
        self.state = State::Releasing {
            until: now.plus(RELEASED_WITHIN),
        };
    }

    /// What has to be sent now: what is wanted and was not sent, or sent too long ago.
    fn orders(&mut self, now: Mono) -> Vec<Action> {
        let mut actions = Vec::new();
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

fn longest_timeout(stage: &PlannedStage) -> Nanos {
    let timeouts = stage.steps.iter().map(|step| match &step.act {
        Act::Probe(probe) => probe.timeout,
    });
    timeouts.max().unwrap_or_default()
}

/// What is wanted of a member: an order without its content, cheap to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wish {
    Prepare,
    Arm(usize),
    Start { stage: usize, at_run: RunTime },
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
        State::Running { stage, at_run, .. } => {
            let armed = name(*stage).is_some_and(|name| member.is_armed(name));
            (armed && member.start.is_some()).then_some(Wish::Start {
                stage: *stage,
                at_run: *at_run,
            })
        }
    }
}

#[cfg(test)]
mod tests;
