//! One simulated agent: the real engine, recorder and outbox around a disk that survives crashes.

use std::collections::{BTreeMap, BTreeSet};

use nepho_agent_core::{
    engine::{Action, Engine, Input},
    outbox::Outbox,
    recorder::{Observation, Phases, Recorder, SEAL_EVERY},
};
use nepho_common::{
    control::{Phase, Status},
    event::{Event, StageEnd, What},
    id::{AgentId, RunId, RunKey, Seq, SpoolId, StageName},
    journal::{Body, Entry, RecordKey},
    recording::{Metric, Outcome},
    time::{ClockEpoch, ClockOffset, Mono, Nanos, RunTime, WallMillis},
};

use crate::{chance::Chance, check::Sabotage, disk::Disk, scene};

/// After this without an acknowledgement the connection is taken for broken.
const RESEND_AFTER: Nanos = Nanos::from_secs(4);

/// What a host and the controller's know of their wall clocks, as a claim on the offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nobody keeps them.
    No,
    /// Within so much to either side, and so much off.
    Within(u64, i64),
    /// They say so, and are a second off: more than any path here hides.
    Lies,
}

/// How often it looks whether its host slept.
const LOOK_EVERY: Nanos = Nanos::from_secs(1);

#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) id: AgentId,
    /// Agent clock minus controller clock.
    pub(crate) offset: i64,
    pub(crate) up: bool,
    pub(crate) boot: u64,
    /// Which stretch between two sleeps of its host it is in.
    pub(crate) epoch: u32,
    /// Its host sleeps until then, on the controller's clock.
    asleep: Option<Mono>,
    /// Its sleeps: (since when, how long), on the controller's clock.
    pub(crate) sleeps: Vec<(Mono, Nanos)>,
    /// It slept so long since it last looked at its clocks, and when that was, on its own.
    unnoticed: Nanos,
    looked: Mono,
    pub(crate) kept: Kept,
    /// What its host says that the time of day is; nothing may depend on it.
    pub(crate) wall: WallMillis,
    pub(crate) spool_id: SpoolId,
    pub(crate) disk: Disk,
    /// The last acknowledgement on disk; may lag behind what was received.
    acked_on_disk: Seq,
    pub(crate) outbox: Outbox,
    engine: Engine,
    work: Option<Work>,
    last_progress: Mono,
    /// Observations made in each stage since the last crash: what the seal has to say.
    pub(crate) truth: BTreeMap<StageName, u64>,
    /// Real start instants, on the controller's clock and on its own.
    pub(crate) starts: BTreeMap<StageName, (Mono, Mono)>,
    /// When each stage was sealed, on the controller's clock.
    pub(crate) seals: BTreeMap<StageName, Mono>,
    sabotage: Sabotage,
}

#[derive(Debug)]
struct Work {
    key: RunKey,
    stage: StageName,
    recorder: Recorder,
    at: Mono,
    at_run: RunTime,
    /// Requests that are due: (when, step, target).
    due: BTreeSet<(Mono, usize, usize)>,
    /// Requests on their way: (when the answer comes, when due, step, target, outcome).
    open: BTreeSet<(Mono, Mono, usize, usize, Outcome)>,
    next_flush: Mono,
    ending: bool,
    began: bool,
}

/// Whether a sleep matters to a run in this phase: its clock was measured, or is about to be.
fn is_begun(phase: &Phase) -> bool {
    matches!(
        phase,
        Phase::Armed(_) | Phase::Scheduled(_) | Phase::Running(_) | Phase::Draining(_)
    )
}

/// What an agent wants to send.
pub(crate) enum Out {
    Status(Status),
    Record(Entry),
}

