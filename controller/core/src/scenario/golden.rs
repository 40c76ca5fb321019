//! Whole files: right ones load, wrong ones say everything that is wrong at once.

use std::collections::BTreeSet;

use nepho_common::{id::InstanceId, plan::Quantile, time::Nanos};

use super::{
    Agents, FileKind, Judge, Loaded, Source, Step,
    examples::{FLEET, SCENARIO, bundle},
    load, references, schema_json,
};
use crate::diagnose::{Code, Diagnostics};

fn good() -> Loaded {
    load(&bundle(SCENARIO, FLEET)).unwrap_or_else(|found| panic!("{found}"))
}

fn mistakes(scenario: &str, fleet: &str) -> Diagnostics {
    load(&bundle(scenario, fleet)).expect_err("the file has mistakes")
}

fn id(text: &str) -> InstanceId {
    text.parse().unwrap()
}

#[test]
fn good_files_say_what_they_mean() {
    let Loaded { scenario, fleet } = good();
    assert_eq!(scenario.title.unwrap().as_str(), "三环境集群测试");
    let [local, cloud, hybrid] = scenario.stages.as_slice() else {
        panic!("three stages")
    };
    assert!(local.after.is_empty());
    assert_eq!(cloud.after, std::slice::from_ref(&local.name));
    assert_eq!(hybrid.after, [local.name.clone(), cloud.name.clone()]);
    assert_eq!(hybrid.lasts, Nanos::from_secs(90));
    let Step::Probe(reach) = &local.steps[&"reach".parse().unwrap()] else {
        panic!("a probe")
    };
    assert_eq!(
        (reach.every, reach.timeout),
        (Nanos::from_secs(1), Nanos::from_secs(2))
    );
    assert_eq!(reach.agents, Agents::AtMost(std::num::NonZeroU32::MIN));
    let chosen = |to: &super::Selector| -> Vec<String> {
        let all = fleet.instances.iter();
        all.filter(|(id, one)| to.matches(id, one))
            .map(|(id, _)| id.to_string())
            .collect()
    };
    assert_eq!(
        chosen(&reach.to),
        ["local/crm-api/1", "local/crm-api/2", "local/crm-db/1"]
    );
    let Step::Probe(home) = &hybrid.steps[&"home".parse().unwrap()] else {
        panic!("a probe")
    };
    assert_eq!(chosen(&home.to), ["local/crm-api/1", "local/crm-api/2"]);
    let [reached, fast, _] = hybrid.expect.as_slice() else {
        panic!("three expectations")
    };
    assert_eq!(reached.during, nepho_common::plan::Window::Baseline);
    assert!(reached.gate && !fast.gate);
    assert!(matches!(
        &fast.judge,
        Judge::Latency { bounds } if bounds.keys().eq(&[Quantile::P50, Quantile::Max])
    ));
}

#[test]
fn who_asks_decides_the_address() {
    let fleet = good().fleet;
    let path = |from: &str, to: &str| {
        let to = &fleet.instances[&id(to)];
        fleet
            .path(&from.parse().unwrap(), to)
            .map(ToString::to_string)
    };
    assert_eq!(
        path("local", "local/crm-api/1").unwrap(),
        "http://10.0.0.5:7500"
    );
    assert_eq!(
        path("tencent", "local/crm-api/1").unwrap(),
        "https://crm.example:443"
    );
    assert_eq!(path("aliyun", "local/crm-api/1"), None);
    assert_eq!(
        path("aliyun", "local/crm-api/2").unwrap(),
        "http://crm.example:7500"
    );
    assert_eq!(path("tencent", "local/crm-db/1"), None);
    assert_eq!(
        path("local", "local/crm-db/1").unwrap(),
        "tcp://10.0.0.5:3307"
    );
}

#[test]
fn the_same_files_as_json_load_too() {
    let json = |text: &str| crate::diagnose::as_json(text);
    assert_eq!(
        load(&bundle(&json(SCENARIO), &json(FLEET))).unwrap(),
        good()
    );
}

#[test]
fn on_off_yes_and_no_are_words() {
    let scenario = SCENARIO
        .replace("reach", "on")
        .replace("home", "no")
        .replace("port:", "yes:");
    let scenario = scenario.replace("on: port", "on: yes");
    let loaded = load(&bundle(&scenario, FLEET)).unwrap_or_else(|found| panic!("{found}"));
    let names: Vec<_> = loaded.scenario.stages[2]
        .steps
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["no", "on", "yes"]);
}

#[test]
fn digests_follow_the_texts_and_not_the_operators_paths() {
    let one = bundle(SCENARIO, FLEET);
    let mut other = one.clone();
    other.scenario.name = "/home/somebody/scenario.yaml".to_owned();
    assert_eq!(one.digests(), other.digests());
    other
        .files
        .values_mut()
        .for_each(|file| file.text.push('#'));
    assert_ne!(one.digests(), other.digests());
    assert_eq!(
        one.digests().into_keys().collect::<Vec<_>>(),
        [super::SCENARIO, "../cluster-config.yaml"]
    );
}

