use nepho_common::{
    control::Refusal,
    event::Skip,
    id::Digest,
    plan::{PlannedAgent, PlannedStage},
};
pub(super) use nepho_common::{
    event::Event,
    id::{Attempt, Fence},
    time::{ClockEpoch, ClockOffset, WallMillis},
};

use super::{
    stages::{LEAD_MIN, SECOND},
    *,
};

pub(super) const MS: u64 = 1_000_000;
pub(super) const START: u64 = 1_000_000 * MS;

fn host() -> Host {
    Host {
        name: "h".to_owned(),
        os: "o".to_owned(),
        kernel: "k".to_owned(),
        arch: "a".to_owned(),
        cpus: 2,
        memory: 1,
        version: "0".to_owned(),
    }
}

fn plan(agents: &[&str], stages: &[(&str, &[&str])]) -> Plan {
    let agent = |name: &&str| {
        let planned = PlannedAgent {
            environment: "local".parse().unwrap(),
            features: BTreeSet::new(),
        };
        (name.parse().unwrap(), planned)
    };
    let stage = |(name, after): &(&str, &[&str])| PlannedStage {
        name: name.parse().unwrap(),
        after: after.iter().map(|name| name.parse().unwrap()).collect(),
        lasts: Nanos::from_secs(5),
        steps: Vec::new(),
        expectations: Vec::new(),
        abort_if: Vec::new(),
    };
    Plan {
        schema: Plan::SCHEMA.to_owned(),
        scenario: "s".parse().unwrap(),
        title: "s".to_owned(),
        seed: 0,
        keep_going: false,
        lost_agent: LostAgent::default(),
        files: [("f".to_owned(), Digest::of(b""))].into(),
        agents: agents.iter().map(agent).collect(),
        instances: BTreeMap::new(),
        stages: stages.iter().map(stage).collect(),
    }
}

/// A run and its agents, played by hand.
pub(super) struct Play {
    pub(super) run: Run,
    pub(super) now: Mono,
    pub(super) journal: Vec<What>,
    pub(super) stamped: Vec<(Mono, What)>,
    pub(super) sent: Vec<(AgentId, Order)>,
    pub(super) judging: Vec<StageName>,
    /// Neither clocks nor the store answer by themselves.
    pub(super) deaf: bool,
}

impl Play {
    pub(super) fn new(agents: &[&str], stages: &[(&str, &[&str])]) -> Self {
        let key = RunKey {
            run: "r".parse().unwrap(),
            attempt: Attempt(1),
            fence: Fence(1),
        };
        let now = Mono(START);
        let (run, actions) = Run::begin(key, plan(agents, stages), host(), &BTreeMap::new(), now);
        let mut play = Self::of(run, now);
        play.take(actions);
        assert!(
            play.sent.is_empty(),
            "nobody is asked before the journal knows of the run"
        );
        play.give(Input::Begun);
        play
    }

    pub(super) fn of(run: Run, now: Mono) -> Self {
        Self {
            run,
            now,
            journal: Vec::new(),
            stamped: Vec::new(),
            sent: Vec::new(),
            judging: Vec::new(),
            deaf: false,
        }
    }

    pub(super) fn timed(&mut self, agent: &str) {
        self.give(Input::Clock {
            agent: agent.parse().unwrap(),
            reading: Reading {
                offset: ClockOffset {
                    lo: -1000,
                    hi: 1000,
                },
                round_trip: Nanos(2000),
                measured: None,
                rejected: None,
            },
        });
    }

    pub(super) fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { agent, order } => self.sent.push((agent, order)),
                Action::Journal(what) => {
                    let ordered = match &what {
                        What::StageOrdered { stage, .. } => Some(stage.clone()),
                        _ => None,
                    };
                    self.stamped.push((self.now, what.clone()));
                    self.journal.push(what);
                    if self.deaf {
                        continue;
                    }
                    ordered
                        .into_iter()
                        .for_each(|stage| self.give(Input::Ordered(stage)));
                }
                Action::Judge(stage) => self.judging.push(stage),
                Action::MeasureClock(_) if self.deaf => {}
                Action::MeasureClock(agent) => self.timed(agent.as_str()),
                Action::Ended(_) => {}
            }
        }
    }

    pub(super) fn give(&mut self, input: Input) {
        let actions = self.run.handle(input, self.now);
        self.take(actions);
    }

    pub(super) fn pass(&mut self, by: Nanos) {
        self.now = self.now.plus(by);
        self.give(Input::Tick);
    }

    pub(super) fn say(&mut self, agent: &str, phase: Phase) {
        self.give(Input::Status {
            agent: agent.parse().unwrap(),
            phase,
        });
    }

    pub(super) fn seal(&mut self, agent: &str, stage: &str, seal: u64) {
        let spool = SpoolId::new([1; 16]);
        let [agent, stage] = [agent, stage].map(str::to_owned);
        let agent: AgentId = agent.parse().unwrap();
        let phase = Phase::Sealed {
            stage: stage.parse().unwrap(),
            spool,
            seal: Seq(seal),
        };
        self.give(Input::Status {
            agent: agent.clone(),
            phase,
        });
        self.give(Input::Durable {
            agent,
            spool,
            seq: Seq(seal),
        });
    }

    pub(super) fn started(&mut self, agents: &[&str], stage: &str) {
        agents
            .iter()
            .for_each(|agent| self.say(agent, Phase::Prepared));
        agents
            .iter()
            .for_each(|agent| self.say(agent, Phase::Armed(stage.parse().unwrap())));
        agents
            .iter()
            .for_each(|agent| self.say(agent, Phase::Running(stage.parse().unwrap())));
    }

    pub(super) fn judged(&mut self, stage: &str, passed: bool) {
        self.give(Input::Judged {
            stage: stage.parse().unwrap(),
            passed,
        });
    }

    pub(super) fn state(&self) -> String {
        self.run.progress(self.now).state
    }

    pub(super) fn ended(&self) -> Option<&RunEnd> {
        self.journal.iter().find_map(|what| match what {
            What::RunEnded { how } => Some(how),
            _ => None,
        })
    }
}

