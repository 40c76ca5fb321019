use std::collections::BTreeSet;

use nepho_common::doctor::{Examination, State, host::Found};

use super::*;

const NOW: WallMillis = WallMillis(1_795_393_620_000);
const HOUR: i64 = 3600 * 1000;

fn healthy() -> Facts {
    let door = |what, port| Door {
        what,
        address: format!("controller.example:{port}"),
        answer: Ok(Nanos::from_millis(31)),
    };
    Facts {
        now: NOW,
        data_dir: Directory {
            path: "/var/lib/nepho-agent".to_owned(),
            found: Found::There {
                mode: 0o700,
                unwritable: None,
            },
        },
        identity: there(0o600),
        about: Ok(About {
            agent: "aliyun-1".to_owned(),
            environment: "aliyun".to_owned(),
            controller: "controller.example:7443".to_owned(),
        }),
        doors: vec![door("enrolment", 7443), door("sessions", 7444)],
        clock: Keeper::Kept {
            by: "chrony",
            bound: Some(Nanos(800_000)),
        },
        timer: Timer {
            resolution: Nanos(1),
            late: Nanos(70_000),
        },
        files: Descriptors {
            soft: 1024,
            hard: 524_288,
        },
        spool: spooled(0),
        disk: Some(Disk {
            free: 20 << 30,
            total: 40 << 30,
        }),
        policy: Policy::Sound { path: p() },
    }
}

fn p() -> String {
    "/etc/nepho/policy.yaml".to_owned()
}

fn there(mode: u32) -> Identity {
    Identity::There {
        path: "/var/lib/nepho-agent/identity.pem".to_owned(),
        mode,
        life: (WallMillis(NOW.0 - HOUR), WallMillis(NOW.0 + 23 * HOUR)),
    }
}

fn spooled(damaged: u64) -> Spool {
    Spool::There {
        path: "/var/lib/nepho-agent/spool".to_owned(),
        owed: 3,
        bytes: 40_000,
        damaged,
    }
}

#[test]
fn a_healthy_agent_has_nothing_to_mend() {
    let checks = judge(&healthy(), "nepho-agent");
    assert!(checks.iter().all(|check| check.state == State::Ok));
    insta::assert_snapshot!(Examination::new("agent", checks).to_string());
}

#[test]
fn a_host_on_which_much_is_wrong_is_told_all_of_it() {
    let mut facts = healthy();
    facts.identity = there(0o644);
    facts.doors[1].answer = Err("connect: connection refused".to_owned());
    facts.clock = Keeper::Adrift { by: "chrony" };
    facts.timer.late = Nanos::from_millis(4);
    facts.spool = spooled(2);
    facts.policy = Policy::Missing { path: p() };
    let checks = judge(&facts, "nepho-agent");
    insta::assert_snapshot!(Examination::new("agent", checks).to_string());
}

#[test]
fn who_was_off_for_long_joins_again_and_who_was_not_just_starts() {
    let mend = |days: i64| {
        let mut facts = healthy();
        facts.now = WallMillis(NOW.0 + days * 24 * HOUR);
        let checks = judge(&facts, "nepho-agent");
        let found = checks
            .into_iter()
            .find(|check| check.check == "certificate");
        found.unwrap().mend.unwrap()
    };
    assert!(mend(2).starts_with("nepho-agent run"), "{}", mend(2));
    assert!(mend(32).starts_with("nepho-agent join"), "{}", mend(32));
}

type Plant = (&'static str, State, fn(&mut Facts));

/// One fault each; the check that has to find it, and how badly.
const PLANTED: [Plant; 22] = [
    ("data directory", State::Fail, |f| {
        f.data_dir.found = Found::Missing
    }),
    ("agent", State::Fail, |f| {
        f.about = Err("agent.json does not parse".to_owned())
    }),
    ("identity", State::Fail, |f| {
        f.identity = Identity::Bad("it holds no key".to_owned())
    }),
    ("identity", State::Fail, |f| f.identity = Identity::Missing),
    ("identity", State::Fail, |f| f.identity = there(0o640)),
    ("certificate", State::Fail, |f| {
        f.now = WallMillis(NOW.0 + 24 * HOUR)
    }),
    ("certificate", State::Warn, |f| {
        f.now = WallMillis(NOW.0 + 18 * HOUR)
    }),
    ("certificate", State::Fail, |f| {
        f.now = WallMillis(NOW.0 - 2 * HOUR)
    }),
    ("enrolment port", State::Fail, |f| {
        f.doors[0].answer = Err("timed out".to_owned())
    }),
    ("sessions port", State::Fail, |f| {
        f.doors[1].answer = Err("timed out".to_owned())
    }),
    ("clock", State::Fail, |f| {
        f.clock = Keeper::Adrift { by: "chrony" }
    }),
    ("clock", State::Warn, |f| f.clock = Keeper::Unknown),
    ("timer", State::Fail, |f| {
        f.timer.resolution = Nanos::from_millis(4)
    }),
    ("timer", State::Warn, |f| {
        f.timer.late = Nanos::from_millis(2)
    }),
    ("open files", State::Fail, |f| f.files.hard = 1024),
    ("spool", State::Fail, |f| {
        f.spool = Spool::Bad {
            path: "/s".to_owned(),
            why: "permission denied".to_owned(),
        }
    }),
    ("spool", State::Warn, |f| f.spool = spooled(1)),
    ("disk space", State::Fail, |f| {
        f.disk = Some(Disk { free: 0, total: 1 })
    }),
    ("policy", State::Fail, |f| {
        f.policy = Policy::Missing { path: p() }
    }),
    ("policy", State::Fail, |f| {
        f.policy = Policy::Foreign { path: p(), uid: 7 }
    }),
    ("policy", State::Fail, |f| {
        f.policy = Policy::Writable { path: p() }
    }),
    ("policy", State::Fail, |f| {
        f.policy = Policy::Bad {
            path: p(),
            why: "it does not parse".to_owned(),
        }
    }),
];

#[test]
fn every_planted_fault_is_found_by_its_own_check_with_a_command() {
    for (at, (name, state, plant)) in PLANTED.into_iter().enumerate() {
        let mut facts = healthy();
        plant(&mut facts);
        let checks = judge(&facts, "nepho-agent");
        let found = checks.iter().find(|check| check.check == name).unwrap();
        assert_eq!(found.state, state, "{at}: {found:?}");
        assert!(found.mend.as_ref().is_some_and(|mend| !mend.is_empty()));
        let mut others = checks.iter().filter(|check| check.check != name);
        assert!(
            others.all(|check| check.state == State::Ok),
            "{at}: {checks:?}"
        );
    }
}

#[test]
fn no_check_is_without_a_planted_fault() {
    let checks = judge(&healthy(), "nepho-agent");
    let all: BTreeSet<_> = checks.iter().map(|check| check.check.as_str()).collect();
    let planted: BTreeSet<_> = PLANTED.iter().map(|(name, ..)| *name).collect();
    assert_eq!(all, planted);
}