impl Agent {
    pub(crate) fn new(index: usize, chance: &mut Chance, sabotage: Sabotage) -> Self {
        let mut agent = Self {
            id: scene::agent(index),
            offset: i64::try_from(chance.below(10_000_000_000)).unwrap() - 5_000_000_000,
            up: true,
            boot: 1,
            epoch: 1,
            asleep: None,
            sleeps: Vec::new(),
            unnoticed: Nanos(0),
            looked: Mono(0),
            kept: match chance.below(4) {
                0 => Kept::No,
                1 => Kept::Lies,
                _ => {
                    let within = chance.below(20_000_000);
                    let off = i64::try_from(chance.below(2 * within + 1)).unwrap();
                    Kept::Within(within, off - i64::try_from(within).unwrap())
                }
            },
            wall: WallMillis(0),
            spool_id: SpoolId::new([u8::try_from(index).unwrap(); 16]),
            disk: Disk::new(sabotage),
            acked_on_disk: Seq(0),
            outbox: Outbox::new(Seq(0), Seq(0)),
            engine: scene::engine(),
            work: None,
            last_progress: Mono(0),
            truth: BTreeMap::new(),
            starts: BTreeMap::new(),
            seals: BTreeMap::new(),
            sabotage,
        };
        agent.restart();
        agent
    }

    pub(crate) fn clock(&self, now: Mono) -> Mono {
        now.shifted(self.offset)
    }

    /// Where its offset lies by what the hosts say.
    pub(crate) fn claims(&self) -> Option<ClockOffset> {
        let around = |middle: i64, within: u64| ClockOffset {
            lo: middle.saturating_sub_unsigned(within),
            hi: middle.saturating_add_unsigned(within),
        };
        match self.kept {
            Kept::No => None,
            Kept::Within(within, off) => Some(around(self.offset + off, within)),
            Kept::Lies => Some(around(self.offset + 1_000_000_000, 1_000_000)),
        }
    }

    /// Whether it hears anything: its process runs and its host is awake.
    pub(crate) const fn hears(&self) -> bool {
        self.up && self.asleep.is_none()
    }

    /// Its host goes to sleep: nothing happens there, and its clock stands still.
    pub(crate) fn sleep(&mut self, now: Mono, long: Nanos) {
        self.asleep = Some(now.plus(long));
        self.sleeps.push((now, long));
    }

    fn wake(&mut self, now: Mono) {
        let Some((_, long)) = self
            .sleeps
            .last()
            .filter(|_| self.asleep.is_some_and(|end| end <= now))
        else {
            return;
        };
        let suspended = *long;
        self.asleep = None;
        self.offset -= i64::try_from(suspended.0).unwrap();
        self.unnoticed.0 += suspended.0;
    }

    /// Notices what it slept through; every second, and before it seals anything.
    fn look(&mut self, now: Mono) {
        let mine = self.clock(now);
        let awake = std::mem::replace(&mut self.looked, mine);
        let suspended = std::mem::take(&mut self.unnoticed);
        if suspended == Nanos(0) || self.sabotage == Sabotage::HideSleep {
            return;
        }
        self.epoch += 1;
        let what = What::EpochOpened {
            suspended,
            awake: Some(awake),
        };
        let event = self.event(what, mine);
        // Such a record speaks of no stage, so no seal counts it.
        for status in self.engine.statuses() {
            if is_begun(&status.phase) {
                self.write(&status.key.run, Body::Events(vec![event.clone()]), None);
            }
        }
    }

    pub(crate) fn crash(&mut self, chance: &mut Chance) {
        self.up = false;
        // The cursor is written behind: what was acknowledged last may be forgotten.
        if chance.percent(50) {
            self.acked_on_disk = self.outbox.acked();
        }
        self.asleep = None;
        // The next process takes its clocks as it finds them.
        self.unnoticed = Nanos(0);
        self.disk.crash();
        if let Some(work) = self.work.take() {
            // What was observed and not written is lost, and nobody may count it.
            let written = self.written(&work.stage);
            self.truth.insert(work.stage.clone(), written);
        }
    }

    pub(crate) fn restart(&mut self) {
        self.up = true;
        self.boot += 1;
        self.engine = scene::engine();
        self.work = None;
        self.outbox = Outbox::new(self.acked_on_disk, self.disk.last());
    }

    /// How many requests of this stage are on disk.
    fn written(&self, stage: &StageName) -> u64 {
        let recordings = self.disk.synced.iter().flat_map(|entry| match &entry.body {
            Body::Recordings(all) => all.as_slice(),
            _ => &[],
        });
        let of_stage = recordings
            .filter(|one| one.series.stage == *stage && one.series.metric == Metric::ResponseTime);
        of_stage.map(|one| one.histogram.count()).sum()
    }

