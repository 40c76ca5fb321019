//! `HOST:PORT`, as a person writes it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A host and a port. An IPv6 address stands in brackets: `[::1]:7443`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not HOST:PORT, for example `controller.example:7443` or `[::1]:7443`")]
pub struct BadAddress(String);

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(text.chars().take(80).collect());
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = inner.unwrap_or(host);
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let is_good = match inner {
            Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.len() <= 253 && host.chars().all(is_host),
        };
        let port = port.parse().ok().filter(|&port| port > 0 && is_good);
        Ok(Self {
            port: port.ok_or_else(bad)?,
            host: host.to_owned(),
        })
    }
}

impl TryFrom<String> for Address {
    type Error = BadAddress;

    fn try_from(text: String) -> Result<Self, BadAddress> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_and_everything_else_is_refused() {
        for good in [
            "127.0.0.1:1",
            "[::1]:7443",
            "controller.example:65535",
            "a_b-c:80",
        ] {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "host",
            ":1",
            "host:",
            "host:0",
            "host:65536",
            "::1:80",
            "[x]:1",
            "a/b:1",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
