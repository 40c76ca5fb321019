//! Each rule, whatever well-formed responses there are, and what nobody should send.

mod bodies;
mod ends;
mod heads;
mod hostile;
mod made;

use super::{Asked, BadResponse, KEPT_MAX, Limits, Method, fuzz::Seen};

const ALL: Asked = Asked {
    method: Method::Other,
    kept: KEPT_MAX,
};
const NO_LIMITS: Limits = Limits { body_bytes: None };

/// The same in one piece, in two however they are cut, and byte by byte.
fn seen(asked: Asked, limits: Limits, stream: &[u8]) -> Seen {
    let whole = Seen::of(asked, limits, stream, []);
    for cut in 1..stream.len() {
        let halves = Seen::of(asked, limits, stream, [cut]);
        assert_eq!(halves, whole, "cut at {cut}: {}", stream.escape_ascii());
    }
    let bytes = Seen::of(asked, limits, stream, std::iter::repeat(1));
    assert_eq!(bytes, whole, "byte by byte: {}", stream.escape_ascii());
    whole
}

fn refused(stream: &[u8]) -> BadResponse {
    let seen = seen(ALL, NO_LIMITS, stream);
    let Err(bad) = seen.ended else {
        panic!("{} is refused", stream.escape_ascii());
    };
    bad
}

/// Status, body and whether the connection is kept; and all of it belongs to the response.
fn read(method: Method, stream: &str) -> (u16, String, bool) {
    let asked = Asked { method, ..ALL };
    let seen = seen(asked, NO_LIMITS, stream.as_bytes());
    let response = seen
        .ended
        .unwrap_or_else(|bad| panic!("{bad:?}: {stream:?}"));
    assert_eq!(response.wire_bytes, stream.len() as u64, "{stream:?}");
    assert_eq!(response.body_bytes, seen.body.len() as u64, "{stream:?}");
    let body = String::from_utf8(seen.body).unwrap();
    (response.status, body, response.keeps_alive)
}
