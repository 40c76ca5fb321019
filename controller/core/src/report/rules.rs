//! Each rule of `verdict` and `finding` with its negative control.

use nepho_common::{
    control::StopMode,
    event::{RunEnd, Skip, StageEnd, What},
    id::AgentId,
    journal::{Body, Entry},
    plan::{Act, Check, Expectation, Judge, Quantile, Ratio, Route, Window},
    recording::{Gauge, Outcome, Unit},
    time::{Nanos, RunTime},
};

use super::{
    exit_code,
    fixture::{
        Ask, Author, Reply, agent, controller, ended, eventful, find, good, has, is_recording,
        journal, of, plan, text, told,
    },
    judge_stage,
    model::{Code, Finding, Priority, Report, Uncertainty, Verdict},
};

#[test]
fn the_gate_judges_one_stage_only() {
    let entries = journal(&plan(), |ask| match ask.stage {
        "hybrid" => ended(Outcome::Timeout, 2_000),
        _ => good(ask),
    });
    let stage = |name: &str| judge_stage(entries.clone(), &name.parse().unwrap());
    assert_eq!(stage("local"), Verdict::Pass);
    assert_eq!(stage("hybrid"), Verdict::Fail);
    assert_eq!(stage("unknown"), Verdict::Error);
    let hybrid = "hybrid".parse().unwrap();
    // The database has no declared address from the clouds: that holds nothing back.
    assert_eq!(judge_stage(journal(&plan(), good), &hybrid), Verdict::Pass);
    let mut not_begun = controller(&plan(), None);
    not_begun.truncate(5);
    assert_eq!(judge_stage(not_begun, &hybrid), Verdict::NotRun);
    assert_eq!(
        judge_stage(Vec::new(), &"local".parse().unwrap()),
        Verdict::Error
    );
}

#[test]
fn an_expectation_without_a_gate_holds_nothing_back() {
    let mut plan = plan();
    plan.stages[1]
        .expectations
        .iter_mut()
        .for_each(|one| one.gate = false);
    let entries = journal(&plan, |_| ended(Outcome::Refused, 1));
    assert_eq!(
        judge_stage(entries.clone(), &"hybrid".parse().unwrap()),
        Verdict::Pass
    );
    assert_eq!(
        of(entries).verdict,
        Verdict::Fail,
        "but the run still fails"
    );
}

#[test]
fn a_lost_agent_is_named_with_what_is_missing_and_for_how_long() {
    let report = of(eventful());
    let lost = report
        .agents
        .iter()
        .find(|one| one.agent == agent("aliyun"))
        .unwrap();
    assert_eq!(lost.lost[0].from_ns, RunTime(12_000_000_000));
    assert_eq!(lost.missing[0].requests, 25);
    assert!(
        lost.missing[0].why.contains("lost from 12s on"),
        "{}",
        lost.missing[0].why
    );
    let finding = find(&report, "hybrid/reach/failures/aliyun/local/dao-api");
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    let cause = finding.cause.as_ref().unwrap();
    assert!(
        cause.contains("5 of 10") && cause.contains("agent-aliyun"),
        "{cause}"
    );
}

#[test]
fn failures_beyond_the_bound_fail_even_when_data_is_missing() {
    let report = of(journal(&plan(), |ask| match ask.n {
        0 => ended(Outcome::Refused, 1),
        1 => None,
        _ => good(ask),
    }));
    let found = find(&report, "hybrid/reach/failures/local/local/gateway");
    assert_eq!(found.verdict, Verdict::Fail);
    assert_eq!(found.samples.missing, 1);
    let cause = found.cause.as_ref().unwrap();
    assert!(
        cause.contains("Nothing listens at http://127.0.1.1:9091/health"),
        "{cause}"
    );
    assert!(cause.contains("local/gateway/1"), "{cause}");
}

#[test]
fn our_own_failures_are_nobody_elses() {
    let report = of(journal(&plan(), |ask| match ask.n {
        0 => ended(Outcome::OurSide, 1),
        _ => good(ask),
    }));
    let found = find(&report, "local/reach/failures/gateway");
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(
        found
            .cause
            .as_ref()
            .unwrap()
            .contains("1 failed on the measuring side")
    );
}

#[test]
fn what_is_missing_may_be_tolerated_when_it_can_not_matter() {
    let mut plan = plan();
    plan.stages[0].expectations[0].judge = Judge::Failures {
        max: 1,
        confidence: None,
    };
    let one_lost = |ask: &Ask<'_>| if ask.n == 0 { None } else { good(ask) };
    let report = of(journal(&plan, one_lost));
    let found = find(&report, "local/reach/failures/gateway");
    assert_eq!(found.verdict, Verdict::Pass);
    assert!(has(&report, Code::PassedWithout));
}

