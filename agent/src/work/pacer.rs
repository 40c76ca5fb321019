//! The task of a stage: fires what is due, waits for what is open.

use std::{collections::BTreeMap, io, sync::Arc};

use nepho_agent_core::recorder::Observation;
use nepho_common::{
    event::{LoadEnd, Subject, What},
    id::{Operation, PlanId, RunId, StageName},
    plan::{Act, AssignedStage},
    recording::Outcome,
    time::{Mono, Nanos, RunTime},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    Seen, Sighting,
    guard::Guard,
    load::{Ended, Loading},
    probe::{Answer, Asker, Cause, Clue, Question},
    slots::{Due, Slot, Slots},
    watch::Watching,
};
use crate::{chain::Chain, clock, clock::Alarm, hold};

/// A time-out that is noticed later than this says nothing of the target: a timer of ours is late by
/// milliseconds, on a host that is overloaded by tens of them.
const STOOD_STILL: Nanos = Nanos::from_millis(500);

/// What the workers of a stage are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Send what is due.
    Send,
    /// Send nothing new, wait for answers.
    Drain,
    /// Cut what is open.
    Cut,
}

/// A stage and its start.
#[derive(Debug, Clone)]
pub struct Job {
    /// The run.
    pub run: RunId,
    /// Its plan.
    pub plan: PlanId,
    /// What is asked.
    pub stage: AssignedStage,
    /// Its start on this host's clock.
    pub at: Mono,
    /// The same instant in run time.
    pub at_run: RunTime,
    /// An earlier process began it: what was due until now is neither sent nor counted.
    pub resumed: bool,
    /// Stands before every connection.
    pub guard: Guard,
    /// When the controller was last heard: loads end when it is silent for too long.
    pub heard: watch::Receiver<Mono>,
}

/// Which stage a sighting is of.
#[derive(Clone)]
struct Whose {
    run: RunId,
    stage: StageName,
}

impl Whose {
    fn saw(self, seen: Seen) -> Sighting {
        let Self { run, stage } = self;
        Sighting { run, stage, seen }
    }
}

