//! Where results wait on disk until the controller's store has committed them.
//!
//! A thread of its own owns the files, because an fsync takes milliseconds and the runtime's one
//! thread must fire requests meanwhile. Every record is on disk before it may be sent; everything
//! that waits in the queue shares one fsync.
//!
//! - `segment`: the format of a file: header, frames, and where a torn one ends.
//! - `store`: the directory: id, segments, acknowledgement. `inspect`: a look at it from outside.

mod inspect;
mod segment;
mod store;

use std::{io, path::PathBuf, thread};

use nepho_common::{
    id::{AgentId, RunId, Seq, SpoolId},
    journal::{Record, RecordKind},
};
use tokio::sync::{mpsc, oneshot};

pub use self::{
    inspect::{Inspection, inspect},
    store::Store,
};
use crate::hold;

/// Writes come once per stage event and every ten seconds, reads one at a time; a queue that is
/// full means a disk that stands still, and then the caller waits.
const QUEUE: usize = 64;

/// Why the spool does not work. All of it is on our side.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// An act on a file failed.
    #[error("{act} {}", path.display())]
    File {
        /// "write", "sync"…
        act: &'static str,
        /// Of what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error("{} is in use by another agent; stop that one first", .0.display())]
    Locked(PathBuf),
    /// The `id` file holds something else, and no segment says what the id was.
    #[error("{} does not hold a spool id; move the spool directory away and start again", .0.display())]
    Id(PathBuf),
    /// An earlier failure has ended the spool.
    #[error("the spool has stopped after an earlier failure")]
    Gone,
}

/// A record that has no number yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it holds.
    pub kind: RecordKind,
    /// Version of the payload's layout.
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// Encoded by `nepho-proto`.
    pub payload: Vec<u8>,
}

/// Comes when everything of a write is on disk, with the last record's number.
pub type Written = oneshot::Receiver<Result<Seq, SpoolError>>;

#[derive(Debug)]
enum Job {
    Write(Vec<Draft>, oneshot::Sender<Result<Seq, SpoolError>>),
    Read(Seq, oneshot::Sender<Result<Option<Record>, SpoolError>>),
    Acknowledged(Seq),
}

/// The spool, for those who don't wait for disks.
#[derive(Debug, Clone)]
pub struct Spool {
    jobs: mpsc::Sender<Job>,
    id: SpoolId,
}

/// Where a spool stood when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Everything up to here was acknowledged.
    pub acked: Seq,
    /// Everything up to here is on disk.
    pub written: Seq,
    /// What could not be read and was left out.
    pub damaged: u64,
}

impl Spool {
    /// Opens or makes the spool in `dir`, and starts its thread.
    ///
    /// # Errors
    /// The directory can't be used.
    pub fn open(dir: PathBuf, agent: AgentId) -> Result<(Self, Standing), SpoolError> {
        let store = Store::open(dir, agent)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (id, standing) = (store.id(), store.standing());
        let start = thread::Builder::new().name("spool".to_owned());
        // The thread ends when the last handle is dropped; what was promised was awaited by then.
        start
            .spawn(move || serve(store, queue))
            .map_err(|source| SpoolError::File {
                act: "start the thread of",
                path: "spool".into(),
                source,
            })?;
        Ok((Self { jobs, id }, standing))
    }

    /// Its identity.
    #[must_use]
    pub const fn id(&self) -> SpoolId {
        self.id
    }

    /// Writes records, in this order and after everything that was written before.
    pub async fn write(&self, drafts: Vec<Draft>) -> Written {
        let (done, written) = oneshot::channel();
        // When the thread is gone the receiver says so.
        drop(self.jobs.send(Job::Write(drafts, done)).await);
        written
    }

    /// A record; `None` when it was acknowledged, never written, or damaged.
    ///
    /// # Errors
    /// The file can't be read.
    pub async fn read(&self, seq: Seq) -> Result<Option<Record>, SpoolError> {
        let (done, read) = oneshot::channel();
        drop(self.jobs.send(Job::Read(seq, done)).await);
        read.await.unwrap_or(Err(SpoolError::Gone))
    }

    /// Everything up to `seq` is in the controller's store.
    pub async fn acknowledged(&self, seq: Seq) {
        // A lost acknowledgement only means that records are sent twice.
        drop(self.jobs.send(Job::Acknowledged(seq)).await);
    }
}

fn serve(mut store: Store, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut jobs = vec![first];
        while let Ok(job) = queue.try_recv() {
            jobs.push(job);
        }
        if let Err(error) = turn(&mut store, jobs) {
            // Whoever waits finds the channel closed. After a failed write or fsync nobody knows
            // what is on disk: a new start looks.
            tracing::error!(error = %crate::chain::Chain(&error), "the spool stops");
            return;
        }
    }
}

/// Everything that waits, with one fsync for all writes and one for all acknowledgements.
fn turn(store: &mut Store, jobs: Vec<Job>) -> Result<(), SpoolError> {
    let mut written = Vec::new();
    let mut acked = None;
    let mut reads = Vec::new();
    for job in jobs {
        match job {
            Job::Write(drafts, done) => {
                for draft in drafts {
                    store.append(draft)?;
                }
                written.push((store.last(), done));
            }
            Job::Read(seq, done) => reads.push((seq, done)),
            Job::Acknowledged(seq) => acked = acked.max(Some(seq)),
        }
    }
    if !written.is_empty() {
        hold::block_at("spool.after-append");
        store.sync()?;
        hold::block_at("spool.after-sync");
    }
    // A receiver that is gone does not want to know.
    for (seq, done) in written {
        drop(done.send(Ok(seq)));
    }
    if let Some(seq) = acked {
        store.acknowledged(seq)?;
    }
    for (seq, done) in reads {
        drop(done.send(store.read(seq)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_can_be_read_until_it_is_acknowledged_away() {
        let dir = tempfile::tempdir().unwrap();
        let (spool, standing) = Spool::open(dir.path().into(), "a".parse().unwrap()).unwrap();
        assert_eq!((standing.acked, standing.written), (Seq(0), Seq(0)));
        let draft = Draft {
            kind: RecordKind::Events,
            version: 1,
            run: "r".parse().unwrap(),
            payload: vec![7; 100],
        };
        let first = spool.write(vec![draft.clone(), draft.clone()]).await;
        let second = spool.write(vec![draft.clone()]).await;
        assert_eq!(first.await.unwrap().unwrap(), Seq(2));
        assert_eq!(second.await.unwrap().unwrap(), Seq(3));
        let record = spool.read(Seq(2)).await.unwrap().unwrap();
        assert_eq!((record.key.seq, record.payload), (Seq(2), draft.payload));
        spool.acknowledged(Seq(3)).await;
        assert_eq!(spool.read(Seq(9)).await.unwrap(), None);
        assert_eq!(
            std::fs::read_to_string(dir.path().join("ack")).unwrap(),
            "3\n"
        );
    }

    #[tokio::test]
    async fn two_agents_do_not_share_a_spool() {
        let dir = tempfile::tempdir().unwrap();
        let first = Spool::open(dir.path().into(), "a".parse().unwrap()).unwrap();
        let second = Spool::open(dir.path().into(), "a".parse().unwrap());
        assert!(matches!(second, Err(SpoolError::Locked(_))));
        drop(first);
    }
}
