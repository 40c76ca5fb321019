//! A connection of HTTP/2 that several requests share (RFC 9113).
//!
//! ```text
//! slot --request--> link's connection --one write for all that wait--> target
//!   ^------------------answer----------'   wire: when, and how many bytes
//! ```
//! Over the crate `h2`, which hyper speaks HTTP/2 with, and not through hyper itself: there each
//! request costs a task and two channels, and nobody learns when it got its stream, which is what
//! tells waiting for a place from sending.
//!
//! - [`Link`]: the connection and its task. `wire`: its bytes. [`Slot`]: a place for one request.
//! - [`Head`]: what is asked for.
//!
//! What a target may make us hold is bounded: heads by [`HEAD_MAX`], bodies by a window that is
//! given back as they are thrown away, streams by [`STREAMS_MAX`]. It may push nothing.

mod head;
#[cfg(test)]
mod laws;
mod slot;
mod wire;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use h2::client::{Builder, Connection, SendRequest};
use hyper::body::Bytes;
use nepho_common::{recording::Outcome, time::Mono};
use tokio::sync::Mutex;

use self::wire::Wire;
pub(super) use self::{head::Head, slot::Slot};
use super::{
    super::probe::Failure,
    carrier::Took,
    exchange,
    stream::{Door, Stream},
};
use crate::clock;

/// The most requests that share a connection, unless the target wants fewer. RFC 9113 §6.5.2 asks
/// targets to allow no fewer than a hundred, and common ones allow 100 to 250.
pub(super) const STREAMS_MAX: u32 = 100;
/// Until the target says how many it wants at a time, more could be too many for it.
const FIRST: usize = 1;
/// The most places of a lane: each takes some hundred bytes even if it is never needed.
pub(super) const SLOTS_MAX: u64 = 65_536;
/// The most bytes of a head, as without HTTP/2.
const HEAD_MAX: u32 = 64 << 10;
/// What may come of all answers of a connection before it was thrown away.
const WINDOW: u32 = 1 << 20;

/// The most bytes that may come while no answer gets on: heads for all streams and a full window. A
/// target that sends more says things that answer nobody, like pings without end.
const QUIET_MAX: u64 = WINDOW as u64 + STREAMS_MAX as u64 * HEAD_MAX as u64;

/// A connection, or the place of one.
pub(super) struct Link {
    /// The one that takes requests, if any does.
    way: RefCell<Option<Rc<Way>>>,
    /// How many requests a connection carries; any number when 0.
    carries: u64,
    /// The last one is not used any more because it carried so many.
    is_spent: Cell<bool>,
    /// Whoever opens the next one.
    opening: Mutex<()>,
    /// Who waits for a stream, the longest waiting first.
    waiting: RefCell<VecDeque<(usize, Waker)>>,
}

/// One connection.
struct Way {
    /// Sends on it, as long as it takes anything new. When nobody can and all streams are over, the
    /// connection ends.
    sender: RefCell<Option<SendRequest<Bytes>>>,
    /// Whom it leads to.
    peer: String,
    /// How many requests may have a stream.
    most: Cell<usize>,
    /// How many have one.
    active: Cell<usize>,
    /// How many had one.
    carried: Cell<u64>,
    seen: Rc<Seen>,
}

/// When a request was with the kernel.
type Stamp = Rc<Cell<Option<Mono>>>;

/// What passed through a connection.
#[derive(Debug, Default)]
struct Seen {
    /// When something came last.
    came: Cell<Mono>,
    /// Bytes that came and that no answer has counted.
    read: Cell<u64>,
    written: Cell<u64>,
    /// Bytes that came since an answer got on.
    quiet: Cell<u64>,
    /// The kernel takes nothing more for now.
    is_blocked: Cell<bool>,
    /// Where it is to be noted that a request is with the kernel.
    leaving: RefCell<Vec<Stamp>>,
}

impl Link {
    pub(super) fn new(carries: u64) -> Rc<Self> {
        Rc::new(Self {
            way: RefCell::default(),
            carries,
            is_spent: Cell::default(),
            opening: Mutex::default(),
            waiting: RefCell::default(),
        })
    }

    /// Speaks HTTP/2 on this stream from now on. Whether the target does, the first answer tells.
    pub(super) async fn opens(self: &Rc<Self>, stream: Stream) -> Result<(), Failure> {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_max_send_streams(FIRST)
            .max_header_list_size(HEAD_MAX)
            .initial_connection_window_size(WINDOW);
        let (peer, seen) = (exchange::peer(Some(&stream)), Rc::<Seen>::default());
        let wire = Wire::new(stream, Rc::clone(&seen));
        let (sender, connection) = builder.handshake(wire).await.map_err(|why| {
            let why = why.into_io();
            why.map_or(Failure::Ended, Failure::Talk)
        })?;
        let way = Rc::new(Way {
            sender: RefCell::new(Some(sender)),
            peer,
            most: Cell::new(FIRST),
            active: Cell::default(),
            carried: Cell::default(),
            seen,
        });
        *self.way.borrow_mut() = Some(Rc::clone(&way));
        self.is_spent.set(false);
        tokio::task::spawn_local(Rc::clone(self).drive(connection, way));
        Ok(())
    }

