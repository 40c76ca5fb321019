//! Networks, host names and ports as a policy writes them, and whom a request is for.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::address::canonical;
use crate::plan::{Check, EventCheck};

/// Whom a request is for: exactly what is judged is dialled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Endpoint {
    /// The host.
    pub host: TargetHost,
    /// The port.
    pub port: u16,
}

/// A host, by address or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetHost {
    /// An address, written in its one strict form.
    Ip(IpAddr),
    /// A name, in lower case and without the final dot.
    Name(String),
}

impl fmt::Display for TargetHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.pad(name),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            TargetHost::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            TargetHost::Ip(IpAddr::V4(_)) | TargetHost::Name(_) => {
                write!(f, "{}:{}", self.host, self.port)
            }
        }
    }
}

/// Why nobody can say whom a request is for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// Neither `http://host…` nor `https://host…`.
    #[error("the address is neither http://HOST nor https://HOST")]
    Scheme,
    /// `user:password@` in an address ends in plans and logs.
    #[error("the address holds a user or a password")]
    UserInfo,
    /// Not a number from 1 to 65535.
    #[error("the port is no number from 1 to 65535")]
    Port,
    /// An odd literal such as `0x7f.1`, a zone, or no name at all.
    #[error("the host is neither a DNS name nor an IP address in its usual form")]
    Host,
    /// A reference outside of a header's value.
    #[error("a reference `${{…}}` stands outside of a header's value")]
    Reference,
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = BadEndpoint;

    fn try_from(text: String) -> Result<Self, BadEndpoint> {
        // What a request line has before its path.
        let endpoint = Self::of_url(&format!("http://{text}"))?;
        if endpoint.to_string() == text {
            Ok(endpoint)
        } else {
            Err(BadEndpoint::Host)
        }
    }
}

impl Endpoint {
    /// A host as it is written, and a port.
    ///
    /// # Errors
    /// [`BadEndpoint::Host`].
    pub fn new(host: &str, port: u16) -> Result<Self, BadEndpoint> {
        let host = self::host(host)?;
        Ok(Self { host, port })
    }

    /// Whether both mean the same door, as far as can be told without a resolver. Every loopback
    /// address leads to this host, and whoever listens on all of them is behind each.
    #[must_use]
    pub fn is_same_door(&self, other: &Self) -> bool {
        let same = match (&self.host, &other.host) {
            (TargetHost::Ip(one), TargetHost::Ip(two)) => is_same_host(*one, *two),
            (TargetHost::Name(one), TargetHost::Name(two)) => one == two,
            (TargetHost::Ip(_), TargetHost::Name(_)) | (TargetHost::Name(_), TargetHost::Ip(_)) => {
                false
            }
        };
        same && self.port == other.port
    }

    /// Whom this request is for.
    ///
    /// # Errors
    /// [`BadEndpoint`]: nothing is sent then.
    pub fn of(check: &Check) -> Result<Self, BadEndpoint> {
        match check {
            Check::Http(http) => Self::of_url(&http.url),
            Check::Grpc(grpc) => Self::of_url(&grpc.url),
            Check::Prometheus(ask) => Self::of_url(&ask.url),
            Check::Event(EventCheck::Webhook(hook)) => Self::of_url(&hook.url),
            Check::Tcp(tcp) => Self::new(&tcp.host, tcp.port),
            Check::Tls(tls) => Self::new(&tls.host, tls.port),
            Check::Dns(dns) => Self::new(&dns.host, dns.port),
            Check::Icmp(icmp) => Self::new(&icmp.host, icmp.port),
            Check::Event(EventCheck::Redis(redis)) => Self::new(&redis.host, redis.port),
            Check::Event(EventCheck::Nats(nats)) => Self::new(&nats.host, nats.port),
        }
    }

