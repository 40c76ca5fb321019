//! A run is taken up at every place of its journal, and plays on from there.

use super::{tests::*, *};

/// The events of a journal as its controller stamped them.
fn said(journal: &[(Mono, What)]) -> Vec<Event> {
    let event = |(at, what): &(Mono, What)| Event {
        at: *at,
        epoch: ClockEpoch(0),
        wall: WallMillis(i64::try_from(at.0 / MS).unwrap()),
        what: what.clone(),
    };
    journal.iter().map(event).collect()
}

fn past<'a>(said: &'a [Event], plan: Plan, passed: &[&str]) -> Past<'a> {
    Past {
        key: RunKey {
            run: "r".parse().unwrap(),
            attempt: Attempt(1),
            fence: Fence(2),
        },
        plan,
        said,
        shift: 0,
        passed: passed
            .iter()
            .map(|stage| (stage.parse().unwrap(), true))
            .collect(),
    }
}

/// Plays two stages to their end; what was journalled and when.
fn whole() -> Play {
    let mut play = Play::new(&["a", "b"], &[("one", &[]), ("two", &["one"])]);
    for (stage, seal) in [("one", 3), ("two", 6)] {
        play.started(&["a", "b"], stage);
        play.pass(Nanos::from_secs(8));
        play.seal("a", stage, seal);
        play.seal("b", stage, seal);
        play.judged(stage, true);
    }
    play
}

/// What two agents answer whatever they are asked, once they are back: they know the run and obey.
fn finish(play: &mut Play) {
    for _ in 0..200 {
        if play.run.is_over() {
            return;
        }
        play.pass(Nanos::from_millis(500));
        for (agent, order) in std::mem::take(&mut play.sent) {
            let agent = agent.to_string();
            match order {
                Order::Prepare(_) => play.say(&agent, Phase::Prepared),
                Order::Arm(stage) => play.say(&agent, Phase::Armed(stage)),
                Order::Start { stage, .. } | Order::Resume { stage, .. } => {
                    play.say(&agent, Phase::Running(stage.clone()));
                    play.seal(&agent, stage.as_str(), 9);
                }
                Order::Stop(_) => play.say(&agent, Phase::Stopped),
                Order::Release => play.say(&agent, Phase::Unknown),
            }
        }
        for stage in std::mem::take(&mut play.judging) {
            play.judged(stage.as_str(), true);
        }
        // Whoever is not asked for anything says where it stands, as every pong does.
        let stage = play.run.progress(play.now).stage;
        if let Some(stage) = stage.filter(|_| play.state() == "collecting") {
            ["a", "b"]
                .iter()
                .for_each(|agent| play.seal(agent, stage.as_str(), 9));
        } else {
            ["a", "b"]
                .iter()
                .for_each(|a| play.give(Input::Heard(a.parse().unwrap())));
        }
    }
    panic!("it does not end: {:?}", play.run.progress(play.now));
}

#[test]
fn a_run_is_taken_up_at_every_prefix_of_its_journal_and_no_stage_is_ordered_twice() {
    let before = whole();
    let journal: Vec<_> = before.stamped.clone();
    let plan = before.run.plan().clone();
    for cut in 0..=journal.len() {
        let said = said(&journal[..cut]);
        let collected = said.iter().filter_map(|event| match &event.what {
            What::StageCollected { stage, .. } => Some(stage.as_str()),
            _ => None,
        });
        let passed: Vec<_> = collected.collect();
        let now = said
            .last()
            .map_or(Mono(START), |event| event.at)
            .plus(Nanos::from_secs(3));
        let restored = Run::restore(past(&said, plan.clone(), &passed), now);
        let Some((run, actions)) = restored else {
            assert_eq!(cut, 0, "only a run that never began is not taken up");
            continue;
        };
        let mut play = Play::of(run, now);
        play.stamped = journal[..cut].to_vec();
        play.journal = journal[..cut]
            .iter()
            .map(|(_, what)| what.clone())
            .collect();
        play.take(actions);
        finish(&mut play);
        let count =
            |wanted: &dyn Fn(&What) -> bool| play.journal.iter().filter(|w| wanted(w)).count();
        for stage in ["one", "two"] {
            let of = |what: &What| matches!(what, What::StageOrdered { stage: its, .. } if its.as_str() == stage);
            assert_eq!(count(&of), 1, "cut at {cut}: {:#?}", play.journal);
            let of = |what: &What| matches!(what, What::StageCollected { stage: its, .. } if its.as_str() == stage);
            assert_eq!(count(&of), 1, "cut at {cut}: {:#?}", play.journal);
        }
        assert_eq!(
            count(&|what| matches!(what, What::RunEnded { .. })),
            1,
            "cut at {cut}"
        );
        assert_eq!(play.ended(), Some(&RunEnd::Completed), "cut at {cut}");
    }
}

