//! One direction of one connection: what is read leaves again a fixed time later, in order.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::AsyncWriteExt as _,
    net::tcp::{ReadHalf, WriteHalf},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use super::timer::{Stamp, Timer};

/// What one direction may hold before it stops reading: 60 ms of half a gigabit.
const MOST_QUEUED_BYTES: usize = 4 * 1024 * 1024;
/// A parcel weighs at least this, so that single bytes fill the queue too.
const LEAST_WEIGHT: usize = 1024;
/// So many parcels of the least weight fill the queue, and one more tells the end.
const MOST_PARCELS: usize = MOST_QUEUED_BYTES / LEAST_WEIGHT + 1;
/// What is read at a time; it lives on the stack only, so that an idle connection costs little.
const READ_BYTES: usize = 16 * 1024;

/// The connection broke: whoever is left gets a reset.
#[derive(Debug)]
pub(super) struct Broken;

/// The distance of one direction, and what it takes for news of a failed write to come back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Distance {
    pub(super) ahead: Duration,
    pub(super) return_trip: Duration,
}

struct Parcel {
    due: Stamp,
    content: Content,
}

enum Content {
    Bytes(Vec<u8>, OwnedSemaphorePermit),
    /// The reader's peer will send no more.
    End,
    Reset,
}

/// Carries everything until the end or the break, which travel as slowly as the bytes do.
pub(super) async fn carry(
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    distance: Distance,
    timer: &Timer,
) -> Result<(), Broken> {
    let (parcels, queue) = mpsc::channel(MOST_PARCELS);
    // Tried, not joined: a failed delivery must not wait for a reader that nothing comes to.
    tokio::try_join!(
        collect(from, parcels, distance.ahead),
        deliver(to, queue, distance, timer),
    )?;
    Ok(())
}

/// Never breaks anything itself: a reset that it reads travels on as a parcel.
async fn collect(
    from: ReadHalf<'_>,
    parcels: mpsc::Sender<Parcel>,
    delay: Duration,
) -> Result<(), Broken> {
    let room = Arc::new(Semaphore::new(MOST_QUEUED_BYTES));
    loop {
        let read = receive(&from).await;
        let due = Stamp::now().after(delay);
        let content = match read {
            Ok(bytes) if bytes.is_empty() => Content::End,
            Ok(bytes) => {
                let weight = u32::try_from(bytes.len().max(LEAST_WEIGHT))
                    .expect("a parcel is no larger than what is read at a time");
                let room = Arc::clone(&room).acquire_many_owned(weight).await;
                Content::Bytes(bytes, room.expect("the semaphore is never closed"))
            }
            Err(_) => Content::Reset,
        };
        let last = !matches!(content, Content::Bytes(..));
        if parcels.send(Parcel { due, content }).await.is_err() || last {
            return Ok(());
        }
    }
}

async fn receive(from: &ReadHalf<'_>) -> io::Result<Vec<u8>> {
    loop {
        from.readable().await?;
        match read_now(from) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            read => return read,
        }
    }
}

/// Apart from the async function, so that the buffer is no part of its state.
fn read_now(from: &ReadHalf<'_>) -> io::Result<Vec<u8>> {
    let mut buffer = [0; READ_BYTES];
    let length = from.try_read(&mut buffer)?;
    Ok(buffer[..length].to_vec())
}

async fn deliver(
    mut to: WriteHalf<'_>,
    mut queue: mpsc::Receiver<Parcel>,
    distance: Distance,
    timer: &Timer,
) -> Result<(), Broken> {
    while let Some(Parcel { due, content }) = queue.recv().await {
        timer.reach(due).await;
        let written = match content {
            Content::Bytes(bytes, _room) => to.write_all(&bytes).await,
            Content::End => to.shutdown().await,
            Content::Reset => return Err(Broken),
        };
        if written.is_err() {
            // The sender learns of it when the news would have travelled back to it.
            timer.reach(Stamp::now().after(distance.return_trip)).await;
            return Err(Broken);
        }
    }
    Ok(())
}