    pub(crate) fn statuses(&self) -> Vec<Status> {
        self.engine.statuses()
    }

    pub(crate) fn acknowledged(&mut self, seq: Seq, now: Mono) {
        if self.outbox.acknowledged(seq) {
            self.last_progress = now;
        }
    }

    pub(crate) fn command(&mut self, input: Input, now: Mono) -> Vec<Out> {
        let actions = self.engine.handle(input, self.clock(now));
        self.perform(actions, now)
    }

    /// One millisecond of life.
    pub(crate) fn live(&mut self, now: Mono, chance: &mut Chance) -> Vec<Out> {
        self.wake(now);
        if self.asleep.is_some() {
            return Vec::new();
        }
        if self.clock(now).since(self.looked) >= LOOK_EVERY {
            self.look(now);
        }
        let mut out = self.work(now, chance);
        for input in self.disk.turn(now, chance) {
            out.extend(self.command(input, now));
        }
        self.outbox.wrote(self.disk.sendable());
        let mine = self.clock(now);
        if self.engine.wake().is_some_and(|wake| wake <= mine) {
            let actions = self.engine.handle(Input::Tick, mine);
            out.extend(self.perform(actions, now));
        }
        if self.outbox.owed() > 0 && now.since(self.last_progress) > RESEND_AFTER {
            self.outbox.reconnected();
            self.last_progress = now;
        }
        while let Some(seq) = self.outbox.next_to_send() {
            out.push(Out::Record(self.disk.read(seq).clone()));
        }
        out
    }

    fn perform(&mut self, actions: Vec<Action>, now: Mono) -> Vec<Out> {
        let mut out = Vec::new();
        for action in actions {
            match action {
                Action::Tell(status) => out.push(Out::Status(status)),
                Action::Begin {
                    plan: _,
                    key,
                    stage,
                    at,
                    at_run,
                    resumed,
                } => {
                    let environment = scene::environment(self.id.as_str());
                    let mut due = BTreeSet::new();
                    for (step, assigned) in stage.steps.iter().enumerate() {
                        let Some(probe) = assigned.act.probe() else {
                            continue;
                        };
                        for (index, target) in probe.to.iter().enumerate() {
                            for k in 0..probe.requests(target.offset, stage.lasts) {
                                let into = Nanos(target.offset.0 + k * probe.every.0);
                                due.insert((at.plus(into), step, index));
                            }
                        }
                    }
                    let name = stage.name.clone();
                    if resumed {
                        let mine = self.clock(now);
                        due.retain(|(at, ..)| *at > mine);
                        let written = self.written(&name);
                        self.truth.insert(name.clone(), written);
                    } else {
                        self.truth.insert(name.clone(), 0);
                    }
                    let recorder =
                        Recorder::new(key.clone(), self.id.clone(), environment, stage, at_run);
                    let recorder = if resumed {
                        recorder.resumed(self.disk.next())
                    } else {
                        recorder
                    };
                    let next_flush = at.plus(SEAL_EVERY);
                    self.work = Some(Work {
                        key,
                        stage: name,
                        recorder,
                        at,
                        at_run,
                        due,
                        open: BTreeSet::new(),
                        next_flush,
                        ending: false,
                        began: resumed,
                    });
                }
                Action::StopSending(_) => {
                    if let Some(work) = &mut self.work {
                        work.due.clear();
                        work.ending = true;
                    }
                }
                Action::Cut(_) => {
                    if let Some(work) = &mut self.work {
                        work.due.clear();
                        work.open.clear();
                        work.ending = true;
                    }
                }
                Action::Seal {
                    key,
                    stage,
                    at,
                    how,
                } => {
                    self.seal(&key, &stage, at, how, now);
                }
            }
        }
        out
    }

