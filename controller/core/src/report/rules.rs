//! Each rule of `verdict` and `finding` with its negative control.

mod certificate;
mod climb;
mod confidence;
mod latency;
mod load;
mod same;
mod spread;
mod steady;
mod throughput;
mod used;

use nepho_common::{
    control::StopMode,
    event::{RunEnd, Skip, StageEnd, What},
    id::AgentId,
    journal::Body,
    plan::{Judge, Ratio},
    recording::Outcome,
    time::RunTime,
};

use super::{
    exit_code,
    fixture::{
        Ask, Author, agent, controller, ended, eventful, find, good, has, is_recording, journal,
        of, plan, told,
    },
    judge_stage,
    model::{Code, Verdict},
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
