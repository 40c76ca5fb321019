//! How long answers took.

use nepho_common::{
    journal::{Body, Entry},
    plan::{Judge, Quantile},
    recording::Outcome,
    time::Nanos,
};

use crate::report::{
    fixture::{Reply, ended, find, journal, of, plan},
    model::{Finding, Uncertainty, Verdict},
};

fn latency(
    quantile: Quantile,
    max: Option<u64>,
    min: Option<u64>,
    reply: impl Fn(u64) -> Option<Reply>,
) -> Finding {
    latency_over(12, quantile, (max, min), reply)
}

/// Of so many requests, one a second; the bounds are in milliseconds.
fn latency_over(
    requests: u64,
    quantile: Quantile,
    (max, min): (Option<u64>, Option<u64>),
    reply: impl Fn(u64) -> Option<Reply>,
) -> Finding {
    let mut plan = plan();
    plan.stages[0].lasts = Nanos::from_secs(requests);
    plan.stages[0].expectations[0].judge = Judge::Latency {
        quantile,
        max: max.map(Nanos::from_millis),
        min: min.map(Nanos::from_millis),
    };
    let report = of(journal(&plan, |ask| reply(ask.n)));
    let id = format!("local/reach/latency.{}/gateway", quantile.word());
    find(&report, &id).clone()
}

#[test]
fn a_median_is_judged_by_its_bounds() {
    let ok = |_| ended(Outcome::Success, 15);
    assert_eq!(
        latency(Quantile::P50, Some(20), None, ok).verdict,
        Verdict::Pass
    );
    let slow = latency(Quantile::P50, Some(10), None, ok);
    assert_eq!(slow.verdict, Verdict::Fail);
    assert!(slow.cause.unwrap().contains("slower"));
    assert_eq!(
        latency(Quantile::P50, None, Some(10), ok).verdict,
        Verdict::Pass
    );
    let fast = latency(Quantile::P50, None, Some(20), ok);
    assert_eq!(fast.verdict, Verdict::Fail);
    assert!(fast.cause.unwrap().contains("faster"));
    assert!(
        fast.uncertainty
            .unwrap()
            .text
            .contains("assumes independence")
    );
}

#[test]
fn missing_values_count_as_the_worst_that_they_can_be() {
    let lost = |lost: u64| {
        move |n: u64| {
            if n < lost {
                None
            } else {
                ended(Outcome::Success, 15)
            }
        }
    };
    // Of twelve, the sixth is the median: half of them may be infinite.
    assert_eq!(
        latency(Quantile::P50, Some(20), None, lost(6)).verdict,
        Verdict::Pass
    );
    assert_eq!(
        latency(Quantile::P50, Some(20), None, lost(7)).verdict,
        Verdict::Inconclusive
    );
    assert_eq!(
        latency(Quantile::Max, Some(20), None, lost(1)).verdict,
        Verdict::Inconclusive
    );
    assert_eq!(
        latency(Quantile::Max, Some(10), None, lost(1)).verdict,
        Verdict::Fail
    );
    assert_eq!(
        latency(Quantile::P50, Some(10), None, lost(5)).verdict,
        Verdict::Fail
    );
    assert_eq!(
        latency(Quantile::P50, Some(10), None, lost(6)).verdict,
        Verdict::Inconclusive
    );
}

#[test]
fn a_latency_without_a_success_fails_from_above_and_says_nothing_from_below() {
    let none = |_| ended(Outcome::Timeout, 2_000);
    let failed = latency(Quantile::P50, Some(20), None, none);
    assert_eq!(failed.verdict, Verdict::Fail);
    assert!(failed.cause.unwrap().starts_with("No request succeeded."));
    assert_eq!(
        latency(Quantile::P50, None, Some(20), none).verdict,
        Verdict::Inconclusive
    );
}

#[test]
fn five_values_have_no_median_to_judge_by() {
    let some = |succeed: u64| {
        move |n: u64| {
            let outcome = if n < succeed {
                Outcome::Success
            } else {
                Outcome::Status
            };
            ended(outcome, 15)
        }
    };
    let five = latency(Quantile::P50, Some(10), None, some(5));
    assert_eq!(five.verdict, Verdict::Inconclusive);
    assert!(five.cause.unwrap().contains("p50 is judged from 6 on"));
    let six = latency(Quantile::P50, Some(20), None, some(6));
    assert_eq!(six.verdict, Verdict::Pass);
    assert_eq!(six.observed.latency_ns, Some(Nanos(15_050_000)));
    assert_eq!(
        six.observed.latency_with_failures_ns,
        Some(Nanos(15_050_000))
    );
    let seven = latency(Quantile::P50, Some(20), None, some(7));
    assert!(
        seven
            .observed
            .text
            .contains("if the 5 failures count as infinite")
    );
}

