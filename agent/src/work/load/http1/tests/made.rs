//! Well-formed responses of all kinds are read as they were made, in any pieces.

use std::ops::Range;

use proptest::{prelude::*, sample::select};

use super::{
    super::{Asked, Method, Reader, Response, fuzz::Seen},
    NO_LIMITS,
};

/// A response by its parts.
#[derive(Debug, Clone)]
struct Made {
    method: Method,
    interim: Vec<u16>,
    is_old: bool,
    status: u16,
    reason: String,
    /// Headers that say nothing of body and connection.
    others: Vec<(String, String)>,
    connection: Vec<&'static str>,
    body: Vec<u8>,
    framing: Framing,
    /// What ends a line of a head.
    line_end: &'static str,
    /// Whether names are written in capitals.
    is_loud: bool,
}

#[derive(Debug, Clone)]
enum Framing {
    /// The length, so many times.
    Length(usize),
    Chunked(Chunks),
    UntilClose,
}

#[derive(Debug, Clone)]
struct Chunks {
    sizes: Vec<Range<usize>>,
    encoding: &'static str,
    extension: String,
    trailers: Vec<(String, String)>,
}

impl Made {
    fn has_body(&self) -> bool {
        self.method != Method::Head && ![204, 304].contains(&self.status)
    }

