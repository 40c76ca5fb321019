//! One run on one agent: commands and time in, actions out.
//!
//! ```text
//! Prepared -> Armed -> Scheduled -> Running -> Draining -> Sealing -> Sealed
//!                ^                                                      |
//!                +---------------------- next stage --------------------+
//! ```
//! A stop leads from anywhere to `Stopped`, through draining and sealing when a stage is under way.
//! Every command may come twice, late, or not at all: the answer is always the present phase.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    control::{Command, Order, Phase, Refusal, Status, StopMode},
    event::StageEnd,
    id::{Feature, RunId, RunKey, Seq, SpoolId, StageName},
    plan::{AssignedStage, Assignment},
    policy::{Policy, references},
    secret::SecretRef,
    time::{Mono, Nanos, RunTime},
};

use crate::budget;

/// How long after the last time-out an answer is still waited for before the workers are cut off.
/// Their own time-outs end them before; this is for a worker that hangs.
const DRAIN_GRACE: Nanos = Nanos::from_secs(2);
/// A run that nobody has spoken of for this long and that does nothing is forgotten.
const FORGET_AFTER: Nanos = Nanos::from_secs(3600);
/// The most runs that one agent knows at a time.
const RUNS_MAX: usize = 8;

/// What the engine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The controller wants something.
    Command(Command),
    /// Secrets that this host can't give now, each with the reason, which never holds the value.
    /// Comes before a command that may need them.
    Unreadable(BTreeMap<SecretRef, String>),
    /// The workers have sent everything, and every answer came or timed out.
    WorkersIdle(RunId),
    /// The seal of a stage is on disk.
    SealWritten {
        /// The run.
        run: RunId,
        /// The stage.
        stage: StageName,
        /// The spool.
        spool: SpoolId,
        /// The seal's number.
        seal: Seq,
    },
    /// Time has passed.
    Tick,
}

/// What the body does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start the workers of this stage; they send nothing before `at`.
    Begin {
        /// The run.
        key: RunKey,
        /// The stage, with everything to be asked.
        stage: AssignedStage,
        /// Its start on this host's clock.
        at: Mono,
        /// The same instant in run time.
        at_run: RunTime,
    },
    /// Send nothing new, wait for answers; then `WorkersIdle`.
    StopSending(RunId),
    /// Cut whatever is open; then `WorkersIdle`.
    Cut(RunId),
    /// Write the last recordings, what happened, and the seal; then `SealWritten`.
    Seal {
        /// The run.
        key: RunKey,
        /// The stage.
        stage: StageName,
        /// When it ended.
        at: RunTime,
        /// How it ended.
        how: StageEnd,
    },
    /// Tell the controller where this agent stands.
    Tell(Status),
}

/// All runs that this agent knows.
#[derive(Debug)]
pub struct Engine {
    features: BTreeSet<Feature>,
    /// What the host's owner allows; why nothing, when there is no such file or it is broken.
    policy: Result<Policy, String>,
    unreadable: BTreeMap<SecretRef, String>,
    runs: BTreeMap<RunId, Run>,
}

#[derive(Debug)]
struct Run {
    key: RunKey,
    assignment: Assignment,
    state: State,
    spoken_of: Mono,
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

impl Engine {
    /// An engine of an agent that can do `features`, and may do what `policy` allows; nothing,
    /// for this reason, without one.
    #[must_use]
    pub const fn new(features: BTreeSet<Feature>, policy: Result<Policy, String>) -> Self {
        Self {
            features,
            policy,
            unreadable: BTreeMap::new(),
            runs: BTreeMap::new(),
        }
    }

    /// What this agent can do.
    #[must_use]
    pub const fn features(&self) -> &BTreeSet<Feature> {
        &self.features
    }

    /// Where this agent stands in every run that it knows.
    #[must_use]
    pub fn statuses(&self) -> Vec<Status> {
        self.runs.values().map(Run::status).collect()
    }

    /// When [`Input::Tick`] is needed next; `None` when nothing waits for time.
    #[must_use]
    pub fn wake(&self) -> Option<Mono> {
        self.runs.values().filter_map(Run::wake).min()
    }

