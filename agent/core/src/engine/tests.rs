use nepho_common::{
    control::StopMode,
    id::{Attempt, Digest, Fence, PlanId},
    plan::{Act, AssignedStep, Probe},
    time::Nanos,
};

use super::{run::FORGET_AFTER, *};

fn key(fence: u64) -> RunKey {
    RunKey {
        run: "r".parse().unwrap(),
        attempt: Attempt(1),
        fence: Fence(fence),
    }
}

pub(super) fn assignment() -> Assignment {
    let stage = |name: &str| AssignedStage {
        name: name.parse().unwrap(),
        lasts: Nanos(100),
        steps: Vec::new(),
    };
    Assignment {
        plan: PlanId(Digest::of(b"")),
        environment: "local".parse().unwrap(),
        features: BTreeSet::new(),
        stages: vec![stage("one"), stage("two")],
    }
}

pub(super) fn order(order: Order) -> Input {
    Input::Command(Command { key: key(1), order })
}

pub(super) fn start(stage: &str, at: u64) -> Input {
    order(Order::Start {
        stage: stage.parse().unwrap(),
        at_run: RunTime(0),
        at: Mono(at),
    })
}

pub(super) fn engine() -> Engine {
    Engine::new(BTreeSet::new(), Ok(Policy::careful()), Vec::new())
}

pub(super) fn phase(engine: &Engine) -> Phase {
    engine
        .statuses()
        .pop()
        .map_or(Phase::Unknown, |status| status.phase)
}

pub(super) fn armed() -> Engine {
    let mut engine = engine();
    engine.handle(order(Order::Prepare(Box::new(assignment()))), Mono(0));
    engine.handle(order(Order::Arm("one".parse().unwrap())), Mono(0));
    engine
}

pub(super) fn name(stage: &str) -> StageName {
    stage.parse().unwrap()
}

#[test]
fn a_stage_goes_from_armed_to_sealed_and_the_next_can_be_armed() {
    let mut engine = armed();
    let begun = engine.handle(start("one", 50), Mono(10));
    assert!(matches!(begun[0], Action::Begin { at: Mono(50), .. }));
    assert_eq!(
        (phase(&engine), engine.wake()),
        (Phase::Scheduled(name("one")), Some(Mono(50)))
    );
    engine.handle(Input::Tick, Mono(50));
    assert_eq!(
        (phase(&engine), engine.wake()),
        (Phase::Running(name("one")), Some(Mono(150)))
    );
    let ended = engine.handle(Input::Tick, Mono(150));
    assert!(matches!(ended[0], Action::StopSending(_)));
    let sealed = engine.handle(Input::WorkersIdle("r".parse().unwrap()), Mono(160));
    let how = StageEnd::Completed;
    assert_eq!(
        sealed,
        [Action::Seal {
            key: key(1),
            stage: name("one"),
            at: RunTime(100),
            how
        }]
    );
    let spool = SpoolId::new([0; 16]);
    let seal = Seq(9);
    let run = "r".parse().unwrap();
    engine.handle(
        Input::SealWritten {
            run,
            stage: name("one"),
            spool,
            seal,
        },
        Mono(161),
    );
    assert_eq!(
        phase(&engine),
        Phase::Sealed {
            stage: name("one"),
            spool,
            seal
        }
    );
    engine.handle(order(Order::Arm(name("two"))), Mono(170));
    assert_eq!(phase(&engine), Phase::Armed(name("two")));
}

#[test]
fn a_repeated_command_changes_nothing_and_is_answered_with_the_present_phase() {
    let mut engine = armed();
    engine.handle(start("one", 50), Mono(10));
    for again in [
        order(Order::Prepare(Box::new(assignment()))),
        order(Order::Arm(name("one"))),
        start("one", 77),
    ] {
        let told = engine.handle(again, Mono(20));
        let status = Status {
            key: key(1),
            phase: Phase::Scheduled(name("one")),
        };
        assert_eq!(told, [Action::Tell(status)]);
    }
    assert_eq!(engine.wake(), Some(Mono(50)), "the first instant holds");
}

#[test]
fn a_finished_stage_is_not_armed_again() {
    let mut engine = armed();
    engine.handle(start("one", 0), Mono(0));
    engine.handle(Input::Tick, Mono(100));
    engine.handle(Input::WorkersIdle("r".parse().unwrap()), Mono(100));
    let spool = SpoolId::new([0; 16]);
    let run = "r".parse().unwrap();
    let seal = Seq(1);
    engine.handle(
        Input::SealWritten {
            run,
            stage: name("one"),
            spool,
            seal,
        },
        Mono(100),
    );
    engine.handle(order(Order::Arm(name("one"))), Mono(101));
    assert!(matches!(phase(&engine), Phase::Sealed { .. }));
}