#[test]
fn an_abort_that_was_said_once_is_sent_to_whoever_comes_back() {
    let mut before = Play::new(&["a"], &[("one", &[]), ("two", &[])]);
    before.started(&["a"], "one");
    before.give(Input::Stop {
        mode: StopMode::Abort,
        by: "me".to_owned(),
    });
    let said = said(&before.stamped);
    let now = before.now.plus(Nanos::from_secs(4));
    let past = past(&said, before.run.plan().clone(), &[]);
    let (run, actions) = Run::restore(past, now).unwrap();
    assert_eq!(run.stopped(), Some(StopMode::Abort));
    let mut play = Play::of(run, now);
    play.take(actions);
    play.say("a", Phase::Running("one".parse().unwrap()));
    assert!(matches!(
        play.sent.last(),
        Some((_, Order::Stop(StopMode::Abort)))
    ));
    play.seal("a", "one", 1);
    play.judged("one", true);
    assert_eq!(play.ended(), Some(&RunEnd::Stopped(StopMode::Abort)));
}

#[test]
fn a_stage_that_ran_on_meanwhile_is_collected_and_its_time_is_not_begun_anew() {
    let mut before = Play::new(&["a"], &[("one", &[])]);
    before.started(&["a"], "one");
    let said = said(&before.stamped);
    let now = before.now.plus(Nanos::from_secs(30));
    let past = past(&said, before.run.plan().clone(), &[]);
    let (run, actions) = Run::restore(past, now).unwrap();
    let mut play = Play::of(run, now);
    play.take(actions);
    assert_eq!(play.state(), "collecting");
    play.seal("a", "one", 4);
    assert_eq!(play.judging.len(), 1);
    assert!(
        !play
            .sent
            .iter()
            .any(|(_, order)| matches!(order, Order::Start { .. }))
    );
}

#[test]
fn agents_have_time_to_come_back_before_they_are_called_lost() {
    let mut before = Play::new(&["a"], &[("one", &[])]);
    before.started(&["a"], "one");
    let said = said(&before.stamped);
    let past = past(&said, before.run.plan().clone(), &[]);
    let (run, _) = Run::restore(past, before.now).unwrap();
    let mut play = Play::of(run, before.now);
    play.pass(FAILOVER);
    assert!(
        !play
            .journal
            .iter()
            .any(|w| matches!(w, What::AgentLost { .. }))
    );
    play.pass(Nanos::from_secs(1));
    assert!(
        play.journal
            .iter()
            .any(|w| matches!(w, What::AgentLost { .. }))
    );
}

#[test]
fn a_restarted_agent_that_can_is_prepared_armed_timed_and_told_to_resume() {
    let mut play = Play::new(&["a"], &[("one", &[])]);
    play.run
        .members
        .values_mut()
        .for_each(|member| member.resumes = true);
    play.started(&["a"], "one");
    play.pass(Nanos::from_secs(2));
    play.sent.clear();
    play.give(Input::Connected {
        agent: "a".parse().unwrap(),
        restarted: true,
    });
    assert!(matches!(play.sent.pop(), Some((_, Order::Prepare(_)))));
    play.say("a", Phase::Prepared);
    assert!(matches!(play.sent.pop(), Some((_, Order::Arm(_)))));
    play.say("a", Phase::Armed("one".parse().unwrap()));
    play.pass(Nanos::from_millis(200));
    let Some((_, Order::Resume { at, at_run, .. })) = play.sent.pop() else {
        panic!("{:?}", play.sent)
    };
    assert_eq!(
        (at, at_run),
        (Mono(START).plus(stages::LEAD_MIN), RunTime(0))
    );
    assert!(play.judging.is_empty(), "it is waited for");
    let lost = play
        .journal
        .iter()
        .any(|w| matches!(w, What::AgentLost { .. }));
    assert!(
        lost,
        "the report needs to know from when to when it was away"
    );
}