    /// Whether nothing is under way: no stage is scheduled, running or being sealed.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.runs.values().all(Run::is_idle)
    }

    /// Takes one input and says what to do.
    pub fn handle(&mut self, input: Input, now: Mono) -> Vec<Action> {
        match input {
            Input::Command(command) => self.command(command, now),
            Input::Unreadable(unreadable) => {
                self.unreadable = unreadable;
                Vec::new()
            }
            Input::WorkersIdle(run) => self.on(&run, |run| run.workers_idle()),
            Input::SealWritten {
                run,
                stage,
                spool,
                seal,
            } => self.on(&run, |run| run.seal_written(&stage, spool, seal)),
            Input::Tick => {
                self.runs.retain(|_, run| !run.is_forgotten(now));
                self.runs
                    .values_mut()
                    .flat_map(|run| run.tick(now))
                    .collect()
            }
        }
    }

    fn on(&mut self, run: &RunId, act: impl FnOnce(&mut Run) -> Vec<Action>) -> Vec<Action> {
        self.runs.get_mut(run).map(act).unwrap_or_default()
    }

    fn command(&mut self, Command { key, order }: Command, now: Mono) -> Vec<Action> {
        let tell = |phase| {
            vec![Action::Tell(Status {
                key: key.clone(),
                phase,
            })]
        };
        if let Some(run) = self.runs.get_mut(&key.run) {
            if key.attempt < run.key.attempt || key.fence < run.key.fence {
                return tell(Phase::Refused(Refusal::Fenced));
            }
            run.key = key.clone();
            run.spoken_of = now;
            if order == Order::Release && run.is_idle() {
                self.runs.remove(&key.run);
                return tell(Phase::Unknown);
            }
            return run.order(order, now);
        }
        match order {
            Order::Prepare(assignment) => match self.admit(&assignment) {
                Ok(()) => {
                    let assignment = *assignment;
                    let run = Run {
                        key,
                        assignment,
                        state: State::Prepared,
                        spoken_of: now,
                    };
                    let told = vec![Action::Tell(run.status())];
                    self.runs.insert(run.key.run.clone(), run);
                    told
                }
                Err(refusal) => tell(Phase::Refused(refusal)),
            },
            Order::Arm(_) | Order::Start { .. } | Order::Stop(_) | Order::Release => {
                tell(Phase::Unknown)
            }
        }
    }

    fn admit(&self, assignment: &Assignment) -> Result<(), Refusal> {
        if let Some((oldest, _)) = self
            .runs
            .first_key_value()
            .filter(|_| self.runs.len() >= RUNS_MAX)
        {
            return Err(Refusal::Busy(oldest.clone()));
        }
        self.permitted(assignment).map_err(Refusal::Policy)?;
        budget::admit(assignment, &self.features)
    }

    /// The policy comes first: without one this agent does not even say what it could do.
    fn permitted(&self, assignment: &Assignment) -> Result<(), String> {
        let policy = self.policy.as_ref().map_err(Clone::clone)?;
        policy.admits(assignment).map_err(|rule| rule.to_string())?;
        let needed = references(assignment);
        let lacking = needed
            .iter()
            .find_map(|secret| Some((secret, self.unreadable.get(secret)?)));
        match lacking {
            Some((secret, why)) => Err(format!("secret {secret}: {why}")),
            None => Ok(()),
        }
    }
}

