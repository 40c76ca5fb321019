//! What is asked of a target: one request with everything it needs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::Feature;

/// One request, with everything it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// An HTTP/1.1 request on a new connection.
    Http(HttpCheck),
    /// Opens a TCP connection and closes it.
    Tcp(TcpCheck),
}

/// An HTTP request and what makes its answer a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// A TCP connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpCheck {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Check {
    /// What an agent must be able to do for it.
    #[must_use]
    pub fn feature(&self) -> Feature {
        let name = match self {
            Self::Http(_) => "probe.http",
            Self::Tcp(_) => "probe.tcp",
        };
        name.parse().expect("these two are names")
    }
}
