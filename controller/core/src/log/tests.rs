use nepho_common::{
    control::{Host, Refusal, StopMode},
    event::{LoadEnd, RunEnd, Shortage, Skip, StageEnd, StartOrder, Subject},
    id::{Attempt, Digest, PlanId, Seq, SpoolId},
    journal::RecordKey,
    recording::Outcome,
    symptom::{CertificateFault, Symptom},
    time::{ClockEpoch, HostClock, Nanos, RunTime},
};

use super::*;

/// The agent's clock is so much ahead of the controller's.
const AHEAD: i64 = 5_000_000_000;
const SECOND: u64 = 1_000_000_000;
/// Of the wall clock, when the controller's monotonic clock showed zero.
const ZERO: i64 = 1_795_393_620_000;

fn host(name: &str) -> Host {
    Host {
        name: name.to_owned(),
        os: "Linux".to_owned(),
        kernel: "6".to_owned(),
        arch: "x86_64".to_owned(),
        cpus: 2,
        memory: 1 << 30,
        version: "0.1.0".to_owned(),
    }
}

/// `at` in seconds on the author's own clock; `wall` as far off as its host may be.
fn entry(by: &str, seq: u64, said: Vec<(u64, i64, What)>) -> Entry {
    let event = |(at, wrong, what)| Event {
        at: Mono(at * SECOND),
        epoch: ClockEpoch(0),
        wall: WallMillis(ZERO + wrong + i64::try_from(at).unwrap() * 1000),
        what,
    };
    Entry {
        key: RecordKey {
            agent: by.parse().unwrap(),
            spool: SpoolId::new([7; 16]),
            seq: Seq(seq),
        },
        run: "r".parse().unwrap(),
        attempt: Attempt(1),
        body: Body::Events(said.into_iter().map(event).collect()),
    }
}

fn ordered() -> What {
    let offset = ClockOffset {
        lo: AHEAD - 1000,
        hi: AHEAD + 1000,
    };
    let order = StartOrder {
        at: Mono(8 * SECOND),
        offset,
        round_trip: Nanos(2000),
        measured: None,
    };
    What::StageOrdered {
        stage: "one".parse().unwrap(),
        at_run: RunTime(0),
        at: Mono(3 * SECOND),
        agents: [("a-1".parse().unwrap(), order)].into(),
    }
}

fn ended(stage: &str) -> What {
    What::StageEnded {
        stage: stage.parse().unwrap(),
        at: RunTime(2_000_000_000),
        how: StageEnd::Completed,
    }
}

fn over() -> What {
    What::RunEnded {
        how: RunEnd::Completed,
    }
}

