use nepho_common::{
    plan::{Rise, Window},
    policy::{Policy, Ports, TargetRule},
};

use super::*;
use crate::scenario::{Bundle, Source};

const FLEET: &str = "api: nepho/v1
environments: {local: {}, cloud: {}}
services:
  - {name: web, environment: local, group: front, http: {}, address: {inside: '10.0.0.1:80', from: {cloud: 'https://web.example'}}}
  - {name: db, environment: local, group: data, tcp: {}, address: {inside: '10.0.0.2:5432'}}
";

fn bundle(stages: &str) -> Bundle {
    let source = |name: &str, text: String| Source {
        name: name.to_owned(),
        text,
    };
    let scenario = format!("api: nepho/v1\nname: s\nfleet: fleet.yaml\nstages:\n{stages}");
    let fleet = source("fleet.yaml", FLEET.to_owned());
    Bundle {
        scenario: source("s.yaml", scenario),
        files: [("fleet.yaml".to_owned(), fleet)].into(),
    }
}

/// The careful default, and the one name that the fleet declares.
fn policy() -> Policy {
    let mut policy = Policy::careful();
    let host = "web.example".to_owned().try_into().unwrap();
    policy.targets.push(TargetRule::host(host, Ports::All));
    policy
}

fn inventory(agents: &[(&str, &str)]) -> Inventory {
    let available = |(agent, environment): &(&str, &str)| {
        let features = ["probe.http".parse().unwrap(), "probe.tcp".parse().unwrap()].into();
        let environment = environment.parse().unwrap();
        (
            agent.parse().unwrap(),
            Available {
                environment,
                features,
                policy: Some(PolicyReport::of(&policy(), Vec::new())),
                host: agent.to_string(),
                calibrated: None,
            },
        )
    };
    Inventory {
        agents: agents.iter().map(available).collect(),
    }
}

fn planned(stages: &str, agents: &[(&str, &str)], choices: Choices) -> Result<Planned, Impossible> {
    let bundle = bundle(stages);
    let loaded = scenario::load(&bundle).unwrap_or_else(|d| panic!("{}", d.render(false)));
    plan(&loaded, bundle.digests(), &inventory(agents), choices)
}

const REACH: &str = "  - name: one
    lasts: 10s
    steps: {reach: {probe: {health: {}}}}
    expect:
      - {on: reach, failures: {max: 0}, by: [from, service]}
      - {on: reach, latency: {p50: {max: 50ms}, max: {max: 1s}}}
";
const BOTH: [(&str, &str); 2] = [("cloud-1", "cloud"), ("local-1", "local")];

fn paths(planned: &Planned) -> Vec<&PlannedPath> {
    planned.plan.stages[0].steps[0].act.to().iter().collect()
}

#[test]
fn every_environment_asks_every_instance_and_undeclared_paths_are_said() {
    let planned = planned(REACH, &BOTH, Choices::default()).unwrap();
    let told: Vec<_> = paths(&planned)
        .iter()
        .map(|path| {
            let route = match &path.route {
                Route::Ask { check, offset } => format!("{} +{offset}", check.address()),
                Route::NoPath => "no path".to_owned(),
            };
            format!("{} {} {}: {route}", path.agent, path.to, path.operation)
        })
        .collect();
    insta::assert_snapshot!(
        "paths",
        told.join(
            "
"
        )
    );
    assert_eq!(planned.notes.len(), 1);
    assert_eq!(planned.requests, 30);
    insta::assert_snapshot!("plan", render(&planned));
}

/// One step of each kind that was not in the first release.
const KINDS: &str = "  - name: one
    lasts: 10s
    steps:
      page: {probe: {http: {path: /, headers-have: {content-type: json}, body: ok, json: {$.a: b}, redirects: 2, version: '2'}, to: {service: [web]}}}
      talk: {probe: {tcp: {banner: SSH, send: x, expect: y}, to: {service: [db]}}}
      shake: {probe: {tls: {name: db.example, names: [x.example], left: 336h, version: '1.3'}, to: {service: [db]}}}
      name: {probe: {dns: {name: web.example, record: MX, answers: [10 a.example]}, to: {service: [db]}}}
      echo: {probe: {icmp: {}, to: {service: [db]}}}
      rpc: {probe: {grpc: {service: crm.v1}, to: {service: [db]}}}
      number: {probe: {prometheus: {query: up, min: '0.5', max: '1', headers: {authorization: '${env:T}'}}, to: {service: [web]}}}
      stream: {probe: {event: {redis: {stream: s, password: '${env:P}'}}, to: {service: [db]}}}
      subject: {probe: {event: {nats: {subject: a.b}}, to: {service: [db]}}}
      hook: {probe: {event: {webhook: {post: /in, seen: /out}}, to: {service: [web]}}}
