//! How a balancer spreads what it is sent, through the whole report.

use nepho_common::{
    plan::{DecidesOn, Judge},
    time::Nanos,
};

use crate::report::{
    fixture::{
        load::{LASTS, RATE, Told, Went, found, journal, plan, spread},
        of,
    },
    model::{Finding, Verdict},
    render::Lang,
    report, report_in,
    stats::{binomial::Binomial, draws::Draws},
};

type By = (Option<&'static str>, u64, u64);

const POOL: [(&str, u32); 3] = [("a", 1), ("b", 1), ("c", 1)];

fn judged(judge: Judge, told: impl Fn(u64) -> Told) -> Finding {
    let report = of(journal(&plan(&[judge]), told));
    found(&report, "distribution.instance").clone()
}

/// Of a pool with these weights, of which these answered in each second.
fn spread_by(members: &[(&str, u32)], by: &[By]) -> Finding {
    judged(spread(members), |_| Told::by(by.to_vec()))
}

fn why(finding: &Finding) -> &str {
    finding.cause.as_deref().unwrap_or_default()
}

const EVEN: [By; 3] = [(Some("a"), 34, 1), (Some("b"), 33, 1), (Some("c"), 33, 1)];

#[test]
fn a_pool_that_is_spread_as_configured_passes_with_its_figures() {
    let finding = spread_by(&POOL, &EVEN);
    assert_eq!(finding.verdict, Verdict::Pass, "{}", why(&finding));
    let first = &finding.observed.shares[0];
    assert_eq!((first.name.as_str(), first.decisions), ("a", 680));
    assert_eq!(
        (first.expected_ppm, first.observed_ppm),
        (333_333, Some(340_000))
    );
    let text = &finding.observed.text;
    assert!(
        text.starts_with("of 2000 requests: a 34%; b 33%; c 33%"),
        "{text}"
    );
    assert_eq!(finding.samples.planned, RATE * LASTS);
}

#[test]
fn who_has_too_much_and_who_has_nothing_are_named() {
    let uneven = spread_by(
        &POOL,
        &[(Some("a"), 50, 1), (Some("b"), 25, 1), (Some("c"), 25, 1)],
    );
    assert_eq!(uneven.verdict, Verdict::Fail);
    assert!(why(&uneven).contains("a got 50%"), "{}", why(&uneven));
    let weighted = [("a", 2), ("b", 1), ("c", 1)];
    let by = [(Some("a"), 50, 1), (Some("b"), 25, 1), (Some("c"), 25, 1)];
    assert_eq!(
        spread_by(&weighted, &by).verdict,
        Verdict::Pass,
        "the control"
    );
    let starved = spread_by(&POOL, &[(Some("a"), 50, 1), (Some("b"), 50, 1)]);
    assert!(
        why(&starved).contains("c got nothing of its 33.33%"),
        "{}",
        why(&starved)
    );
    let drained = [("a", 1), ("b", 1), ("c", 0)];
    let drained = spread_by(
        &drained,
        &[(Some("a"), 50, 1), (Some("b"), 49, 1), (Some("c"), 1, 1)],
    );
    assert_eq!(drained.verdict, Verdict::Fail, "{}", why(&drained));
    let stranger = spread_by(&POOL[..2], &EVEN);
    assert_eq!(stranger.verdict, Verdict::Fail);
    assert!(why(&stranger).contains('c'), "{}", why(&stranger));
}

#[test]
fn without_names_nobody_knows() {
    let silent = spread_by(&POOL, &[(None, RATE, 3)]);
    assert_eq!(silent.verdict, Verdict::Inconclusive);
    assert_eq!(silent.observed.text, "nobody said who answered");
    assert!(
        why(&silent).contains("2000 answers did not say which instance"),
        "{}",
        why(&silent)
    );
    let some = [
        (Some("a"), 33, 1),
        (Some("b"), 33, 1),
        (Some("c"), 33, 1),
        (None, 1, 0),
    ];
    let some = spread_by(&POOL, &some);
    assert_eq!(
        some.verdict,
        Verdict::Inconclusive,
        "it may have been any of them"
    );
    assert!(why(&some).contains("20 answers"), "{}", why(&some));
}

#[test]
fn connections_are_few_where_they_are_what_is_decided_on() {
    let mut judge = spread(&POOL);
    let Judge::Distribution { decides_on, .. } = &mut judge else {
        unreachable!("it is one");
    };
    *decides_on = DecidesOn::Connection;
    let few = judged(judge.clone(), |second| {
        let new = u64::from(second == 0);
        Told::by(EVEN.map(|(by, requests, _)| (by, requests, new)).into())
    });
    assert_eq!(few.verdict, Verdict::Inconclusive);
    assert!(
        why(&few).starts_with("3 decisions show neither"),
        "{}",
        why(&few)
    );
    let remedy = few.remedy.unwrap();
    assert!(remedy.contains("About 542 decisions"), "{remedy}");
    let many = judged(judge, |_| {
        Told::by(
            EVEN.map(|(by, requests, _)| (by, requests, requests))
                .into(),
        )
    });
    assert_eq!(many.verdict, Verdict::Pass, "{}", why(&many));
}

#[test]
fn a_generator_that_stood_still_shaped_what_the_balancer_saw() {
    let told = |lag, gap| {
        judged(spread(&POOL), move |_| Told {
            went: vec![Went::well(RATE).late(lag)],
            gap,
            ..Told::by(EVEN.to_vec())
        })
    };
    let (lag, gap) = (Nanos::from_millis(1), Nanos::from_millis(100));
    assert_eq!(told(lag, gap).verdict, Verdict::Pass, "so much may be");
    for spoiled in [
        told(Nanos::from_millis(2), gap),
        told(lag, Nanos::from_millis(101)),
    ] {
        assert_eq!(spoiled.verdict, Verdict::Inconclusive);
        assert!(
            why(&spoiled).contains("The generator did not keep up"),
            "{}",
            why(&spoiled)
        );
    }
    // Nor does it accuse: what came in bursts was not what was planned.
    let uneven = judged(spread(&POOL), |_| Told {
        gap: Nanos::from_secs(2),
        ..Told::by(vec![(Some("a"), RATE, 1)])
    });
    assert_eq!(uneven.verdict, Verdict::Inconclusive);
}

const RUNS: u64 = 200;

/// What 200 journals are found to be, of a balancer that draws by some weights and says others.
fn accused(says: &[(&'static str, u32)], does: &[u64], tolerance: u32) -> u64 {
    let mut judge = spread(says);
    let Judge::Distribution {
        tolerance: bound, ..
    } = &mut judge
    else {
        unreachable!("it is one");
    };
    bound.0 = tolerance;
    let plan = plan(&[judge]);
    let all: u64 = does.iter().sum();
    let run = |seed: u64| {
        let entries = journal(&plan, |second| {
            let mut draws = Draws::new(seed * LASTS + second);
            let mut by: Vec<By> = says.iter().map(|(name, _)| (Some(*name), 0, 1)).collect();
            for _ in 0..RATE {
                let mut left = draws.below(all);
                let chosen = does.iter().position(|weight| {
                    let is_here = left < *weight;
                    left = left.saturating_sub(*weight);
                    is_here
                });
                by[chosen.unwrap()].1 += 1;
            }
            Told::by(by)
        });
        found(&report(entries, Vec::new()), "distribution.instance").verdict
    };
    (0..RUNS).filter(|seed| run(*seed) == Verdict::Fail).count() as u64
}

/// The most of 200 that are accused if each is with a chance of a twentieth: a right report shows more
/// than these once in 2,000 times.
fn most_by_chance() -> u64 {
    Binomial::new(RUNS, (1, 20)).first_reaching(0.999_5)
}

#[test]
fn a_fair_balancer_is_accused_in_no_more_of_200_journals_than_chance_makes() {
    // Without tolerance each miss of an interval is an accusation: the whole of the doubt.
    for (says, does) in [
        (POOL, [1, 1, 1]),
        ([("a", 5), ("b", 1), ("c", 1)], [5, 1, 1]),
    ] {
        let exact = accused(&says, &does, 0);
        println!(
            "{says:?}: {exact} of {RUNS} accused, may be {}",
            most_by_chance()
        );
        assert!(exact <= most_by_chance(), "{exact} for {says:?}");
        assert_eq!(accused(&says, &does, 50_000), 0, "{says:?}");
    }
}

#[test]
fn a_skewed_balancer_is_accused_in_nearly_all_of_200_journals() {
    // Ten percentage points more than is said, with a tolerance of five. Its power is above 95 %
    // (`stats/distribution/tests/journals.rs`): a right report shows fewer than this once in 2,000 times.
    let least = Binomial::new(RUNS, (19, 20)).first_above(0.000_5);
    let found = accused(&POOL, &[13, 9, 8], 50_000);
    println!("{found} of {RUNS} accused, at least {least}");
    assert!(
        found >= least && found > most_by_chance(),
        "{found}, not {least}"
    );
}

#[test]
fn a_chinese_report_of_a_spread_has_the_same_figures() {
    let entries = journal(&plan(&[spread(&POOL)]), |_| Told::by(EVEN.to_vec()));
    let chinese = report_in(Lang::ZhCn, entries, Vec::new());
    let text = &found(&chinese, "distribution.instance").observed.text;
    assert!(
        text.contains("2000 个请求") && text.contains("a 34%"),
        "{text}"
    );
}
