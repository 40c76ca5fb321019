//! The spool's thread: it owns the files, and holds what the disk does not take.
//!
//! Everything that waits shares one fsync. What could not be written stays here and is tried again
//! every second, in another file; meanwhile its recordings merge, so that an hour of a full disk
//! takes the room of a minute.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use nepho_common::{
    event::Shortage,
    id::{AgentId, Seq},
    time::Nanos,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{Draft, Job, SpoolError, Store, merge::merge, notice::Notices};
use crate::{chain::Chain, hold};

/// How soon a disk is tried again that took nothing.
const RETRY: Duration = Duration::from_secs(1);

/// How much may wait in memory after it was merged, 32 MiB: half of what a small host can spare
/// for us. Beyond it the spool stops: a stage without its seal says that it is not complete.
const WAITING_MAX: usize = 32 << 20;

/// Hears the last number when its drafts are on disk.
type Done = oneshot::Sender<Result<Seq, SpoolError>>;

/// The thread's state.
#[derive(Debug)]
pub(super) struct Server {
    store: Store,
    agent: AgentId,
    /// Writes in their order, until they are on disk.
    waiting: VecDeque<(Vec<Draft>, Done)>,
    /// How often the disk took nothing since it last did.
    refused: u64,
    /// Since when it has taken nothing.
    refused_since: Option<Instant>,
    /// What is to be said when it takes something.
    notices: Notices,
}

impl Server {
    pub(super) fn new(store: Store, agent: AgentId) -> Self {
        Self {
            store,
            agent,
            waiting: VecDeque::new(),
            refused: 0,
            refused_since: None,
            notices: Notices::default(),
        }
    }

    /// Serves until every handle is dropped.
    pub(super) async fn serve(mut self, mut queue: mpsc::Receiver<Job>) {
        loop {
            let first = if self.waiting.is_empty() {
                queue.recv().await
            } else {
                match timeout(RETRY, queue.recv()).await {
                    Ok(job) => job,
                    Err(_) => {
                        self.write();
                        continue;
                    }
                }
            };
            let Some(first) = first else {
                self.write();
                return;
            };
            let mut jobs = vec![first];
            while let Ok(job) = queue.try_recv() {
                jobs.push(job);
            }
            self.turn(jobs);
            let held = self.waiting.iter().flat_map(|(drafts, _)| drafts);
            let held: usize = held.map(|draft| draft.payload.len()).sum();
            if held > WAITING_MAX {
                // Whoever waits finds the channel closed.
                tracing::error!(held, "the disk took nothing for too long; the spool stops");
                return;
            }
        }
    }

    fn turn(&mut self, jobs: Vec<Job>) {
        let mut acked = None;
        let mut reads = Vec::new();
        for job in jobs {
            match job {
                Job::Write(drafts, done) => self.waiting.push_back((drafts, done)),
                Job::Read(seq, done) => reads.push((seq, done)),
                Job::Acknowledged(seq) => acked = acked.max(Some(seq)),
            }
        }
        // First, for it may make room.
        if let Some(seq) = acked {
            self.store.acknowledged(seq);
        }
        self.write();
        for (seq, done) in reads {
            // A receiver that is gone does not want to know.
            drop(done.send(self.store.read(seq)));
        }
    }

    /// Everything that waits, with one fsync; or nothing.
    fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        match self.try_write() {
            Ok(lasts) => {
                if self.refused > 0 {
                    tracing::info!(after = self.refused, "the disk takes results again");
                    self.refused = 0;
                }
                self.refused_since = None;
                self.notices.clear();
                for ((_, done), last) in self.waiting.drain(..).zip(lasts) {
                    drop(done.send(Ok(last)));
                }
            }
            Err(error) => {
                self.store.roll_back();
                // Once a minute is enough for a log on what may be the same disk.
                if self.refused.is_multiple_of(60) {
                    let waiting = self.waiting.len();
                    tracing::error!(error = %Chain(&error), waiting, "results wait in memory: free some disk");
                }
                self.refused += 1;
                self.refused_since.get_or_insert_with(Instant::now);
                let waiting = self.waiting.iter_mut().flat_map(|(drafts, _)| drafts);
                let merged = merge(&self.agent, waiting.collect());
                let why = match error {
                    SpoolError::Quota(_) => Shortage::Quota,
                    SpoolError::File { .. }
                    | SpoolError::Locked(_)
                    | SpoolError::Id(_)
                    | SpoolError::Gone => Shortage::Disk,
                };
                self.notices.note(why, merged);
            }
        }
    }

    /// Merges old recordings until what waits finds room, or nothing is left to merge.
    fn make_room(&mut self) {
        loop {
            let waiting = self.waiting.iter().flat_map(|(drafts, _)| drafts);
            if self.store.has_room_for(waiting) {
                return;
            }
            let Some(merged) = self.store.coarsen() else {
                return;
            };
            self.notices.note(Shortage::Quota, merged);
        }
    }

    fn try_write(&mut self) -> Result<Vec<Seq>, SpoolError> {
        let mut lasts = Vec::with_capacity(self.waiting.len());
        self.make_room();
        let since = self.refused_since.map(|since| since.elapsed().as_nanos());
        let waited = since.map(|since| u64::try_from(since).unwrap_or(u64::MAX));
        // Before what waits: a seal may be in that, and after it nobody looks for more.
        for notice in self.notices.drafts(Nanos(waited.unwrap_or_default())) {
            self.store.append(&notice)?;
        }
        for (drafts, _) in &self.waiting {
            for draft in drafts {
                self.store.append(draft)?;
            }
            lasts.push(self.store.last());
        }
        hold::block_at("spool.after-append");
        self.store.sync()?;
        hold::block_at("spool.after-sync");
        Ok(lasts)
    }
}
