//! One peer: what it asked, and what it is still owed.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice, Read as _, Write as _},
    mem,
    net::{Shutdown, TcpStream},
};

use rustix::event::epoll::EventFlags;

use super::{
    answers::{Answer, Answers},
    clock::Stamp,
    head::{self, Body, Head, Method, Parsed},
    server::Desk,
    stamps::Place,
};

/// With so many requests unanswered a peer is not read on: it could ask faster than it listens.
const MOST_UNANSWERED: usize = 1024;
/// Answers that go to the kernel in one call; it takes up to 1024.
const MOST_AT_ONCE: usize = 64;

/// An answer to a request of this connection, and where its stamps go.
#[derive(Debug)]
pub(super) struct Owed {
    answer: Answer,
    place: Place,
}

/// What becomes of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Stays,
    Over,
}

#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// The beginning of a head whose rest has not come.
    partial: Vec<u8>,
    /// What is still to come of the newest request's body. Its answer is held back until then.
    body_left: u64,
    /// Requests so far.
    asked: u64,
    /// Requests whose answers are not due yet.
    waiting: usize,
    /// Answers that are due, in the order of the requests.
    owed: VecDeque<Owed>,
    /// How much of the first of them the kernel has.
    sent: usize,
    /// The kernel takes no more for now.
    blocked: bool,
    /// No request comes any more that would be answered.
    asked_all: bool,
    /// Everything is answered and our side is shut. To close before the peer does would send a
    /// reset, which could overtake the last answer.
    lingers: bool,
}

impl Connection {
    /// `stream` must not block.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            partial: Vec::new(),
            body_left: 0,
            asked: 0,
            waiting: 0,
            owed: VecDeque::new(),
            sent: 0,
            blocked: false,
            asked_all: false,
            lingers: false,
        }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// What the loop is to look for.
    pub(super) fn interest(&self) -> EventFlags {
        let full = self.waiting + self.owed.len() >= MOST_UNANSWERED;
        let done = self.asked_all && self.body_left == 0;
        if self.lingers {
            EventFlags::IN
        } else if self.blocked {
            EventFlags::OUT
        } else if full || done {
            EventFlags::empty()
        } else {
            EventFlags::IN
        }
    }

    /// Takes what has come, once: if there is more, the loop calls again.
    pub(super) fn read(&mut self, id: u64, buffer: &mut [u8], desk: &mut Desk) -> io::Result<Fate> {
        let length = match self.stream.read(buffer) {
            Ok(length) => length,
            Err(error) if is_for_later(&error) => return Ok(Fate::Stays),
            Err(error) => return Err(error),
        };
        match buffer.get(..length) {
            Some([]) | None if self.lingers || self.body_left > 0 => return Ok(Fate::Over),
            Some([]) | None => self.asked_all = true,
            Some(_) if self.lingers => return Ok(Fate::Stays),
            Some(fresh) => self.take(id, fresh, Stamp::now(), desk),
        }
        self.answer(desk)
    }

    /// An answer that waited is due.
    pub(super) fn due(&mut self, owed: Owed, desk: &mut Desk) -> io::Result<Fate> {
        self.waiting -= 1;
        self.owed.push_back(owed);
        self.answer(desk)
    }

    /// Hands over what is due.
    pub(super) fn answer(&mut self, desk: &mut Desk) -> io::Result<Fate> {
        self.blocked = false;
        loop {
            let held = usize::from(self.body_left > 0 && self.waiting == 0);
            let ready = self.owed.len().saturating_sub(held);
            if ready == 0 {
                break;
            }
            match self.hand_over(ready, &desk.answers) {
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.blocked = true;
                    break;
                }
                Err(error) => return Err(error),
            }
            self.stamp(desk);
        }
        let answered = self.owed.is_empty() && self.waiting == 0 && self.body_left == 0;
        if self.asked_all && answered && !self.lingers {
            self.stream.shutdown(Shutdown::Write)?;
            self.lingers = true;
        }
        Ok(Fate::Stays)
    }

    fn take(&mut self, id: u64, fresh: &[u8], now: Stamp, desk: &mut Desk) {
        let mut kept = mem::take(&mut self.partial);
        let mut rest = if kept.is_empty() {
            fresh
        } else {
            kept.extend_from_slice(fresh);
            &kept
        };
        loop {
            let body = usize::try_from(self.body_left).unwrap_or(usize::MAX);
            let (body, after) = rest.split_at(body.min(rest.len()));
            self.body_left -= body.len() as u64;
            rest = after;
            // What comes after the last request is forgotten.
            if rest.is_empty() || self.asked_all {
                return;
            }
            match head::parse(rest) {
                Parsed::Partial => {
                    self.partial = rest.to_vec();
                    return;
                }
                Parsed::Head(head) => {
                    rest = rest.get(head.length..).unwrap_or_default();
                    self.ask(id, &head, now, desk);
                }
                Parsed::NotHttp => self.refuse(id, Answer::NotHttp, now, desk),
                Parsed::TooLarge => self.refuse(id, Answer::TooLarge, now, desk),
            }
        }
    }

    fn ask(&mut self, id: u64, head: &Head, now: Stamp, desk: &mut Desk) {
        self.asked += 1;
        let answer = match (head.method, head.body) {
            (Method::Other, _) => Answer::Method,
            (Method::GetOrPost, Body::Unsized) => Answer::Unsized,
            (Method::GetOrPost, Body::Bytes(length)) => {
                self.body_left = length;
                if head.last || desk.is_last(self.asked) {
                    Answer::Last
                } else {
                    Answer::Ok
                }
            }
        };
        let (place, due) = desk.came(head.slot, now);
        self.owe(id, Owed { answer, place }, due, desk);
    }

    fn refuse(&mut self, id: u64, answer: Answer, now: Stamp, desk: &mut Desk) {
        let due = desk.pace.due_for_refusal(now);
        let owed = Owed {
            answer,
            place: None,
        };
        self.owe(id, owed, due, desk);
    }

    fn owe(&mut self, id: u64, owed: Owed, due: Option<Stamp>, desk: &mut Desk) {
        self.asked_all |= owed.answer.ends();
        match due {
            None => self.owed.push_back(owed),
            Some(at) => {
                self.waiting += 1;
                desk.wait(at, id, owed);
            }
        }
    }

    /// Gives the kernel the first answers that are owed, as far as it takes them in one call.
    fn hand_over(&mut self, ready: usize, answers: &Answers) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); MOST_AT_ONCE];
        let mut skip = self.sent;
        let mut filled = 0;
        for (slice, owed) in slices.iter_mut().zip(self.owed.iter().take(ready)) {
            let bytes = answers.bytes(owed.answer);
            *slice = IoSlice::new(bytes.get(skip..).unwrap_or_default());
            skip = 0;
            filled += 1;
        }
        match slices.get(..filled) {
            Some([one]) => self.stream.write(one),
            many => self.stream.write_vectored(many.unwrap_or_default()),
        }
    }

    /// Forgets the answers that the kernel has in full, and notes when that was.
    fn stamp(&mut self, desk: &mut Desk) {
        let now = desk.stamps.is_some().then(Stamp::now);
        while let Some(first) = self.owed.front() {
            let length = desk.answers.bytes(first.answer).len();
            if self.sent < length {
                return;
            }
            self.sent -= length;
            let place = first.place;
            self.owed.pop_front();
            if let (Some(stamps), Some(now)) = (&mut desk.stamps, now) {
                stamps.went(place, now);
            }
        }
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
