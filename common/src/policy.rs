//! What an agent may do, decided by whoever owns its host and by nobody else.
//!
//! Both sides use this one decision: the agent to refuse, the controller to say so before anything
//! runs. What is beyond a policy is refused whole, never clipped.
//!
//! - `target`: networks, hosts and ports. `address`: what no policy can allow.
//! - `watch`: processes and containers that may be looked at.
//! - `decide`: whether an assignment lies within a policy.

mod address;
mod decide;
mod target;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

pub use self::{
    address::{built_in_denial, canonical},
    decide::{Denied, peak_rate, references},
    target::{
        BadEndpoint, BadHost, BadNetwork, BadPorts, Endpoint, HostPattern, Network, Ports,
        TargetHost, TargetRule, is_same_host,
    },
    watch::WatchRules,
};
use crate::{id::Feature, secret::SecretRef};

/// The largest policy file that is read.
pub const FILE_MAX: usize = 256 << 10;
/// The largest canonical form: a hello has to carry it.
pub const CANONICAL_MAX: usize = 64 << 10;

/// What only reads. `probe.event` sends messages that others may take for their own: whoever owns
/// the host lists it.
const CAREFUL: [&str; 10] = [
    "probe.dns",
    "probe.grpc",
    "probe.http",
    "probe.icmp",
    "probe.prometheus",
    "probe.tcp",
    "probe.tls",
    "watch.container",
    "watch.host",
    "watch.process",
];

/// What an agent may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Always [`Policy::API`].
    pub api: String,
    /// What it may do: `probe.http`, `probe.tcp`. What is not here is refused.
    #[serde(deserialize_with = "each_once")]
    pub actions: BTreeSet<Feature>,
    /// Whom it may ask. A name must be named here, and each of its addresses lie in a network of
    /// this list or of the name's own.
    pub targets: Vec<TargetRule>,
    /// How much.
    pub limits: Limits,
    /// Each secret that it may read, with whom it may be sent to.
    #[serde(default)]
    pub secrets: BTreeMap<SecretRef, Vec<TargetRule>>,
    /// Which processes and containers it may look at.
    #[serde(default, skip_serializing_if = "WatchRules::is_open")]
    pub watch: WatchRules,
}

/// How much an agent may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Requests per second of all probes together.
    pub requests_per_second: u64,
    /// Connections that are open at a time.
    pub connections: u64,
    /// How long a stage may last, in seconds.
    pub stage_seconds: u64,
    /// Threads that send load at a time, which is the most processors that they can use; as many as
    /// are asked for when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_threads: Option<u64>,
}

fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Feature>, D::Error> {
    let list = Vec::<Feature>::deserialize(deserializer)?;
    let mut set = BTreeSet::new();
    for action in list {
        let name = action.to_string();
        if !set.insert(action) {
            return Err(D::Error::custom(format!("action {name} is listed twice")));
        }
    }
    Ok(set)
}

/// Why a policy that parses is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// Another format.
    #[error("api is {0:?}, this release reads {api}", api = Policy::API)]
    Api(String),
    /// Neither or both of `network` and `host`.
    #[error("{0}: exactly one of `network` and `host`")]
    OneOf(String),
    /// A network is its own addresses.
    #[error("{0}: `addresses` belong to a `host`")]
    Addresses(String),
    /// The same rule again.
    #[error("{0} stands there twice")]
    Twice(String),
    /// A hello could not carry it.
    #[error("its canonical form has {0} bytes, {CANONICAL_MAX} is the most")]
    Large(usize),
}

impl Policy {
    /// Names this format.
    pub const API: &'static str = "nepho.policy/v1";

    /// What joining writes: probes of private and loopback targets, at moderate rates, no secret.
    #[must_use]
    pub fn careful() -> Self {
        let network =
            |text: &str| TargetRule::network(text.parse().expect("these are networks"), Ports::All);
        let localhost = HostPattern::try_from("localhost".to_owned()).expect("a name");
        let private = [
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "127.0.0.0/8",
            "::1/128",
            "fc00::/7",
        ];
        let mut targets: Vec<_> = private.into_iter().map(network).collect();
        targets.push(TargetRule::host(localhost, Ports::All));
        let action = |name: &str| name.parse().expect("these are names");
        Self {
            api: Self::API.to_owned(),
            actions: CAREFUL.map(action).into(),
            targets,
            limits: Limits {
                // A fleet of 40 services asked ten times a second, with some to spare.
                requests_per_second: 500,
                // Five hundred targets that never answer, asked every second and each request
                // waiting for its time-out of two: three at a time, and some to spare.
                connections: 2_000,
                stage_seconds: 24 * 3600,
                load_threads: None,
            },
            secrets: BTreeMap::new(),
            watch: WatchRules::default(),
        }
    }

    /// Checks what its types do not.
    ///
    /// # Errors
    /// [`BadPolicy`]: it allows nothing then.
    pub fn checked(self) -> Result<Self, BadPolicy> {
        if self.api != Self::API {
            return Err(BadPolicy::Api(self.api));
        }
        let own = [("targets".to_owned(), &self.targets)];
        let secrets = self.secrets.iter();
        let secrets = secrets.map(|(name, rules)| (format!("secrets of {name}"), rules));
        for (place, rules) in own.into_iter().chain(secrets) {
            let mut seen = BTreeSet::new();
            for (nth, rule) in rules.iter().enumerate() {
                let place = format!("{place}[{nth}]");
                if rule.network.is_some() == rule.host.is_some() {
                    return Err(BadPolicy::OneOf(place));
                }
                if rule.host.is_none() && !rule.addresses.is_empty() {
                    return Err(BadPolicy::Addresses(place));
                }
                if !seen.insert(rule) {
                    return Err(BadPolicy::Twice(place));
                }
            }
        }
        match self.canonical().len() {
            large if large > CANONICAL_MAX => Err(BadPolicy::Large(large)),
            _ => Ok(self),
        }
    }

    /// The one way to write it down.
    #[must_use]
    pub fn canonical(&self) -> String {
        serde_json::to_string(self).expect("a policy has only string keys and integers")
    }

    /// Reads a canonical form back; `None` when it is of another release.
    #[must_use]
    pub fn read(canonical: &str) -> Option<Self> {
        serde_json::from_str::<Self>(canonical).ok()?.checked().ok()
    }

    /// Whether this address, which `endpoint` is or resolved to, may be dialled.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn admits_address(&self, endpoint: &Endpoint, ip: IpAddr) -> Result<(), Denied> {
        let target = || match endpoint.host {
            TargetHost::Ip(_) => endpoint.to_string(),
            TargetHost::Name(_) => format!("{endpoint} at {ip}"),
        };
        if let Some(rule) = built_in_denial(ip) {
            return Err(Denied::BuiltIn {
                target: target(),
                rule,
            });
        }
        let mut rules = self.targets.iter();
        if rules.any(|rule| rule.names_address(ip, endpoint.port) || rule.resolves(endpoint, ip)) {
            Ok(())
        } else {
            Err(Denied::Target(target()))
        }
    }

    /// Whether whom a request is for may be asked at all; the addresses of a name come later.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn admits_endpoint(&self, endpoint: &Endpoint) -> Result<(), Denied> {
        match &endpoint.host {
            TargetHost::Ip(ip) => self.admits_address(endpoint, *ip),
            TargetHost::Name(_) if self.targets.iter().any(|rule| rule.names(endpoint)) => Ok(()),
            TargetHost::Name(_) => Err(Denied::Target(endpoint.to_string())),
        }
    }
}