/// Runs a stage until it was told to end and everything that is open has ended.
///
/// # Errors
/// The process is out of file handles: there is no alarm.
pub async fn run(
    job: Job,
    mut mode: watch::Receiver<Mode>,
    seen: mpsc::Sender<Sighting>,
) -> io::Result<()> {
    let mut alarm = Alarm::new()?;
    let resumed = job.resumed;
    let mut watching = watches(&job, &mode, &seen);
    let mut loading = loads(&job, &mode, &seen);
    let mut pacer = Pacer::new(job, mode.clone(), seen).await;
    let (at, mut is_begun) = (pacer.at, resumed);
    if resumed {
        // What fell due while nobody was here is missing from the plan's count; it was not late.
        drop(pacer.slots.due(clock::now()));
    }
    loop {
        let next = if is_begun {
            pacer.slots.next()
        } else {
            Some(at)
        };
        let rings = async {
            match next {
                Some(next) => alarm.until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // An end that has come beats a request that is due at the same instant.
            biased;
            now = ended(&mut mode) => {
                pacer.last(now).await;
                break;
            }
            rang = rings => rang?,
        }
        let now = clock::now();
        let due = pacer.slots.due(now);
        if is_begun {
            pacer.fire(due, None).await;
        } else {
            is_begun = true;
            pacer.begin(due, now).await;
        }
    }
    while pacer.open.join_next().await.is_some() {}
    while watching.join_next().await.is_some() {}
    while loading.join_next().await.is_some() {}
    pacer.tell(Seen::Idle).await;
    Ok(())
}

/// A task for each step that watches this host.
fn watches(job: &Job, mode: &watch::Receiver<Mode>, seen: &mpsc::Sender<Sighting>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for step in &job.stage.steps {
        let Act::Watch(watch) = &step.act else {
            continue;
        };
        let watching = Watching {
            stage: job.stage.name.clone(),
            step: step.name.clone(),
            watch: watch.clone(),
            at: job.at,
            at_run: job.at_run,
            lasts: job.stage.lasts,
            guard: job.guard.clone(),
        };
        let (seen, mode) = (seen.clone(), mode.clone());
        let from = Whose {
            run: job.run.clone(),
            stage: job.stage.name.clone(),
        };
        tasks.spawn(watching.run(mode, move |look| {
            let (seen, from) = (seen.clone(), from.clone());
            async move {
                let noted = look
                    .events
                    .into_iter()
                    .map(|what| Seen::Noted(Box::new(what)));
                for one in noted.chain([Seen::Read(look.gauges)]) {
                    // Nobody listens only when the agent ends.
                    drop(seen.send(from.clone().saw(one)).await);
                }
            }
        }));
    }
    tasks
}

/// A task for each share of each load.
fn loads(job: &Job, mode: &watch::Receiver<Mode>, seen: &mpsc::Sender<Sighting>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for one in Loading::all(&job.stage, job.at, &job.guard) {
        let (seen, mode, heard) = (seen.clone(), mode.clone(), job.heard.clone());
        let (run, stage) = (job.run.clone(), job.stage.name.clone());
        let (step, share) = (one.step, one.share);
        let name = job.stage.steps.get(step).map(|step| step.name.clone());
        let (at, at_run) = (job.at, job.at_run);
        tasks.spawn(async move {
            let whose = Whose { run, stage };
            let tell = |counted| {
                let counted = Box::new(counted);
                let loaded = Seen::Loaded {
                    step,
                    share,
                    counted,
                };
                let (seen, loaded) = (seen.clone(), whose.clone().saw(loaded));
                // Nobody listens only when the agent ends.
                async move { drop(seen.send(loaded).await) }
            };
            let why = match one.run(mode, heard, tell).await {
                Ok(Ended::AsTold) => return,
                Ok(Ended::Unheard(silence)) => LoadEnd::Unheard(silence),
                Err(error) => LoadEnd::Unable(Chain(&error).to_string()),
            };
            let Whose { run, stage } = &whose;
            tracing::error!(%run, %stage, ?why, "a load ended before its time");
            let into = clock::now().since(at);
            if let Some(step) = name {
                let ended = What::LoadEnded {
                    stage: stage.clone(),
                    step,
                    at: at_run.plus(into),
                    why,
                };
                drop(seen.send(whose.saw(Seen::Noted(Box::new(ended)))).await);
            }
        });
    }
    tasks
}

/// Comes back when nothing new is to be sent any more; a driver that is gone wants that too.
async fn ended(mode: &mut watch::Receiver<Mode>) -> Mode {
    mode.wait_for(|mode| *mode > Mode::Send)
        .await
        .map_or(Mode::Cut, |mode| *mode)
}

struct Pacer {
    from: Whose,
    at: Mono,
    at_run: RunTime,
    slots: Slots,
    asker: Asker,
    steps: Vec<Step>,
    /// How many requests of a target are open.
    in_flight: BTreeMap<(usize, usize), usize>,
    open: JoinSet<(usize, usize)>,
    mode: watch::Receiver<Mode>,
    seen: mpsc::Sender<Sighting>,
}

#[derive(Default)]
struct Step {
    timeout: Nanos,
    /// More requests of one target than this are open only if our own deadlines fail.
    in_flight_max: usize,
    questions: Vec<Arc<Question>>,
    /// The targets, in the order of the questions.
    of: Vec<Subject>,
}

impl Pacer {
    async fn new(job: Job, mode: watch::Receiver<Mode>, seen: mpsc::Sender<Sighting>) -> Self {
        let steps: Vec<_> = job
            .stage
            .steps
            .iter()
            .map(|step| {
                let Some(probe) = step.act.probe() else {
                    // Its place counts, and nothing of it is ever due.
                    return Step::default();
                };
                let subject = |to| Subject {
                    stage: job.stage.name.clone(),
                    step: step.name.clone(),
                    to,
                };
                let ask = |check| Arc::new(Question::new(check, &job.guard));
                let overlapping = probe.timeout.0.div_ceil(probe.every.0.max(1));
                Step {
                    timeout: probe.timeout,
                    // One that has just begun, and one that was sent late by up to `every`.
                    in_flight_max: usize::try_from(overlapping + 2).unwrap_or(usize::MAX),
                    questions: probe.to.iter().map(|target| ask(&target.check)).collect(),
                    of: probe
                        .to
                        .iter()
                        .map(|target| subject(target.to.clone()))
                        .collect(),
                }
            })
            .collect();
        let questions = || steps.iter().flat_map(|step| &step.questions);
        for why in questions().filter_map(|question| question.unusable()) {
            tracing::error!(run = %job.run, plan = %job.plan, stage = %job.stage.name, why, "a request can't be made");
        }
        let cause = Cause {
            run: job.run.clone(),
            plan: job.plan,
            stage: job.stage.name.clone(),
        };
        let each = questions().map(AsRef::as_ref);
        let asker = Asker::ready_for(each, job.guard.clone(), cause).await;
        Self {
            slots: Slots::new(&job.stage, job.at),
            from: Whose {
                run: job.run,
                stage: job.stage.name,
            },
            at: job.at,
            at_run: job.at_run,
            asker,
            steps,
            in_flight: BTreeMap::new(),
            open: JoinSet::new(),
            mode,
            seen,
        }
    }

    /// The stage begins: the first request that is due at its very start says when it was sent.
    /// Without one, the instant at which the alarm rang is said; a first request that is due later,
    /// by its offset, tells nothing of the start.
    async fn begin(&mut self, due: Due, rang: Mono) {
        let at = self.at;
        let first = due.send.iter().position(|slot| slot.intended == at);
        if first.is_none() {
            let started = Seen::Started {
                planned: at,
                actual: rang,
            };
            self.tell(started).await;
        }
        self.fire(due, first).await;
    }

    async fn fire(&mut self, due: Due, first: Option<usize>) {
        while let Some(done) = self.open.try_join_next() {
            self.is_over(done);
        }
        let Due { send, mut missed } = due;
        let any = !send.is_empty();
        for (place, slot) in send.into_iter().enumerate() {
            let step = &self.steps[slot.step];
            let open = self.in_flight.entry((slot.step, slot.target)).or_default();
            if *open >= step.in_flight_max {
                missed.push((slot.step, clock::now().since(slot.intended)));
                continue;
            }
            *open += 1;
            let request = Request {
                slot,
                of: step.of[slot.target].clone(),
                from: self.from.clone(),
                since: (self.at, self.at_run),
                timeout: step.timeout,
                question: Arc::clone(&step.questions[slot.target]),
                asker: self.asker.clone(),
                is_first: first == Some(place),
            };
            self.open
                .spawn(request.make(self.mode.clone(), self.seen.clone()));
        }
        if any {
            hold::at("stage.running").await;
        }
        if !missed.is_empty() {
            self.tell(Seen::Missed(missed)).await;
        }
    }

    /// The end came: what was due before it is still sent, or counted when it is cut.
    async fn last(&mut self, mode: Mode) {
        let mut due = self.slots.due(clock::now());
        if mode == Mode::Cut {
            let cut = due.send.drain(..);
            let late = |slot: Slot| (slot.step, clock::now().since(slot.intended));
            due.missed.extend(cut.map(late));
        }
        self.fire(due, None).await;
    }

    fn is_over(&mut self, done: Result<(usize, usize), tokio::task::JoinError>) {
        // A task that panicked keeps its place: that can only be a bug, and the bound holds.
        if let Some(open) = done.ok().and_then(|place| self.in_flight.get_mut(&place)) {
            *open -= 1;
        }
    }

    async fn tell(&self, seen: Seen) {
        // Nobody listens only when the agent ends.
        drop(self.seen.send(self.from.clone().saw(seen)).await);
    }
}

/// One request on its way.
struct Request {
    slot: Slot,
    of: Subject,
    from: Whose,
    since: (Mono, RunTime),
    timeout: Nanos,
    question: Arc<Question>,
    asker: Asker,
    /// It shows when the stage really began.
    is_first: bool,
}

impl Request {
    async fn make(
        self,
        mut mode: watch::Receiver<Mode>,
        seen: mpsc::Sender<Sighting>,
    ) -> (usize, usize) {
        let sent = clock::now();
        if self.is_first {
            let started = Seen::Started {
                planned: self.since.0,
                actual: sent,
            };
            // Nobody listens only when the agent ends.
            drop(seen.send(self.from.clone().saw(started)).await);
        }
        let answer = tokio::select! {
            biased;
            answer = self.asker.ask(&self.question, self.timeout) => answer,
            // Cut by us, so it says nothing of the target.
            _ = mode.wait_for(|mode| *mode == Mode::Cut) => Answer::none(Outcome::OurSide),
        };
        let done = clock::now();
        let outcome = match answer.outcome {
            // The process stood still: the answer may have come in time, and nobody looked.
            Outcome::Timeout
                if done.since(sent) > Nanos(self.timeout.0.saturating_add(STOOD_STILL.0)) =>
            {
                Outcome::OurSide
            }
            known => known,
        };
        let run_time = |at: Mono| {
            let (start, start_run) = self.since;
            RunTime(start_run.0.saturating_add(at.minus(start)))
        };
        let observation = Observation {
            step: self.slot.step,
            target: self.slot.target,
            intended: run_time(self.slot.intended),
            sent: run_time(sent),
            done: run_time(done),
            outcome,
            phases: answer.phases,
            certificate: answer.certificate,
        };
        // Nobody listens only when the agent ends.
        drop(
            seen.send(self.from.clone().saw(Seen::Ended(observation)))
                .await,
        );
        self.note(
            observation.intended,
            outcome,
            answer.clue,
            answer.version,
            &seen,
        )
        .await;
        (self.slot.step, self.slot.target)
    }

    /// Tells what is new about the target, after the request was stamped: looking closer takes time.
    async fn note(
        &self,
        at: RunTime,
        outcome: Outcome,
        clue: Option<Box<Clue>>,
        version: Option<Operation>,
        seen: &mpsc::Sender<Sighting>,
    ) {
        let mut news = Vec::new();
        if let Some(value) = version {
            let name = Operation::try_from("version".to_owned()).expect("a plain word");
            news.push(What::FactSeen {
                of: self.of.clone(),
                at,
                name,
                value,
            });
        }
        // What we did ourselves says nothing of the target.
        if let Some(clue) = clue.filter(|_| outcome != Outcome::OurSide) {
            news.push(What::SymptomSeen {
                of: self.of.clone(),
                at,
                outcome,
                symptom: clue.symptom(outcome, &self.of.to.service).await,
            });
        }
        for what in news {
            // Nobody listens only when the agent ends.
            drop(
                seen.send(self.from.clone().saw(Seen::Noted(Box::new(what))))
                    .await,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::work::slots::tests::{http, stage};

    struct Stage {
        mode: watch::Sender<Mode>,
        seen: mpsc::Receiver<Sighting>,
        at: Mono,
        /// Takes connections and never answers.
        _target: TcpListener,
    }

    async fn start(lasts: u64, every: u64) -> Stage {
        let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let check = http(target.local_addr().unwrap().port());
        let [lasts, every] = [lasts, every].map(Nanos::from_millis);
        let at = clock::now().plus(Nanos::from_millis(20));
        let job = Job {
            run: "r".parse().unwrap(),
            plan: PlanId(nepho_common::id::Digest::of(b"")),
            stage: stage(lasts, every, vec![(check, Nanos(0))]),
            at,
            at_run: RunTime(0),
            resumed: false,
            guard: Guard::new(nepho_common::policy::Policy::careful(), Vec::new()),
            heard: watch::channel(at).1,
        };
        let (mode, watched) = watch::channel(Mode::Send);
        let (sender, seen) = mpsc::channel(64);
        tokio::spawn(run(job, watched, sender));
        Stage {
            mode,
            seen,
            at,
            _target: target,
        }
    }

    impl Stage {
        async fn until_idle(&mut self) -> Vec<Observation> {
            let mut ended = Vec::new();
            loop {
                match self.seen.recv().await.unwrap().seen {
                    Seen::Started { planned, actual } => {
                        assert!(planned == self.at && actual >= planned);
                    }
                    Seen::Ended(observation) => ended.push(observation),
                    Seen::Missed(missed) => panic!("missed {missed:?}"),
                    Seen::Noted(_) => {}
                    Seen::Read(read) => panic!("nothing is watched: {read:?}"),
                    Seen::Loaded { .. } => panic!("nothing is loaded"),
                    Seen::Idle => return ended,
                }
            }
        }
    }

    #[tokio::test]
    async fn answers_that_never_come_delay_no_request() {
        let mut stage = start(300, 50).await;
        let mut alarm = Alarm::new().unwrap();
        alarm
            .until(stage.at.plus(Nanos::from_millis(320)))
            .await
            .unwrap();
        stage.mode.send_replace(Mode::Drain);
        let mut ended = stage.until_idle().await;
        ended.sort_by_key(|observation| observation.intended);
        let intended: Vec<_> = ended.iter().map(|o| o.intended.0 / 1_000_000).collect();
        assert_eq!(intended, [0, 50, 100, 150, 200, 250]);
        for observation in ended {
            assert_eq!(observation.outcome, Outcome::Timeout);
            let lag = observation.sent.since(observation.intended);
            println!("send lag {lag}");
            assert!(observation.done.since(observation.sent) >= Nanos::from_secs(1));
        }
    }

    #[tokio::test]
    async fn a_cut_ends_what_is_open_at_once_and_says_that_it_was_us() {
        let mut stage = start(60_000, 30_000).await;
        let first = stage.seen.recv().await.unwrap();
        assert!(matches!(first.seen, Seen::Started { .. }));
        // The request is on its way when the stage has begun and this task runs again.
        let mut alarm = Alarm::new().unwrap();
        alarm
            .until(stage.at.plus(Nanos::from_millis(50)))
            .await
            .unwrap();
        stage.mode.send_replace(Mode::Cut);
        let ended = stage.until_idle().await;
        let outcomes: Vec<_> = ended.iter().map(|o| o.outcome).collect();
        assert_eq!(outcomes, [Outcome::OurSide]);
        assert!(ended[0].done.since(ended[0].sent) < Nanos::from_secs(1));
    }
}
