//! An agent that is told to end, while it knows runs.

use nepho_common::{
    control::{Order, Phase, Refusal, StopMode},
    event::StageEnd,
    id::{Seq, SpoolId},
    time::{Mono, RunTime},
};

use super::{
    tests::{armed, assignment, engine, name, order, phase, start},
    *,
};

fn refused(told: &[Action]) -> bool {
    let leaving = Phase::Refused(Refusal::Leaving);
    matches!(told, [Action::Tell(status)] if status.phase == leaving)
}

fn sealed(engine: &mut Engine) {
    let run: RunId = "r".parse().unwrap();
    engine.handle(Input::WorkersIdle(run.clone()), Mono(160));
    let input = Input::SealWritten {
        run,
        stage: name("one"),
        spool: SpoolId::new([0; 16]),
        seal: Seq(9),
    };
    engine.handle(input, Mono(161));
}

#[test]
fn nothing_new_is_begun_and_the_reason_is_said() {
    let mut engine = engine();
    engine.handle(Input::Leave(Mono(900)), Mono(0));
    let prepare = || order(Order::Prepare(Box::new(assignment())));
    assert!(refused(&engine.handle(prepare(), Mono(1))));
    let mut engine = armed();
    assert!(engine.handle(Input::Leave(Mono(900)), Mono(0)).is_empty());
    assert!(engine.is_idle(), "an armed stage is not waited for");
    assert!(refused(&engine.handle(start("one", 50), Mono(1))));
    assert!(refused(&engine.handle(prepare(), Mono(2))));
}

#[test]
fn a_stage_that_ends_in_time_is_finished_and_its_seal_is_said_again() {
    let mut engine = armed();
    engine.handle(start("one", 50), Mono(10));
    engine.handle(Input::Leave(Mono(900)), Mono(20));
    engine.handle(Input::Tick, Mono(50));
    assert_eq!(phase(&engine), Phase::Running(name("one")));
    let ended = engine.handle(Input::Tick, Mono(150));
    assert!(matches!(ended[0], Action::StopSending(_)));
    assert!(!engine.is_idle());
    sealed(&mut engine);
    assert!(engine.is_idle());
    engine.handle(start("one", 50), Mono(170));
    engine.handle(order(Order::Prepare(Box::new(assignment()))), Mono(171));
    assert!(matches!(phase(&engine), Phase::Sealed { .. }));
    let next = engine.handle(order(Order::Arm(name("two"))), Mono(172));
    assert!(refused(&next), "{next:?}");
}

#[test]
fn a_stage_that_would_end_too_late_is_cut_at_the_deadline_and_sealed() {
    let mut engine = armed();
    engine.handle(start("one", 50), Mono(10));
    engine.handle(Input::Tick, Mono(50));
    engine.handle(Input::Leave(Mono(90)), Mono(60));
    engine.handle(Input::Leave(Mono(99)), Mono(61));
    assert_eq!(engine.wake(), Some(Mono(90)), "told again, no more time");
    let cut = engine.handle(Input::Tick, Mono(90));
    assert!(matches!(cut[0], Action::Cut(_)), "{cut:?}");
    let seal = engine.handle(Input::WorkersIdle("r".parse().unwrap()), Mono(91));
    let [Action::Seal { at, how, .. }] = seal.as_slice() else {
        panic!("{seal:?}")
    };
    assert_eq!(
        (*at, *how),
        (RunTime(40), StageEnd::Stopped(StopMode::Abort))
    );
}