    /// Opens a connection, if nobody else does meanwhile.
    async fn connect(self: &Rc<Self>, door: &Door, turn: usize) -> Result<Option<Took>, Failure> {
        let _opening = self.opening.lock().await;
        if self.is_open() {
            return Ok(None);
        }
        let opened = door.open(turn).await?;
        self.opens(opened.stream).await?;
        Ok(Some(opened.took))
    }

    fn is_open(&self) -> bool {
        self.way.borrow().is_some()
    }

    /// The task of a connection: reads, writes, and says so.
    async fn drive(self: Rc<Self>, mut connection: Connection<Wire, Bytes>, way: Rc<Way>) {
        poll_fn(|cx| {
            let ended = Pin::new(&mut connection).poll(cx);
            if ended.is_pending() {
                way.seen.left();
                // A target that wants its end gets no more requests, but may answer those it has.
                if !way.goes_on(cx) {
                    self.retires(&way);
                }
                self.invites();
            }
            // Why it ended, each request is told.
            ended.map(drop)
        })
        .await;
        self.retires(&way);
    }

    /// This connection takes nothing new.
    fn retires(&self, way: &Rc<Way>) {
        *way.sender.borrow_mut() = None;
        let mut present = self.way.borrow_mut();
        if present.as_ref().is_some_and(|one| Rc::ptr_eq(one, way)) {
            *present = None;
            drop(present);
            for (_, waker) in &*self.waiting.borrow() {
                waker.wake_by_ref();
            }
        }
    }

    /// A request was sent on it; whether it is the first.
    fn took(&self, way: &Rc<Way>) -> bool {
        let carried = way.carried.get() + 1;
        way.carried.set(carried);
        if carried == self.carries {
            self.is_spent.set(true);
            self.retires(way);
        }
        carried == 1
    }

    /// Wakes those whose turn it is.
    fn invites(&self) {
        let waiting = self.waiting.borrow();
        if !waiting.is_empty() {
            let way = self.way.borrow();
            let room = way.as_ref().map_or(0, |way| way.room());
            for (_, waker) in waiting.iter().take(room) {
                waker.wake_by_ref();
            }
        }
    }

    /// A stream for this place. Who comes later waits, and is woken.
    fn poll_enter(&self, nth: usize, cx: &Context<'_>) -> Poll<Result<Rc<Way>, Outcome>> {
        let Some(way) = self.way.borrow().clone() else {
            return Poll::Ready(Err(Outcome::Reset));
        };
        let mut waiting = self.waiting.borrow_mut();
        let place = waiting.iter().position(|(one, _)| *one == nth);
        if place.unwrap_or(waiting.len()) < way.room() {
            if let Some(place) = place {
                waiting.remove(place);
            }
            way.active.set(way.active.get() + 1);
            return Poll::Ready(Ok(way));
        }
        match place {
            Some(place) => waiting[place].1.clone_from(cx.waker()),
            None => waiting.push_back((nth, cx.waker().clone())),
        }
        Poll::Pending
    }

    /// It waits no more.
    fn gives_up(&self, nth: usize) {
        self.waiting.borrow_mut().retain(|(one, _)| *one != nth);
        self.invites();
    }
}

impl Way {
    /// Whether it takes more requests, as far as the target is asked.
    fn goes_on(&self, cx: &mut Context<'_>) -> bool {
        let mut sender = self.sender.borrow_mut();
        let Some(sender) = &mut *sender else {
            return true;
        };
        if let Poll::Ready(Err(_)) = sender.poll_ready(cx) {
            return false;
        }
        self.most.set(sender.current_max_send_streams());
        true
    }

    /// How many requests more may have a stream.
    const fn room(&self) -> usize {
        self.most.get().saturating_sub(self.active.get())
    }
}

impl Seen {
    /// The connection has nothing to do: unless the kernel keeps it waiting, everything went out.
    fn left(&self) {
        let mut leaving = self.leaving.borrow_mut();
        if leaving.is_empty() || self.is_blocked.get() {
            return;
        }
        let now = clock::now();
        for stamp in leaving.drain(..) {
            stamp.set(Some(now));
        }
    }
}

/// How what went wrong on a connection or in a stream is told.
fn outcome(error: h2::Error) -> Outcome {
    if error.is_io() {
        let error = error.into_io().map(Failure::Talk);
        return error.map_or(Outcome::Reset, |error| error.outcome());
    }
    // The target broke it off, and said so; or what it said was none of HTTP/2.
    if error.is_remote() {
        Outcome::Reset
    } else {
        Outcome::Protocol
    }
}
