//! The spool's thread: it owns the files, and holds what the disk does not take.
//!
//! Everything that waits shares one fsync. What could not be written stays here and is tried again
//! every second, in another file; meanwhile its recordings merge, so that an hour of a full disk
//! takes the room of a minute.

use std::{collections::VecDeque, time::Duration};

use nepho_common::id::{AgentId, Seq};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{Draft, Job, SpoolError, Store, merge::merge};
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
}

impl Server {
    pub(super) const fn new(store: Store, agent: AgentId) -> Self {
        Self {
            store,
            agent,
            waiting: VecDeque::new(),
            refused: 0,
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
                let waiting = self.waiting.iter_mut().flat_map(|(drafts, _)| drafts);
                merge(&self.agent, waiting.collect());
            }
        }
    }

    fn try_write(&mut self) -> Result<Vec<Seq>, SpoolError> {
        let mut lasts = Vec::with_capacity(self.waiting.len());
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
