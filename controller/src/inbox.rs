//! What came from agents and waits for the driver or the store, bounded by its bytes.
//!
//! A queue of so many messages is no bound on memory: a ping's answer takes fifty bytes, and one
//! about a thousand runs a quarter of a megabyte. Each session has a small room of its own inside
//! the one for all, so an agent that floods waits for itself, and not the others for it.

use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _};
use nepho_common::journal::Record;
use nepho_proto::session::{Incoming, SessionError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All messages that wait for the driver, 32 MiB: two thousand agents with 16 kB each.
const MESSAGES_BYTES: usize = 32 << 20;
/// Those of one session, 256 KiB: one of the largest.
const SESSION_BYTES: usize = 256 << 10;
/// What the smallest counts: so one session has at most 64 in a queue of 4096.
const MESSAGE_MIN: usize = 4 << 10;
/// All records between the wire and the store's commit, 64 MiB: 64 agents at their largest, or two
/// thousand with 32 kB each. The store commits that within seconds; the others wait, and HTTP/2
/// makes their agents wait.
const RECORDS_BYTES: usize = 64 << 20;
/// Records that are committed together: a commit costs the same for one and for many.
const BATCH: usize = 64;
/// And their bytes, 1 MiB: four batches of the size that an agent makes, or one larger record.
const BATCH_BYTES: usize = 1 << 20;

/// The rooms that all sessions share.
#[derive(Debug, Clone)]
pub(crate) struct Rooms {
    messages: Arc<Semaphore>,
    records: Arc<Semaphore>,
}

/// The room of one session.
#[derive(Debug)]
pub(crate) struct Room {
    own: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

/// Kept until what it is for has been dealt with.
#[derive(Debug)]
pub struct Held {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            messages: Arc::new(Semaphore::new(MESSAGES_BYTES)),
            records: Arc::new(Semaphore::new(RECORDS_BYTES)),
        }
    }
}

impl Rooms {
    /// For a session that opens.
    pub(crate) fn session(&self) -> Room {
        Room {
            own: Arc::new(Semaphore::new(SESSION_BYTES)),
            all: Arc::clone(&self.messages),
        }
    }

    /// Waits until there is room for this batch.
    pub(crate) async fn batch(
        &self,
        batch: &[Result<Record, SessionError>],
    ) -> OwnedSemaphorePermit {
        let bytes: usize = batch.iter().map(weight).sum();
        acquire(&self.records, bytes.clamp(1, RECORDS_BYTES)).await
    }
}

impl Room {
    /// Waits until there is room for a message of this size.
    pub(crate) async fn hold(&self, bytes: usize) -> Held {
        let bytes = bytes.clamp(MESSAGE_MIN, SESSION_BYTES);
        Held {
            _own: acquire(&self.own, bytes).await,
            _all: acquire(&self.all, bytes).await,
        }
    }
}

async fn acquire(room: &Arc<Semaphore>, bytes: usize) -> OwnedSemaphorePermit {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    let room = Arc::clone(room).acquire_many_owned(bytes).await;
    room.expect("nobody closes a room")
}

fn weight(item: &Result<Record, SessionError>) -> usize {
    item.as_ref().map_or(0, |record| record.payload.len())
}

/// The next record, and what has arrived behind it. `None` at the end of the stream, which
/// `ended` remembers.
pub(crate) async fn batch(
    incoming: &mut Incoming<Record>,
    ended: &mut bool,
) -> Option<Vec<Result<Record, SessionError>>> {
    if *ended {
        return None;
    }
    let mut batch = vec![incoming.next().await?];
    let mut bytes: usize = batch.iter().map(weight).sum();
    while batch.len() < BATCH && bytes < BATCH_BYTES {
        match incoming.next().now_or_never() {
            Some(Some(item)) => {
                bytes += weight(&item);
                batch.push(item);
            }
            Some(None) => {
                *ended = true;
                break;
            }
            None => break,
        }
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use nepho_common::{
        id::{Seq, SpoolId},
        journal::{RecordKey, RecordKind},
    };

    use super::*;

    fn record(seq: u64, bytes: usize) -> Result<Record, SessionError> {
        Ok(Record {
            format: 1,
            kind: RecordKind::Recordings,
            version: 1,
            key: RecordKey {
                agent: "a".parse().unwrap(),
                spool: SpoolId::new([0; 16]),
                seq: Seq(seq),
            },
            run: "r".parse().unwrap(),
            payload: vec![0; bytes],
        })
    }

    /// What is ready at once, however much tokio would have a task yield.
    fn now<T>(wait: impl Future<Output = T>) -> Option<T> {
        tokio::task::unconstrained(wait).now_or_never()
    }

    async fn batches(bytes: usize) -> Vec<usize> {
        let mut incoming = stream::iter((1..=100).map(move |seq| record(seq, bytes))).boxed();
        let (mut ended, mut sizes) = (false, Vec::new());
        while let Some(batch) = batch(&mut incoming, &mut ended).await {
            sizes.push(batch.len());
        }
        sizes
    }

    #[tokio::test]
    async fn a_batch_ends_at_its_number_or_its_bytes_whichever_is_first() {
        assert_eq!(batches(10).await, [64, 36]);
        let large = batches(300 << 10).await;
        assert!(large.iter().all(|size| *size <= 4), "{large:?}");
        assert_eq!(large.iter().sum::<usize>(), 100);
    }

    #[tokio::test]
    async fn a_flooding_session_waits_for_itself_and_not_the_others() {
        let rooms = Rooms::default();
        let (flood, quiet) = (rooms.session(), rooms.session());
        let mut held = Vec::new();
        while let Some(one) = now(flood.hold(1)) {
            held.push(one);
        }
        assert_eq!(held.len(), SESSION_BYTES / MESSAGE_MIN);
        assert!(now(quiet.hold(1)).is_some());
        held.pop();
        assert!(now(flood.hold(1)).is_some());
    }

    #[tokio::test]
    async fn records_wait_when_too_many_bytes_are_not_committed_yet() {
        let rooms = Rooms::default();
        let batch = [record(1, BATCH_BYTES)];
        let mut held = Vec::new();
        while let Some(one) = now(rooms.batch(&batch)) {
            held.push(one);
        }
        assert_eq!(held.len(), RECORDS_BYTES / BATCH_BYTES);
        held.pop();
        assert!(now(rooms.batch(&batch)).is_some());
    }
}
