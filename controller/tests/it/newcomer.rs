//! A newcomer's path, with the commands that README has: whoever copies them gets a report.
//!
//! Building and the demo are left out: `scripts/test` does both.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use crate::{
    fleet::Service,
    process::{Said, clean, program, said, skip, took},
};

const README: &str = include_str!("../../../README.md");

/// The commands of the block under a heading that begins with ```sh.
fn block<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let section = text.split(heading).nth(1);
    let section = section.unwrap_or_else(|| panic!("README has no {heading:?}"));
    let section = section.split("\n## ").next().unwrap();
    let block = section
        .split("```sh\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let block = block.unwrap_or_else(|| panic!("{heading:?} of README has no commands"));
    block
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect()
}

/// A shell that does these commands one after the other, in a folder that looks like a clone, with
/// an editor that puts `addresses` where the examples' are.
fn shell(dir: &Path, commands: &[&str], addresses: [&str; 2]) -> Said {
    let clone = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");
    let link = dir.join("deploy");
    if !link.exists() {
        std::os::unix::fs::symlink(clone, link).unwrap();
    }
    let editor = dir.join("editor");
    let [first, second] = addresses;
    let edit = format!("sed -i 's/127.0.0.1:7500/{first}/; s/127.0.0.1:8000/{second}/' \"$1\"");
    fs::write(&editor, format!("#!/bin/sh\n{edit}\n")).unwrap();
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    // The programs are those under test, wherever README says that scripts/demo puts them.
    let (path, commands): (Vec<&str>, Vec<&str>) = commands
        .iter()
        .partition(|line| line.starts_with("export PATH="));
    assert!(path.len() <= 1, "{path:?}");
    let programs = program("nepho");
    let programs = programs.parent().unwrap().display();
    let mut bash = clean(Command::new("bash"));
    bash.args(["-euxc", &commands.join("\n")]);
    bash.current_dir(dir).env("EDITOR", editor).env("HOME", dir);
    bash.env("PATH", format!("{programs}:/usr/local/bin:/usr/bin:/bin"));
    said(&mut bash)
}

fn two_services(dir: &Path) -> [Service; 2] {
    ["crm-api", "crm-web"].map(|name| Service::start(dir, "local", name))
}

#[test]
fn the_first_scenario_of_readme_runs_as_it_is_written() {
    let _took = took("README's first scenario");
    let dir = tempfile::tempdir().unwrap();
    let services = two_services(dir.path());
    let addresses = services.each_ref().map(|one| one.address.to_string());
    let addresses = addresses.each_ref().map(String::as_str);
    let mut commands = block(README, "## Your own first scenario");
    println!("{}", commands.join("\n"));
    for needed in ["$EDITOR", "nepho validate", "nepho plan", "nepho run"] {
        let is_there = commands.iter().any(|line| line.starts_with(needed));
        assert!(is_there, "README shows {needed}");
    }
    commands.push("nepho report --from nepho-runs/* --format md");
    let walked = shell(dir.path(), &commands, addresses);
    println!("{}", walked.stderr);
    assert_eq!(walked.code, Some(0), "{}{}", walked.stdout, walked.stderr);
    assert!(walked.stdout.contains("is valid"), "{}", walked.stdout);
    assert!(walked.stdout.contains("✓ PASS"), "{}", walked.stdout);
    assert!(
        walked.stdout.contains("\n# "),
        "the report: {}",
        walked.stdout
    );
    assert!(services.iter().all(|one| one.requests() > 0));
}

#[test]
fn what_init_says_comes_next_does_and_without_services_nothing_passes() {
    let _took = took("init's own next commands");
    let dir = tempfile::tempdir().unwrap();
    let begun = shell(dir.path(), &["nepho init my-scenarios"], ["", ""]);
    assert_eq!(begun.code, Some(0), "{}", begun.stderr);
    let next: Vec<_> = begun
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .collect();
    assert_eq!(next.len(), 3, "{}", begun.stderr);
    let edit = "$EDITOR my-scenarios/cluster-config.yaml";
    // Quick enough for a test: twice the samples that its expectations need.
    let short = "sed -i 's/lasts: 20s/lasts: 12s/' my-scenarios/first.yaml";
    let services = two_services(dir.path());
    let [first, second] = services.each_ref().map(|one| one.address.to_string());
    let commands: Vec<_> = [edit, short]
        .into_iter()
        .chain(next.iter().copied())
        .collect();
    let walked = shell(dir.path(), &commands, [&first, &second]);
    assert_eq!(walked.code, Some(0), "{}{}", walked.stdout, walked.stderr);
    assert!(walked.stdout.contains("✓ PASS"), "{}", walked.stdout);

    // The same with nobody there: a path that can't fail would show nothing.
    drop(services);
    let failed = shell(dir.path(), next.get(2..).unwrap(), ["", ""]);
    assert_eq!(failed.code, Some(10), "{}{}", failed.stdout, failed.stderr);
    assert!(failed.stdout.contains("FAIL"), "{}", failed.stdout);
}

#[test]
fn a_compose_file_leads_to_a_report_of_what_it_publishes() {
    let _took = took("init --from-compose");
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path(), "local", "crm-api");
    let port = service.address.port();
    let compose = format!(
        "services:\n  api:\n    image: example\n    ports: [\"{port}:80\"]\n    healthcheck:\n      \
         test: curl -f http://localhost/health || exit 1\n  db: {{image: postgres, expose: [5432]}}\n"
    );
    fs::write(dir.path().join("compose.yaml"), compose).unwrap();
    let commands = [
        "nepho init --from-compose compose.yaml shop",
        "sed -i 's/lasts: 20s/lasts: 12s/' shop/first.yaml",
        "nepho validate shop/first.yaml",
        "nepho run shop/first.yaml --local",
    ];
    let walked = shell(dir.path(), &commands, ["", ""]);
    assert_eq!(walked.code, Some(0), "{}{}", walked.stdout, walked.stderr);
    let said =
        "compose.yaml:7: `db` is left out: its port 5432 is reached within its own network only";
    assert!(walked.stderr.contains(said), "{}", walked.stderr);
    assert!(walked.stdout.contains("✓ PASS"), "{}", walked.stdout);
    assert!(service.requests() > 0);
}

#[test]
fn what_init_writes_names_a_schema_that_an_editor_finds() {
    if crate::process::exists("bash").is_none() {
        skip(
            "what_init_writes_names_a_schema_that_an_editor_finds",
            "there is no bash",
        );
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    shell(dir.path(), &["nepho init a"], ["", ""]).with(0);
    for (file, kind) in [("cluster-config.yaml", "fleet"), ("first.yaml", "scenario")] {
        let text = fs::read_to_string(dir.path().join("a").join(file)).unwrap();
        let first = text.lines().next().unwrap();
        let schema = first.split("$schema=").nth(1).unwrap();
        let schema = fs::read_to_string(dir.path().join("a").join(schema)).unwrap();
        let printed = shell(dir.path(), &[&format!("nepho schema {kind}")], ["", ""]).with(0);
        assert_eq!(schema, printed, "{file}");
    }
}
