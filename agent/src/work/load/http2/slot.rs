//! A place for one request at a time on a connection that others share.

use std::{
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use h2::{Reason, RecvStream, SendStream, client::ResponseFuture};
use http::HeaderMap;
use hyper::body::Bytes;
use nepho_common::{recording::Outcome, time::Mono};

use super::{
    super::{
        super::probe::Failure,
        carrier::{Answer, Carrier, Took, Untouched},
        fill::Filling,
        judge::Heard,
        stream::Door,
        traced::{Name, Names},
    },
    Head, Link, Stamp, Way, outcome,
};

pub(in super::super) struct Slot {
    link: Rc<Link>,
    heads: Arc<[Head]>,
    nth: usize,
    /// Which of the heads is under way.
    call: usize,
    /// Head and body of the request that is under way.
    asks: Option<(http::Request<()>, Bytes)>,
    /// The connection of the last request.
    way: Option<Rc<Way>>,
    at: At,
    /// Whether it waits for a stream.
    waits: bool,
    /// Whether it has one.
    entered: bool,
    untouched: Untouched,
    is_first: bool,
    sent: Stamp,
    first: Option<Mono>,
    /// Of the last answer.
    kept: Kept,
}

/// How far the request is.
enum At {
    Idle,
    /// It has a stream, and so much of its body is still here.
    Sending(ResponseFuture, SendStream<Bytes>, Bytes),
    /// All of it went on its way.
    Asked(ResponseFuture),
    /// The head of the answer is here, and so it was.
    Body(u16, RecvStream),
}

/// What is kept of an answer.
#[derive(Default)]
struct Kept {
    headers: HeaderMap,
    /// The start of its body, as far as somebody looks at it.
    body: Vec<u8>,
    /// How long that was in all.
    body_bytes: u64,
}

impl Heard for Kept {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .get_all(name)
            .iter()
            .map(http::HeaderValue::as_bytes)
    }

    fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Kept {
    /// More of the body came, of which so much may be kept in all.
    fn adds(&mut self, data: &[u8], most: usize) {
        self.body_bytes += data.len() as u64;
        let room = most.saturating_sub(self.body.len()).min(data.len());
        self.body.extend_from_slice(&data[..room]);
    }
}

impl Slot {
    pub(in super::super) fn new(link: Rc<Link>, heads: Arc<[Head]>, nth: usize) -> Self {
        Self {
            link,
            heads,
            nth,
            call: 0,
            asks: None,
            way: None,
            at: At::Idle,
            waits: false,
            entered: false,
            untouched: Untouched::No,
            is_first: false,
            sent: Stamp::default(),
            first: None,
            kept: Kept::default(),
        }
    }

    /// The head of the answer is here.
    fn heard(&mut self, answer: http::Response<RecvStream>) {
        if let Some(way) = &self.way {
            self.first = Some(way.seen.came.get());
            way.seen.quiet.set(0);
        }
        let status = answer.status().as_u16();
        let (head, body) = answer.into_parts();
        self.kept.headers = head.headers;
        self.kept.body.clear();
        self.kept.body_bytes = 0;
        self.at = At::Body(status, body);
    }

    /// How it ended that the connection or the stream broke.
    fn broke(&mut self, error: h2::Error) -> Outcome {
        // RFC 9113 §6.8: streams beyond the last that the target names were not looked at.
        if error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR) {
            self.untouched = Untouched::ByTarget;
        }
        outcome(error)
    }

    fn poll_enter(&mut self, cx: &Context<'_>) -> Poll<Result<Rc<Way>, Outcome>> {
        let entered = self.link.poll_enter(self.nth, cx);
        self.waits |= entered.is_pending();
        entered
    }

    /// What is under way is over, whatever became of it.
    fn ends(&mut self) {
        self.at = At::Idle;
        if self.entered {
            self.entered = false;
            if let Some(way) = &self.way {
                way.active.set(way.active.get() - 1);
            }
            self.link.invites();
        }
    }
}

impl Carrier for Slot {
    fn is_open(&self) -> bool {
        self.link.is_open()
    }

    async fn connect(&mut self, door: &Door, turn: usize) -> Result<Option<Took>, Failure> {
        self.link.connect(door, turn).await
    }

