//! What must be so before and after.

use nepho_common::{
    journal::{Body, Entry},
    plan::{Expectation, Window},
    recording::Outcome,
    time::Nanos,
};

use crate::report::{
    exit_code,
    fixture::{ended, find, good, journal, of, plan},
    model::{Report, Verdict},
};

/// A stage of 30 s whose steady state is judged over ten, in which these seconds fail.
fn steady(fails: std::ops::Range<u64>, entries: impl Fn(Vec<Entry>) -> Vec<Entry>) -> Report {
    let mut plan = plan();
    plan.stages.truncate(1);
    let stage = &mut plan.stages[0];
    stage.lasts = Nanos::from_secs(30);
    let ten = Nanos::from_secs(10);
    let one = stage.expectations[0].clone();
    let during = |during| Expectation {
        during,
        by: Vec::new(),
        ..one.clone()
    };
    stage.expectations = vec![during(Window::Before(ten)), during(Window::After(ten))];
    of(entries(journal(&plan, |ask| {
        if fails.contains(&ask.n) {
            ended(Outcome::Refused, 1)
        } else {
            good(ask)
        }
    })))
}

#[test]
fn a_steady_state_is_judged_at_both_ends_and_by_nothing_between() {
    let verdicts = |report: &Report| {
        let of = |id| find(report, id).verdict;
        let before = of("local/reach/before.failures");
        (before, of("local/reach/after.failures"), exit_code(report))
    };
    let (pass, fail) = (Verdict::Pass, Verdict::Fail);
    let same = |entries| entries;
    assert_eq!(verdicts(&steady(0..0, same)), (pass, pass, 0));
    let unsteady = steady(9..10, same);
    assert_eq!(verdicts(&unsteady), (fail, pass, 13));
    assert_eq!(verdicts(&steady(10..20, same)), (pass, pass, 0));
    assert_eq!(verdicts(&steady(20..21, same)), (pass, fail, 10));
    let before = find(&unsteady, "local/reach/before.failures");
    assert_eq!(before.expected.text, "no failure in the first 10s");
    // Three services, once a second for ten seconds.
    assert_eq!(before.samples.planned, 30);
    let after = find(&unsteady, "local/reach/after.failures");
    assert_eq!(after.expected.text, "no failure in the last 10s");
    // A spool at its quota merged what lies beside it: nobody knows what was in the part.
    let merged = |mut entries: Vec<Entry>| {
        for entry in &mut entries {
            if let Body::Recordings(all) = &mut entry.body {
                for one in all {
                    one.interval.to = one.interval.from.plus(Nanos::from_secs(20));
                }
            }
        }
        entries
    };
    let unknown = verdicts(&steady(0..0, merged));
    assert_eq!(unknown, (Verdict::Inconclusive, pass, 11));
}
