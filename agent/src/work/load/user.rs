//! What one connection does: it takes what is due, sends it, and waits for the answer.

use std::{
    future::poll_fn,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use nepho_common::{
    load::Model,
    recording::Outcome,
    time::{Mono, Nanos},
};

use super::{
    super::{pacer::Mode, probe::Failure},
    exchange::{Answer, Exchange},
    places::{Due, Place, Shared},
    sheet::Stamps,
    stream::Stream,
    traced::Ended,
};
use crate::clock;

/// A closed user whose connection could not be opened asks again after so long: nothing paces him
/// but answers, and a target that refuses answers at once.
const REFUSED_PAUSE: Nanos = Nanos::from_millis(10);

/// Carries requests until nothing more is due.
pub(super) async fn run(shared: Rc<Shared>, nth: usize, stream: Option<Stream>) {
    let mut user = User {
        exchange: Exchange::new(Arc::clone(&shared.work.requests), stream),
        shared: &shared,
        nth,
        freed: None,
    };
    let is_open = shared.work.model.is_open();
    while let Some((due, taken)) = user.next().await {
        let from = if is_open { due.intended } else { taken };
        user.place().begins(from.plus(shared.work.timeout));
        let went = user.carry(due, taken).await;
        user.place().ends();
        shared.closes();
        if let Model::Closed { think } = shared.work.model {
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

struct User<'a> {
    shared: &'a Shared,
    nth: usize,
    exchange: Exchange,
    /// When the last request ended, as long as nothing was waited for since: the next one begins at
    /// that very instant, which is not read from the clock again.
    freed: Option<Mono>,
}

/// Why a request that is under way goes no further.
enum Stop {
    /// It failed.
    Failed(Outcome),
    /// The lane was told to end at once.
    Cut,
}

impl User<'_> {
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
            let queued = self.shared.queue.borrow_mut().pop_front();
            if let Some(due) = queued {
                self.leaves(waits);
                return Poll::Ready(Some((due, self.now())));
            }
            if self.shared.mode.get() > Mode::Send {
                self.leaves(waits);
                return Poll::Ready(None);
            }
            if !self.shared.work.model.is_open() {
                return Poll::Ready(Some(self.asks()));
            }
            self.freed = None;
            self.place().wakes(cx.waker());
            if !waits {
                waits = true;
                self.shared.idle.borrow_mut().push_back(self.nth);
            }
            self.exchange.watch(cx);
            Poll::Pending
        })
        .await
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
    fn asks(&mut self) -> (Due, Mono) {
        let now = self.now();
        self.shared.open.set(self.shared.open.get() + 1);
        self.shared.sheet.borrow_mut().counts(now).offered += 1;
        let asked = self.shared.asked.get();
        self.shared.asked.set(asked + 1);
        let due = Due {
            number: u64::MAX,
            call: self.shared.work.mix.call(asked),
            intended: now,
            dispatched: now,
        };
        (due, now)
    }

    async fn pause(&mut self, pause: Nanos) {
        self.freed = None;
        let until = clock::now().plus(pause);
        let slept = tokio::time::sleep(pause.duration());
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

    /// Carries one request; `false` when there was no connection for it.
    async fn carry(&mut self, due: Due, mut taken: Mono) -> bool {
        if !self.exchange.is_open() {
            match self.connect().await {
                Ok(()) => taken = clock::now(),
                Err(Stop::Cut) => {
                    self.cut(due);
                    return true;
                }
                Err(Stop::Failed(outcome)) => {
                    let mut sheet = self.shared.sheet.borrow_mut();
                    sheet.unsent(&due, outcome, clock::now());
                    return false;
                }
            }
        }
        let is_first = self.exchange.begins(due.call, due.number);
        let wrote = poll_fn(|cx| {
            let sent = self.exchange.poll_send(cx);
            self.or_stop(cx, sent)
        });
        let wrote = wrote.await;
        let sent = clock::now();
        self.went(due.intended);
        let answered = match wrote {
            Ok(()) => {
                let answered = poll_fn(|cx| {
                    let answer = self.exchange.poll_answer(cx);
                    self.or_stop(cx, answer)
                });
                answered.await
            }
            Err(stop) => Err(stop),
        };
        let answer = match answered {
            Ok(answer) => answer,
            Err(Stop::Failed(outcome)) => {
                let first = self.exchange.first();
                self.exchange.closes();
                Answer {
                    outcome,
                    received: 0,
                    is_whole: false,
                    first,
                    done: clock::now(),
                }
            }
            Err(Stop::Cut) => {
                self.exchange.closes();
                self.cut(due);
                return true;
            }
        };
        let stamps = Stamps {
            intended: due.intended,
            dispatched: due.dispatched,
            taken,
            sent,
            first: answer.first,
            done: answer.done,
        };
        self.freed = Some(answer.done);
        let mut sheet = self.shared.sheet.borrow_mut();
        // Whoever is not named by a failure that never came to an answer is not named by the one before.
        let by = sheet.names.as_mut().filter(|_| answer.is_whole);
        let by = by.and_then(|names| self.exchange.told(names));
        let ended = Ended {
            intended: due.intended,
            call: due.call,
            by,
            outcome: answer.outcome,
            is_first,
        };
        sheet.ended(&stamps, ended, answer.received);
        true
    }

    fn went(&self, intended: Mono) {
        let mut sheet = self.shared.sheet.borrow_mut();
        let counts = sheet.counts(intended);
        counts.sent += 1;
        counts.written += self.exchange.request_len();
    }

    fn cut(&self, due: Due) {
        self.shared.sheet.borrow_mut().counts(due.intended).cut += 1;
    }

    async fn connect(&mut self) -> Result<(), Stop> {
        let shared = self.shared;
        let opening = shared.work.door.open(self.nth);
        tokio::pin!(opening);
        let opened = poll_fn(|cx| {
            let opened = opening.as_mut().poll(cx);
            self.or_stop(cx, opened.map_err(|why: Failure| why.outcome()))
        });
        let opened = opened.await?;
        let mut sheet = shared.sheet.borrow_mut();
        sheet.connected(clock::now(), opened.connect, opened.handshake);
        self.exchange.opens(opened.stream);
        Ok(())
    }

    /// What came of it; while nothing did, whether it ends here. Else it will be woken for that.
    fn or_stop<T>(
        &self,
        cx: &Context<'_>,
        came: Poll<Result<T, Outcome>>,
    ) -> Poll<Result<T, Stop>> {
        if let Poll::Ready(came) = came {
            return Poll::Ready(came.map_err(Stop::Failed));
        }
        let place = self.place();
        place.wakes(cx.waker());
        if self.shared.mode.get() == Mode::Cut {
            return Poll::Ready(Err(Stop::Cut));
        }
        if place.is_late() {
            return Poll::Ready(Err(Stop::Failed(Outcome::Timeout)));
        }
        Poll::Pending
    }
}
