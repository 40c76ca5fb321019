//! How many users are carried: stairs of 10, 20, 30, 40 and 50 users, four seconds each, against a
//! target that answers in 20 ms as long as it has less than 20 of them, and 1,000 in a second at most.

use nepho_common::{
    plan::{Judge, LatencyMax, Quantile, Ratio, Rise},
    recording::Outcome,
    time::Nanos,
};

use crate::report::{
    Report,
    fixture::{
        load::{Told, Went, found, journal_but, of_users},
        of,
    },
    model::{Finding, StairFigures, Verdict},
    render::{Lang, markdown},
};

const MILLI: Nanos = Nanos::from_millis(1);

fn within(min: u32, max: u64) -> Judge {
    Judge::Concurrency {
        min,
        latency: Some(LatencyMax {
            quantile: Quantile::P90,
            max: Nanos(max * MILLI.0),
        }),
        success_rate: None,
    }
}

fn successes(min: u32) -> Judge {
    Judge::Concurrency {
        min,
        latency: None,
        success_rate: Some(Ratio(990_000)),
    }
}

const fn users(second: u64) -> u64 {
    10 * (1 + second / 4)
}

/// What so many users get: by Little's law all of them wait all the time.
fn of_each(rate: u64, users: u64) -> Told {
    let went = Went::well(rate).taking(Nanos(users * 1_000 * MILLI.0 / rate));
    Told {
        offered: rate,
        ..Told::of(went)
    }
}

fn queue(second: u64) -> Option<Told> {
    let users = users(second);
    Some(of_each((users * 50).min(1_000), users))
}

/// The same, with something else in the seconds of the stair with so many users.
fn but(at: u64, change: impl Fn(&mut Told)) -> impl Fn(u64) -> Option<Told> {
    move |second| {
        let mut told = queue(second)?;
        if users(second) == at {
            change(&mut told);
        }
        Some(told)
    }
}

fn report(expected: Judge, told: impl Fn(u64) -> Option<Told>) -> Report {
    let rise = Rise::new(10, 50, 5).unwrap();
    of(journal_but(&of_users(&[expected], rise), told))
}

fn judged(expected: Judge, told: impl Fn(u64) -> Option<Told>) -> Finding {
    found(&report(expected, told), "concurrency").clone()
}

/// Verdict, what was seen, and why.
fn told(finding: &Finding) -> (Verdict, &str, &str) {
    let cause = finding.cause.as_deref().unwrap_or_default();
    (finding.verdict, &finding.observed.text, cause)
}

const KNEE: &str = "the knee is near 20 users (1000/s at 20ms)";

#[test]
fn users_are_carried_up_to_the_stair_before_the_first_that_breaks() {
    let finding = judged(within(40, 35), queue);
    let (verdict, seen, cause) = told(&finding);
    assert_eq!(verdict, Verdict::Fail);
    let text = format!("carries 30 of 50 users: at 40, the p90 was 40ms, above 35ms; {KNEE}");
    assert_eq!(seen, text);
    assert_eq!(
        cause,
        "At 40 users, the p90 was 40ms, above 35ms. Throughput grew no more: 1000/s before, 1000/s now."
    );
    assert_eq!(
        finding.expected.text,
        "at least 40 users carried with p90 at most 35ms"
    );
    assert_eq!(finding.observed.carried_users, Some(30));
    assert_eq!(finding.observed.knee_users, Some(20));
    let stairs = finding.observed.stairs.iter();
    let stairs: Vec<_> = stairs
        .map(|one| (one.users, one.rate.to_string(), one.verdict))
        .collect();
    let (pass, fail) = (Verdict::Pass, Verdict::Fail);
    let rates = [
        (10, "500/s", pass),
        (20, "1000/s", pass),
        (30, "1000/s", pass),
    ];
    let rates = rates
        .into_iter()
        .chain([(40, "1000/s", fail), (50, "1000/s", fail)]);
    let rates: Vec<_> = rates
        .map(|(users, rate, how)| (users, rate.to_owned(), how))
        .collect();
    assert_eq!(stairs, rates);
    // Three seconds of each.
    assert_eq!(
        (finding.samples.planned, finding.samples.missing),
        (13_500, 0)
    );

    // The controls: fewer are expected, or answers may take longer.
    let (fewer, longer) = (judged(within(30, 35), queue), judged(within(40, 45), queue));
    assert_eq!(told(&fewer), (Verdict::Pass, text.as_str(), ""));
    assert_eq!(longer.verdict, Verdict::Pass);
    assert_eq!(longer.observed.carried_users, Some(40));
    let all = judged(within(50, 55), queue);
    let text = format!("carries 50 users, the most that there were; {KNEE}");
    assert_eq!(told(&all), (Verdict::Pass, text.as_str(), ""));
    assert_eq!(judged(within(50, 45), queue).verdict, Verdict::Fail);
}

