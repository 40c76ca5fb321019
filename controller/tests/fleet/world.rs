//! The controller, the store, the fabric and time.

use std::collections::{BTreeMap, VecDeque};

use nepho_agent_core::engine;
use nepho_common::{
    control::{Command, Phase, Status, StopMode},
    event::{Event, What},
    id::{AgentId, Attempt, Fence, Operation, RunKey, Seq, SpoolId},
    journal::{Body, Entry, RecordKey},
    recording::Exhibit,
    time::{ClockEpoch, ClockOffset, Exchange, Mono, Nanos, WallMillis},
};
use nepho_controller_core::{
    clock::{Estimate, Told},
    report::{self, Verdict, render::Lang, rollup},
    run::{self, Action, Participant, Run},
};

use crate::{
    agent::{Agent, Out},
    chance::Chance,
    check::Sabotage,
    scene,
};

/// Nothing that is played takes longer than this.
pub(crate) const END: Nanos = Nanos::from_secs(400);
const STEP: Nanos = Nanos::from_millis(1);
/// When the world begins, on the controller's clock.
pub(crate) const BEGIN: Mono = Mono(1_000_000_000_000);

#[derive(Debug, Clone)]
pub(crate) enum Message {
    Command(Command),
    Ping {
        t1: Mono,
    },
    Pong {
        t1: Mono,
        t2: Mono,
        boot: u64,
        epoch: u32,
        claimed: Option<ClockOffset>,
        statuses: Vec<Status>,
    },
    Status {
        boot: u64,
        status: Status,
    },
    Record(Entry),
    Ack(Seq),
}

/// What the fabric did to messages.
#[derive(Debug, Default)]
pub(crate) struct Fabric {
    pub(crate) dropped: u32,
    pub(crate) repeated: u32,
    pub(crate) reordered: u32,
    /// The latest that arrived.
    latest: u64,
}

/// Everything of one seed.
pub(crate) struct World {
    pub(crate) agents: Vec<Agent>,
    /// What the store has, agents' and controller's, and how often each was counted.
    pub(crate) store: BTreeMap<RecordKey, (Entry, u32)>,
    pub(crate) run: Run,
    pub(crate) now: Mono,
    pub(crate) crashes: u32,
    pub(crate) stopped: bool,
    /// Changes of the time of day, ours and the agents'.
    pub(crate) stepped: u32,
    pub(crate) fabric: Fabric,
    pub(crate) verdict: Verdict,
    pub(crate) chance: Chance,
    sabotage: Sabotage,
    loss: u64,
    pub(crate) wire: BTreeMap<(Mono, u64), (usize, Message)>,
    sent: u64,
    pub(crate) clocks: Vec<Estimate>,
    /// Answers still wanted for a burst.
    pub(crate) bursts: Vec<u32>,
    pub(crate) boots: Vec<u64>,
    epochs: Vec<u32>,
    wall: WallMillis,
    next_seq: Seq,
    /// What the controller said and has not committed yet, and when it will be.
    pub(crate) unwritten: VecDeque<(Mono, Event)>,
    /// Until when the controller is down.
    pub(crate) away: Option<Mono>,
    pub(crate) restarts: u32,
    /// Who named its runs to the present controller.
    pub(crate) greeted: Vec<bool>,
}

/// Plays one seed to its end.
pub(crate) fn play(seed: u64, sabotage: Sabotage) -> World {
    let mut world = World::new(seed, sabotage);
    while world.now.since(BEGIN) < END {
        world.step();
        let quiet = world
            .agents
            .iter()
            .all(|agent| agent.hears() && agent.outbox.owed() == 0 && agent.disk.is_idle());
        let written = world.unwritten.is_empty() && world.away.is_none();
        if world.run.is_over() && quiet && world.wire.is_empty() && written {
            break;
        }
    }
    let report = report::report(world.entries(), Vec::new());
    let (rest, rolled) = rollup::roll_up(world.entries());
    // Whatever happened: what was rolled up says the same, or that it takes the records.
    if let Some(found) = report::report_rolled(Lang::En, rest, Vec::new(), rolled) {
        assert_eq!(found, report, "seed {seed}");
    }
    world.verdict = report.verdict;
    world
}

