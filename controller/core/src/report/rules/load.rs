//! What a spoiled generator does to verdicts on a load, and what a target does that stands still.

use nepho_common::{
    plan::{Act, Carried, Judge, Pool, Quantile, Ratio},
    recording::Outcome,
    time::Nanos,
};

use crate::report::{
    fixture::{
        load::{LASTS, RATE, Told, Went, found, journal, plan},
        of,
    },
    model::{Code, Finding, Report, Verdict},
    render::{Lang, markdown},
};

fn latency(quantile: Quantile, max: Option<u64>, min: Option<u64>) -> Judge {
    Judge::Latency {
        quantile,
        max: max.map(Nanos::from_millis),
        min: min.map(Nanos::from_millis),
    }
}

fn report(expected: &[Judge], told: impl Fn(u64) -> Told) -> Report {
    of(journal(&plan(expected), told))
}

/// The only finding, and why it is none other.
fn judged(expected: Judge, told: impl Fn(u64) -> Told) -> (Verdict, String) {
    let report = report(&[expected], told);
    let Finding { verdict, cause, .. } = &report.findings[0];
    (*verdict, cause.clone().unwrap_or_default())
}

/// For a quarter of the time, from the fifth second on.
const fn is_frozen(second: u64) -> bool {
    second >= 5 && second < 5 + LASTS / 4
}

/// The generator stood still: everything that was due meanwhile was sent up to 2 s late.
fn generator(second: u64) -> Told {
    if !is_frozen(second) {
        return Told::of(Went::well(RATE));
    }
    let half = Went::well(RATE / 2);
    Told {
        went: vec![
            half.late(Nanos::from_secs(1)),
            half.late(Nanos::from_secs(2)),
        ],
        gap: Nanos::from_secs(2),
        ..Told::of(half)
    }
}

/// The target stood still: one request on each connection took that long, the others waited.
fn target(second: u64) -> Told {
    if !is_frozen(second) {
        return Told::of(Went::well(RATE));
    }
    let stuck = if second == 5 { 16 } else { 0 };
    let late = Nanos::from_secs(2);
    Told {
        went: vec![
            Went::well(stuck).taking(late),
            Went::well(RATE - stuck).waiting(late),
        ],
        ..Told::of(Went::well(RATE))
    }
}

#[test]
fn a_late_generator_leaves_a_pass_from_above_and_spoils_the_rest() {
    let p90 = |max, min| latency(Quantile::P90, max, min);
    assert_eq!(judged(p90(Some(5_000), None), generator).0, Verdict::Pass);
    let (verdict, cause) = judged(p90(Some(300), None), generator);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(
        cause.contains("p99 of its send lag is 2") && cause.contains("came in time"),
        "{cause}"
    );
    let (verdict, cause) = judged(p90(None, Some(1_000)), generator);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(cause.contains("look slower than they are"), "{cause}");
    let rate = Judge::SuccessRate {
        min: Ratio(999_000),
        confidence: None,
    };
    assert_eq!(
        judged(rate, generator).0,
        Verdict::Pass,
        "all were answered"
    );
    // The controls: in time they pass from above, and are too fast from below.
    let calm = |_| Told::of(Went::well(RATE));
    assert_eq!(judged(p90(Some(300), None), calm).0, Verdict::Pass);
    assert_eq!(judged(p90(None, Some(1_000)), calm).0, Verdict::Fail);
    // Slow is slow, however late it was asked.
    let slow = |second| {
        let mut told = generator(second);
        told.went
            .iter_mut()
            .for_each(|one| *one = one.taking(Nanos::from_millis(400)));
        told
    };
    assert_eq!(judged(p90(Some(300), None), slow).0, Verdict::Fail);
}

#[test]
fn a_target_that_stood_still_has_failed_though_most_only_waited_for_it() {
    let p90 = || latency(Quantile::P90, Some(300), None);
    let (verdict, cause) = judged(p90(), target);
    assert_eq!(verdict, Verdict::Fail, "{cause}");
    assert!(
        cause.contains("stands still for a while: answers took up to 2s"),
        "{cause}"
    );
    // The same waiting behind answers that mostly take long is that of a pool that is too small.
    let small = |second| {
        let mut told = target(second);
        told.went
            .iter_mut()
            .for_each(|one| *one = one.taking(Nanos::from_millis(100)));
        told
    };
    assert_eq!(judged(p90(), small).0, Verdict::Inconclusive);
    // And the same beside a generator that was as late may be its own.
    let late = |second| {
        let mut told = target(second);
        told.went[0].lag = Nanos::from_secs(2);
        told
    };
    assert_eq!(judged(p90(), late).0, Verdict::Inconclusive);
}