#[test]
fn what_breaks_at_once_carries_nobody_and_a_stair_that_holds_above_it_does_not_count() {
    let finding = judged(within(10, 15), queue);
    let (verdict, seen, _) = told(&finding);
    assert_eq!(verdict, Verdict::Fail);
    assert!(
        seen.starts_with("does not carry 10 users, the fewest that there were: the p90 was 20ms")
    );
    let slow = |told: &mut Told| told.went[0].service = Nanos(500 * MILLI.0);
    let finding = judged(within(40, 45), but(20, slow));
    assert_eq!(finding.verdict, Verdict::Fail);
    assert_eq!(finding.observed.carried_users, Some(10));
    let verdicts = finding
        .observed
        .stairs
        .iter()
        .map(|one| one.verdict == Verdict::Pass);
    assert_eq!(
        verdicts.collect::<Vec<_>>(),
        [true, false, true, true, false]
    );
}

#[test]
fn the_first_second_of_a_stair_belongs_to_those_who_come() {
    let slow_in = |nth| {
        move |second: u64| {
            let mut told = queue(second)?;
            if second % 4 == nth {
                told.went[0].service = Nanos(500 * MILLI.0);
            }
            Some(told)
        }
    };
    assert_eq!(judged(within(50, 55), slow_in(0)).verdict, Verdict::Pass);
    assert_eq!(judged(within(50, 55), slow_in(1)).verdict, Verdict::Fail);
}

#[test]
fn a_stair_that_breaks_while_the_generator_has_no_time_is_not_the_targets() {
    let busy = |told: &mut Told| told.cpu = 0.95;
    let held_up = |told: &mut Told| told.gap = Nanos(101 * MILLI.0);
    for spoil in [&busy as &dyn Fn(&mut Told), &held_up] {
        let finding = judged(within(40, 35), but(40, spoil));
        let (verdict, seen, cause) = told(&finding);
        assert_eq!(verdict, Verdict::Inconclusive);
        let text =
            "carries at least 30 users; beyond that the generator, not the target, was the limit";
        assert!(seen.starts_with(text), "{seen}");
        assert!(
            cause.starts_with("At 40 users: The generator had no time left"),
            "{cause}"
        );
        // What was carried before is, and what is answered in time was asked in time.
        assert_eq!(
            judged(within(30, 35), but(40, spoil)).verdict,
            Verdict::Pass
        );
        assert_eq!(
            judged(within(40, 45), but(40, spoil)).verdict,
            Verdict::Pass
        );
        // The control.
        assert_eq!(
            judged(within(40, 35), but(30, spoil)).verdict,
            Verdict::Fail
        );
    }
}

