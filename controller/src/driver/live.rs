//! A run under way: the pure state machine, its scribe, and what is shown of it.

use std::collections::BTreeMap;

use nepho_common::{
    control::Host,
    event::{Event, RunEnd, What},
    id::{AgentId, RunKey, StageName},
    plan::Plan,
    time::{Mono, Nanos, WallMillis},
};
use nepho_controller_core::{
    log,
    report::Verdict,
    run::{self, Action, Participant, Run},
};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::error;

use super::Input;
use crate::{
    clock, hold,
    scribe::{self, Scribe, Task},
    view::{RunView, StageView, Tally},
};

/// How many sayings are shown.
const SAID_MAX: usize = 20;
/// How long a finished run stays in memory, so that whoever watches sees its last view.
const FORGET_AFTER: Nanos = Nanos::from_secs(60);

/// Everything that a run begins with.
#[derive(Debug)]
pub struct Opening {
    /// Which run.
    pub key: RunKey,
    /// What is executed.
    pub plan: Plan,
    /// The controller's host.
    pub host: Host,
    /// Who takes part.
    pub participants: BTreeMap<AgentId, Participant>,
    /// Its scribe; the exhibits are written.
    pub scribe: Scribe,
    /// When it was asked for.
    pub created: WallMillis,
}

/// A run that another process of the controller began.
#[derive(Debug)]
pub struct TakenUp {
    /// As the journal left it.
    pub run: Run,
    /// What is to be done first.
    pub actions: Vec<Action>,
    /// Goes on where the other one's ended.
    pub scribe: Scribe,
    /// When it was asked for.
    pub created: WallMillis,
    /// What was said of it until now.
    pub said: Vec<Event>,
    /// What the store has of it.
    pub tally: Tally,
    /// How its stages came out.
    pub stages: Vec<StageView>,
}

#[derive(Debug)]
pub(super) struct Live {
    run: Run,
    tasks: mpsc::Sender<Task>,
    view: watch::Sender<RunView>,
    over: Option<Mono>,
    /// How many times something was given to be written down.
    writes: u64,
    awaiting: Vec<(u64, Awaiting)>,
}

/// What happens once something is in the store.
#[derive(Debug)]
enum Awaiting {
    /// Agents may be asked for something.
    Begin,
    /// Agents may be told of the start of this stage.
    Start(StageName),
    /// Whoever asked for an end is told that it will come, whatever happens to us.
    Stop(oneshot::Sender<bool>),
}

impl Live {
    /// Begins it; the actions that come back are for agents.
    pub(super) fn begin(opening: Opening, back: mpsc::Sender<Input>) -> (Self, Vec<Action>) {
        let Opening {
            key,
            plan,
            host,
            participants,
            scribe,
            created,
        } = opening;
        let (run, actions) = Run::begin(key, plan, host, &participants, clock::now());
        let mut live = Self::of(run, scribe, created, back);
        live.keep(&actions);
        (live, actions)
    }

    /// Goes on with one that another process began.
    pub(super) fn take_up(taken: TakenUp, back: mpsc::Sender<Input>) -> (Self, Vec<Action>) {
        let TakenUp {
            run,
            actions,
            scribe,
            created,
            said,
            tally,
            stages,
        } = taken;
        let mut live = Self::of(run, scribe, created, back);
        said.iter().for_each(|event| live.say(&event.what));
        live.count(tally);
        live.view.send_modify(|view| view.stages = stages);
        live.keep(&actions);
        (live, actions)
    }

    fn of(run: Run, scribe: Scribe, created: WallMillis, back: mpsc::Sender<Input>) -> Self {
        let (tasks, todo) = mpsc::channel(scribe::TASKS_MAX);
        // The scribe ends when its tasks do, and its tasks end with this run or the driver.
        drop(tokio::spawn(scribe.work(todo, back)));
        let (key, plan) = (run.key(), run.plan());
        let view = RunView {
            schema: RunView::SCHEMA.to_owned(),
            run: key.run.clone(),
            plan: plan.id(),
            scenario: plan.scenario.clone(),
            title: plan.title.clone(),
            created,
            progress: None,
            tally: Some(Tally::default()),
            stages: Vec::new(),
            said: Vec::new(),
            revision: None,
            verdict: None,
            exit_code: None,
        };
        Self {
            run,
            tasks,
            view: watch::Sender::new(view),
            over: None,
            writes: 0,
            awaiting: Vec::new(),
        }
    }

    pub(super) const fn key(&self) -> &RunKey {
        self.run.key()
    }

    pub(super) fn agents(&self) -> Vec<AgentId> {
        self.run.plan().agents.keys().cloned().collect()
    }

    /// Nothing is wanted of its agents any more but to forget it.
    pub(super) const fn is_done(&self) -> bool {
        self.run.is_over()
    }

    /// Asks for an end; `reply` comes once that is written down and so outlives this process.
    pub(super) fn stop(&mut self, input: run::Input, reply: oneshot::Sender<bool>) -> Vec<Action> {
        let before = self.writes;
        let actions = self.handle(input);
        if self.writes > before {
            self.awaiting.push((self.writes, Awaiting::Stop(reply)));
        } else {
            // It was asked before, or is over.
            reply.send(!self.is_over()).unwrap_or_default();
        }
        actions
    }

