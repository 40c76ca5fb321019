//! What the user gets to see and to keep: the fleet, the scenario, and which port is which.

use std::{collections::BTreeSet, fmt::Write as _};

use nepho_common::id::EnvironmentName;
use nepho_controller_core::scenario::{self, Bundle, Loaded, Source};

use super::{
    distances::{Map, PAIRS, Pair},
    faults::NAME,
    services::{BALANCED, Running, is_balancer},
    theatre::Play,
};

/// The three texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// `cluster-config.yaml`.
    pub fleet: String,
    /// `three-environments.yaml`, which names it; of the broken demo `broken.yaml`.
    pub scenario: String,
    /// `ports.csv`.
    pub ports: String,
}

impl Files {
    /// As every run reads them.
    ///
    /// # Panics
    /// When they hold a mistake, which a test looks for.
    pub(super) fn loaded(&self, play: Play) -> Loaded {
        let source = |name: &str, text: &str| Source {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let [fleet, scenario, _] = names(play);
        let bundle = Bundle {
            scenario: source(scenario, &self.scenario),
            files: [(fleet.to_owned(), source(fleet, &self.fleet))].into(),
        };
        scenario::load(&bundle).expect("a test says that there is no mistake in it")
    }
}

/// The names of the three, in that order.
#[must_use]
pub const fn names(play: Play) -> [&'static str; 3] {
    let scenario = match play {
        Play::Well => "three-environments.yaml",
        Play::Broken => "broken.yaml",
    };
    ["cluster-config.yaml", scenario, "ports.csv"]
}

const ENVIRONMENTS: [(&str, &str); 3] = [
    ("local", "本地 · local"),
    ("tencent", "腾讯云 · Tencent Cloud"),
    ("aliyun", "阿里云 · Alibaba Cloud"),
];

pub(super) fn files(running: &[Running], map: &Map, play: Play) -> Files {
    Files {
        fleet: fleet(running, map),
        scenario: scenario(play),
        ports: ports(running, map),
    }
}

/// Addresses of one service: inside, and from each other environment.
fn seen_from<'a>(
    running: &'a Running,
    map: &'a Map,
) -> impl Iterator<Item = (EnvironmentName, std::net::SocketAddr)> + 'a {
    ENVIRONMENTS.iter().filter_map(|(name, _)| {
        let from: EnvironmentName = name.parse().expect("these three are names");
        let address = map.service(&from, running)?;
        Some((from, address))
    })
}

// Writing to a string can't fail: the results below are dropped by `unwrap_or_default`.

fn fleet(running: &[Running], map: &Map) -> String {
    let mut out = String::from(
        "# The reference fleet, as `nepho demo` started it on this machine. The ports were free\n\
         # ones; `reference-port` is the one that the users know. `from` leads over the distance.\n\
         api: nepho/v1\n\
         environments:\n",
    );
    for (name, title) in ENVIRONMENTS {
        writeln!(out, "  {name}: {{title: \"{title}\"}}").unwrap_or_default();
    }
    out.push_str("groups:\n");
    let groups: BTreeSet<_> = running
        .iter()
        .map(|one| one.service.group.as_str())
        .collect();
    for group in groups {
        let pool = if group == BALANCED {
            "balancing: {policy: round-robin, told-by: {header: x-instance}}"
        } else {
            ""
        };
        writeln!(out, "  {group}: {{{pool}}}").unwrap_or_default();
    }
    out.push_str("services:\n");
    for one in running {
        let service = &one.service;
        let kind = if service.is_http() { "http" } else { "tcp" };
        let scheme = if one.tls { "https://" } else { "" };
        let balances = if is_balancer(service) {
            format!("    balances: {BALANCED}\n")
        } else {
            String::new()
        };
        let from: Vec<_> = seen_from(one, map)
            .map(|(from, address)| format!("{from}: \"{scheme}{address}\""))
            .collect();
        writeln!(
            out,
            "  - name: {}\n    environment: {}\n    group: {}\n    \
             labels: {{kind: {}, reference-port: \"{}\"}}\n    {kind}: {{}}\n{balances}    \
             address: {{inside: \"{scheme}{}\", from: {{{}}}}}",
            service.name,
            service.environment,
            service.group,
            service.kind,
            service.port,
            one.address,
            from.join(", "),
        )
        .unwrap_or_default();
    }
    out
}

