//! What one user of a connection does: he takes what is due, sends it, and waits for the answer.

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
};

use nepho_common::{
    load::Model,
    recording::Outcome,
    time::{Mono, Nanos},
};

use super::{
    super::pacer::Mode,
    carrier::{Answer, Carrier, Untouched},
    fill::Filling,
    places::{Due, Place, Shared},
    sheet::Stamps,
    traced::Ended,
};
use crate::clock;

/// A closed user whose connection could not be opened asks again after so long: nothing paces him
/// but answers, and a target that refuses answers at once.
const REFUSED_PAUSE: Nanos = Nanos::from_millis(10);

/// Carries requests until nothing more is due.
pub(super) async fn run<C: Carrier>(shared: Rc<Shared>, nth: usize, carrier: C) {
    let mut user = User {
        shared: &shared,
        nth,
        carrier,
        freed: None,
        last: None,
        taken: vec![String::new(); shared.work.taken],
    };
    let is_open = shared.work.model.is_open();
    user.comes().await;
    while let Some((mut due, taken)) = user.next().await {
        let from = if is_open { due.intended } else { taken };
        user.place().begins(from.plus(shared.work.timeout));
        let mut went = user.carry(due, taken).await;
        while let Some(next) = user.follows(due) {
            due = next;
            user.place().begins(due.intended.plus(shared.work.timeout));
            went = user.carry(due, due.intended).await;
        }
        user.place().ends();
        shared.closes();
        if let Model::Closed { think, .. } = shared.work.model {
            let pause = if went {
                think
            } else {
                think.max(REFUSED_PAUSE)
            };
            if pause > Nanos(0) {
                user.pause(pause).await;
            }
        }
    }
}

struct User<'a, C> {
    shared: &'a Shared,
    nth: usize,
    carrier: C,
    /// When the last request ended, as long as nothing was waited for since: the next one begins at
    /// that very instant, which is not read from the clock again.
    freed: Option<Mono>,
    /// How the last request ended that was sent.
    last: Option<Outcome>,
    /// What answers of the flow gave that is under way.
    taken: Vec<String>,
}

/// Why a request that is under way goes no further.
enum Stop {
    /// It failed.
    Failed(Outcome),
    /// The lane was told to end at once.
    Cut,
}

