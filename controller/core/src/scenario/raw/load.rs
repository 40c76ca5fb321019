//! A load, as it may be written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{RawSelector, duration};
use crate::fleet::RawHeaders;

/// Send many requests, from the start of the stage to its end. It has `open` or `closed`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Load", extend("required" = ["requests"]))]
pub(crate) struct RawLoad {
    /// The environments whose agents send; all when left out. All agents there send, each its part.
    #[schemars(length(min = 1))]
    pub(crate) from: Option<Vec<Option<String>>>,
    /// To whom; everybody when left out. What is sent is spread evenly over them.
    pub(crate) to: Option<RawSelector>,
    /// Requests are due when a schedule says so, whatever becomes of those before. How long answers
    /// took counts from then.
    pub(crate) open: Option<RawOpen>,
    /// So many users each wait for the answer and ask again. When answers take longer, less is sent,
    /// and nobody notices who was not there: choose `open` unless the number of users is the question.
    pub(crate) closed: Option<RawClosed>,
    /// Connections in all, with `open`. When left out, as many as are needed for twice the highest
    /// rate if answers take as long as `expect` allows, or 100ms.
    #[schemars(range(min = 1, max = 20_000))]
    pub(crate) connections: Option<u32>,
    /// How long an answer is waited for, from when the request was due: 10ms to 60s; 5s when left
    /// out.
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) timeout: Option<String>,
    /// While so many requests wait or are open in all, one that is due is not sent, and counted as
    /// shed. When left out, none is: they wait until their time is over.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(crate) in_flight: Option<u64>,
    /// Threads of each agent for each target. As many as the rate needs when left out.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) threads: Option<u32>,
    /// Speak HTTP/2: by agreement over TLS, and without asking first over plain TCP. Requests share
    /// connections.
    pub(crate) http2: Option<bool>,
    /// Which connection carries a request: shared (when left out), any that is free; per-user, with
    /// `closed`, each user's own, over HTTP/2 as well; or new, one for each request.
    #[schemars(pattern("^(shared|per-user|new)$"))]
    pub(crate) pool: Option<String>,
    /// After so many requests a connection is closed, and another one opened.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(crate) requests_per_connection: Option<u64>,
    /// Each thread stays on a core of its own: for an agent that is alone on its host.
    pub(crate) pin: Option<bool>,
    /// Before a request is due, its thread waits for at most so long without sleeping: 1us to 10ms.
    /// It is sent more exactly, and the core is used for nothing.
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) spin: Option<String>,
    /// Rows that requests are filled with, by name: `${feed:NAME.COLUMN}`.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 10))]
    pub(crate) feeds: Option<BTreeMap<String, Option<RawFeed>>>,
    /// What is sent, each as often as its `weight` says.
    #[schemars(length(min = 1, max = 50))]
    pub(crate) requests: Option<Vec<Option<RawRequest>>>,
}

/// When requests are due. It has one of `rate`, `ramp`, `stairs`, `spike` and `list`; rates are over
/// all agents: 800/s, 30/m.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "LoadOpen")]
pub(crate) struct RawOpen {
    /// One rate for the whole stage: 800/s.
    pub(crate) rate: Option<String>,
    /// Straight from one rate to another, over the whole stage.
    pub(crate) ramp: Option<RawRamp>,
    /// Up or down in equal stairs, over the whole stage.
    pub(crate) stairs: Option<RawStairs>,
    /// A higher rate for a while.
    pub(crate) spike: Option<RawSpike>,
    /// At these instants of the stage and no others: [0s, 1s, 1500ms].
    #[schemars(length(min = 1, max = 100_000))]
    pub(crate) list: Option<Vec<Option<String>>>,
    /// How requests follow each other: poisson (when left out), as those of many independent people,
    /// or constant, evenly spaced.
    #[schemars(pattern("^(poisson|constant)$"))]
    pub(crate) arrivals: Option<String>,
    /// The first so long of the stage is sent too, and is no part of `during: baseline`.
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) warm_up: Option<String>,
}

/// From one rate to another.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LoadRamp", extend("required" = ["from", "to"]))]
pub(crate) struct RawRamp {
    /// The rate at the beginning: 0/s.
    pub(crate) from: Option<String>,
    /// The rate at the end.
    pub(crate) to: Option<String>,
}

/// From one rate to another, in equal stairs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LoadStairs", extend("required" = ["from", "to", "count"]))]
pub(crate) struct RawStairs {
    /// The rate of the first.
    pub(crate) from: Option<String>,
    /// The rate of the last.
    pub(crate) to: Option<String>,
    /// How many; equally long.
    #[schemars(range(min = 1, max = 1_000))]
    pub(crate) count: Option<u64>,
}

/// A higher rate for a while.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LoadSpike", extend("required" = ["base", "peak", "at", "for"]))]
pub(crate) struct RawSpike {
    /// The rate before and after.
    pub(crate) base: Option<String>,
    /// The rate meanwhile.
    pub(crate) peak: Option<String>,
    /// When it begins.
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) at: Option<String>,
    /// How long it lasts.
    #[serde(rename = "for")]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) lasts: Option<String>,
}

