//! A lane: one thread with its share of the connections and of the schedule. Nothing of a request
//! is shared between lanes.
//!
//! ```text
//! pacer --due--> idle place, or the queue --user--> connection --> sheet --every second--> told
//!                                 sweep: ends what is over, says how the lane did
//! ```

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    rc::Rc,
    sync::Arc,
    task::Waker,
};

use futures_util::{StreamExt as _, stream};
use nepho_agent_core::pace::Pace;
use nepho_common::{
    load::{Counted, Model},
    recording::Outcome,
    time::{Mono, Nanos},
};
use tokio::{
    sync::{mpsc, watch},
    task::LocalSet,
};

use super::{
    super::{pacer::Mode, probe::Failure},
    request::Request,
    sheet::Sheet,
    stream::{Door, Opened},
    sweep, user,
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
    pub(super) request: Request,
    pub(super) door: Door,
    pub(super) model: Model,
    pub(super) lasts: Nanos,
    pub(super) timeout: Nanos,
}

/// What one lane does of it.
pub(super) struct Share {
    pub(super) lane: u32,
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

/// What the tasks of a lane share.
pub(super) struct Shared {
    pub(super) work: Arc<Work>,
    pub(super) start: Mono,
    pub(super) mode: Cell<Mode>,
    pub(super) places: Vec<Place>,
    /// Places that wait for a request, the longest waiting one first: each connection has its turn.
    pub(super) idle: RefCell<VecDeque<usize>>,
    /// Requests that wait for a place.
    pub(super) queue: RefCell<VecDeque<Due>>,
    pub(super) sheet: RefCell<Sheet>,
    /// Requests that wait or are open.
    pub(super) open: Cell<u64>,
    in_flight_max: u64,
}

/// Where one connection is.
pub(super) struct Place {
    /// What it is to send next.
    pub(super) due: Cell<Option<Due>>,
    /// When what it does is over, if it does anything.
    over: Cell<Option<Mono>>,
    /// Whether that has come.
    late: Cell<bool>,
    /// Whom to wake for either.
    waker: RefCell<Option<Waker>>,
}

/// A request that is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub(super) number: u64,
    pub(super) intended: Mono,
    pub(super) dispatched: Mono,
}

impl Place {
    pub(super) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    pub(super) fn wakes(&self, waker: &Waker) {
        let mut mine = self.waker.borrow_mut();
        match &mut *mine {
            Some(mine) => mine.clone_from(waker),
            None => *mine = Some(waker.clone()),
        }
    }

    /// It begins a request whose time is over at this instant.
    pub(super) fn begins(&self, over: Mono) {
        self.late.set(false);
        self.over.set(Some(over));
    }

    /// It does nothing.
    pub(super) fn ends(&self) {
        self.over.set(None);
    }

    /// Whether the time of what it does is over. The sweep says so: an answer costs no look at the
    /// clock for that.
    pub(super) const fn is_late(&self) -> bool {
        self.late.get()
    }

    /// Ends what it does if its time is over.
    pub(super) fn sweep(&self, now: Mono) {
        if self.over.get().is_some_and(|over| over <= now) {
            self.late.set(true);
            self.wake();
        }
    }
}

impl Shared {
    /// It is due: a place that waits takes it, else it waits for one.
    fn dispatch(&self, number: u64, intended: Mono) {
        let dispatched = clock::now();
        let mut sheet = self.sheet.borrow_mut();
        let counts = sheet.counts(intended);
        counts.offered += 1;
        if self.open.get() >= self.in_flight_max {
            counts.shed += 1;
            return;
        }
        self.open.set(self.open.get() + 1);
        let due = Due {
            number,
            intended,
            dispatched,
        };
        if let Some(nth) = self.idle.borrow_mut().pop_front() {
            self.places[nth].due.set(Some(due));
            self.places[nth].wake();
        } else {
            self.queue.borrow_mut().push_back(due);
        }
    }

    /// From now on nothing more is due.
    pub(super) fn turn(&self, mode: Mode) {
        self.mode.set(mode);
        if mode == Mode::Cut {
            let mut sheet = self.sheet.borrow_mut();
            for due in self.queue.borrow_mut().drain(..) {
                sheet.counts(due.intended).cut += 1;
                self.open.set(self.open.get() - 1);
            }
        }
        for place in &self.places {
            place.wake();
        }
    }

