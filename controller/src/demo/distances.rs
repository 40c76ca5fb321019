//! Who is how far from whom, and the proxies that make it so: one for each pair of environments.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::try_join_all;
use nepho_common::id::EnvironmentName;
use serde::{Deserialize, Serialize};

use super::{
    faults::{self, Fault},
    services::{Running, die_with_us},
    theatre::DemoError,
};
use crate::local::child::Child;

/// Longer than a proxy waits for its targets (5 s), which are up before it starts.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Two environments and the round trip between them, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) a: &'static str,
    pub(super) b: &'static str,
    pub(super) round_trip_ms: u16,
}

/// As measured between the users' environments.
pub(super) const PAIRS: [Pair; 3] = [
    Pair {
        a: "local",
        b: "tencent",
        round_trip_ms: 15,
    },
    Pair {
        a: "local",
        b: "aliyun",
        round_trip_ms: 30,
    },
    Pair {
        a: "tencent",
        b: "aliyun",
        round_trip_ms: 30,
    },
];

/// The controller lives here; agents elsewhere reach it over the distance.
pub(super) const HOME: &str = "local";

/// Where the controller listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) enrolment: SocketAddr,
    pub(super) sessions: SocketAddr,
}

/// Where everything is, seen from another environment.
#[derive(Debug, Default)]
pub(super) struct Map {
    /// By name of the route.
    routes: BTreeMap<String, SocketAddr>,
}

impl Map {
    /// Where agents of `from` reach this service; absent inside its own environment.
    pub(super) fn service(&self, from: &EnvironmentName, to: &Running) -> Option<SocketAddr> {
        self.routes.get(&to_service(from.as_str(), to)).copied()
    }

    /// Where agents of `from` reach the controller; absent at home.
    pub(super) fn controller(&self, from: &EnvironmentName) -> Option<Ports> {
        let route = |port| {
            self.routes
                .get(&to_controller(from.as_str(), port))
                .copied()
        };
        Some(Ports {
            enrolment: route("enrolment")?,
            sessions: route("sessions")?,
        })
    }

    /// As if the proxies ran: ports from 30000, by service and then by environment.
    #[cfg(test)]
    pub(super) fn of_test(running: &[Running]) -> Self {
        let mut routes = BTreeMap::new();
        for (base, to) in (30_000..).step_by(3).zip(running) {
            for (port, from) in (base..).zip(["local", "tencent", "aliyun"]) {
                if to.service.environment.as_str() != from {
                    let address = SocketAddr::from(([127, 0, 0, 1], port));
                    routes.insert(to_service(from, to), address);
                }
            }
        }
        Self { routes }
    }
}

fn to_service(from: &str, to: &Running) -> String {
    format!("{from}->{}/{}", to.service.environment, to.service.name)
}

fn to_controller(from: &str, port: &str) -> String {
    format!("{from}->controller/{port}")
}

#[derive(Debug, Serialize)]
struct Config {
    schema: &'static str,
    routes: Vec<Route>,
}

#[derive(Debug, Serialize)]
struct Route {
    name: String,
    listen: SocketAddr,
    target: SocketAddr,
    there_ms: f64,
    back_ms: f64,
    check: bool,
}

/// The line in which a proxy says where its routes listen.
#[derive(Debug, Deserialize)]
struct Ready {
    routes: Vec<ReadyRoute>,
}

#[derive(Debug, Deserialize)]
struct ReadyRoute {
    name: String,
    listen: SocketAddr,
    up: bool,
}

/// Starts the proxies; the processes are put into `children`, whatever becomes of the rest.
pub(super) async fn start(
    (program, dir): (&Path, &Path),
    running: &[Running],
    controller: Ports,
    faults: &[Fault],
    children: &mut Vec<Child>,
) -> Result<Map, DemoError> {
    let first = children.len();
    for pair in PAIRS {
        let config = Config {
            schema: "nepho.sample-proxy/v1",
            routes: routes(pair, running, controller, faults),
        };
        let path = dir.join(format!("{}-{}.json", pair.a, pair.b));
        write(&path, &config)?;
        let name = format!("distance {}-{}", pair.a, pair.b);
        let config = path.display().to_string();
        let arguments = ["proxy", "--config", &config, &die_with_us()];
        children.push(Child::start(name, program, &arguments)?);
    }
    let started = children.get_mut(first..).unwrap_or_default();
    let lines = started
        .iter_mut()
        .map(|child| child.first_line::<Ready>("saying where it listens", READY_WITHIN));
    let mut map = Map::default();
    for route in try_join_all(lines)
        .await?
        .into_iter()
        .flat_map(|line| line.routes)
    {
        if !route.up {
            return Err(DemoError::Closed(route.name));
        }
        map.routes.insert(route.name, route.listen);
    }
    Ok(map)
}

/// Half the round trip each way: every service of either, seen from the other, and the controller.
fn routes(pair: Pair, running: &[Running], controller: Ports, faults: &[Fault]) -> Vec<Route> {
    let more = faults::stretch(faults, pair.a, pair.b);
    let half = f64::from(pair.round_trip_ms + more) / 2.0;
    let route = |name, target, check| Route {
        name,
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        target,
        there_ms: half,
        back_ms: half,
        check,
    };
    let mut routes = Vec::new();
    for (from, to) in [(pair.a, pair.b), (pair.b, pair.a)] {
        let there = running
            .iter()
            .filter(|running| running.service.environment.as_str() == to);
        routes.extend(there.map(|running| route(to_service(from, running), running.address, true)));
        if to == HOME {
            // Unchecked: a TLS listener would log every look as a failed handshake.
            let Ports {
                enrolment,
                sessions,
            } = controller;
            routes.push(route(to_controller(from, "enrolment"), enrolment, false));
            routes.push(route(to_controller(from, "sessions"), sessions, false));
        }
    }
    routes
}

fn write(path: &PathBuf, config: &Config) -> Result<(), DemoError> {
    let text = serde_json::to_vec(config).expect("our own values have string keys");
    std::fs::write(path, text).map_err(|source| DemoError::Write {
        path: path.clone(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::reference;

    #[test]
    fn each_pair_has_a_route_for_every_service_of_the_other_and_for_the_controller() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let running: Vec<_> = (1000..)
            .zip(reference::services())
            .map(|(port, service)| Running {
                service,
                address: at(port),
                tls: false,
            })
            .collect();
        let ports = Ports {
            enrolment: at(1),
            sessions: at(2),
        };
        let counts = PAIRS.map(|pair| routes(pair, &running, ports, &[]).len());
        assert_eq!(counts, [29 + 4 + 2, 29 + 7 + 2, 4 + 7]);
        let [first, ..] = PAIRS;
        for route in routes(first, &running, ports, &[]) {
            assert_eq!(
                (route.there_ms, route.back_ms),
                (7.5, 7.5),
                "{}",
                route.name
            );
            assert_eq!(route.check, !route.name.contains("controller"));
        }
    }
}
