//! A run under way: the pure state machine, its scribe, and what is shown of it.

use std::collections::BTreeMap;

use nepho_common::{
    control::Host,
    event::{RunEnd, Skip, What},
    id::{AgentId, RunKey, StageName},
    plan::Plan,
    time::{Mono, Nanos, WallMillis},
};
use nepho_controller_core::{
    report::Verdict,
    run::{self, Action, Participant, Run},
};
use tokio::sync::{mpsc, watch};
use tracing::error;

use super::Input;
use crate::{
    clock,
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

#[derive(Debug)]
pub(super) struct Live {
    run: Run,
    tasks: mpsc::Sender<Task>,
    view: watch::Sender<RunView>,
    over: Option<Mono>,
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
        let (tasks, todo) = mpsc::channel(scribe::TASKS_MAX);
        // The scribe ends when its tasks do, and its tasks end with this run or the driver.
        drop(tokio::spawn(scribe.work(todo, back)));
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
            verdict: None,
            exit_code: None,
        };
        let (run, actions) = Run::begin(key, plan, host, &participants, clock::now());
        let mut live = Self {
            run,
            tasks,
            view: watch::Sender::new(view),
            over: None,
        };
        live.keep(&actions);
        (live, actions)
    }

    pub(super) const fn key(&self) -> &RunKey {
        self.run.key()
    }

    pub(super) fn agents(&self) -> Vec<AgentId> {
        self.run.plan().agents.keys().cloned().collect()
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
        for action in actions {
            match action {
                Action::Journal(what) => {
                    self.ask(Task::Write(Box::new(scribe::event(what.clone()))));
                    self.say(what);
                }
                Action::Judge(stage) => self.ask(Task::Judge(stage.clone())),
                Action::Ended(_) => self.ask(Task::Report),
                Action::Send { .. } | Action::MeasureClock(_) => {}
            }
        }
        let progress = Some(self.run.progress(clock::now()));
        self.view.send_if_modified(|view| {
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

    pub(super) fn reported(&mut self, verdict: Verdict, exit_code: u8, now: Mono) {
        self.over = Some(now);
        self.view.send_modify(|view| {
            view.progress = None;
            view.verdict = Some(verdict);
            view.exit_code = Some(exit_code);
        });
    }
}

/// What an event tells the person who watches; `None` for what the progress shows anyway.
fn saying(what: &What) -> Option<String> {
    let text = match what {
        What::StageOrdered { stage, agents, .. } => {
            let bound = agents
                .values()
                .map(|order| order.offset.width().half())
                .max();
            let bound = bound.unwrap_or_default();
            match agents.len() {
                1 => format!("stage {stage} starts, its clock known within ±{bound}"),
                n => format!("stage {stage} starts on {n} agents, together within ±{bound}"),
            }
        }
        What::StageCollected { stage, missing } if !missing.is_empty() => {
            format!("stage {stage}: results are missing from {}", names(missing))
        }
        What::StageSkipped {
            stage,
            why: Skip::After(before),
        } => {
            format!("stage {stage} is not run: {before} did not pass")
        }
        What::StageSkipped {
            stage,
            why: Skip::Stopped,
        } => {
            format!("stage {stage} is not run: the run was stopped")
        }
        What::StageSkipped {
            stage,
            why: Skip::NotReady(why),
        } => {
            format!("stage {stage} is not run: {why}")
        }
        What::AgentLost {
            agent,
            last_heard,
            at,
        } => {
            format!(
                "agent {agent} is lost: silent for {}",
                at.since(*last_heard)
            )
        }
        What::AgentReturned {
            agent,
            restarted: true,
            ..
        } => {
            format!("agent {agent} is back, restarted")
        }
        What::AgentReturned {
            agent,
            restarted: false,
            ..
        } => format!("agent {agent} is back"),
        What::AgentRefused { agent, why } => format!("agent {agent} refuses: {why}"),
        What::StopRequested { by, .. } => format!("{by} asked for an end"),
        What::RunEnded {
            how: RunEnd::Failed(why),
        } => format!("the run can't go on: {why}"),
        What::StageStarted { .. }
        | What::StageEnded { .. }
        | What::Missed { .. }
        | What::EpochOpened { .. }
        | What::Gap { .. }
        | What::RunStarted { .. }
        | What::AgentJoined { .. }
        | What::StageCollected { .. }
        | What::RecordRefused { .. }
        | What::RunEnded {
            how: RunEnd::Completed | RunEnd::Stopped(_),
        } => return None,
    };
    Some(text)
}

fn names(agents: &[AgentId]) -> String {
    agents
        .iter()
        .map(AgentId::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