#[test]
fn a_stop_drains_and_an_abort_cuts() {
    for (mode, cuts) in [(StopMode::Stop, false), (StopMode::Abort, true)] {
        let mut engine = armed();
        engine.handle(start("one", 50), Mono(10));
        engine.handle(Input::Tick, Mono(60));
        let acts = engine.handle(order(Order::Stop(mode)), Mono(70));
        assert_eq!(matches!(acts[0], Action::Cut(_)), cuts);
        assert_eq!(matches!(acts[0], Action::StopSending(_)), !cuts);
        let acts = engine.handle(Input::WorkersIdle("r".parse().unwrap()), Mono(80));
        let how = StageEnd::Stopped(mode);
        assert_eq!(
            acts,
            [Action::Seal {
                key: key(1),
                stage: name("one"),
                at: RunTime(20),
                how
            }]
        );
    }
}

#[test]
fn a_stop_before_a_stage_stops_at_once_and_nothing_starts_after() {
    let mut engine = armed();
    engine.handle(order(Order::Stop(StopMode::Stop)), Mono(20));
    assert_eq!(phase(&engine), Phase::Stopped);
    assert!(!matches!(
        engine.handle(start("one", 50), Mono(21))[0],
        Action::Begin { .. }
    ));
}

#[test]
fn a_worker_that_hangs_is_cut_and_the_stage_sealed() {
    let mut engine = armed();
    engine.handle(start("one", 0), Mono(0));
    engine.handle(Input::Tick, Mono(100));
    let until = engine.wake().unwrap();
    let acts = engine.handle(Input::Tick, until);
    assert!(matches!(acts[..], [Action::Cut(_), Action::Seal { .. }]));
}

#[test]
fn an_older_fence_is_refused_and_a_newer_taken() {
    let mut engine = armed();
    let command = |fence| {
        Input::Command(Command {
            key: key(fence),
            order: Order::Arm(name("one")),
        })
    };
    engine.handle(command(3), Mono(0));
    let told = engine.handle(command(2), Mono(0));
    let refused = Phase::Refused(Refusal::Fenced);
    assert_eq!(
        told,
        [Action::Tell(Status {
            key: key(2),
            phase: refused
        })]
    );
}

#[test]
fn a_start_after_the_stage_would_be_over_is_refused() {
    let mut engine = armed();
    let told = engine.handle(start("one", 50), Mono(150));
    assert!(matches!(
        &told[0],
        Action::Tell(Status {
            phase: Phase::Refused(Refusal::Late(_)),
            ..
        })
    ));
    let late = engine.handle(start("one", 50), Mono(60));
    assert!(
        matches!(late[0], Action::Begin { .. }),
        "a little late joins late"
    );
}

#[test]
fn an_unknown_run_is_said_to_be_unknown_and_a_released_one_is_forgotten() {
    let mut engine = engine();
    let told = engine.handle(order(Order::Arm(name("one"))), Mono(0));
    assert_eq!(
        told,
        [Action::Tell(Status {
            key: key(1),
            phase: Phase::Unknown
        })]
    );
    let mut engine = armed();
    engine.handle(order(Order::Release), Mono(0));
    assert_eq!(phase(&engine), Phase::Unknown);
    let mut engine = armed();
    engine.handle(Input::Tick, Mono(FORGET_AFTER.0 + 1));
    assert_eq!(
        phase(&engine),
        Phase::Unknown,
        "nobody spoke of it for an hour"
    );
}