#[test]
fn a_success_rate_is_decided_only_where_the_missing_can_not_decide_it() {
    let judged = |failed: u64, lost: u64| {
        let mut plan = plan();
        plan.stages[0].expectations[0].judge = Judge::SuccessRate {
            min: Ratio(500_000),
            confidence: None,
        };
        let report = of(journal(&plan, move |ask| match ask.n {
            n if n < failed => ended(Outcome::Reset, 1),
            n if n < failed + lost => None,
            _ => good(ask),
        }));
        find(&report, "local/reach/success-rate/gateway").verdict
    };
    // Of six requests.
    assert_eq!(judged(3, 0), Verdict::Pass);
    assert_eq!(judged(4, 0), Verdict::Fail);
    assert_eq!(judged(0, 3), Verdict::Pass);
    assert_eq!(judged(2, 2), Verdict::Inconclusive);
    assert_eq!(judged(4, 2), Verdict::Fail);
    assert_eq!(judged(0, 6), Verdict::Inconclusive);
}

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

/// A stage of HTTPS services, in which these hours were left of their certificates.
fn certificates(left: &[(&str, i32)]) -> Report {
    let mut plan = plan();
    plan.stages.truncate(1);
    let stage = &mut plan.stages[0];
    stage.expectations[0].by = Vec::new();
    stage.expectations[0].judge = Judge::Certificate {
        min: Nanos::from_secs(14 * 24 * 3_600),
    };
    let Act::Probe(probe) = &mut stage.steps[0].act else {
        panic!("a probe")
    };
    for path in &mut probe.to {
        if let Route::Ask {
            check: Check::Http(http),
            ..
        } = &mut path.route
        {
            http.url = http.url.replace("http:", "https:");
        }
    }
    let mut entries = journal(&plan, good);
    let mut author = Author::new(agent("local"), 9);
    let gauge = |(to, hours): &(&str, i32)| Gauge {
        name: text("certificate.left"),
        stage: "local".parse().unwrap(),
        step: "reach".parse().unwrap(),
        of: Some(to.parse().unwrap()),
        at: RunTime(5),
        value: f64::from(*hours) * 3_600e9,
        unit: Unit::Nanoseconds,
    };
    author.write(Body::Gauges(left.iter().map(gauge).collect()));
    entries.extend(author.entries);
    of(entries)
}

#[test]
fn a_certificate_is_judged_by_what_was_seen_of_it() {
    let (dao, gateway) = ("local/dao-api/1", "local/gateway/1");
    let found = |left: &[(&str, i32)]| {
        let report = certificates(left);
        find(&report, "local/reach/certificate").clone()
    };
    // The database speaks no TLS, so nothing is asked of it.
    let good = found(&[(dao, 14 * 24), (gateway, 400 * 24)]);
    assert_eq!(good.verdict, Verdict::Pass, "{good:?}");
    assert_eq!(
        good.expected.text,
        "certificates are valid for at least 14 days more"
    );
    assert_eq!(good.observed.text, "the first to end ends in 14 days");
    // The least of what was seen counts.
    let soon = found(&[(dao, 14 * 24), (dao, 14 * 24 - 1), (gateway, 400 * 24)]);
    assert_eq!(soon.verdict, Verdict::Fail);
    assert_eq!(
        soon.cause.unwrap(),
        "Certificates end: that of local/dao-api/1 ends in 13 days."
    );
    let ended = found(&[(dao, -3), (gateway, 20)]);
    assert_eq!(ended.priority, Some(Priority::High));
    assert_eq!(
        ended.cause.unwrap(),
        "Certificates end: that of local/dao-api/1 ended 3 hours ago, that of local/gateway/1 ends \
         in 20 hours."
    );
    let unseen = found(&[(dao, 400 * 24)]);
    assert_eq!(unseen.verdict, Verdict::Inconclusive);
    assert_eq!(
        unseen.cause.unwrap(),
        "agent-local saw no certificate of local/gateway/1."
    );
    // One that ends too soon fails, whatever the others may be.
    assert_eq!(found(&[(dao, 1)]).verdict, Verdict::Fail);
    let strange = certificates(&[("tencent/crm/1", 1), (dao, 400 * 24), (gateway, 400 * 24)]);
    assert!(has(&strange, Code::NotPlanned));
    assert_eq!(
        find(&strange, "local/reach/certificate").verdict,
        Verdict::Pass
    );
}

#[test]
fn nothing_that_shows_a_certificate_is_no_pass() {
    let mut plan = plan();
    plan.stages[0].expectations[0].judge = Judge::Certificate {
        min: Nanos::from_secs(3_600),
    };
    let report = of(journal(&plan, good));
    let found = find(&report, "local/reach/certificate/gateway");
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(
        found
            .cause
            .as_ref()
            .unwrap()
            .contains("shows a certificate")
    );
}

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