impl World {
    fn new(seed: u64, sabotage: Sabotage) -> Self {
        let mut chance = Chance::new(seed);
        let agents: Vec<_> = (0..scene::AGENTS.len())
            .map(|i| Agent::new(i, &mut chance, sabotage))
            .collect();
        let key = RunKey {
            run: "sim".parse().unwrap(),
            attempt: Attempt(1),
            fence: Fence(1),
        };
        let participant = |agent: &Agent| {
            let environment = scene::environment(agent.id.as_str());
            let features = scene::features();
            (
                agent.id.clone(),
                Participant {
                    environment,
                    host: scene::host(),
                    features,
                },
            )
        };
        let participants = agents.iter().map(participant).collect();
        let plan = scene::plan(seed);
        let exhibit = Exhibit::new(
            Operation::try_from("plan".to_owned()).unwrap(),
            plan.canonical(),
        );
        let now = BEGIN;
        let (run, actions) = Run::begin(key, plan, scene::host(), &participants, now);
        let loss = [0, 2, 10][usize::try_from(chance.below(3)).unwrap()];
        let mut world = Self {
            clocks: vec![Estimate::default(); agents.len()],
            bursts: vec![0; agents.len()],
            boots: agents.iter().map(|agent| agent.boot).collect(),
            epochs: vec![1; agents.len()],
            agents,
            store: BTreeMap::new(),
            run,
            now,
            crashes: 0,
            stopped: false,
            stepped: 0,
            fabric: Fabric::default(),
            verdict: Verdict::Error,
            chance,
            sabotage,
            loss,
            wire: BTreeMap::new(),
            sent: 0,
            wall: WallMillis(0),
            next_seq: Seq(1),
            unwritten: VecDeque::new(),
            away: None,
            restarts: 0,
            greeted: vec![true; scene::AGENTS.len()],
        };
        world.keep(Body::Exhibits(vec![exhibit.unwrap()]));
        world.perform(actions);
        // A run whose beginning is not committed is not taken up.
        world.commit(true);
        world
    }

    fn step(&mut self) {
        self.now = self.now.plus(STEP);
        let into = self.now.since(BEGIN).0 / 1_000_000;
        while let Some((&at, _)) = self
            .wire
            .first_key_value()
            .filter(|((at, _), _)| *at <= self.now)
        {
            let (agent, message) = self.wire.remove(&at).unwrap();
            self.fabric.reordered += u32::from(at.1 < self.fabric.latest);
            self.fabric.latest = self.fabric.latest.max(at.1);
            self.deliver(agent, message);
        }
        for index in 0..self.agents.len() {
            if self.agents[index].up {
                let out = self.agents[index].live(self.now, &mut self.chance);
                self.post(index, out);
            }
        }
        if self.away.is_some_and(|until| self.now >= until) {
            self.come_back();
        }
        self.commit(false);
        let here = self.away.is_none();
        if here && into.is_multiple_of(200) {
            self.input(run::Input::Tick);
        }
        if here && into.is_multiple_of(2000) {
            (0..self.agents.len()).for_each(|agent| self.ping(agent));
        }
        if into.is_multiple_of(500) {
            self.trouble(into);
        }
    }

    /// Every half second something may happen to an agent, or the operator may lose patience.
    fn trouble(&mut self, into: u64) {
        for index in 0..self.agents.len() {
            let up = self.agents[index].up;
            if self.agents[index].hears() && into < 60_000 && self.loss > 0 {
                self.strain(index);
            }
            // After two minutes everything stays up, so that everything can arrive.
            if up && into < 60_000 && self.loss > 0 && self.chance.below(1000) < 5 {
                self.agents[index].crash(&mut self.chance);
                self.crashes += 1;
            } else if !up && (self.chance.percent(4) || into > 120_000) {
                self.agents[index].restart();
                self.ping(index);
            }
        }
        let may_die = self.loss > 0 && into < 60_000 && self.away.is_none();
        if may_die && !self.run.is_over() && self.chance.below(1000) < 8 {
            self.crash_controller();
        }
        if into > 5_000 && self.away.is_none() && !self.stopped && self.chance.below(2000) < 3 {
            self.stopped = true;
            let abort = self.chance.percent(50);
            let mode = if abort {
                StopMode::Abort
            } else {
                StopMode::Stop
            };
            self.input(run::Input::Stop {
                mode,
                by: "chance".to_owned(),
            });
        }
    }

    /// A host sleeps, runs out of disk, or changes its idea of the time of day.
    fn strain(&mut self, index: usize) {
        let agent = &mut self.agents[index];
        match self.chance.below(1000) {
            0..4 => {
                let long = Nanos::from_millis(200 + self.chance.below(20_000));
                agent.sleep(self.now, long);
            }
            4..10 => {
                let long = Nanos::from_millis(500 + self.chance.below(30_000));
                agent.disk.fill(self.now.plus(long));
            }
            10..15 => {
                let hour = i64::try_from(self.chance.below(7_200_000)).unwrap() - 3_600_000;
                agent.wall = WallMillis(agent.wall.0 + hour);
                self.wall = WallMillis(self.wall.0 - hour);
                self.stepped += 1;
            }
            _ => {}
        }
    }

