//! The head of a response: what it says, and how the body after it ends.

use std::mem::MaybeUninit;

use super::{BadResponse, Method};

/// The most bytes of a head, as with probes. Servers send some hundreds, and a few thousands with
/// cookies and a content policy.
pub(super) const HEAD_MAX: usize = 64 << 10;
/// The most headers of a head, as with probes: common servers and proxies take no more either.
pub(super) const HEADERS_MAX: usize = 100;

/// What a head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// In bytes, with the empty line at its end.
    pub(super) length: usize,
    pub(super) status: u16,
    pub(super) keeps_alive: bool,
    pub(super) framing: Framing,
}

/// How a body ends (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With a chunk of no size.
    Chunked,
    /// With the connection.
    UntilClose,
}

impl Head {
    /// Another head follows.
    pub(super) const fn is_interim(&self) -> bool {
        matches!(self.status, 100..=199)
    }
}

/// Waits for a head to be whole. One that comes in pieces is not read anew for each of them, which
/// would take time in the square of its length.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// So far there is no empty line.
    seen: usize,
    /// With so many bytes it is read anyway, because it may be spoilt long before its end.
    again: usize,
}

impl Search {
    /// Looks at all that came so far, at most [`HEAD_MAX`].
    pub(super) fn whole(
        &mut self,
        bytes: &[u8],
        method: Method,
    ) -> Result<Option<Head>, BadResponse> {
        // The end is `\n\n` or `\n\r\n`, and two bytes of it may have come before.
        let news = &bytes[self.seen.saturating_sub(2)..];
        if bytes.len() < self.again && !has_end(news) {
            self.seen = bytes.len();
            return Ok(None);
        }
        let head = read(bytes, method)?;
        if head.is_none() && bytes.len() >= HEAD_MAX {
            return Err(BadResponse::HeadTooLong);
        }
        self.seen = bytes.len();
        self.again = bytes.len().saturating_mul(2).min(HEAD_MAX);
        Ok(head)
    }
}

fn has_end(bytes: &[u8]) -> bool {
    let follows = |at: usize| matches!(bytes.get(at..), Some([b'\n', ..] | [b'\r', b'\n', ..]));
    let mut breaks = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    breaks.any(|(at, _)| follows(at + 1))
}

/// The head at the start of these bytes; `None` as long as it may be sound and is not whole.
pub(super) fn read(bytes: &[u8], method: Method) -> Result<Option<Head>, BadResponse> {
    match bytes.first() {
        None => return Ok(None),
        Some(b'H') => {}
        // Empty lines may stand before a request only (RFC 9112 §2.2).
        Some(_) => return Err(BadResponse::NotHttp),
    }
    let mut room = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let read = config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut room);
    let httparse::Status::Complete(length) = read? else {
        return Ok(None);
    };
    let status = parsed.code.expect("a whole head has a status");
    if status == 101 {
        return Err(BadResponse::Switched);
    }
    // RFC 9112 §6.3, item 1: whatever the headers say.
    let has_body = method != Method::Head && !matches!(status, 100..=199 | 204 | 304);
    let mut said = Said::default();
    for header in &*parsed.headers {
        // Few names have one of these lengths.
        match header.name.len() {
            10 if is(header.name.as_bytes(), b"Connection") => said.connection(header.value),
            14 if has_body && is(header.name.as_bytes(), b"Content-Length") => {
                said.content_length(header.value)?;
            }
            17 if has_body && is(header.name.as_bytes(), b"Transfer-Encoding") => {
                said.transfer_encoding(header.value)?;
            }
            _ => {}
        }
    }
    let is_old = parsed.version == Some(0);
    let framing = if has_body {
        said.framing(is_old)?
    } else {
        Framing::Length(0)
    };
    // RFC 9112 §9.3. Without an end of its own a body takes the connection with it.
    let keeps_alive = framing != Framing::UntilClose && !said.close && (!is_old || said.keep_alive);
    Ok(Some(Head {
        length,
        status,
        keeps_alive,
        framing,
    }))
}

/// What headers say of the body's end and the connection's. Each may come several times, and then
/// stands for one list (RFC 9110 §5.3).
#[derive(Debug, Default)]
struct Said {
    close: bool,
    keep_alive: bool,
    length: Option<u64>,
    /// There is a transfer encoding.
    is_encoded: bool,
    /// One of its codings is `chunked`.
    has_chunked: bool,
    /// The last one so far.
    last: Option<Coding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Chunked,
    Other,
}

impl Said {
    fn connection(&mut self, value: &[u8]) {
        for option in list(value) {
            self.close |= is(option, b"close");
            self.keep_alive |= is(option, b"keep-alive");
        }
    }

    /// RFC 9110 §8.6 lets us take a number that is repeated for one, if it is the same.
    fn content_length(&mut self, value: &[u8]) -> Result<(), BadResponse> {
        for part in value.split(|byte| *byte == b',') {
            let length = number(part.trim_ascii()).ok_or(BadResponse::BadContentLength)?;
            if self
                .length
                .replace(length)
                .is_some_and(|earlier| earlier != length)
            {
                return Err(BadResponse::BadContentLength);
            }
        }
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), BadResponse> {
        self.is_encoded = true;
        for coding in list(value) {
            let (name, parameter) = match coding.iter().position(|byte| *byte == b';') {
                Some(at) => (coding[..at].trim_ascii_end(), Some(&coding[at..])),
                None => (coding, None),
            };
            if is(name, b"chunked") {
                // RFC 9112 §6.1: not twice; §7: a parameter is an error.
                if self.has_chunked || parameter.is_some() {
                    return Err(BadResponse::BadTransferEncoding);
                }
                self.has_chunked = true;
                self.last = Some(Coding::Chunked);
            } else {
                self.last = Some(Coding::Other);
            }
        }
        Ok(())
    }

    fn framing(&self, is_old: bool) -> Result<Framing, BadResponse> {
        match (self.is_encoded, self.length) {
            // RFC 9112 §6.3, item 3: the encoding would win, but both together "ought to be handled
            // as an error". No server may send that (§6.2), and who reads it otherwise than a proxy
            // before it takes one response for another.
            (true, Some(_)) => Err(BadResponse::TwoLengths),
            // §6.1: in HTTP/1.0 the framing is faulty.
            (true, None) if is_old => Err(BadResponse::BadTransferEncoding),
            (true, None) => match self.last {
                Some(Coding::Chunked) => Ok(Framing::Chunked),
                // §6.3, item 4.
                Some(Coding::Other) => Ok(Framing::UntilClose),
                None => Err(BadResponse::BadTransferEncoding),
            },
            (false, Some(length)) => Ok(Framing::Length(length)),
            // Item 8.
            (false, None) => Ok(Framing::UntilClose),
        }
    }
}

/// Whether it is this word in any case. Most write it as it is written here, which is found out
/// faster.
fn is(found: &[u8], word: &[u8]) -> bool {
    found == word || found.eq_ignore_ascii_case(word)
}

/// The elements of a list; empty ones are none (RFC 9110 §5.6.1).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let parts = value.split(|byte| *byte == b',');
    parts
        .map(<[u8]>::trim_ascii)
        .filter(|part| !part.is_empty())
}

/// Digits alone: no sign, no space, and at least one.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Names and values of a head that was read before.
pub(super) fn fields(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}
