//! Both doctors on real hosts: well, broken on purpose, and mended by the very command they name.

use std::{net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use nepho_common::doctor::{Check, Examination, State};

use crate::{
    process::{Said, command, said, took},
    site::{Place, Site},
};

const AGENT: &str = "a-1";

fn of_controller(site: &Site, enrolment: &str) -> (Option<i32>, Examination) {
    let mut doctor = command("nepho");
    doctor.args(["doctor", "-o", "json", "--enrolment", enrolment]);
    doctor.args(["--sessions", &site.sessions.to_string()]);
    doctor.arg("--data-dir").arg(site.dir().join("controller"));
    read(said(&mut doctor))
}

fn of_agent(data: &Path) -> (Option<i32>, Examination) {
    let mut doctor = command("nepho-agent");
    doctor
        .args(["doctor", "-o", "json", "--data-dir"])
        .arg(data);
    read(said(&mut doctor))
}

fn read(said: Said) -> (Option<i32>, Examination) {
    let found: Examination = serde_json::from_str(&said.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", said.stdout, said.stderr));
    assert_eq!(found.schema, Examination::SCHEMA);
    println!("{found}");
    (said.code, found)
}

fn check(found: &Examination, name: &str) -> Check {
    let check = found.checks.iter().find(|check| check.check == name);
    check.unwrap_or_else(|| panic!("{name} in {found}")).clone()
}

fn open_to_others(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

/// As a person would who copies it from the screen.
fn mend(check: &Check) {
    let words = check.mend.as_deref().unwrap();
    let status = Command::new("sh").args(["-c", words]).status().unwrap();
    assert!(status.success(), "{words}");
}

#[test]
fn both_doctors_find_what_is_broken_and_their_command_mends_it() {
    let _took = took("doctors");
    let site = Site::start();
    let agent = site.agent(&Place::new(AGENT, "a"));
    let (data, enrolment) = (site.data(AGENT), site.enrolment.to_string());

    let (code, found) = of_controller(&site, &enrolment);
    assert_eq!((code, found.fail), (Some(0), 0));
    assert!(
        check(&found, "sessions port")
            .seen
            .contains("our controller's")
    );
    assert_eq!(check(&found, "agents").state, State::Ok);
    let (code, found) = of_agent(&data);
    assert_eq!((code, found.fail), (Some(0), 0));
    assert_eq!(check(&found, "sessions port").state, State::Ok);

    open_to_others(&site.dir().join("controller/ca.pem"));
    let (code, found) = of_controller(&site, &enrolment);
    assert_eq!((code, found.fail), (Some(6), 1));
    mend(&check(&found, "authority"));
    assert_eq!(of_controller(&site, &enrolment).0, Some(0));
    open_to_others(&data.join("identity.pem"));
    let (code, found) = of_agent(&data);
    assert_eq!((code, found.fail), (Some(6), 1));
    mend(&check(&found, "identity"));
    assert_eq!(of_agent(&data).0, Some(0));

    // Somebody else's port, who does not even speak.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, found) = of_controller(&site, &other.local_addr().unwrap().to_string());
    assert_eq!(code, Some(6));
    assert_eq!(check(&found, "enrolment port").state, State::Fail);

    // The controller of a stranger: its authority is not the one of this identity.
    let stranger = Site::start();
    let about = data.join("agent.json");
    let text = std::fs::read_to_string(&about).unwrap();
    let there = stranger.sessions.to_string();
    let moved = text.replace(&site.sessions.to_string(), &there);
    std::fs::write(&about, moved).unwrap();
    let (code, found) = of_agent(&data);
    assert_eq!(code, Some(6));
    assert_eq!(check(&found, "sessions port").state, State::Fail);
    drop(agent);
}

#[test]
fn before_anything_was_started_both_say_what_comes_first() {
    let _took = took("doctors of nothing");
    let temp = tempfile::tempdir().unwrap();
    let nowhere = temp.path().join("none");
    let mut doctor = command("nepho");
    doctor.args([
        "doctor",
        "--enrolment",
        "127.0.0.1:0",
        "--sessions",
        "127.0.0.1:0",
    ]);
    let text = said(doctor.arg("--data-dir").arg(&nowhere));
    assert_eq!(text.code, Some(6), "{}", text.stderr);
    let start = format!("mend: nepho controller --data-dir {}", nowhere.display());
    assert!(text.stdout.contains(&start), "{}", text.stdout);
    assert!(text.stdout.contains("none yet"), "{}", text.stdout);
    let (code, found) = of_agent(&nowhere);
    assert_eq!(code, Some(6));
    let join = check(&found, "identity").mend.unwrap();
    assert!(join.starts_with("nepho-agent join"), "{join}");
    assert!(!nowhere.exists(), "a doctor makes nothing");
}