    /// Everything that was given until `number` is in the store.
    pub(super) fn written(&mut self, number: u64) -> Vec<Action> {
        let (done, rest) = std::mem::take(&mut self.awaiting)
            .into_iter()
            .partition(|(its, _)| *its <= number);
        self.awaiting = rest;
        let done: Vec<(u64, Awaiting)> = done;
        let mut actions = Vec::new();
        for (_, awaiting) in done {
            match awaiting {
                Awaiting::Begin => actions.extend(self.handle(run::Input::Begun)),
                Awaiting::Start(stage) => actions.extend(self.handle(run::Input::Ordered(stage))),
                // Who asked may have gone away; it is stopped all the same.
                Awaiting::Stop(reply) => reply.send(true).unwrap_or_default(),
            }
        }
        actions
    }

    /// The store fails: nobody need wait for it.
    pub(super) fn gives_up(&mut self) {
        self.awaiting.clear();
    }

    pub(super) const fn is_over(&self) -> bool {
        self.over.is_some()
    }

    pub(super) fn is_forgotten(&self, now: Mono) -> bool {
        self.run.is_over() && self.over.is_some_and(|over| now.since(over) > FORGET_AFTER)
    }

    pub(super) fn watch(&self) -> watch::Receiver<RunView> {
        self.view.subscribe()
    }

    pub(super) fn handle(&mut self, input: run::Input) -> Vec<Action> {
        let actions = self.run.handle(input, clock::now());
        self.keep(&actions);
        actions
    }

    /// What concerns the journal and the view.
    fn keep(&mut self, actions: &[Action]) {
        let mut events = Vec::new();
        for action in actions {
            if let Action::Journal(what) = action {
                events.push(scribe::event(what.clone()));
                self.say(what);
                if let What::RunStarted { .. } = what {
                    self.awaiting.push((self.writes + 1, Awaiting::Begin));
                }
                if let What::StageOrdered { stage, .. } = what {
                    let start = Awaiting::Start(stage.clone());
                    self.awaiting.push((self.writes + 1, start));
                }
            }
        }
        if !events.is_empty() {
            self.writes += 1;
            self.ask(Task::Write(events, self.writes));
        }
        for action in actions {
            match action {
                Action::Judge(stage) => self.ask(Task::Judge(stage.clone())),
                Action::Ended(_) => self.ask(Task::Report),
                Action::Journal(_) | Action::Send { .. } | Action::MeasureClock(_) => {}
            }
        }
        let progress = self.run.progress(clock::now());
        self.view.send_if_modified(|view| {
            let before = view.progress.as_ref().map(|before| &before.state);
            if before != Some(&progress.state) {
                hold::block_at(&format!("state.{}", progress.state));
            }
            let progress = Some(progress);
            let moved = view.verdict.is_none() && view.progress != progress;
            if moved {
                view.progress = progress;
            }
            moved
        });
    }

    fn ask(&self, task: Task) {
        if let Err(error) = self.tasks.try_send(task) {
            // A run makes dozens of events; a thousand waiting means that the store hangs.
            error!(run = %self.key().run, %error, "the scribe does not keep up: an event is lost");
        }
    }

    fn say(&self, what: &What) {
        if let What::StageSkipped { stage, .. } = what {
            let stage = StageView {
                stage: stage.clone(),
                verdict: Verdict::NotRun,
            };
            self.view.send_modify(|view| view.stages.push(stage));
        }
        if let Some(saying) = saying(what) {
            self.view.send_modify(|view| {
                view.said.push(saying);
                let excess = view.said.len().saturating_sub(SAID_MAX);
                view.said.drain(..excess);
            });
        }
    }

    pub(super) fn count(&self, more: Tally) {
        self.view.send_modify(|view| {
            let tally = view.tally.get_or_insert_default();
            tally.requests += more.requests;
            tally.failures += more.failures;
        });
    }

    pub(super) fn judged(&self, stage: &StageName, verdict: Verdict) {
        let stage = StageView {
            stage: stage.clone(),
            verdict,
        };
        self.view.send_modify(|view| view.stages.push(stage));
    }

    /// Its report is there, or a revision of it.
    pub(super) fn reported(&mut self, revision: u32, verdict: Verdict, exit_code: u8, now: Mono) {
        self.over.get_or_insert(now);
        self.view.send_modify(|view| {
            view.progress = None;
            view.revision = Some(revision);
            view.verdict = Some(verdict);
            view.exit_code = Some(exit_code);
        });
    }
}

/// What an event tells the person who watches; `None` for what the progress shows anyway.
fn saying(what: &What) -> Option<String> {
    let is_told = match what {
        What::StageCollected { missing, .. } => !missing.is_empty(),
        What::StageOrdered { .. }
        | What::StageSkipped { .. }
        | What::AgentLost { .. }
        | What::AgentReturned { .. }
        | What::ClockDisturbed { .. }
        | What::HostClockRejected { .. }
        | What::ControllerReturned { .. }
        | What::AgentRefused { .. }
        | What::StopRequested { .. }
        | What::Aborted { .. }
        | What::RunEnded {
            how: RunEnd::Failed(_),
        } => true,
        What::StageStarted { .. }
        | What::StageEnded { .. }
        | What::Missed { .. }
        | What::EpochOpened { .. }
        | What::HostClock(_)
        | What::SpoolFull { .. }
        | What::LoadEnded { .. }
        | What::SymptomSeen { .. }
        | What::FactSeen { .. }
        | What::ThingSeen { .. }
        | What::Gap { .. }
        | What::RunStarted { .. }
        | What::AgentJoined { .. }
        | What::RecordRefused { .. }
        | What::Reported { .. }
        | What::RunEnded {
            how: RunEnd::Completed | RunEnd::Stopped(_),
        } => false,
    };
    is_told.then(|| log::words(what))
}