    /// Whom a URL names.
    ///
    /// # Errors
    /// [`BadEndpoint`]: nothing is sent then.
    pub fn of_url(url: &str) -> Result<Self, BadEndpoint> {
        if url.contains("${") {
            return Err(BadEndpoint::Reference);
        }
        let (rest, port) = if let Some(rest) = url.strip_prefix("http://") {
            (rest, 80)
        } else {
            (
                url.strip_prefix("https://").ok_or(BadEndpoint::Scheme)?,
                443,
            )
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(BadEndpoint::UserInfo);
        }
        let (name, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (inner, after) = rest.split_once(']').ok_or(BadEndpoint::Host)?;
                let ip = inner.parse::<Ipv6Addr>().map_err(|_| BadEndpoint::Host)?;
                let port = match after.strip_prefix(':') {
                    Some(text) => self::port(text)?,
                    None if after.is_empty() => port,
                    None => return Err(BadEndpoint::Host),
                };
                let host = TargetHost::Ip(IpAddr::V6(ip));
                return Ok(Self { host, port });
            }
            None => match authority.split_once(':') {
                Some((name, text)) => (name, self::port(text)?),
                None => (authority, port),
            },
        };
        let host = host(name)?;
        Ok(Self { host, port })
    }
}

/// Whether two addresses lead to one host, whatever their form.
#[must_use]
pub fn is_same_host(one: IpAddr, two: IpAddr) -> bool {
    let (one, two) = (canonical(one), canonical(two));
    one == two || one.is_loopback() && two.is_loopback()
}

fn port(text: &str) -> Result<u16, BadEndpoint> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let port = text.parse().ok().filter(|port| digits && *port > 0);
    port.ok_or(BadEndpoint::Port)
}

fn host(text: &str) -> Result<TargetHost, BadEndpoint> {
    if text.contains("${") {
        return Err(BadEndpoint::Reference);
    }
    if let Ok(ip) = text.parse() {
        return Ok(TargetHost::Ip(ip));
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if is_name(&name) {
        Ok(TargetHost::Name(name))
    } else {
        Err(BadEndpoint::Host)
    }
}

/// Letters, digits, `-` and `_` between dots; the last label is no number, for resolvers take
/// `0x7f.1`, `2130706433` and `127.1` for addresses.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|b| b.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    name.len() <= 253 && name.split('.').all(label) && !number
}

/// `10.0.0.0/8`, `fd00::/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    length: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadNetwork {
    /// Not `ADDRESS/LENGTH`.
    #[error("a network is ADDRESS/LENGTH, such as 10.0.0.0/8 or fd00::/8")]
    Form,
    /// Bits behind the length: what was meant?
    #[error("the address has bits that lie behind the length")]
    Bits,
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, length) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.parse().map_err(|_| BadNetwork::Form)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            "" if !text.contains('/') => most,
            length => {
                let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
                let length = length.parse().ok().filter(|n| digits && *n <= most);
                length.ok_or(BadNetwork::Form)?
            }
        };
        let network = Self { address, length };
        if network.cut(address) == wide(address) {
            Ok(network)
        } else {
            Err(BadNetwork::Bits)
        }
    }
}

/// The bits of an address, from the left.
fn wide(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

impl Network {
    fn cut(&self, ip: IpAddr) -> u128 {
        let mask = u128::MAX.checked_shl(128 - u32::from(self.length));
        wide(ip) & mask.unwrap_or(0)
    }

    /// Whether the address lies in it.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.address.is_ipv4() == ip.is_ipv4() && self.cut(ip) == wide(self.address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl TryFrom<String> for Network {
    type Error = BadNetwork;

    fn try_from(text: String) -> Result<Self, BadNetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

/// `api.example`, or `*.example` for every name below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern(String);

/// Why a text is no host of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a host is a DNS name, with `*.` before it for every name below; addresses go under `network`"
)]
pub struct BadHost;

impl HostPattern {
    /// Whether this name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(below) => name.len() > below.len() && name.ends_with(below),
            None => self.0 == name,
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = BadHost;

    fn try_from(text: String) -> Result<Self, BadHost> {
        let text = text.to_ascii_lowercase();
        if is_name(text.strip_prefix("*.").unwrap_or(&text)) {
            Ok(Self(text))
        } else {
            Err(BadHost)
        }
    }
}

