//! A request as bytes, made once and sent many times; or filled in each time.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, header, uri::PathAndQuery};
use nepho_common::{
    load::{Order, Sent},
    template::Template,
};

use super::{
    fill::{Draft, Filler, Filling},
    judge::Judge,
};

/// So many digits hold every number of a request.
const DIGITS: usize = 20;
/// Names the request in the whole schedule, so that a target's own log can be told apart by it.
pub(super) const NUMBER: &str = "x-nepho-slot";

/// Why no request can be made of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRequest {
    #[error("{0:?} is no method of HTTP")]
    Method(String),
    #[error("{0:?} is no path of a request")]
    Target(String),
    #[error("{0}")]
    Filled(String),
    #[error("{0}")]
    Expected(String),
    #[error("{0:?} is no name of a header")]
    Name(String),
    #[error("the value of the header {0} has bytes that no header may have")]
    Value(String),
    #[error("the header {0} is made by the generator, and can't be given")]
    Ours(&'static str),
    #[error("the header {0} has no place in HTTP/2")]
    Older(HeaderName),
}

/// What one of the order's calls asks for, whatever it is said in.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: PathAndQuery,
    /// In the order in which they are sent.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether it says how long its body is.
    pub(super) says_length: bool,
    /// What its answer must be.
    pub(super) judge: Judge,
    /// What of it is other each time; then target, values and length are only like those.
    pub(super) draft: Option<Draft>,
}

impl Parts {
    /// Of this call; `path` is that of the order's URL.
    pub(super) fn new(
        order: &Order,
        filler: &Arc<Filler>,
        call: &Sent,
        path: &PathAndQuery,
    ) -> Result<Self, BadRequest> {
        let draft = Draft::new(filler, call, path.as_str());
        let draft = draft.map_err(BadRequest::Filled)?;
        let like = |text: &str| {
            let filled = text.parse::<Template>().ok();
            let filled = filled.filter(|_| call.is_template);
            filled.map_or_else(|| text.to_owned(), |one| one.filled("0"))
        };
        let method = Method::from_bytes(call.method.as_bytes())
            .map_err(|_| BadRequest::Method(call.method.clone()))?;
        let target = match &call.target {
            None => path.clone(),
            Some(target) => {
                let parsed = PathAndQuery::try_from(like(target).as_str());
                parsed.map_err(|_| BadRequest::Target(target.clone()))?
            }
        };
        let judge = Judge::new(&call.expect, order.told_by.as_ref());
        let judge = judge.and_then(|judge| judge.taking(&call.take, filler));
        let judge = judge.map_err(BadRequest::Expected)?;
        let mut headers = Vec::new();
        for (name, value) in &call.headers {
            let parsed = HeaderName::try_from(name.as_str());
            let parsed = parsed.map_err(|_| BadRequest::Name(name.clone()))?;
            let value = HeaderValue::try_from(like(value).as_str());
            let value = value.map_err(|_| BadRequest::Value(name.clone()))?;
            for ours in ["content-length", "transfer-encoding", NUMBER] {
                if parsed == ours {
                    return Err(BadRequest::Ours(ours));
                }
            }
            headers.push((parsed, value));
        }
        // RFC 9110 §8.6: a method that means something by a body says how long it is even if empty.
        let expects = [Method::POST, Method::PUT, Method::PATCH].contains(&method);
        Ok(Self {
            says_length: expects || !call.body.is_empty(),
            method,
            target,
            headers,
            judge,
            draft,
        })
    }
}

/// The bytes of a request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    bytes: Vec<u8>,
    /// Where its number stands.
    number: Option<usize>,
    /// What of it is other each time.
    draft: Option<(Draft, Lines)>,
    /// Whether an answer has no body whatever it says.
    pub(super) is_head: bool,
    /// What its answer must be.
    pub(super) judge: Judge,
}

