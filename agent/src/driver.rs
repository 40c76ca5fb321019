//! The one loop that owns the engine and the recorders: select, classify, `handle`, perform.
//!
//! It never waits for the disk: writes are promised by the spool's thread and come back as inputs,
//! so that a stop gets through while an fsync takes its time.

mod active;
mod allowed;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::Arc,
    time::Duration,
};

use nepho_agent_core::{
    engine::{Action, Engine, Input},
    recorder::Recorder,
};
use nepho_common::{
    control::{Command, Order, Phase, Refusal, Status},
    event::{Event, StageEnd, What},
    id::{AgentId, EnvironmentName, PlanId, RunId, RunKey, Seq, StageName},
    journal::{Body, RecordKind},
    plan::AssignedStage,
    time::{Mono, Nanos, RunTime},
};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use self::active::{Active, draft};
pub use self::allowed::Allowed;
use crate::{
    clock::{self, Alarm, Epochs, Slept},
    discipline, hold,
    leave::{Leave, beyond},
    ration::Ration,
    scrub,
    session::Standing,
    spool::{Draft, Spool, SpoolError, Written},
    work::{
        Seen, Sighting,
        pacer::{self, Job, Mode},
    },
};

/// A fifth of a second of the highest rate that the budget allows. A full queue delays only the
/// handing over: stamps are taken before.
const SIGHTINGS: usize = 1024;
/// How often to look whether the host slept.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the disk may take for what is left when the agent is stopped.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Why the agent can't go on. A new start finds out what is on disk.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The spool failed.
    #[error("write results")]
    Spool(#[from] SpoolError),
    /// The kernel gives no timer.
    #[error("set an alarm")]
    Alarm(#[source] io::Error),
}

/// The ends that lead to the connections.
#[derive(Debug)]
pub struct Ports {
    /// From the control session.
    pub commands: mpsc::Receiver<Command>,
    /// To the control session: at once.
    pub told: mpsc::Sender<Status>,
    /// To the control session.
    pub standing: watch::Sender<Standing>,
    /// To the courier and the control session: what is on disk.
    pub written: watch::Sender<Seq>,
    /// From the control session: when the controller was last heard.
    pub heard: watch::Receiver<Mono>,
    /// The policy's file may have been changed.
    pub reload: Arc<Notify>,
}

/// Who this agent is.
#[derive(Debug, Clone)]
pub struct Author {
    /// By its certificate.
    pub agent: AgentId,
    /// Where it is.
    pub environment: EnvironmentName,
}

/// The loop and its state.
#[derive(Debug)]
pub struct Driver {
    author: Author,
    engine: Engine,
    epochs: Epochs,
    spool: Spool,
    ports: Ports,
    stages: BTreeMap<RunId, Active>,
    workers: JoinSet<io::Result<()>>,
    allowed: Allowed,
    /// Of lines about assignments: whoever sends them must not fill our disk.
    ration: Ration,
    sightings: (mpsc::Sender<Sighting>, mpsc::Receiver<Sighting>),
    /// Writes come back in the order in which they were promised.
    promised: VecDeque<(Meaning, Written)>,
    /// Since it was told to end: by when.
    leaving: Option<Mono>,
    /// A stage was ended before its time because the agent is.
    was_cut: bool,
    /// The number of the last record that was given to the spool.
    promised_to: Seq,
}

/// What it means that a write is on disk.
#[derive(Debug)]
enum Meaning {
    Progress,
    Sealed(RunId, StageName),
}

impl Driver {
    /// A driver without runs.
    #[must_use]
    pub fn new(
        author: Author,
        engine: Engine,
        allowed: Allowed,
        spool: Spool,
        ports: Ports,
    ) -> Self {
        let promised_to = *ports.written.borrow();
        Self {
            author,
            engine,
            epochs: Epochs::new(),
            spool,
            ports,
            stages: BTreeMap::new(),
            workers: JoinSet::new(),
            allowed,
            ration: Ration::full(clock::now()),
            sightings: mpsc::channel(SIGHTINGS),
            promised: VecDeque::new(),
            leaving: None,
            was_cut: false,
            promised_to,
        }
    }

    /// Runs until it is told to end, and writes what there is. Says whether that was all: `false`
    /// when a stage was ended before its time.
    ///
    /// # Errors
    /// The agent can't keep what it measures.
    pub async fn run(mut self, mut stop: watch::Receiver<Leave>) -> Result<bool, DriverError> {
        let mut told = Leave::Stay;
        let mut alarm = Alarm::new().map_err(DriverError::Alarm)?;
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.leaving.is_none() || !self.is_done() {
            let wake = self.wake();
            let rings = async {
                match wake {
                    Some(at) => alarm.until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(command) = self.ports.commands.recv() => {
                    hold::at(word_of(&command.order)).await;
                    self.command(command).await;
                }
                Some(sighting) = self.sightings.1.recv() => self.see(sighting).await,
                (meaning, last) = on_disk(&mut self.promised) => {
                    self.is_on_disk(meaning, last?).await;
                }
                rang = rings => {
                    rang.map_err(DriverError::Alarm)?;
                    self.flush_due().await;
                    self.handle(Input::Tick).await;
                }
                () = self.ports.reload.notified() => self.read_policy(),
                _ = look.tick() => self.look_at_clock().await,
                Some(ended) = self.workers.join_next() => worker_ended(ended),
                more = beyond(&mut stop, told) => {
                    told = more;
                    match more {
                        Leave::Stay => {}
                        Leave::Drain(within) => self.drain(within).await,
                        Leave::Now => break,
                    }
                }
            }
        }
        self.leave().await
    }

    /// Nothing is under way, and everything is on disk.
    fn is_done(&self) -> bool {
        self.engine.is_idle() && self.promised.is_empty()
    }

    async fn drain(&mut self, within: Duration) {
        let within = Nanos(u64::try_from(within.as_nanos()).unwrap_or(u64::MAX));
        let by = clock::now().plus(within);
        tracing::info!(%within, stages = self.stages.len(), "told to end: nothing new is taken on");
        self.leaving = Some(by);
        self.handle(Input::Leave(by)).await;
    }

    fn wake(&self) -> Option<Mono> {
        let stages = self.stages.values();
        stages.map(Active::next).chain(self.engine.wake()).min()
    }

    /// What can't be given is known before the engine is asked, and what it refuses is in this
    /// host's own log: a controller can't take that back.
    async fn command(&mut self, command: Command) {
        let Order::Prepare(assignment) = &command.order else {
            self.handle(Input::Command(command)).await;
            return;
        };
        let (run, plan) = (command.key.run.clone(), assignment.plan);
        let knew = self.engine.statuses().iter().any(|one| one.key.run == run);
        let unreadable = self.allowed.unreadable(assignment);
        self.handle(Input::Unreadable(unreadable)).await;
        let refused = self.handle(Input::Command(command)).await;
        if refused.is_none() && knew {
            return;
        }
        let Some(unsaid) = self.ration.line(clock::now()) else {
            return;
        };
        if let Some(refusal) = refused {
            tracing::warn!(%run, %plan, rule = %refusal, unsaid, "an assignment was refused");
        } else {
            tracing::info!(%run, %plan, unsaid, "an assignment was taken on");
        }
    }

    fn read_policy(&mut self) {
        if let Some(policy) = self.allowed.read_anew() {
            let done = self.engine.handle(Input::Policy(policy), clock::now());
            debug_assert!(done.is_empty(), "a policy is no order");
            self.publish();
        }
    }

    /// Returns a refusal, if that was the answer.
    async fn handle(&mut self, input: Input) -> Option<Refusal> {
        let mut refused = None;
        for action in self.engine.handle(input, clock::now()) {
            if let Action::Tell(Status {
                phase: Phase::Refused(refusal),
                ..
            }) = &action
            {
                refused = Some(refusal.clone());
            }
            self.perform(action).await;
        }
        self.publish();
        refused
    }

    async fn perform(&mut self, action: Action) {
        match action {
            Action::Begin {
                key,
                plan,
                stage,
                at,
                at_run,
                resumed,
            } => {
                hold::at("run.before-begin").await;
                self.begin(key, plan, stage, (at, at_run), resumed);
            }
            Action::StopSending(run) => {
                hold::at("stage.draining").await;
                self.set_mode(&run, Mode::Drain);
            }
            Action::Cut(run) => {
                self.was_cut |= self.leaving.is_some_and(|by| clock::now() >= by);
                self.set_mode(&run, Mode::Cut);
            }
            Action::Seal {
                key,
                stage,
                at,
                how,
            } => {
                hold::at("seal.before-write").await;
                self.seal(key, stage, at, how).await;
            }
            // A full queue means that nobody listens; the next pong says it again.
            Action::Tell(status) => drop(self.ports.told.try_send(scrub::status(status))),
        }
    }

    fn begin(
        &mut self,
        key: RunKey,
        plan: PlanId,
        stage: AssignedStage,
        (at, at_run): (Mono, RunTime),
        resumed: bool,
    ) {
        let Some(guard) = self.allowed.guard.clone() else {
            return;
        };
        let (run, name) = (key.run.clone(), stage.name.clone());
        tracing::info!(%run, stage = %name, at = at.0, resumed, "stage begins");
        let (mode, watched) = watch::channel(Mode::Send);
        let Author { agent, environment } = self.author.clone();
        let has_load = stage.steps.iter().any(|step| step.act.load().is_some());
        let recorder = Recorder::new(key.clone(), agent, environment, stage.clone(), at_run);
        let recorder = if resumed {
            recorder.resumed(self.promised_to.next())
        } else {
            recorder
        };
        let active = Active::new((key, name), recorder, at, has_load, mode);
        self.stages.insert(run.clone(), active);
        let job = Job {
            run,
            plan,
            stage,
            at,
            at_run,
            resumed,
            guard,
            heard: self.ports.heard.clone(),
        };
        self.workers
            .spawn(pacer::run(job, watched, self.sightings.0.clone()));
    }

    fn set_mode(&self, run: &RunId, mode: Mode) {
        if let Some(active) = self.stages.get(run) {
            // A cut is not taken back by an end that comes after it.
            active.mode.send_modify(|old| *old = mode.max(*old));
        }
    }

    async fn see(&mut self, Sighting { run, stage, seen }: Sighting) {
        // A stage that was sealed already is not spoken of any more.
        let active = self.stages.get_mut(&run);
        let Some(active) = active.filter(|active| active.stage == stage) else {
            return;
        };
        match seen {
            Seen::Started { planned, actual } => {
                let what = What::StageStarted {
                    stage,
                    planned,
                    actual,
                };
                let clock = discipline::host_clock().map(What::HostClock);
                let what = [what].into_iter().chain(clock);
                let events = what.map(|what| stamp(&self.epochs, what)).collect();
                let draft = active.draft(Body::Events(events));
                active.recorder.wrote(RecordKind::Events);
                self.promise(Meaning::Progress, vec![draft]).await;
            }
            Seen::Ended(observation) => active.recorder.observe(observation),
            Seen::Loaded {
                step,
                share,
                counted,
            } => {
                let bad = active.recorder.load(step, share, &counted).err();
                debug_assert!(bad.is_none(), "our own lanes count: {bad:?}");
            }
            Seen::Noted(what) => active.noted.push(stamp(&self.epochs, *what)),
            Seen::Read(gauges) => active.recorder.read(gauges),
            Seen::Missed(missed) => {
                for (step, late) in missed {
                    active.recorder.missed(step, late);
                }
            }
            Seen::Idle => {
                self.handle(Input::WorkersIdle(run)).await;
            }
        }
    }

    async fn flush_due(&mut self) {
        let now = clock::now();
        let mut drafts = Vec::new();
        let stages = self.stages.values_mut();
        stages.for_each(|active| drafts.extend(active.due(now)));
        if !drafts.is_empty() {
            self.promise(Meaning::Progress, drafts).await;
        }
    }

    async fn seal(&mut self, key: RunKey, stage: StageName, at: RunTime, how: StageEnd) {
        // What it slept through must be told before the seal, not up to a second after it.
        self.look_at_clock().await;
        let Some(mut active) = self.stages.remove(&key.run) else {
            return;
        };
        let mut drafts = active.flushed();
        let mut what = active.recorder.misses();
        what.push(What::StageEnded {
            stage: stage.clone(),
            at,
            how,
        });
        let events = what.into_iter().map(|what| stamp(&self.epochs, what));
        drafts.push(active.draft(Body::Events(events.collect())));
        active.recorder.wrote(RecordKind::Events);
        drafts.push(active.draft(Body::Seal(active.recorder.seal())));
        self.promise(Meaning::Sealed(key.run, stage), drafts).await;
    }

    async fn promise(&mut self, meaning: Meaning, drafts: Vec<Draft>) {
        self.promised_to.0 += drafts.len() as u64;
        let written = self.spool.write(drafts).await;
        self.promised.push_back((meaning, written));
    }

    async fn is_on_disk(&mut self, meaning: Meaning, last: Seq) {
        match meaning {
            Meaning::Progress => {
                self.ports.written.send_replace(last);
            }
            Meaning::Sealed(run, stage) => {
                hold::at("seal.after-sync").await;
                self.ports.written.send_replace(last);
                tracing::info!(%run, %stage, seal = %last, "stage sealed");
                let spool = self.spool.id();
                let seal = last;
                self.handle(Input::SealWritten {
                    run,
                    stage,
                    spool,
                    seal,
                })
                .await;
            }
        }
    }

    /// A sleep of the host is told in every run that has a stage under way or armed: one that is armed may have been told
    /// of a start that its clock does not keep any more. Such a record speaks of no stage, so no seal
    /// counts it.
    async fn look_at_clock(&mut self) {
        let Some(Slept { long, awake }) = self.epochs.look() else {
            return;
        };
        tracing::warn!(suspended = %long, "the host slept; a new clock epoch begins");
        let what = What::EpochOpened {
            suspended: long,
            awake: Some(awake),
        };
        let event = stamp(&self.epochs, what);
        let told = |status: Status| draft(&status.key, Body::Events(vec![event.clone()]));
        let may_be_late = |status: &Status| match status.phase {
            Phase::Armed(_) | Phase::Scheduled(_) | Phase::Running(_) | Phase::Draining(_) => true,
            Phase::Unknown
            | Phase::Refused(_)
            | Phase::Prepared
            | Phase::Sealed { .. }
            | Phase::Stopped => false,
        };
        let runs = self.engine.statuses().into_iter().filter(may_be_late);
        let drafts: Vec<_> = runs.map(told).collect();
        if !drafts.is_empty() {
            self.promise(Meaning::Progress, drafts).await;
        }
        self.publish();
    }

    fn publish(&self) {
        self.ports.standing.send_replace(Standing {
            epoch: self.epochs.epoch(),
            runs: self.engine.statuses(),
            policy: self.allowed.report.clone(),
        });
    }

    /// No command is taken any more. What was observed is kept; a stage that is under way stays
    /// without its seal, which says that it is not complete.
    async fn leave(mut self) -> Result<bool, DriverError> {
        let is_whole = self.stages.is_empty() && !self.was_cut;
        let mut drafts = Vec::new();
        for (run, active) in &mut self.stages {
            tracing::warn!(%run, stage = %active.stage, "stopped in the middle of a stage");
            active.mode.send_replace(Mode::Cut);
        }
        while let Ok(sighting) = self.sightings.1.try_recv() {
            self.see(sighting).await;
        }
        for active in self.stages.values_mut() {
            drafts.extend(active.flushed());
        }
        if !drafts.is_empty() {
            self.promise(Meaning::Progress, drafts).await;
        }
        let rest = async {
            while !self.promised.is_empty() {
                let (_, last) = on_disk(&mut self.promised).await;
                self.ports.written.send_replace(last?);
            }
            Ok(())
        };
        match timeout(FLUSH_MAX, rest).await {
            Ok(written) => written.map(|()| is_whole),
            Err(_) => {
                tracing::error!("the disk did not take the last results within {FLUSH_MAX:?}");
                Ok(false)
            }
        }
    }
}

/// The hold point of an order that is about to be obeyed.
const fn word_of(order: &Order) -> &'static str {
    match order {
        Order::Prepare(_) => "command.prepare",
        Order::Arm(_) => "command.arm",
        Order::Start { .. } => "command.start",
        Order::Resume { .. } => "command.resume",
        Order::Stop(_) => "command.stop",
        Order::Release => "command.release",
    }
}

fn stamp(epochs: &Epochs, what: What) -> Event {
    Event {
        at: clock::now(),
        epoch: epochs.epoch(),
        wall: clock::wall(),
        what,
    }
}

/// The first promise, once it is kept. May be dropped and called again.
async fn on_disk(
    promised: &mut VecDeque<(Meaning, Written)>,
) -> (Meaning, Result<Seq, SpoolError>) {
    let Some((_, written)) = promised.front_mut() else {
        return std::future::pending().await;
    };
    let last = written.await.unwrap_or(Err(SpoolError::Gone));
    let (meaning, _) = promised.pop_front().expect("its front was waited for");
    (meaning, last)
}

/// Without an alarm a stage sends nothing; the engine ends it when its time is up, and its seal
/// shows that nothing was measured.
fn worker_ended(ended: Result<io::Result<()>, tokio::task::JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "a stage has no alarm"),
        Err(error) => tracing::error!(%error, "the task of a stage broke"),
    }
}