    /// The connection watches itself.
    fn watch(&mut self, _: &mut Context<'_>) {}

    fn begins(&mut self, call: u16, of: Filling<'_>) {
        self.call = call.into();
        self.asks = self.heads[self.call].filled(of);
        (self.first, self.is_first, self.untouched) = (None, false, Untouched::No);
        // Whoever still holds the stamp of an earlier request must not stamp this one.
        match Rc::get_mut(&mut self.sent) {
            Some(sent) => sent.set(None),
            None => self.sent = Stamp::default(),
        }
    }

    fn poll_slot(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Outcome>> {
        let way = match ready!(self.poll_enter(cx)) {
            Ok(way) => way,
            Err(outcome) => {
                self.untouched = if self.link.is_spent.get() {
                    Untouched::ByUs
                } else {
                    Untouched::ByTarget
                };
                return Poll::Ready(Err(outcome));
            }
        };
        self.entered = true;
        let way = self.way.insert(way);
        // A sender that had to keep a request back takes no other: each request has its own.
        let sender = way.sender.borrow().clone();
        let mut sender = sender.ok_or(Outcome::Reset)?;
        // What an answer gave can make a request that none can be.
        let (head, body) = self.asks.take().ok_or(Outcome::Content)?;
        let asked = sender.send_request(head, body.is_empty());
        let (response, mut stream) = match asked {
            Ok(asked) => asked,
            Err(error) => {
                self.link.retires(way);
                self.untouched = Untouched::ByTarget;
                return Poll::Ready(Err(outcome(error)));
            }
        };
        self.is_first = self.link.took(way);
        stream.reserve_capacity(body.len());
        self.at = At::Sending(response, stream, body);
        Poll::Ready(Ok(std::mem::take(&mut self.waits)))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Outcome>> {
        loop {
            let at = std::mem::replace(&mut self.at, At::Idle);
            let At::Sending(mut response, mut stream, mut body) = at else {
                self.at = at;
                return Poll::Ready(Ok(()));
            };
            if body.is_empty() {
                self.at = At::Asked(response);
                let leaving = self.way.as_ref().map(|way| way.seen.leaving.borrow_mut());
                if let Some(mut leaving) = leaving {
                    leaving.push(Rc::clone(&self.sent));
                }
                return Poll::Ready(Ok(()));
            }
            // A target may answer, or refuse, before it has the whole body.
            if let Poll::Ready(answer) = Pin::new(&mut response).poll(cx) {
                let answer = answer.map_err(|error| self.broke(error))?;
                self.heard(answer);
                return Poll::Ready(Ok(()));
            }
            if let Poll::Ready(room) = stream.poll_capacity(cx) {
                let room = room.ok_or(Outcome::Reset)?;
                let room = room.map_err(|error| self.broke(error))?;
                let part = body.split_to(room.min(body.len()));
                let is_last = body.is_empty();
                let sent = stream.send_data(part, is_last);
                sent.map_err(|error| self.broke(error))?;
                stream.reserve_capacity(body.len());
                self.at = At::Sending(response, stream, body);
            } else {
                self.at = At::Sending(response, stream, body);
                return Poll::Pending;
            }
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Outcome>> {
        loop {
            match &mut self.at {
                At::Asked(response) => {
                    let answer = ready!(Pin::new(response).poll(cx));
                    let answer = answer.map_err(|error| self.broke(error))?;
                    self.heard(answer);
                }
                At::Body(status, body) => {
                    let seen = &self.way.as_ref().ok_or(Outcome::OurSide)?.seen;
                    let judge = &self.heads[self.call].judge;
                    while !body.is_end_stream() {
                        let Some(data) = ready!(body.poll_data(cx)) else {
                            break;
                        };
                        let data = data.map_err(outcome)?;
                        seen.quiet.set(0);
                        self.kept.adds(&data, judge.kept());
                        let released = body.flow_control().release_capacity(data.len());
                        released.map_err(outcome)?;
                    }
                    let answer = Answer {
                        outcome: judge.outcome(&self.kept, *status, self.kept.body_bytes),
                        is_whole: true,
                        received: seen.read.take(),
                        done: seen.came.get(),
                    };
                    self.ends();
                    return Poll::Ready(Ok(answer));
                }
                At::Idle | At::Sending(..) => return Poll::Ready(Err(Outcome::OurSide)),
            }
        }
    }

    fn sent(&self) -> Option<Mono> {
        self.sent.get()
    }

    fn first(&self) -> Option<Mono> {
        self.first
    }

    fn is_first(&self) -> bool {
        self.is_first
    }

    fn told(&self, names: &mut Names) -> Option<Name> {
        let peer = self.way.as_ref().map_or("", |way| way.peer.as_str());
        self.heads[self.call].judge.name(&self.kept, peer, names)
    }

    fn take(&self, taken: &mut [String]) {
        self.heads[self.call].judge.take(&self.kept, taken);
    }

    /// Of the whole connection, since somebody asked.
    fn written(&mut self) -> u64 {
        self.way.as_ref().map_or(0, |way| way.seen.written.take())
    }

    /// The stream is reset; the connection stays, if it is one.
    fn closes(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.link.gives_up(self.nth);
        }
        self.ends();
    }

    fn untouched(&self) -> Untouched {
        self.untouched
    }
}