/// Probes go on; what makes load must not, see `may_be_resumed`, which has to answer for every act.
#[test]
fn a_resumed_stage_begins_as_resumed_and_only_with_what_may_be_resumed() {
    let probe = Act::Probe(Probe {
        every: Nanos::from_secs(1),
        timeout: Nanos::from_secs(1),
        to: Vec::new(),
    });
    let mut assignment = assignment();
    assignment.stages[0].steps = vec![AssignedStep {
        name: "reach".parse().unwrap(),
        act: probe,
    }];
    let mut engine = engine();
    engine.handle(order(Order::Prepare(Box::new(assignment))), Mono(0));
    engine.handle(order(Order::Arm(name("one"))), Mono(0));
    let resume = Order::Resume {
        stage: name("one"),
        at_run: RunTime(0),
        at: Mono(50),
    };
    let acts = engine.handle(order(resume.clone()), Mono(90));
    let Action::Begin {
        resumed: true,
        stage,
        at: Mono(50),
        ..
    } = &acts[0]
    else {
        panic!("{acts:?}")
    };
    assert_eq!(stage.steps.len(), 1);
    assert_eq!(phase(&engine), Phase::Running(name("one")));
    // Said again it changes nothing.
    let again = engine.handle(order(resume), Mono(91));
    assert!(matches!(again[..], [Action::Tell(_)]), "{again:?}");
    // And it ends when the stage ends.
    let ended = engine.handle(Input::Tick, Mono(150));
    assert!(matches!(ended[0], Action::StopSending(_)), "{ended:?}");
}

fn refusal(engine: &mut Engine, assignment: Assignment) -> Option<String> {
    match engine
        .handle(order(Order::Prepare(Box::new(assignment))), Mono(0))
        .pop()
    {
        Some(Action::Tell(Status {
            phase: Phase::Refused(Refusal::Policy(why)),
            ..
        })) => Some(why),
        _ => None,
    }
}

#[test]
fn without_a_policy_everything_is_refused_and_within_one_it_is_taken() {
    let mut engine = Engine::new(
        BTreeSet::new(),
        Err("no policy.yaml".to_owned()),
        Vec::new(),
    );
    let why = refusal(&mut engine, assignment());
    assert_eq!(why.as_deref(), Some("no policy.yaml"));
    assert!(engine.statuses().is_empty());
    let mut policy = Policy::careful();
    policy.limits.stage_seconds = 0;
    let mut engine = Engine::new(BTreeSet::new(), Ok(policy), Vec::new());
    assert!(refusal(&mut engine, assignment()).is_some_and(|why| why.contains("stage-seconds")));
    assert_eq!(refusal(&mut self::engine(), assignment()), None);
}

#[test]
fn what_every_agent_refuses_comes_after_the_policy() {
    let mut engine = engine();
    let mut odd = assignment();
    odd.stages.push(odd.stages[0].clone());
    let told = engine.handle(order(Order::Prepare(Box::new(odd))), Mono(0));
    assert!(
        matches!(
            told.as_slice(),
            [Action::Tell(Status {
                phase: Phase::Refused(Refusal::Invalid(_)),
                ..
            })]
        ),
        "{told:?}"
    );
}

#[test]
fn a_secret_that_the_host_can_not_give_refuses_the_whole_by_its_name() {
    use nepho_common::{
        plan::{Check, HttpCheck, Target},
        policy::TargetRule,
    };
    let check = Check::Http(HttpCheck {
        url: "http://10.0.0.1/".to_owned(),
        method: "GET".to_owned(),
        headers: vec![("x".to_owned(), "${env:T}".to_owned())],
        status: [200].into(),
        ..HttpCheck::default()
    });
    let target = Target {
        to: "local/a/1".parse().unwrap(),
        operation: "ask".to_owned().try_into().unwrap(),
        check,
        offset: Nanos(0),
    };
    let probe = Probe {
        every: Nanos::from_secs(1),
        timeout: Nanos::from_secs(1),
        to: vec![target],
    };
    let mut assignment = assignment();
    assignment.features = ["probe.http".parse().unwrap()].into();
    assignment.stages[0].steps = vec![AssignedStep {
        name: "p".parse().unwrap(),
        act: Act::Probe(probe),
    }];
    let mut policy = Policy::careful();
    let rule = TargetRule::network(
        "10.0.0.1".parse().unwrap(),
        nepho_common::policy::Ports::All,
    );
    let secret: SecretRef = "env:T".parse().unwrap();
    policy.secrets.insert(secret.clone(), vec![rule]);
    let mut engine = Engine::new(assignment.features.clone(), Ok(policy), Vec::new());
    engine.handle(
        Input::Unreadable([(secret, "it is not set".to_owned())].into()),
        Mono(0),
    );
    assert_eq!(
        refusal(&mut engine, assignment.clone()).as_deref(),
        Some("secret env:T: it is not set")
    );
    engine.handle(Input::Unreadable(BTreeMap::new()), Mono(0));
    assert_eq!(refusal(&mut engine, assignment), None);
}
