//! One connection and the requests that it carries, one after the other.

use std::{
    future::poll_fn,
    io,
    rc::Rc,
    task::{Context, Poll},
};

use nepho_common::{
    load::Model,
    recording::Outcome,
    time::{Mono, Nanos},
};

use super::{
    super::{pacer::Mode, probe::Failure},
    http1::{Asked, Limits, Method, Progress, Reader},
    lane::{Due, Place, Shared},
    request::Request,
    sheet::Stamps,
    stream::Stream,
};
use crate::clock;

/// A closed user whose connection could not be opened asks again after so long: nothing paces him
/// but answers, and a target that refuses answers at once.
const REFUSED_PAUSE: Nanos = Nanos::from_millis(10);

/// Carries requests until nothing more is due.
pub(super) async fn run(shared: Rc<Shared>, nth: usize, stream: Option<Stream>) {
    let mut user = User {
        request: shared.work.request.clone(),
        reader: Reader::new(Limits::default()),
        shared: &shared,
        nth,
        stream,
    };
    while let Some((due, taken)) = user.next().await {
        let is_open = user.shared.work.model.is_open();
        let from = if is_open { due.intended } else { taken };
        let over = from.plus(user.shared.work.timeout);
        user.place().begins(over);
        let went = user.carry(due, taken).await;
        user.place().ends();
        user.shared.closes();
        if let Model::Closed { think } = user.shared.work.model {
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
    stream: Option<Stream>,
    request: Request,
    reader: Reader,
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
                return Poll::Ready(Some((due, clock::now())));
            }
            if self.shared.mode.get() > Mode::Send {
                self.leaves(waits);
                return Poll::Ready(None);
            }
            if !self.shared.work.model.is_open() {
                return Poll::Ready(Some(self.asks()));
            }
            self.place().wakes(cx.waker());
            if !waits {
                waits = true;
                self.shared.idle.borrow_mut().push_back(self.nth);
            }
            self.watch_idle(cx);
            Poll::Pending
        })
        .await
    }

    /// It takes something else than what a place that waits is given.
    fn leaves(&self, waits: bool) {
        if waits {
            let mut idle = self.shared.idle.borrow_mut();
            idle.retain(|nth| *nth != self.nth);
        }
    }

    /// The next request of a user who waits for answers is due as soon as he asks.
    fn asks(&self) -> (Due, Mono) {
        let now = clock::now();
        self.shared.open.set(self.shared.open.get() + 1);
        self.shared.sheet.borrow_mut().counts(now).offered += 1;
        let due = Due {
            number: u64::MAX,
            intended: now,
            dispatched: now,
        };
        (due, now)
    }

    /// A connection that the target closes while nobody uses it is not used again.
    fn watch_idle(&mut self, cx: &mut Context<'_>) {
        if let Some(stream) = &mut self.stream
            && stream.poll_read(cx, self.reader.spare()).is_ready()
        {
            self.stream = None;
        }
    }

    async fn pause(&self, pause: Nanos) {
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
    async fn carry(&mut self, due: Due, taken: Mono) -> bool {
        let taken = if self.stream.is_some() {
            taken
        } else {
            match self.connect().await {
                Ok(()) => clock::now(),
                Err(Stop::Cut) => {
                    self.shared.sheet.borrow_mut().counts(due.intended).cut += 1;
                    return true;
                }
                Err(Stop::Failed(outcome)) => {
                    let mut sheet = self.shared.sheet.borrow_mut();
                    sheet.unsent(due.intended, due.dispatched, outcome, clock::now());
                    return false;
                }
            }
        };
        let wrote = self.write(due.number).await;
        let sent = clock::now();
        self.went(due.intended);
        let mut first = None;
        let read = match wrote {
            Ok(()) => self.read(&mut first).await,
            Err(stop) => Err(stop),
        };
        let done = clock::now();
        let (outcome, received) = match read {
            Ok((outcome, received)) => (outcome, received),
            Err(Stop::Failed(outcome)) => (outcome, 0),
            Err(Stop::Cut) => {
                self.stream = None;
                self.shared.sheet.borrow_mut().counts(due.intended).cut += 1;
                return true;
            }
        };
        let stamps = Stamps {
            intended: due.intended,
            dispatched: due.dispatched,
            taken,
            sent,
            first,
            done,
        };
        let mut sheet = self.shared.sheet.borrow_mut();
        sheet.ended(&stamps, outcome, received);
        true
    }

    fn went(&self, intended: Mono) {
        let mut sheet = self.shared.sheet.borrow_mut();
        let counts = sheet.counts(intended);
        counts.sent += 1;
        counts.written += self.request.len();
    }

    async fn connect(&mut self) -> Result<(), Stop> {
        let shared = self.shared;
        let opening = shared.work.door.open(self.nth);
        tokio::pin!(opening);
        let opened = poll_fn(|cx| match self.stopped(cx) {
            Some(stop) => Poll::Ready(Err(stop)),
            None => opening
                .as_mut()
                .poll(cx)
                .map_err(|why: Failure| Stop::Failed(why.outcome())),
        })
        .await?;
        let mut sheet = shared.sheet.borrow_mut();
        sheet.connected(clock::now(), opened.connect, opened.handshake);
        self.stream = Some(opened.stream);
        self.reader.reset();
        Ok(())
    }

    /// Whether what is under way ends here; else it will be woken for that.
    fn stopped(&self, cx: &Context<'_>) -> Option<Stop> {
        let place = self.place();
        place.wakes(cx.waker());
        if self.shared.mode.get() == Mode::Cut {
            return Some(Stop::Cut);
        }
        place.is_late().then_some(Stop::Failed(Outcome::Timeout))
    }

    async fn write(&mut self, number: u64) -> Result<(), Stop> {
        let mut written = 0;
        let wrote = poll_fn(|cx| {
            loop {
                let Some(stream) = &mut self.stream else {
                    return Poll::Ready(Err(Stop::Failed(Outcome::OurSide)));
                };
                let rest = &self.request.numbered(number)[written..];
                let wrote = if rest.is_empty() {
                    stream.poll_flush(cx).map_ok(|()| None)
                } else {
                    stream.poll_write(cx, rest).map_ok(Some)
                };
                match wrote {
                    Poll::Ready(Ok(None)) => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(Some(0))) => return Poll::Ready(Err(broken())),
                    Poll::Ready(Ok(Some(more))) => written += more,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(failed(error))),
                    Poll::Pending => {
                        return match self.stopped(cx) {
                            Some(stop) => Poll::Ready(Err(stop)),
                            None => Poll::Pending,
                        };
                    }
                }
            }
        })
        .await;
        if wrote.is_err() {
            self.stream = None;
        }
        wrote
    }

    /// Reads one answer: how it ended, and its bytes.
    async fn read(&mut self, first: &mut Option<Mono>) -> Result<(Outcome, u64), Stop> {
        self.reader.begin(Asked {
            method: if self.request.is_head {
                Method::Head
            } else {
                Method::Other
            },
            kept: 0,
        });
        let read = poll_fn(|cx| {
            loop {
                let Some(stream) = &mut self.stream else {
                    return Poll::Ready(Err(Stop::Failed(Outcome::OurSide)));
                };
                let read = match stream.poll_read(cx, self.reader.spare()) {
                    Poll::Ready(read) => read,
                    Poll::Pending => {
                        return match self.stopped(cx) {
                            Some(stop) => Poll::Ready(Err(stop)),
                            None => Poll::Pending,
                        };
                    }
                };
                let progress = match read {
                    Ok(0) => self.reader.closed().map(Progress::Done),
                    Ok(more) => {
                        first.get_or_insert_with(clock::now);
                        self.reader.filled(more)
                    }
                    Err(error) => return Poll::Ready(Err(failed(error))),
                };
                match progress {
                    Ok(Progress::More) => {}
                    Ok(Progress::Done(response)) => return Poll::Ready(Ok(response)),
                    Err(bad) => return Poll::Ready(Err(Stop::Failed(bad.outcome()))),
                }
            }
        })
        .await;
        match read {
            Ok(response) => {
                if !response.keeps_alive || !self.reader.is_clean() {
                    self.stream = None;
                }
                let outcome = if (200..400).contains(&response.status) {
                    Outcome::Success
                } else {
                    Outcome::Status
                };
                Ok((outcome, response.wire_bytes))
            }
            Err(stop) => {
                self.stream = None;
                Err(stop)
            }
        }
    }
}

const fn broken() -> Stop {
    Stop::Failed(Outcome::Reset)
}

fn failed(error: io::Error) -> Stop {
    Stop::Failed(Failure::Talk(error).outcome())
}
