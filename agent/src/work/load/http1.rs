//! Reads the responses of one HTTP/1.1 connection, as their bytes come (RFC 9112).
//!
//! ```text
//! begin(asked) --> spare() <-- the socket is read into it     again and again
//!                    |
//!                 filled(n) --> More | Done(Response) | BadResponse
//! ```
//! Pure: no socket, no clock, and nothing is allocated for a response once the buffer has its size.
//! The result is the same in whatever pieces the bytes come.
//!
//! - `head`: what the head says, and how the body ends. `body`, `chunked`: what comes after it.
//! - [`BadResponse`]: why there is no response, and which outcome that is.
//!
//! Deliberately absent: pipelining, upgrades, `CONNECT`, and decompression.

mod bad;
mod body;
mod chunked;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod head;
#[cfg(test)]
mod laws;

use std::fmt;

pub use self::{bad::BadResponse, body::KEPT_MAX};
use self::{
    body::{Body, Sink},
    head::{HEAD_MAX, Head, Search},
};

/// The first size of a buffer. A small response takes a few hundred bytes; ten thousand connections
/// take 80 MiB.
const BUFFER: usize = 8 << 10;
/// The last. A whole head fits, and room to read the body into. More would save few calls of the
/// kernel: at this size they are a small part of what copying takes.
const BUFFER_MAX: usize = HEAD_MAX + BUFFER;
/// The most interim responses (1xx) before a response. Hints and signs of life come one at a time, a
/// handful for a slow answer; who sends more does not answer.
const INTERIM_MAX: u32 = 32;

/// Bounds that depend on what is asked for. Those that do not are constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// The most bytes that a body may have; any number when `None`. They are counted, not held.
    pub body_bytes: Option<u64>,
}

/// What a request was, as far as its response depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Its method.
    pub method: Method,
    /// How many bytes at the start of the body are kept, at most [`KEPT_MAX`]. What is not kept is
    /// counted and thrown away.
    pub kept: usize,
}

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// The response has no body, whatever its head says.
    Head,
    /// Any other; but for `CONNECT`, which is not ours to send.
    #[default]
    Other,
}

/// How far the response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More must be read.
    More,
    /// It is complete.
    Done(Response),
}

/// A response that was read to its end. [`Reader::values`] and [`Reader::body`] tell more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    /// Its status: three digits, not 1xx. RFC 9110 §15 knows 200 to 599.
    pub status: u16,
    /// Bytes of the body, without what chunks add.
    pub body_bytes: u64,
    /// Bytes on the wire: heads, interim responses, body, chunks and trailers.
    pub wire_bytes: u64,
    /// Whether the connection stays open by what both sides said (RFC 9112 §9.3). Whether it may be
    /// used again depends on [`Reader::is_clean`] as well.
    pub keeps_alive: bool,
}

/// Reads one connection's responses, one after the other.
///
/// ```
/// use nepho_agent::work::load::http1::{Asked, Limits, Progress, Reader};
///
/// let mut reader = Reader::new(Limits::default());
/// reader.begin(Asked::default());
/// let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: a\r\n\r\nhi";
/// reader.spare()[..bytes.len()].copy_from_slice(bytes);
/// let Ok(Progress::Done(response)) = reader.filled(bytes.len()) else {
///     panic!("it is complete");
/// };
/// assert_eq!((response.status, response.body_bytes), (200, 2));
/// assert_eq!(reader.values("server").next(), Some(&b"a"[..]));
/// assert!(response.keeps_alive && reader.is_clean());
/// ```
pub struct Reader {
    method: Method,
    /// The head, once it is whole; behind it what was just read of the body.
    buffer: Vec<u8>,
    /// How long the head is; 0 until it is whole.
    head: usize,
    /// How far the buffer is filled.
    end: usize,
    /// Bytes since the last beginning.
    wire: u64,
    sink: Sink,
    state: State,
}

#[derive(Debug)]
enum State {
    /// No request is open.
    Idle,
    /// The head is not whole yet.
    Head { search: Search, interim: u32 },
    /// The head is whole, the body is not.
    Body { head: Head, body: Body },
    /// Nothing sound can follow on this connection.
    Broken(BadResponse),
}