#[test]
fn the_fleet_file_is_named_although_the_rest_is_wrong() {
    let bundle = bundle("fleet: x.yaml\nstages: 5\n", FLEET);
    assert_eq!(references(&bundle.scenario).unwrap(), ["x.yaml"]);
}

/// Six mistakes: a misspelt key, a duration without a unit, a key twice, an environment that does
/// not exist, something of a later version, and a step that does not exist.
const SIX: &str = r#"api: nepho/v1
name: six-mistakes
title: 三环境
fleet: ../cluster-config.yaml
stages:
  - name: local
    lasts: 10
    steps:
      reach:
        probe: {health: {}, evry: 1s, from: [locla]}
        probe: {tcp: {}}
      push:
        fault: {kill: 5}
    expect:
      - {on: raech, failures: {max: 0}}
"#;

#[test]
fn six_mistakes_give_exactly_six_carets() {
    let found = mistakes(SIX, FLEET);
    let plain = found.render(false);
    assert_eq!(found.len(), 6, "{plain}");
    assert_eq!(plain.lines().filter(|line| line.contains('^')).count(), 6);
    insta::assert_snapshot!(plain);
    insta::assert_json_snapshot!("six_mistakes_for_programs", found.json());
    assert!(found.render(true).contains("\u{1b}["));
}

#[test]
fn mistakes_of_both_files_come_at_once() {
    let found = mistakes(
        &SCENARIO
            .replace("min: 99%}", "min: 99}")
            .replace("[local]", "[lokal]"),
        &FLEET
            .replace("tier: front", "tier: frnt")
            .replace("10.1.0.5:8301", "10.1.0.5"),
    );
    insta::assert_snapshot!(found.render(false));
}

#[test]
fn a_caret_stands_right_below_wide_characters() {
    let found = mistakes(
        &SCENARIO.replace(
            "fleet:",
            "titel: {三环境: 集群测试, 云: [名], 云: 二}\nfleet:",
        ),
        FLEET,
    );
    insta::assert_snapshot!(found.render(false));
}

#[test]
fn foreign_text_never_reaches_the_terminal_raw() {
    let found = mistakes(
        &SCENARIO.replace("on: reach", "on: \"\\u001b[31m\\u202e\""),
        FLEET,
    );
    let raw = SCENARIO.replace("on: reach", "on: \u{202e}rea\u{1b}[31mch");
    for text in [found.render(false), mistakes(&raw, FLEET).render(false)] {
        let bad = text
            .chars()
            .find(|c| *c != '\n' && crate::diagnose::is_unsafe(*c));
        assert_eq!(bad, None, "{text:?}");
    }
}

#[test]
fn schemas_hold_nothing_that_hides_errors() {
    for (name, kind) in [("scenario", FileKind::Scenario), ("fleet", FileKind::Fleet)] {
        let text = schema_json(kind);
        for word in ["oneOf", "anyOf", "\"null\"", ": null"] {
            assert!(!text.contains(word), "{name}: {word}");
        }
        let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(jsonschema::meta::is_valid(&schema));
        assert!(!holds_null(&schema), "{name}");
        insta::assert_snapshot!(format!("schema_{name}"), text);
    }
}