    fn ping(&mut self, agent: usize) {
        let t1 = self.now;
        self.send(agent, Message::Ping { t1 });
    }

    /// The fabric: a millisecond to a fifth of a second, sometimes twice, sometimes never.
    fn send(&mut self, agent: usize, message: Message) {
        if self.away.is_some() {
            return;
        }
        let copies = if self.chance.percent(self.loss) {
            self.fabric.dropped += 1;
            0
        } else if self.chance.percent(self.loss) {
            self.fabric.repeated += 1;
            2
        } else {
            1
        };
        for _ in 0..copies {
            let delay = Nanos::from_millis(1 + self.chance.below(200));
            self.sent += 1;
            self.wire
                .insert((self.now.plus(delay), self.sent), (agent, message.clone()));
        }
    }

    fn post(&mut self, agent: usize, out: Vec<Out>) {
        let boot = self.agents[agent].boot;
        for out in out {
            match out {
                Out::Status(status) => self.send(agent, Message::Status { boot, status }),
                Out::Record(entry) => self.send(agent, Message::Record(entry)),
            }
        }
    }

    fn deliver(&mut self, index: usize, message: Message) {
        match message {
            Message::Command(command) if self.agents[index].hears() => {
                let input = engine::Input::Command(command);
                let out = self.agents[index].command(input, self.now);
                self.post(index, out);
            }
            Message::Ping { t1 } if self.agents[index].hears() => {
                let agent = &self.agents[index];
                let (t2, boot, epoch) = (agent.clock(self.now), agent.boot, agent.epoch);
                let (statuses, claimed) = (agent.statuses(), agent.claims());
                self.send(
                    index,
                    Message::Pong {
                        t1,
                        t2,
                        boot,
                        epoch,
                        claimed,
                        statuses,
                    },
                );
            }
            Message::Ack(seq) if self.agents[index].hears() => {
                self.agents[index].acknowledged(seq, self.now);
            }
            Message::Command(_) | Message::Ping { .. } | Message::Ack(_) => {}
            Message::Pong {
                t1,
                t2,
                boot,
                epoch,
                claimed,
                statuses,
            } => {
                // A stream keeps its order: nothing of an epoch comes after the next one's.
                if self.is_news(index, boot) && epoch >= self.epochs[index] {
                    self.epochs[index] = epoch;
                    self.pong(index, (t1, t2), claimed, statuses);
                }
            }
            Message::Status { boot, status } => {
                if self.is_news(index, boot) {
                    self.status(index, status);
                }
            }
            Message::Record(entry) => self.record(index, entry),
        }
    }

    /// The driver knows sessions: what an older process said is not heard any more.
    fn is_news(&mut self, index: usize, boot: u64) -> bool {
        let known = self.boots[index];
        if boot > known {
            self.boots[index] = boot;
            let agent = self.agents[index].id.clone();
            let owes = run::Input::Owes {
                agent: agent.clone(),
                spool: self.agents[index].spool_id,
                seq: self.agents[index].disk.last(),
            };
            self.input(owes);
            self.input(run::Input::Connected {
                agent,
                // A controller that is new itself knows of no earlier process.
                restarted: known > 0,
            });
        }
        boot >= known
    }

    fn pong(
        &mut self,
        index: usize,
        (t1, t2): (Mono, Mono),
        claimed: Option<ClockOffset>,
        statuses: Vec<Status>,
    ) {
        let exchange = Exchange {
            t1,
            t2,
            t3: t2,
            t4: self.now,
        };
        let told = self.clocks[index].note(exchange, ClockEpoch(self.epochs[index]));
        let agent = self.agents[index].id.clone();
        let hidden = self.sabotage == Sabotage::HideSleep;
        if let (Told::Contradicts(jump), false) = (told, hidden) {
            self.input(run::Input::ClockDisturbed(agent.clone(), jump));
        }
        if let Some(measured) = self.clocks[index].note_hosts(claimed, self.now) {
            self.input(run::Input::HostClockRejected {
                agent: agent.clone(),
                claimed: claimed.unwrap(),
                measured,
            });
        }
        self.input(run::Input::Heard(agent.clone()));
        if self.bursts[index] > 0 {
            self.bursts[index] -= 1;
            if self.bursts[index] == 0 {
                let reading = self.clocks[index].read(self.now).unwrap();
                self.input(run::Input::Clock { agent, reading });
            } else {
                self.ping(index);
            }
        }
        let knows = !statuses.is_empty();
        statuses
            .into_iter()
            .for_each(|status| self.status(index, status));
        self.greet(index, knows);
    }

