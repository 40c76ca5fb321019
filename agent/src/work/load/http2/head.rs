//! A request of HTTP/2, made once and sent many times.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderValue, Method, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TE, UPGRADE, USER_AGENT},
    uri::PathAndQuery,
};
use hyper::body::Bytes;
use nepho_common::load::{Order, Sent};

use super::super::{
    fill::{Draft, Filler, Filling},
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
    /// What of it is other each time, and which headers are.
    draft: Option<(Draft, Vec<HeaderName>)>,
    scheme: &'static str,
    authority: HeaderValue,
    /// What its answer must be.
    pub(super) judge: Judge,
}

impl Head {
    /// What one of the order's calls asks for: `path` is that of its URL, `host` whom the request
    /// names.
    pub(in super::super) fn new(
        order: &Order,
        filler: &Arc<Filler>,
        call: &Sent,
        host: &HeaderValue,
        path: &PathAndQuery,
        is_tls: bool,
    ) -> Result<Self, BadRequest> {
        let parts = Parts::new(order, filler, call, path)?;
        let mut authority = host.clone();
        let mut headers = HeaderMap::new();
        let names = parts.headers.iter().map(|(name, _)| name.clone()).collect();
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
        let uri = uri(scheme, &authority, parts.target.as_str().as_bytes());
        Ok(Self {
            method: parts.method,
            uri: uri.ok_or_else(|| BadRequest::Value(HOST.to_string()))?,
            headers,
            body: Bytes::copy_from_slice(&call.body),
            has_number: order.number,
            draft: parts.draft.map(|draft| (draft, names)),
            scheme,
            authority,
            judge: parts.judge,
        })
    }

    /// Head and body of the request that is filled so; `None` when what it is filled with makes no
    /// request.
    pub(super) fn filled(&self, of: Filling<'_>) -> Option<(http::Request<()>, Bytes)> {
        let mut request = http::Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.headers.clone();
        let headers = request.headers_mut();
        if self.has_number {
            let number = HeaderValue::try_from(format!("{:020}", of.number)).ok()?;
            headers.insert(HeaderName::from_static(NUMBER), number);
        }
        let Some((draft, names)) = &self.draft else {
            return Some((request, self.body.clone()));
        };
        let mut authority = self.authority.clone();
        let mut bytes = Vec::new();
        names.iter().for_each(|name| {
            headers.remove(name);
        });
        for (nth, name) in names.iter().enumerate() {
            bytes.clear();
            draft.value(nth, of, &mut bytes);
            let value = HeaderValue::from_bytes(&bytes).ok()?;
            if *name == HOST {
                authority = value;
            } else {
                headers.append(name, value);
            }
        }
        let mut body = Vec::new();
        draft.body(of, &mut body);
        if headers.contains_key(CONTENT_LENGTH) {
            headers.insert(CONTENT_LENGTH, body.len().into());
        }
        bytes.clear();
        draft.target(of, &mut bytes);
        *request.uri_mut() = uri(self.scheme, &authority, &bytes)?;
        Some((request, body.into()))
    }
}

fn uri(scheme: &str, authority: &HeaderValue, target: &[u8]) -> Option<Uri> {
    let uri = Uri::builder().scheme(scheme);
    let uri = uri.authority(authority.as_bytes()).path_and_query(target);
    uri.build().ok()
}
