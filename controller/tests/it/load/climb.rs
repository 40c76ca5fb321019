//! How many users a target carries whose capacity is known: one server that takes 5 ms for each request,
//! and 15 ms more that nobody waits for. So it answers 200 in a second; up to 4 users wait 20 ms, and
//! each one more makes everybody wait 5 ms longer.

use nepho_controller_core::report::Verdict;

use super::{
    Light,
    calm::{Came, on_a_calm_host},
};
use crate::{
    found::report,
    process::{command, said, took},
};

/// The second stage is the control: where 80 ms are allowed, 12 users are carried.
const SCENARIO: &str = "api: nepho/v1
name: climb
fleet: fleet.yaml
stages:
  - name: tight
    lasts: 18s
    steps:
      users: {load: {closed: {stairs: {from: 2, to: 12, count: 6}}, requests: [{get: /}]}}
    expect:
      - {on: users, concurrency: {min: 10, latency: {p50: {max: 45ms}}, success-rate: {min: 99%}}}
  - name: wide
    after: []
    lasts: 18s
    steps:
      users: {load: {closed: {stairs: {from: 2, to: 12, count: 6}}, requests: [{get: /}]}}
    expect:
      - {on: users, concurrency: {min: 12, latency: {p50: {max: 80ms}}, success-rate: {min: 99%}}}
";

#[test]
fn a_target_carries_as_many_users_as_its_queue_has_room_for() {
    let test = "a_target_carries_as_many_users…";
    let _took = took("users in stairs");
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let light = Light::start(dir, &["--delay", "5ms", "--delay-each", "15ms"]);
    let address = light.url.trim_end_matches('/');
    let fleet = format!(
        "api: nepho/v1\nenvironments: {{a: {{}}}}\nservices:\n  - {{name: light, environment: a, \
         http: {{health: /}}, address: {{default: \"{address}\"}}}}\n"
    );
    std::fs::write(dir.join("fleet.yaml"), fleet).unwrap();
    std::fs::write(dir.join("climb.yaml"), SCENARIO).unwrap();
    // A host that is late by itself leaves it open.
    let found = on_a_calm_host(test, |nth| {
        let out = format!("out-{nth}");
        let mut run = command("nepho");
        let words = ["run", "climb.yaml", "--local", "--out", &out];
        let said = said(run.args(words).current_dir(dir));
        let is_known = matches!(said.code, Some(10 | 11));
        assert!(is_known, "{}{}", said.stdout, said.stderr);
        let report = report(&dir.join(out));
        for finding in &report.findings {
            let cause = finding.cause.as_deref().unwrap_or_default();
            println!("{:?}: {} {cause}", finding.verdict, finding.observed.text);
        }
        let verdicts = report.findings.iter().map(|one| one.verdict);
        let expected = [("tight", Verdict::Fail), ("wide", Verdict::Pass)];
        let pairs: Vec<_> = expected.into_iter().zip(verdicts).collect();
        let pairs = pairs
            .iter()
            .map(|((name, expected), found)| (*name, *found, *expected));
        Came::of(pairs).with(report)
    });
    let Some(report) = found else { return };
    let [tight, wide] = &report.findings[..] else {
        panic!("two findings");
    };
    let carried = [tight, wide].map(|one| one.observed.carried_users);
    assert_eq!(carried, [Some(8), Some(12)]);
    for finding in [tight, wide] {
        assert_eq!(
            finding.observed.knee_users,
            Some(4),
            "{}",
            finding.observed.text
        );
        for stair in &finding.observed.stairs {
            let (users, median) = (u64::from(stair.users), stair.p50_ns.unwrap().0);
            let theory = users.max(4) * 5_000_000;
            assert!(
                median.abs_diff(theory) < 4_000_000,
                "{users}: {median} and {theory}"
            );
        }
    }
    let cause = tight.cause.as_deref().unwrap();
    assert!(cause.contains("At 10 users, the p50 was 5"), "{cause}");
    assert!(cause.contains("Throughput grew no more"), "{cause}");
}
