//! The command line over a controller.
//!
//! - [`voice`]: how every verb speaks. [`live`]: a run as others see it.

mod live;
mod voice;

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::{
    fleet::{Service, scenario, write_fleet_of},
    process::{command, said, took},
    site::{Place, Site},
};

#[test]
fn a_join_token_lets_in_one_agent_once() {
    let _took = took("token");
    let site = Site::start();
    let place = Place::new("a-1", "a");
    let token = site.token(&place);
    let mode = token.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let first = site.join(&place, &token, &site.data("a-1")).with(0);
    assert!(first.contains("joined as a-1 in a"), "{first}");
    let second = site.join(&place, &token, &site.data("thief"));
    assert_eq!((second.code, second.stdout.as_str()), (Some(1), ""));
    println!("second use: {}", second.stderr);
    assert!(second.stderr.contains("token"), "{}", second.stderr);
    assert!(!site.data("thief").join("identity.pem").exists());
    assert_eq!(site.end(), Some(0), "SIGTERM ends a controller cleanly");
}

#[test]
fn what_was_planned_is_what_is_run_and_nothing_else() {
    let _took = took("plan");
    let site = Site::start();
    let service = Service::start(site.dir(), "a", "svc");
    write_fleet_of(site.dir(), std::slice::from_ref(&service));
    std::fs::write(
        site.dir().join("s.yaml"),
        scenario("s", &["one"], "2s", "200ms"),
    )
    .unwrap();
    // Without an agent nobody can do it.
    let refused = site.ask(&["run", "s.yaml"]);
    assert_eq!(
        (refused.code, refused.stdout.as_str()),
        (Some(7), ""),
        "{}",
        refused.stderr
    );
    let _agent = site.agent(&Place::new("a-1", "a"));
    let listed = site.ask(&["agents", "ls"]).with(0);
    assert!(
        listed.contains("a-1") && listed.contains("ready"),
        "{listed}"
    );

    let planned = site.ask(&["plan", "s.yaml", "-o", "json"]).with(0);
    let planned: Value = serde_json::from_str(&planned).unwrap();
    let id = planned["id"].as_str().unwrap().to_owned();
    let last = if id.ends_with('0') { '1' } else { '0' };
    let mut other = id.clone();
    other.pop();
    other.push(last);
    let refused = site.ask(&["run", "s.yaml", "--plan-id", &other]);
    assert_eq!(
        (refused.code, refused.stdout.as_str()),
        (Some(7), ""),
        "{}",
        refused.stderr
    );
    assert_eq!(service.requests(), 0, "nothing ran");
    let ran = site.ask(&[
        "run",
        "s.yaml",
        "--plan-id",
        &id,
        "--out",
        "out",
        "-o",
        "json",
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    // Data to stdout, talk to stderr.
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["conditions"]["plan"], id.as_str());
    assert!(ran.stderr.contains("run directory"), "{}", ran.stderr);
    let quiet = site.ask(&["runs", "--quiet"]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""));
}

#[test]
fn without_a_controller_every_verb_that_needs_one_says_so() {
    let _took = took("no controller");
    let dir = tempfile::tempdir().unwrap();
    let url = format!("unix://{}", dir.path().join("nepho.sock").display());
    let verbs: [&[&str]; 5] = [
        &["agents", "ls"],
        &["runs"],
        &["status"],
        &["report", "20261123-081500-0a1b"],
        &["enroll", "--environment", "a"],
    ];
    for words in verbs {
        let said = said(command("nepho").args(["--controller", &url]).args(words));
        assert_eq!(
            (said.code, said.stdout.as_str()),
            (Some(5), ""),
            "{words:?} {}",
            said.stderr
        );
        assert!(
            said.stderr.contains("nepho controller"),
            "{words:?} {}",
            said.stderr
        );
    }
}

#[test]
fn only_its_owner_can_talk_to_a_controller_or_read_its_keys() {
    let _took = took("modes");
    let site = Site::start();
    let data = site.dir().join("controller");
    for (path, mode) in [(site.socket(), 0o600), (data.join("ca.pem"), 0o600)] {
        let found = path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{}: {found:o}", path.display());
    }
}
