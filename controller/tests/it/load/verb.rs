//! What a person types, and what comes of it.

use rustix::process::Signal;
use serde_json::Value;

use super::{Light, Running, command, load};
use crate::process::{clean, eventually, program, said, took};

#[test]
fn counts_agree_with_each_other_whatever_the_model_is() {
    let _took = took("counts");
    let dir = tempfile::tempdir().unwrap();
    let light = Light::start(dir.path(), &["--close-every", "7"]);
    for model in [
        &["--rate", "300/s"][..],
        &[
            "--rate",
            "300/s",
            "--threads",
            "2",
            "--arrivals",
            "constant",
        ],
        &["--closed", "-c", "4", "--think", "5ms"],
    ] {
        let words = [&[light.url.as_str(), "-d", "2s"][..], model].concat();
        let summary = load(&words, 0);
        let count = |name: &str| summary[name].as_u64().unwrap();
        assert!(count("offered") > 100, "{summary:#}");
        assert_eq!(count("offered"), count("succeeded"), "{summary:#}");
        assert_eq!(count("sent"), count("completed"));
        assert_eq!(summary["schema"], "nepho.load/v1");
        let opened = summary["connect_ns"]["count"].as_u64().unwrap();
        assert!(
            opened >= count("sent") / 7,
            "each seventh request ends its connection"
        );
    }
    let even = [
        "--rate",
        "300/s",
        "--arrivals",
        "constant",
        "-d",
        "2s",
        "--warm-up",
        "1s",
    ];
    let summary = load(&[&[light.url.as_str()][..], &even].concat(), 0);
    assert_eq!(
        summary["offered"], 300,
        "the second after the warm-up: {summary:#}"
    );
}

#[test]
fn too_few_connections_are_said_and_what_is_shed_is_counted() {
    let _took = took("too few connections");
    let dir = tempfile::tempdir().unwrap();
    let light = Light::start(dir.path(), &["--delay-each", "50ms"]);
    let words = [&light.url, "--rate", "100/s", "-d", "3s", "-c", "2"];
    let summary = load(&words, 0);
    assert_eq!(summary["verdict"], "suspect");
    let doubts = summary["doubts"].to_string();
    assert!(
        doubts.contains("waited for one of the 2 connections"),
        "{doubts}"
    );
    let words = [&words[..], &["--in-flight", "4"]].concat();
    let summary = load(&words, 11);
    assert_eq!(summary["verdict"], "invalid", "{summary:#}");
    let count = |name: &str| summary[name].as_u64().unwrap();
    assert!(count("shed") > 50);
    assert_eq!(count("offered"), count("sent") + count("shed"));
    assert!(
        summary["response_with_failures_ns"]["p99"].is_null(),
        "those never came"
    );
}

#[test]
fn times_that_leave_nothing_are_refused_with_what_to_do() {
    for (words, why) in [
        (&["--timeout", "0s"][..], "--timeout 0s waits for no answer"),
        (&["-d", "0s"], "--duration 0s sends nothing"),
        (
            &["-d", "2s", "--warm-up", "2s"],
            "leaves nothing of --duration 2s",
        ),
        // A warm-up is told apart by the second.
        (
            &["-d", "1800ms", "--warm-up", "1500ms"],
            "leaves nothing of --duration",
        ),
    ] {
        let words = [&["http://127.0.0.1:9/", "--rate", "1/s"][..], words].concat();
        let ended = said(&mut command(&words));
        assert_eq!(ended.code, Some(2), "{words:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(why), "{words:?}: {}", ended.stderr);
    }
}

#[test]
fn a_generator_that_does_not_end_well_is_an_error_beside_what_it_told() {
    let _took = took("a generator that fails at the end");
    let dir = tempfile::tempdir().unwrap();
    let light = Light::start(dir.path(), &[]);
    // The real one, but for its exit code.
    let real = program("nepho-agent");
    let script = format!(
        "#!/bin/sh\n{0} \"$@\" || exit 1\ntest \"$1\" != load || exit 3\n",
        real.display()
    );
    let path = dir.path().join("nepho-agent");
    std::fs::write(&path, script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, executable).unwrap();
    let even = ["--arrivals", "constant", "--rate", "50/s", "-d", "1s"];
    let mut nepho = command(&[&[light.url.as_str()][..], &even].concat());
    nepho.arg("--bin-dir").arg(dir.path());
    let ended = said(&mut nepho);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let why = "did not end well (exit status: 3)";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
    let summary: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(summary["succeeded"], 50, "{summary:#}");
}

#[test]
fn ctrl_c_ends_it_with_what_was_measured() {
    let _took = took("Ctrl-C");
    let dir = tempfile::tempdir().unwrap();
    let light = Light::start(dir.path(), &[]);
    let mut words = command(&[&light.url, "--rate", "100/s", "-d", "60s"]);
    let running = Running::start(&mut words, dir.path(), "load");
    eventually("the generator is there", || super::target::child(&running));
    std::thread::sleep(std::time::Duration::from_secs(2));
    running.signal(Signal::INT);
    let ended = running.said(std::time::Duration::from_secs(30));
    let summary: Value = serde_json::from_str(&ended.with(130)).unwrap();
    assert!(summary["succeeded"].as_u64().unwrap() > 50, "{summary:#}");
}

#[test]
fn an_agents_policy_on_this_host_is_not_widened() {
    let _took = took("load and a policy");
    let dir = tempfile::tempdir().unwrap();
    let light = Light::start(dir.path(), &[]);
    let policy = dir.path().join("policy.yaml");
    let path = policy.display().to_string();
    let init = ["policy", "init", "--policy", &path];
    said(clean(std::process::Command::new(program("nepho-agent"))).args(init)).with(0);
    let words = [&light.url, "--rate", "100/s", "-d", "1s", "--policy", &path];
    let ended = said(&mut command(&words));
    assert_eq!(ended.code, Some(7));
    assert!(
        ended.stderr.contains("load.http is not in `actions`"),
        "{}",
        ended.stderr
    );
    let text = std::fs::read_to_string(&policy).unwrap();
    let text = text.replacen("probe.http", "load.http", 1);
    std::fs::write(&policy, text).unwrap();
    load(&words, 0);
    let faster = [&light.url, "--rate", "501/s", "-d", "1s", "--policy", &path];
    let ended = said(&mut command(&faster));
    assert_eq!(ended.code, Some(7));
    assert!(
        ended.stderr.contains("requests-per-second"),
        "{}",
        ended.stderr
    );
}