#[test]
fn a_step_whose_connections_do_not_suffice_says_so() {
    // 16 connections that are busy for 160 ms each carry 100/s; half of the time they are.
    let crowded = |second| {
        let went = Went::well(RATE).taking(Nanos::from_millis(120));
        Told::of(went.waiting(Nanos::from_millis(100 * second)))
    };
    let (verdict, cause) = judged(latency(Quantile::P50, Some(300), None), crowded);
    assert_eq!(verdict, Verdict::Inconclusive, "a larger pool might do");
    for said in [
        "The step is saturated: the median request waited 9",
        "for one of 16 connections",
        "Answers took 120",
        "so these carry 133/s at most",
    ] {
        assert!(cause.contains(said), "{cause}");
    }
    let (verdict, cause) = judged(latency(Quantile::P50, Some(100), None), crowded);
    assert_eq!(verdict, Verdict::Fail, "no pool makes answers faster");
    assert!(cause.contains("The step is saturated"), "{cause}");
    // The control: who waits for less than half of the time is slow, and not crowded.
    let slow = |_| {
        let went = Went::well(RATE).taking(Nanos::from_millis(120));
        Told::of(went.waiting(Nanos::from_millis(110)))
    };
    let (verdict, cause) = judged(latency(Quantile::P50, Some(100), None), slow);
    assert_eq!(verdict, Verdict::Fail);
    assert!(!cause.contains("saturated"), "{cause}");
    // Most requests of the load opened no connection, so that takes none of their time.
    assert!(cause.contains("slower than expected"), "{cause}");
    assert!(!cause.contains("opening a connection"), "{cause}");
}

#[test]
fn what_a_crowded_step_waits_for_is_told_as_it_is_carried() {
    let cause = |carried| {
        let mut plan = plan(&[latency(Quantile::P50, Some(100), None)]);
        if let Act::Load(load) = &mut plan.stages[0].steps[0].act {
            load.carried = carried;
        }
        let crowded = |_| {
            let went = Went::well(RATE).taking(Nanos::from_millis(120));
            Told::of(went.waiting(Nanos::from_millis(900)))
        };
        let report = of(journal(&plan, crowded));
        report.findings[0].cause.clone().unwrap_or_default()
    };
    let http2 = |pool| Carried {
        http2: true,
        pool,
        ..Carried::default()
    };
    let shared = cause(http2(Pool::Shared));
    for said in [
        "for a stream on one of 16 connections",
        "so these carry 13333/s at most, with 100 streams on each",
    ] {
        assert!(shared.contains(said), "{shared}");
    }
    let own = cause(http2(Pool::PerUser));
    assert!(
        own.contains("for one of 16 connections") && own.contains("133/s at most."),
        "{own}"
    );
    let new = cause(Carried {
        pool: Pool::New,
        ..Carried::default()
    });
    assert!(
        new.contains("for a connection of its own, of 16 at a time") && !new.contains("/s"),
        "{new}"
    );
}

#[test]
fn where_nothing_succeeds_a_crowd_is_seen_by_the_time_out() {
    let none = |wait| {
        move |_| {
            let went = Went::well(RATE).ending(Outcome::Timeout);
            Told::of(went.taking(Nanos::from_millis(10)).waiting(wait))
        }
    };
    let failures = || Judge::Failures {
        max: 0,
        confidence: None,
    };
    let cause = judged(failures(), none(Nanos::from_millis(2_500))).1;
    assert!(
        cause.contains("The step is saturated"),
        "half of 5 s: {cause}"
    );
    let cause = judged(failures(), none(Nanos::from_millis(2_400))).1;
    assert!(!cause.contains("saturated"), "{cause}");
}

#[test]
fn what_was_not_sent_takes_a_pass_away() {
    let p50 = || latency(Quantile::P50, Some(300), None);
    let told = |sent: u64, shed: u64| {
        move |second| match second {
            5 => Told {
                shed,
                unsent: RATE - sent - shed,
                ..Told::of(Went::well(sent))
            },
            _ => Told::of(Went::well(RATE)),
        }
    };
    // 2,000 were due.
    assert_eq!(judged(p50(), told(100, 0)).0, Verdict::Pass);
    assert_eq!(judged(p50(), told(98, 0)).0, Verdict::Pass);
    let (verdict, cause) = judged(p50(), told(97, 0));
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(
        cause.contains("3 of 2000 requests that were due were not sent"),
        "{cause}"
    );
    assert_eq!(
        judged(p50(), told(99, 1)).0,
        Verdict::Inconclusive,
        "dropped"
    );
}