fn ports(running: &[Running], map: &Map) -> String {
    let mut out = String::from("environment,group,service,kind,reference_port,port");
    for (name, _) in ENVIRONMENTS {
        write!(out, ",from_{name}").unwrap_or_default();
    }
    out.push('\n');
    for one in running {
        let service = &one.service;
        let inside = one.address.port();
        write!(
            out,
            "{},{},{},{},{},{inside}",
            service.environment, service.group, service.name, service.kind, service.port
        )
        .unwrap_or_default();
        for (name, _) in ENVIRONMENTS {
            let from = seen_from(one, map).find(|(from, _)| from.as_str() == name);
            let port = from.map_or(inside, |(_, address)| address.port());
            write!(out, ",{port}").unwrap_or_default();
        }
        out.push('\n');
    }
    out
}

/// What may come on top of a round trip: the median of a request on two busy cores is far below.
const ROOM_MS: u16 = 10;

fn scenario(play: Play) -> String {
    let mut out = String::from(match play {
        Play::Well => {
            "# What `nepho demo` runs: local, then the clouds, then everything at once. A stage begins\n\
             # only if the one before it passed. A TCP connection through the proxies that stand for\n\
             # the distance completes at the proxy, so distance is judged on HTTP alone; `min` proves\n\
             # that the distance is there.\n\
             api: nepho/v1\n\
             name: three-environments\n\
             title: 三环境集群测试 · three environments\n"
        }
        Play::Broken => {
            "# What `nepho demo --broken` runs: the stages of `nepho demo` on a fleet with faults in it,\n\
             # with what finds them: an answer of each name server, one version everywhere, and what\n\
             # processes use. All stages run, whatever fails.\n\
             api: nepho/v1\n\
             name: broken\n\
             title: 故障集群 · planted faults\n"
        }
    });
    out.push_str("fleet: cluster-config.yaml\nstages:\n");
    let stages: [(_, _, &[_]); 3] = [
        ("local", "18s", &["local"]),
        ("cloud", "20s", &["tencent", "aliyun"]),
        ("hybrid", "32s", &["local", "tencent", "aliyun"]),
    ];
    for (name, lasts, environments) in stages {
        stage(&mut out, name, lasts, environments, play);
    }
    out
}

fn stage(out: &mut String, name: &str, lasts: &str, environments: &[&str], play: Play) {
    let all = environments.join(", ");
    let steps = steps(environments);
    let is_broken = play == Play::Broken;
    // How often a service goes down shows in when it is asked.
    let every = if is_broken { "500ms" } else { "1s" };
    write!(
        out,
        "  - name: {name}\n    lasts: {lasts}\n    steps:\n      \
         reach: {{probe: {{from: [{all}], to: {{environment: [{all}]}}, health: {{}}, every: {every}, \
         timeout: 2s}}}}\n"
    )
    .unwrap_or_default();
    for step in &steps {
        writeln!(
            out,
            "      {}:\n        probe:\n          from: [{}]\n          \
             to: {{environment: [{}], label: {{kind: [http]}}}}\n          \
             http: {{path: /version}}\n          every: 1s\n          timeout: 2s",
            step.name,
            step.from.join(", "),
            step.to.join(", "),
        )
        .unwrap_or_default();
    }
    let mut expected = String::new();
    loads(out, &mut expected, name, play);
    if is_broken {
        extra(out, &mut expected, environments);
    }
    out.push_str("    expect:\n");
    out.push_str("      - {on: reach, failures: {max: 0}, by: [from, environment, service]}\n");
    for step in &steps {
        let bounds = match step.round_trip_ms {
            0 => format!("max: {ROOM_MS}ms"),
            far => format!("min: {far}ms, max: {}ms", far + ROOM_MS),
        };
        // One slow service among many is seen only where each is judged by itself.
        let by = if is_broken && step.round_trip_ms == 0 {
            "[from, environment, service]"
        } else {
            "[from, environment]"
        };
        write!(
            out,
            "      - {{on: {name}, success-rate: {{min: 99%}}, by: [from, environment]}}\n      \
             - {{on: {name}, latency: {{p50: {{{bounds}}}}}, by: {by}}}\n",
            name = step.name
        )
        .unwrap_or_default();
    }
    out.push_str(&expected);
}

