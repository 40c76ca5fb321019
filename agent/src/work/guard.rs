//! Stands before every connection of the workers: what the policy forbids is not dialled, whoever
//! asked for it and whatever a name resolves to.
//!
//! One guard serves all runs of an agent: two runs together get no more than the policy allows.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::BoxFuture;
use nepho_common::{
    id::Feature,
    policy::{Denied, Endpoint, Policy, TargetHost, is_same_host},
    time::{Mono, Nanos},
};

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

/// What stands before every connection. Its copies share one policy and one count.
#[derive(Clone)]
pub struct Guard {
    shared: Arc<Mutex<Shared>>,
    resolver: Arc<dyn Resolve>,
    /// Of our own controller: nobody's targets.
    doors: Arc<[Endpoint]>,
}

#[derive(Debug)]
struct Shared {
    policy: Arc<Policy>,
    bucket: Bucket,
    open: u64,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

/// Leave to make one request; the connection's place is free again when it is dropped.
#[derive(Debug)]
pub struct Leave(Arc<Mutex<Shared>>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open -= 1;
    }
}

impl Guard {
    /// A guard of this policy for an agent whose controller has these doors.
    #[must_use]
    pub fn new(policy: Policy, doors: Vec<Endpoint>) -> Self {
        Self::with_resolver(policy, doors, Arc::new(HostResolver))
    }

    /// The same with another resolver.
    #[must_use]
    pub fn with_resolver(policy: Policy, doors: Vec<Endpoint>, resolver: Arc<dyn Resolve>) -> Self {
        let shared = Shared {
            bucket: Bucket::full(policy.limits.requests_per_second),
            policy: Arc::new(policy),
            open: 0,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
            resolver,
            doors: doors.into(),
        }
    }

    /// From now on this is allowed and nothing else, for what is under way too. What is open
    /// stays open, and counts.
    pub fn replace(&self, policy: Policy) {
        let mut shared = self.shared();
        let rate = policy.limits.requests_per_second;
        if shared.policy.limits.requests_per_second != rate {
            shared.bucket = Bucket::full(rate);
        }
        shared.policy = Arc::new(policy);
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is allowed now.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.shared().policy)
    }

    /// Leave for one request of this kind at this moment.
    ///
    /// # Errors
    /// The rule that stands against it.
    pub fn enter(&self, action: &Feature, now: Mono) -> Result<Leave, Denied> {
        let mut shared = self.shared();
        shared.policy.admits_action(action)?;
        let limits = shared.policy.limits;
        if shared.open >= limits.connections {
            return Err(Denied::Now {
                what: "every connection that may be open is open",
                limit: "limits.connections",
                most: limits.connections,
            });
        }
        if !shared.bucket.take(now) {
            return Err(Denied::Now {
                what: "all runs together ask faster",
                limit: "limits.requests-per-second",
                most: limits.requests_per_second,
            });
        }
        shared.open += 1;
        drop(shared);
        Ok(Leave(Arc::clone(&self.shared)))
    }

    /// The addresses to dial: resolved once, each of them judged, and no other.
    ///
    /// # Errors
    /// The name has none, or one of them is forbidden.
    pub async fn addresses(&self, endpoint: &Endpoint) -> Result<Vec<SocketAddr>, Failure> {
        let policy = self.policy();
        policy.admits_endpoint(endpoint)?;
        let found = self.resolved(&endpoint.host).await?;
        for ip in &found {
            policy.admits_address(endpoint, *ip)?;
        }
        if self.is_door(endpoint, &found).await {
            return Err(Denied::Controller(endpoint.to_string()).into());
        }
        let address = |ip: IpAddr| SocketAddr::new(ip, endpoint.port);
        Ok(found.into_iter().map(address).collect())
    }

    async fn resolved(&self, host: &TargetHost) -> Result<Vec<IpAddr>, Failure> {
        match host {
            TargetHost::Ip(ip) => Ok(vec![*ip]),
            TargetHost::Name(name) => {
                let found = self.resolver.resolve(name).await;
                found.map_err(Failure::Resolve)
            }
        }
    }

    /// Whether one of these addresses leads to our own controller. Its name is looked up only for
    /// a target on its port, which is rare; a name without an address is nobody's door now.
    async fn is_door(&self, endpoint: &Endpoint, found: &[IpAddr]) -> bool {
        for door in self.doors.iter().filter(|door| door.port == endpoint.port) {
            let theirs = self.resolved(&door.host).await.unwrap_or_default();
            let is_theirs = |ip: &IpAddr| theirs.iter().any(|door| is_same_host(*door, *ip));
            if found.iter().any(is_theirs) {
                return true;
            }
        }
        false
    }
}