";

#[test]
fn each_kind_of_probe_is_planned_with_everything_it_needs() {
    let loaded = scenario::load(&bundle(KINDS)).unwrap_or_else(|found| panic!("{found}"));
    let mut inventory = Inventory::default();
    let available = Available {
        environment: "local".parse().unwrap(),
        features: BTreeSet::new(),
        policy: Some(PolicyReport::of(&local_policy(&loaded), Vec::new())),
        host: String::new(),
        calibrated: None,
    };
    inventory.agents.insert("a".parse().unwrap(), available);
    let mut loaded = loaded;
    for stage in &mut loaded.scenario.stages {
        for step in stage.steps.values_mut() {
            let Step::Probe(probe) = step else {
                panic!("a probe")
            };
            probe.from = ["local".parse().unwrap()].into();
        }
    }
    let planned = plan(&loaded, BTreeMap::new(), &inventory, Choices::default());
    let planned = planned.unwrap_or_else(|why| panic!("{why}"));
    let asked = |step: &PlannedStep| {
        let path = &step.act.probe().unwrap().to[0];
        let Route::Ask { check, .. } = &path.route else {
            panic!("there is a path")
        };
        let check = serde_json::to_string(check).unwrap();
        format!("{}: {}\n  {check}", step.name, path.operation)
    };
    let steps = planned.plan.stages[0].steps.iter();
    let mut told: Vec<_> = steps.map(asked).collect();
    let needed = &planned.plan.agents[&"a".parse().unwrap()].features;
    told.push(
        needed
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" "),
    );
    insta::assert_snapshot!("kinds", told.join("\n"));
}

#[test]
fn what_an_instance_does_not_speak_is_refused_with_what_to_do() {
    let refused = |step: &str| {
        let stage = format!("  - {{name: one, lasts: 10s, steps: {{p: {{probe: {step}}}}}}}\n");
        planned(&stage, &BOTH, Choices::default())
            .unwrap_err()
            .to_string()
    };
    let told = [
        "{http: {path: /}}",
        "{prometheus: {query: up, min: '1'}}",
        "{event: {webhook: {post: /a, seen: /b}}}",
        "{tls: {}}",
    ]
    .map(refused);
    insta::assert_snapshot!("unspoken", told.join("\n"));
}

#[test]
fn what_is_the_same_has_the_same_id_and_what_differs_another() {
    let id = |stages: &str, agents: &[_], seed| {
        planned(
            stages,
            agents,
            Choices {
                seed,
                keep_going: false,
            },
        )
        .unwrap()
        .id
    };
    let first = id(REACH, &BOTH, 1);
    assert_eq!(id(REACH, &BOTH, 1), first);
    assert_ne!(id(REACH, &BOTH, 2), first);
    assert_ne!(id(&REACH.replace("10s", "11s"), &BOTH, 1), first);
    assert_ne!(
        id(REACH, &[("cloud-2", "cloud"), ("local-1", "local")], 1),
        first
    );
}

#[test]
fn an_agent_that_has_nothing_to_do_with_it_changes_nothing() {
    let stages = REACH.replace("health: {}", "health: {}, from: [local]");
    let alone = planned(&stages, &BOTH[1..], Choices::default()).unwrap();
    let beside = planned(&stages, &BOTH, Choices::default()).unwrap();
    assert_eq!(alone.id, beside.id);
}

