//! A queue that is bounded by the bytes in it and not by its messages alone.
//!
//! A bound on the number is none where one message may be a ping of ten bytes or an assignment of
//! megabytes: whoever stops reading would make the other side hold that many of the largest.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::Stream;
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{AgentMessage, ControllerMessage};
use crate::wire;

/// What a message weighs at least: its place in the queue and its small allocations.
const WEIGHT_MIN: usize = 64;

/// Says how many bytes a message takes.
pub trait Weigh {
    /// Its size on the wire, which is also about its size in memory.
    fn weight(&self) -> usize;
}

impl Weigh for AgentMessage {
    fn weight(&self) -> usize {
        wire::AgentMessage::from(self.clone()).encoded_len()
    }
}

impl Weigh for ControllerMessage {
    fn weight(&self) -> usize {
        wire::ControllerMessage::from(self.clone()).encoded_len()
    }
}

/// Why a message is not in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotQueued {
    /// The other end does not take what is in it.
    #[error("the queue is full")]
    Full,
    /// The other end is gone.
    #[error("the queue is closed")]
    Closed,
}

/// A queue of at most `places` messages, and of at most `bytes` together; one that is larger by
/// itself is alone in it.
#[must_use]
pub fn queue<T: Weigh>(places: usize, bytes: u32) -> (Sender<T>, Receiver<T>) {
    let (items, queue) = mpsc::channel(places);
    let room = usize::try_from(bytes).unwrap_or(usize::MAX);
    let room = Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS)));
    (Sender { items, room, bytes }, Receiver(queue))
}

/// The end that messages go in at.
#[derive(Debug)]
pub struct Sender<T> {
    items: mpsc::Sender<(T, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    bytes: u32,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            items: self.items.clone(),
            room: Arc::clone(&self.room),
            bytes: self.bytes,
        }
    }
}

/// The end that they come out at.
#[derive(Debug)]
pub struct Receiver<T>(mpsc::Receiver<(T, OwnedSemaphorePermit)>);

/// A place that is kept for one message.
#[derive(Debug)]
pub struct Place<'a, T> {
    place: mpsc::Permit<'a, (T, OwnedSemaphorePermit)>,
    room: OwnedSemaphorePermit,
}

impl<T> Place<'_, T> {
    /// Puts the message in it.
    pub fn send(self, message: T) {
        self.place.send((message, self.room));
    }
}

impl<T: Weigh> Sender<T> {
    /// Puts a message in, if there is room.
    ///
    /// # Errors
    /// There is none, or nobody reads any more.
    pub fn try_send(&self, message: T) -> Result<(), NotQueued> {
        let place = self.items.try_reserve().map_err(|error| match error {
            mpsc::error::TrySendError::Full(()) => NotQueued::Full,
            mpsc::error::TrySendError::Closed(()) => NotQueued::Closed,
        })?;
        let weight = self.clamped(message.weight());
        let room = Arc::clone(&self.room).try_acquire_many_owned(weight);
        place.send((message, room.map_err(|_| NotQueued::Full)?));
        Ok(())
    }

    /// Waits for room for a message of this weight. May be dropped and called again.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub async fn reserve(&self, weight: usize) -> Result<Place<'_, T>, NotQueued> {
        let room = Arc::clone(&self.room).acquire_many_owned(self.clamped(weight));
        // The reader may go away while we wait for what it would have read.
        let room = tokio::select! {
            room = room => room.map_err(|_| NotQueued::Closed)?,
            () = self.items.closed() => return Err(NotQueued::Closed),
        };
        let place = self.items.reserve().await;
        let place = place.map_err(|_| NotQueued::Closed)?;
        Ok(Place { place, room })
    }

    /// Waits for room, and puts a message in.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub async fn send(&self, message: T) -> Result<(), NotQueued> {
        let place = self.reserve(message.weight()).await?;
        place.send(message);
        Ok(())
    }

    fn clamped(&self, weight: usize) -> u32 {
        let weight = u32::try_from(weight.max(WEIGHT_MIN)).unwrap_or(u32::MAX);
        weight.min(self.bytes)
    }
}

impl<T> Receiver<T> {
    /// The next message; `None` when every sender is gone and nothing is left. May be dropped and
    /// called again.
    pub async fn recv(&mut self) -> Option<T> {
        self.0.recv().await.map(|(message, _)| message)
    }
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let next = self.0.poll_recv(cx);
        next.map(|next| next.map(|(message, _)| message))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Heavy(usize);

    impl Weigh for Heavy {
        fn weight(&self) -> usize {
            self.0
        }
    }

    #[tokio::test]
    async fn bytes_bound_the_queue_before_its_places_do() {
        let (sender, mut receiver) = queue(100, 1000);
        for _ in 0..3 {
            sender.try_send(Heavy(300)).unwrap();
        }
        assert_eq!(sender.try_send(Heavy(300)), Err(NotQueued::Full));
        assert!(sender.reserve(300).now_or_never().is_none());
        assert_eq!(receiver.recv().await, Some(Heavy(300)));
        sender.send(Heavy(300)).await.unwrap();
        // Control: light ones are bounded by the places alone.
        let (sender, _receiver) = queue(10, 1000);
        let sent = (0..20).filter(|_| sender.try_send(Heavy(1)).is_ok());
        assert_eq!(sent.count(), 10);
    }

    #[tokio::test]
    async fn one_that_is_too_large_has_the_queue_for_itself() {
        let (sender, mut receiver) = queue(100, 1000);
        sender.try_send(Heavy(5_000)).unwrap();
        assert_eq!(sender.try_send(Heavy(1)), Err(NotQueued::Full));
        assert_eq!(receiver.recv().await, Some(Heavy(5_000)));
        sender.try_send(Heavy(1)).unwrap();
    }

    #[tokio::test]
    async fn whoever_waits_for_room_learns_that_the_reader_is_gone() {
        let (sender, receiver) = queue(100, 1000);
        sender.try_send(Heavy(1000)).unwrap();
        let waiting = sender.send(Heavy(1));
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(receiver);
        assert_eq!(waiting.await, Err(NotQueued::Closed));
        assert_eq!(sender.try_send(Heavy(1)), Err(NotQueued::Closed));
    }
}
