//! What carries one request at a time: a connection of its own, or a place on one that is shared.

use std::task::{Context, Poll};

use nepho_common::{
    recording::Outcome,
    time::{Mono, Nanos},
};

use super::{
    super::probe::Failure,
    fill::Filling,
    stream::Door,
    traced::{Name, Names},
};

/// Carries requests, one after the other.
///
/// ```text
/// begins --> poll_slot --> poll_send --> poll_answer
///    '---------'------------'-----------'--> closes, when it goes no further
/// ```
pub(super) trait Carrier {
    /// Whether there is a connection.
    fn is_open(&self) -> bool;

    /// Opens one; says what that took, if it was not somebody else who did.
    async fn connect(&mut self, door: &Door, turn: usize) -> Result<Option<Took>, Failure>;

    /// It carries nothing, and is woken if it can't go on.
    fn watch(&mut self, cx: &mut Context<'_>);

    /// From here on it is a request of this call, filled so.
    fn begins(&mut self, call: u16, of: Filling<'_>);

    /// Waits until the request may go out; whether it had to.
    fn poll_slot(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Outcome>>;

    /// Hands the request on.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Outcome>>;

    /// Reads the answer.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Outcome>>;

    /// When the last byte of the request was with the kernel.
    fn sent(&self) -> Option<Mono>;

    /// When the first byte of the answer was here.
    fn first(&self) -> Option<Mono>;

    /// Whether the request is the first on its connection; known once it was sent.
    fn is_first(&self) -> bool;

    /// Whoever gave the answer that is complete, by name.
    fn told(&self, names: &mut Names) -> Option<Name>;

    /// Keeps what the answer that is complete gives to the requests that follow.
    fn take(&self, taken: &mut [String]);
    /// Bytes that went out and nobody asked for yet.
    fn written(&mut self) -> u64;

    /// The request that is under way goes no further.
    fn closes(&mut self);

    /// Whether the request that failed was looked at by nobody.
    fn untouched(&self) -> Untouched;
}

/// Whether a request that could not go on was looked at by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Untouched {
    /// Nobody knows.
    No,
    /// It was not: the target wants the connection's end.
    ByTarget,
    /// It was not: the connection had carried what it was to carry.
    ByUs,
}

/// What a connection took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Took {
    pub(super) connect: Nanos,
    pub(super) handshake: Option<Nanos>,
}

/// An answer that is complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    /// It came to its end.
    pub(super) is_whole: bool,
    /// Bytes on the wire.
    pub(super) received: u64,
    /// When the last of them was here.
    pub(super) done: Mono,
}
