//! What a clock that stood still spoils, and what it does not. Stage `local` of the fixture runs from
//! 0 to 6 s on one agent, stage `hybrid` from 10 to 20 s on all three.

use nepho_common::{
    event::{ClockJump, What},
    id::AgentId,
    journal::{Body, Entry},
    plan::Judge,
    recording::Outcome,
    time::{ClockEpoch, ClockOffset, Nanos, RunTime},
};
use proptest::prelude::*;

use crate::report::{
    fixture::{Author, agent, ended, find, good, has, journal, of, on_clocks, plan, told},
    model::{Code, Finding, Report, Verdict},
};

const SECOND: i64 = 1_000_000_000;

/// An agent's word for a sleep of 7 s that it noticed 900 ms after it was last awake.
fn slept(who: AgentId, awake: RunTime) -> Vec<Entry> {
    let mut author = Author::new(who, 99);
    let what = What::EpochOpened {
        suspended: Nanos::from_secs(7),
        awake: Some(on_clocks(awake)),
    };
    author.say_at(on_clocks(awake).shifted(SECOND * 9 / 10), what);
    author.entries
}

fn with(more: Vec<Entry>) -> Report {
    let mut entries = journal(&plan(), good);
    entries.extend(more);
    of(entries)
}

fn rests_on(finding: &Finding, stage: &str, who: &AgentId) -> bool {
    finding.stage.as_str() == stage && finding.agents.contains(who)
}

/// Findings that passed and now do not, as (stage, those of `who` alone).
fn changed(report: &Report) -> Vec<&Finding> {
    let sound = of(journal(&plan(), good));
    let differs = |finding: &&Finding| find(&sound, &finding.id) != *finding;
    report.findings.iter().filter(differs).collect()
}

#[test]
fn a_suspend_makes_what_rests_on_that_agent_in_that_stage_inconclusive_and_nothing_else() {
    let who = agent("local");
    for (awake, spoils) in [
        (-9, None),
        (1, Some("local")),
        // Its clock was measured for the start by then: it starts late.
        (8, Some("hybrid")),
        (13, Some("hybrid")),
        (30, None),
    ] {
        let report = with(slept(who.clone(), RunTime(awake * SECOND)));
        assert!(has(&report, Code::Suspended));
        let changed = changed(&report);
        assert_eq!(changed.is_empty(), spoils.is_none(), "{awake} s");
        for finding in &changed {
            assert_eq!(finding.verdict, Verdict::Inconclusive, "{}", finding.id);
            assert!(rests_on(finding, spoils.unwrap(), &who), "{}", finding.id);
            let cause = finding.cause.as_ref().unwrap();
            assert!(cause.contains("suspended for 7s between"), "{cause}");
            assert!(finding.remedy.is_some() && finding.priority.is_some());
        }
        let spoilt =
            |finding: &&Finding| spoils.is_some_and(|stage| rests_on(finding, stage, &who));
        let measured = report.findings.iter().filter(spoilt).count();
        assert_eq!(changed.len(), measured, "{awake} s");
    }
    let report = with(slept(who, RunTime(13 * SECOND)));
    let cause = find(&report, "hybrid/reach/failures/local/local/gateway");
    let cause = cause.cause.as_ref().unwrap();
    assert!(
        cause.contains("agent-local") && cause.contains("13s and 13.9s"),
        "{cause}"
    );
    let other = find(&report, "hybrid/reach/failures/tencent/local/gateway");
    assert_eq!(other.verdict, Verdict::Pass);
}

#[test]
fn what_failed_beyond_its_bound_before_the_suspend_has_failed() {
    let judged = |broken: u64, max: u64, awake: i64| {
        let mut plan = plan();
        plan.stages[1].expectations[0].judge = Judge::Failures {
            max,
            confidence: None,
        };
        let mut entries = journal(&plan, |ask| match ask.n {
            n if n == broken => ended(Outcome::Refused, 1),
            _ => good(ask),
        });
        entries.extend(slept(agent("local"), RunTime(awake * SECOND / 1000)));
        let report = of(entries);
        let found = find(&report, "hybrid/reach/failures/local/local/gateway");
        (found.verdict, found.samples.missing)
    };
    // The first half is over by 15 s, and its last answer, with its time-out, 3 s later.
    assert_eq!(judged(0, 0, 18_500), (Verdict::Fail, 5));
    assert_eq!(judged(0, 0, 17_500).0, Verdict::Inconclusive);
    assert_eq!(judged(9, 0, 18_500).0, Verdict::Inconclusive);
    assert_eq!(judged(0, 1, 18_500).0, Verdict::Inconclusive);
    // Controls: without a suspend in the stage.
    assert_eq!(judged(9, 0, 40_000).0, Verdict::Fail);
    assert_eq!(judged(0, 1, 40_000).0, Verdict::Pass);
}

