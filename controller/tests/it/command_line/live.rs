//! A run as others than its starter see it: its log, its status, its end.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::Stdio,
};

use serde_json::Value;

use crate::{
    fleet::{Service, scenario, write_fleet_of},
    process::{PATIENCE, Running, eventually, took},
    site::{Place, Site},
};

/// A run that takes its time; its name.
fn begun(site: &Site, service: &Service, lasts: &str) -> String {
    write_fleet_of(site.dir(), std::slice::from_ref(service));
    let text = scenario("s", &["one", "two"], lasts, "200ms");
    std::fs::write(site.dir().join("s.yaml"), text).unwrap();
    site.ask(&["run", "s.yaml", "--detach"])
        .with(0)
        .trim()
        .to_owned()
}

#[test]
fn a_log_that_is_followed_ends_with_the_run_and_says_what_the_journal_says() {
    let _took = took("logs -f");
    let site = Site::start();
    let service = Service::start(site.dir(), "a", "svc");
    let _agent = site.agent(&Place::new("a-1", "a"));
    let run = begun(&site, &service, "2s");
    let following = Running::start(
        &mut site.nepho(&["logs", &run, "-f", "-o", "ndjson"]),
        site.dir(),
        "following",
    );
    let followed = following.said(PATIENCE * 2).with(0);
    let after = site.ask(&["logs", &run, "-o", "ndjson"]).with(0);
    let ids = |text: &str| {
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut ids: Vec<_> = lines.map(|line| line["id"].to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(
        ids(&followed),
        ids(&after),
        "each line once, none left out\n{followed}"
    );
    let text = site.ask(&["logs", &run]).with(0);
    println!("{text}");
    let at = |what: &str| {
        let found = text.lines().position(|line| line.contains(what));
        found.unwrap_or_else(|| panic!("{what:?} in\n{text}"))
    };
    let order = [
        "the run begins",
        "stage one starts",
        "stage one began",
        "stage one ended",
        "stage two starts",
        "stage two ended",
        "the run is over",
        "the report is made",
    ];
    assert!(order.map(at).is_sorted(), "{text}");
    // The run directory tells the same.
    site.ask(&["export", &run, "--out", "out"]).with(0);
    assert_eq!(site.ask(&["logs", "--from", "out"]).with(0), text);
}

#[test]
fn whoever_waits_gets_the_verdicts_code_and_whoever_watches_a_line_for_each_change() {
    let _took = took("status --wait");
    let site = Site::start();
    let service = Service::start(site.dir(), "a", "svc");
    let _agent = site.agent(&Place::new("a-1", "a"));
    let run = begun(&site, &service, "2s");
    let listed = Running::start(&mut site.nepho(&["status", "--watch"]), site.dir(), "all");
    let watched = site.ask(&["status", &run, "--watch", "--wait"]);
    assert_eq!(watched.code, Some(0), "{}", watched.stderr);
    println!("{}", watched.stdout);
    for line in [
        "stage one starts",
        "one (1 of 2)  running",
        "stage two starts",
        "pass",
    ] {
        assert!(watched.stdout.contains(line), "{line}: {}", watched.stdout);
    }
    eventually("the list says that it is over", || {
        let said = std::fs::read_to_string(site.dir().join("all.stdout")).unwrap();
        said.contains("over: pass").then_some(())
    });
    drop(listed);

    // Nobody answers there any more: the same question has another answer.
    drop(service);
    let run = site
        .ask(&["run", "s.yaml", "--detach"])
        .with(0)
        .trim()
        .to_owned();
    assert_eq!(site.ask(&["status", &run, "--wait"]).code, Some(10));
    assert_eq!(
        site.ask(&["status", &run]).code,
        Some(0),
        "the state alone is no failure"
    );
    assert_eq!(site.ask(&["status", &run, "--watch"]).code, Some(0));
}

#[test]
fn who_watches_for_nobody_ends() {
    let _took = took("watching for nobody");
    let site = Site::start();
    let service = Service::start(site.dir(), "a", "svc");
    let _agent = site.agent(&Place::new("a-1", "a"));
    let run = begun(&site, &service, "20s");
    for words in [
        &["status", &run, "--watch"][..],
        &["status", "--watch"],
        &["logs", &run, "-f"],
    ] {
        let mut child = site.nepho(words).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{words:?}");
        drop(stdout);
        // The run goes on for longer than this test waits.
        let status = eventually("it ends", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{words:?}");
    }
    site.ask(&["abort", &run]).with(0);
    let aborted = site.ask(&["status", &run, "--wait"]).code;
    assert_eq!(aborted, Some(11), "what was not measured did not pass");
}

#[test]
fn who_waits_is_told_that_the_controller_is_away_and_still_gets_the_verdict() {
    let _took = took("waiting over a restart");
    let mut site = Site::start();
    let service = Service::start(site.dir(), "a", "svc");
    let _agent = site.agent(&Place::new("a-1", "a"));
    let run = begun(&site, &service, "5s");
    let waiting = Running::start(
        &mut site.nepho(&["status", &run, "--wait", "-o", "json"]),
        site.dir(),
        "waiting",
    );
    let following = Running::start(
        &mut site.nepho(&["logs", &run, "-f"]),
        site.dir(),
        "following",
    );
    eventually("the log has begun", || {
        let told = std::fs::read_to_string(site.dir().join("following.stdout")).unwrap();
        told.contains("stage one starts").then_some(())
    });
    site.kill_controller();
    for one in [&waiting, &following] {
        eventually("it is told", || {
            one.errors().contains("trying again").then_some(())
        });
    }
    site.start_controller();
    let waited = waiting.said(PATIENCE * 2);
    let view: Value = serde_json::from_str(&waited.stdout).unwrap();
    let followed = following.said(PATIENCE).with(0);
    println!("{followed}");
    assert!(followed.contains("the controller is back"), "{followed}");
    assert_eq!(
        waited.code,
        site.ask(&["report", &run]).code,
        "{}",
        waited.stderr
    );
    assert_eq!(
        view["exit_code"].as_i64().unwrap(),
        i64::from(waited.code.unwrap())
    );
}

#[test]
fn a_shell_completes_verbs_and_the_names_of_runs_and_agents() {
    let _took = took("completion");
    let site = Site::start();
    site.enrol(&Place::new("a-1", "a"));
    let script = site.ask(&["completion", "bash"]).with(0);
    std::fs::write(site.dir().join("nepho.bash"), script).unwrap();
    let complete = |words: &str, controller: &str| {
        let line = format!(
            "source ./nepho.bash; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             COMP_LINE=\"${{COMP_WORDS[*]}}\"; \
             _nepho_names nepho \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let program = crate::process::program("nepho");
        let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
        let mut bash = crate::process::clean(std::process::Command::new("bash"));
        bash.args(["--norc", "-c", &line]).current_dir(site.dir());
        bash.env("PATH", path).env("NEPHO_CONTROLLER", controller);
        let mut text = String::new();
        let mut child = bash.stdout(Stdio::piped()).spawn().unwrap();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert!(child.wait().unwrap().success());
        text.trim().to_owned()
    };
    let here = format!("unix://{}", site.socket().display());
    assert_eq!(complete("nepho stat", &here), "status");
    assert_eq!(complete("nepho agents show ''", &here), "a-1");
    assert!(complete("nepho agents show --out", &here).contains("--output"));
    assert_eq!(complete("nepho agents show ''", "unix:///nowhere.sock"), "");
}
