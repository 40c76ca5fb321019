//! A request as bytes, made once and sent many times.

use http::{HeaderName, HeaderValue, Method, header, uri::PathAndQuery};
use nepho_common::load::{Order, Sent};

use super::judge::Judge;

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
}

impl Parts {
    /// Of this call; `path` is that of the order's URL.
    pub(super) fn new(order: &Order, call: &Sent, path: &PathAndQuery) -> Result<Self, BadRequest> {
        let method = Method::from_bytes(call.method.as_bytes())
            .map_err(|_| BadRequest::Method(call.method.clone()))?;
        let target = match &call.target {
            None => path.clone(),
            Some(target) => {
                let parsed = PathAndQuery::try_from(target.as_str());
                parsed.map_err(|_| BadRequest::Target(target.clone()))?
            }
        };
        let judge = Judge::new(&call.expect, order.told_by.as_ref());
        let judge = judge.map_err(BadRequest::Expected)?;
        let mut headers = Vec::new();
        for (name, value) in &call.headers {
            let parsed = HeaderName::try_from(name.as_str());
            let parsed = parsed.map_err(|_| BadRequest::Name(name.clone()))?;
            let value = HeaderValue::try_from(value.as_str());
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
        })
    }
}

/// The bytes of a request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    bytes: Vec<u8>,
    /// Where its number stands.
    number: Option<usize>,
    /// Whether an answer has no body whatever it says.
    pub(super) is_head: bool,
    /// What its answer must be.
    pub(super) judge: Judge,
}

impl Request {
    /// What one of the order's calls asks for: `path` is that of its URL, `host` whom the request
    /// names.
    pub(super) fn new(
        order: &Order,
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
        } = Parts::new(order, call, path)?;
        let has = |name: HeaderName| headers.iter().any(|(own, _)| *own == name);
        let mut bytes = Vec::new();
        bytes.extend_from_slice(format!("{method} {target} HTTP/1.1\r\n").as_bytes());
        let mut line = |name: &str, value: &[u8]| {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        };
        if !has(header::HOST) {
            line("host", host.as_bytes());
        }
        if !has(header::USER_AGENT) {
            line("user-agent", AGENT.as_bytes());
        }
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
            is_head: method == Method::HEAD,
            judge,
        })
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it carries its number.
    pub(super) const fn has_number(&self) -> bool {
        self.number.is_some()
    }

    /// From now on it has this number.
    pub(super) fn number(&mut self, number: u64) {
        let Some(at) = self.number else { return };
        let mut rest = number;
        for digit in self.bytes[at..at + DIGITS].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
}

pub(super) const AGENT: &str = concat!("nepho-agent/", env!("CARGO_PKG_VERSION"));

/// An order of one request on one connection.
#[cfg(test)]
pub(super) fn order(method: &str, headers: &[(&str, &str)], body: &str) -> Order {
    use nepho_common::{
        load::{Model, Pool},
        plan::Stripe,
        time::Nanos,
    };
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Order {
        schema: Order::SCHEMA.to_owned(),
        url: "http://a.example/x".to_owned(),
        calls: vec![Sent {
            method: method.to_owned(),
            headers: headers.iter().map(pair).collect(),
            body: body.as_bytes().to_vec(),
            ..Sent::get()
        }],
        told_by: None,
        model: Model::Closed { think: Nanos(0) },
        stripe: Stripe::WHOLE,
        connections: 1,
        lanes: 1,
        lasts: Nanos::from_secs(1),
        warm_up: Nanos(0),
        timeout: Nanos::from_secs(1),
        in_flight_max: 1,
        number: false,
        authorities: None,
        http2: false,
        pool: Pool::Shared,
        requests_per_connection: 0,
        pin: false,
        spin: Nanos(0),
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
        let mut request = Request::new(order, &order.calls[0], &host, &path("/x?y=z")).unwrap();
        request.number(number);
        String::from_utf8(request.bytes().to_vec()).unwrap()
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
        let host = HeaderValue::from_static("a");
        let mut request = Request::new(&order, &order.calls[0], &host, &path("/")).unwrap();
        request.number(u64::MAX);
        request.number(42);
        let text = String::from_utf8(request.bytes().to_vec()).unwrap();
        assert!(
            text.ends_with("x-nepho-slot: 00000000000000000042\r\n\r\nx"),
            "{text}"
        );
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
            let bad = Request::new(&asked, &asked.calls[0], &host, &path("/")).unwrap_err();
            assert!(bad.to_string().contains(why), "{bad}");
        }
    }
}
