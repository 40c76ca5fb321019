use nepho_common::plan::{Act, PlannedPath, PlannedStep, Probe};

use super::*;

const SECOND: i64 = 1_000_000_000;
const BEGAN: RunTime = RunTime(100 * SECOND);

fn stage(judge: Judge, over: u64) -> PlannedStage {
    let path = |agent: &str| PlannedPath {
        agent: agent.parse().unwrap(),
        to: "local/a/1".parse().unwrap(),
        operation: "connect".to_owned().try_into().unwrap(),
        route: Route::Ask {
            check: nepho_common::plan::Check::Tcp(nepho_common::plan::TcpCheck {
                host: "h".to_owned(),
                port: 1,
                ..Default::default()
            }),
            offset: Nanos(0),
        },
    };
    let probe = Probe {
        every: Nanos::from_secs(1),
        timeout: Nanos::from_secs(1),
        to: vec![path("a"), path("b")],
    };
    PlannedStage {
        name: "one".parse().unwrap(),
        after: Vec::new(),
        lasts: Nanos::from_secs(60),
        steps: vec![PlannedStep {
            name: "reach".parse().unwrap(),
            act: Act::Probe(probe),
        }],
        expectations: Vec::new(),
        abort_if: vec![AbortIf {
            on: "reach".parse().unwrap(),
            judge,
            over: Nanos::from_secs(over),
        }],
    }
}

fn rate(min: u32) -> Judge {
    Judge::SuccessRate {
        min: Ratio(min * 10_000),
        confidence: None,
    }
}

/// Seconds after the start, in run time.
fn at(seconds: i64) -> RunTime {
    RunTime(BEGAN.0 + seconds * SECOND)
}

/// What an agent says of the ten seconds from there on.
fn told(agent: &str, from: i64, successes: u64, failures: u64) -> Glance {
    let mut histogram = Histogram::default();
    (0..successes).for_each(|_| histogram.record(Nanos::from_millis(10)));
    Glance {
        agent: agent.parse().unwrap(),
        stage: "one".parse().unwrap(),
        step: "reach".parse().unwrap(),
        span: Interval {
            from: at(from),
            to: at(from + 10),
        },
        successes: histogram,
        failures,
    }
}

/// What is found when these were told, a little after this second.
fn found(stage: &PlannedStage, glances: Vec<Glance>, now: i64) -> Option<String> {
    let mut guard = Guard::default();
    let now = at(now).plus(Nanos::from_millis(200));
    for glance in glances {
        guard.add(stage, (BEGAN, now), glance);
    }
    guard.broken(stage, (BEGAN, now)).map(|broken| broken.why)
}

#[test]
fn all_agents_together_are_judged_and_none_alone() {
    let stage = stage(rate(50), 10);
    let one = || vec![told("a", 0, 0, 10)];
    // The other has not told yet: alone this one would end the run.
    assert_eq!(found(&stage, one(), 10), None);
    let both = |successes| [one(), vec![told("b", 0, successes, 0)]].concat();
    assert_eq!(found(&stage, both(10), 10), None);
    let why = "47.3684% of 19 requests succeeded within 10s, and at least 50% must";
    assert_eq!(found(&stage, both(9), 10).as_deref(), Some(why));
    // Who stays silent is waited for, but not for ever.
    assert_eq!(found(&stage, one(), 14), None);
    let why = "0% of 10 requests succeeded within 10s, and at least 50% must";
    assert_eq!(found(&stage, one(), 15).as_deref(), Some(why));
}

#[test]
fn only_a_whole_past_is_judged_and_what_lies_behind_it_is_forgotten() {
    let stage = stage(rate(50), 20);
    let span = |from, bad: bool| {
        let (good, bad) = if bad { (0, 30) } else { (30, 0) };
        ["a", "b"]
            .map(|agent| told(agent, from, good, bad))
            .to_vec()
    };
    assert_eq!(found(&stage, span(0, true), 10), None);
    let bad_then_good = [span(0, true), span(10, false)].concat();
    assert_eq!(found(&stage, bad_then_good, 20), None);
    assert!(found(&stage, [span(0, true), span(10, true)].concat(), 20).is_some());
    // One guard through a stage: each span once, and no more memory than the past that counts.
    let mut guard = Guard::default();
    for from in (0..60).step_by(10) {
        let now = at(from + 10);
        for glance in span(from, from == 30) {
            guard.add(&stage, (BEGAN, now), glance);
        }
        assert_eq!(guard.broken(&stage, (BEGAN, now)), None, "{from}");
        let kept: usize = guard.steps.values().map(BTreeMap::len).sum();
        assert!(kept <= 2, "{kept}");
    }
}

#[test]
fn what_is_not_of_this_stage_or_not_of_the_past_counts_for_nothing() {
    let stage = stage(rate(50), 10);
    let both = |change: fn(&mut Glance)| {
        let mut all = vec![told("a", 0, 0, 10), told("b", 0, 0, 10)];
        all.iter_mut().for_each(change);
        found(&stage, all, 10)
    };
    assert!(both(|_| {}).is_some());
    assert_eq!(both(|one| one.stage = "two".parse().unwrap()), None);
    assert_eq!(both(|one| one.step = "other".parse().unwrap()), None);
    assert_eq!(both(|one| one.span.to = at(60)), None);
    assert_eq!(both(|one| one.span.from = RunTime(0)), None);
    assert_eq!(both(|one| one.span.to = one.span.from), None);
}

#[test]
fn failures_and_latencies_are_judged_and_a_failure_is_slower_than_any_answer() {
    let of = |judge| {
        let stage = stage(judge, 10);
        found(&stage, vec![told("a", 0, 18, 1), told("b", 0, 80, 1)], 10)
    };
    let failures = |max| Judge::Failures {
        max,
        confidence: None,
    };
    assert_eq!(of(failures(2)), None);
    let why = "2 of 100 requests failed within 10s, and at most 1 may";
    assert_eq!(of(failures(1)).as_deref(), Some(why));
    let latency = |quantile, max: Option<u64>, min: Option<u64>| Judge::Latency {
        quantile,
        max: max.map(Nanos::from_millis),
        min: min.map(Nanos::from_millis),
    };
    assert_eq!(of(latency(Quantile::P50, Some(11), Some(9))), None);
    let slow = of(latency(Quantile::P50, Some(9), None)).unwrap();
    assert!(slow.contains("the p50 of 100 requests was 10"), "{slow}");
    assert!(of(latency(Quantile::P50, None, Some(11))).is_some());
    // 98 of 100 came.
    assert_eq!(of(latency(Quantile::P95, Some(11), None)), None);
    let never = of(latency(Quantile::P99, Some(3_600_000), None)).unwrap();
    assert!(never.contains("was no answer at all"), "{never}");
}
