//! Shares that must be shown with a confidence.

use nepho_common::{
    plan::{Judge, Ratio},
    recording::Outcome,
    time::Nanos,
};

use crate::report::{
    fixture::{ended, find, good, journal, of, plan},
    model::Verdict,
};

#[test]
fn with_a_confidence_what_was_seen_must_show_it() {
    let judged = |secs: u64, min: u32, failed: u64, lost: u64| {
        let mut plan = plan();
        plan.stages[0].lasts = Nanos::from_secs(secs);
        plan.stages[0].expectations[0].judge = Judge::SuccessRate {
            min: Ratio(min),
            confidence: Some(Ratio(950_000)),
        };
        let report = of(journal(&plan, move |ask| match ask.n {
            n if n < failed => ended(Outcome::Reset, 1),
            n if n < failed + lost => None,
            _ => good(ask),
        }));
        find(&report, "local/reach/success-rate/gateway").clone()
    };
    // 95 % takes 59 that all succeed, or 93 of which one fails.
    assert_eq!(judged(59, 950_000, 0, 0).verdict, Verdict::Pass);
    assert_eq!(judged(93, 950_000, 1, 0).verdict, Verdict::Pass);
    let unsure = judged(58, 950_000, 0, 0);
    assert_eq!(unsure.verdict, Verdict::Inconclusive);
    assert_eq!(
        unsure.cause.unwrap(),
        "100% of 58 succeeded: that shows neither that it is as expected nor that it is not."
    );
    assert_eq!(
        unsure.remedy.unwrap(),
        "Let the stage last 59s at least, or ask more often."
    );
    assert_eq!(
        unsure.expected.text,
        "at least 95% succeed, with 95% confidence"
    );
    assert_eq!(unsure.uncertainty.unwrap().method, "clopper-pearson");
    assert_eq!(judged(92, 950_000, 1, 0).verdict, Verdict::Inconclusive);
    // What was observed alone would fail here: two of twenty. It shows nothing yet.
    assert_eq!(judged(20, 950_000, 2, 0).verdict, Verdict::Inconclusive);
    assert_eq!(judged(20, 950_000, 4, 0).verdict, Verdict::Fail);
    // What is missing decides.
    let lost = judged(59, 950_000, 0, 1);
    assert_eq!(lost.verdict, Verdict::Inconclusive);
    assert!(lost.cause.unwrap().contains("missing"));
    assert_eq!(judged(94, 950_000, 0, 1).verdict, Verdict::Pass);
}

#[test]
fn so_few_failures_with_a_confidence_follow_the_rule_of_three() {
    let judged = |max: u64, failed: u64| {
        let mut plan = plan();
        plan.stages[0].lasts = Nanos::from_secs(100);
        plan.stages[0].expectations[0].judge = Judge::Failures {
            max,
            confidence: Some(Ratio(950_000)),
        };
        let report = of(journal(&plan, move |ask| match ask.n {
            n if n < failed => ended(Outcome::Reset, 1),
            _ => good(ask),
        }));
        find(&report, "local/reach/failures/gateway").clone()
    };
    assert_eq!(judged(3, 0).verdict, Verdict::Pass);
    let unsure = judged(2, 0);
    assert_eq!(unsure.verdict, Verdict::Inconclusive);
    assert!(unsure.remedy.unwrap().contains("move the bound"));
    assert_eq!(judged(3, 1).verdict, Verdict::Inconclusive);
    assert_eq!(judged(3, 6).verdict, Verdict::Inconclusive);
    assert_eq!(judged(3, 7).verdict, Verdict::Fail);
}
