//! The head of a request: how long it is, and the little of it that matters here.

use std::mem::MaybeUninit;

use httparse::{Request, Status};

/// A head beyond this is refused.
pub(super) const LONGEST: usize = 64 * 1024;
const MOST_HEADERS: usize = 100;

/// What bytes begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The beginning of a head.
    Partial,
    Head(Head),
    NotHttp,
    TooLarge,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// How many bytes it has, with the empty line at its end.
    pub(super) length: usize,
    pub(super) method: Method,
    /// The number that the request gave itself.
    pub(super) slot: Option<u64>,
    pub(super) body: Body,
    /// Whether the peer wants the connection to end with the answer.
    pub(super) last: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    GetOrPost,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes after the head; mostly none.
    Bytes(u64),
    /// In chunks, whose sum nobody knows yet.
    Unsized,
}

pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut request = Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() < LONGEST => return Parsed::Partial,
        Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => return Parsed::TooLarge,
        Err(_) => return Parsed::NotHttp,
    };
    let method = match request.method {
        Some("GET" | "POST") => Method::GetOrPost,
        _ => Method::Other,
    };
    let mut head = Head {
        length,
        method,
        slot: None,
        body: Body::Bytes(0),
        last: request.version == Some(0),
    };
    for header in &*request.headers {
        // Names of interest differ in length, which is cheaper to compare than letters.
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        match header.name.len() {
            10 if is("connection") => head.last |= says_close(header.value),
            12 if is("x-nepho-slot") => head.slot = number(header.value),
            14 if is("content-length") => match number(header.value) {
                Some(length) => head.body = Body::Bytes(length),
                None => return Parsed::NotHttp,
            },
            17 if is("transfer-encoding") => {
                head.body = Body::Unsized;
                return Parsed::Head(head);
            }
            _ => {}
        }
    }
    Parsed::Head(head)
}

fn says_close(value: &[u8]) -> bool {
    let mut options = value.split(|byte| *byte == b',');
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

fn number(value: &[u8]) -> Option<u64> {
    str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        match parse(text.as_bytes()) {
            Parsed::Head(head) => head,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn what_matters_of_a_head_is_read_and_the_rest_is_left() {
        let text = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\nX-Nepho-Slot: 7\r\n\r\n";
        let read = head(&format!("{text}twelve bytes"));
        let expected = Head {
            length: text.len(),
            method: Method::GetOrPost,
            slot: Some(7),
            body: Body::Bytes(12),
            last: false,
        };
        assert_eq!(read, expected);
        assert_eq!(parse(&text.as_bytes()[..text.len() - 1]), Parsed::Partial);
        assert_eq!(
            head("GET / HTTP/1.1\r\nx-nepho-slot: seven\r\n\r\n").slot,
            None
        );
        assert_eq!(head("PUT / HTTP/1.1\r\n\r\n").method, Method::Other);
        let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n";
        assert_eq!(head(chunked).body, Body::Unsized);
    }

    #[test]
    fn the_last_request_says_so_or_is_of_the_old_version() {
        assert!(head("GET / HTTP/1.0\r\n\r\n").last);
        assert!(head("GET / HTTP/1.1\r\nconnection: te, Close\r\n\r\n").last);
        assert!(!head("GET / HTTP/1.1\r\nconnection: keep-alive\r\n\r\n").last);
    }

    #[test]
    fn what_is_no_head_is_told_apart_from_what_is_none_yet() {
        for wrong in [
            "PRI * HTTP/2.0\r\n",
            "\0",
            "GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        ] {
            assert_eq!(parse(wrong.as_bytes()), Parsed::NotHttp, "{wrong:?}");
        }
        let endless = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(LONGEST));
        assert_eq!(parse(endless.as_bytes()), Parsed::TooLarge);
        let many = format!(
            "GET / HTTP/1.1\r\n{}\r\n",
            "x: y\r\n".repeat(MOST_HEADERS + 1)
        );
        assert_eq!(parse(many.as_bytes()), Parsed::TooLarge);
    }
}
