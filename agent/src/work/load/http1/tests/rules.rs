//! RFC 9112, rule by rule.

use nepho_common::recording::Outcome;

use super::{
    super::{Asked, BadResponse, Limits, Method, Progress, Reader, Response, fuzz::Seen},
    ALL, NO_LIMITS, refused, seen,
};

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

#[test]
fn a_body_ends_as_its_head_says() {
    for (stream, status, body, keeps_alive) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            200,
            "hello",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length:005 \r\n\r\nhello",
            200,
            "hello",
            true,
        ),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            404,
            "",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            200,
            "hello",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n0\r\n\r\n",
            200,
            "",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: a;b=c,\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            200,
            "",
            true,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello", false),
        ("HTTP/1.1 200 OK\r\n\r\n", 200, "", false),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
            200,
            "hello",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
            200,
            "0\r\n\r\n",
            false,
        ),
        (
            "HTTP/1.1 500\r\nX-Content-Length: 3\r\n\r\nhello",
            500,
            "hello",
            false,
        ),
    ] {
        let expected = (status, body.to_owned(), keeps_alive);
        assert_eq!(read(Method::Other, stream), expected, "{stream:?}");
    }
}

#[test]
fn some_responses_have_no_body_whatever_their_heads_say() {
    for status in ["204", "304"] {
        for said in [
            "",
            "Content-Length: 5\r\n",
            "Content-Length: x\r\nContent-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\nContent-Length: 5\r\n",
        ] {
            let stream = format!("HTTP/1.1 {status} Text\r\n{said}\r\n");
            let (found, body, keeps_alive) = read(Method::Other, &stream);
            assert_eq!((found.to_string().as_str(), body.as_str()), (status, ""));
            assert!(keeps_alive);
        }
    }
    let stream = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(read(Method::Head, stream), (200, String::new(), true));
    assert_eq!(
        refused(stream.as_bytes()),
        BadResponse::Closed { begun: true }
    );
    let stream = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    assert_eq!(read(Method::Head, stream), (200, String::new(), false));
}

