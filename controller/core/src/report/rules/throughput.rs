//! Successes of a load in a second: 100 are due in each.

use nepho_common::{
    plan::{Judge, Rate, Rise},
    recording::Outcome,
    time::Nanos,
};

use crate::report::{
    fixture::{
        load::{LASTS, RATE, Told, Went, found, journal, journal_but, of_users, plan},
        of,
    },
    model::{Finding, Verdict},
};

fn at_least(rate: u64) -> Judge {
    let min = Some(Rate::per_second(rate));
    Judge::Throughput { max: None, min }
}

fn at_most(rate: u64) -> Judge {
    let max = Some(Rate::per_second(rate));
    Judge::Throughput { max, min: None }
}

fn judged(expected: Judge, told: &Told) -> Finding {
    let report = of(journal(&plan(&[expected]), |_| told.clone()));
    found(&report, "throughput").clone()
}

fn verdict(expected: Judge, told: &Told) -> (Verdict, String) {
    let Finding { verdict, cause, .. } = judged(expected, told);
    (verdict, cause.unwrap_or_default())
}

#[test]
fn as_many_succeed_in_a_second_as_must_and_no_more_than_may() {
    let well = Told::of(Went::well(RATE));
    let finding = judged(at_least(100), &well);
    assert_eq!(finding.verdict, Verdict::Pass);
    assert_eq!(finding.observed.text, "100/s, 2000 successes");
    assert_eq!(finding.observed.rate, Some(Rate::per_second(RATE)));
    assert_eq!(finding.samples.planned, RATE * LASTS);
    assert_eq!(finding.expected.text, "throughput at least 100/s");
    let (few, cause) = verdict(at_least(101), &well);
    assert_eq!(few, Verdict::Fail);
    assert!(cause.starts_with("Whatever was asked succeeded"), "{cause}");
    assert_eq!(verdict(at_most(100), &well).0, Verdict::Pass);
    let (many, cause) = verdict(at_most(99), &well);
    assert_eq!(many, Verdict::Fail);
    assert!(
        cause.starts_with("More requests get through than may"),
        "{cause}"
    );
}

#[test]
fn what_fails_is_no_throughput_and_what_is_missing_leaves_it_open() {
    let failing = Told {
        went: vec![Went::well(90), Went::well(10).ending(Outcome::Status)],
        ..Told::of(Went::well(0))
    };
    assert_eq!(verdict(at_least(90), &failing).0, Verdict::Pass);
    assert_eq!(verdict(at_least(91), &failing).0, Verdict::Fail);
    assert_eq!(verdict(at_most(90), &failing).0, Verdict::Pass);
    let missing = Told::of(Went::well(90));
    let of = |expected| verdict(expected, &missing).0;
    assert_eq!(of(at_least(90)), Verdict::Pass);
    assert_eq!(of(at_least(91)), Verdict::Inconclusive);
    assert_eq!(of(at_least(101)), Verdict::Fail);
    assert_eq!(of(at_most(89)), Verdict::Fail);
    assert_eq!(of(at_most(99)), Verdict::Inconclusive);
    assert_eq!(of(at_most(100)), Verdict::Pass);
}

#[test]
fn a_generator_that_did_not_send_what_was_due_when_it_was_due_decides_nothing() {
    let late = |lag| Told::of(Went::well(RATE).late(Nanos(lag)));
    let still = |gap| Told {
        gap: Nanos::from_millis(gap),
        ..Told::of(Went::well(RATE))
    };
    for (told, stands) in [
        (late(3_000_000), false),
        (late(900_000), true),
        (still(101), false),
        (still(100), true),
    ] {
        for (expected, without) in [
            (at_least(100), Verdict::Pass),
            (at_least(101), Verdict::Fail),
        ] {
            let (found, cause) = verdict(expected, &told);
            let is_shaped = cause.starts_with("The generator did not keep up");
            assert_eq!((found == without, is_shaped), (stands, !stands), "{cause}");
        }
    }
    let shed = Told {
        shed: 10,
        ..Told::of(Went::well(90))
    };
    // What was shed is missing; more than all that were due can't be blamed on that.
    let (found, cause) = verdict(at_least(101), &shed);
    assert_eq!(found, Verdict::Inconclusive);
    assert!(
        cause.contains("200 of 2000 requests that were due were not sent"),
        "{cause}"
    );
    assert_eq!(verdict(at_least(90), &shed).0, Verdict::Pass);
    assert_eq!(verdict(at_most(100), &shed).0, Verdict::Inconclusive);
}

#[test]
fn a_part_of_which_users_told_nothing_is_no_lack_of_throughput() {
    let rise = Rise::new(10, 20, 2).unwrap();
    let users = |expected, is_silent: bool| {
        let told = |second| {
            let away = is_silent && (8..14).contains(&second);
            (!away).then(|| Told::of(Went::well(RATE)))
        };
        let report = of(journal_but(&of_users(&[expected], rise), told));
        found(&report, "throughput").verdict
    };
    assert_eq!(users(at_least(100), false), Verdict::Pass);
    assert_eq!(users(at_least(100), true), Verdict::Inconclusive);
    assert_eq!(users(at_least(101), false), Verdict::Fail);
    assert_eq!(users(at_least(70), true), Verdict::Pass);
    assert_eq!(users(at_most(100), true), Verdict::Inconclusive);
}