#[test]
fn what_a_restarted_agent_has_on_disk_is_waited_for() {
    let mut play = Play::new(&["a"], &[("one", &[])]);
    play.started(&["a"], "one");
    play.pass(Nanos::from_secs(7));
    let (agent, spool): (AgentId, _) = ("a".parse().unwrap(), SpoolId::new([1; 16]));
    play.give(Input::Owes {
        agent: agent.clone(),
        spool,
        seq: Seq(5),
    });
    play.give(Input::Connected {
        agent: agent.clone(),
        restarted: true,
    });
    assert!(play.judging.is_empty());
    play.give(Input::Durable {
        agent,
        spool,
        seq: Seq(5),
    });
    assert_eq!(play.judging.len(), 1);
}

/// Every state that waits: what for, and until when.
#[test]
fn every_waiting_state_says_what_it_waits_for_and_ends_by_itself() {
    let mut seen = BTreeSet::new();
    // Nobody ever answers again from some point on: each state must end by its own deadline.
    for silent_after in 0..6 {
        let mut play = Play::new(&["a"], &[("one", &[])]);
        play.deaf = true;
        let steps: [&dyn Fn(&mut Play); 5] = [
            &|play| play.say("a", Phase::Prepared),
            &|play| play.say("a", Phase::Armed("one".parse().unwrap())),
            &|play| play.timed("a"),
            &|play| play.give(Input::Ordered("one".parse().unwrap())),
            &|play| {
                play.pass(Nanos::from_secs(7));
                play.give(Input::Heard("a".parse().unwrap()));
                play.seal("a", "one", 1);
            },
        ];
        steps
            .iter()
            .take(silent_after)
            .for_each(|step| step(&mut play));
        let mut waited = Nanos(0);
        while !play.run.is_over() {
            let progress = play.run.progress(play.now);
            assert!(!progress.waits_for.is_empty(), "{progress:?}");
            let within = progress
                .within
                .unwrap_or_else(|| panic!("{progress:?} waits for ever"));
            seen.insert((progress.state.clone(), progress.waits_for.clone()));
            let step = Nanos::from_millis(500);
            play.pass(step);
            // It is alive and says nothing: only the deadline can end the state.
            play.give(Input::Heard("a".parse().unwrap()));
            waited = Nanos(waited.0 + step.0);
            assert!(within <= Nanos::from_secs(90), "{progress:?}");
            assert!(waited < Nanos::from_secs(300), "{progress:?}");
        }
    }
    let states: BTreeSet<_> = seen.iter().map(|(state, _)| state.as_str()).collect();
    let all = [
        "arming",
        "collecting",
        "judging",
        "preparing",
        "releasing",
        "running",
        "timing",
    ];
    assert_eq!(states, all.into(), "{seen:#?}");
}

#[test]
fn a_lost_agent_is_borne_as_the_scenario_says() {
    let lost = |policy, silent: u64| {
        let mut play = Play::new(&["a", "b"], &[("one", &[]), ("two", &[])]);
        play.run.plan.lost_agent = policy;
        play.started(&["a", "b"], "one");
        for _ in 0..silent / 4 {
            play.pass(Nanos::from_secs(4));
            play.give(Input::Heard("a".parse().unwrap()));
        }
        play.seal("a", "one", 1);
        play
    };
    let play = lost(LostAgent::Continue, 20);
    assert_eq!(play.judging.len(), 1, "it goes on without b");
    let play = lost(LostAgent::Fail, 20);
    let by = play.journal.iter().find_map(|what| match what {
        What::StopRequested { by, .. } => Some(by.as_str()),
        _ => None,
    });
    assert_eq!(by, Some("the scenario (lost-agent: fail; b lost)"));
    let waits = LostAgent::Wait(Nanos::from_secs(30));
    let mut play = lost(waits, 20);
    assert!(play.judging.is_empty(), "b is waited for");
    assert!(play.run.progress(play.now).within.is_some());
    for _ in 0..8 {
        play.pass(Nanos::from_secs(4));
        play.give(Input::Heard("a".parse().unwrap()));
    }
    assert_eq!(play.judging.len(), 1, "and not for ever");
    let mut play = lost(waits, 20);
    play.seal("b", "one", 1);
    assert_eq!(play.judging.len(), 1, "b is back in time");
}