#[test]
fn a_clock_that_stood_still_unnoticed_by_its_agent_is_seen_by_the_exchanges() {
    const MS: i64 = 1_000_000;
    let judged = |jump: Option<(i64, i64, i64)>, at: i64| {
        let jump = jump.map(|(since, lo, hi)| ClockJump {
            since: RunTime(since * SECOND),
            moved: ClockOffset {
                lo: lo * MS,
                hi: hi * MS,
            },
        });
        let report = with(told(What::ClockDisturbed {
            agent: agent("local"),
            at: RunTime(at * SECOND),
            jump,
        }));
        assert!(has(&report, Code::Clock));
        find(&report, "hybrid/reach/failures/local/local/gateway").verdict
    };
    assert_eq!(judged(Some((12, -3010, -2990)), 17), Verdict::Inconclusive);
    assert_eq!(judged(Some((12, -110, -5)), 17), Verdict::Inconclusive);
    assert_eq!(judged(None, 17), Verdict::Inconclusive);
    // Too little to be more than a slewed clock; the controller's own clock; after the stage.
    assert_eq!(judged(Some((12, -90, -5)), 17), Verdict::Pass);
    assert_eq!(judged(Some((12, 2990, 3010)), 17), Verdict::Pass);
    assert_eq!(judged(Some((26, -3010, -2990)), 31), Verdict::Pass);
    assert_eq!(judged(Some((-9, -3010, -2990)), 2), Verdict::Pass);
}

#[test]
fn a_sleep_whose_record_is_lost_is_told_by_the_epoch_of_what_came_after() {
    let mut entries = journal(&plan(), good);
    for entry in entries
        .iter_mut()
        .filter(|one| one.key.agent == agent("local"))
    {
        if let Body::Events(events) = &mut entry.body {
            for event in events {
                let ends = matches!(&event.what, What::StageEnded { stage, .. } if stage.as_str() == "local");
                event.epoch = ClockEpoch(if ends { 2 } else { 1 });
            }
        }
    }
    let report = of(entries.clone());
    let spoilt = find(&report, "local/reach/failures/gateway");
    assert_eq!(spoilt.verdict, Verdict::Inconclusive);
    // A restarted agent counts anew from 1.
    for entry in &mut entries {
        if let Body::Events(events) = &mut entry.body {
            events
                .iter_mut()
                .for_each(|event| event.epoch = ClockEpoch(1));
        }
    }
    let sound = find(&of(entries), "local/reach/failures/gateway").verdict;
    assert_eq!(sound, Verdict::Pass);
}

#[test]
fn where_nothing_says_when_the_stage_ran_a_sleep_spoils_it() {
    let mut entries = journal(&plan(), good);
    entries.extend(slept(agent("local"), RunTime(SECOND)));
    entries.retain(|entry| match &entry.body {
        Body::Events(events) => !matches!(events[0].what, What::StageOrdered { .. }),
        _ => true,
    });
    let report = of(entries);
    let spoilt = find(&report, "local/reach/failures/gateway");
    assert_eq!(spoilt.verdict, Verdict::Inconclusive);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn with_a_sleep_in_it_nothing_passes_and_nothing_fails_that_did_not_fail_without(
        who in prop::sample::select(vec!["local", "tencent", "aliyun"]),
        awake in 0..20 * SECOND,
        broken in prop::collection::btree_set((0usize..3, 0u64..10), 0..6),
        max in 0u64..3,
    ) {
        let mut plan = plan();
        plan.stages.iter_mut().for_each(|stage| {
            stage.expectations[0].judge = Judge::Failures { max, confidence: None };
        });
        let entries = journal(&plan, |ask| {
            let from = ["local", "tencent", "aliyun"].iter().position(|name| *name == ask.from);
            if broken.contains(&(from.unwrap(), ask.n)) {
                ended(Outcome::Timeout, 2_000)
            } else {
                good(ask)
            }
        });
        let before = of(entries.clone());
        let sleep = slept(agent(who), RunTime(awake));
        let after = of([entries, sleep].concat());
        let stage = if awake < 6 * SECOND { "local" } else { "hybrid" };
        for finding in &after.findings {
            let was = find(&before, &finding.id).verdict;
            if rests_on(finding, stage, &agent(who)) {
                prop_assert_ne!(finding.verdict, Verdict::Pass, "{}", &finding.id);
            }
            prop_assert!(finding.verdict != Verdict::Fail || was == Verdict::Fail, "{}", &finding.id);
            prop_assert!(finding.verdict != Verdict::Pass || was == Verdict::Pass, "{}", &finding.id);
        }
    }
}