#[test]
fn one_agent_of_each_environment_asks_unless_more_are_wanted() {
    let three = [("a", "local"), ("b", "local"), ("c", "local")];
    let asking = |agents: &str| {
        let stages = REACH.replace(
            "health: {}",
            &format!("health: {{}}, from: [local]{agents}"),
        );
        planned(&stages, &three, Choices::default())
            .unwrap()
            .plan
            .agents
            .len()
    };
    assert_eq!(
        [asking(""), asking(", agents: '2'"), asking(", agents: all")],
        [1, 2, 3]
    );
}

#[test]
fn all_reasons_against_a_plan_come_at_once() {
    let stages = "  - name: one
    lasts: 10s
    steps:
      port: {probe: {tcp: {}, to: {group: [data], service: [web]}}}
      page: {probe: {http: {path: /}, to: {service: [db]}}}
      secret: {probe: {http: {path: /, headers: {x-key: '${env:KEY}'}}, to: {service: [web]}}}
";
    let Impossible(why) = planned(stages, &BOTH[1..], Choices::default()).unwrap_err();
    insta::assert_snapshot!("impossible", why.join("\n"));
}

#[test]
fn too_few_samples_are_said_with_the_duration_that_would_do() {
    let stages = REACH
        .replace("health: {}", "health: {}, every: 4s, from: [local]")
        .replace("lasts: 10s", "lasts: 5s");
    let planned = planned(&stages, &BOTH, Choices::default()).unwrap();
    let median = planned
        .estimates
        .iter()
        .find(|e| e.expected.contains("p50"))
        .unwrap();
    assert_eq!((median.needed, median.planned), (6, 3));
    assert_eq!(median.would_need, Some(Nanos::from_secs(12)));
    assert!(planned.estimates.iter().filter(|e| !e.is_enough()).count() == 1);
}

#[test]
fn a_confidence_and_a_tail_say_how_many_samples_they_need() {
    let stages = "  - name: one
    lasts: 10m
    steps: {reach: {probe: {health: {}, from: [local], to: {service: [web]}}}}
    expect:
      - {on: reach, success-rate: {min: 99.9%}, confidence: 95%}
      - {on: reach, success-rate: {min: 99%}, confidence: 95%, by: [from]}
      - {on: reach, failures: {max: 3}, confidence: 95%}
      - {on: reach, latency: {p75: {max: 1s}, p99: {max: 1s}, p99.9: {max: 1s}}}
";
    let planned = planned(stages, &BOTH, Choices::default()).unwrap();
    insta::assert_snapshot!("samples", render(&planned));
    let needed: Vec<_> = planned.estimates.iter().map(|one| one.needed).collect();
    assert_eq!(needed, [2_995, 299, 1, 400, 10_000, 100_000]);
}

#[test]
fn a_steady_state_is_judged_in_the_first_stage_that_has_the_step_and_in_the_last() {
    let steady = |expect: &str| {
        format!(
            "  - name: quiet
    lasts: 20s
    steps: {{port: {{probe: {{tcp: {{}}, from: [local]}}}}}}
  - name: one
    lasts: 15s
    steps: {{reach: {{probe: {{health: {{}}, from: [local]}}}}}}
    expect:
      - {{on: reach, failures: {{max: 0}}}}
  - name: two
    lasts: 35s
    steps: {{reach: {{probe: {{health: {{}}, from: [local]}}}}}}
{expect}"
        )
    };
    let state = "steady-state:
  - {on: reach, success-rate: {min: 99%}, over: 10s}
  - {on: reach, latency: {p90: {max: 1s}}, by: [service], over: 10s}
";
    let plain = planned(&steady(""), &BOTH[1..], Choices::default()).unwrap();
    let planned = planned(&steady(state), &BOTH[1..], Choices::default()).unwrap();
    insta::assert_snapshot!("steady", render(&planned));
    assert_ne!(planned.id, plain.id);
    let judged = |stage: usize| -> Vec<_> {
        let all = planned.plan.stages[stage].expectations.iter();
        all.map(|one| one.during).collect()
    };
    let ten = Nanos::from_secs(10);
    let (before, after) = (Window::Before(ten), Window::After(ten));
    assert_eq!(judged(0), []);
    assert_eq!(judged(1), [before, before, Window::Stage]);
    assert_eq!(judged(2), [after, after]);
}