/// The lines of a request that is filled, without what is filled in.
#[derive(Debug, Clone)]
struct Lines {
    /// `GET `
    method: Vec<u8>,
    /// Behind the target, whole lines.
    same: Vec<u8>,
    /// `name: ` of each header.
    names: Vec<Vec<u8>>,
    says_length: bool,
}

/// A request that is not like others, and room to make the next one in.
#[derive(Debug, Default)]
pub(super) struct Own {
    bytes: Vec<u8>,
    body: Vec<u8>,
}

impl Own {
    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Request {
    /// What one of the order's calls asks for: `path` is that of its URL, `host` whom the request
    /// names.
    pub(super) fn new(
        order: &Order,
        filler: &Arc<Filler>,
        call: &Sent,
        host: &HeaderValue,
        path: &PathAndQuery,
    ) -> Result<Self, BadRequest> {
        let Parts {
            method,
            target,
            headers,
            says_length,
            judge,
            draft,
        } = Parts::new(order, filler, call, path)?;
        let has = |name: HeaderName| headers.iter().any(|(own, _)| *own == name);
        let mut bytes = Vec::new();
        bytes.extend_from_slice(format!("{method} {target} HTTP/1.1\r\n").as_bytes());
        let first = bytes.len();
        let mut line = |name: &str, value: &[u8]| push(&mut bytes, name, value);
        if !has(header::HOST) {
            line("host", host.as_bytes());
        }
        if !has(header::USER_AGENT) {
            line("user-agent", AGENT.as_bytes());
        }
        let draft = draft.map(|draft| {
            let lines = Lines {
                method: format!("{method} ").into_bytes(),
                same: bytes.get(first..).unwrap_or_default().to_vec(),
                names: headers
                    .iter()
                    .map(|(name, _)| format!("{name}: ").into_bytes())
                    .collect(),
                says_length,
            };
            (draft, lines)
        });
        let mut line = |name: &str, value: &[u8]| push(&mut bytes, name, value);
        for (name, value) in &headers {
            line(name.as_str(), value.as_bytes());
        }
        if says_length {
            line("content-length", call.body.len().to_string().as_bytes());
        }
        if order.number {
            line(NUMBER, &[b'0'; DIGITS]);
        }
        let number = order.number.then(|| bytes.len() - 2 - DIGITS);
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&call.body);
        Ok(Self {
            bytes,
            number,
            draft,
            is_head: method == Method::HEAD,
            judge,
        })
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether each of them is other.
    pub(super) const fn is_own(&self) -> bool {
        self.number.is_some() || self.draft.is_some()
    }

    /// Makes the one that is filled so.
    pub(super) fn write(&self, of: Filling<'_>, own: &mut Own) {
        let Own { bytes, body } = own;
        bytes.clear();
        let Some((draft, lines)) = &self.draft else {
            bytes.extend_from_slice(&self.bytes);
            if let Some(at) = self.number {
                number(of.number, &mut bytes[at..at + DIGITS]);
            }
            return;
        };
        bytes.extend_from_slice(&lines.method);
        draft.target(of, bytes);
        bytes.extend_from_slice(b" HTTP/1.1\r\n");
        bytes.extend_from_slice(&lines.same);
        for (nth, name) in lines.names.iter().enumerate() {
            bytes.extend_from_slice(name);
            draft.value(nth, of, bytes);
            bytes.extend_from_slice(b"\r\n");
        }
        body.clear();
        draft.body(of, body);
        if lines.says_length {
            push(bytes, "content-length", body.len().to_string().as_bytes());
        }
        if self.number.is_some() {
            let mut digits = [0; DIGITS];
            number(of.number, &mut digits);
            push(bytes, NUMBER, &digits);
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
    }
}

fn push(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
}

fn number(number: u64, into: &mut [u8]) {
    let mut rest = number;
    for digit in into.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

pub(super) const AGENT: &str = concat!("nepho-agent/", env!("CARGO_PKG_VERSION"));

/// An order of one request on one connection.
#[cfg(test)]
pub(super) fn order(method: &str, headers: &[(&str, &str)], body: &str) -> Order {
    use nepho_common::{load::Model, time::Nanos};
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let model = Model::Closed {
        think: Nanos(0),
        rise: None,
    };
    let url = "http://a.example/x".to_owned();
    Order {
        calls: vec![Sent {
            method: method.to_owned(),
            headers: headers.iter().map(pair).collect(),
            body: body.as_bytes().to_vec(),
            ..Sent::get()
        }],
        timeout: Nanos::from_secs(1),
        in_flight_max: 1,
        ..Order::plain(url, model, Nanos::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &'static str) -> PathAndQuery {
        PathAndQuery::from_static(text)
    }

    fn text(order: &Order, number: u64) -> String {
        let host = HeaderValue::from_static("a.example");
        let filler = Arc::new(Filler::new(order));
        let request = Request::new(order, &filler, &order.calls[0], &host, &path("/x?y=z"));
        let (request, mut own) = (request.unwrap(), Own::default());
        let of = Filling { number, taken: &[] };
        request.write(of, &mut own);
        String::from_utf8(own.bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_request_is_what_was_asked_for_and_what_http_needs() {
        let agent = format!("user-agent: {AGENT}\r\n");
        assert_eq!(
            text(&order("GET", &[], ""), 7),
            format!("GET /x?y=z HTTP/1.1\r\nhost: a.example\r\n{agent}\r\n")
        );
        let headers = [("Host", "b"), ("User-Agent", "me"), ("A", "1"), ("a", "2")];
        assert_eq!(
            text(&order("GET", &headers, ""), 7),
            "GET /x?y=z HTTP/1.1\r\nhost: b\r\nuser-agent: me\r\na: 1\r\na: 2\r\n\r\n"
        );
        assert_eq!(
            text(&order("POST", &[], "{}"), 7),
            format!(
                "POST /x?y=z HTTP/1.1\r\nhost: a.example\r\n{agent}content-length: 2\r\n\r\n{{}}"
            )
        );
        assert!(text(&order("PUT", &[], ""), 7).contains("content-length: 0\r\n"));
    }

    #[test]
    fn its_number_is_written_in_place() {
        let mut order = order("POST", &[], "x");
        order.number = true;
        let text = text(&order, u64::MAX);
        assert!(
            text.ends_with("x-nepho-slot: 18446744073709551615\r\n\r\nx"),
            "{text}"
        );
    }

    #[test]
    fn what_is_filled_says_how_long_it_is_each_time() {
        let mut order = order(
            "POST",
            &[("x-n", "${sequence}"), ("a", "$${b")],
            "<${sequence}>",
        );
        order.calls[0].is_template = true;
        order.calls[0].target = Some("/p/${sequence}?q=1".to_owned());
        let agent = format!("host: a.example\r\nuser-agent: {AGENT}\r\n");
        for (number, length) in [(7, 3), (1234, 6)] {
            assert_eq!(
                text(&order, number),
                format!(
                    "POST /p/{number}?q=1 HTTP/1.1\r\n{agent}x-n: {number}\r\na: ${{b\r\n\
                     content-length: {length}\r\n\r\n<{number}>"
                )
            );
        }
    }

    #[test]
    fn what_would_break_out_of_its_line_is_refused() {
        let host = HeaderValue::from_static("a");
        for (method, header, why) in [
            ("GE T", ("a", "b"), "no method"),
            ("GET", ("a b", "c"), "no name"),
            ("GET", ("a", "b\r\nc: d"), "the value of the header a"),
            ("GET", ("Content-Length", "3"), "made by the generator"),
            ("GET", ("X-Nepho-Slot", "3"), "made by the generator"),
        ] {
            let asked = order(method, &[header], "");
            let filler = Arc::new(Filler::new(&asked));
            let bad = Request::new(&asked, &filler, &asked.calls[0], &host, &path("/"));
            let bad = bad.unwrap_err();
            assert!(bad.to_string().contains(why), "{bad}");
        }
    }
}
