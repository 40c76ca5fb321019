//! One loop owns sessions and runs: an input comes in, the pure run decides, the driver performs.
//!
//! - [`Handle`]: how the API asks; `begin`: how a run begins.
//! - `sessions`: the agents and their clocks. `live`: a run under way and what is shown of it.

mod begin;
mod handle;
mod live;
mod sessions;
mod take_up;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use nepho_common::{
    control::{Hello, Order, Phase, Refusal, Status, StopMode},
    id::{AgentId, EnvironmentName, RunId, Seq, SpoolId, StageName},
    time::Mono,
};
use nepho_controller_core::{report::Verdict, run};
use nepho_proto::session::{AgentMessage, ControllerMessage, Pong, Sender};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::MissedTickBehavior,
};
use tracing::warn;

pub use self::{
    begin::{PlanFailure, RunOptions},
    handle::{Enrolled, Failure, Handle, Revisions, Revoked},
    live::{Opening, TakenUp},
    take_up::{Holder, LEASE_RENEW_EVERY, take_up},
};
use self::{
    live::Live,
    sessions::{Entry, Fleet},
};
use crate::{
    clock,
    inbox::Held,
    news::News,
    view::{AgentView, RunView},
};

/// How often time is given to the runs and the heartbeat. The agents keep the instants themselves.
const TICK: Duration = Duration::from_millis(200);
/// Inputs waiting for the driver: two thousand agents' pongs and then some. Sessions wait when it
/// is full.
const INPUTS_MAX: usize = 4096;

/// Tells one session of an agent from its next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(u64);

