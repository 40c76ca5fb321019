//! Where responses begin and end on their connection.

use nepho_common::recording::Outcome;

use super::{
    super::{BadResponse, Method, Progress, Reader, fuzz::Seen},
    ALL, NO_LIMITS, read, refused, seen,
};

#[test]
fn interim_responses_are_passed_over_and_a_switch_is_refused() {
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: last\r\n\r\nok";
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nServer: first\r\n\r\n\
        HTTP/1.1 199\r\nConnection: close\r\n\r\n";
    let stream = format!("{interim}{last}");
    assert_eq!(read(Method::Other, &stream), (200, "ok".to_owned(), true));
    let mut reader = Reader::new(NO_LIMITS);
    let seen = Seen::by(&mut reader, ALL, stream.as_bytes(), []);
    assert_eq!(seen.head, last.as_bytes()[..last.len() - 2]);
    assert_eq!(reader.values("SERVER").collect::<Vec<_>>(), [b"last"]);

    assert_eq!(
        refused(interim.as_bytes()),
        BadResponse::Closed { begun: true }
    );
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n";
    assert_eq!(refused(switch.as_bytes()), BadResponse::Switched);
    assert_eq!(
        refused(format!("{interim}{switch}").as_bytes()),
        BadResponse::Switched
    );
}

#[test]
fn the_end_of_the_connection_is_told_by_where_it_comes() {
    let length = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n";
    for stream in [&length[..], chunked] {
        for cut in 0..stream.len() {
            let bad = Seen::of(ALL, NO_LIMITS, &stream[..cut], []).ended;
            assert_eq!(bad, Err(BadResponse::Closed { begun: cut > 0 }), "{cut}");
        }
    }
    assert_eq!(
        BadResponse::Closed { begun: true }.outcome(),
        Outcome::Reset
    );
    assert_eq!(
        BadResponse::Closed { begun: false }.outcome(),
        Outcome::Reset
    );

    // Between two responses as well, or before the first.
    let mut reader = Reader::new(NO_LIMITS);
    assert_eq!(reader.closed(), Err(BadResponse::Closed { begun: false }));
    reader.reset();
    Seen::by(&mut reader, ALL, length, []).ended.unwrap();
    assert!(reader.is_clean());
    assert_eq!(reader.closed(), Err(BadResponse::Closed { begun: false }));
    assert!(!reader.is_clean());
}

#[test]
fn what_nobody_asked_for_spoils_the_connection_and_no_response() {
    let first = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let whole = seen(ALL, NO_LIMITS, first.as_bytes());
    for surplus in ["\r\n", "x", first] {
        for first in [
            first,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ] {
            let both = format!("{first}{surplus}");
            let seen = seen(ALL, NO_LIMITS, both.as_bytes());
            let response = seen.ended.unwrap();
            assert_eq!(
                (response.wire_bytes, &seen.body),
                (first.len() as u64, &whole.body)
            );
            assert!(response.keeps_alive);
            // It came together with the response, or later.
            for cut in [first.len(), both.len()] {
                let mut reader = Reader::new(NO_LIMITS);
                Seen::by(&mut reader, ALL, &both.as_bytes()[..cut], [])
                    .ended
                    .unwrap();
                assert_eq!(reader.is_clean(), cut == first.len());
                reader.spare()[0] = b'H';
                assert_eq!(reader.filled(1), Err(BadResponse::Unasked));
                assert!(!reader.is_clean());
                assert_eq!(
                    reader.head(),
                    &first.as_bytes()[..first.find("\r\n\r\n").unwrap() + 4]
                );
                assert_eq!(reader.body(), b"ok");
                // Another connection knows nothing of it.
                reader.reset();
                assert!(reader.is_clean() && !reader.has_begun());
                assert!(reader.head().is_empty() && reader.body().is_empty());
                assert_eq!(
                    Seen::by(&mut reader, ALL, first.as_bytes(), []).ended,
                    Ok(response)
                );
            }
        }
    }
    assert_eq!(BadResponse::Unasked.outcome(), Outcome::Protocol);
    // A second request before the first was answered: whose is the answer?
    let mut reader = Reader::new(NO_LIMITS);
    reader.begin(ALL);
    reader.begin(ALL);
    assert_eq!(reader.filled(1), Err(BadResponse::Unasked));
}

#[test]
fn nothing_read_is_neither_progress_nor_the_end() {
    let mut reader = Reader::new(NO_LIMITS);
    assert_eq!(reader.filled(0), Ok(Progress::More));
    reader.begin(ALL);
    assert_eq!(reader.filled(0), Ok(Progress::More));
    assert!(!reader.has_begun() && !reader.is_clean());
    assert!(
        Seen::of(ALL, NO_LIMITS, b"HTTP/1.1 200 OK\r\n\r\n", [])
            .ended
            .is_ok()
    );
}