#[test]
fn a_run_goes_through_its_stages_and_ends() {
    let mut play = Play::new(&["a", "b"], &[("one", &[]), ("two", &["one"])]);
    for (stage, seal) in [("one", 3), ("two", 6)] {
        play.started(&["a", "b"], stage);
        assert_eq!(play.state(), "running");
        play.pass(Nanos::from_secs(8));
        play.seal("a", stage, seal);
        assert!(play.judging.is_empty(), "b is not collected yet");
        play.seal("b", stage, seal);
        assert_eq!(play.judging.pop().unwrap().as_str(), stage);
        play.judged(stage, true);
    }
    assert_eq!(play.ended(), Some(&RunEnd::Completed));
    play.say("a", Phase::Unknown);
    play.say("b", Phase::Unknown);
    assert!(play.run.is_over());
}

#[test]
fn everybody_starts_at_one_instant_given_on_each_clock() {
    let mut play = Play::new(&["a", "b"], &[("one", &[])]);
    play.started(&["a", "b"], "one");
    let starts: Vec<_> = play
        .sent
        .iter()
        .filter_map(|(_, order)| match order {
            Order::Start { at, at_run, .. } => Some((*at, *at_run)),
            _ => None,
        })
        .collect();
    assert_eq!(starts.len(), 2);
    assert_eq!(starts[0], (Mono(START).plus(LEAD_MIN), RunTime(0)));
    assert_eq!(starts[0], starts[1], "the offsets' middle is zero for both");
}

#[test]
fn a_seal_counts_only_once_the_store_has_it() {
    let mut play = Play::new(&["a"], &[("one", &[])]);
    play.started(&["a"], "one");
    let spool = SpoolId::new([1; 16]);
    let stage: StageName = "one".parse().unwrap();
    play.say(
        "a",
        Phase::Sealed {
            stage,
            spool,
            seal: Seq(9),
        },
    );
    let agent: AgentId = "a".parse().unwrap();
    play.give(Input::Durable {
        agent: agent.clone(),
        spool,
        seq: Seq(8),
    });
    assert!(play.judging.is_empty());
    play.give(Input::Durable {
        agent,
        spool,
        seq: Seq(9),
    });
    assert_eq!(play.judging.len(), 1);
}

#[test]
fn a_stage_after_one_that_did_not_pass_is_skipped_with_the_reason() {
    let mut play = Play::new(&["a"], &[("one", &[]), ("two", &["one"]), ("three", &[])]);
    play.started(&["a"], "one");
    play.seal("a", "one", 1);
    play.judged("one", false);
    let why = Skip::After("one".parse().unwrap());
    assert!(play.journal.contains(&What::StageSkipped {
        stage: "two".parse().unwrap(),
        why
    }));
    assert_eq!(
        play.run.progress(play.now).stage,
        Some("three".parse().unwrap())
    );
}

#[test]
fn a_silent_agent_is_lost_and_the_stage_ends_without_it() {
    let mut play = Play::new(&["a", "b"], &[("one", &[])]);
    play.started(&["a", "b"], "one");
    for _ in 0..4 {
        play.pass(Nanos::from_secs(4));
        play.give(Input::Heard("a".parse().unwrap()));
    }
    let lost = play.journal.iter().find_map(|what| match what {
        What::AgentLost {
            agent,
            last_heard,
            at,
        } => Some((agent.as_str(), *last_heard, *at)),
        _ => None,
    });
    let (agent, last_heard, at) = lost.unwrap();
    assert_eq!(agent, "b");
    assert!(at.since(last_heard) > LOST_AFTER);
    play.seal("a", "one", 1);
    let missing = vec!["b".parse().unwrap()];
    let stage = "one".parse().unwrap();
    assert!(
        play.journal
            .contains(&What::StageCollected { stage, missing })
    );
    assert_eq!(play.judging.len(), 1);
}

