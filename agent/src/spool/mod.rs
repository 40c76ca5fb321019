//! Where results wait on disk until the controller's store has committed them.
//!
//! A thread of its own owns the files, because an fsync takes milliseconds and the runtime's one
//! thread must fire requests meanwhile. Every record is on disk before it may be sent; everything
//! that waits in the queue shares one fsync.
//!
//! - `segment`: the format of a file: header, frames, and where a torn one ends.
//! - `directory`: the files: id, segments, acknowledgement, ballast; what can't be read is set
//!   aside.
//! - `store`: records in numbered order, and what to do when the disk fails. `gap`: what stands in
//!   the place of a lost one.
//! - `serve`: the thread. `merge`: what waits for a full disk takes less room; `store/coarsen`: so
//!   does what is on a disk that may hold no more. `notice`: what is said of both.
//! - `inspect`: a look from outside.

mod directory;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod gap;
mod inspect;
mod merge;
#[cfg(test)]
mod model;
mod notice;
mod segment;
mod serve;
mod store;

use std::{io, path::PathBuf, thread};

use nepho_common::{
    id::{AgentId, RunId, Seq, SpoolId},
    journal::{Record, RecordKind},
};
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
};

use self::serve::Server;
pub use self::{
    inspect::{Inspection, inspect},
    store::Store,
};

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
    /// It is as large as it may be.
    #[error("the spool holds {0} bytes that the controller has not acknowledged, and may not grow")]
    Quota(u64),
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
    Read(Seq, oneshot::Sender<Option<Record>>),
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
        let store = Store::open(dir, agent.clone())?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (id, standing) = (store.id(), store.standing());
        let failed = |source| SpoolError::File {
            act: "start the thread of",
            path: "spool".into(),
            source,
        };
        // For the thread alone: it waits for jobs, or for a second to be over.
        let mut runtime = runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().map_err(failed)?;
        let server = Server::new(store, agent);
        // The thread ends when the last handle is dropped; what was promised was awaited by then.
        thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || runtime.block_on(server.serve(queue)))
            .map_err(failed)?;
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

    /// A record, or in the place of a lost one a record that says so; `None` when it was
    /// acknowledged or never written.
    ///
    /// # Errors
    /// [`SpoolError::Gone`].
    pub async fn read(&self, seq: Seq) -> Result<Option<Record>, SpoolError> {
        let (done, read) = oneshot::channel();
        drop(self.jobs.send(Job::Read(seq, done)).await);
        read.await.map_err(|_| SpoolError::Gone)
    }

    /// Everything up to `seq` is in the controller's store.
    pub async fn acknowledged(&self, seq: Seq) {
        // A lost acknowledgement only means that records are sent twice.
        drop(self.jobs.send(Job::Acknowledged(seq)).await);
    }
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
        let ack = std::fs::read_to_string(dir.path().join("ack")).unwrap();
        assert!(ack.starts_with("3 "), "{ack}");
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
