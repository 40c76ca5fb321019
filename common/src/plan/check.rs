//! What is asked of a target: one request with everything it needs.
//!
//! What a later release added is left out of a plan that does not use it, so such a plan keeps its
//! id. An agent of an earlier release would overlook it: it needs a feature of its own, and the
//! agent refuses the assignment by that name ([`Check::features`]).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{id::Feature, time::Nanos};

/// One request, with everything it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// An HTTP request on a new connection.
    Http(HttpCheck),
    /// Opens a TCP connection, says and hears what is given, and closes it.
    Tcp(TcpCheck),
    /// Shakes hands and looks at the certificate.
    Tls(TlsCheck),
    /// Asks a name server.
    Dns(DnsCheck),
    /// Sends an echo request to a host.
    Icmp(IcmpCheck),
    /// Asks the health service of gRPC.
    Grpc(GrpcCheck),
    /// Asks a Prometheus server for one number.
    Prometheus(PrometheusCheck),
    /// Sends a message and waits until it is seen.
    Event(EventCheck),
}

/// An HTTP request and what makes its answer a success.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HttpCheck {
    /// `http://host:port/path` or `https://…`.
    pub url: String,
    /// `GET`, `HEAD`, `POST`, `PUT`, `DELETE`, `OPTIONS`, `PATCH`.
    pub method: String,
    /// In the order of the file.
    pub headers: Vec<(String, String)>,
    /// The statuses that count as success.
    pub status: BTreeSet<u16>,
    /// Headers that the answer must have, each with a text that its value must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers_have: Vec<(String, String)>,
    /// What the body must hold; nothing when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body_has: String,
    /// Paths into a JSON body, each with the scalar that must stand there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub json: Vec<(String, String)>,
    /// How many redirects are followed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redirects: u32,
    /// Over HTTP/2 instead of HTTP/1.1.
    #[serde(default, skip_serializing_if = "is_false")]
    pub http2: bool,
}

/// A TCP connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TcpCheck {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What the target must say first, of its own accord; nothing when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub banner: String,
    /// What is sent; nothing when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub send: String,
    /// What the target must say after that; nothing when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub expect: String,
}

/// A TLS handshake, its certificate judged by the roots of the agent's host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TlsCheck {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// For whom the certificate must be, and whom the handshake names; the host when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Names that the certificate must hold beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// How much longer the certificate must be good.
    #[serde(default, skip_serializing_if = "is_no_time")]
    pub left: Nanos,
    /// TLS 1.2 will not do.
    #[serde(default, skip_serializing_if = "is_false")]
    pub only_1_3: bool,
}

/// A question to a name server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DnsCheck {
    /// The name server: a name or an address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What is asked for.
    pub name: String,
    /// Records of which kind.
    pub record: DnsRecord,
    /// Exactly what must come back, in any order; anything of this kind when empty.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub answers: BTreeSet<String>,
}

/// A kind of record that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsRecord {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// The name that is meant.
    Cname,
    /// Who takes mail: `10 mail.example`.
    Mx,
    /// Texts.
    Txt,
    /// Name servers.
    Ns,
    /// Where a service is: `10 5 8080 host.example`.
    Srv,
    /// The name of an address.
    Ptr,
}

impl DnsRecord {
    /// Every kind, in the order of the wire.
    pub const ALL: [Self; 8] = [
        Self::A,
        Self::Aaaa,
        Self::Cname,
        Self::Mx,
        Self::Txt,
        Self::Ns,
        Self::Srv,
        Self::Ptr,
    ];

    /// The word of the scenario file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Mx => "MX",
            Self::Txt => "TXT",
            Self::Ns => "NS",
            Self::Srv => "SRV",
            Self::Ptr => "PTR",
        }
    }
}

/// An echo request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct IcmpCheck {
    /// A name or an address, without brackets.
    pub host: String,
    /// Of the service there: a policy allows hosts with their ports. Nothing is sent to it.
    pub port: u16,
}

