//! What a watch says of containers: of an engine that is played, and of none.

use std::{path::Path, process::Command};

use nepho_controller_core::report::{
    Verdict,
    model::{Code, Report},
};

use super::{
    engine::{Engine, Mood},
    fleet, of, told,
};
use crate::{
    found::report,
    process::{Running, clean, eventually, program, took},
    site::{Place, Site},
};

/// One stage in which a container is watched by its name and by a label.
const SCENARIO: &str = "api: nepho/v1
name: containers
fleet: fleet.yaml
stages:
  - name: only
    lasts: 8s
    steps:
      look: {watch: {every: 1s, containers: {web: {name: web-1}, all: {label: role=web}}}}
    expect:
      - {on: look, resource: {name: container.cpu, max: 75%}, by: [container]}
      - {on: look, resource: {name: container.memory, max: 40MiB}, by: [container]}
      - {on: look, resource: {name: container.count, min: '1'}, by: [container]}
";

/// A site with one agent whose policy has this engine and this more.
pub(super) fn site(socket: &Path, more: &str) -> (Site, Running) {
    let site = Site::start();
    let place = Place::new("a-1", "local");
    site.enrol(&place);
    let path = site.data("a-1").join("policy.yaml");
    let policy = std::fs::read_to_string(&path).unwrap();
    let watch = format!("watch: {{engine: {}{more}}}\n", socket.display());
    std::fs::write(&path, format!("{policy}{watch}")).unwrap();
    fleet(site.dir());
    std::fs::write(site.dir().join("s.yaml"), SCENARIO).unwrap();
    let agent = site.run_agent("a-1", &mut clean(Command::new(program("nepho-agent"))));
    (site, agent)
}

fn noted(report: &Report) -> Vec<&str> {
    let all = report.doubts.iter();
    let mine = all.filter(|doubt| doubt.code == Code::Watched);
    mine.map(|doubt| doubt.text.as_str()).collect()
}

#[test]
fn containers_are_judged_by_what_their_engine_says() {
    let _took = took("containers of a played engine");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let engine = Engine::start(&socket);
    let (site, _agent) = site(&socket, "");
    site.ask(&["run", "s.yaml", "--out", "one"]).with(10);
    let one = report(&site.dir().join("one"));
    for thing in ["web", "all"] {
        let verdict = |kind: &str| of(&one, kind, "look", thing).verdict;
        assert_eq!(verdict("resource.container.cpu"), Verdict::Pass);
        // 100 MiB, of which half could go at any moment.
        assert_eq!(verdict("resource.container.memory"), Verdict::Fail);
        assert_eq!(verdict("resource.container.count"), Verdict::Pass);
    }
    assert!(noted(&one).is_empty(), "{:?}", noted(&one));
    let out = site.dir().join("one");
    for (gauge, least, most) in [
        ("container.cpu", 0.4, 0.6),
        ("container.memory", 52_428_800.0, 52_428_800.0),
        ("container.throttled", 0.1, 0.4),
        ("container.network.received", 4e8, 6e8),
        ("container.threads", 3.0, 3.0),
        ("container.restarts", 0.0, 0.0),
    ] {
        let values = told(&out, "look", gauge, "web");
        let within = values.iter().filter(|one| (least..=most).contains(*one));
        // A reading may come late on a busy machine.
        let most_are = within.count() + 2 >= values.len();
        assert!(most_are && values.len() > 3, "{gauge}: {values:?}");
    }

    engine.feels(Mood::Empty);
    site.ask(&["run", "s.yaml", "--out", "two"]).with(10);
    let two = report(&site.dir().join("two"));
    let count = of(&two, "resource.container.count", "look", "web");
    assert_eq!(count.verdict, Verdict::Fail);
    let cpu = of(&two, "resource.container.cpu", "look", "web");
    assert_eq!(
        cpu.verdict,
        Verdict::Inconclusive,
        "nothing is known: {cpu:?}"
    );
    let said = noted(&two);
    let all = said.iter().all(|text| text.contains("is not there"));
    assert!(all && said.len() == 2, "{said:?}");
}

#[test]
fn an_engine_that_is_away_or_no_engine_is_said_and_nothing_passes() {
    let _took = took("containers without an engine");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let engine = Engine::start(&socket);
    engine.feels(Mood::Garbled);
    let (site, _agent) = site(&socket, "");
    let aside = dir.path().join("aside.sock");
    for (out, words) in [
        ("garbled", "the container engine gave no usable answer"),
        ("silent", "the container engine gave no usable answer"),
        ("away", "no container engine answers on that host"),
    ] {
        match out {
            "silent" => engine.feels(Mood::Silent),
            "away" => std::fs::rename(&socket, &aside).unwrap(),
            _ => {}
        }
        site.ask(&["run", "s.yaml", "--out", out]).with(11);
        let blind = report(&site.dir().join(out));
        for finding in &blind.findings {
            assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:?}");
            let cause = finding.cause.as_ref().unwrap();
            assert!(cause.contains(words), "{cause}");
        }
        let said = noted(&blind);
        let all = said.iter().all(|text| text.contains(words));
        assert!(all && said.len() == 2, "{said:?}");
    }
    std::fs::rename(&aside, &socket).unwrap();
}

#[test]
fn a_container_that_the_policy_does_not_list_is_refused_before_anything_runs() {
    let _took = took("containers and the policy");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let _engine = Engine::start(&socket);
    let (site, agent) = site(&socket, ", containers: [{name: web-1}]");
    let refused = site.ask(&["run", "s.yaml", "--out", "out"]);
    let said = &refused.stderr;
    assert!(
        said.contains("container (label role=web) is not in `watch.containers`"),
        "{said}"
    );
    refused.with(7);
    assert!(!site.dir().join("out").join("report.json").exists());
    // The owner of the host allows it, and it is.
    let path = site.data("a-1").join("policy.yaml");
    let policy = std::fs::read_to_string(&path).unwrap();
    let wider = policy.replace("[{name: web-1}]", "[{name: web-1}, {label: role=web}]");
    assert_ne!(wider, policy);
    std::fs::write(&path, wider).unwrap();
    let before = site.seen("a-1");
    agent.signal(rustix::process::Signal::HUP);
    eventually("the new policy is known", || {
        (site.seen("a-1")["policy"] != before["policy"]).then_some(())
    });
    site.ask(&["run", "s.yaml", "--out", "out"]).with(10);
}
