//! Writes a run's own events, judges its stages, makes its report: one task for each run, so that
//! the driver never waits for the store, and a stage is judged after everything that was said
//! before.

use nepho_common::{
    event::{Event, What},
    id::{AgentId, RunKey, Seq, SpoolId, StageName},
    journal::{Body, Entry, FORMAT, Record, RecordKey},
    recording::Exhibit,
    time::ClockEpoch,
};
use nepho_controller_core::report::{self, Report, Revisions, Unread, Verdict, render::Lang};
use nepho_proto::journal::{Reader, payload, version};
use tokio::sync::mpsc;
use tracing::{error, info};

use crate::{
    clock,
    driver::Input,
    hold,
    journal::{Ending, Kept, Made, RunState, Store, StoreError},
};

/// What the driver asks of a scribe, in this order.
#[derive(Debug)]
pub enum Task {
    /// Write these down, as one: they are in the journal together or not at all. Then say so with
    /// this number.
    Write(Vec<Event>, u64),
    /// Judge this stage.
    Judge(StageName),
    /// Make the report; nothing comes after.
    Report,
}

/// Tasks waiting for one scribe. A run makes some dozens of events in all.
pub const TASKS_MAX: usize = 1024;

/// Stretches of records that one event names: with their names some 100 kB.
const RANGES_MAX: usize = 4096;

/// The writer of one run's controller records.
#[derive(Debug)]
pub struct Scribe {
    store: Store,
    key: RunKey,
    spool: SpoolId,
    next: Seq,
}

impl Scribe {
    /// A scribe with a spool of its own.
    #[must_use]
    pub const fn new(store: Store, key: RunKey, spool: SpoolId) -> Self {
        Self {
            store,
            key,
            spool,
            next: Seq(1),
        }
    }

    /// A scribe that goes on in a spool which ends before `next`.
    #[must_use]
    pub const fn going_on(store: Store, key: RunKey, spool: SpoolId, next: Seq) -> Self {
        Self {
            store,
            key,
            spool,
            next,
        }
    }

    /// Writes the plan and the files it came from, before anything else.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be committed; the run must not begin.
    pub async fn exhibit(&mut self, exhibits: Vec<Exhibit>) -> Result<(), StoreError> {
        let records = exhibits
            .into_iter()
            .map(|exhibit| self.record(&Body::Exhibits(vec![exhibit])));
        let records: Vec<_> = records.collect();
        self.append(records).await
    }

    /// Does what it is asked until the report is made or nobody asks any more.
    pub async fn work(mut self, mut tasks: mpsc::Receiver<Task>, driver: mpsc::Sender<Input>) {
        let mut batch = Vec::new();
        while tasks.recv_many(&mut batch, TASKS_MAX).await > 0 {
            let mut events = Vec::new();
            let mut number = None;
            for task in batch.drain(..) {
                let done = match task {
                    Task::Write(more, its) => {
                        events.extend(more);
                        number = Some(its);
                        Ok(None)
                    }
                    Task::Judge(stage) => match self.write(&mut events).await {
                        Ok(()) => self.judge(stage).await.map(Some),
                        Err(error) => Err(error),
                    },
                    Task::Report => match self.write(&mut events).await {
                        Ok(()) => self.report().await.map(Some),
                        Err(error) => Err(error),
                    },
                };
                self.tell(done, &driver).await;
            }
            let written = self.write(&mut events).await.map(|()| None);
            let written = match (written, number) {
                (Ok(None), Some(number)) => Ok(Some(Input::Written {
                    run: self.key.run.clone(),
                    number,
                })),
                (written, _) => written,
            };
            self.tell(written, &driver).await;
        }
    }

    async fn tell(&self, done: Result<Option<Input>, StoreError>, driver: &mpsc::Sender<Input>) {
        match done {
            Ok(None) => {}
            // The driver only goes away when the whole controller does.
            Ok(Some(input)) => driver.send(input).await.unwrap_or_default(),
            Err(error) => {
                error!(run = %self.key.run, %error, "the journal could not be kept");
                let failed = Input::StoreFailed {
                    run: self.key.run.clone(),
                    why: error.to_string(),
                };
                driver.send(failed).await.unwrap_or_default();
            }
        }
    }