#[test]
fn a_stair_of_which_something_is_missing_is_carried_by_nobody_and_broken_by_nobody() {
    let silent = |second| (users(second) != 30 || second % 4 != 2).then(|| queue(second))?;
    let finding = judged(within(40, 45), silent);
    let (verdict, seen, cause) = told(&finding);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(
        seen.starts_with("carries at least 20 users; at 30 it could not be judged"),
        "{seen}"
    );
    assert!(
        cause.starts_with("At 30 users: Nothing was told of a part"),
        "{cause}"
    );
    assert!(cause.contains("agent-local"), "{cause}");
    assert_eq!(judged(within(20, 45), silent).verdict, Verdict::Pass);
    assert_eq!(
        judged(within(40, 15), silent).verdict,
        Verdict::Fail,
        "the first broke"
    );
    // Those who asked and of whom nothing came back may have waited for ever.
    let lost = |told: &mut Told| told.went[0].count = 600;
    let finding = judged(within(40, 45), but(30, lost));
    let (verdict, _, cause) = told(&finding);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(
        cause.contains("1200 of 3000 planned requests are missing"),
        "{cause}"
    );
    // Nobody asked anything.
    let none = |told: &mut Told| (told.went[0].count, told.offered) = (0, 0);
    for expected in [within(40, 45), successes(40)] {
        assert_eq!(
            judged(expected, but(30, none)).verdict,
            Verdict::Inconclusive
        );
    }
}

#[test]
fn a_stair_breaks_by_the_limit_that_it_breaks() {
    let failing = |told: &mut Told| {
        told.went[0].count = 980;
        told.went.push(Went::well(20).ending(Outcome::Status));
    };
    let finding = judged(successes(40), but(30, failing));
    let (verdict, seen, cause) = told(&finding);
    assert_eq!(verdict, Verdict::Fail);
    assert!(
        seen.starts_with("carries 20 of 50 users: at 30, 98% of requests succeeded, below 99%"),
        "{seen}"
    );
    assert!(
        cause.starts_with(
            "At 30 users, 98% of requests succeeded, below 99%. Throughput grew no more"
        ),
        "{cause}"
    );
    assert_eq!(judged(successes(40), queue).verdict, Verdict::Pass);
    let both = |max| Judge::Concurrency {
        min: 40,
        latency: Some(LatencyMax {
            quantile: Quantile::P90,
            max: Nanos(max * MILLI.0),
        }),
        success_rate: Some(Ratio(990_000)),
    };
    assert_eq!(judged(both(45), queue).verdict, Verdict::Pass);
    assert_eq!(judged(both(35), queue).observed.carried_users, Some(30));
    assert_eq!(
        judged(both(45), but(30, failing)).observed.carried_users,
        Some(20)
    );
}

#[test]
fn users_between_two_stairs_are_decided_by_the_one_above_if_it_holds() {
    let finding = judged(within(25, 25), queue);
    let (verdict, seen, cause) = told(&finding);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(seen.starts_with("carries 20 of 50 users"), "{seen}");
    assert!(cause.starts_with("No stair has 25 users"), "{cause}");
    assert_eq!(judged(within(25, 35), queue).verdict, Verdict::Pass);
    assert_eq!(
        judged(within(60, 90), queue).verdict,
        Verdict::Inconclusive,
        "nobody looked"
    );
}

#[test]
fn a_knee_is_told_where_there_is_one() {
    let endless = |second| Some(of_each(users(second) * 50, users(second)));
    let finding = judged(within(50, 25), endless);
    assert!(
        finding.observed.text.ends_with("; no knee was reached"),
        "{}",
        finding.observed.text
    );
    assert_eq!(finding.observed.knee_users, None);
    let still = judged(within(50, 15), |second| endless(second + 4));
    assert!(still.observed.text.contains("does not carry"));
    // Two stairs have no shape: beyond them the generator was the limit.
    let busy = |told: &mut Told| told.cpu = 0.95;
    let text = judged(within(50, 25), but(30, busy)).observed.text;
    assert!(!text.contains("knee"), "{text}");
}

#[test]
fn each_stair_has_a_line_below_the_finding_in_each_language() {
    let report = report(within(40, 35), queue);
    let page = |lang| {
        let page = markdown::render(&report, lang);
        let lines = page.lines().filter(|line| line.starts_with('|'));
        lines
            .skip_while(|line| !line.contains("p90"))
            .take(7)
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(Lang::ALL.map(page).join("\n\n"));
    let [.., last] = &found(&report, "concurrency").observed.stairs[..] else {
        panic!("stairs");
    };
    let StairFigures {
        users,
        samples,
        failures,
        ..
    } = last;
    assert_eq!((*users, *samples, *failures), (50, 3_000, 0));
}