    fn work(&mut self, now: Mono, chance: &mut Chance) -> Vec<Out> {
        let mine = self.clock(now);
        let Some(work) = &mut self.work else {
            return Vec::new();
        };
        let mut events = Vec::new();
        if !work.began && mine >= work.at {
            work.began = true;
            let (stage, planned) = (work.stage.clone(), work.at);
            self.starts.insert(stage.clone(), (now, mine));
            events.push(What::StageStarted {
                stage,
                planned,
                actual: mine,
            });
        }
        while let Some(&(at, step, target)) = work.due.first().filter(|(at, ..)| *at <= mine) {
            work.due.pop_first();
            let answer = mine.plus(Nanos::from_millis(1 + chance.below(1500)));
            let failed = chance.below(1000) < 2;
            let outcome = if failed {
                Outcome::Refused
            } else {
                Outcome::Success
            };
            work.open.insert((answer, at, step, target, outcome));
        }
        while let Some(&(answer, at, step, target, outcome)) =
            work.open.first().filter(|(answer, ..)| *answer <= mine)
        {
            work.open.pop_first();
            let run_time = |mono: Mono| RunTime(work.at_run.0 + mono.minus(work.at));
            let intended = run_time(at);
            let [sent, done] = [intended, run_time(answer)];
            *self.truth.get_mut(&work.stage).unwrap() += 1;
            if self.sabotage != Sabotage::LoseSamples || !chance.percent(5) {
                work.recorder.observe(Observation {
                    step,
                    target,
                    intended,
                    sent,
                    done,
                    outcome,
                    phases: Phases::default(),
                    certificate: None,
                });
            }
        }
        let flush = mine >= work.next_flush;
        if flush {
            work.next_flush = work.next_flush.plus(SEAL_EVERY);
        }
        let idle = work.ending && work.open.is_empty() && work.due.is_empty();
        let run = work.key.run.clone();
        if !events.is_empty() {
            self.write_events(events, mine);
        }
        if flush {
            self.flush();
        }
        if idle {
            return self.command(Input::WorkersIdle(run), now);
        }
        Vec::new()
    }

    fn seal(&mut self, key: &RunKey, stage: &StageName, at: RunTime, how: StageEnd, now: Mono) {
        self.look(now);
        self.seals.insert(stage.clone(), now);
        self.flush();
        let ended = What::StageEnded {
            stage: stage.clone(),
            at,
            how,
        };
        let mine = self.clock(now);
        self.write_events(vec![ended], mine);
        let Some(work) = self.work.take() else {
            return;
        };
        let then = Input::SealWritten {
            run: key.run.clone(),
            stage: stage.clone(),
            spool: self.spool_id,
            seal: self.disk.next(),
        };
        self.write(&key.run, Body::Seal(work.recorder.seal()), Some(then));
    }

    fn flush(&mut self) {
        let Some(work) = &mut self.work else { return };
        let mut bodies = Vec::new();
        let recordings = work.recorder.flush();
        if !recordings.is_empty() {
            bodies.push(Body::Recordings(recordings));
        }
        let traces = work.recorder.traces();
        if !traces.is_empty() {
            bodies.push(Body::Traces(traces));
        }
        let run = work.key.run.clone();
        bodies
            .iter()
            .for_each(|body| work.recorder.wrote(body.kind()));
        for body in bodies {
            self.write(&run, body, None);
        }
    }

    fn event(&self, what: What, at: Mono) -> Event {
        Event {
            at,
            epoch: ClockEpoch(self.epoch),
            wall: self.wall,
            what,
        }
    }

    fn write_events(&mut self, events: Vec<What>, at: Mono) {
        let events = events
            .into_iter()
            .map(|what| self.event(what, at))
            .collect();
        let Some(work) = &mut self.work else { return };
        let body = Body::Events(events);
        work.recorder.wrote(body.kind());
        let run = work.key.run.clone();
        self.write(&run, body, None);
    }

    /// `then` is what the engine hears when it is on disk.
    fn write(&mut self, run: &RunId, body: Body, then: Option<Input>) {
        let key = RecordKey {
            agent: self.id.clone(),
            spool: self.spool_id,
            seq: self.disk.next(),
        };
        let attempt = nepho_common::id::Attempt(1);
        let entry = Entry {
            key,
            run: run.clone(),
            attempt,
            body,
        };
        self.disk.write(entry, then);
    }
}