/// More and more users, in equal stairs of at least 2 seconds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LoadUserStairs", extend("required" = ["from", "to", "count"]))]
pub(crate) struct RawUserStairs {
    /// Users of the first stair, in all.
    #[schemars(range(min = 1, max = 20_000))]
    pub(crate) from: Option<u32>,
    /// Users of the last, in all, each with a connection from the start.
    #[schemars(range(min = 1, max = 20_000))]
    pub(crate) to: Option<u32>,
    /// How many stairs; each is a whole number of seconds long.
    #[schemars(range(min = 2, max = 1_000))]
    pub(crate) count: Option<u32>,
}

/// Users who wait for answers. It has `users` or `stairs`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "LoadClosed")]
pub(crate) struct RawClosed {
    /// How many in all, each with a connection.
    #[schemars(range(min = 1, max = 20_000))]
    pub(crate) users: Option<u32>,
    /// More and more of them, over the whole stage.
    pub(crate) stairs: Option<RawUserStairs>,
    /// From an answer to the next request of the same user; nothing when left out.
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) think: Option<String>,
    /// The first so long of the stage is sent too, and is no part of `during: baseline`.
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) warm_up: Option<String>,
}

/// Rows that requests are filled with. It has `csv` or `json`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LoadFeed")]
pub(crate) struct RawFeed {
    /// A file with comma-separated values, relative to this file; its first line names the columns.
    pub(crate) csv: Option<String>,
    /// A file with a JSON list of objects, relative to this file; each holds the same keys.
    pub(crate) json: Option<String>,
    /// Which row a request has: in-turn (when left out), one after the other by its number in the
    /// whole schedule, or random, drawn by the seed.
    #[schemars(pattern("^(in-turn|random)$"))]
    pub(crate) pick: Option<String>,
}

/// A request. It has one of `get`, `head`, `post`, `put`, `patch` and `delete`, with path and query,
/// or it is a `flow`. Path, body and values of headers may hold `${sequence}`, `${random:1-1000}`,
/// `${feed:NAME.COLUMN}` and `${taken:NAME}`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "LoadRequest")]
pub(crate) struct RawRequest {
    /// GET this.
    #[schemars(pattern("^/"))]
    pub(crate) get: Option<String>,
    /// HEAD of this.
    #[schemars(pattern("^/"))]
    pub(crate) head: Option<String>,
    /// POST to this.
    #[schemars(pattern("^/"))]
    pub(crate) post: Option<String>,
    /// PUT to this.
    #[schemars(pattern("^/"))]
    pub(crate) put: Option<String>,
    /// PATCH this.
    #[schemars(pattern("^/"))]
    pub(crate) patch: Option<String>,
    /// DELETE this.
    #[schemars(pattern("^/"))]
    pub(crate) delete: Option<String>,
    /// Of so many requests as all weights together are, this one is so many; 1 when left out.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) weight: Option<u32>,
    /// Headers; values may hold `${env:NAME}` and `${file:/PATH}`, which the agent reads.
    pub(crate) headers: Option<RawHeaders>,
    /// A body, as it is sent.
    #[schemars(length(min = 1, max = 65_536))]
    pub(crate) body: Option<String>,
    /// A body from a file, relative to this file; it is sent with the scenario.
    pub(crate) body_file: Option<String>,
    /// A body as JSON: `{name: a}`. Its type is sent with it.
    pub(crate) json: Option<Value>,
    /// What the answer must be; any status below 400 when left out.
    pub(crate) expect: Option<RawAnswer>,
    /// In a flow: what the answer gives to the requests after it, by name: `${taken:NAME}`. An answer
    /// that lacks it is not as it should be.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 20))]
    pub(crate) take: Option<BTreeMap<String, Option<RawTake>>>,
    /// Requests of one user, one after the other: each goes out when the one before was answered as
    /// it should be, and its time counts from then. The rate counts flows.
    #[schemars(length(min = 1, max = 20))]
    pub(crate) flow: Option<Vec<Option<RawRequest>>>,
}

/// Where something stands in an answer: `header` or `json`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LoadTake")]
pub(crate) struct RawTake {
    /// The value of this header.
    pub(crate) header: Option<String>,
    /// What stands here in a JSON body: $.token.
    pub(crate) json: Option<String>,
}

/// What an answer must be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "LoadAnswer")]
pub(crate) struct RawAnswer {
    /// The statuses that count as success; all from 200 to 399 when left out.
    #[schemars(length(min = 1, max = 50), inner(range(min = 100, max = 599)))]
    pub(crate) status: Option<Vec<Option<u16>>>,
    /// Headers that it must have, each with a text that its value must hold; an empty text is in
    /// every value.
    #[schemars(extend("maxProperties" = 50))]
    pub(crate) headers_have: Option<BTreeMap<String, Option<String>>>,
    /// A text that the body must hold.
    #[schemars(length(min = 1, max = 2000))]
    pub(crate) body: Option<String>,
    /// Paths into a JSON body, each with the text, number or word that must stand there, in quotes.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 50))]
    pub(crate) json: Option<BTreeMap<String, Option<String>>>,
}
