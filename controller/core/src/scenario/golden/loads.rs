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
