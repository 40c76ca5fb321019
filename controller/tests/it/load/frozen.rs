//! A target that stands still, and a generator that does.

use std::time::Duration;

use nepho_common::plan::Arrivals;
use rustix::process::Signal;
use serde_json::Value;

use super::{Light, command, due, is_near, load, ns, quantile, target};
use crate::process::{Running, took};

/// A run of ten seconds in whose middle the target stands still for half a second: the summary, and
/// the truth of its p99 and p99.9.
fn frozen(rate: &str) -> (Value, [u64; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let light = Light::start(dir.path(), &[]);
    let words = [
        &light.url,
        "--rate",
        rate,
        "--arrivals",
        "constant",
        "--number",
        "-d",
        "10s",
    ];
    let running = Running::start(&mut command(&words), dir.path(), "load");
    std::thread::sleep(Duration::from_secs(4));
    light.freeze(Duration::from_millis(500));
    let summary = running.said(Duration::from_secs(60)).with(0);
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let due = due(Arrivals::Constant, rate, 10, &summary);
    let went = light.went();
    assert_eq!(went.len(), due.len(), "every request that was due came");
    let truth = went.iter().map(|(slot, went)| went - due[*slot as usize]);
    let mut truth: Vec<_> = truth.collect();
    let [p99, p999] = [0.99, 0.999].map(|share| quantile(&mut truth, share));
    (summary, [p99, p999])
}

#[test]
fn a_target_that_stood_still_is_told_as_its_users_saw_it() {
    let _took = took("a frozen target");
    for rate in ["1000/s", "5000/s"] {
        let dir = tempfile::tempdir().unwrap();
        let well = Light::start(dir.path(), &[]);
        let control = |url: &str| load(&[url, "--rate", rate, "--number", "-d", "5s"], 0);
        let before = control(&well.url);
        let (summary, truth) = frozen(rate);
        let after = control(&well.url);
        let told = ["p99", "p99.9"].map(|quantile| ns(&summary, "response_ns", quantile));
        println!("at {rate}: told {told:?} ns, true {truth:?} ns");
        assert!(truth[0] > 300_000_000, "the freeze was in it: {truth:?}");
        for (told, truth) in told.into_iter().zip(truth) {
            assert!(is_near(told, truth), "told {told} ns, true {truth} ns");
        }
        let p50 = |summary| ns(summary, "service_ns", "p50");
        let (service, calm) = (p50(&summary), p50(&before).max(p50(&after)));
        println!("at {rate}: service p50 {service} ns, without a freeze {calm} ns");
        assert!(service * 4 <= calm * 5, "most requests met no freeze");
    }
}

/// The control: who waits for an answer before he asks again does not see it.
#[test]
fn a_closed_loop_on_the_same_target_does_not_pass_for_the_truth() {
    let _took = took("a closed loop on a frozen target");
    let (_, truth) = frozen("1000/s");
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
