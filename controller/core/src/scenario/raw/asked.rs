//! What a probe asks, as it may be written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::duration;
use crate::fleet::RawHeaders;

/// The check that the fleet file gives for each service.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProbeHealth")]
pub(crate) struct RawHealth {}

/// A TCP connection, and what is said over it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProbeTcp")]
pub(crate) struct RawTcp {
    /// What the target must say first, of its own accord: SSH-2.0.
    #[schemars(length(min = 1, max = 2000))]
    pub(crate) banner: Option<String>,
    /// What is sent then: "PING\\r\\n".
    #[schemars(length(min = 1, max = 2000))]
    pub(crate) send: Option<String>,
    /// What the target must say after that: +PONG.
    #[schemars(length(min = 1, max = 2000))]
    pub(crate) expect: Option<String>,
}

/// A request to HTTP services.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "ProbeHttp", extend("required" = ["path"]))]
pub(crate) struct RawHttp {
    /// Path and query: /api/contacts?page=1.
    #[schemars(pattern("^/"))]
    pub(crate) path: Option<String>,
    /// GET (when left out), HEAD or OPTIONS.
    #[schemars(pattern("^(GET|HEAD|OPTIONS)$"))]
    pub(crate) method: Option<String>,
    /// Headers; values may hold `${env:NAME}` and `${file:/PATH}`, which the agent reads.
    pub(crate) headers: Option<RawHeaders>,
    /// The statuses that count as success; 200 when left out.
    #[schemars(length(min = 1, max = 50), inner(range(min = 100, max = 599)))]
    pub(crate) status: Option<Vec<Option<u16>>>,
    /// Headers that the answer must have, each with a text that its value must hold; an empty text
    /// is in every value.
    #[schemars(extend("maxProperties" = 50))]
    pub(crate) headers_have: Option<BTreeMap<String, Option<String>>>,
    /// A text that the body must hold.
    #[schemars(length(min = 1, max = 2000))]
    pub(crate) body: Option<String>,
    /// Paths into a JSON body, each with the text, number or word that must stand there, in quotes:
    /// `{$.status: ok, "$.items[0].count": "3"}`.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 50))]
    pub(crate) json: Option<BTreeMap<String, Option<String>>>,
    /// How many redirects are followed: 0 (when left out) to 10. Each leads to a target that the
    /// policy of the agent must allow.
    #[schemars(range(min = 0, max = 10))]
    pub(crate) redirects: Option<u32>,
    /// The version of HTTP: "1.1" (when left out) or "2".
    #[schemars(pattern(r"^(1\.1|2)$"))]
    pub(crate) version: Option<String>,
}

/// A TLS handshake. The agent's host says whose certificates are trusted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProbeTls")]
pub(crate) struct RawTls {
    /// For whom the certificate must be; the host of the address when left out.
    pub(crate) name: Option<String>,
    /// Names that the certificate must hold beside it.
    #[schemars(length(min = 1, max = 50))]
    pub(crate) names: Option<Vec<Option<String>>>,
    /// How much longer the certificate must be good: 336h.
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) left: Option<String>,
    /// The least version of TLS: "1.2" (when left out) or "1.3".
    #[schemars(pattern(r"^1\.[23]$"))]
    pub(crate) version: Option<String>,
}

/// A question to name servers: the addresses of the services are those of name servers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProbeDns", extend("required" = ["name"]))]
pub(crate) struct RawDns {
    /// What is asked for: crm.example.
    pub(crate) name: Option<String>,
    /// The kind of record: A (when left out), AAAA, CNAME, MX, TXT, NS, SRV or PTR.
    #[schemars(pattern("^(A|AAAA|CNAME|MX|TXT|NS|SRV|PTR)$"))]
    pub(crate) record: Option<String>,
    /// Exactly what must come back, in any order: [10.0.0.5], ["10 mail.example"]. At least one
    /// record of the kind when left out.
    #[schemars(length(min = 1, max = 50), inner(length(min = 1, max = 2000)))]
    pub(crate) answers: Option<Vec<Option<String>>>,
}

/// An echo request to the hosts of the services.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProbeIcmp")]
pub(crate) struct RawIcmp {}

/// The health service of gRPC.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProbeGrpc")]
pub(crate) struct RawGrpc {
    /// The service that is asked about: crm.v1.Contacts. The server as a whole when left out.
    #[schemars(pattern("^[A-Za-z0-9_.]{1,200}$"))]
    pub(crate) service: Option<String>,
}

/// A query to Prometheus servers. No data is a failure.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProbePrometheus", extend("required" = ["query"]))]
pub(crate) struct RawPrometheus {
    /// What is asked, in PromQL; a scalar, or one series: `sum(rate(http_errors_total[1m]))`.
    #[schemars(length(min = 1, max = 2000))]
    pub(crate) query: Option<String>,
    /// The least that the number may be, in quotes: "0.99".
    #[schemars(pattern(r"^-?[0-9]{1,12}(\.[0-9]{1,6})?$"))]
    pub(crate) min: Option<String>,
    /// The most that the number may be, in quotes: "1".
    #[schemars(pattern(r"^-?[0-9]{1,12}(\.[0-9]{1,6})?$"))]
    pub(crate) max: Option<String>,
    /// Headers; values may hold `${env:NAME}` and `${file:/PATH}`, which the agent reads.
    pub(crate) headers: Option<RawHeaders>,
}

/// A message that is sent and must be seen within the time-out. It has one of `redis`, `nats` and
/// `webhook`. The policy of the agent must list `probe.event`: others may take the message for their
/// own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProbeEvent")]
pub(crate) struct RawEvent {
    /// Through a stream of Redis: added, read by another connection, and taken out again.
    pub(crate) redis: Option<RawRedis>,
    /// Through a subject of NATS: published, and received by another connection.
    pub(crate) nats: Option<RawNats>,
    /// Posted to an HTTP service, and looked for at another path of it.
    pub(crate) webhook: Option<RawWebhook>,
}

/// A stream of Redis.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProbeRedis", extend("required" = ["stream"]))]
pub(crate) struct RawRedis {
    /// The stream's key. Only the probe's own entries are taken out again.
    #[schemars(length(min = 1, max = 200))]
    pub(crate) stream: Option<String>,
    /// The password: `${env:NAME}` or `${file:/PATH}`, which the agent reads.
    pub(crate) password: Option<String>,
}

/// A subject of NATS.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProbeNats", extend("required" = ["subject"]))]
pub(crate) struct RawNats {
    /// The subject, without wildcards: nepho.probe.
    #[schemars(pattern(r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"), length(max = 200))]
    pub(crate) subject: Option<String>,
    /// The token: `${env:NAME}` or `${file:/PATH}`, which the agent reads.
    pub(crate) token: Option<String>,
}

/// Where a message is posted, and where it shows.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProbeWebhook", extend("required" = ["post", "seen"]))]
pub(crate) struct RawWebhook {
    /// The path that takes the message, {"id":"nepho-…"}, and answers with 200 to 299.
    #[schemars(pattern("^/"))]
    pub(crate) post: Option<String>,
    /// The path whose answer holds the id once the message is seen; it is asked 10 times, 100 ms
    /// apart.
    #[schemars(pattern("^/"))]
    pub(crate) seen: Option<String>,
    /// Headers of both; values may hold `${env:NAME}` and `${file:/PATH}`, which the agent reads.
    pub(crate) headers: Option<RawHeaders>,
}