#[test]
fn an_agent_that_comes_back_is_said_to_be_back_and_may_still_deliver() {
    let mut play = Play::new(&["a"], &[("one", &[])]);
    play.started(&["a"], "one");
    // Alone it would end the stage by being lost; it speaks just in time.
    play.pass(Nanos::from_secs(14));
    play.give(Input::Heard("a".parse().unwrap()));
    assert!(play.judging.is_empty());
    play.give(Input::Connected {
        agent: "a".parse().unwrap(),
        restarted: true,
    });
    assert!(play.journal.iter().any(|w| matches!(
        w,
        What::AgentReturned {
            restarted: true,
            ..
        }
    )));
    assert_eq!(
        play.judging.len(),
        1,
        "a restarted agent does not resume the stage"
    );
}

#[test]
fn an_order_without_effect_is_repeated_and_one_with_effect_is_not() {
    let mut play = Play::new(&["a"], &[("one", &[])]);
    assert_eq!(play.sent.len(), 1);
    play.pass(Nanos::from_millis(500));
    assert_eq!(play.sent.len(), 1, "too early to repeat");
    play.pass(Nanos::from_millis(600));
    assert_eq!(play.sent.len(), 2, "no answer: repeated");
    play.say("a", Phase::Prepared);
    assert!(matches!(play.sent.pop(), Some((_, Order::Arm(_)))));
    let before = play.sent.len();
    play.say("a", Phase::Armed("one".parse().unwrap()));
    play.say("a", Phase::Running("one".parse().unwrap()));
    play.pass(Nanos::from_secs(3));
    let starts = play.sent[before..]
        .iter()
        .filter(|(_, o)| matches!(o, Order::Start { .. }));
    assert_eq!(starts.count(), 1);
}

#[test]
fn a_refusal_before_anything_ran_ends_the_run_and_names_the_reason() {
    let mut play = Play::new(&["a", "b"], &[("one", &[])]);
    play.say("a", Phase::Prepared);
    play.say("b", Phase::Refused(Refusal::Policy("no".to_owned())));
    let Some(RunEnd::Failed(why)) = play.ended() else {
        panic!("{:?}", play.journal)
    };
    assert_eq!(why, "agent b refuses: the agent's policy forbids it: no");
    assert!(
        play.sent.iter().any(|(_, order)| *order == Order::Release),
        "a is released"
    );
}

#[test]
fn an_agent_that_never_answers_ends_the_preparation_at_its_deadline() {
    let mut play = Play::new(&["a"], &[("one", &[])]);
    play.pass(Nanos::from_secs(10));
    assert_eq!(play.run.progress(play.now).waiting, ["a has not answered"]);
    play.pass(Nanos::from_secs(6));
    assert!(matches!(play.ended(), Some(RunEnd::Failed(_))));
}

#[test]
fn a_stop_is_sent_until_it_is_obeyed_and_the_rest_is_skipped() {
    let mut play = Play::new(&["a"], &[("one", &[]), ("two", &[])]);
    play.started(&["a"], "one");
    play.give(Input::Stop {
        mode: StopMode::Stop,
        by: "me".to_owned(),
    });
    assert!(matches!(
        play.sent.last(),
        Some((_, Order::Stop(StopMode::Stop)))
    ));
    let before = play.sent.len();
    play.pass(Nanos::from_secs(2));
    assert_eq!(play.sent.len(), before + 1);
    play.give(Input::Stop {
        mode: StopMode::Abort,
        by: "me".to_owned(),
    });
    assert!(matches!(
        play.sent.last(),
        Some((_, Order::Stop(StopMode::Abort)))
    ));
    play.give(Input::Stop {
        mode: StopMode::Stop,
        by: "me".to_owned(),
    });
    let asked = play
        .journal
        .iter()
        .filter(|w| matches!(w, What::StopRequested { .. }))
        .count();
    assert_eq!(asked, 2, "a stop does not take an abort back");
    play.seal("a", "one", 1);
    play.judged("one", true);
    let skipped = What::StageSkipped {
        stage: "two".parse().unwrap(),
        why: Skip::Stopped,
    };
    assert!(play.journal.contains(&skipped));
    assert_eq!(play.ended(), Some(&RunEnd::Stopped(StopMode::Abort)));
}

#[test]
fn a_stage_whose_agents_are_all_lost_is_collected_with_everybody_missing() {
    let mut play = Play::new(&["a"], &[("one", &[])]);
    play.started(&["a"], "one");
    play.pass(Nanos::from_secs(16));
    let missing = vec!["a".parse().unwrap()];
    let stage = "one".parse().unwrap();
    assert!(
        play.journal
            .contains(&What::StageCollected { stage, missing })
    );
}

#[test]
fn run_time_of_later_stages_is_a_whole_second() {
    let mut play = Play::new(&["a"], &[("one", &[]), ("two", &[])]);
    play.started(&["a"], "one");
    play.pass(Nanos(7_300 * MS));
    play.seal("a", "one", 1);
    play.judged("one", true);
    play.say("a", Phase::Armed("two".parse().unwrap()));
    let ordered = play.journal.iter().rev().find_map(|what| match what {
        What::StageOrdered { at, at_run, .. } => Some((*at, *at_run)),
        _ => None,
    });
    let origin = START + LEAD_MIN.0;
    assert_eq!(
        ordered,
        Some((Mono(origin + 8_000 * MS), RunTime(8 * SECOND)))
    );
}