fn holds_null(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(holds_null),
        Value::Object(map) => map.values().any(holds_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[test]
fn a_secret_in_a_file_is_not_shown_again() {
    let found = mistakes(
        &SCENARIO
            .replace("Bearer ${file:/run/token}", "Bearer s3cret")
            .replace("path:", "pth:"),
        &FLEET.replace("https://bc.example", "https://me:s3cret@bc.example"),
    );
    let codes: Vec<_> = found.iter().map(|one| one.code).collect();
    assert_eq!(
        codes,
        [Code::UnknownKey, Code::LiteralSecret, Code::LiteralSecret],
        "{found}"
    );
    assert!(
        !format!("{found}{}", found.json()).contains("s3cret"),
        "{found}"
    );
}

/// One mistake of each kind: the code, which file, what is replaced by what.
const ONE_EACH: &[(Code, Option<&str>, &str, &str)] = &[
    (Code::Syntax, Some(SCENARIO), "lasts: 18s", "lasts: [18s"),
    (Code::TooLarge, Some(SCENARIO), "", "LARGE"),
    (
        Code::TooDeep,
        Some(SCENARIO),
        "title: 三环境集群测试",
        "title: DEEP",
    ),
    (
        Code::DuplicateKey,
        Some(SCENARIO),
        "lasts: 18s",
        "lasts: 18s\n    lasts: 19s",
    ),
    (Code::Alias, Some(SCENARIO), "title: 三", "title: &a 三"),
    (
        Code::SeveralDocuments,
        Some(SCENARIO),
        "stages:",
        "---\nstages:",
    ),
    (
        Code::Tag,
        Some(SCENARIO),
        "name: three",
        "name: !!str three",
    ),
    (
        Code::KeyNotText,
        Some(FLEET),
        "labels: {tier: front}",
        "labels: {tier: front, [a]: b}",
    ),
    (Code::Empty, Some(FLEET), FLEET, "# nothing\n"),
    (
        Code::UnknownKey,
        Some(SCENARIO),
        "every: 500ms",
        "evry: 500ms",
    ),
    (Code::WrongType, Some(SCENARIO), "[\"1\"]", "[1]"),
    (Code::MissingKey, Some(SCENARIO), "    lasts: 18s\n", ""),
    (
        Code::ComesLater,
        Some(SCENARIO),
        "stages:",
        "schedule: {}\nstages:",
    ),
    (
        Code::ExactlyOne,
        Some(SCENARIO),
        "{tcp: {}, every",
        "{tcp: {}, health: {}, every",
    ),
    (Code::OutOfRange, Some(FLEET), "weight: 2", "weight: -2"),
    (
        Code::NotOneOf,
        Some(FLEET),
        "policy: round-robin",
        "policy: roundrobin",
    ),
    (Code::ApiVersion, Some(SCENARIO), "nepho/v1", "nepho/v2"),
    (
        Code::BadName,
        Some(SCENARIO),
        "name: three-environments",
        "name: Three Environments",
    ),
    (
        Code::BadDuration,
        Some(SCENARIO),
        "timeout: 2s",
        "timeout: 1.5s",
    ),
    (Code::BadRatio, Some(SCENARIO), "99.9%", "0.999"),
    (Code::BadAddress, Some(FLEET), "10.0.0.6:7500", "10.0.0.6"),
    (
        Code::BadHttp,
        Some(SCENARIO),
        "method: HEAD",
        "method: POST",
    ),
    (
        Code::Reference,
        Some(SCENARIO),
        "title: 三",
        "title: ${env:TITLE} 三",
    ),
    (
        Code::BadText,
        Some(SCENARIO),
        "title: 三",
        "title: \"\\u001b[31m\" # 三",
    ),
    (
        Code::BadBounds,
        Some(SCENARIO),
        "p50: {max: 250ms}",
        "p50: {min: 1s, max: 250ms}",
    ),
    (
        Code::LiteralSecret,
        Some(SCENARIO),
        "Bearer ${file:/run/token}",
        "Bearer abc",
    ),
    (
        Code::BadQuestion,
        Some(SCENARIO),
        "{tcp: {}, every",
        "{dns: {name: a b}, every",
    ),
    (
        Code::BadSchedule,
        Some(SCENARIO),
        "probe: {tcp: {}, every: 1s,",
        "load: {open: {rate: 800/h}, requests: [{get: /}],",
    ),
    (
        Code::UnknownEnvironment,
        Some(SCENARIO),
        "[tencent, aliyun]",
        "[tencent, aliyn]",
    ),
    (
        Code::UnknownGroup,
        Some(SCENARIO),
        "group: [loomacrm]",
        "group: [loomcrm]",
    ),
    (
        Code::UnknownService,
        Some(FLEET),
        "depends-on: [crm-db",
        "depends-on: [crm-bd",
    ),
    (Code::UnknownInstance, Some(SCENARIO), "[\"1\"]", "[\"3\"]"),
    (
        Code::UnknownLabel,
        Some(SCENARIO),
        "{tier: [front, back]}",
        "{teir: [front]}",
    ),
    (Code::UnknownStep, Some(SCENARIO), "{on: home", "{on: hoem"),
    (
        Code::UnknownStage,
        Some(SCENARIO),
        "after: [local, cloud]",
        "after: [local, hybrid]",
    ),
    (
        Code::UnknownFile,
        Some(SCENARIO),
        "../cluster-config.yaml",
        "cluster.yaml",
    ),
    (
        Code::DuplicateName,
        Some(SCENARIO),
        "name: hybrid",
        "name: cloud",
    ),
    (
        Code::SharedAddress,
        Some(FLEET),
        "10.0.0.6:7500",
        "10.0.0.5:7500",
    ),
    (
        Code::DependencyCycle,
        Some(FLEET),
        "depends-on: [crm-db",
        "depends-on: [crm-api, crm-db",
    ),
];

#[test]
fn each_kind_of_mistake_is_found_alone_and_explained() {
    let mut shown = Vec::new();
    for (code, file, right, wrong) in ONE_EACH {
        let wrong = wrong.replace("DEEP", &"[".repeat(50));
        let spoil = |text: &str| {
            if Some(text) != *file {
                text.to_owned()
            } else if wrong == "LARGE" {
                format!("{text}{}", "#".repeat(300_000))
            } else {
                assert!(text.contains(right), "{code}: {right}");
                text.replacen(right, &wrong, 1)
            }
        };
        let found = mistakes(&spoil(SCENARIO), &spoil(FLEET));
        let codes: Vec<_> = found.iter().map(|one| one.code).collect();
        assert_eq!(codes, [*code], "{found}");
        shown.push(found.render(false));
        assert!(crate::diagnose::explain(code.as_str()).is_some());
    }
    let covered: BTreeSet<_> = ONE_EACH.iter().map(|(code, ..)| *code).collect();
    assert_eq!(
        covered,
        Code::ALL.iter().copied().collect(),
        "every code has its example"
    );
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn the_example_with_every_kind_of_probe_is_right_and_leaves_none_out() {
    let scenario = include_str!("../../../../deploy/scenarios/probes.yaml");
    let fleet = include_str!("../../../../deploy/scenarios/probes-fleet.yaml");
    let mut files = bundle(scenario, fleet);
    let found = files.files.remove("../cluster-config.yaml").unwrap();
    files.files.insert("probes-fleet.yaml".to_owned(), found);
    let loaded = load(&files).unwrap_or_else(|found| panic!("{found}"));
    for kind in [
        "http",
        "tls",
        "dns",
        "tcp",
        "icmp",
        "grpc",
        "prometheus",
        "redis",
        "nats",
        "webhook",
    ] {
        assert!(scenario.contains(&format!("{kind}:")), "{kind}");
    }
    assert_eq!(loaded.scenario.stages[0].steps.len(), 12);
}

#[test]
fn each_kind_of_probe_says_what_is_wrong_with_it() {
    let mut shown = Vec::new();
    for wrong in [
        "{}",
        "{icmp: {}, grpc: {}}",
        "{http: {path: /, json: {status: ok}}}",
        "{http: {path: /, method: HEAD, body: ok}}",
        "{http: {path: /, headers-have: {a b: c}}}",
        "{http: {path: /, version: '3', redirects: 11}}",
        "{tls: {name: '*.example', names: [a b], left: 15d, version: '1.1'}}",
        "{dns: {record: A}}",
        "{dns: {name: crm.example, record: a, answers: [10.0.0.5]}}",
        "{dns: {name: crm.example, record: MX, answers: [mail.example]}}",
        "{grpc: {service: a/b}}",
        "{prometheus: {query: up}}",
        "{prometheus: {query: up, min: 1e3}}",
        "{prometheus: {query: up, min: '2', max: '1'}}",
        "{event: {}}",
        "{event: {redis: {stream: s, password: secret}}}",
        "{event: {nats: {subject: a.*}}}",
        "{event: {webhook: {post: in, seen: /out}}}",
    ] {
        let step = format!("{}, every: 1s,", wrong.strip_suffix('}').unwrap());
        let step = step.replace("{, ", "{");
        let found = mistakes(&SCENARIO.replace("{tcp: {}, every: 1s,", &step), FLEET);
        let text = found.render(false);
        let told = text.lines().filter(|line| {
            let line = line.trim_start();
            line.starts_with("error") || line.contains('^') || line.contains("= ")
        });
        shown.push(format!("{wrong}\n{}", told.collect::<Vec<_>>().join("\n")));
    }
    insta::assert_snapshot!(shown.join("\n\n"));
}

/// The scenario with its first step replaced by this one.
fn doing(step: &str) -> String {
    let written = "probe: {tcp: {}, every: 1s, to: {service: [crm-db], instance: [\"1\"]}}";
    assert!(SCENARIO.contains(written));
    SCENARIO.replace(written, step)
}

#[test]
fn each_load_says_what_is_wrong_with_it() {
    let mut shown = Vec::new();
    for wrong in [
        "{}",
        "{open: {rate: 1/s}, closed: {users: 1}, requests: [{get: /}]}",
        "{open: {}, requests: [{get: /}]}",
        "{open: {rate: 5/s, ramp: {from: 0/s, to: 5/s}}, requests: [{get: /}]}",
        "{open: {rate: 5/h}, requests: [{get: /}]}",
        "{open: {rate: 0/s}, requests: [{get: /}]}",
        "{open: {rate: 5/s, arrivals: poison}, requests: [{get: /}]}",
        "{open: {rate: 5/s, warm-up: 30m}, requests: [{get: /}]}",
        "{open: {stairs: {from: 1/s, to: 9/s, count: 2000}}, requests: [{get: /}]}",
        "{open: {spike: {base: 1/s, peak: 9/s, at: 1s, for: 10m}}, requests: [{get: /}]}",
        "{open: {list: [2s, 1s]}, requests: [{get: /}]}",
        "{closed: {users: 0}, requests: [{get: /}]}",
        "{closed: {users: 1}, connections: 5, requests: [{get: /}]}",
        "{closed: {}, requests: [{get: /}]}",
        "{closed: {users: 1, stairs: {from: 1, to: 9, count: 2}}, requests: [{get: /}]}",
        "{closed: {stairs: {from: 9, to: 1, count: 2}}, requests: [{get: /}]}",
        "{closed: {stairs: {from: 0, to: 30000, count: 1}}, requests: [{get: /}]}",
        "{closed: {stairs: {from: 1, to: 9, count: 7}}, requests: [{get: /}]}",
        "{closed: {stairs: {from: 1, to: 9, count: 200}}, requests: [{get: /}]}",
        "{open: {rate: 5/s}, requests: []}",
        "{open: {rate: 5/s}, requests: [{weight: 2}]}",
        "{open: {rate: 5/s}, requests: [{get: /, post: /}]}",
        "{open: {rate: 5/s}, requests: [{get: a}]}",
        "{open: {rate: 5/s}, requests: [{post: /, body: a, json: {a: 1}}]}",
        "{open: {rate: 5/s}, requests: [{head: /, expect: {body: a}}]}",
        "{open: {rate: 5/s}, requests: [{get: /, expect: {json: {a: b}}}]}",
        "{open: {rate: 5/s}, pool: per-user, requests: [{get: /}]}",
        "{open: {rate: 5/s}, pool: new, requests-per-connection: 5, requests: [{get: /}]}",
        "{open: {rate: 5/s}, spin: 50ms, requests: [{get: /}]}",
        "{open: {rate: 5/s}, requests: [{get: '/${sequnce}'}]}",
        "{open: {rate: 5/s}, requests: [{get: '/${taken:token}'}]}",
        "{open: {rate: 5/s}, requests: [{get: '/${feed:people.name}'}]}",
        "{open: {rate: 5/s}, requests: [{get: /, headers: {x: '${env:A}${sequence}'}}]}",
        "{open: {rate: 5/s}, requests: [{post: /, body: '${random:9-1}'}]}",
        "{open: {rate: 5/s}, requests: [{get: '/${env:A}'}]}",
        "{open: {rate: 5/s}, requests: [{get: /, expect: {body: '${sequence}'}}]}",
        "{open: {rate: 5/s}, requests: [{post: /, body-file: gone.txt}]}",
        "{open: {rate: 5/s}, feeds: {people: {csv: gone.csv}}, requests: [{get: /}]}",
        "{open: {rate: 5/s}, feeds: {people: {}}, requests: [{get: /}]}",
        "{open: {rate: 5/s}, requests: [{flow: [{get: /, weight: 2}, {get: /b}]}]}",
        "{open: {rate: 5/s}, requests: [{flow: [{get: /, take: {a: {}}}, {get: '/${taken:b}'}]}]}",
        "{open: {rate: 5/s}, requests: [{get: /}], to: {via: proxy}}",
        "{open: {rate: 5/s}, requests: [{get: /}], timeout: 90s}",
    ] {
        let file = doing(&format!("load: {wrong}"));
        let found = load(&bundle(&file, FLEET)).expect_err(wrong);
        let text = found.render(false);
        let told = text.lines().filter(|line| {
            let line = line.trim_start();
            line.starts_with("error") || line.contains('^') || line.contains("= ")
        });
        shown.push(format!("{wrong}\n{}", told.collect::<Vec<_>>().join("\n")));
    }
    insta::assert_snapshot!(shown.join("\n\n"));
    let found = mistakes(
        &SCENARIO.replace("to: {service: [crm-db],", "to: {via: balancer,"),
        FLEET,
    );
    assert!(
        found.render(false).contains("only a load has `via`"),
        "{found}"
    );
}

#[test]
fn a_load_says_when_what_is_sent_to_whom() {
    let text = "load: {open: {spike: {base: 10/s, peak: 90/s, at: 0s, for: 2s}, arrivals: constant, \
                warm-up: 1500ms}, timeout: 2s, requests: [{get: /a, weight: 9}, {post: /a, json: \
                {name: a}, expect: {status: [201], json: {$.id: \"1\"}}}]}";
    let loaded = load(&bundle(&doing(text), FLEET)).unwrap_or_else(|found| panic!("{found}"));
    let mut steps = loaded
        .scenario
        .stages
        .iter()
        .flat_map(|stage| stage.steps.values());
    let load = steps.find_map(|step| match step {
        Step::Load(load) => Some(load),
        Step::Probe(_) | Step::Watch(_) => None,
    });
    insta::assert_debug_snapshot!(load.unwrap());
}

#[test]
fn what_a_load_sends_is_filled_from_files_and_from_answers() {
    let text = "load: {open: {rate: 5/s}, http2: true, feeds: {people: {csv: people.csv, pick: \
                random}, items: {json: items.json}}, requests: [{weight: 2, flow: [{post: '/login', \
                json: {name: '${feed:people.name}'}, take: {token: {json: $.token}}}, {get: \
                '/items/${feed:items.id}', headers: {authorization: 'Bearer ${taken:token}'}}]}, \
                {put: '/${sequence}', body-file: body.txt, headers: {x-key: '${env:KEY}'}}]}";
    let mut files = bundle(&doing(text), FLEET);
    let given = [
        ("body.txt", "a ${sequence} of its own"),
        ("items.json", "[{\"id\": 1}, {\"id\": 2}]"),
        ("people.csv", "name,age\nAnn,7\n"),
    ];
    let named = references(&files.scenario).unwrap();
    assert_eq!(named[1..], given.map(|(name, _)| name));
    for (name, text) in given {
        let source = Source {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        files.files.insert(name.to_owned(), source);
    }
    let loaded = load(&files).unwrap_or_else(|found| panic!("{found}"));
    let mut steps = loaded
        .scenario
        .stages
        .iter()
        .flat_map(|stage| stage.steps.values());
    let filled = steps.find_map(|step| match step {
        Step::Load(load) => Some(load),
        Step::Probe(_) | Step::Watch(_) => None,
    });
    insta::assert_debug_snapshot!(filled.unwrap());
    // A column that is not there is named with those that are.
    files.scenario.text = doing(&text.replace("people.name", "people.nmae"));
    let found = load(&files).expect_err("no such column").render(false);
    let why = "feed people has no column `nmae`, only name, age";
    assert!(found.contains(why), "{found}");
}

#[test]
fn the_example_of_load_is_sound() {
    let scenario = include_str!("../../../../deploy/scenarios/load.yaml");
    let fleet = include_str!("../../../../deploy/scenarios/load-fleet.yaml");
    let people = include_str!("../../../../deploy/scenarios/people.csv");
    let mut files = bundle(scenario, fleet);
    let found = files.files.remove("../cluster-config.yaml").unwrap();
    files.files.insert("load-fleet.yaml".to_owned(), found);
    let source = Source {
        name: "people.csv".to_owned(),
        text: people.to_owned(),
    };
    files.files.insert("people.csv".to_owned(), source);
    let loaded = load(&files).unwrap_or_else(|found| panic!("{found}"));
    assert_eq!(loaded.scenario.stages.len(), 2);
    assert_eq!(loaded.scenario.abort_if.len(), 1);
}

#[test]
fn the_example_of_watching_is_sound() {
    let scenario = include_str!("../../../../deploy/scenarios/watch.yaml");
    let fleet = include_str!("../../../../deploy/scenarios/cluster-config.yaml");
    let mut files = bundle(scenario, fleet);
    let found = files.files.remove("../cluster-config.yaml").unwrap();
    files.files.insert("cluster-config.yaml".to_owned(), found);
    let loaded = load(&files).unwrap_or_else(|found| panic!("{found}"));
    assert_eq!(loaded.scenario.stages[0].expect.len(), 10);
}

/// The scenario with its first step replaced by a watch like this.
fn watching(watch: &str, expect: &str) -> String {
    let step = "probe: {tcp: {}, every: 1s, to: {service: [crm-db], instance: [\"1\"]}}";
    assert!(SCENARIO.contains(step));
    SCENARIO
        .replace(step, &format!("watch: {watch}"))
        .replace("success-rate: {min: 99%}}", &format!("{expect}}}"))
}

#[test]
fn each_watch_says_what_is_wrong_with_it() {
    let mut shown = Vec::new();
    for wrong in [
        "{}",
        "{processes: {}}",
        "{processes: {db: {}}}",
        "{processes: {db: {name: a, unit: b.service}}}",
        "{processes: {DB: {name: a}}}",
        "{processes: {db: {name: /bin/a}}}",
        "{processes: {db: {pid-file: run/a.pid}}}",
        "{processes: {db: {name: ''}}}",
        "{containers: {web: {image: a}}}",
        "{processes: {web: {name: a}}, containers: {web: {label: a}}}",
        "{host: {}, every: 100ms}",
    ] {
        let found = mistakes(&watching(wrong, "success-rate: {min: 99%}"), FLEET);
        let text = found.render(false);
        let told = text.lines().filter(|line| {
            let line = line.trim_start();
            line.starts_with("error") || line.contains('^') || line.contains("= ")
        });
        shown.push(format!("{wrong}\n{}", told.collect::<Vec<_>>().join("\n")));
    }
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn later_kinds_of_steps_say_so() {
    for kind in ["fault", "change", "consistency"] {
        let scenario =
            SCENARIO.replace("probe: {tcp: {}, every: 1s,", &format!("{kind}: {{at: 1s,"));
        let codes: Vec<_> = mistakes(&scenario, FLEET)
            .iter()
            .map(|one| one.code)
            .collect();
        assert_eq!(codes, [Code::ComesLater], "{kind}");
    }
    for (right, later) in [
        ("during: baseline", "during: kill.hold"),
        ("{p50: {max: 250ms}", "{mean: {max: 250ms}"),
        (
            "{on: port, success-rate",
            "{on: port, over: 10s, success-rate",
        ),
    ] {
        let codes: Vec<_> = mistakes(&SCENARIO.replace(right, later), FLEET)
            .iter()
            .map(|one| one.code)
            .collect();
        assert_eq!(codes, [Code::ComesLater], "{later}");
    }
}

/// What is replaced by what, and every code that follows: one mistake is one caret, whatever it
/// tears down with it.
const ONCE: &[(&str, &str, &[Code])] = &[
    // A kind of probe that is misspelt is not missing too.
    ("health: {}, from", "helth: {}, from", &[Code::UnknownKey]),
    // A required key that is misspelt is not missing too.
    ("lasts: 18s", "lsats: 18s", &[Code::UnknownKey]),
    // A step that can't be read still has its name.
    (
        "probe: {health: {}, from: [local], to: {environment: [local]}}",
        "5",
        &[Code::WrongType],
    ),
    // A stage whose name is no name is still the one before.
    (
        "name: local\n",
        "name: Local\n",
        &[Code::BadName, Code::UnknownStage],
    ),
    ("{min: 99.9%}", "{min: 999%}", &[Code::BadRatio]),
    // A steady state of a step that is nowhere, for longer than its stage lasts, and of half an edge.
    (
        "stages:",
        "steady-state: [{on: raech, failures: {max: 0}, over: 10s}]\nstages:",
        &[Code::UnknownStep],
    ),
    (
        "stages:",
        "steady-state: [{on: reach, failures: {max: 0}, over: 2m}]\nstages:",
        &[Code::OutOfRange],
    ),
    (
        "stages:",
        "steady-state: [{on: reach, failures: {max: 0}, over: 15s}]\nstages:",
        &[Code::BadDuration],
    ),
    (
        "stages:",
        "steady-state: [{on: reach, over: 10s}]\nstages:",
        &[Code::ExactlyOne],
    ),
    (
        "stages:",
        "steady-state: [{on: reach, failures: {max: 0}}]\nstages:",
        &[Code::MissingKey],
    ),
    // What ends a run: of no step, of spans that nobody records, and of nothing.
    (
        "stages:",
        "safety: {abort-if: [{on: raech, failures: {max: 0}, over: 10s}]}\nstages:",
        &[Code::UnknownStep],
    ),
    (
        "stages:",
        "safety: {abort-if: [{on: reach, failures: {max: 0}, over: 5s}]}\nstages:",
        &[Code::BadDuration],
    ),
    (
        "stages:",
        "safety: {abort-if: [{on: reach, over: 10s}]}\nstages:",
        &[Code::ExactlyOne],
    ),
    ("stages:", "safety: {}\nstages:", &[Code::MissingKey]),
    (
        "stages:",
        "safety: {min-healthy: {}, abort-if: [{on: reach, failures: {max: 0}, over: 10s}]}\nstages:",
        &[Code::ComesLater],
    ),
    // What a probe can't know, figures that no host tells, and bounds of something else.
    (
        "success-rate: {min: 99%}}",
        "resource: {name: host.cpu, max: 80%}}",
        &[Code::NotOneOf],
    ),
    (
        "success-rate: {min: 99%}}",
        "resource: {name: host.cpuu, max: 80%}}",
        &[Code::NotOneOf],
    ),
    (
        "success-rate: {min: 99%}}",
        "resource: {name: host.load, max: 80%}}",
        &[Code::BadBounds],
    ),
    (
        "success-rate: {min: 99%}}",
        "resource: {name: host.cpu}}",
        &[Code::BadBounds],
    ),
    (
        "probe: {tcp: {}, every: 1s, to: {service: [crm-db], instance: [\"1\"]}}",
        "watch: {host: {}}",
        &[Code::NotOneOf],
    ),
    // Certificates are judged by days and hours, and have no confidence.
    (
        "success-rate: {min: 99%}}",
        "certificate: {left: {min: 14}}}",
        &[Code::BadDuration],
    ),
    (
        "success-rate: {min: 99%}}",
        "certificate: {left: {min: 1d12h}}}",
        &[Code::BadDuration],
    ),
    (
        "success-rate: {min: 99%}}",
        "certificate: {left: {min: 14d}}, confidence: 95%}",
        &[Code::ComesLater],
    ),
    (
        "success-rate: {min: 99%}}",
        "certificate: {}}",
        &[Code::MissingKey],
    ),
    // What targets say of themselves: one thing so far, and no confidence.
    (
        "success-rate: {min: 99%}}",
        "same: colour}",
        &[Code::NotOneOf],
    ),
    (
        "success-rate: {min: 99%}}",
        "same: version, confidence: 95%}",
        &[Code::ComesLater],
    ),
    (
        "success-rate: {min: 99%}}",
        "same: version, failures: {max: 0}}",
        &[Code::ExactlyOne],
    ),
    // A confidence that is none, and what no number of requests shows.
    (
        "{min: 99%}}",
        "{min: 99%}, confidence: 100%}",
        &[Code::BadRatio],
    ),
    (
        "{min: 99%}}",
        "{min: 99%}, confidence: 49%}",
        &[Code::BadRatio],
    ),
    (
        "{min: 99%}}",
        "{min: 100%}, confidence: 95%}",
        &[Code::BadBounds],
    ),
    (
        "success-rate: {min: 99%}}",
        "failures: {max: 2}, confidence: 95%}",
        &[Code::BadBounds],
    ),
    (
        "success-rate: {min: 99%}}",
        "latency: {p50: {max: 1s}}, confidence: 95%}",
        &[Code::ComesLater],
    ),
    (
        "{max: 0}}\n  - name: cloud",
        "{max: -1}}\n  - name: cloud",
        &[Code::OutOfRange],
    ),
    (
        "{max: 0}}\n  - name: cloud",
        "{}}\n  - name: cloud",
        &[Code::MissingKey],
    ),
    ("from: [local], to", "from: [], to", &[Code::OutOfRange]),
    ("from: [local], to", "from: local, to", &[Code::WrongType]),
    (
        "from: [local], to",
        "from: [local, 5, tokyo], to",
        &[Code::WrongType, Code::UnknownEnvironment],
    ),
    ("title: 三环境集群测试", "title:", &[Code::WrongType]),
    ("health: {}, from", "health:, from", &[Code::WrongType]),
    (
        "authorization: \"Bearer ${file:/run/token}\"",
        "x: \"${TOKEN}\"",
        &[Code::Reference],
    ),
    (
        "authorization: \"Bearer ${file:/run/token}\"",
        "Transfer-Encoding: x",
        &[Code::BadHttp],
    ),
    ("{on: home", "{on: \"${env:STEP}\"", &[Code::Reference]),
    ("lasts: 18s", "lasts: 25h", &[Code::BadDuration]),
    ("every: 500ms", "every: 49ms", &[Code::BadDuration]),
    ("timeout: 2s", "timeout: 0s", &[Code::BadDuration]),
    ("agents: \"2\"", "agents: 2", &[Code::WrongType]),
    ("agents: \"2\"", "agents: \"0\"", &[Code::NotOneOf]),
    ("during: stage", "during: [stage]", &[Code::WrongType]),
    (
        "by: [from, environment, service], during: stage",
        "by: [form, zone]",
        &[Code::NotOneOf, Code::NotOneOf],
    ),
    (
        "status: [200, 304]",
        "status: [99, 304, 600]",
        &[Code::OutOfRange, Code::OutOfRange],
    ),
    (
        "path: /api/contacts?page=1",
        "path: \"/a b\"",
        &[Code::BadHttp],
    ),
    ("path: /api/contacts?page=1, ", "", &[Code::MissingKey]),
];

#[test]
fn one_mistake_is_one_caret() {
    for (right, wrong, codes) in ONCE {
        assert!(SCENARIO.contains(right), "{right}");
        let found = mistakes(&SCENARIO.replacen(right, wrong, 1), FLEET);
        let all: Vec<_> = found.iter().map(|one| one.code).collect();
        assert_eq!(&all, codes, "{wrong}\n{found}");
    }
}

#[test]
fn a_bare_reference_in_a_flow_map_is_answered_with_quotes() {
    let found = mistakes(
        &SCENARIO.replace("\"Bearer ${file:/run/token}\"", "${env:TOKEN}"),
        FLEET,
    );
    insta::assert_snapshot!(found.render(false));
}

#[test]
fn a_large_file_full_of_slips_is_answered_at_all() {
    let services: String = (0..1900)
        .map(|n| format!("  - {{name: s{n:04}, environment: local, tcp: {{}}, address: {{}}, depends-on: [x{n:04}, y]}}\n"))
        .collect();
    let steps: String = (0..180)
        .map(|n| {
            format!("      s{n}: {{probe: {{health: {{}}, to: {{service: [z{n:04}, q]}}}}}}\n")
        })
        .collect();
    let found = mistakes(
        &SCENARIO.replacen("    steps:\n", &format!("    steps:\n{steps}"), 1),
        &format!("{FLEET}{services}"),
    );
    assert_eq!(found.len(), 200);
}

#[test]
fn a_thousand_mistakes_are_not_all_shown() {
    let steps: String = (0..1000)
        .map(|n| format!("      s{n}: {{prob: 1}}\n"))
        .collect();
    let found = mistakes(
        &SCENARIO.replacen("    steps:\n", &format!("    steps:\n{steps}"), 1),
        FLEET,
    );
    assert_eq!(found.len(), 100);
    assert!(found.render(false).ends_with("more"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn a_file_with_a_line_changed_never_loads_in_silence_as_nothing(
        line in 0usize..45, with in "[a-z0-9:{}\\[\\], \"'%$-]{0,30}", in_fleet in proptest::bool::ANY,
    ) {
        let spoil = |text: &str| -> String {
            let mut lines: Vec<&str> = text.lines().collect();
            let at = line % lines.len();
            lines[at] = &with;
            lines.join("\n")
        };
        let (scenario, fleet) = if in_fleet {
            (SCENARIO.to_owned(), spoil(FLEET))
        } else {
            (spoil(SCENARIO), FLEET.to_owned())
        };
        if let Err(found) = load(&bundle(&scenario, &fleet)) {
            proptest::prop_assert!(!found.is_empty(), "refused without a reason");
            proptest::prop_assert!(!found.render(false).contains("can't be read"), "{}", found);
        }
    }
}