    async fn write(&mut self, events: &mut Vec<Event>) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let events = std::mem::take(events);
        let words: Vec<_> = events.iter().map(|event| word_of(&event.what)).collect();
        for word in &words {
            hold::at(&format!("events.before-{word}")).await;
        }
        let record = self.record(&Body::Events(events));
        self.append(vec![record]).await?;
        for word in &words {
            hold::at(&format!("events.after-{word}")).await;
        }
        Ok(())
    }

    /// As long as nobody else has taken the run up.
    async fn append(&self, records: Vec<Record>) -> Result<(), StoreError> {
        let fence = Some((self.key.run.clone(), self.key.fence));
        let appended = self.store.append_as(fence, records, clock::wall()).await;
        appended.map(drop)
    }

    fn record(&mut self, body: &Body) -> Record {
        let seq = self.next;
        self.next = seq.next();
        Record {
            format: FORMAT,
            kind: body.kind(),
            version: version(body.kind()),
            key: RecordKey {
                agent: AgentId::controller(),
                spool: self.spool,
                seq,
            },
            run: self.key.run.clone(),
            payload: payload(&self.key.run, self.key.attempt, body),
        }
    }

    async fn judge(&self, stage: StageName) -> Result<Input, StoreError> {
        hold::at("judge.before").await;
        let (entries, _) = read(self.store.run_records(&self.key.run).await?);
        let verdict = report::judge_stage(entries, &stage);
        info!(run = %self.key.run, %stage, ?verdict, "stage judged");
        Ok(Input::Judged {
            run: self.key.run.clone(),
            stage,
            verdict,
        })
    }

    /// Makes the report, and the next revision of it when something was stored since the last.
    ///
    /// # Errors
    /// When the store fails, or somebody else drives the run.
    pub async fn report(&mut self) -> Result<Input, StoreError> {
        let mut records = self.store.run_records(&self.key.run).await?;
        let revision = self.close(&mut records).await?;
        let of_agents = records.iter().filter(|r| !r.key.agent.is_controller());
        let made = Some(Made {
            revision,
            records: of_agents.count() as u64,
        });
        let report = refold(records);
        let run = self.key.run.clone();
        hold::at("report.before-end").await;
        let ending = Ending {
            state: RunState::Ended,
            verdict: Some(word(report.verdict)),
            made,
            at: clock::wall(),
        };
        self.store.end_run(run.clone(), ending).await?;
        hold::at("report.after-end").await;
        let (verdict, exit_code) = (report.verdict, report::exit_code(&report));
        Ok(Input::Reported {
            run,
            revision,
            verdict,
            exit_code,
        })
    }

    /// Says which records the report is made from, unless that was said before a restart.
    async fn close(&mut self, records: &mut Vec<Record>) -> Result<u32, StoreError> {
        let own = records.iter().filter(|r| r.key.agent.is_controller());
        let (own, _) = read(own.cloned().collect());
        let revisions = Revisions::of(&own);
        let last = revisions.last();
        let is_known = |record: &Record| revisions.knows(last, &record.key);
        if last > 0 && records.iter().all(is_known) {
            return Ok(last);
        }
        let revision = last.saturating_add(1);
        let portions = report::known(records.iter().map(|record| &record.key), RANGES_MAX);
        let said: Vec<_> = portions
            .into_iter()
            .map(|known| event(What::Reported { revision, known }))
            .map(|event| self.record(&Body::Events(vec![event])))
            .collect();
        hold::at("events.before-reported").await;
        self.append(said.clone()).await?;
        hold::at("events.after-reported").await;
        records.extend(said);
        Ok(revision)
    }
}

/// The word by which a hold point names an event.
const fn word_of(what: &What) -> &'static str {
    match what {
        What::RunStarted { .. } => "run-started",
        What::AgentJoined { .. } => "agent-joined",
        What::AgentRefused { .. } => "agent-refused",
        What::StageOrdered { .. } => "stage-ordered",
        What::AgentLost { .. } => "agent-lost",
        What::AgentReturned { .. } => "agent-returned",
        What::ControllerReturned { .. } => "controller-returned",
        What::ClockDisturbed { .. } => "clock-disturbed",
        What::HostClockRejected { .. } => "host-clock-rejected",
        What::StageCollected { .. } => "stage-collected",
        What::StageSkipped { .. } => "stage-skipped",
        What::StopRequested { .. } => "stop-requested",
        What::Aborted { .. } => "aborted",
        What::RecordRefused { .. } => "record-refused",
        What::RunEnded { .. } => "run-ended",
        What::Reported { .. } => "reported",
        What::StageStarted { .. }
        | What::StageEnded { .. }
        | What::Missed { .. }
        | What::HostClock(_)
        | What::SpoolFull { .. }
        | What::LoadEnded { .. }
        | What::SymptomSeen { .. }
        | What::FactSeen { .. }
        | What::ThingSeen { .. }
        | What::Gap { .. }
        | What::EpochOpened { .. } => "of-an-agent",
    }
}

/// The verdict's word, as the store keeps it.
#[must_use]
pub fn word(verdict: Verdict) -> String {
    let word = serde_json::to_value(verdict).ok();
    word.as_ref()
        .and_then(serde_json::Value::as_str)
        .unwrap_or("error")
        .to_owned()
}

/// The report of these records, as it is stored.
#[must_use]
pub fn refold(records: Vec<Record>) -> Report {
    let (entries, refused) = read(records);
    report::report(entries, refused)
}

/// The report in this language of what the store keeps; `None` when it has to be folded from the
/// records.
#[must_use]
pub fn fold_kept(lang: Lang, kept: Kept) -> Option<Report> {
    let (entries, refused) = read(kept.records);
    if kept.rolled.is_empty() {
        return Some(report::report_in(lang, entries, refused));
    }
    report::report_rolled(lang, entries, refused, kept.rolled)
}

/// The latest report in this language, or as it was in a revision; `None` when there is no such one.
#[must_use]
pub fn refold_in(lang: Lang, revision: Option<u32>, records: Vec<Record>) -> Option<Report> {
    let (entries, unread) = read(records);
    match revision {
        None => Some(report::report_in(lang, entries, unread)),
        Some(revision) => report::report_as_of(lang, revision, entries, unread),
    }
}

/// Records decoded, and what is wrong with those that can't be.
pub(crate) fn read(records: Vec<Record>) -> (Vec<Entry>, Vec<Unread>) {
    let mut refused = Vec::new();
    let mut entries = Vec::with_capacity(records.len());
    let mut reader = Reader::default();
    for record in records {
        match reader.decode(&record) {
            Ok(entry) => entries.push(entry),
            Err(error) => {
                let key = &record.key;
                refused.push(Unread {
                    key: key.clone(),
                    why: error.to_string(),
                });
            }
        }
    }
    (entries, refused)
}

/// An event of the controller, now.
#[must_use]
pub fn event(what: What) -> Event {
    Event {
        at: clock::now(),
        epoch: ClockEpoch(0),
        wall: clock::wall(),
        what,
    }
}