/// As many requests at once as there are in a second and a quarter, then as many in each second. A
/// policy admits what has at most its rate in every second, so what was admitted always gets
/// through, even if some of it is sent up to a quarter of a second late.
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
            level: Self::most(rate),
            filled: None,
        }
    }

    fn most(rate: u64) -> u128 {
        u128::from(rate) * WHOLE * 5 / 4
    }

    fn take(&mut self, now: Mono) -> bool {
        let Nanos(passed) = self.filled.map_or(Nanos(0), |before| now.since(before));
        self.filled = self.filled.max(Some(now));
        let full = Self::most(self.rate);
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
    use futures_util::FutureExt as _;
    use nepho_common::policy::{HostPattern, Network, Ports, TargetRule};

    use super::*;

    fn limited(requests_per_second: u64, connections: u64) -> Guard {
        Guard::new(policy(requests_per_second, connections), Vec::new())
    }

    fn policy(requests_per_second: u64, connections: u64) -> Policy {
        let mut policy = Policy::careful();
        policy.limits.requests_per_second = requests_per_second;
        policy.limits.connections = connections;
        policy
    }

    fn enter(guard: &Guard, at: u64) -> Result<Leave, Denied> {
        guard.enter(&"probe.tcp".parse().unwrap(), Mono(at))
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn no_second_sees_more_than_a_burst_and_the_rate() {
        let guard = limited(10, 1_000);
        let taken = |from: u64, to: u64| {
            let instants = (from..to).step_by(1_000_000);
            instants.filter(|at| enter(&guard, *at).is_ok()).count()
        };
        assert_eq!(taken(0, SECOND), 22, "12 at once, then one each 100 ms");
        assert_eq!(taken(SECOND, 11 * SECOND), 100);
        assert!(enter(&limited(0, 9), 0).is_err());
    }

    #[test]
    fn what_has_no_more_than_the_rate_in_any_second_gets_through_even_when_it_is_late() {
        // Bursts of the whole rate, each of its requests late by another part of 200 ms.
        let guard = limited(100, 1_000);
        for burst in 0..50 {
            let mut late: Vec<_> = (0..100).map(|nth| (nth * 7 + burst * 13) % 200).collect();
            late.sort_unstable();
            for late in late {
                let at = burst * SECOND + late * 1_000_000;
                assert!(enter(&guard, at).is_ok(), "burst {burst}, {late} ms late");
            }
        }
        let more = (0..200).filter(|_| enter(&guard, 49 * SECOND).is_ok());
        assert!(more.count() <= 50, "twice as many do not");
    }

    #[test]
    fn a_connection_s_place_is_free_when_it_is_over() {
        let guard = limited(100, 2);
        let (one, two) = (enter(&guard, 0).unwrap(), enter(&guard, 0).unwrap());
        let refused = enter(&guard, 0).unwrap_err().to_string();
        assert!(refused.contains("limits.connections"), "{refused}");
        drop((one, two));
        assert!(enter(&guard, 0).is_ok());
    }

    #[test]
    fn a_policy_that_is_replaced_holds_for_what_is_under_way() {
        let guard = limited(100, 2);
        let worker = guard.clone();
        let open = enter(&worker, 0).unwrap();
        guard.replace(policy(100, 1));
        let refused = enter(&worker, 0).unwrap_err().to_string();
        assert!(refused.contains("limits.connections"), "{refused}");
        drop(open);
        assert!(enter(&worker, 0).is_ok());
        let mut none = policy(100, 1);
        none.actions.clear();
        guard.replace(none);
        assert!(matches!(enter(&worker, 0), Err(Denied::Action(_))));
        guard.replace(policy(0, 9));
        assert!(matches!(enter(&worker, 0), Err(Denied::Now { .. })));
    }

    /// Every name is the controller's host.
    struct Everywhere;

    impl Resolve for Everywhere {
        fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
            Box::pin(std::future::ready(Ok(vec!["10.0.0.9".parse().unwrap()])))
        }
    }

    #[test]
    fn the_controller_is_no_target_by_whatever_name() {
        let mut policy = Policy::careful();
        let host = HostPattern::try_from("*.example".to_owned()).unwrap();
        policy.targets.push(TargetRule::host(host, Ports::All));
        let network: Network = "0.0.0.0/0".parse().unwrap();
        policy
            .targets
            .push(TargetRule::network(network, Ports::All));
        let doors = vec![Endpoint::new("controller.example", 7444).unwrap()];
        let guard = Guard::with_resolver(policy, doors, Arc::new(Everywhere));
        let ask = |host: &str, port| {
            let endpoint = Endpoint::new(host, port).unwrap();
            guard.addresses(&endpoint).now_or_never().unwrap()
        };
        for host in ["controller.example", "alias.example", "10.0.0.9"] {
            let refused = ask(host, 7444);
            assert!(
                matches!(refused, Err(Failure::Denied(Denied::Controller(_)))),
                "{host}: {refused:?}"
            );
            assert!(ask(host, 80).is_ok(), "another service of that host");
        }
        assert!(ask("10.0.0.8", 7444).is_ok(), "that port of another host");
    }
}
