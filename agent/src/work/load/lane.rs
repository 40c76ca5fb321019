//! A lane: one thread with its share of the connections and of the schedule. Nothing of a request
//! is shared between lanes.
//!
//! ```text
//! pacer --due--> idle place, or the queue --user--> connection --> sheet --every second--> told
//!                                 sweep: ends what is over, says how the lane did
//! ```

use std::{io, rc::Rc, sync::Arc};

use futures_util::{StreamExt as _, stream};
use nepho_agent_core::pace::Pace;
use nepho_common::{
    load::{Carried, Counted, Model, Pool},
    plan::Stripe,
    time::{Mono, Nanos},
};
use tokio::{
    runtime::LocalOptions,
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{
    super::{pacer::Mode, probe::Failure},
    carrier::Carrier,
    cores,
    exchange::Exchange,
    http2::{Head, Link, SLOTS_MAX, STREAMS_MAX, Slot},
    mix::Mix,
    places::{Place, Shared},
    request::Request,
    sheet::Sheet,
    stream::{Door, Opened, Stream},
    sweep,
    traced::Names,
    user,
};
use crate::clock::{self, Alarm};

/// How many connections of a lane are being opened at a time: more would be a flood to the target,
/// and a handshake of one waits for the arithmetic of all others.
const OPENING_MAX: usize = 32;
/// What is dispatched before answers are looked at again.
const BATCH: usize = 64;

/// What all lanes do.
#[derive(Clone)]
pub(super) struct Work {
    /// One for each call.
    pub(super) requests: Requests,
    pub(super) mix: Mix,
    /// For each call, whether it goes out behind the one before it.
    pub(super) follows: Vec<bool>,
    /// How many things answers give to what follows.
    pub(super) taken: usize,
    /// Whether those who answer are told apart.
    pub(super) is_traced: bool,
    pub(super) door: Door,
    pub(super) model: Model,
    pub(super) lasts: Nanos,
    pub(super) timeout: Nanos,
    /// A connection of its own for each request carries one.
    pub(super) carried: Carried,
}

/// What is sent, in what is spoken.
#[derive(Clone)]
pub(super) enum Requests {
    Http1(Arc<[Request]>),
    Http2(Arc<[Head]>),
}

/// What one lane does of it.
pub(super) struct Share {
    pub(super) lane: u32,
    /// It is compared with the others, and no part of what is counted.
    pub(super) is_reference: bool,
    /// Its part of the numbers of all requests.
    pub(super) stripe: Stripe,
    /// Where its thread stays.
    pub(super) core: Option<usize>,
    /// What is due when, in an open model.
    pub(super) due: Option<Pace>,
    pub(super) connections: u32,
    /// Requests that may wait or be open.
    pub(super) in_flight_max: u64,
}

/// What a lane says.
#[derive(Debug)]
pub(super) enum Said {
    /// So many connections are open, and why another one is not.
    Opened(u32, Option<Failure>),
    Counted(Counted),
    /// The thread can't go on.
    Broken(io::Error),
}

/// Runs a lane to its end, on this thread.
pub(super) fn run(
    work: Arc<Work>,
    mut share: Share,
    start: watch::Receiver<Option<Mono>>,
    mode: watch::Receiver<Mode>,
    said: &mpsc::Sender<Said>,
) {
    let steps = if work.model.is_open() {
        STEPS_PACED
    } else {
        STEPS
    };
    // Not a `LocalSet`: that runs sixty steps between two looks, whatever it is told.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(steps)
        .build_local(LocalOptions::default());
    let pinned = share.core.map_or(Ok(()), cores::pin);
    let ran = pinned.and(runtime).and_then(|runtime| {
        let due = share.due.take();
        runtime.block_on(lane(work, &share, due, start, mode, said.clone()))
    });
    if let Err(error) = ran {
        // Nobody listens only when everything ends.
        drop(said.blocking_send(Said::Broken(error)));
    }
}

/// Steps of tasks between two looks at sockets and timers, when nothing is due but by answers. Each
/// look is a call of the kernel, and what it finds is not asked for in between.
const STEPS: u32 = 64;
/// The same when an alarm says what is due: with more it rings a tenth of a millisecond late under
/// load.
const STEPS_PACED: u32 = 16;

async fn lane(
    work: Arc<Work>,
    share: &Share,
    due: Option<Pace>,
    mut start: watch::Receiver<Option<Mono>>,
    mut mode: watch::Receiver<Mode>,
    said: mpsc::Sender<Said>,
) -> io::Result<()> {
    let mut alarm = Alarm::new()?;
    let (opened, failure) = open(&work, share).await;
    let took: Vec<_> = opened.iter().flatten().map(|opened| opened.took).collect();
    let count = u32::try_from(took.len()).unwrap_or(u32::MAX);
    let streams = opened
        .into_iter()
        .map(|opened| opened.map(|opened| opened.stream));
    let spoken = match work.requests.clone() {
        Requests::Http1(requests) => Spoken::Http1(requests, streams.collect()),
        Requests::Http2(heads) => Spoken::Http2(
            heads,
            linked(streams, work.carried.requests_per_connection).await,
        ),
    };
    drop(said.send(Said::Opened(count, failure)).await);
    let Ok(start) = start.wait_for(Option::is_some).await.map(|start| *start) else {
        return Ok(());
    };
    let start = start.expect("it was waited for");
    let mut sheet = Sheet::new(share.lane, start);
    sheet.is_reference = share.is_reference;
    sheet.names = work.is_traced.then(Names::default);
    for took in took {
        sheet.connected(start, took.connect, took.handshake);
    }
    let places = match &spoken {
        Spoken::Http1(_, streams) => streams.len(),
        Spoken::Http2(_, links) => match work.carried.pool {
            Pool::Shared => slots(links.len(), share.in_flight_max),
            Pool::PerUser | Pool::New => links.len(),
        },
    };
    let mut shared = Shared::new(work, start, (share.stripe, share.in_flight_max), sheet);
    shared.places.resize_with(places, Place::default);
    let shared = Rc::new(shared);
    let users = match spoken {
        Spoken::Http1(requests, streams) => users(&shared, streams.into_iter(), |_, stream| {
            let carries = shared.work.carried.requests_per_connection;
            Exchange::new(Arc::clone(&requests), stream, carries)
        }),
        Spoken::Http2(heads, links) => users(&shared, 0..places, |nth, _| {
            let link = Rc::clone(&links[nth % links.len()]);
            Slot::new(link, Arc::clone(&heads), nth)
        }),
    };
    let swept = tokio::task::spawn_local(sweep::run(Rc::clone(&shared), Alarm::new()?, said));
    let paced = async {
        pace(&shared, due, &mut alarm).await?;
        shared.turn(Mode::Drain);
        io::Result::Ok(())
    };
    tokio::select! {
        biased;
        asked = mode.wait_for(|mode| *mode > Mode::Send) => {
            shared.turn(asked.map_or(Mode::Cut, |mode| *mode));
        }
        paced = paced => paced?,
    }
    let ended = async {
        for user in users {
            drop(user.await);
        }
    };
    tokio::pin!(ended);
    tokio::select! {
        biased;
        () = &mut ended => {}
        asked = mode.wait_for(|mode| *mode == Mode::Cut) => {
            drop(asked);
            shared.turn(Mode::Cut);
            ended.await;
        }
    }
    shared.mode.set(Mode::Cut);
    drop(swept.await);
    Ok(())
}

/// What the connections of a lane speak.
enum Spoken {
    Http1(Arc<[Request]>, Vec<Option<Stream>>),
    Http2(Arc<[Head]>, Vec<Rc<Link>>),
}

/// A user for each of these, with what carries his requests.
fn users<T, C: Carrier + 'static>(
    shared: &Rc<Shared>,
    each: impl Iterator<Item = T>,
    carrier: impl Fn(usize, T) -> C,
) -> Vec<JoinHandle<()>> {
    let users = each.enumerate();
    let users = users.map(|(nth, one)| user::run(Rc::clone(shared), nth, carrier(nth, one)));
    users.map(tokio::task::spawn_local).collect()
}