#[test]
fn lines_stand_in_order_on_the_controllers_clock_though_an_agents_wall_clock_is_an_hour_off() {
    let stopped = What::StopRequested {
        mode: StopMode::Stop,
        by: "root".to_owned(),
    };
    let hour = 3_600_000;
    let entries = [
        entry("a-1", 1, vec![(10, hour, ended("one"))]),
        entry(
            "a-1",
            2,
            vec![(
                0,
                -ZERO,
                What::Gap {
                    from: Seq(3),
                    to: Seq(4),
                },
            )],
        ),
        entry("controller", 1, vec![(2, 0, ordered()), (4, 0, stopped)]),
        entry("controller", 2, vec![(6, 0, over())]),
    ];
    let lines = lines(&entries);
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line.at.0 - ZERO, line.kind.as_str()))
        .collect();
    // 10 s on the agent's clock are 5 s on the controller's; a gap has no stamp of its own.
    let expected = [
        (2000, "stage-ordered"),
        (4000, "stop-requested"),
        (5000, "stage-ended"),
        (5000, "gap"),
        (6000, "run-ended"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_one_author_says_stays_in_its_order_though_its_clock_was_set_back() {
    let returned = What::ControllerReturned {
        at: RunTime(0),
        fence: nepho_common::id::Fence(2),
    };
    let said = vec![
        (5, 0, ordered()),
        (6, -60_000, returned),
        (7, -60_000, over()),
    ];
    let lines = lines(&[entry("controller", 1, said)]);
    let kinds: Vec<_> = lines.iter().map(|line| line.kind.as_str()).collect();
    assert_eq!(kinds, ["stage-ordered", "controller-returned", "run-ended"]);
}

#[test]
fn a_record_twice_and_a_revision_in_parts_are_told_once() {
    let part = || What::Reported {
        revision: 1,
        known: Vec::new(),
    };
    let report = entry("controller", 2, vec![(3, 0, part()), (3, 0, part())]);
    let lines = lines(&[
        report.clone(),
        entry("controller", 1, vec![(2, 0, over())]),
        report,
    ]);
    let ids: Vec<_> = lines.iter().map(|line| line.id.as_str()).collect();
    let spool = "07".repeat(16);
    assert_eq!(
        ids,
        [
            format!("controller/{spool}/1.0"),
            format!("controller/{spool}/2.0")
        ]
    );
}

#[test]
fn every_event_is_a_sentence() {
    let agent = || "a-1".parse::<AgentId>().unwrap();
    let stage = || "one".parse().unwrap();
    let skipped = |why| What::StageSkipped {
        stage: stage(),
        why,
    };
    let subject = || Subject {
        stage: stage(),
        step: "reach".parse().unwrap(),
        to: "a/svc/1".parse().unwrap(),
    };
    let seen = |symptom| What::SymptomSeen {
        of: subject(),
        at: RunTime(0),
        outcome: Outcome::Refused,
        symptom,
    };
    let run_ended = |how| What::RunEnded { how };
    let clock = |synchronised| HostClock {
        synchronised,
        max_error: Nanos::from_millis(30),
        estimated_error: Nanos(0),
    };
    let started = |planned, actual| What::StageStarted {
        stage: stage(),
        planned: Mono(planned),
        actual: Mono(actual),
    };
    let all = [
        What::RunStarted {
            plan: PlanId(Digest::of(b"")),
            host: host("control"),
        },
        What::AgentJoined {
            agent: agent(),
            environment: "a".parse().unwrap(),
            host: host("cloud"),
            features: Vec::new(),
        },
        What::AgentRefused {
            agent: agent(),
            why: Refusal::Policy("no\u{1b}[31m\nway".to_owned()),
        },
        ordered(),
        started(1_000_000, 1_200_000),
        started(1_000_000, 900_000),
        What::HostClock(clock(true)),
        What::HostClock(clock(false)),
        ended("one"),
        What::Missed {
            stage: stage(),
            step: "reach".parse().unwrap(),
            count: 7,
            longest: Nanos::from_millis(20),
        },
        What::EpochOpened {
            suspended: Nanos::from_secs(3),
            awake: None,
        },
        What::ClockDisturbed {
            agent: agent(),
            at: RunTime(0),
            jump: None,
        },
        What::HostClockRejected {
            agent: agent(),
            at: RunTime(0),
            claimed: ClockOffset { lo: 0, hi: 1 },
            measured: ClockOffset { lo: 0, hi: 1 },
        },
        What::SpoolFull {
            stage: stage(),
            why: Shortage::Disk,
            waited: Nanos::from_secs(2),
            longest: Nanos::from_secs(20),
        },
        What::LoadEnded {
            stage: stage(),
            step: "browse".parse().unwrap(),
            at: RunTime(0),
            why: LoadEnd::Unheard(Nanos::from_secs(15)),
        },
        What::Aborted {
            stage: stage(),
            step: "browse".parse().unwrap(),
            at: RunTime(0),
            why: "12 requests of 20 failed within 10s, and at most 5 may".to_owned(),
        },
        seen(Symptom::default()),
        seen(Symptom {
            address: Some("127.0.0.1:7500".parse().unwrap()),
            listeners: Some(Vec::new()),
            said: "Connection refused".to_owned(),
            ..Symptom::default()
        }),
        seen(Symptom {
            status: Some(503),
            certificate: Some(CertificateFault::Expired(Nanos::from_secs(3600))),
            ..Symptom::default()
        }),
        What::FactSeen {
            of: subject(),
            at: RunTime(0),
            name: "version".to_owned().try_into().unwrap(),
            value: "1.2.3".to_owned().try_into().unwrap(),
        },
        What::ThingSeen {
            stage: "local".parse().unwrap(),
            step: "things".parse().unwrap(),
            thing: "front".parse().unwrap(),
            at: RunTime(0),
            how: nepho_common::event::Presence::Gone,
        },
        What::Gap {
            from: Seq(3),
            to: Seq(9),
        },
        What::AgentLost {
            agent: agent(),
            last_heard: RunTime(0),
            at: RunTime(15_000_000_000),
        },
        What::AgentReturned {
            agent: agent(),
            at: RunTime(0),
            restarted: true,
        },
        What::AgentReturned {
            agent: agent(),
            at: RunTime(0),
            restarted: false,
        },
        What::StageCollected {
            stage: stage(),
            missing: Vec::new(),
        },
        What::StageCollected {
            stage: stage(),
            missing: vec![agent()],
        },
        skipped(Skip::After(stage())),
        skipped(Skip::Stopped),
        skipped(Skip::NotReady("a-1 is away".to_owned())),
        What::StopRequested {
            mode: StopMode::Stop,
            by: "root".to_owned(),
        },
        What::StopRequested {
            mode: StopMode::Abort,
            by: "root".to_owned(),
        },
        What::RecordRefused {
            agent: agent(),
            why: "kind: 12 is unknown".to_owned(),
        },
        run_ended(RunEnd::Completed),
        run_ended(RunEnd::Stopped(StopMode::Abort)),
        run_ended(RunEnd::Failed("the journal can't be kept".to_owned())),
        What::Reported {
            revision: 1,
            known: Vec::new(),
        },
        What::Reported {
            revision: 2,
            known: Vec::new(),
        },
    ];
    let lines = all
        .iter()
        .map(|what| format!("{:<19}  {}", kind(what), words(what)));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_sentence_of_any_length_is_cut() {
    let what = What::RecordRefused {
        agent: "a-1".parse().unwrap(),
        why: "x".repeat(10_000),
    };
    assert_eq!(words(&what).chars().count(), 401);
}
