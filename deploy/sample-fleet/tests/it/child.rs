use std::time::Duration;

use rustix::process::{Pid, Signal, test_kill_process};

use crate::running::{Running, binary, connect, eventually};

#[test]
fn either_signal_ends_a_service_within_a_second_and_stdout_has_one_line() {
    for signal in [Signal::TERM, Signal::INT] {
        for kind in ["http", "tcp"] {
            let mut service = Running::service(&["--kind", kind]);
            let _idle = connect(service.address());
            let (status, took, rest) = service.end(signal);
            assert_eq!(status.code(), Some(0), "{kind}");
            assert!(took < Duration::from_secs(1), "{kind} took {took:?}");
            assert_eq!(rest, "", "{kind}");
        }
    }
}

#[test]
fn a_hung_request_does_not_keep_a_service_from_ending() {
    use std::io::Write as _;
    let mut service = Running::service(&["--switch", r#"{"hang":true}"#]);
    let mut hung = connect(service.address());
    hung.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let (status, took, _) = service.end(Signal::TERM);
    assert!(
        status.success() && took < Duration::from_secs(1),
        "{status} after {took:?}"
    );
}

#[test]
fn a_service_that_burns_ends_like_any_other() {
    let mut service = Running::service(&["--switch", r#"{"burn":true}"#]);
    let (status, took, _) = service.end(Signal::TERM);
    assert!(
        status.success() && took < Duration::from_secs(1),
        "{status} after {took:?}"
    );
}

/// A shell starts the service, prints its id and is killed. `die` is what the service is told.
fn outlives_its_parent(die: &str) -> bool {
    let program = env!("CARGO_BIN_EXE_nepho-sample-fleet");
    let script = format!(
        "{program} service --environment e --name n --listen 127.0.0.1:0 {die} >&2 & echo $!; wait"
    );
    let mut shell = std::process::Command::new("sh")
        .args(["-c", &script])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut line = String::new();
    let mut read = |from: &mut dyn std::io::Read| {
        line.clear();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(from), &mut line).expect("a line");
        line.trim().to_owned()
    };
    let id = read(shell.stdout.as_mut().expect("stdout is piped"));
    let ready = read(shell.stderr.as_mut().expect("stderr is piped"));
    assert!(ready.contains("nepho.sample-service/v1"), "{ready}");
    let pid = Pid::from_raw(id.parse().expect("a process id")).expect("a process id");
    shell.kill().expect("the shell is ours");
    shell.wait().expect("the shell is ours");
    let listening = ready.parse::<serde_json::Value>().expect("JSON")["listen"]
        .as_str()
        .expect("an address")
        .to_owned();
    if die.is_empty() {
        let outlives = std::net::TcpStream::connect(&listening).is_ok();
        rustix::process::kill_process(pid, Signal::TERM).expect("the orphan is ours");
        return outlives;
    }
    eventually("the death of the orphan", || {
        std::net::TcpStream::connect(&listening).is_err()
    });
    // It may wait as a zombie for whoever adopted it; it must not run.
    test_kill_process(pid).is_ok() && std::net::TcpStream::connect(&listening).is_ok()
}

#[test]
fn a_service_dies_with_its_parent_if_asked_to() {
    assert!(!outlives_its_parent("--die-with-parent"));
    assert!(!outlives_its_parent("--die-with-parent=$$"));
    assert!(outlives_its_parent(""), "without being asked, it lives on");
}

#[test]
fn a_service_whose_parent_is_gone_already_does_not_start() {
    let service = [
        "service",
        "--environment",
        "e",
        "--name",
        "n",
        "--die-with-parent=1",
    ];
    let ended = binary().args(service).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stdout.is_empty());
}

const SERVICE: [&str; 5] = ["service", "--environment", "e", "--name", "n"];

#[test]
fn version_and_wrong_arguments_have_their_exit_codes() {
    let version = binary().arg("--version").output().unwrap();
    assert_eq!(version.stdout, b"nepho-sample-fleet 0.1.0\n");
    let service = ["service", "--environment", "e", "--name", "n", "--switch"];
    for (kind, switch) in [("http", r#"{"explode":1}"#), ("tcp", r#"{"hang":true}"#)] {
        let wrong = binary()
            .args(service)
            .args([switch, "--kind", kind])
            .output()
            .unwrap();
        assert_eq!(wrong.status.code(), Some(2), "{kind}");
        assert!(wrong.stdout.is_empty() && !wrong.stderr.is_empty());
    }
    for wrong in [
        ["--tls=4000", "--kind=http"],
        ["--tls=1", "--kind=mysql"],
        ["--ca-out", "ca.pem"],
        ["--tls=1", "--ca=missing.pem"],
    ] {
        let wrong = binary().args(SERVICE).args(wrong).output().unwrap();
        assert_eq!(wrong.status.code(), Some(2));
    }
    for (kind, page) in [("http", "/state"), ("http", "version"), ("tcp", "/version")] {
        let wrong = binary()
            .args(SERVICE)
            .args(["--kind", kind, "--without", page])
            .output()
            .unwrap();
        assert_eq!(wrong.status.code(), Some(2), "{kind} {page}");
    }
    let missing = binary()
        .args(["proxy", "--config", "missing.json"])
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(3));
}
