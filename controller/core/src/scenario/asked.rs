//! What a probe asks.
//!
//! `read` is the only door from the file to [`ProbeKind`]; `form` says which texts have the form of
//! what they are to be.

mod form;
mod read;

use std::collections::BTreeSet;

use nepho_common::{json_path::JsonPath, plan::DnsRecord, time::Nanos};

pub(crate) use self::{
    form::word,
    read::{headers_have, json, kind},
};
use crate::fleet::{HeaderName, HeaderValue, Headers, Method, RequestPath, Statuses};

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeKind {
    /// The check that the fleet gives for each service.
    Health,
    /// A request of its own.
    Http(Box<HttpProbe>),
    /// A TCP connection.
    Tcp(TcpProbe),
    /// A TLS handshake.
    Tls(TlsProbe),
    /// A question to name servers.
    Dns(DnsProbe),
    /// An echo request.
    Icmp,
    /// The health of this service, or of the server when empty, by gRPC.
    Grpc(String),
    /// A query to Prometheus servers.
    Prometheus(PrometheusProbe),
    /// A message that is sent and seen.
    Event(EventProbe),
}

/// The request of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// How it asks.
    pub method: Method,
    /// For what.
    pub path: RequestPath,
    /// With what beside.
    pub headers: Headers,
    /// The statuses that count as success.
    pub ok: Statuses,
    /// Headers of the answer, and what their values hold.
    pub headers_have: Vec<(HeaderName, String)>,
    /// What the body holds.
    pub body: String,
    /// What stands where in a JSON body.
    pub json: Vec<(JsonPath, String)>,
    /// How many redirects are followed.
    pub redirects: u32,
    /// Over HTTP/2.
    pub http2: bool,
}

/// What is said over a TCP connection; nothing where empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TcpProbe {
    /// What the target says first.
    pub banner: String,
    /// What is sent then.
    pub send: String,
    /// What the target says after that.
    pub expect: String,
}

/// What a certificate must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsProbe {
    /// For whom; the host of the address when empty.
    pub name: String,
    /// For whom beside.
    pub names: Vec<String>,
    /// How much longer it is good.
    pub left: Nanos,
    /// TLS 1.2 will not do.
    pub only_1_3: bool,
}

/// A question to a name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsProbe {
    /// The name.
    pub name: String,
    /// The kind of record.
    pub record: DnsRecord,
    /// Exactly these, or any when empty.
    pub answers: BTreeSet<String>,
}

/// A query and its bounds, in millionths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrometheusProbe {
    /// In PromQL.
    pub query: String,
    /// The least.
    pub min: Option<i64>,
    /// The most.
    pub max: Option<i64>,
    /// What is sent with it.
    pub headers: Headers,
}

/// Through what a message is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventProbe {
    /// A stream of Redis.
    Redis {
        /// Its key.
        stream: String,
        /// A reference.
        password: Option<HeaderValue>,
    },
    /// A subject of NATS.
    Nats {
        /// The subject.
        subject: String,
        /// A reference.
        token: Option<HeaderValue>,
    },
    /// Two paths of an HTTP service.
    Webhook {
        /// Takes it.
        post: RequestPath,
        /// Shows it.
        seen: RequestPath,
        /// Of both requests.
        headers: Headers,
    },
}

impl ProbeKind {
    /// Every value that may hold references to secrets.
    pub fn values(&self) -> impl Iterator<Item = &HeaderValue> {
        let (headers, one) = match self {
            Self::Http(http) => (Some(&http.headers), None),
            Self::Prometheus(ask) => (Some(&ask.headers), None),
            Self::Event(EventProbe::Webhook { headers, .. }) => (Some(headers), None),
            Self::Event(EventProbe::Redis { password, .. }) => (None, password.as_ref()),
            Self::Event(EventProbe::Nats { token, .. }) => (None, token.as_ref()),
            Self::Health
            | Self::Tcp(_)
            | Self::Tls(_)
            | Self::Dns(_)
            | Self::Icmp
            | Self::Grpc(_) => (None, None),
        };
        headers.into_iter().flat_map(Headers::values).chain(one)
    }
}