/// `grpc.health.v1.Health/Check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GrpcCheck {
    /// `http://host:port` without TLS, `https://host:port` with it.
    pub url: String,
    /// The service that is asked about; the server as a whole when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
}

/// An instant query, and bounds for the number that it gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PrometheusCheck {
    /// `http://host:port` or `https://…`.
    pub url: String,
    /// In the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// What is asked, in PromQL.
    pub query: String,
    /// The least that the number may be, in millionths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// The most that the number may be, in millionths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
}

/// A message that is sent and waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EventCheck {
    /// Added to a stream of Redis, read by another connection, and taken out again.
    Redis(RedisCheck),
    /// Published on a subject of NATS and received by another connection.
    Nats(NatsCheck),
    /// Posted to a path, and looked for at another one.
    Webhook(WebhookCheck),
}

/// A stream of Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RedisCheck {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The stream's key.
    pub stream: String,
    /// A reference to the password; none when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub password: String,
}

/// A subject of NATS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NatsCheck {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The subject.
    pub subject: String,
    /// A reference to the token; none when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token: String,
}

/// Where a message is posted, and where it shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WebhookCheck {
    /// `http://host:port` or `https://…`.
    pub url: String,
    /// The path that takes the message.
    pub post: String,
    /// The path whose answer holds the message's id once it is seen.
    pub seen: String,
    /// Sent with both, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

/// How often a posted message is looked for.
pub const LOOKS_MAX: u64 = 10;

impl Check {
    /// What a policy must allow for it, and an agent be able to do.
    #[must_use]
    pub fn feature(&self) -> Feature {
        let name = match self {
            Self::Http(_) => "probe.http",
            Self::Tcp(_) => "probe.tcp",
            Self::Tls(_) => "probe.tls",
            Self::Dns(_) => "probe.dns",
            Self::Icmp(_) => "probe.icmp",
            Self::Grpc(_) => "probe.grpc",
            Self::Prometheus(_) => "probe.prometheus",
            Self::Event(_) => "probe.event",
        };
        name.parse().expect("these are names")
    }

    /// Everything that an agent must be able to do for it. The part behind the second dot is what a
    /// later release added, and lies within the action before it.
    #[must_use]
    pub fn features(&self) -> BTreeSet<Feature> {
        let more = match self {
            Self::Http(http) if http.is_plain() => None,
            Self::Http(_) => Some("probe.http.more"),
            Self::Tcp(tcp) if tcp.is_silent() => None,
            Self::Tcp(_) => Some("probe.tcp.talk"),
            Self::Tls(_)
            | Self::Dns(_)
            | Self::Icmp(_)
            | Self::Grpc(_)
            | Self::Prometheus(_)
            | Self::Event(_) => None,
        };
        let more = more.map(|name| name.parse().expect("these are names"));
        [self.feature()].into_iter().chain(more).collect()
    }

    /// How many requests it makes at the most: a redirect is one more, so is each look for a
    /// message, and so is a question that is repeated over TCP because its answer is long.
    #[must_use]
    pub fn requests(&self) -> u64 {
        match self {
            Self::Http(http) => 1 + u64::from(http.redirects),
            Self::Event(EventCheck::Webhook(_)) => 1 + LOOKS_MAX,
            Self::Event(EventCheck::Redis(_) | EventCheck::Nats(_)) | Self::Dns(_) => 2,
            Self::Tcp(_) | Self::Tls(_) | Self::Icmp(_) | Self::Grpc(_) | Self::Prometheus(_) => 1,
        }
    }

    /// How many connections it holds at a time.
    #[must_use]
    pub const fn connections(&self) -> u64 {
        match self {
            Self::Event(EventCheck::Redis(_) | EventCheck::Nats(_)) => 2,
            Self::Event(EventCheck::Webhook(_))
            | Self::Http(_)
            | Self::Tcp(_)
            | Self::Tls(_)
            | Self::Dns(_)
            | Self::Icmp(_)
            | Self::Grpc(_)
            | Self::Prometheus(_) => 1,
        }
    }