impl<C: Carrier> User<'_, C> {
    fn place(&self) -> &Place {
        &self.shared.places[self.nth]
    }

    /// What to send next, and since when this connection has it. `None` at the end.
    async fn next(&mut self) -> Option<(Due, Mono)> {
        let mut waits = false;
        poll_fn(|cx| {
            if let Some(due) = self.place().due.take() {
                return Poll::Ready(Some((due, due.dispatched)));
            }
            if let Some(queued) = self.queued() {
                self.leaves(waits);
                return Poll::Ready(Some(queued));
            }
            if self.shared.mode.get() > Mode::Send {
                self.leaves(waits);
                return Poll::Ready(None);
            }
            if !self.shared.work.model.is_open() {
                return Poll::Ready(self.asks());
            }
            self.freed = None;
            self.place().wakes(cx.waker());
            if !waits {
                waits = true;
                self.shared.idle.borrow_mut().push_back(self.nth);
            }
            self.carrier.watch(cx);
            Poll::Pending
        })
        .await
    }

    /// What waited longest for a place, and can still be sent in time.
    fn queued(&mut self) -> Option<(Due, Mono)> {
        if self.shared.queue.borrow().is_empty() {
            return None;
        }
        let now = self.now();
        self.shared.expire(now);
        let due = self.shared.queue.borrow_mut().pop_front()?;
        Some((due, now))
    }

    fn now(&mut self) -> Mono {
        self.freed.take().unwrap_or_else(clock::now)
    }

    /// It takes something else than what a place that waits is given.
    fn leaves(&self, waits: bool) {
        if waits {
            let mut idle = self.shared.idle.borrow_mut();
            idle.retain(|nth| *nth != self.nth);
        }
    }

    /// The next request of a user who waits for answers is due as soon as he asks.
    fn asks(&mut self) -> Option<(Due, Mono)> {
        let now = self.now();
        (!self.shared.is_past(now)).then(|| (self.shared.asks(now), now))
    }

    /// What goes out behind this one in its flow, with what that gave.
    fn follows(&mut self, due: Due) -> Option<Due> {
        if self.last != Some(Outcome::Success) {
            return None;
        }
        self.carrier.take(&mut self.taken);
        let now = self.freed.unwrap_or_else(clock::now);
        self.shared.follows(due, now)
    }

    /// Waits for the start, or for the stair that he comes with; one whom none has waits for the end.
    async fn comes(&mut self) {
        if let Some(at) = self.shared.comes(self.nth) {
            self.sleeps(at).await;
        }
    }

    async fn pause(&mut self, pause: Nanos) {
        self.sleeps(clock::now().plus(pause)).await;
    }

    async fn sleeps(&mut self, until: Mono) {
        self.freed = None;
        let slept = tokio::time::sleep(until.since(clock::now()).duration());
        tokio::pin!(slept);
        poll_fn(|cx| {
            self.place().wakes(cx.waker());
            if self.shared.mode.get() > Mode::Send || clock::now() >= until {
                return Poll::Ready(());
            }
            slept.as_mut().poll(cx)
        })
        .await;
    }

    /// Carries one request; `false` when it could not be sent.
    async fn carry(&mut self, due: Due, mut taken: Mono) -> bool {
        let mut went = false;
        self.last = None;
        let answered = loop {
            match self.ready(due).await {
                Ok(waited) if waited || went => taken = clock::now(),
                Ok(_) => {}
                Err(stop) if went => break Err(stop),
                Err(stop) => return self.unsent(due, stop),
            }
            let answered = match self.send().await {
                Ok(()) => {
                    self.went(due.intended, went);
                    self.answer().await
                }
                Err(stop) => {
                    self.went(due.intended, went);
                    Err(stop)
                }
            };
            let failed = matches!(answered, Err(Stop::Failed(_)));
            if went || !failed || self.carrier.untouched() == Untouched::No {
                break answered;
            }
            // The target did not look at it (RFC 9113 §6.8): it goes out again, once.
            self.carrier.closes();
            went = true;
        };
        self.ended(due, taken, answered);
        true
    }

    /// How a request ended that was sent.
    fn ended(&mut self, due: Due, taken: Mono, answered: Result<Answer, Stop>) {
        let (sent, first) = (self.carrier.sent(), self.carrier.first());
        let answer = match answered {
            Ok(answer) => answer,
            Err(stop) => {
                self.carrier.closes();
                let Stop::Failed(outcome) = stop else {
                    self.cut(due);
                    return;
                };
                Answer {
                    outcome,
                    is_whole: false,
                    received: 0,
                    done: clock::now(),
                }
            }
        };
        // What several requests share is stamped for all of them, by a moment early or late. What
        // never went out whole was being sent to its end.
        let sent = sent.unwrap_or(answer.done).max(taken);
        let done = answer.done.max(sent);
        let outcome = self.in_time(answer.outcome, done);
        (self.freed, self.last) = (Some(done), Some(outcome));
        let stamps = Stamps {
            intended: due.intended,
            dispatched: due.dispatched,
            taken,
            sent,
            first,
            done,
        };
        let mut sheet = self.shared.sheet.borrow_mut();
        // Whoever is not named by a failure that never came to an answer is not named by the one before.
        let by = sheet.names.as_mut().filter(|_| answer.is_whole);
        let by = by.and_then(|names| self.carrier.told(names));
        let ended = Ended {
            intended: due.intended,
            call: due.call,
            by,
            outcome,
            is_first: self.carrier.is_first(),
        };
        sheet.ended(&stamps, ended, answer.received);
        sheet.counts(due.intended).written += self.carrier.written();
    }

    /// What came when its time was over came for nobody, whoever was late. What failed on our side
    /// is told as that.
    fn in_time(&self, outcome: Outcome, done: Mono) -> Outcome {
        if outcome != Outcome::OurSide && self.place().is_over(done) {
            Outcome::Timeout
        } else {
            outcome
        }
    }

    /// It had no connection, or no place on one.
    fn unsent(&mut self, due: Due, stop: Stop) -> bool {
        self.carrier.closes();
        match stop {
            Stop::Cut => {
                self.cut(due);
                true
            }
            Stop::Failed(outcome) => {
                let mut sheet = self.shared.sheet.borrow_mut();
                sheet.unsent(&due, outcome, clock::now());
                false
            }
        }
    }

    /// It is sent; one that went out `before` is not counted again.
    fn went(&mut self, intended: Mono, before: bool) {
        let mut sheet = self.shared.sheet.borrow_mut();
        let counts = sheet.counts(intended);
        counts.sent += u64::from(!before);
        counts.written += self.carrier.written();
    }

    fn cut(&self, due: Due) {
        self.shared.sheet.borrow_mut().counts(due.intended).cut += 1;
    }

    /// Finds it a connection and a place on that; whether it had to wait for either.
    async fn ready(&mut self, due: Due) -> Result<bool, Stop> {
        let mut waited = false;
        loop {
            if !self.carrier.is_open() {
                self.connect().await?;
                waited = true;
                self.still_in_time()?;
            }
            let of = Filling {
                number: due.number,
                taken: &self.taken,
            };
            self.carrier.begins(due.call, of);
            let stop = match self.slot().await {
                Ok(slot) => return Ok(waited || slot),
                Err(stop) => stop,
            };
            // Whoever waited on a connection that takes nothing more asks for the next: once if it
            // was the target who said so.
            let again = matches!(stop, Stop::Failed(_))
                && match self.carrier.untouched() {
                    Untouched::No => false,
                    Untouched::ByTarget => !waited,
                    Untouched::ByUs => true,
                };
            if !again {
                return Err(stop);
            }
            self.carrier.closes();
        }
    }

    /// Nothing is sent after it was waited for too long.
    fn still_in_time(&self) -> Result<(), Stop> {
        if self.place().is_over(clock::now()) {
            return Err(Stop::Failed(Outcome::Timeout));
        }
        Ok(())
    }

    async fn connect(&mut self) -> Result<(), Stop> {
        let (shared, nth) = (self.shared, self.nth);
        let opening = self.carrier.connect(&shared.work.door, nth);
        tokio::pin!(opening);
        let took = poll_fn(|cx| {
            let took = opening.as_mut().poll(cx);
            or_stop(shared, nth, cx, took.map_err(|why| why.outcome()))
        });
        if let Some(took) = took.await? {
            let mut sheet = shared.sheet.borrow_mut();
            sheet.connected(clock::now(), took.connect, took.handshake);
        }
        Ok(())
    }

    async fn slot(&mut self) -> Result<bool, Stop> {
        let mut waits = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut waits, true) {
                self.still_in_time()?;
            }
            let slot = self.carrier.poll_slot(cx);
            or_stop(self.shared, self.nth, cx, slot)
        })
        .await
    }

    async fn send(&mut self) -> Result<(), Stop> {
        poll_fn(|cx| {
            let sent = self.carrier.poll_send(cx);
            or_stop(self.shared, self.nth, cx, sent)
        })
        .await
    }

    async fn answer(&mut self) -> Result<Answer, Stop> {
        poll_fn(|cx| {
            let answer = self.carrier.poll_answer(cx);
            or_stop(self.shared, self.nth, cx, answer)
        })
        .await
    }
}

/// What came of it; while nothing did, whether it ends here. Else it will be woken for that.
fn or_stop<T>(
    shared: &Shared,
    nth: usize,
    cx: &Context<'_>,
    came: Poll<Result<T, Outcome>>,
) -> Poll<Result<T, Stop>> {
    if let Poll::Ready(came) = came {
        return Poll::Ready(came.map_err(Stop::Failed));
    }
    let place = &shared.places[nth];
    place.wakes(cx.waker());
    if shared.mode.get() == Mode::Cut {
        return Poll::Ready(Err(Stop::Cut));
    }
    if place.is_late() {
        return Poll::Ready(Err(Stop::Failed(Outcome::Timeout)));
    }
    Poll::Pending
}