/// What is sent in a stage, and what is expected of it: how the balancer spreads, how services do
/// under a number of users, and how everything holds with load from everywhere.
fn loads(out: &mut String, expected: &mut String, stage: &str, play: Play) {
    let pool = format!("{{environment: [local], group: [{BALANCED}], via: balancer}}");
    let spread = "distribution: {over: instance, tolerance: 5%}, during: baseline";
    match stage {
        "local" => {
            write!(
                out,
                "      spread:\n        load:\n          from: [local]\n          to: {pool}\n          \
                 open: {{rate: 250/s, warm-up: 2s}}\n          requests: [{{get: /}}]\n"
            )
            .unwrap_or_default();
            write!(
                expected,
                "      - {{on: spread, {spread}}}\n      - {{on: spread, success-rate: {{min: \
                 99.9%}}, confidence: 95%}}\n"
            )
            .unwrap_or_default();
            if play == Play::Broken {
                // As many connections as would do if answers came within what is expected.
                out.push_str(
                    "      crowded:\n        load:\n          from: [local]\n          to: \
                     {environment: [local], service: [statistics-service]}\n          open: {rate: \
                     70/s, warm-up: 2s}\n          connections: 8\n          timeout: 10s\n          requests: [{get: /}]\n",
                );
                expected.push_str(
                    "      - {on: crowded, latency: {p50: {max: 40ms}}, during: baseline}\n",
                );
            }
        }
        "cloud" => {
            out.push_str(
                "      users:\n        load:\n          from: [tencent, aliyun]\n          to: \
                 {environment: [tencent], service: [dao-api]}\n          closed: {users: 40, think: \
                 100ms, warm-up: 2s}\n          requests:\n            - {get: /, weight: 9}\n            \
                 - {get: /version, weight: 1, expect: {json: {$.version: \"2.4.0\"}}}\n",
            );
            // Slowed down by the link, which is found by itself.
            let most = if play == Play::Broken {
                "200ms"
            } else {
                "50ms"
            };
            write!(
                expected,
                "      - {{on: users, failures: {{max: 0}}}}\n      - {{on: users, latency: {{p90: \
                 {{max: {most}}}}}, during: baseline}}\n"
            )
            .unwrap_or_default();
        }
        _ => {
            write!(
                out,
                "      browse:\n        load:\n          to: {pool}\n          open: {{rate: 800/s, \
                 warm-up: 5s}}\n          requests: [{{get: /, weight: 9}}, {{get: /health}}]\n"
            )
            .unwrap_or_default();
            expected.push_str(
                "      - {on: browse, failures: {max: 0}}\n      - {on: browse, latency: {p99: \
                 {max: 250ms}}, during: baseline}\n",
            );
            writeln!(expected, "      - {{on: browse, {spread}}}").unwrap_or_default();
        }
    }
}