#[test]
fn status_lines_are_taken_as_they_are_sent() {
    for (line, status) in [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.1 200 ", 200),
        ("HTTP/1.1 200", 200),
        ("HTTP/1.0 503 \u{e4}\t!", 503),
        // RFC 9110 §15: out of range, to be taken for a 5xx. It is for the check of the status.
        ("HTTP/1.1 999 Blocked", 999),
        ("HTTP/1.1 042 What", 42),
    ] {
        let stream = format!("{line}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(read(Method::Other, &stream).0, status, "{line}");
        let stream = format!("{line}\nContent-Length: 0\n\n");
        assert_eq!(read(Method::Other, &stream).0, status, "{line}");
    }
    for line in [
        "",
        "\r\nHTTP/1.1 200 OK",
        " HTTP/1.1 200 OK",
        "http/1.1 200 OK",
        "HTTP/2 200",
        "HTTP/1.2 200 OK",
        "HTTP/0.9 200 OK",
        "ICY 200 OK",
        "<html>",
        "\0",
    ] {
        let stream = format!("{line}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(refused(stream.as_bytes()), BadResponse::NotHttp, "{line}");
    }
    // Known by the first byte: who greets first may say nothing more.
    let mut reader = Reader::new(NO_LIMITS);
    reader.begin(ALL);
    reader.spare()[..7].copy_from_slice(b"SSH-2.0");
    assert_eq!(reader.filled(1), Err(BadResponse::NotHttp));
    assert_eq!(BadResponse::NotHttp.outcome(), Outcome::Protocol);
    for line in [
        "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 +20 OK",
        "HTTP/1.1 200 O\rK",
    ] {
        let stream = format!("{line}\r\nContent-Length: 0\r\n\r\n");
        let bad = refused(stream.as_bytes());
        assert_eq!(bad, BadResponse::Head(httparse::Error::Status), "{line}");
    }
}

#[test]
fn headers_that_could_be_read_in_two_ways_are_refused() {
    for (header, error) in [
        ("A: b\r\n c", httparse::Error::HeaderName),
        ("A: b\r\n\tc: d", httparse::Error::HeaderName),
        (" A: b", httparse::Error::HeaderName),
        ("A : b", httparse::Error::HeaderName),
        ("A", httparse::Error::HeaderName),
        (": b", httparse::Error::HeaderName),
        ("A\u{e4}: b", httparse::Error::HeaderName),
        ("A: b\rc", httparse::Error::HeaderValue),
        ("A: b\0", httparse::Error::HeaderValue),
        ("A: b\r\n\rc: d", httparse::Error::NewLine),
    ] {
        let stream = format!("HTTP/1.1 200 OK\r\n{header}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(
            refused(stream.as_bytes()),
            BadResponse::Head(error),
            "{header:?}"
        );
    }
}

#[test]
fn a_length_is_digits_and_one_number() {
    let with = |headers: &[&str]| {
        let headers: String = headers
            .iter()
            .map(|value| format!("Content-Length: {value}\r\n"))
            .collect();
        format!("HTTP/1.1 200 OK\r\n{headers}\r\nhello")
    };
    for same in [&["5"][..], &["5", "5"], &["5, 5"], &["05,5", "\t5 "]] {
        assert_eq!(read(Method::Other, &with(same)).1, "hello", "{same:?}");
    }
    for bad in [
        &[""][..],
        &["+5"],
        &["-5"],
        &["5 5"],
        &["0x5"],
        &["5.0"],
        &["5,"],
        &[",5"],
        &["5,6"],
        &["5", "6"],
        &["5", ""],
        &["\u{665}"],
        &["18446744073709551616"],
        &["99999999999999999999999999"],
    ] {
        let stream = with(bad);
        assert_eq!(
            refused(stream.as_bytes()),
            BadResponse::BadContentLength,
            "{bad:?}"
        );
    }
    // As many bytes as there are numbers: they never come.
    let stream = with(&["18446744073709551615"]);
    assert_eq!(
        refused(stream.as_bytes()),
        BadResponse::Closed { begun: true }
    );
}

#[test]
fn a_transfer_encoding_says_how_the_body_ends_or_is_refused() {
    let with = |version: &str, headers: &str| {
        let stream = format!("HTTP/1.{version} 200 OK\r\n{headers}\r\n0\r\n\r\n");
        refused(stream.as_bytes())
    };
    for headers in [
        "Transfer-Encoding: \r\n",
        "Transfer-Encoding: ,\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: chunked ; q=1\r\n",
    ] {
        assert_eq!(
            with("1", headers),
            BadResponse::BadTransferEncoding,
            "{headers:?}"
        );
    }
    let headers = "Transfer-Encoding: chunked\r\n";
    assert_eq!(with("0", headers), BadResponse::BadTransferEncoding);
    for headers in [
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: identity\r\n",
    ] {
        assert_eq!(with("1", headers), BadResponse::TwoLengths, "{headers:?}");
    }
}

#[test]
fn chunks_are_put_together() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (chunks, body) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("2\r\nhe\r\n3\r\nllo\r\n000\r\n\r\n", "hello"),
        (
            "A\r\n0123456789\r\n00000000000000000000001\r\n\n\r\n0\r\n\r\n",
            "0123456789\n",
        ),
        ("a ;b=c\r\n0\r\n\r\n56789\r\n0\t\r\n\r\n", "0\r\n\r\n56789"),
        (
            "5;;a=\"b;\t\u{e4}\" ; c\r\nhello\r\n0;last\r\n\r\n",
            "hello",
        ),
        (
            "5 \t \r\nhello\r\n0\r\nGrpc-Status: 0\r\n~: \r\nA:b\r\n\r\n",
            "hello",
        ),
        ("5\r\nhello\r\n0\r\nA: b\nC: d\n\n", "hello"),
    ] {
        let stream = format!("{head}{chunks}");
        let expected = (200, body.to_owned(), true);
        assert_eq!(read(Method::Other, &stream), expected, "{chunks:?}");
    }
    for bad in [
        "\r\n\r\n",
        "x\r\n",
        "-1\r\n",
        "+1\r\nx\r\n",
        "0x1\r\nx\r\n",
        " 5\r\nhello\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\rhello",
        "5 5\r\nhello",
        "5 x\r\nhello",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!\r\n",
        "5\r\nhello!\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\rx",
        "5;a\nb\r\nhello\r\n",
        "5;a\0\r\nhello\r\n",
        "\u{ff15}\r\nhello\r\n",
        ";a\r\n",
        "10000000000000000\r\n",
        "fffffffffffffffff\r\n",
    ] {
        let stream = format!("{head}{bad}");
        assert_eq!(refused(stream.as_bytes()), BadResponse::BadChunk, "{bad:?}");
    }
    for bad in [
        " A: b\r\n\r\n",
        "A\r\n\r\n",
        "A : b\r\n\r\n",
        "A: b\r\n c\r\n\r\n",
        "A: b\0\r\n\r\n",
        "A: b\rc\r\n\r\n",
        "\rA",
        ": b\r\n\r\n",
        "A\u{e4}: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let stream = format!("{head}0\r\n{bad}");
        assert_eq!(
            refused(stream.as_bytes()),
            BadResponse::BadTrailers,
            "{bad:?}"
        );
    }
    let stream = format!("{head}ffffffffffffffff\r\nhello");
    assert_eq!(
        refused(stream.as_bytes()),
        BadResponse::Closed { begun: true }
    );
}

