//! One run on one agent: commands and time in, actions out.
//!
//! ```text
//! Prepared -> Armed -> Scheduled -> Running -> Draining -> Sealing -> Sealed
//!                ^                                                      |
//!                +---------------------- next stage --------------------+
//! ```
//! A stop leads from anywhere to `Stopped`, through draining and sealing when a stage is under way.
//! Every command may come twice, late, or not at all: the answer is always the present phase.

mod run;

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    control::{Command, Order, Phase, Refusal, Status, StopMode},
    event::StageEnd,
    id::{Feature, PlanId, RunId, RunKey, Seq, SpoolId, StageName},
    plan::{AssignedStage, Assignment},
    policy::{Endpoint, Policy, references},
    secret::SecretRef,
    time::{Mono, RunTime},
};

use self::run::Run;
use crate::budget;

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
    /// The host's owner changed the policy. What is prepared or under way goes on, each of its
    /// requests judged by the new one where it is made.
    Policy(Policy),
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
    /// The agent is to end: nothing new is begun, and what is under way ends by then.
    Leave(Mono),
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
        /// Its plan.
        plan: PlanId,
        /// The stage, with everything to be asked.
        stage: AssignedStage,
        /// Its start on this host's clock.
        at: Mono,
        /// The same instant in run time.
        at_run: RunTime,
        /// An earlier process began it: what was due before now is not this one's.
        resumed: bool,
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
    /// Of our own controller: nobody's targets.
    doors: Vec<Endpoint>,
    unreadable: BTreeMap<SecretRef, String>,
    runs: BTreeMap<RunId, Run>,
    /// Since the agent was told to end: when what is under way is cut.
    leaving: Option<Mono>,
}

impl Engine {
    /// An engine of an agent that can do `features`, and may do what `policy` allows; nothing,
    /// for this reason, without one. `doors` are those of its controller.
    #[must_use]
    pub const fn new(
        features: BTreeSet<Feature>,
        policy: Result<Policy, String>,
        doors: Vec<Endpoint>,
    ) -> Self {
        Self {
            features,
            policy,
            doors,
            unreadable: BTreeMap::new(),
            runs: BTreeMap::new(),
            leaving: None,
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
        // A stage that is being sealed waits for the disk alone.
        let leave = self
            .leaving
            .filter(|_| self.runs.values().any(Run::is_sending));
        let wakes = self.runs.values().filter_map(Run::wake);
        wakes.chain(leave).min()
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
            Input::Policy(policy) => {
                self.policy = Ok(policy);
                Vec::new()
            }
            Input::WorkersIdle(run) => self.on(&run, |run| run.workers_idle()),
            Input::SealWritten {
                run,
                stage,
                spool,
                seal,
            } => self.on(&run, |run| run.seal_written(&stage, spool, seal)),
            Input::Leave(by) => {
                // Told again, it never gets more time.
                self.leaving = Some(self.leaving.map_or(by, |before| before.min(by)));
                self.tick(now)
            }
            Input::Tick => self.tick(now),
        }
    }

    fn tick(&mut self, now: Mono) -> Vec<Action> {
        self.runs.retain(|_, run| !run.is_forgotten(now));
        let is_late = self.leaving.is_some_and(|by| now >= by);
        let act = |run: &mut Run| {
            if is_late && run.is_sending() {
                run.order(Order::Stop(StopMode::Abort), now)
            } else {
                run.tick(now)
            }
        };
        self.runs.values_mut().flat_map(act).collect()
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
            if self.leaving.is_some() && run.would_begin(&order) {
                return tell(Phase::Refused(Refusal::Leaving));
            }
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
                    let run = Run::prepared(key, assignment, now);
                    let told = vec![Action::Tell(run.status())];
                    self.runs.insert(run.key.run.clone(), run);
                    told
                }
                Err(refusal) => tell(Phase::Refused(refusal)),
            },
            Order::Arm(_)
            | Order::Start { .. }
            | Order::Resume { .. }
            | Order::Stop(_)
            | Order::Release => tell(Phase::Unknown),
        }
    }

    fn admit(&self, assignment: &Assignment) -> Result<(), Refusal> {
        if self.leaving.is_some() {
            return Err(Refusal::Leaving);
        }
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
        let admitted = policy.admits(assignment, &self.doors);
        admitted.map_err(|rule| rule.to_string())?;
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

#[cfg(test)]
mod leaving;
#[cfg(test)]
mod tests;
