//! Loads as they may be written, and what is wrong with those that may not.

use super::{
    super::{Load, Source},
    *,
};

/// The only load of a scenario.
fn only(loaded: &Loaded) -> &Load {
    let stages = loaded.scenario.stages.iter();
    let mut steps = stages.flat_map(|stage| stage.steps.values());
    let load = steps.find_map(|step| match step {
        Step::Load(load) => Some(load),
        Step::Probe(_) | Step::Watch(_) => None,
    });
    load.unwrap()
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

/// The scenario with a closed load in stairs as its last step, of which this is expected.
fn expecting(expected: &str) -> String {
    let step = "load: {closed: {stairs: {from: 10, to: 100, count: 10}}, requests: [{get: /}]}";
    doing(step).replace("success-rate: {min: 99%}", expected)
}

#[test]
fn each_expectation_of_users_says_what_is_wrong_with_it() {
    let p95 = "{min: 50, latency: {p95: {max: 1s}}}";
    let good = format!("concurrency: {p95}");
    let mut shown = Vec::new();
    let mut say = |wrong: &str, file: &str| {
        let found = load(&bundle(file, FLEET)).expect_err(wrong);
        let text = found.render(false);
        let told = text.lines().filter(|line| {
            let line = line.trim_start();
            line.starts_with("error") || line.contains('^') || line.contains("= ")
        });
        shown.push(format!("{wrong}\n{}", told.collect::<Vec<_>>().join("\n")));
    };
    for wrong in [
        "concurrency: {min: 50}",
        "concurrency: {latency: {p95: {max: 1s}}}",
        "concurrency: {min: 0, latency: {p95: {max: 1s}}}",
        "concurrency: {min: 101, latency: {p95: {max: 1s}}}",
        "concurrency: {min: 50, latency: {}}",
        "concurrency: {min: 50, latency: {p50: {max: 1s}, p95: {max: 2s}}}",
        "concurrency: {min: 50, latency: {p95: {min: 1s}}}",
        "concurrency: {min: 50, latency: {p95: {min: 1ms, max: 1s}}}",
        "concurrency: {min: 50, success-rate: {min: 101%}}",
        "concurrency: {min: 50, failures: {max: 0}}",
        "concurrency: {min: 50, success-rate: {min: 99%}}, by: [from]",
        "concurrency: {min: 50, success-rate: {min: 99%}}, during: stage",
        "concurrency: {min: 50, success-rate: {min: 99%}}, confidence: 95%",
        "concurrency: {min: 50, success-rate: {min: 99%}}, failures: {max: 0}",
    ] {
        say(wrong, &expecting(wrong));
    }
    for wrong in [
        "closed: {users: 100}",
        "open: {rate: 5/s}",
        "open: {stairs: {from: 1/s, to: 9/s, count: 3}}",
        "closed: {warm-up: 9s, stairs: {from: 10, to: 100, count: 10}}",
    ] {
        let step = format!("load: {{{wrong}, requests: [{{get: /}}]}}");
        say(
            wrong,
            &doing(&step).replace("success-rate: {min: 99%}", &good),
        );
    }
    let many = "closed: {stairs: {from: 10, to: 1000, count: 101}}";
    let step = format!("load: {{{many}, requests: [{{get: /}}]}}");
    let file = doing(&step).replace("success-rate: {min: 99%}", &good);
    say(many, &file.replace("lasts: 1m30s", "lasts: 202s"));
    say(
        "on a probe",
        &SCENARIO.replace("success-rate: {min: 99%}", &good),
    );
    let watch = "on: port, concurrency: {min: 1, success-rate: {min: 99%}}";
    let file = doing("watch: {host: {}}").replace("on: port, success-rate: {min: 99%}", watch);
    say("on a watch", &file);
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn each_expectation_of_a_throughput_says_what_is_wrong_with_it() {
    let step = "load: {open: {rate: 100/s}, requests: [{get: /}]}";
    for (text, codes) in [
        ("throughput: {min: 90/s, max: 100/s}", &[][..]),
        (
            "throughput: {max: 6000/m}, by: [from], during: baseline",
            &[],
        ),
        ("throughput: {}", &[Code::BadBounds]),
        ("throughput: {min: 0/s}", &[Code::BadBounds]),
        ("throughput: {min: 100/s, max: 90/s}", &[Code::BadBounds]),
        ("throughput: {min: 100}", &[Code::WrongType]),
        ("throughput: {min: 100/h}", &[Code::BadSchedule]),
        ("throughput: {least: 100/s}", &[Code::UnknownKey]),
        (
            "throughput: {min: 90/s}, confidence: 95%",
            &[Code::ComesLater],
        ),
        (
            "throughput: {min: 90/s}, failures: {max: 0}",
            &[Code::ExactlyOne],
        ),
    ] {
        let file = doing(step).replace("success-rate: {min: 99%}", text);
        let found: Vec<_> = match load(&bundle(&file, FLEET)) {
            Ok(_) => Vec::new(),
            Err(found) => found.iter().map(|one| one.code).collect(),
        };
        assert_eq!(found, codes, "{text}");
    }
    let probe = SCENARIO.replace("success-rate: {min: 99%}", "throughput: {min: 1/s}");
    let codes: Vec<_> = mistakes(&probe, FLEET).iter().map(|one| one.code).collect();
    assert_eq!(codes, [Code::NotOneOf]);
}

#[test]
fn users_are_expected_within_a_latency_or_a_share_of_successes_or_both() {
    for (text, quantile, share) in [
        (
            "{min: 100, latency: {max: {max: 1s}}}",
            Some(Quantile::Max),
            None,
        ),
        ("{min: 1, success-rate: {min: 99.9%}}", None, Some(999_000)),
        (
            "{min: 50, latency: {p99.9: {max: 1s}}, success-rate: {min: 99%}}",
            Some(Quantile::P999),
            Some(990_000),
        ),
    ] {
        let file = expecting(&format!("concurrency: {text}"));
        let loaded = load(&bundle(&file, FLEET)).unwrap_or_else(|found| panic!("{found}"));
        let expected = loaded.scenario.stages[2].expect.last().unwrap();
        let Judge::Concurrency {
            latency,
            success_rate,
            ..
        } = &expected.judge
        else {
            panic!("{expected:?}");
        };
        assert_eq!(latency.map(|limit| limit.quantile), quantile);
        assert_eq!(success_rate.map(|min| min.ppm()), share);
    }
    // Each figure of the latency has an entry of its own, and one alone.
    let p50 = "concurrency: {min: 50, latency: {p50: {max: 1s}}}";
    let two = |more| expecting(&format!("{p50}}}\n      - {{on: port, concurrency: {more}"));
    let p95 = two("{min: 50, latency: {p95: {max: 2s}}}");
    assert!(load(&bundle(&p95, FLEET)).is_ok());
    let again = two("{min: 60, latency: {p50: {max: 2s}}}");
    let codes: Vec<_> = mistakes(&again, FLEET).iter().map(|one| one.code).collect();
    assert_eq!(codes, [Code::DuplicateName]);
}

#[test]
fn a_load_says_when_what_is_sent_to_whom() {
    let text = "load: {open: {spike: {base: 10/s, peak: 90/s, at: 0s, for: 2s}, arrivals: constant, \
                warm-up: 1500ms}, timeout: 2s, requests: [{get: /a, weight: 9}, {post: /a, json: \
                {name: a}, expect: {status: [201], json: {$.id: \"1\"}}}]}";
    let loaded = load(&bundle(&doing(text), FLEET)).unwrap_or_else(|found| panic!("{found}"));
    insta::assert_debug_snapshot!(only(&loaded));
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
    insta::assert_debug_snapshot!(only(&loaded));
    // A column that is not there is named with those that are.
    files.scenario.text = doing(&text.replace("people.name", "people.nmae"));
    let found = load(&files).expect_err("no such column").render(false);
    let why = "feed people has no column `nmae`, only name, age";
    assert!(found.contains(why), "{found}");
}

#[test]
fn the_example_of_load_is_sound() {
    let scenario = include_str!("../../../../../deploy/scenarios/load.yaml");
    let fleet = include_str!("../../../../../deploy/scenarios/load-fleet.yaml");
    let people = include_str!("../../../../../deploy/scenarios/people.csv");
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