#[test]
fn a_connection_is_kept_by_version_and_by_what_is_said() {
    for (version, connection, keeps_alive) in [
        ("1", "", true),
        ("1", "Connection: close\r\n", false),
        ("1", "Connection: keep-alive\r\n", true),
        ("1", "connection: TE , Close\r\n", false),
        (
            "1",
            "Connection: keep-alive\r\nConnection: close\r\n",
            false,
        ),
        ("1", "Connection: close, keep-alive\r\n", false),
        ("1", "Connection: closed, not-close\r\n", true),
        (
            "1",
            "Proxy-Connection: close\r\nKeep-Alive: close\r\n",
            true,
        ),
        ("0", "", false),
        ("0", "Connection: Keep-Alive\r\n", true),
        ("0", "Connection: a,,keep-alive\r\n", true),
        ("0", "Connection: keep-alive, close\r\n", false),
        ("0", "Connection: keep\r\n", false),
    ] {
        let stream = format!("HTTP/1.{version} 200 OK\r\n{connection}Content-Length: 2\r\n\r\nok");
        let expected = (200, "ok".to_owned(), keeps_alive);
        assert_eq!(read(Method::Other, &stream), expected, "{connection:?}");
        let stream = format!("HTTP/1.{version} 200 OK\r\n{connection}\r\nok");
        let expected = (200, "ok".to_owned(), false);
        assert_eq!(read(Method::Other, &stream), expected, "{connection:?}");
    }
}

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

#[test]
fn a_body_is_kept_as_far_as_was_asked_for_and_counted_in_any_case() {
    let bodies = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello",
    ];
    for stream in bodies {
        for kept in 0..7 {
            let asked = Asked { kept, ..ALL };
            let seen = seen(asked, NO_LIMITS, stream.as_bytes());
            assert_eq!(seen.ended.unwrap().body_bytes, 5);
            assert_eq!(seen.body, &b"hello"[..kept.min(5)]);
        }
        for most in 0..7 {
            let limits = Limits {
                body_bytes: Some(most),
            };
            let ended = seen(ALL, limits, stream.as_bytes()).ended;
            let ended = ended.map(|response: Response| response.body_bytes);
            let expected = if most < 5 {
                Err(BadResponse::BodyTooLong)
            } else {
                Ok(5)
            };
            assert_eq!(ended, expected, "{most}");
        }
    }
    assert_eq!(BadResponse::BodyTooLong.outcome(), Outcome::Content);
    // Nobody waits for a body that is too long by its own word.
    let limits = Limits {
        body_bytes: Some(4),
    };
    let ended = seen(ALL, limits, &bodies[0].as_bytes()[..bodies[0].len() - 5]).ended;
    assert_eq!(ended, Err(BadResponse::BodyTooLong));
}

#[test]
fn values_of_a_header_come_in_order_and_bare() {
    let stream = "HTTP/1.1 200 Server: no\r\nServer: \t a \r\nX-Server: no\r\nserver:\r\nDate: x\r\nSERVER: b: \u{e4}\r\n\r\nServer: no\r\n";
    let mut reader = Reader::new(NO_LIMITS);
    Seen::by(&mut reader, ALL, stream.as_bytes(), [])
        .ended
        .unwrap();
    let values: Vec<_> = reader.values("Server").collect();
    assert_eq!(values, ["a".as_bytes(), b"", "b: \u{e4}".as_bytes()]);
    assert_eq!(reader.values("served-by").next(), None);
    assert!(reader.head().ends_with(b"\r\n\r\n"));
    reader.begin(ALL);
    assert_eq!(reader.values("Server").next(), None);
}