#[test]
fn a_time_out_of_a_late_generator_is_no_failure_of_the_target() {
    // The time-out is 5 s; what was due while the generator stood still was over before it was sent.
    let overdue = |lag| {
        move |second| match second {
            5 => Told::of(Went::well(RATE).ending(Outcome::Timeout).late(lag)),
            _ => Told::of(Went::well(RATE)),
        }
    };
    let failures = Judge::Failures {
        max: 10,
        confidence: None,
    };
    let rate = |confidence| Judge::SuccessRate {
        min: Ratio(990_000),
        confidence,
    };
    for judge in [failures, rate(None), rate(Some(Ratio(950_000)))] {
        let (verdict, cause) = judged(judge.clone(), overdue(Nanos::from_secs(5)));
        assert_eq!(verdict, Verdict::Inconclusive, "{cause}");
        assert!(cause.contains("100 requests timed out"), "{cause}");
        // The control: who was asked in time and did not answer has failed.
        assert_eq!(judged(judge, overdue(Nanos(40_000))).0, Verdict::Fail);
    }
    // Who asked in time and stood still then can't have read the answers to what was open.
    let unread = |gap| {
        move |second| match second {
            5 => Told {
                gap,
                went: vec![
                    Went::well(RATE - 16),
                    Went::well(16).ending(Outcome::Timeout),
                ],
                ..Told::of(Went::well(RATE))
            },
            _ => Told::of(Went::well(RATE)),
        }
    };
    let none = || Judge::Failures {
        max: 0,
        confidence: None,
    };
    let (verdict, cause) = judged(none(), unread(Nanos::from_millis(501)));
    assert_eq!(verdict, Verdict::Inconclusive, "{cause}");
    assert!(cause.contains("16 requests timed out"), "{cause}");
    // A tenth of the time-out is not too late.
    let (verdict, _) = judged(none(), unread(Nanos::from_millis(500)));
    assert_eq!(verdict, Verdict::Fail);
    let lenient = Judge::Failures {
        max: 100,
        confidence: None,
    };
    assert_eq!(
        judged(lenient, overdue(Nanos::from_secs(5))).0,
        Verdict::Pass
    );
    let all = |lag| move |_| Told::of(Went::well(RATE).ending(Outcome::Timeout).late(lag));
    let p50 = || latency(Quantile::P50, Some(300), None);
    assert_eq!(
        judged(p50(), all(Nanos::from_secs(5))).0,
        Verdict::Inconclusive
    );
    assert_eq!(judged(p50(), all(Nanos(40_000))).0, Verdict::Fail);
}

/// All of it took 10 ms, where lanes saw so much at the median and the reference lane so much.
fn compared(lanes: u64, reference: u64, seconds: u64) -> impl Fn(u64) -> Told {
    let compared = [lanes, reference].map(Nanos::from_millis);
    move |second| Told {
        compared: (second < seconds).then_some(compared.into()),
        ..Told::of(Went::well(RATE).taking(Nanos::from_millis(10)))
    }
}

#[test]
fn a_fail_that_rests_on_what_lanes_saw_more_than_the_reference_lane_is_inconclusive() {
    let max = |max| latency(Quantile::P50, Some(max), None);
    let more = || compared(10, 2, LASTS);
    let (verdict, cause) = judged(max(5), more());
    assert_eq!(verdict, Verdict::Inconclusive);
    for said in [
        "lanes saw 10ms at the median, its reference lane 2ms",
        "A target that queues for each connection shows the same.",
    ] {
        assert!(cause.contains(said), "{cause}");
    }
    // Without those 8 ms it would still take two.
    assert_eq!(judged(max(1), more()).0, Verdict::Fail);
    assert_eq!(judged(max(20), more()).0, Verdict::Pass);
    let min = || latency(Quantile::P50, None, Some(5));
    assert_eq!(judged(min(), more()).0, Verdict::Inconclusive);
    // The controls: both saw about the same, for too short, or there was nothing to compare with.
    for told in [compared(10, 8, LASTS), compared(10, 2, 4)] {
        assert_eq!(judged(max(5), &told).0, Verdict::Fail);
        assert_eq!(judged(min(), &told).0, Verdict::Pass);
    }
    assert_eq!(judged(max(5), compared(10, 2, 0)).0, Verdict::Fail);
}

