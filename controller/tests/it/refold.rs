//! The report is a function of the records: their order and number of copies don't matter, and
//! the process that folds them doesn't either.

use std::path::Path;

use nepho_controller::{
    export::{JOURNAL, MANIFEST, read_run_dir},
    scribe,
};
use nepho_controller_core::report::{
    render::{Lang, json},
    report_rolled, rollup,
};
use nepho_proto::journal::decode;

use crate::{
    fleet::{Service, scenario, write_fleet_of},
    found::parsed,
    process::{Said, command, said, took},
    site::{Place, Site},
};

/// Shuffles; the same seed gives the same order. A linear congruence (Knuth's MMIX) is enough.
fn shuffle(lines: &mut [String], mut seed: u64) {
    for end in (1..lines.len()).rev() {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from(seed >> 33).unwrap() % (end + 1);
        lines.swap(end, other);
    }
}

/// A copy of a run directory, its lines changed.
fn copy(from: &Path, to: &Path, change: impl FnOnce(&mut Vec<String>)) {
    std::fs::create_dir(to).unwrap();
    std::fs::copy(from.join(MANIFEST), to.join(MANIFEST)).unwrap();
    let text = std::fs::read_to_string(from.join(JOURNAL)).unwrap();
    let mut lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
    change(&mut lines);
    std::fs::write(to.join(JOURNAL), lines.join("\n") + "\n").unwrap();
}

fn reported(from: &Path, format: &str) -> Said {
    let mut report = command("nepho");
    said(
        report
            .args(["report", "--format", format, "--from"])
            .arg(from),
    )
}

#[test]
fn a_shuffled_half_doubled_journal_gives_the_same_report_byte_for_byte_elsewhere() {
    let _took = took("refold");
    let site = Site::start();
    let dir = site.dir();
    let services = [
        Service::start(dir, "a", "svc-a"),
        Service::start(dir, "b", "svc-b"),
    ];
    write_fleet_of(dir, &services);
    std::fs::write(
        dir.join("s.yaml"),
        scenario("s", &["one", "two"], "2s", "200ms"),
    )
    .unwrap();
    let _agents =
        [("a-1", "a"), ("b-1", "b")].map(|(agent, at)| site.agent(&Place::new(agent, at)));
    site.ask(&["run", "s.yaml", "--out", "out"]).with(0);
    let out = dir.join("out");

    let shuffled = dir.join("shuffled");
    copy(&out, &shuffled, |lines| {
        shuffle(lines, 7);
        lines.extend_from_within(..lines.len() / 2);
        shuffle(lines, 8);
    });
    assert_ne!(
        std::fs::read(out.join(JOURNAL)).unwrap(),
        std::fs::read(shuffled.join(JOURNAL)).unwrap()
    );
    let written = |file: &str| std::fs::read_to_string(out.join(file)).unwrap();
    let run = parsed(&written("report.json")).run.unwrap();
    for (format, file) in [
        ("json", "report.json"),
        ("md", "report.md"),
        ("html", "report.html"),
    ] {
        let live = site
            .ask(&["report", run.as_str(), "--format", format])
            .with(0);
        assert_eq!(reported(&shuffled, format).with(0), live, "{format}");
        assert_eq!(written(file), live, "{format}");
    }

    // The comparison can fail: a journal that lacks a line is refused, ...
    let lacking = dir.join("lacking");
    copy(&out, &lacking, |lines| drop(lines.remove(lines.len() / 2)));
    let refused = reported(&lacking, "json");
    assert_eq!(
        (refused.code, refused.stdout.as_str()),
        (Some(3), ""),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("lacks 1 of"), "{}", refused.stderr);
    // ... and each of an agent's records leaves its mark in the report.
    let (_, records) = read_run_dir(&out).unwrap();
    let whole = json::render(&scribe::refold(records.clone()));
    assert_eq!(whole, written("report.json"));
    // Rolled up it says the same.
    let entries = records.iter().map(|record| decode(record).unwrap());
    let (rest, rolled) = rollup::roll_up(entries.collect());
    assert!(!rolled.is_empty());
    let from_rolled = report_rolled(Lang::En, rest, [], rolled).expect("no clock stood still");
    assert_eq!(json::render(&from_rolled), whole);
    for nth in 0..records.len() {
        let mut fewer = records.clone();
        let gone = fewer.remove(nth);
        if gone.key.agent.as_str() != "controller" {
            assert_ne!(
                json::render(&scribe::refold(fewer)),
                whole,
                "{:?}",
                gone.key
            );
        }
    }
}