impl Reader {
    /// A reader for a new connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            method: Method::default(),
            buffer: vec![0; BUFFER],
            head: 0,
            end: 0,
            wire: 0,
            sink: Sink::new(limits.body_bytes.unwrap_or(u64::MAX)),
            state: State::Idle,
        }
    }

    /// The same buffers, for another new connection.
    pub fn reset(&mut self) {
        self.state = State::Idle;
        self.forget();
    }

    /// A request is about to be sent. What was kept of the response before it is gone.
    ///
    /// Where [`Reader::is_clean`] does not hold no response can be told to be the answer to this
    /// request, and whatever is read next fails.
    pub fn begin(&mut self, asked: Asked) {
        self.state = match self.state {
            State::Idle => State::Head {
                search: Search::default(),
                interim: 0,
            },
            State::Head { .. } | State::Body { .. } => State::Broken(BadResponse::Unasked),
            State::Broken(bad) => State::Broken(bad),
        };
        self.method = asked.method;
        self.forget();
        self.sink.keeps(asked.kept);
    }

    /// Where the next bytes belong; never empty.
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.buffer[self.end..]
    }

    /// So many bytes were read into [`Reader::spare`]. No bytes are no progress, and not the end of
    /// the stream: that is [`Reader::closed`].
    ///
    /// # Errors
    /// What came is no response to what was asked for. It stays so for this connection.
    ///
    /// # Panics
    /// When it is more than there was room for.
    pub fn filled(&mut self, n: usize) -> Result<Progress, BadResponse> {
        self.end += n;
        self.wire += n as u64;
        assert!(
            self.end <= self.buffer.len(),
            "more than there was room for"
        );
        let is_full = self.end == self.buffer.len();
        let progress = self.advance();
        // Whoever fills all of it has more to say. Small responses never get here.
        if is_full && self.buffer.len() < BUFFER_MAX {
            let more = self.buffer.len().min(BUFFER_MAX - self.buffer.len());
            self.buffer.reserve_exact(more);
            self.buffer.resize(self.buffer.len() + more, 0);
        }
        progress.inspect_err(|bad| self.breaks(*bad))
    }

    /// The peer ended the stream. Some responses end with that.
    ///
    /// # Errors
    /// Where the response was not complete, or no request was open.
    pub fn closed(&mut self) -> Result<Response, BadResponse> {
        let bad = match &self.state {
            State::Broken(bad) => *bad,
            State::Body {
                head,
                body: Body::UntilClose,
            } => {
                let head = *head;
                return Ok(self.done(head, 0));
            }
            State::Idle => BadResponse::Closed { begun: false },
            // A spoilt head stays one, though nobody has looked at its last bytes yet.
            State::Head { .. } => match head::read(&self.buffer[..self.end], self.method) {
                Ok(_) => BadResponse::Closed {
                    begun: self.has_begun(),
                },
                Err(bad) => bad,
            },
            State::Body { .. } => BadResponse::Closed { begun: true },
        };
        self.breaks(bad);
        Err(bad)
    }

    /// Whether anything came since the last [`Reader::begin`], an interim response included.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.wire > 0
    }

    /// No response is under way and nothing came that nobody asked for: as far as what was read
    /// goes, the next request can be sent.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// The values of each header of this name, in order and without white space around them. Of the
    /// last response until [`Reader::begin`], without interim responses and trailers.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        head::fields(self.head())
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The head as it came, with the empty line at its end; empty until it is whole.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.buffer[..self.head]
    }

    /// The start of the body, as much of it as was to be kept. It is the whole body when it is as
    /// long as [`Response::body_bytes`].
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.sink.kept()
    }

    /// Nothing of the response before stays.
    fn forget(&mut self) {
        (self.head, self.end, self.wire) = (0, 0, 0);
        self.sink.forget();
    }

    fn advance(&mut self) -> Result<Progress, BadResponse> {
        loop {
            match &mut self.state {
                State::Broken(bad) => return Err(*bad),
                State::Idle if self.end == self.head => return Ok(Progress::More),
                State::Idle => return Err(BadResponse::Unasked),
                State::Head { search, interim } => {
                    // What a limit refuses must not depend on how much was read beyond it.
                    let bytes = &self.buffer[..self.end.min(HEAD_MAX)];
                    let Some(head) = search.whole(bytes, self.method)? else {
                        return Ok(Progress::More);
                    };
                    if head.is_interim() {
                        if *interim == INTERIM_MAX {
                            return Err(BadResponse::TooManyInterim);
                        }
                        *interim += 1;
                        *search = Search::default();
                        self.buffer.copy_within(head.length..self.end, 0);
                        self.end -= head.length;
                    } else {
                        self.head = head.length;
                        let body = Body::of(head.framing, &self.sink)?;
                        self.state = State::Body { head, body };
                    }
                }
                State::Body { head, body } => {
                    let (head, came) = (*head, &self.buffer[self.head..self.end]);
                    let surplus = body.read(came, &mut self.sink)?;
                    self.end = self.head;
                    return Ok(surplus.map_or(Progress::More, |surplus| {
                        Progress::Done(self.done(head, surplus))
                    }));
                }
            }
        }
    }

    /// The response is complete, and so many bytes came that do not belong to it.
    fn done(&mut self, head: Head, surplus: usize) -> Response {
        self.wire -= surplus as u64;
        self.state = match surplus {
            0 => State::Idle,
            _ => State::Broken(BadResponse::Unasked),
        };
        Response {
            status: head.status,
            body_bytes: self.sink.count(),
            wire_bytes: self.wire,
            keeps_alive: head.keeps_alive,
        }
    }

    /// Room stays for what else comes, though nobody will look at it.
    fn breaks(&mut self, bad: BadResponse) {
        self.end = self.head;
        self.state = State::Broken(bad);
    }
}

impl fmt::Debug for Reader {
    /// Without the buffer: it holds what the target says, which may be anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("method", &self.method)
            .field("state", &self.state)
            .field("wire", &self.wire)
            .finish_non_exhaustive()
    }
}
