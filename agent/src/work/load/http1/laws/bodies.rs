//! Bodies, rule by rule of RFC 9112.

use nepho_common::recording::Outcome;

use super::{
    super::{Asked, BadResponse, Limits, Method, Response},
    ALL, NO_LIMITS, read, refused, seen,
};

#[test]
fn a_body_ends_as_its_head_says() {
    let ends = |rest: &str, body: &str, keeps_alive: bool| {
        let stream = format!("HTTP/1.1 200 OK\r\n{rest}");
        let expected = (200, body.to_owned(), keeps_alive);
        assert_eq!(read(Method::Other, &stream), expected, "{rest:?}");
    };
    ends("Content-Length: 5\r\n\r\nhello", "hello", true);
    ends("content-length:005 \r\n\r\nhello", "hello", true);
    ends("Content-Length: 0\r\n\r\n", "", true);
    ends("\r\nhello", "hello", false);
    ends("\r\n", "", false);
    ends("X-Content-Length: 3\r\n\r\nhello", "hello", false);
    let chunked = "5\r\nhello\r\n0\r\n\r\n";
    for (encoding, keeps_alive) in [
        ("chunked", true),
        ("gzip, Chunked", true),
        ("a;b=c,\r\nTransfer-Encoding: chunked", true),
        ("gzip", false),
        ("chunked, gzip", false),
    ] {
        let body = if keeps_alive { "hello" } else { chunked };
        let rest = format!("Transfer-Encoding: {encoding}\r\n\r\n{chunked}");
        ends(&rest, body, keeps_alive);
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