#[test]
fn certificates_are_judged_only_where_one_is_shown() {
    let stages = |from: &str| {
        format!(
            "  - name: one
    lasts: 10s
    steps: {{reach: {{probe: {{health: {{}}, from: [{from}], to: {{service: [web]}}}}}}}}
    expect:
      - {{on: reach, certificate: {{left: {{min: 14d}}}}}}
"
        )
    };
    let ok = planned(&stages("cloud"), &BOTH, Choices::default()).unwrap();
    assert_eq!(ok.estimates[0].expected, "certificate left ≥ 14d");
    // From within, the service is asked in plain text.
    let Impossible(why) = planned(&stages("local"), &BOTH, Choices::default()).unwrap_err();
    assert_eq!(
        why,
        [
            "stage one, step reach: `certificate` is expected, but nothing that is asked there \
          shows one; ask over https"
        ]
    );
}

#[test]
fn hosts_are_judged_by_enough_readings_of_each() {
    let stages = |lasts: &str, expect: &str| {
        format!(
            "  - name: one
    lasts: {lasts}
    steps: {{hosts: {{watch: {{host: {{}}, every: 5s}}}}}}
    expect:
      - {{on: hosts, {expect}}}
"
        )
    };
    let cpu = "resource: {name: host.cpu, max: 80%}, by: [from]";
    let ok = planned(&stages("30s", cpu), &BOTH, Choices::default()).unwrap();
    let [one] = ok.estimates.as_slice() else {
        panic!("one expectation")
    };
    assert_eq!(one.expected, "host.cpu ≤ 80% by from");
    assert_eq!((one.findings, one.needed, one.planned), (2, 3, 6));
    let short = planned(&stages("10s", cpu), &BOTH, Choices::default()).unwrap();
    assert_eq!(short.estimates[0].would_need, Some(Nanos::from_secs(15)));
}

#[test]
fn processes_and_containers_are_judged_each_and_need_agents_that_may_look() {
    let stages = "  - name: one
    lasts: 30s
    steps:
      things:
        watch:
          every: 5s
          processes: {db: {name: postgres}, front: {unit: nginx.service}}
          containers: {web: {label: role=web}}
    expect:
      - {on: things, resource: {name: process.cpu, max: 250%}, by: [from, process]}
      - {on: things, resource: {name: process.memory, max: 2GiB}, by: [from, process]}
      - {on: things, resource: {name: container.restarts, max: '0'}}
";
    let ok = planned(stages, &BOTH, Choices::default()).unwrap();
    let findings: Vec<_> = ok
        .estimates
        .iter()
        .map(|one| (one.expected.as_str(), one.findings))
        .collect();
    assert_eq!(
        findings,
        [
            ("process.cpu ≤ 250% by from, process", 4),
            ("process.memory ≤ 2GiB by from, process", 4),
            ("container.restarts ≤ 0", 1),
        ]
    );
    let text = render(&ok);
    let line = text.lines().find(|line| line.contains("watch every"));
    assert_eq!(
        line.unwrap().trim(),
        "things       watch every 5s: process db (name postgres), process front (unit \
         nginx.service), container web (label role=web) on the hosts of cloud-1, local-1"
    );
    let features = &ok.plan.agents.values().next().unwrap().features;
    let features: Vec<_> = features.iter().map(ToString::to_string).collect();
    assert_eq!(features, ["watch.container", "watch.process"]);
}

/// Agents that may do what the stages ask of them, and that are as `tune` says beside that.
pub(super) fn loading(stages: &str, tune: impl Fn(&mut Available)) -> Planned {
    let loaded = scenario::load(&bundle(stages)).unwrap_or_else(|found| panic!("{found}"));
    let mut inventory = inventory(&BOTH);
    for available in inventory.agents.values_mut() {
        available.policy = Some(PolicyReport::of(&local_policy(&loaded), Vec::new()));
        available.features.insert("load.http".parse().unwrap());
        tune(available);
    }
    let planned = plan(&loaded, BTreeMap::new(), &inventory, Choices::default());
    planned.unwrap_or_else(|why| panic!("{why}"))
}