#[test]
fn lanes_that_saw_more_than_the_reference_lane_are_doubted_and_both_are_shown() {
    let slow = || latency(Quantile::P50, Some(5_000), None);
    let told = |lanes, reference| {
        let report = report(&[slow()], compared(lanes, reference, LASTS));
        let about = "agent-local/load/browse/reference";
        let mut doubts = report.doubts.iter();
        let doubt = doubts.find(|one| one.about == about);
        let page = markdown::render(&report, Lang::En);
        (doubt.map(|one| one.text.clone()), page)
    };
    let (doubt, page) = told(10, 2);
    let doubt = doubt.unwrap();
    let said = "its loaded lanes saw 10ms at the median, its reference lane 2ms on the same target";
    assert!(doubt.contains(said), "{doubt}");
    assert!(page.contains("lanes 10ms, reference lane 2ms"), "{page}");
    let (doubt, page) = told(10, 8);
    assert_eq!(doubt, None);
    assert!(page.contains("lanes 10ms, reference lane 8ms"), "{page}");
}

/// Makes a second worse.
type Spoil = fn(&mut Told);

/// What is said against the agent, beside every verdict.
fn doubts(told: impl Fn(u64) -> Told) -> String {
    let report = report(&[latency(Quantile::P50, Some(5_000), None)], told);
    let mine = report
        .doubts
        .iter()
        .filter(|one| one.code == Code::Generator);
    let mine: Vec<_> = mine.collect();
    assert!(
        mine.iter()
            .all(|one| one.about == "agent-local/load/browse"),
        "{mine:?}"
    );
    mine.iter().map(|one| one.text.as_str()).collect()
}

#[test]
fn a_generator_that_kept_up_is_not_doubted_and_one_that_did_not_is_by_each_sign_of_it() {
    let calm = || Told::of(Went::well(RATE).late(Nanos::from_millis(1)));
    // Just as much as there may be of everything.
    let at_most = |_| Told {
        gap: Nanos::from_millis(100),
        cpu: 0.8,
        ..calm()
    };
    assert_eq!(doubts(at_most), "");
    let signs: [(Spoil, &str); 4] = [
        (
            |told| told.went[0].lag = Nanos::from_millis(3),
            "agent-local did not keep up in load/browse: requests were sent late, 3",
        ),
        (
            |told| told.gap = Nanos::from_millis(101),
            "a thread stood still for 101ms",
        ),
        (|told| told.cpu = 0.95, "a thread used 95% of its core"),
        (
            |told| (told.went[0].count, told.shed) = (RATE - 1, 1),
            "20 requests were shed",
        ),
    ];
    for (spoil, said) in signs {
        let told = doubts(|_| {
            let mut told = calm();
            spoil(&mut told);
            told
        });
        assert!(told.contains(said), "{told}");
    }
    // One second of twenty is enough for a gap, and too little for a 99th percentile of one in 100.
    let once = |second| {
        let mut told = Told::of(Went::well(RATE));
        if second == 7 {
            told.gap = Nanos::from_secs(1);
            told.went = vec![
                Went::well(RATE - 10),
                Went::well(10).late(Nanos::from_secs(1)),
            ];
        }
        told
    };
    let told = doubts(once);
    assert!(
        told.contains("stood still for 1s") && !told.contains("late"),
        "{told}"
    );
}

#[test]
fn the_finding_of_a_load_counts_what_was_due() {
    let report = report(&[latency(Quantile::P90, Some(300), None)], generator);
    let samples = &found(&report, "latency.p90").samples;
    assert_eq!((samples.planned, samples.missing), (RATE * LASTS, 0));
}

#[test]
fn how_long_a_load_must_last_for_its_samples_is_said() {
    let well = |_| Told::of(Went::well(RATE));
    let report = report(&[latency(Quantile::P99, Some(300), None)], well);
    let Finding {
        verdict, remedy, ..
    } = found(&report, "latency.p99");
    assert_eq!(*verdict, Verdict::Inconclusive);
    // 10,000 of them, at so many a second.
    let lasts = Nanos::from_secs(10_000 / RATE).to_string();
    let remedy = remedy.as_deref().unwrap();
    let said = format!("Let the stage last {lasts} at least");
    assert!(remedy.contains(&said), "{remedy}");
}