/// What only the broken demo looks at.
fn extra(out: &mut String, expected: &mut String, environments: &[&str]) {
    let servers = environments
        .iter()
        .filter(|name| ["local", "tencent"].contains(name));
    for name in servers {
        write!(
            out,
            "      names-{name}:\n        probe:\n          from: [{name}]\n          \
             to: {{environment: [{name}], service: [name-server]}}\n          \
             dns: {{name: {}, record: A, answers: [{}]}}\n          every: 1s\n          timeout: 2s\n",
            NAME.0, NAME.1
        )
        .unwrap_or_default();
        let by = "[from, environment, service]";
        writeln!(
            expected,
            "      - {{on: names-{name}, failures: {{max: 0}}, by: {by}}}"
        )
        .unwrap_or_default();
    }
    if environments == ["local"] {
        // The one that computes without end, and one that does its work.
        out.push_str(
            "      processes:\n        watch:\n          from: [local]\n          every: 1s\n          \
             processes: {crm-worker: {name: crm-worker}, crm-api: {name: crm-api}}\n",
        );
        expected.push_str(
            "      - {on: processes, resource: {name: process.cpu, max: 50%}, by: [process]}\n",
        );
    }
    if environments.len() > 2 {
        out.push_str(
            "      versions:\n        probe:\n          from: [local, tencent]\n          \
             to: {service: [blockchain-node-1]}\n          http: {path: /version}\n          \
             every: 1s\n          timeout: 2s\n",
        );
        expected.push_str("      - {on: versions, same: version, by: [service]}\n");
    }
}

/// Requests whose answers take the same time.
struct Distance<'a> {
    name: String,
    from: Vec<&'a str>,
    to: Vec<&'a str>,
    round_trip_ms: u16,
}

fn steps<'a>(environments: &[&'a str]) -> Vec<Distance<'a>> {
    let near = environments.iter().map(|name| Distance {
        name: format!("near-{name}"),
        from: vec![name],
        to: vec![name],
        round_trip_ms: 0,
    });
    let far = environments.iter().flat_map(|from| {
        let others = environments.iter().filter(move |to| *to != from);
        others.filter_map(move |to| {
            let pair = PAIRS.iter().find(|pair| joins(pair, from, to))?;
            Some(Distance {
                name: format!("{from}-to-{to}"),
                from: vec![from],
                to: vec![to],
                round_trip_ms: pair.round_trip_ms,
            })
        })
    });
    near.chain(far).collect()
}

fn joins(pair: &Pair, from: &str, to: &str) -> bool {
    (pair.a == from && pair.b == to) || (pair.a == to && pair.b == from)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::demo::reference;

    fn made(play: Play) -> Files {
        let mut services = reference::services();
        if play == Play::Broken {
            services.extend(reference::name_servers());
        }
        let running: Vec<_> = (20_000..)
            .zip(services)
            .map(|(port, service)| Running {
                service,
                address: SocketAddr::from(([127, 0, 0, 1], port)),
                tls: false,
            })
            .collect();
        files(&running, &Map::of_test(&running), play)
    }

    fn loaded(play: Play) -> Loaded {
        made(play).loaded(play)
    }

    #[test]
    fn fleet_and_scenario_hold_no_mistake_and_every_path() {
        let loaded = loaded(Play::Well);
        assert_eq!(loaded.fleet.instances.len(), 40);
        for from in loaded.fleet.environments.keys() {
            for to in loaded.fleet.instances.values() {
                assert!(loaded.fleet.path(from, to).is_some(), "{from} {}", to.id);
            }
        }
        let lasts: Vec<_> = loaded
            .scenario
            .stages
            .iter()
            .map(|stage| stage.lasts.to_string())
            .collect();
        assert_eq!(lasts, ["18s", "20s", "32s"]);
    }

    #[test]
    fn the_scenario_is_for_people_too() {
        insta::assert_snapshot!(scenario(Play::Well));
    }

    #[test]
    fn the_broken_one_asks_for_what_finds_the_faults() {
        insta::assert_snapshot!(scenario(Play::Broken));
        let loaded = loaded(Play::Broken);
        assert_eq!(loaded.fleet.instances.len(), 42);
    }

    #[test]
    fn every_port_is_in_the_table() {
        let ports = made(Play::Well).ports;
        assert_eq!(ports.lines().count(), 41);
        let first: Vec<_> = ports.lines().take(2).collect();
        assert_eq!(
            first,
            [
                "environment,group,service,kind,reference_port,port,from_local,from_tencent,from_aliyun",
                "local,future-ai,ai-gateway,http,7510,20000,20000,30001,30002",
            ]
        );
    }
}
