//! What the tasks of a lane share: places for requests, and those that wait for one.
//!
//! ```text
//! due --> a place that is idle --woken--> its user sends it
//!     \-> the queue, while none is --> the next user who is done
//! ```

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    sync::Arc,
    task::Waker,
};

use nepho_common::{plan::Stripe, recording::Outcome, time::Mono};

use super::{super::pacer::Mode, lane::Work, sheet::Sheet};

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
    /// How many requests users who wait for answers have made.
    pub(super) asked: Cell<u64>,
    stripe: Stripe,
    in_flight_max: u64,
}

/// Where one request at a time can be.
#[derive(Default)]
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
    /// Which of the calls.
    pub(super) call: u16,
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

    /// Whether the time of what it does is over at this instant.
    pub(super) fn is_over(&self, at: Mono) -> bool {
        self.over.get().is_some_and(|over| over <= at)
    }

    /// Ends what it does if its time is over.
    pub(super) fn sweep(&self, now: Mono) {
        if self.is_over(now) {
            self.late.set(true);
            self.wake();
        }
    }
}

impl Shared {
    /// Nothing is under way yet.
    pub(super) fn new(
        work: Arc<Work>,
        start: Mono,
        (stripe, in_flight_max): (Stripe, u64),
        sheet: Sheet,
    ) -> Self {
        Self {
            work,
            start,
            mode: Cell::new(Mode::Send),
            places: Vec::new(),
            idle: RefCell::default(),
            queue: RefCell::default(),
            sheet: RefCell::new(sheet),
            open: Cell::new(0),
            asked: Cell::new(0),
            stripe,
            in_flight_max,
        }
    }

    /// It is due, and the lane turned to it at `dispatched`: a place that waits takes it, else it
    /// waits for one. What comes to its turn when its time is over is not sent: nobody would wait for
    /// its answer.
    pub(super) fn dispatch(&self, number: u64, intended: Mono, dispatched: Mono) {
        let due = Due {
            number,
            call: self.work.mix.call(number),
            intended,
            dispatched,
        };
        let mut sheet = self.sheet.borrow_mut();
        let counts = sheet.counts(intended);
        counts.offered += 1;
        if self.is_over(&due, dispatched) {
            sheet.unsent(&due, Outcome::Timeout, dispatched);
            return;
        }
        if self.open.get() >= self.in_flight_max {
            counts.shed += 1;
            return;
        }
        self.open.set(self.open.get() + 1);
        if let Some(nth) = self.idle.borrow_mut().pop_front() {
            self.places[nth].due.set(Some(due));
            self.places[nth].wake();
        } else {
            self.queue.borrow_mut().push_back(due);
        }
    }

    /// A user who waits for answers asks: no two requests have one number.
    pub(super) fn asks(&self, now: Mono) -> Due {
        self.open.set(self.open.get() + 1);
        self.sheet.borrow_mut().counts(now).offered += 1;
        let asked = self.asked.get();
        self.asked.set(asked + 1);
        let (first, step) = (self.stripe.index(), self.stripe.of());
        Due {
            number: u64::from(first) + asked * u64::from(step),
            call: self.work.mix.call(asked),
            intended: now,
            dispatched: now,
        }
    }

    /// When a user of a closed model begins to ask: with the start, and where users come in stairs with
    /// his own. He has a number among those of all lanes and agents, as requests have one: so each
    /// stair has exactly its users.
    pub(super) fn comes(&self, nth: usize) -> Option<Mono> {
        if self.work.model.is_open() {
            return None;
        }
        let Some(rise) = self.work.model.rise() else {
            return Some(self.start);
        };
        let (first, step) = (self.stripe.index(), self.stripe.of());
        let number = u64::from(first) + nth as u64 * u64::from(step);
        let lasts = self.work.lasts;
        let begins = rise.begins(number, lasts).unwrap_or(lasts);
        Some(self.start.plus(begins))
    }

    /// What goes out behind this one, if that was answered as it should be.
    pub(super) fn follows(&self, due: Due, now: Mono) -> Option<Due> {
        let call = due.call + 1;
        let follows = self.work.follows.get(usize::from(call));
        if follows != Some(&true) || self.mode.get() > Mode::Send || self.is_past(now) {
            return None;
        }
        self.sheet.borrow_mut().counts(now).offered += 1;
        Some(Due {
            call,
            intended: now,
            dispatched: now,
            ..due
        })
    }

    /// Whether what would be due now comes too late for the load, told or not that it is over.
    pub(super) fn is_past(&self, now: Mono) -> bool {
        now >= self.start.plus(self.work.lasts)
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
        while let Some(due) = queue.pop_front_if(|due| self.is_over(due, now)) {
            sheet.unsent(&due, Outcome::Timeout, now);
            self.closes();
        }
    }

    /// Whether the time of what is due by a schedule is over.
    fn is_over(&self, due: &Due, now: Mono) -> bool {
        due.intended.plus(self.work.timeout) <= now
    }
}