    /// What is sent and may hold references to secrets, each with its name.
    #[must_use]
    pub fn references(&self) -> Vec<(&str, &str)> {
        let named = |headers| -> Vec<(&str, &str)> {
            let headers: &[(String, String)] = headers;
            let pairs = headers.iter();
            pairs.map(|(name, value)| (&**name, &**value)).collect()
        };
        match self {
            Self::Http(http) => named(&http.headers),
            Self::Prometheus(ask) => named(&ask.headers),
            Self::Event(EventCheck::Webhook(hook)) => named(&hook.headers),
            Self::Event(EventCheck::Redis(redis)) => vec![("password", &redis.password)],
            Self::Event(EventCheck::Nats(nats)) => vec![("token", &nats.token)],
            Self::Tcp(_) | Self::Tls(_) | Self::Dns(_) | Self::Icmp(_) | Self::Grpc(_) => {
                Vec::new()
            }
        }
    }

    /// Where it goes: `http://HOST:PORT/PATH` or `HOST:PORT`, for people.
    #[must_use]
    pub fn address(&self) -> String {
        let (host, port) = match self {
            Self::Http(http) => return http.url.clone(),
            Self::Grpc(grpc) => return grpc.url.clone(),
            Self::Prometheus(ask) => return ask.url.clone(),
            Self::Event(EventCheck::Webhook(hook)) => return format!("{}{}", hook.url, hook.post),
            Self::Tcp(tcp) => (&tcp.host, tcp.port),
            Self::Tls(tls) => (&tls.host, tls.port),
            Self::Dns(dns) => (&dns.host, dns.port),
            Self::Icmp(icmp) => return icmp.host.clone(),
            Self::Event(EventCheck::Redis(redis)) => (&redis.host, redis.port),
            Self::Event(EventCheck::Nats(nats)) => (&nats.host, nats.port),
        };
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }
}

impl HttpCheck {
    /// Whether the first release understands all of it.
    fn is_plain(&self) -> bool {
        self.headers_have.is_empty()
            && self.body_has.is_empty()
            && self.json.is_empty()
            && self.redirects == 0
            && !self.http2
    }
}

impl TcpCheck {
    /// Whether the connection is only opened and closed.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.banner.is_empty() && self.send.is_empty() && self.expect.is_empty()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_false(answer: &bool) -> bool {
    !*answer
}

const fn is_no_time(span: &Nanos) -> bool {
    span.0 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_first_release_knows_is_written_as_it_wrote_it() {
        let http = HttpCheck {
            url: "http://a/".to_owned(),
            method: "GET".to_owned(),
            status: [200].into(),
            ..HttpCheck::default()
        };
        assert_eq!(
            serde_json::to_string(&Check::Http(http.clone())).unwrap(),
            r#"{"http":{"url":"http://a/","method":"GET","headers":[],"status":[200]}}"#
        );
        let tcp = TcpCheck {
            host: "a".to_owned(),
            port: 1,
            ..TcpCheck::default()
        };
        assert_eq!(
            serde_json::to_string(&Check::Tcp(tcp.clone())).unwrap(),
            r#"{"tcp":{"host":"a","port":1}}"#
        );
        let names = |check: Check| -> Vec<String> {
            check.features().iter().map(ToString::to_string).collect()
        };
        assert_eq!(names(Check::Http(http.clone())), ["probe.http"]);
        assert_eq!(names(Check::Tcp(tcp.clone())), ["probe.tcp"]);
        let redirects = HttpCheck {
            redirects: 1,
            ..http
        };
        let more = ["probe.http", "probe.http.more"];
        assert_eq!(names(Check::Http(redirects)), more, "it would overlook it");
        let banner = TcpCheck {
            banner: "SSH".to_owned(),
            ..tcp
        };
        assert_eq!(names(Check::Tcp(banner)), ["probe.tcp", "probe.tcp.talk"]);
    }
}