    fn status(&mut self, index: usize, status: Status) {
        let agent = self.agents[index].id.clone();
        let phase: Phase = status.phase;
        self.input(run::Input::Status { agent, phase });
    }

    fn record(&mut self, index: usize, entry: Entry) {
        let lost = self.sabotage == Sabotage::AckBeforeStore && self.chance.percent(5);
        let key = entry.key.clone();
        if !lost {
            let (_, times) = self.store.entry(key.clone()).or_insert((entry, 0));
            if *times == 0 || self.sabotage == Sabotage::StoreTwice {
                *times += 1;
            }
        }
        if self.sabotage == Sabotage::Invent && self.chance.percent(5) {
            let invented = RecordKey {
                seq: Seq(key.seq.0 + 1_000_000),
                ..key.clone()
            };
            let (entry, _) = self.store[&key].clone();
            self.store.insert(
                invented.clone(),
                (
                    Entry {
                        key: invented,
                        ..entry
                    },
                    1,
                ),
            );
        }
        let seq = if self.sabotage == Sabotage::AckBeforeStore {
            key.seq
        } else {
            self.durable(&key.agent, key.spool)
        };
        let (agent, spool) = (key.agent, key.spool);
        self.send(index, Message::Ack(seq));
        self.input(run::Input::Durable { agent, spool, seq });
    }

    pub(crate) fn durable(&self, agent: &AgentId, spool: SpoolId) -> Seq {
        let mut seq = Seq(0);
        let key = |seq| RecordKey {
            agent: agent.clone(),
            spool,
            seq,
        };
        while self.store.contains_key(&key(seq.next())) {
            seq = seq.next();
        }
        seq
    }

    pub(crate) fn input(&mut self, input: run::Input) {
        let actions = self.run.handle(input, self.now);
        self.perform(actions);
    }

    pub(crate) fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { agent, order } => {
                    let index = self.agents.iter().position(|a| a.id == agent).unwrap();
                    let key = self.run.key().clone();
                    self.send(index, Message::Command(Command { key, order }));
                }
                Action::Journal(what) => {
                    let wall = self.wall;
                    let event = Event {
                        at: self.now,
                        epoch: ClockEpoch(0),
                        wall,
                        what,
                    };
                    self.write(event);
                }
                Action::MeasureClock(agent) => {
                    let index = self.agents.iter().position(|a| a.id == agent).unwrap();
                    self.bursts[index] = 4;
                    self.ping(index);
                }
                Action::Judge(stage) => {
                    self.commit(true);
                    let passed = report::judge_stage(self.entries(), &stage) == Verdict::Pass;
                    self.input(run::Input::Judged { stage, passed });
                }
                Action::Ended(_) => {}
            }
        }
    }

    pub(crate) fn keep(&mut self, body: Body) {
        let agent = AgentId::controller();
        let key = RecordKey {
            agent,
            spool: SpoolId::new([255; 16]),
            seq: self.next_seq,
        };
        self.next_seq = self.next_seq.next();
        let run = self.run.key().run.clone();
        let entry = Entry {
            key: key.clone(),
            run,
            attempt: Attempt(1),
            body,
        };
        self.store.insert(key, (entry, 1));
    }

    /// How many sleeps of hosts agents told in the journal.
    pub(crate) fn sleeps_told(&self) -> usize {
        let told = |event: &Event| matches!(event.what, What::EpochOpened { .. });
        self.store
            .values()
            .map(|(entry, _)| match &entry.body {
                Body::Events(events) => events.iter().filter(|event| told(event)).count(),
                _ => 0,
            })
            .sum()
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.store
            .values()
            .map(|(entry, _)| entry.clone())
            .collect()
    }

    /// What the controller said, in its order.
    pub(crate) fn journal(&self) -> Vec<&What> {
        let own = self
            .store
            .iter()
            .filter(|(key, _)| key.agent.is_controller());
        own.flat_map(|(_, (entry, _))| match &entry.body {
            Body::Events(events) => events.iter().map(|event| &event.what).collect(),
            _ => Vec::new(),
        })
        .collect()
    }
}
