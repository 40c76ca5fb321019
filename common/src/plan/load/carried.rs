//! How requests come to their target: in what they are spoken, and over which connections.

use serde::{Deserialize, Serialize};

use crate::time::Nanos;

/// How requests come to their connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Pool {
    /// Any connection that is free takes what is due.
    #[default]
    Shared,
    /// In a closed model each user has one of his own, over HTTP/2 as well.
    PerUser,
    /// Each request opens its own, at most so many at a time as there are connections. What that takes
    /// is waiting for a connection, and told by itself as well.
    New,
}

/// How the requests of a load are carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Carried {
    /// HTTP/2, without asking first over TCP and by agreement over TLS. Requests share connections: as
    /// many as may be in flight, up to a hundred on each or what the target allows. In a closed model
    /// each of these is a user.
    pub http2: bool,
    /// How requests come to their connections.
    pub pool: Pool,
    /// A connection that carried so many requests is closed by the generator, and whoever is next opens
    /// another one; any number when 0.
    pub requests_per_connection: u64,
    /// Each thread stays on a core of its own.
    pub pin: bool,
    /// At most so long before a request is due its thread looks at the clock all the time, in place of
    /// being woken. Costs a core, and saves what an alarm is late.
    pub spin: Nanos,
}

impl Carried {
    /// Whether a plan need not speak of it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