    /// How it ends: HTTP/1.0 has no chunks.
    fn framing(&self) -> Framing {
        match &self.framing {
            Framing::Chunked(_) if self.is_old => Framing::UntilClose,
            framing => framing.clone(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = String::new();
        let end = self.line_end;
        for status in &self.interim {
            text += &format!("HTTP/1.1 {status} Wait{end}Content-Length: 7{end}{end}");
        }
        let version = i32::from(!self.is_old);
        text += &format!("HTTP/1.{version} {}{}{end}", self.status, self.reason);
        let mut headers = self.others.clone();
        let mut add = |name: &str, value: &str| {
            let name = if self.is_loud {
                name.to_uppercase()
            } else {
                name.to_owned()
            };
            // Somewhere in the midst of the others.
            headers.insert(headers.len() / 2, (name, value.to_owned()));
        };
        for value in &self.connection {
            add("Connection", value);
        }
        match self.framing() {
            Framing::Length(times) => {
                (0..times).for_each(|_| add("Content-Length", &self.body.len().to_string()));
            }
            Framing::Chunked(chunks) => add("Transfer-Encoding", chunks.encoding),
            Framing::UntilClose => {}
        }
        for (name, value) in headers {
            text += &format!("{name}:{value}{end}");
        }
        text += end;
        let mut bytes = text.into_bytes();
        match self.framing() {
            _ if !self.has_body() => {}
            Framing::Length(_) | Framing::UntilClose => bytes.extend_from_slice(&self.body),
            Framing::Chunked(chunks) => chunks.write(&self.body, &mut bytes),
        }
        bytes
    }

    fn response(&self, wire_bytes: usize) -> Response {
        let says = |word: &str| {
            let mut options = self.connection.iter().flat_map(|value| value.split(", "));
            options.any(|option| option.eq_ignore_ascii_case(word))
        };
        let has_end = !self.has_body() || !matches!(self.framing(), Framing::UntilClose);
        Response {
            status: self.status,
            body_bytes: self.body().len() as u64,
            wire_bytes: wire_bytes as u64,
            keeps_alive: has_end && !says("close") && (!self.is_old || says("keep-alive")),
        }
    }

    fn body(&self) -> &[u8] {
        if self.has_body() { &self.body } else { &[] }
    }
}

impl Chunks {
    fn write(&self, body: &[u8], bytes: &mut Vec<u8>) {
        let mut left = body;
        for size in &self.sizes {
            // As wide as drawn, in small or capital digits.
            let (chunk, rest) = left.split_at(size.end.min(left.len()));
            if !chunk.is_empty() {
                let digits = format!("{:01$x}", chunk.len(), size.start);
                let digits = if size.start.is_multiple_of(2) {
                    digits.to_uppercase()
                } else {
                    digits
                };
                bytes.extend_from_slice(format!("{digits}{}\r\n", self.extension).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            left = rest;
        }
        if !left.is_empty() {
            bytes.extend_from_slice(format!("{:x}\r\n", left.len()).as_bytes());
            bytes.extend_from_slice(left);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n");
        for (name, value) in &self.trailers {
            bytes.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
    }
}

fn headers(most: usize) -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec(
        (
            "x-[!#$%&'*+.^_`|~0-9a-zA-Z-]{0,12}",
            "[ \t]{0,2}[ -~\u{80}-\u{ff}]{0,24}",
        ),
        0..most,
    )
}

fn framing() -> impl Strategy<Value = Framing> {
    let chunks = (
        prop::collection::vec(
            (1usize..5, 1usize..200).prop_map(|(width, size)| width..size),
            0..8,
        ),
        select(vec![
            "chunked",
            "CHUNKED",
            "gzip, chunked",
            " ,a;b=\"c\" , Chunked,",
        ]),
        "( ?;[ -~\u{e4}]{0,20})?",
        headers(4),
    );
    prop_oneof![
        3 => (1usize..4).prop_map(Framing::Length),
        3 => chunks.prop_map(|(sizes, encoding, extension, trailers)| {
            Framing::Chunked(Chunks { sizes, encoding, extension, trailers })
        }),
        1 => Just(Framing::UntilClose),
    ]
}

fn made() -> impl Strategy<Value = Made> {
    let line = (
        prop::bool::weighted(0.2),
        select(vec![
            200, 200, 200, 201, 204, 206, 301, 304, 404, 418, 500, 503, 600,
        ]),
        "( [ -~\u{e4}]{0,12})?",
        select(vec!["\r\n", "\r\n", "\n"]),
        any::<bool>(),
    );
    let connection = select(vec![
        "close",
        "Keep-Alive",
        "a, Close",
        "TE, keep-alive",
        "upgrade",
        "",
    ]);
    let rest = (
        prop_oneof![4 => Just(Method::Other), 1 => Just(Method::Head)],
        prop::collection::vec(select(vec![100, 102, 103, 199]), 0..3),
        headers(8),
        prop::collection::vec(connection, 0..3),
        prop::collection::vec(any::<u8>(), 0..600),
        framing(),
    );
    (line, rest).prop_map(|(line, rest)| {
        let (is_old, status, reason, line_end, is_loud) = line;
        let (method, interim, others, connection, body, framing) = rest;
        Made {
            method,
            interim,
            is_old,
            status,
            reason,
            others,
            connection,
            body,
            framing,
            line_end,
            is_loud,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn a_response_is_read_as_it_was_made(
        all in prop::collection::vec(made(), 1..4),
        cuts in prop::collection::vec(prop_oneof![1usize..4, 1usize..300], 1..20),
        kept in prop_oneof![Just(0usize), 0usize..700],
    ) {
        let mut reader = Reader::new(NO_LIMITS);
        for made in all {
            let bytes = made.bytes();
            let asked = Asked { method: made.method, kept };
            let seen = Seen::by(&mut reader, asked, &bytes, cuts.iter().copied().cycle());
            let response = made.response(bytes.len());
            prop_assert_eq!(seen.ended, Ok(response));
            let body = made.body();
            prop_assert_eq!(&seen.body, &body[..kept.min(body.len())]);
            for (name, _) in &made.others {
                let of_name = made.others.iter().filter(|other| other.0.eq_ignore_ascii_case(name));
                let values = of_name.map(|(_, value)| value.trim_ascii().as_bytes());
                prop_assert!(reader.values(name).eq(values), "{}", name);
            }
            if response.keeps_alive {
                prop_assert!(reader.is_clean());
            } else {
                reader.reset();
            }
        }
    }
}
