//! A target that stands still, and a generator that does.

use std::time::Duration;

use nepho_common::plan::Arrivals;
use rustix::process::Signal;
use serde_json::Value;

use super::{Light, command, due, is_near, ns, quantile, target};
use crate::process::{Running, took};

/// A run of ten seconds in whose middle the target stands still for half a second: the summary, and
/// the truth of its p99 and p99.9. Beside it, at the same time and the same rate, a run whose target
/// does not: what the host does to one it does to both.
fn frozen(rate: &str) -> (Value, [u64; 2], Value) {
    let dir = tempfile::tempdir().unwrap();
    let [light, well] = ["frozen", "well"].map(|name| {
        let own = dir.path().join(name);
        std::fs::create_dir(&own).unwrap();
        let light = Light::start(&own, &[]);
        let arrivals = ["--arrivals", "constant", "--number", "-d", "10s"];
        let words = [&[light.url.as_str(), "--rate", rate], &arrivals[..]].concat();
        let running = Running::start(&mut command(&words), &own, "load");
        (light, running)
    });
    std::thread::sleep(Duration::from_secs(4));
    light.0.freeze(Duration::from_millis(500));
    let summary = |running: Running| -> Value {
        let printed = running.said(Duration::from_secs(60)).with(0);
        serde_json::from_str(&printed).unwrap()
    };
    let (summary, control) = (summary(light.1), summary(well.1));
    let due = due(Arrivals::Constant, rate, 10, &summary);
    let went = light.0.went();
    assert_eq!(went.len(), due.len(), "every request that was due came");
    let truth = went.iter().map(|(slot, went)| went - due[*slot as usize]);
    let mut truth: Vec<_> = truth.collect();
    let [p99, p999] = [0.99, 0.999].map(|share| quantile(&mut truth, share));
    (summary, [p99, p999], control)
}

#[test]
fn a_target_that_stood_still_is_told_as_its_users_saw_it() {
    let _took = took("a frozen target");
    for rate in ["1000/s", "5000/s"] {
        let (summary, truth, control) = frozen(rate);
        let told = ["p99", "p99.9"].map(|quantile| ns(&summary, "response_ns", quantile));
        println!("at {rate}: told {told:?} ns, true {truth:?} ns");
        assert!(truth[0] > 300_000_000, "the freeze was in it: {truth:?}");
        for (told, truth) in told.into_iter().zip(truth) {
            assert!(is_near(told, truth), "told {told} ns, true {truth} ns");
        }
        let p50 = |summary| ns(summary, "service_ns", "p50");
        let (service, calm) = (p50(&summary), p50(&control));
        println!("at {rate}: service p50 {service} ns, of the control {calm} ns");
        assert!(service * 4 <= calm * 5, "most requests met no freeze");
        let p99 = ns(&control, "response_ns", "p99");
        assert!(!is_near(p99, truth[0]), "the control met none: {p99} ns");
    }
}

/// The control: who waits for an answer before he asks again does not see it.
#[test]
fn a_closed_loop_on_the_same_target_does_not_pass_for_the_truth() {
    let _took = took("a closed loop on a frozen target");
    let (_, truth, _) = frozen("1000/s");
    let dir = tempfile::tempdir().unwrap();
    let light = Light::start(dir.path(), &[]);
    let words = [&light.url, "--closed", "-c", "8", "-d", "10s"];
    let running = Running::start(&mut command(&words), dir.path(), "load");
    std::thread::sleep(Duration::from_secs(4));
    light.freeze(Duration::from_millis(500));
    let summary = running.said(Duration::from_secs(60)).with(0);
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let told = ["p99", "p99.9"].map(|quantile| ns(&summary, "response_ns", quantile));
    println!("a closed loop told {told:?} ns of what was {truth:?} ns");
    let near = told
        .into_iter()
        .zip(truth)
        .filter(|(told, truth)| is_near(*told, *truth));
    assert_eq!(near.count(), 0);
}

#[test]
fn a_generator_that_stood_still_says_so_and_does_not_blame_the_target() {
    let _took = took("a frozen generator");
    let dir = tempfile::tempdir().unwrap();
    let light = Light::start(dir.path(), &[]);
    let words = [&light.url, "--rate", "1000/s", "-d", "10s"];
    let running = Running::start(&mut command(&words), dir.path(), "load");
    let generator = target::child_of(&running);
    std::thread::sleep(Duration::from_secs(3));
    rustix::process::kill_process(generator, Signal::STOP).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    rustix::process::kill_process(generator, Signal::CONT).unwrap();
    let summary = running.said(Duration::from_secs(60)).with(0);
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["verdict"], "suspect", "{summary:#}");
    let doubts = summary["doubts"].to_string();
    assert!(
        doubts.contains("did not run for") && doubts.contains("late"),
        "{doubts}"
    );
    let (lag, response) = (
        ns(&summary, "send_lag_ns", "p99"),
        ns(&summary, "response_ns", "p99"),
    );
    assert!(lag > 1_500_000_000 && response >= lag, "{lag} {response}");
    let service = ns(&summary, "service_ns", "p99");
    println!("frozen for 2 s: send lag p99 {lag} ns, service p99 {service} ns");
    assert!(
        service < 500_000_000,
        "the target was not slow: {service} ns"
    );
    assert_eq!(
        summary["offered"], summary["succeeded"],
        "nothing was dropped"
    );
}