impl SessionId {
    /// A new one.
    #[must_use]
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Everything that can happen to the driver.
#[derive(Debug)]
pub enum Input {
    /// An agent opened a session.
    Opened {
        /// Who.
        agent: AgentId,
        /// Where it is, by its row.
        environment: EnvironmentName,
        /// Which session.
        session: SessionId,
        /// What it said.
        hello: Box<Hello>,
        /// How to answer.
        out: Sender<ControllerMessage>,
        /// Whether it may: `false` for a second copy of an agent that is in a session.
        reply: oneshot::Sender<bool>,
    },
    /// An agent said something.
    Message {
        /// Who.
        agent: AgentId,
        /// In which session.
        session: SessionId,
        /// What.
        message: Box<AgentMessage>,
        /// When it arrived.
        at: Mono,
        /// Its room, free again when it has been dealt with.
        held: Held,
    },
    /// A session is over.
    Closed {
        /// Whose.
        agent: AgentId,
        /// Which.
        session: SessionId,
    },
    /// The store has committed results.
    Committed {
        /// Whose.
        agent: AgentId,
        /// Of which spool.
        spool: SpoolId,
        /// Everything up to here.
        seq: Seq,
        /// What was in them.
        news: BTreeMap<RunId, News>,
    },
    /// A scribe judged a stage.
    Judged {
        /// Of which run.
        run: RunId,
        /// The stage.
        stage: StageName,
        /// The verdict over its gating findings.
        verdict: Verdict,
    },
    /// A scribe made a report.
    Reported {
        /// Of which run.
        run: RunId,
        /// Which revision of it.
        revision: u32,
        /// Its verdict.
        verdict: Verdict,
        /// Its exit code.
        exit_code: u8,
    },
    /// A scribe has written down everything that it was given until this number.
    Written {
        /// Of which run.
        run: RunId,
        /// Which.
        number: u64,
    },
    /// A scribe could not keep the journal.
    StoreFailed {
        /// Of which run.
        run: RunId,
        /// Why.
        why: String,
    },
    /// Begin this run; its exhibits are in the store.
    Begin(Box<Opening>, oneshot::Sender<()>),
    /// End this run before its time; whether it is under way.
    Stop {
        /// Which.
        run: RunId,
        /// How.
        mode: StopMode,
        /// Who asked.
        by: String,
        /// The answer.
        reply: oneshot::Sender<bool>,
    },
    /// Say goodbye to an agent, and why; whether it was in a session.
    Dismiss {
        /// Whom.
        agent: AgentId,
        /// Why.
        reason: String,
        /// The answer.
        reply: oneshot::Sender<bool>,
    },
    /// Show the agents that have or had a session.
    Agents(oneshot::Sender<Vec<AgentView>>),
    /// Show a run that is in memory.
    Watch(RunId, oneshot::Sender<Option<watch::Receiver<RunView>>>),
}

/// The loop's state.
#[derive(Debug)]
pub struct Driver {
    inputs: mpsc::Receiver<Input>,
    back: mpsc::Sender<Input>,
    fleet: Fleet,
    runs: BTreeMap<RunId, Live>,
}

/// A driver, and the way to it.
#[must_use]
pub fn driver() -> (Driver, mpsc::Sender<Input>) {
    let (back, inputs) = mpsc::channel(INPUTS_MAX);
    let driver = Driver {
        inputs,
        back: back.clone(),
        fleet: Fleet::default(),
        runs: BTreeMap::new(),
    };
    (driver, back)
}

impl Driver {
    /// Drives until `shutdown` turns true.
    pub async fn drive(mut self, mut shutdown: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                // An error means that whoever could ask for the end is gone: that is an end too.
                _ = shutdown.wait_for(|down| *down) => break,
                input = self.inputs.recv() => match input {
                    Some(input) => self.take(input),
                    None => break,
                },
                _ = tick.tick() => self.tick(),
            }
        }
        self.fleet.say_goodbye("the controller is shutting down");
    }

    /// Goes on with a run that another process began, before anybody can speak of it.
    pub fn take_up(&mut self, taken: TakenUp, owned: Vec<run::Input>) {
        let (live, actions) = Live::take_up(taken, self.back.clone());
        let run = live.key().run.clone();
        self.runs.insert(run.clone(), live);
        self.perform(&run, actions);
        for input in owned {
            self.one_run(&run, input);
        }
    }

    fn tick(&mut self) {
        let now = clock::now();
        self.fleet.beat(now);
        self.each_run(|_| Some(run::Input::Tick));
        self.runs.retain(|_, live| !live.is_forgotten(now));
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Opened {
                agent,
                environment,
                session,
                hello,
                out,
                reply,
            } => {
                let owes = run::Input::Owes {
                    agent: agent.clone(),
                    spool: hello.spool,
                    seq: Seq(hello.next.0.saturating_sub(1)),
                };
                let entry = self.fleet.open(&agent, environment, session, &hello, out);
                // Whoever no longer waits has closed its stream, and the driver hears of that.
                reply.send(entry != Entry::Copy).unwrap_or_default();
                let restarted = match entry {
                    Entry::Copy => return,
                    Entry::Same => false,
                    Entry::Restarted => true,
                };
                self.each_run(|_| Some(owes.clone()));
                self.each_run(|_| {
                    Some(run::Input::Connected {
                        agent: agent.clone(),
                        restarted,
                    })
                });
                let known: BTreeSet<_> = hello.runs.iter().map(|s| s.key.run.clone()).collect();
                self.statuses(&agent, hello.runs);
                // What it does not name it does not know.
                self.each_run(|run| {
                    (!known.contains(run)).then(|| run::Input::Status {
                        agent: agent.clone(),
                        phase: Phase::Unknown,
                    })
                });
            }
            Input::Message {
                agent,
                session,
                message,
                at,
                held,
            } => {
                self.message(&agent, session, *message, at);
                drop(held);
            }
            Input::Closed { agent, session } => self.fleet.close(&agent, session),
            Input::Committed {
                agent,
                spool,
                seq,
                news,
            } => {
                for (run, News { tally, glances }) in news {
                    if let Some(live) = self.runs.get_mut(&run) {
                        live.count(tally);
                        self.one_run(&run, run::Input::Glanced(glances));
                    }
                }
                let input = || run::Input::Durable {
                    agent: agent.clone(),
                    spool,
                    seq,
                };
                self.each_run(|_| Some(input()));
            }
            Input::Judged {
                run,
                stage,
                verdict,
            } => {
                if let Some(live) = self.runs.get_mut(&run) {
                    live.judged(&stage, verdict);
                }
                let passed = verdict == Verdict::Pass;
                self.one_run(&run, run::Input::Judged { stage, passed });
            }
            Input::Reported {
                run,
                revision,
                verdict,
                exit_code,
            } => {
                if let Some(live) = self.runs.get_mut(&run) {
                    live.reported(revision, verdict, exit_code, clock::now());
                }
            }
            Input::Written { run, number } => {
                let live = self.runs.get_mut(&run);
                let actions = live.map(|live| live.written(number)).unwrap_or_default();
                self.perform(&run, actions);
            }
            Input::StoreFailed { run, why } => {
                if let Some(live) = self.runs.get_mut(&run) {
                    live.gives_up();
                }
                // Nothing that happens from here on would be kept: end it as soon as it can be.
                let by = format!("the controller, because its store failed: {why}");
                self.one_run(
                    &run,
                    run::Input::Stop {
                        mode: StopMode::Abort,
                        by,
                    },
                );
            }
            Input::Begin(opening, begun) => {
                let (live, actions) = Live::begin(*opening, self.back.clone());
                let run = live.key().run.clone();
                self.runs.insert(run.clone(), live);
                self.perform(&run, actions);
                // Who asked may have gone away; the run goes on.
                begun.send(()).unwrap_or_default();
            }
            Input::Stop {
                run,
                mode,
                by,
                reply,
            } => {
                let Some(live) = self.runs.get_mut(&run).filter(|live| !live.is_over()) else {
                    reply.send(false).unwrap_or_default();
                    return;
                };
                let actions = live.stop(run::Input::Stop { mode, by }, reply);
                self.perform(&run, actions);
            }
            Input::Dismiss {
                agent,
                reason,
                reply,
            } => {
                let was_there = self.fleet.dismiss(&agent, &reason);
                reply.send(was_there).unwrap_or_default();
            }
            Input::Agents(reply) => {
                let runs = self.runs.iter().filter(|(_, live)| !live.is_over());
                let runs: Vec<_> = runs.map(|(run, live)| (run, live.agents())).collect();
                reply
                    .send(self.fleet.views(&runs, clock::now()))
                    .unwrap_or_default();
            }
            Input::Watch(run, reply) => {
                let view = self.runs.get(&run).map(Live::watch);
                reply.send(view).unwrap_or_default();
            }
        }
    }

    fn message(&mut self, agent: &AgentId, session: SessionId, message: AgentMessage, at: Mono) {
        if !self.fleet.heard(agent, session, at) {
            return;
        }
        match message {
            AgentMessage::Hello(_) => warn!(%agent, "a second hello was left out"),
            AgentMessage::Pong(pong) => {
                let Pong { runs, .. } = pong.clone();
                let answered = self.fleet.pong(agent, &pong, at);
                if let Some(jump) = answered.disturbed {
                    self.each_run(|_| Some(run::Input::ClockDisturbed(agent.clone(), jump)));
                }
                if let Some((claimed, measured)) = answered.rejected {
                    self.each_run(|_| {
                        Some(run::Input::HostClockRejected {
                            agent: agent.clone(),
                            claimed,
                            measured,
                        })
                    });
                }
                for (run, reading) in answered.over {
                    let agent = agent.clone();
                    self.one_run(&run, run::Input::Clock { agent, reading });
                }
                self.each_run(|_| Some(run::Input::Heard(agent.clone())));
                self.statuses(agent, runs);
            }
            AgentMessage::Status(status) => self.statuses(agent, vec![status]),
            AgentMessage::Goodbye { reason } => {
                tracing::info!(%agent, reason, "agent says good-bye");
                self.fleet.close(agent, session);
            }
        }
    }

    fn statuses(&mut self, agent: &AgentId, statuses: Vec<Status>) {
        for status in statuses {
            let live = self.runs.get(&status.key.run);
            let Some(live) = live.filter(|live| !live.is_done()) else {
                self.end_on(agent, status);
                continue;
            };
            // What was meant for another controller's order.
            let fenced = status.phase == Phase::Refused(Refusal::Fenced)
                && live.key().fence != status.key.fence;
            if live.key().attempt == status.key.attempt && !fenced {
                let (agent, phase) = (agent.clone(), status.phase);
                self.one_run(&status.key.run, run::Input::Status { agent, phase });
            }
        }
    }

    /// Nothing of a run that is over may go on, however late its agent comes back.
    fn end_on(&mut self, agent: &AgentId, status: Status) {
        let order = match status.phase {
            Phase::Unknown | Phase::Refused(_) => return,
            Phase::Prepared | Phase::Armed(_) | Phase::Sealed { .. } | Phase::Stopped => {
                Order::Release
            }
            Phase::Scheduled(_) | Phase::Running(_) | Phase::Draining(_) => {
                Order::Stop(StopMode::Abort)
            }
        };
        self.fleet.send(agent, &status.key, order);
    }

    fn one_run(&mut self, run: &RunId, input: run::Input) {
        let Some(live) = self.runs.get_mut(run) else {
            return;
        };
        let actions = live.handle(input);
        self.perform(run, actions);
    }

    fn each_run(&mut self, input: impl Fn(&RunId) -> Option<run::Input>) {
        let runs: Vec<RunId> = self.runs.keys().cloned().collect();
        for run in runs {
            if let Some(input) = input(&run) {
                self.one_run(&run, input);
            }
        }
    }

    /// What concerns agents; the rest the live run has done itself.
    fn perform(&mut self, run: &RunId, actions: Vec<run::Action>) {
        let Some(live) = self.runs.get(run) else {
            return;
        };
        let key = live.key().clone();
        for action in actions {
            match action {
                run::Action::Send { agent, order } => self.fleet.send(&agent, &key, order),
                run::Action::MeasureClock(agent) => self.fleet.burst(&agent, run),
                run::Action::Journal(_) | run::Action::Judge(_) | run::Action::Ended(_) => {}
            }
        }
    }
}