#[test]
fn a_skipped_stage_is_not_run_and_says_after_what() {
    let mut entries = journal(&plan(), good);
    entries.retain(|entry| !matches!(&entry.body, Body::Events(events) if matches!(&events[0].what, What::StageOrdered { stage, .. } if stage.as_str() == "hybrid")));
    entries.retain(|entry| {
        !["local", "tencent", "aliyun"]
            .iter()
            .any(|name| is_recording(entry, name, "hybrid"))
    });
    entries.extend(told(What::StageSkipped {
        stage: "hybrid".parse().unwrap(),
        why: Skip::After("local".parse().unwrap()),
    }));
    let report = of(entries);
    let hybrid = report
        .stages
        .iter()
        .find(|stage| stage.name.as_str() == "hybrid")
        .unwrap();
    assert_eq!(hybrid.verdict, Verdict::NotRun);
    let found = find(&report, "hybrid/reach/failures/local/local/gateway");
    assert!(
        found
            .cause
            .as_ref()
            .unwrap()
            .contains("stage local did not pass")
    );
    assert_eq!(report.verdict, Verdict::NotRun);
}

#[test]
fn an_open_end_and_a_broken_run_never_pass() {
    let with = |end: Option<RunEnd>| {
        let mut entries = journal(&plan(), good);
        entries.retain(|entry| !entry.key.agent.is_controller());
        entries.extend(controller(&plan(), end));
        of(entries)
    };
    assert_eq!(with(None).verdict, Verdict::Inconclusive);
    let failed = with(Some(RunEnd::Failed("the store is full".to_owned())));
    assert_eq!((failed.verdict, exit_code(&failed)), (Verdict::Error, 1));
    let stopped = with(Some(RunEnd::Stopped(StopMode::Stop)));
    assert!(has(&stopped, Code::Stopped));
}

#[test]
fn a_stopped_stage_says_that_it_was_stopped() {
    let mut entries = journal(&plan(), |ask| good(ask).filter(|_| ask.n < 4));
    for entry in &mut entries {
        if let Body::Events(events) = &mut entry.body
            && let What::StageEnded { how, .. } = &mut events[0].what
        {
            *how = StageEnd::Stopped(StopMode::Stop);
        }
    }
    let report = of(entries);
    let found = find(&report, "local/reach/failures/gateway");
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(
        found
            .cause
            .as_ref()
            .unwrap()
            .contains("the stage was stopped at 6s")
    );
}

#[test]
fn a_plan_that_expects_nothing_is_inconclusive() {
    let mut plan = plan();
    plan.stages
        .iter_mut()
        .for_each(|stage| stage.expectations.clear());
    let report = of(journal(&plan, good));
    assert_eq!(report.verdict, Verdict::Inconclusive);
    assert!(has(&report, Code::NothingExpected));
}

#[test]
fn an_agent_that_came_back_was_lost_for_so_long() {
    let mut entries = eventful();
    let mut controller = Author::new(AgentId::controller(), 60);
    // A sign of life from before the loss ends nothing.
    for (secs, restarted) in [(1, false), (40, true)] {
        controller.say(What::AgentReturned {
            agent: agent("aliyun"),
            at: RunTime(secs * 1_000_000_000),
            restarted,
        });
    }
    entries.extend(controller.entries);
    let report = of(entries);
    let found = find(&report, "hybrid/reach/failures/aliyun/local/dao-api");
    let cause = found.cause.as_ref().unwrap();
    assert!(
        cause.contains("lost from 12s to 40s (28s), and it was restarted"),
        "{cause}"
    );
}

#[test]
fn five_offenders_are_named_and_the_rest_counted() {
    let report = of(journal(&plan(), |ask| match ask.n {
        0 => ended(Outcome::Timeout, 2_000),
        1 => ended(Outcome::Refused, 1),
        _ => good(ask),
    }));
    let found = find(&report, "hybrid/reach/success-rate");
    assert_eq!(found.verdict, Verdict::Fail);
    let cause = found.cause.as_ref().unwrap();
    assert!(
        cause.contains("and 11 more") && cause.matches('→').count() == 5,
        "{cause}"
    );
    assert!(
        cause.contains("several ways (refused 16, timeout 16)"),
        "{cause}"
    );
}

#[test]
fn a_service_that_fails_from_everywhere_is_told_from_one_that_can_not_be_reached() {
    let from = |broken: fn(&Ask<'_>) -> bool| {
        let report = of(journal(&plan(), |ask| {
            if broken(ask) {
                ended(Outcome::Timeout, 2_000)
            } else {
                good(ask)
            }
        }));
        find(&report, "hybrid/reach/failures/local/tencent/crm")
            .cause
            .clone()
            .unwrap()
    };
    let down = from(|ask| ask.to.to_string() == "tencent/crm/1");
    assert!(
        down.contains("tencent/crm/1 fails from aliyun, tencent as well."),
        "{down}"
    );
    let cut = from(|ask| ask.is("local", "tencent/crm/1"));
    assert!(
        cut.contains("is reachable from aliyun, tencent but not from local."),
        "{cut}"
    );
}

#[test]
fn two_expectations_of_one_kind_have_two_ids() {
    let mut plan = plan();
    let again = plan.stages[0].expectations[0].clone();
    plan.stages[0].expectations.push(again);
    let report = of(journal(&plan, good));
    assert_eq!(
        find(&report, "local/reach/failures/gateway#2").verdict,
        Verdict::Pass
    );
}