#[test]
fn a_tail_is_judged_from_100_values_above_it_on_and_shown_from_ten_on() {
    let slow = |requests: u64, slow: u64| {
        latency_over(requests, Quantile::P75, (Some(20), None), move |n| {
            let ms = if n < slow { 40 } else { 15 };
            ended(Outcome::Success, ms)
        })
    };
    // Of 400, the 300th is p75.
    assert_eq!(slow(400, 100).verdict, Verdict::Pass);
    let failed = slow(400, 101);
    assert_eq!(failed.verdict, Verdict::Fail);
    assert!(failed.observed.text.starts_with("p75 40."), "{failed:?}");
    let few = slow(399, 0);
    assert_eq!(few.verdict, Verdict::Inconclusive);
    let cause = few.cause.unwrap();
    assert!(cause.contains("p75 is judged from 400 on"), "{cause}");
    assert_eq!(
        few.remedy.unwrap(),
        "Let the stage last 6m40s at least, or ask more often."
    );
    assert!(few.observed.latency_ns.is_some(), "but it is shown");
    let hidden = slow(39, 0);
    assert_eq!(hidden.observed.latency_ns, None);
    assert_eq!(
        hidden.observed.text,
        "39 successes; p75 is shown from 40 on"
    );
    assert_eq!(hidden.uncertainty, None);
}

#[test]
fn an_interval_is_made_from_blocks_of_time_where_time_is_known() {
    let mut plan = plan();
    plan.stages[0].lasts = Nanos::from_secs(60);
    plan.stages[0].expectations[0].judge = Judge::Latency {
        quantile: Quantile::P50,
        max: Some(Nanos::from_millis(50)),
        min: None,
    };
    let entries = journal(&plan, |ask| ended(Outcome::Success, 10 + ask.n / 10));
    let interval = |entries: Vec<Entry>| {
        let report = of(entries);
        let found = find(&report, "local/reach/latency.p50/gateway");
        found.uncertainty.clone().unwrap()
    };
    let blocks = interval(entries.clone());
    assert_eq!(blocks.method, "block-bootstrap");
    assert!(blocks.text.ends_with("by blocks of 10s"), "{}", blocks.text);
    // A spool at its quota merges recordings: of these nobody knows when their values were.
    let merged = entries.into_iter().map(|mut entry| {
        if let Body::Recordings(all) = &mut entry.body {
            for one in all {
                one.interval.to = one.interval.from.plus(Nanos::from_secs(20));
            }
        }
        entry
    });
    let plain = interval(merged.collect());
    assert_eq!(plain.method, "order-statistic");
    assert!(
        plain.text.ends_with("assumes independence"),
        "{}",
        plain.text
    );
    // Six levels, one for each block: ten values of each are not sixty that say something.
    let wide = |found: &Uncertainty| found.high_ns.unwrap().0 - found.low_ns.unwrap().0;
    assert!(wide(&blocks) > wide(&plain), "{blocks:?} {plain:?}");
}

#[test]
fn a_late_generator_spoils_a_fail_and_a_least_latency_but_not_a_pass() {
    let late = |_| {
        ended(Outcome::Success, 15).map(|reply| Reply {
            lag: Nanos::from_millis(10),
            ..reply
        })
    };
    let spoiled = latency(Quantile::P50, Some(20), None, late);
    assert_eq!(spoiled.verdict, Verdict::Inconclusive);
    assert!(spoiled.cause.unwrap().contains("send lag"));
    assert_eq!(
        latency(Quantile::P50, Some(10), None, late).verdict,
        Verdict::Fail
    );
    assert_eq!(
        latency(Quantile::P50, Some(30), None, late).verdict,
        Verdict::Pass
    );
    assert_eq!(
        latency(Quantile::P50, None, Some(20), late).verdict,
        Verdict::Inconclusive
    );
    // The service time alone is 15 ms: lag hides nothing of a bound below that.
    assert_eq!(
        latency(Quantile::P50, None, Some(14), late).verdict,
        Verdict::Pass
    );
}