/// A load of this model and these requests, by agents whose policies let a host do it by itself.
fn loaded(model: &str, requests: &str) -> Planned {
    let stages = format!(
        "  - name: one
    lasts: 30s
    steps:
      many:
        load: {{{model}, requests: [{requests}], to: {{service: [web]}}}}
"
    );
    loading(&stages, |_| {})
}

/// What is said of it.
fn said(planned: &Planned) -> String {
    let text = render(planned);
    let line = text.lines().find(|line| line.contains("many"));
    line.unwrap().to_owned()
}

#[test]
fn users_that_come_in_stairs_are_those_of_the_last_stair_over_all_paths() {
    let of = |users: &str| loaded(&format!("closed: {{{users}, think: 100ms}}"), "{get: /}");
    let stairs = of("stairs: {from: 3, to: 25, count: 5}");
    let load = stairs.plan.stages[0].steps[0].act.load().unwrap();
    assert_eq!(load.model.rise(), Some(Rise::new(3, 25, 5).unwrap()));
    let each: Vec<_> = load.shares.iter().map(|share| share.connections).collect();
    println!("{each:?}");
    assert_eq!(each.iter().sum::<u32>(), 25);
    // Each share has the users whose numbers fall to its stripe.
    for share in &load.shares {
        let mine = (0..25).filter(|number| share.stripe.has(*number)).count();
        assert_eq!(share.connections as usize, mine);
    }
    let text = said(&stairs);
    assert!(
        text.contains("load from 3 to 25 users in 5 stairs who think 100ms over 25 connections"),
        "{text}"
    );
    // The control: as many from the start.
    let flat = of("users: 25");
    let load = flat.plan.stages[0].steps[0].act.load().unwrap();
    assert_eq!(load.model.rise(), None);
    let text = said(&flat);
    assert!(text.contains("load 25 users who think 100ms"), "{text}");
    assert_ne!(stairs.plan.id(), flat.plan.id());
}

#[test]
fn a_share_that_sends_much_has_a_reference_lane_and_one_that_sends_little_has_none() {
    let shares = |planned: &Planned| {
        let load = planned.plan.stages[0].steps[0].act.load().unwrap();
        load.shares.clone()
    };
    let one = "{get: /}";
    for (model, requests, is_compared) in [
        ("open: {rate: 100000/s}", one, true),
        ("open: {rate: 900/s}", one, false),
        ("closed: {users: 400, think: 100ms}", one, true),
        ("closed: {users: 31, think: 100ms}", one, false),
        ("open: {rate: 100000/s}", "{get: '/${sequence}'}", false),
    ] {
        let planned = loaded(model, requests);
        let all = shares(&planned);
        assert!(!all.is_empty());
        let reference = is_compared.then(|| "50/s".parse().unwrap());
        assert!(
            all.iter().all(|share| share.reference == reference),
            "{model}"
        );
        let says = said(&planned).contains(" and 50/s of a reference lane each, time-out");
        assert_eq!(says, is_compared, "{}", said(&planned));
        // Who has none is planned as it ever was.
        let plan = serde_json::to_string(&planned.plan).unwrap();
        assert_eq!(plan.contains("reference"), is_compared);
    }
}

#[test]
fn a_policy_bounds_what_a_reference_lane_sends_too() {
    let planned = loaded("closed: {users: 400, think: 1s}", "{get: /}");
    let load = planned.plan.stages[0].steps[0].act.load().unwrap();
    for share in &load.shares {
        let users = u64::from(share.connections);
        assert_eq!(share.connections(), users + 1);
        assert_eq!(load.peak(share), 2 * users + 50);
    }
}

/// One agent whose policy is this.
fn judged(policy: Option<PolicyReport>, header: &str) -> Result<Planned, Impossible> {
    let stages = REACH.replace(
        "{probe: {health: {}}}",
        &format!("{{probe: {{http: {{path: /, headers: {{x-key: \"{header}\"}}}}, from: [local], to: {{service: [web]}}}}}}"),
    );
    let bundle = bundle(&stages);
    let loaded = scenario::load(&bundle).unwrap_or_else(|d| panic!("{}", d.render(false)));
    let mut inventory = inventory(&BOTH[1..]);
    for available in inventory.agents.values_mut() {
        available.policy = policy.clone();
    }
    plan(&loaded, bundle.digests(), &inventory, Choices::default())
}