    /// A request came to an end.
    pub(super) fn closes(&self) {
        self.open.set(self.open.get() - 1);
    }

    /// Requests whose time was over while they waited for a place.
    pub(super) fn expire(&self, now: Mono) {
        let mut queue = self.queue.borrow_mut();
        let mut sheet = self.sheet.borrow_mut();
        let is_over = |due: &Due| due.intended.plus(self.work.timeout) <= now;
        while let Some(due) = queue.pop_front_if(|due| is_over(due)) {
            sheet.unsent(due.intended, due.dispatched, Outcome::Timeout, now);
            self.closes();
        }
    }
}

/// Runs a lane to its end, on this thread.
pub(super) fn run(
    work: Arc<Work>,
    mut share: Share,
    start: watch::Receiver<Option<Mono>>,
    mode: watch::Receiver<Mode>,
    said: &mpsc::Sender<Said>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Sockets and the alarm are looked at after so many steps at the latest.
        .event_interval(EVENT_INTERVAL)
        .build();
    let ran = runtime.and_then(|runtime| {
        let due = share.due.take();
        let lane = lane(work, &share, due, start, mode, said.clone());
        LocalSet::new().block_on(&runtime, lane)
    });
    if let Err(error) = ran {
        // Nobody listens only when everything ends.
        drop(said.blocking_send(Said::Broken(error)));
    }
}

/// Steps of tasks between two looks at sockets and timers. Tokio's own figure of 61 lets an alarm
/// ring a tenth of a millisecond late under load.
const EVENT_INTERVAL: u32 = 16;

async fn lane(
    work: Arc<Work>,
    share: &Share,
    due: Option<Pace>,
    mut start: watch::Receiver<Option<Mono>>,
    mut mode: watch::Receiver<Mode>,
    said: mpsc::Sender<Said>,
) -> io::Result<()> {
    let mut alarm = Alarm::new()?;
    let (opened, failure) = open(&work.door, share).await;
    let count = u32::try_from(opened.iter().flatten().count()).unwrap_or(u32::MAX);
    drop(said.send(Said::Opened(count, failure)).await);
    let Ok(start) = start.wait_for(Option::is_some).await.map(|start| *start) else {
        return Ok(());
    };
    let start = start.expect("it was waited for");
    let shared = Rc::new(shared(work, share, start, &opened));
    let users: Vec<_> = opened
        .into_iter()
        .enumerate()
        .map(|(nth, opened)| {
            let stream = opened.map(|opened| opened.stream);
            tokio::task::spawn_local(user::run(Rc::clone(&shared), nth, stream))
        })
        .collect();
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

fn shared(work: Arc<Work>, share: &Share, start: Mono, opened: &[Option<Opened>]) -> Shared {
    let mut sheet = Sheet::new(share.lane, start);
    for one in opened.iter().flatten() {
        sheet.connected(start, one.connect, one.handshake);
    }
    let place = |_| Place {
        due: Cell::new(None),
        over: Cell::new(None),
        late: Cell::new(false),
        waker: RefCell::new(None),
    };
    Shared {
        work,
        start,
        mode: Cell::new(Mode::Send),
        places: (0..opened.len()).map(place).collect(),
        idle: RefCell::default(),
        queue: RefCell::default(),
        sheet: RefCell::new(sheet),
        open: Cell::new(0),
        in_flight_max: share.in_flight_max,
    }
}

/// Opens the connections of a lane, and says why one could not be.
async fn open(door: &Door, share: &Share) -> (Vec<Option<Opened>>, Option<Failure>) {
    // Neighbouring lanes begin with neighbouring addresses.
    let turn = |nth: u32| (nth + share.lane) as usize;
    let opening = stream::iter(0..share.connections).map(|nth| door.open(turn(nth)));
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
        if clock::now() < at {
            alarm.until(at).await?;
            batch = 0;
        } else if batch == BATCH {
            tokio::task::yield_now().await;
            batch = 0;
        }
        batch += 1;
        shared.dispatch(due.number, at);
    }
    alarm.until(end).await
}