impl Run {
    fn status(&self) -> Status {
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

    const fn is_idle(&self) -> bool {
        match self.state {
            State::Prepared | State::Armed(_) | State::Sealed { .. } | State::Stopped => true,
            State::Scheduled(_)
            | State::Running(_)
            | State::Draining { .. }
            | State::Sealing { .. } => false,
        }
    }

    fn is_forgotten(&self, now: Mono) -> bool {
        self.is_idle() && now.since(self.spoken_of) > FORGET_AFTER
    }

    fn wake(&self) -> Option<Mono> {
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

    fn order(&mut self, order: Order, now: Mono) -> Vec<Action> {
        match order {
            // It is known already, so it was prepared; or it is busy, and release must wait.
            Order::Prepare(_) | Order::Release => self.tell(),
            Order::Arm(stage) => self.arm(&stage),
            Order::Start { stage, at_run, at } => self.start(&stage, at_run, at, now),
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

    fn start(&mut self, name: &StageName, at_run: RunTime, at: Mono, now: Mono) -> Vec<Action> {
        let State::Armed(stage) = self.state else {
            return self.tell();
        };
        let assigned = self.stage(stage).clone();
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
        self.state = State::Scheduled(Slot { stage, at, at_run });
        let begin = Action::Begin {
            key: self.key.clone(),
            stage: assigned,
            at,
            at_run,
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

    fn tick(&mut self, now: Mono) -> Vec<Action> {
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

    fn workers_idle(&mut self) -> Vec<Action> {
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

    fn seal_written(&mut self, name: &StageName, spool: SpoolId, seal: Seq) -> Vec<Action> {
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

impl Slot {
    fn run_time(self, now: Mono) -> RunTime {
        RunTime(self.at_run.0.saturating_add(now.minus(self.at)))
    }
}

#[cfg(test)]
mod tests {
    use nepho_common::id::{Attempt, Digest, Fence, PlanId};

    use super::*;

    fn key(fence: u64) -> RunKey {
        RunKey {
            run: "r".parse().unwrap(),
            attempt: Attempt(1),
            fence: Fence(fence),
        }
    }

    fn assignment() -> Assignment {
        let stage = |name: &str| AssignedStage {
            name: name.parse().unwrap(),
            lasts: Nanos(100),
            steps: Vec::new(),
        };
        Assignment {
            plan: PlanId(Digest::of(b"")),
            environment: "local".parse().unwrap(),
            features: BTreeSet::new(),
            stages: vec![stage("one"), stage("two")],
        }
    }

    fn order(order: Order) -> Input {
        Input::Command(Command { key: key(1), order })
    }

    fn start(stage: &str, at: u64) -> Input {
        order(Order::Start {
            stage: stage.parse().unwrap(),
            at_run: RunTime(0),
            at: Mono(at),
        })
    }

    fn engine() -> Engine {
        Engine::new(BTreeSet::new(), Ok(Policy::careful()))
    }

    fn phase(engine: &Engine) -> Phase {
        engine
            .statuses()
            .pop()
            .map_or(Phase::Unknown, |status| status.phase)
    }

    fn armed() -> Engine {
        let mut engine = engine();
        engine.handle(order(Order::Prepare(Box::new(assignment()))), Mono(0));
        engine.handle(order(Order::Arm("one".parse().unwrap())), Mono(0));
        engine
    }

    fn name(stage: &str) -> StageName {
        stage.parse().unwrap()
    }

    #[test]
    fn a_stage_goes_from_armed_to_sealed_and_the_next_can_be_armed() {
        let mut engine = armed();
        let begun = engine.handle(start("one", 50), Mono(10));
        assert!(matches!(begun[0], Action::Begin { at: Mono(50), .. }));
        assert_eq!(
            (phase(&engine), engine.wake()),
            (Phase::Scheduled(name("one")), Some(Mono(50)))
        );
        engine.handle(Input::Tick, Mono(50));
        assert_eq!(
            (phase(&engine), engine.wake()),
            (Phase::Running(name("one")), Some(Mono(150)))
        );
        let ended = engine.handle(Input::Tick, Mono(150));
        assert!(matches!(ended[0], Action::StopSending(_)));
        let sealed = engine.handle(Input::WorkersIdle("r".parse().unwrap()), Mono(160));
        let how = StageEnd::Completed;
        assert_eq!(
            sealed,
            [Action::Seal {
                key: key(1),
                stage: name("one"),
                at: RunTime(100),
                how
            }]
        );
        let spool = SpoolId::new([0; 16]);
        let seal = Seq(9);
        let run = "r".parse().unwrap();
        engine.handle(
            Input::SealWritten {
                run,
                stage: name("one"),
                spool,
                seal,
            },
            Mono(161),
        );
        assert_eq!(
            phase(&engine),
            Phase::Sealed {
                stage: name("one"),
                spool,
                seal
            }
        );
        engine.handle(order(Order::Arm(name("two"))), Mono(170));
        assert_eq!(phase(&engine), Phase::Armed(name("two")));
    }

    #[test]
    fn a_repeated_command_changes_nothing_and_is_answered_with_the_present_phase() {
        let mut engine = armed();
        engine.handle(start("one", 50), Mono(10));
        for again in [
            order(Order::Prepare(Box::new(assignment()))),
            order(Order::Arm(name("one"))),
            start("one", 77),
        ] {
            let told = engine.handle(again, Mono(20));
            let status = Status {
                key: key(1),
                phase: Phase::Scheduled(name("one")),
            };
            assert_eq!(told, [Action::Tell(status)]);
        }
        assert_eq!(engine.wake(), Some(Mono(50)), "the first instant holds");
    }

    #[test]
    fn a_finished_stage_is_not_armed_again() {
        let mut engine = armed();
        engine.handle(start("one", 0), Mono(0));
        engine.handle(Input::Tick, Mono(100));
        engine.handle(Input::WorkersIdle("r".parse().unwrap()), Mono(100));
        let spool = SpoolId::new([0; 16]);
        let run = "r".parse().unwrap();
        let seal = Seq(1);
        engine.handle(
            Input::SealWritten {
                run,
                stage: name("one"),
                spool,
                seal,
            },
            Mono(100),
        );
        engine.handle(order(Order::Arm(name("one"))), Mono(101));
        assert!(matches!(phase(&engine), Phase::Sealed { .. }));
    }

    #[test]
    fn a_stop_drains_and_an_abort_cuts() {
        for (mode, cuts) in [(StopMode::Stop, false), (StopMode::Abort, true)] {
            let mut engine = armed();
            engine.handle(start("one", 50), Mono(10));
            engine.handle(Input::Tick, Mono(60));
            let acts = engine.handle(order(Order::Stop(mode)), Mono(70));
            assert_eq!(matches!(acts[0], Action::Cut(_)), cuts);
            assert_eq!(matches!(acts[0], Action::StopSending(_)), !cuts);
            let acts = engine.handle(Input::WorkersIdle("r".parse().unwrap()), Mono(80));
            let how = StageEnd::Stopped(mode);
            assert_eq!(
                acts,
                [Action::Seal {
                    key: key(1),
                    stage: name("one"),
                    at: RunTime(20),
                    how
                }]
            );
        }
    }

    #[test]
    fn a_stop_before_a_stage_stops_at_once_and_nothing_starts_after() {
        let mut engine = armed();
        engine.handle(order(Order::Stop(StopMode::Stop)), Mono(20));
        assert_eq!(phase(&engine), Phase::Stopped);
        assert!(!matches!(
            engine.handle(start("one", 50), Mono(21))[0],
            Action::Begin { .. }
        ));
    }

    #[test]
    fn a_worker_that_hangs_is_cut_and_the_stage_sealed() {
        let mut engine = armed();
        engine.handle(start("one", 0), Mono(0));
        engine.handle(Input::Tick, Mono(100));
        let until = engine.wake().unwrap();
        let acts = engine.handle(Input::Tick, until);
        assert!(matches!(acts[..], [Action::Cut(_), Action::Seal { .. }]));
    }

    #[test]
    fn an_older_fence_is_refused_and_a_newer_taken() {
        let mut engine = armed();
        let command = |fence| {
            Input::Command(Command {
                key: key(fence),
                order: Order::Arm(name("one")),
            })
        };
        engine.handle(command(3), Mono(0));
        let told = engine.handle(command(2), Mono(0));
        let refused = Phase::Refused(Refusal::Fenced);
        assert_eq!(
            told,
            [Action::Tell(Status {
                key: key(2),
                phase: refused
            })]
        );
    }

    #[test]
    fn a_start_after_the_stage_would_be_over_is_refused() {
        let mut engine = armed();
        let told = engine.handle(start("one", 50), Mono(150));
        assert!(matches!(
            &told[0],
            Action::Tell(Status {
                phase: Phase::Refused(Refusal::Late(_)),
                ..
            })
        ));
        let late = engine.handle(start("one", 50), Mono(60));
        assert!(
            matches!(late[0], Action::Begin { .. }),
            "a little late joins late"
        );
    }

    #[test]
    fn an_unknown_run_is_said_to_be_unknown_and_a_released_one_is_forgotten() {
        let mut engine = engine();
        let told = engine.handle(order(Order::Arm(name("one"))), Mono(0));
        assert_eq!(
            told,
            [Action::Tell(Status {
                key: key(1),
                phase: Phase::Unknown
            })]
        );
        let mut engine = armed();
        engine.handle(order(Order::Release), Mono(0));
        assert_eq!(phase(&engine), Phase::Unknown);
        let mut engine = armed();
        engine.handle(Input::Tick, Mono(FORGET_AFTER.0 + 1));
        assert_eq!(
            phase(&engine),
            Phase::Unknown,
            "nobody spoke of it for an hour"
        );
    }

    fn refusal(engine: &mut Engine, assignment: Assignment) -> Option<String> {
        match engine
            .handle(order(Order::Prepare(Box::new(assignment))), Mono(0))
            .pop()
        {
            Some(Action::Tell(Status {
                phase: Phase::Refused(Refusal::Policy(why)),
                ..
            })) => Some(why),
            _ => None,
        }
    }

    #[test]
    fn without_a_policy_everything_is_refused_and_within_one_it_is_taken() {
        let mut engine = Engine::new(BTreeSet::new(), Err("no policy.yaml".to_owned()));
        let why = refusal(&mut engine, assignment());
        assert_eq!(why.as_deref(), Some("no policy.yaml"));
        assert!(engine.statuses().is_empty());
        let mut policy = Policy::careful();
        policy.limits.stage_seconds = 0;
        let mut engine = Engine::new(BTreeSet::new(), Ok(policy));
        assert!(
            refusal(&mut engine, assignment()).is_some_and(|why| why.contains("stage-seconds"))
        );
        assert_eq!(refusal(&mut self::engine(), assignment()), None);
    }

    #[test]
    fn a_secret_that_the_host_can_not_give_refuses_the_whole_by_its_name() {
        use nepho_common::{
            plan::{Act, AssignedStep, Check, HttpCheck, Probe, Target},
            policy::TargetRule,
        };
        let check = Check::Http(HttpCheck {
            url: "http://10.0.0.1/".to_owned(),
            method: "GET".to_owned(),
            headers: vec![("x".to_owned(), "${env:T}".to_owned())],
            status: [200].into(),
        });
        let target = Target {
            to: "local/a/1".parse().unwrap(),
            operation: "ask".to_owned().try_into().unwrap(),
            check,
            offset: Nanos(0),
        };
        let probe = Probe {
            every: Nanos::from_secs(1),
            timeout: Nanos::from_secs(1),
            to: vec![target],
        };
        let mut assignment = assignment();
        assignment.features = ["probe.http".parse().unwrap()].into();
        assignment.stages[0].steps = vec![AssignedStep {
            name: "p".parse().unwrap(),
            act: Act::Probe(probe),
        }];
        let mut policy = Policy::careful();
        let rule = TargetRule {
            network: Some("10.0.0.1".parse().unwrap()),
            host: None,
            ports: nepho_common::policy::Ports::All,
        };
        let secret: SecretRef = "env:T".parse().unwrap();
        policy.secrets.insert(secret.clone(), vec![rule]);
        let mut engine = Engine::new(assignment.features.clone(), Ok(policy));
        engine.handle(
            Input::Unreadable([(secret, "it is not set".to_owned())].into()),
            Mono(0),
        );
        assert_eq!(
            refusal(&mut engine, assignment.clone()).as_deref(),
            Some("secret env:T: it is not set")
        );
        engine.handle(Input::Unreadable(BTreeMap::new()), Mono(0));
        assert_eq!(refusal(&mut engine, assignment), None);
    }
}