#[test]
fn an_agent_that_is_too_old_to_tell_its_policy_is_planned_with_and_said_so() {
    let planned = judged(None, "plain").unwrap();
    let text = render(&planned);
    for said in [
        "policy too old to tell its policy: local-1",
        "note: agent local-1 is too old to tell its policy, and has none",
        "the policies of 0 connected agents allow 0 requests/s over 0 connections in all, beside \
         1 agent of unknown policy",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let refused = judged(None, "${env:TOKEN}").unwrap_err().to_string();
    assert!(refused.contains("too old to tell its policy, so it can't be given secret env:TOKEN"));
}

#[test]
fn a_policy_that_is_newer_than_this_controller_is_left_to_its_agent() {
    let canonical = policy()
        .canonical()
        .replace("\"limits\"", "\"later\":1,\"limits\"");
    let digest = Digest::of(canonical.as_bytes());
    let newer = PolicyReport::InForce {
        canonical,
        digest,
        doors: Vec::new(),
    };
    let text = render(&judged(Some(newer.clone()), "plain").unwrap());
    assert!(
        text.contains(&format!("policy {}: local-1", digest.short())),
        "{text}"
    );
    assert!(
        text.contains("is of a newer release than this controller"),
        "{text}"
    );
    assert!(
        judged(Some(newer), "${env:TOKEN}").is_ok(),
        "it judges that too"
    );
}

#[test]
fn what_an_agent_will_refuse_is_said_before_anything_runs() {
    let refused = |report| judged(Some(report), "plain").unwrap_err().to_string();
    let none = refused(PolicyReport::Refusing("no policy.yaml".to_owned()));
    assert_eq!(none, "agent local-1 refuses all work: no policy.yaml");
    let mut narrow = policy();
    narrow.actions.clear();
    let told = refused(PolicyReport::of(&narrow, Vec::new()));
    assert!(
        told.contains("the policy of agent local-1 forbids it: action probe.http is not in"),
        "{told}"
    );
    assert!(told.contains("may change its policy.yaml"), "{told}");
    // Whoever corrects one learns of the others at once.
    let mut several = policy();
    several.targets.clear();
    several.limits.stage_seconds = 1;
    let told = refused(PolicyReport::of(&several, Vec::new()));
    for rule in [
        "stage one lasts 10s, `limits.stage-seconds` is 1",
        "is not in `targets`",
    ] {
        assert_eq!(told.matches(rule).count(), 1, "{rule}: {told}");
    }
    let doors = vec!["10.0.0.1:80".to_owned().try_into().unwrap()];
    let told = refused(PolicyReport::of(&policy(), doors));
    assert!(
        told.contains("10.0.0.1:80 is this agent's own controller"),
        "{told}"
    );
    // No change of a policy would help.
    assert!(
        told.contains("correct its address in the fleet file"),
        "{told}"
    );
    assert!(!told.contains("policy.yaml"), "{told}");
    assert!(judged(Some(PolicyReport::of(&policy(), Vec::new())), "plain").is_ok());
}

#[test]
fn a_local_run_may_ask_what_the_fleet_declares_and_no_more() {
    use nepho_common::policy::{Denied, Endpoint};
    let loaded = scenario::load(&bundle(REACH)).unwrap();
    let policy = local_policy(&loaded);
    let at = |host: &str, port, ip: &str| {
        policy.admits_address(&Endpoint::new(host, port).unwrap(), ip.parse().unwrap())
    };
    assert_eq!(at("web.example", 443, "93.184.216.34"), Ok(()));
    for (host, port) in [
        ("other.example", 443),
        ("web.example", 80),
        ("93.184.216.34", 443),
    ] {
        let denied = at(host, port, "93.184.216.34");
        assert!(matches!(denied, Err(Denied::Target(_))), "{host}:{port}");
    }
    let denied = at("web.example", 443, "169.254.169.254");
    assert!(matches!(denied, Err(Denied::BuiltIn { .. })));
}
