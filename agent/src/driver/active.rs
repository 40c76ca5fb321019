//! A stage under way, and what it has to be written of.

use nepho_agent_core::recorder::{LOAD_EVERY, Recorder, SEAL_EVERY};
use nepho_common::{
    event::Event,
    id::{RunKey, StageName},
    journal::{Body, RecordKind},
    recording::{Recording, TRACE_RUNS_MAX, Trace},
    time::{Mono, Nanos},
};
use nepho_proto::journal;
use tokio::sync::watch;

use crate::{spool::Draft, work::pacer::Mode};

/// Events of one record: each may quote 300 characters and name 32 programs, 3 KB in all.
const NOTED_MAX: usize = 32;
/// Gauges of one record: at 100 bytes each, a tenth of what a record may hold.
const GAUGES_MAX: usize = 256;
/// Traces of one record, with all their runs: at 16 bytes for a run and at most 1 KB for the names of a
/// trace a quarter of what a record may hold. One trace alone stays below it.
const TRACES_MAX: usize = 64;
const TRACE_RUNS: usize = 2 * TRACE_RUNS_MAX;
/// What a lane counted of a second is here so long after its end, on a host that is not overloaded;
/// what comes later goes with the next second.
const LOAD_TOLD_BY: Nanos = Nanos::from_millis(100);

/// A stage under way.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) key: RunKey,
    pub(super) stage: StageName,
    pub(super) recorder: Recorder,
    /// When what was observed is sealed next: a whole number of intervals after the start.
    flush: Mono,
    /// The same of what loads counted; never when there is none.
    flush_loads: Option<Mono>,
    pub(super) mode: watch::Sender<Mode>,
    /// What is told with the next recordings.
    pub(super) noted: Vec<Event>,
}

impl Active {
    /// One that begins at this instant.
    pub(super) fn new(
        (key, stage): (RunKey, StageName),
        recorder: Recorder,
        at: Mono,
        has_load: bool,
        mode: watch::Sender<Mode>,
    ) -> Self {
        let loads_at = at.plus(LOAD_EVERY).plus(LOAD_TOLD_BY);
        Self {
            key,
            stage,
            recorder,
            flush: at.plus(SEAL_EVERY),
            flush_loads: if has_load { Some(loads_at) } else { None },
            mode,
            noted: Vec::new(),
        }
    }

    /// When something is due to be written.
    pub(super) fn next(&self) -> Mono {
        let loads = self.flush_loads.into_iter();
        loads.fold(self.flush, Mono::min)
    }

    /// What is due to be written by now.
    pub(super) fn due(&mut self, now: Mono) -> Vec<Draft> {
        let mut drafts = Vec::new();
        if self.flush <= now {
            drafts.extend(self.flushed());
        }
        while self.flush <= now {
            self.flush = self.flush.plus(SEAL_EVERY);
        }
        while self.flush_loads.is_some_and(|due| due <= now) {
            drafts.extend(self.flushed_loads());
            self.flush_loads = self.flush_loads.map(|due| due.plus(LOAD_EVERY));
        }
        drafts
    }

    pub(super) fn draft(&self, body: Body) -> Draft {
        draft(&self.key, body)
    }

    fn recorded(&mut self, recordings: Vec<Recording>) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for portion in journal::fit(recordings) {
            drafts.push(self.draft(Body::Recordings(portion)));
            self.recorder.wrote(RecordKind::Recordings);
        }
        drafts
    }

    fn flushed_loads(&mut self) -> Vec<Draft> {
        let recordings = self.recorder.flush_loads();
        let mut drafts = self.recorded(recordings);
        drafts.extend(self.read());
        drafts.extend(self.traced());
        drafts
    }

    fn traced(&mut self) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for portion in traces(self.recorder.traces()) {
            drafts.push(self.draft(Body::Traces(portion)));
            self.recorder.wrote(RecordKind::Traces);
        }
        drafts
    }

    fn read(&mut self) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for portion in self.recorder.gauges().chunks(GAUGES_MAX) {
            drafts.push(self.draft(Body::Gauges(portion.to_vec())));
            self.recorder.wrote(RecordKind::Gauges);
        }
        drafts
    }

    pub(super) fn flushed(&mut self) -> Vec<Draft> {
        let recordings = self.recorder.flush();
        let mut drafts = self.recorded(recordings);
        drafts.extend(self.flushed_loads());
        let noted = std::mem::take(&mut self.noted);
        for portion in noted.chunks(NOTED_MAX) {
            drafts.push(self.draft(Body::Events(portion.to_vec())));
            self.recorder.wrote(RecordKind::Events);
        }
        drafts
    }
}

/// Each of a size that fits into a record.
fn traces(traces: Vec<Trace>) -> Vec<Vec<Trace>> {
    let mut all: Vec<Vec<Trace>> = Vec::new();
    let mut runs = 0;
    for trace in traces {
        let more = trace.runs.len();
        let fits = |last: &&mut Vec<Trace>| last.len() < TRACES_MAX && runs + more <= TRACE_RUNS;
        match all.last_mut().filter(fits) {
            Some(last) => {
                runs += more;
                last.push(trace);
            }
            None => {
                runs = more;
                all.push(vec![trace]);
            }
        }
    }
    all
}

/// Something to be written of a run.
pub(super) fn draft(key: &RunKey, body: Body) -> Draft {
    let RunKey { run, attempt, .. } = key;
    Draft {
        kind: body.kind(),
        version: journal::version(body.kind()),
        run: run.clone(),
        payload: journal::payload(run, *attempt, &body),
    }
}
