//! A request of HTTP/2, made once and sent many times.

use http::{
    HeaderMap, HeaderValue, Method, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TE, UPGRADE, USER_AGENT},
    uri::PathAndQuery,
};
use hyper::body::Bytes;
use nepho_common::load::{Order, Sent};

use super::super::{
    judge::Judge,
    request::{AGENT, BadRequest, NUMBER, Parts},
};

/// What it says before its body, and the body.
#[derive(Debug)]
pub(in super::super) struct Head {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    has_number: bool,
    /// What its answer must be.
    pub(super) judge: Judge,
}

impl Head {
    /// What one of the order's calls asks for: `path` is that of its URL, `host` whom the request
    /// names.
    pub(in super::super) fn new(
        order: &Order,
        call: &Sent,
        host: &HeaderValue,
        path: &PathAndQuery,
        is_tls: bool,
    ) -> Result<Self, BadRequest> {
        let parts = Parts::new(order, call, path)?;
        let mut authority = host.clone();
        let mut headers = HeaderMap::new();
        for (name, value) in parts.headers {
            // RFC 9113 §8.2.2: what is said of one connection has no place here.
            for older in [CONNECTION, TE, UPGRADE] {
                if name == older {
                    return Err(BadRequest::Older(older));
                }
            }
            if name == HOST {
                // §8.3.1: the authority stands for it.
                authority = value;
            } else {
                headers.append(name, value);
            }
        }
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(AGENT));
        if parts.says_length {
            headers.insert(CONTENT_LENGTH, call.body.len().into());
        }
        let scheme = if is_tls { "https" } else { "http" };
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(authority.as_bytes())
            .path_and_query(parts.target)
            .build();
        Ok(Self {
            method: parts.method,
            uri: uri.map_err(|_| BadRequest::Value(HOST.to_string()))?,
            headers,
            body: Bytes::copy_from_slice(&call.body),
            has_number: order.number,
            judge: parts.judge,
        })
    }

    /// The head of the request with this number.
    pub(super) fn numbered(&self, number: u64) -> http::Request<()> {
        let mut request = http::Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.headers.clone();
        if self.has_number {
            let number = HeaderValue::try_from(format!("{number:020}"));
            let number = number.expect("digits are fit for a header");
            request
                .headers_mut()
                .insert(HeaderName::from_static(NUMBER), number);
        }
        request
    }

    /// Its body; no bytes are copied.
    pub(super) fn body(&self) -> Bytes {
        self.body.clone()
    }
}