impl From<HostPattern> for String {
    fn from(host: HostPattern) -> Self {
        host.0
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// `all`, a port, a range such as `8000-8010`, or a list of both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ports {
    /// Every port.
    All,
    /// These, each from its first to its last.
    Only(Vec<(u16, u16)>),
}

/// Why a text is no port of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ports are `all`, a number from 1 to 65535, a range like 8000-8010, or a list")]
pub struct BadPorts;

impl Ports {
    /// A port or a range, from its first to its last.
    ///
    /// # Errors
    /// [`BadPorts`].
    pub fn range(text: &str) -> Result<(u16, u16), BadPorts> {
        let (lo, hi) = text.split_once('-').unwrap_or((text, text));
        let end = |text| port(text).map_err(|_| BadPorts);
        let (lo, hi) = (end(lo)?, end(hi)?);
        if lo <= hi {
            Ok((lo, hi))
        } else {
            Err(BadPorts)
        }
    }

    /// Whether this port is one of them.
    #[must_use]
    pub fn contain(&self, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Only(ranges) => ranges.iter().any(|(lo, hi)| (*lo..=*hi).contains(&port)),
        }
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Only(ranges) => serializer.collect_seq(ranges.iter().map(|(lo, hi)| {
                if lo == hi {
                    lo.to_string()
                } else {
                    format!("{lo}-{hi}")
                }
            })),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u16),
    Text(String),
    List(Vec<Written>),
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bad = || D::Error::custom(BadPorts);
        let range = |written: &Written| match written {
            Written::Number(port) => (*port > 0).then_some((*port, *port)),
            Written::Text(text) => Self::range(text).ok(),
            Written::List(_) => None,
        };
        let ranges: Option<Vec<_>> = match Written::deserialize(deserializer)? {
            Written::Text(text) if text == "all" => return Ok(Self::All),
            Written::List(list) if list.is_empty() => return Err(bad()),
            Written::List(list) => list.iter().map(range).collect(),
            one @ (Written::Number(_) | Written::Text(_)) => range(&one).map(|range| vec![range]),
        };
        ranges.map(Self::Only).ok_or_else(bad)
    }
}

/// A network or a host, and its ports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetRule {
    /// Addresses; also what a name's addresses must lie in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// A name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostPattern>,
    /// Beside the networks of the policy, what this name may resolve to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Network>,
    /// The ports of either.
    pub ports: Ports,
}

impl TargetRule {
    /// Every address of this network, on these ports.
    #[must_use]
    pub const fn network(network: Network, ports: Ports) -> Self {
        Self {
            network: Some(network),
            host: None,
            addresses: Vec::new(),
            ports,
        }
    }

    /// This name, on these ports.
    #[must_use]
    pub const fn host(host: HostPattern, ports: Ports) -> Self {
        Self {
            network: None,
            host: Some(host),
            addresses: Vec::new(),
            ports,
        }
    }

    /// Whether the rule lets what it names resolve to this address.
    #[must_use]
    pub fn resolves(&self, endpoint: &Endpoint, ip: IpAddr) -> bool {
        let mut within = self.addresses.iter();
        self.names(endpoint) && within.any(|network| network.contains(canonical(ip)))
    }

    /// Whether the rule names this address and port.
    #[must_use]
    pub fn names_address(&self, ip: IpAddr, port: u16) -> bool {
        let within = |network: Network| network.contains(canonical(ip)) || network.contains(ip);
        self.network.is_some_and(within) && self.ports.contain(port)
    }

    /// Whether the rule names this host and port, by address or by name.
    #[must_use]
    pub fn names(&self, endpoint: &Endpoint) -> bool {
        match &endpoint.host {
            TargetHost::Ip(ip) => self.names_address(*ip, endpoint.port),
            TargetHost::Name(name) => {
                let host = self.host.as_ref().is_some_and(|host| host.matches(name));
                host && self.ports.contain(endpoint.port)
            }
        }
    }
}
