//! What a request is told, as bytes that are made once.

/// The fixed answers. All but the first say that the connection ends with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// 200, and the next request may come.
    Ok,
    /// 200, and that was the last one.
    Last,
    /// 400: this is not HTTP/1.
    NotHttp,
    /// 405: neither GET nor POST.
    Method,
    /// 411: a body whose length was not said beforehand.
    Unsized,
    /// 431: a head without end.
    TooLarge,
}

impl Answer {
    pub(super) fn ends(self) -> bool {
        self != Self::Ok
    }
}

/// The bytes of each answer.
#[derive(Debug)]
pub(super) struct Answers {
    ok: Vec<u8>,
    last: Vec<u8>,
    not_http: Vec<u8>,
    method: Vec<u8>,
    not_sized: Vec<u8>,
    too_large: Vec<u8>,
}

impl Answers {
    /// `name` must be fit for a header.
    pub(super) fn new(name: &str, body_bytes: usize) -> Self {
        let said: Vec<u8> = b"hello, world\n"
            .iter()
            .copied()
            .cycle()
            .take(body_bytes)
            .collect();
        let made = |status: &str, more: &str, body: &[u8]| {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\
                 server-instance: {name}\r\n{more}\r\n"
            );
            [head.as_bytes(), body].concat()
        };
        let close = "connection: close\r\n";
        Self {
            ok: made("200 OK", "", &said),
            last: made("200 OK", close, &said),
            not_http: made("400 Bad Request", close, b""),
            method: made(
                "405 Method Not Allowed",
                "connection: close\r\nallow: GET, POST\r\n",
                b"",
            ),
            not_sized: made("411 Length Required", close, b""),
            too_large: made("431 Request Header Fields Too Large", close, b""),
        }
    }

    pub(super) fn bytes(&self, answer: Answer) -> &[u8] {
        match answer {
            Answer::Ok => &self.ok,
            Answer::Last => &self.last,
            Answer::NotHttp => &self.not_http,
            Answer::Method => &self.method,
            Answer::Unsized => &self.not_sized,
            Answer::TooLarge => &self.too_large,
        }
    }
}
