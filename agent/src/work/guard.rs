//! Stands before every connection of the workers: what the policy forbids is not dialled, whoever
//! asked for it and whatever a name resolves to.
//!
//! One guard serves all runs of an agent: two runs together get no more than the policy allows.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::BoxFuture;
use nepho_common::{
    policy::{Denied, Endpoint, Policy, TargetHost},
    time::{Mono, Nanos},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::probe::Failure;

/// Turns a name into addresses.
pub trait Resolve: Send + Sync {
    /// The addresses of this name now.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The host's own resolver.
#[derive(Debug, Clone, Copy)]
pub struct HostResolver;

impl Resolve for HostResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// What stands before every connection.
#[derive(Clone)]
pub struct Guard {
    policy: Arc<Policy>,
    resolver: Arc<dyn Resolve>,
    bucket: Arc<Mutex<Bucket>>,
    connections: Arc<Semaphore>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Leave to make one request; the connection's place is free again when it is dropped.
#[derive(Debug)]
pub struct Leave(#[expect(dead_code, reason = "it is held for its drop")] OwnedSemaphorePermit);

impl Guard {
    /// A guard of this policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self::with_resolver(policy, Arc::new(HostResolver))
    }

    /// The same with another resolver.
    #[must_use]
    pub fn with_resolver(policy: Policy, resolver: Arc<dyn Resolve>) -> Self {
        let limits = policy.limits;
        let connections = usize::try_from(limits.connections).unwrap_or(usize::MAX);
        Self {
            policy: Arc::new(policy),
            resolver,
            bucket: Arc::new(Mutex::new(Bucket::full(limits.requests_per_second))),
            connections: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// What is allowed.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Leave for one request at this moment.
    ///
    /// # Errors
    /// The limit that stands against it.
    pub fn enter(&self, now: Mono) -> Result<Leave, Denied> {
        let limits = self.policy.limits;
        let connections = Arc::clone(&self.connections);
        let place = connections.try_acquire_owned().map_err(|_| Denied::Now {
            what: "every connection that may be open is open",
            limit: "limits.connections",
            most: limits.connections,
        })?;
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        if bucket.take(now) {
            Ok(Leave(place))
        } else {
            Err(Denied::Now {
                what: "all runs together ask faster",
                limit: "limits.requests-per-second",
                most: limits.requests_per_second,
            })
        }
    }

    /// The addresses to dial: resolved once, each of them judged, and no other.
    ///
    /// # Errors
    /// The name has none, or one of them is forbidden.
    pub async fn addresses(&self, endpoint: &Endpoint) -> Result<Vec<SocketAddr>, Failure> {
        self.policy.admits_endpoint(endpoint)?;
        let found = match &endpoint.host {
            TargetHost::Ip(ip) => vec![*ip],
            TargetHost::Name(name) => self
                .resolver
                .resolve(name)
                .await
                .map_err(Failure::Resolve)?,
        };
        for ip in &found {
            self.policy.admits_address(endpoint, *ip)?;
        }
        let address = |ip: IpAddr| SocketAddr::new(ip, endpoint.port);
        Ok(found.into_iter().map(address).collect())
    }
}

/// As many requests at once as there are in a second, then as many in each second.
#[derive(Debug)]
struct Bucket {
    rate: u64,
    /// Billionths of a request.
    level: u128,
    filled: Option<Mono>,
}

impl Bucket {
    fn full(rate: u64) -> Self {
        Self {
            rate,
            level: u128::from(rate) * WHOLE,
            filled: None,
        }
    }

    fn take(&mut self, now: Mono) -> bool {
        let Nanos(passed) = self.filled.map_or(Nanos(0), |before| now.since(before));
        self.filled = self.filled.max(Some(now));
        let full = u128::from(self.rate) * WHOLE;
        self.level = full.min(self.level + u128::from(passed) * u128::from(self.rate));
        let left = self.level.checked_sub(WHOLE);
        self.level = left.unwrap_or(self.level);
        left.is_some()
    }
}

/// A nanosecond fills `rate` of these.
const WHOLE: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(requests_per_second: u64, connections: u64) -> Guard {
        let mut policy = Policy::careful();
        policy.limits.requests_per_second = requests_per_second;
        policy.limits.connections = connections;
        Guard::new(policy)
    }

    #[test]
    fn no_second_sees_more_than_a_burst_and_the_rate() {
        let guard = limited(10, 1_000);
        let taken = |from: u64, to: u64| {
            let instants = (from..to).step_by(1_000_000);
            instants.filter(|at| guard.enter(Mono(*at)).is_ok()).count()
        };
        let second = 1_000_000_000;
        assert_eq!(taken(0, second), 19, "ten at once, then one each 100 ms");
        assert_eq!(taken(second, 11 * second), 100);
        assert!(limited(0, 9).enter(Mono(0)).is_err());
    }

    #[test]
    fn a_connection_s_place_is_free_when_it_is_over() {
        let guard = limited(100, 2);
        let (one, two) = (guard.enter(Mono(0)).unwrap(), guard.enter(Mono(0)).unwrap());
        let refused = guard.enter(Mono(0)).unwrap_err().to_string();
        assert!(refused.contains("limits.connections"), "{refused}");
        drop((one, two));
        assert!(guard.enter(Mono(0)).is_ok());
    }
}
