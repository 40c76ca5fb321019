//! A scenario full of mistakes, as the command line answers to it.

use crate::{
    fleet::write_fleet,
    process::{command, said, took},
};

const SIX: &str = "\
api: nepho/v1
name: six-mistakes
fleet: fleet.yaml
stages:
  - name: local
    lasts: 10
    steps:
      reach:
        probe: {health: {}, evry: 1s, from: [locla]}
        probe: {tcp: {}}
      push:
        fault: {kill: all}
    expect:
      - {on: raech, failures: {max: 0}}
";

#[test]
fn six_mistakes_are_told_at_once_with_carets_on_stderr_and_nothing_runs() {
    let _took = took("six mistakes");
    let dir = tempfile::tempdir().unwrap();
    write_fleet(
        dir.path(),
        &[("local", "one", "127.0.0.1:1".parse().unwrap())],
    );
    std::fs::write(dir.path().join("six.yaml"), SIX).unwrap();
    for words in [
        &["validate", "six.yaml"][..],
        &["run", "six.yaml", "--local"],
    ] {
        let said = said(command("nepho").args(words).current_dir(dir.path()));
        assert_eq!(
            (said.code, said.stdout.as_str()),
            (Some(3), ""),
            "{words:?}: {}",
            said.stderr
        );
        let carets = said
            .stderr
            .lines()
            .filter(|line| line.contains('^'))
            .count();
        let errors = said.stderr.matches("error[").count();
        assert_eq!((errors, carets), (6, 6), "{words:?}: {}", said.stderr);
        assert!(!dir.path().join("nepho-runs").exists(), "nothing ran");
    }
}
