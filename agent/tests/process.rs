//! The program as a person or a supervisor meets it.

#![expect(
    clippy::unwrap_used,
    reason = "a test program: a failure is a panic, in its helpers too"
)]

use std::process::{Command, Output};

fn agent(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nepho-agent"));
    command
        .env_remove("NEPHO_AGENT_DATA")
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn the_version_is_one_line() {
    let said = agent(&["--version"]);
    assert_eq!(said.stdout, b"nepho-agent 0.1.0\n");
}

#[test]
fn an_agent_that_never_joined_says_how_to() {
    let temp = tempfile::tempdir().unwrap();
    let said = agent(&["run", "--data-dir", temp.path().to_str().unwrap()]);
    assert_eq!((said.status.code(), said.stdout.len()), (Some(1), 0));
    let talk = String::from_utf8(said.stderr).unwrap();
    assert!(talk.contains("run `nepho-agent join` first"), "{talk}");
}

#[test]
fn a_token_on_the_command_line_is_not_taken() {
    let said = agent(&["join", "--controller", "h:1", "--token", "nepho1.x.y"]);
    assert_eq!(said.status.code(), Some(2));
}

#[test]
fn help_shows_examples_for_every_verb() {
    for verb in [
        &["--help"][..],
        &["join", "--help"],
        &["run", "--help"],
        &["doctor", "--help"],
    ] {
        let said = String::from_utf8(agent(verb).stdout).unwrap();
        assert!(said.contains("Example"), "{said}");
    }
}