/// These streams speak HTTP/2 from now on.
async fn linked(streams: impl Iterator<Item = Option<Stream>>, carries: u64) -> Vec<Rc<Link>> {
    let mut links = Vec::new();
    for stream in streams {
        let link = Link::new(carries);
        if let Some(stream) = stream {
            // One that is broken already is opened again by whoever needs it first.
            drop(link.opens(stream).await);
        }
        links.push(link);
    }
    links
}

/// How many requests may share so many connections.
fn slots(links: usize, in_flight_max: u64) -> usize {
    let shared = (links as u64).saturating_mul(STREAMS_MAX.into());
    let slots = shared.min(in_flight_max).min(SLOTS_MAX);
    usize::try_from(slots).unwrap_or(usize::MAX)
}

/// Opens the connections of a lane, and says why one could not be.
async fn open(work: &Work, share: &Share) -> (Vec<Option<Opened>>, Option<Failure>) {
    if work.carried.pool == Pool::New {
        return ((0..share.connections).map(|_| None).collect(), None);
    }
    // Neighbouring lanes begin with neighbouring addresses.
    let turn = |nth: u32| (nth + share.lane) as usize;
    let opening = stream::iter(0..share.connections).map(|nth| work.door.open(turn(nth)));
    let mut failure = None;
    let mut kept = |opened: Result<Opened, Failure>| match opened {
        Ok(opened) => Some(opened),
        Err(why) => {
            failure = Some(why);
            None
        }
    };
    let opened = opening.buffered(OPENING_MAX).map(&mut kept);
    (opened.collect().await, failure)
}

/// Makes what is due due, until the end.
async fn pace(shared: &Shared, due: Option<Pace>, alarm: &mut Alarm) -> io::Result<()> {
    let end = shared.start.plus(shared.work.lasts);
    let Some(due) = due else {
        return alarm.until(end).await;
    };
    let due = due.map(|due| (shared.start.plus(due.at), due));
    let mut batch = 0;
    for (at, due) in due.take_while(|(at, _)| *at < end) {
        let mut now = clock::now();
        if now < at {
            alarm
                .until(Mono(at.0.saturating_sub(shared.work.carried.spin.0)))
                .await?;
            now = clock::now();
            while now < at {
                // Answers are looked at in between.
                tokio::task::yield_now().await;
                now = clock::now();
            }
            batch = 0;
        } else if batch == BATCH {
            tokio::task::yield_now().await;
            (now, batch) = (clock::now(), 0);
        }
        batch += 1;
        shared.dispatch(due.number, at, now);
    }
    alarm.until(end).await
}
