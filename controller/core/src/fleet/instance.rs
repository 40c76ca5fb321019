//! The fleet, checked: every name in it exists, every address can be dialled.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

pub use nepho_common::plan::DecidesOn;
use nepho_common::{
    id::{EnvironmentName, GroupName, InstanceId, ServiceName},
    plan::ToldBy,
};

use super::{Address, Headers, Labels, RequestPath, Statuses, Title};

/// The services under test. Its only door is [`load`](super::load).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// The places that services and agents live in.
    pub environments: BTreeMap<EnvironmentName, Environment>,
    /// The groups, declared or named by a service.
    pub groups: BTreeMap<GroupName, Group>,
    /// Every running copy of every service.
    pub instances: BTreeMap<InstanceId, Instance>,
}

impl Fleet {
    /// The address under which agents of `from` reach `to`; `None` when there is no path.
    #[must_use]
    pub fn path<'a>(&self, from: &EnvironmentName, to: &'a Instance) -> Option<&'a Address> {
        let Addresses {
            inside,
            from: by_environment,
            default,
        } = &to.addresses;
        let own = if *from == to.id.environment {
            inside.as_ref()
        } else {
            by_environment.get(from)
        };
        own.or(default.as_ref())
    }

    /// The services, each with its instances' ids.
    #[must_use]
    pub fn services(&self) -> BTreeMap<ServiceId, Vec<&InstanceId>> {
        let mut services: BTreeMap<ServiceId, Vec<&InstanceId>> = BTreeMap::new();
        for id in self.instances.keys() {
            services.entry(ServiceId::of(id)).or_default().push(id);
        }
        services
    }
}

/// A place that services and agents live in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Its name for people.
    pub title: Option<Title>,
}

/// Services that belong together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name for people.
    pub title: Option<Title>,
    /// How requests are spread, when the group is one pool.
    pub balancing: Option<Balancing>,
}

/// How requests are spread over the instances of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balancing {
    /// How the next instance is chosen.
    pub policy: Policy,
    /// How often.
    pub decides_on: DecidesOn,
    /// What in an answer names the instance.
    pub told_by: Option<ToldBy>,
}

/// How a balancer chooses the next instance. Weights stand on the instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// In turn.
    RoundRobin,
    /// Whoever has the fewest connections.
    LeastConnections,
    /// By chance.
    Random,
    /// By the client's address.
    SourceHash,
}

/// `environment/service`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceId {
    /// Where it lives.
    pub environment: EnvironmentName,
    /// Its name there.
    pub service: ServiceName,
}

impl ServiceId {
    /// The service that an instance is a copy of.
    #[must_use]
    pub fn of(id: &InstanceId) -> Self {
        Self {
            environment: id.environment.clone(),
            service: id.service.clone(),
        }
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.environment, self.service))
    }
}

/// One running copy of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Who it is.
    pub id: InstanceId,
    /// Its service's name for people.
    pub title: Option<Title>,
    /// What it belongs to.
    pub group: Option<GroupName>,
    /// Its own labels and its service's.
    pub labels: Labels,
    /// Its share of its group's requests; 0 for none.
    pub weight: u32,
    /// Where it is reached.
    pub addresses: Addresses,
    /// What it speaks and how its health is checked.
    pub kind: Kind,
    /// Services that its service needs.
    pub depends_on: BTreeSet<ServiceId>,
    /// The group that it spreads requests over, when it is a balancer.
    pub balances: Option<GroupName>,
}

/// Where an instance is reached depends on who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// For agents of its own environment.
    pub inside: Option<Address>,
    /// For agents of other environments.
    pub from: BTreeMap<EnvironmentName, Address>,
    /// For everybody else.
    pub default: Option<Address>,
}

/// What a service speaks and how its health is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// HTTP: healthy when a `GET` is answered with one of the statuses.
    Http {
        /// The path of the health check.
        health: RequestPath,
        /// The statuses that mean "healthy".
        ok: Statuses,
        /// What is sent with the check.
        headers: Headers,
    },
    /// Anything else: healthy when it accepts a connection.
    Tcp,
}
