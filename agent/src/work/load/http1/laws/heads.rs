//! What heads say, rule by rule of RFC 9112.

use nepho_common::recording::Outcome;

use super::{
    super::{BadResponse, Method, Reader, fuzz::Seen},
    ALL, NO_LIMITS, read, refused,
};

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
