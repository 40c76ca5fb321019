use std::collections::BTreeSet;

use nepho_common::doctor::{Examination, State, host::Found};

use super::*;

const NOW: WallMillis = WallMillis(1_795_393_620_000);
const DAY: i64 = 24 * 3600 * 1000;

fn healthy() -> Facts {
    let port = |what, number| Port {
        what,
        address: format!("0.0.0.0:{number}"),
        number,
        found: Holder::Ours((WallMillis(NOW.0 - DAY / 4), WallMillis(NOW.0 + 3 * DAY / 4))),
    };
    Facts {
        now: NOW,
        data_dir: Directory {
            path: "/var/lib/nepho".to_owned(),
            found: Found::There {
                mode: 0o700,
                unwritable: None,
            },
        },
        authority: Authority::There {
            path: "/var/lib/nepho/ca.pem".to_owned(),
            mode: 0o600,
            life: (WallMillis(NOW.0 - DAY), WallMillis(NOW.0 + 3000 * DAY)),
        },
        store: Store::Version { found: 2, known: 2 },
        disk: Some(Disk {
            free: 20 << 30,
            total: 40 << 30,
        }),
        answer: Answer::Controller("0.1.0".to_owned()),
        ports: vec![port("enrolment", 7443), port("sessions", 7444)],
        clock: Keeper::Kept {
            by: "chrony",
            bound: Some(Nanos(800_000)),
        },
        files: Descriptors {
            soft: 1024,
            hard: 524_288,
        },
        agents: vec![agent("aliyun-1"), agent("local-1")],
    }
}

fn agent(name: &str) -> Agent {
    Agent {
        agent: name.parse().unwrap(),
        connected: true,
        silent_for: Some(Nanos::from_millis(1200)),
        clock: Some(Nanos(90_000)),
        version: Some("0.1.0".to_owned()),
        revoked: false,
        cloned: false,
    }
}

fn there(mode: u32) -> Authority {
    Authority::There {
        path: "/var/lib/nepho/ca.pem".to_owned(),
        mode,
        life: (WallMillis(NOW.0 - DAY), WallMillis(NOW.0 + 3000 * DAY)),
    }
}

#[test]
fn a_healthy_controller_has_nothing_to_mend() {
    let checks = judge(&healthy(), "nepho controller", "nepho");
    assert!(checks.iter().all(|check| check.state == State::Ok));
    insta::assert_snapshot!(Examination::new("controller", checks).to_string());
}

#[test]
fn a_host_before_the_first_start_is_told_what_comes_next() {
    let mut facts = healthy();
    facts.data_dir.found = Found::Missing;
    facts.authority = Authority::Missing;
    facts.store = Store::Missing;
    facts.answer = Answer::Nobody("no controller answers on /var/lib/nepho/nepho.sock".to_owned());
    facts.ports[0].found = Holder::Nobody;
    facts.ports[1].found = Holder::Other("it speaks no TLS of ours".to_owned());
    facts.clock = Keeper::Unknown;
    facts.agents.clear();
    let checks = judge(
        &facts,
        "nepho controller --data-dir /var/lib/nepho",
        "nepho",
    );
    insta::assert_snapshot!(Examination::new("controller", checks).to_string());
}

type Plant = (&'static str, State, fn(&mut Facts));

/// One fault each; the check that has to find it, and how badly.
const PLANTED: [Plant; 24] = [
    ("data directory", State::Fail, |f| {
        f.data_dir.found = Found::Missing
    }),
    ("data directory", State::Warn, |f| {
        f.data_dir.found = Found::There {
            mode: 0o755,
            unwritable: None,
        }
    }),
    ("authority", State::Fail, |f| {
        f.authority = Authority::Missing
    }),
    ("authority", State::Fail, |f| {
        f.authority = Authority::Bad("it holds no key".to_owned())
    }),
    ("authority", State::Fail, |f| f.authority = there(0o644)),
    ("authority", State::Fail, |f| {
        f.now = WallMillis(NOW.0 + 4000 * DAY)
    }),
    ("store", State::Fail, |f| {
        f.store = Store::Bad {
            path: "/s".to_owned(),
            why: "file is not a database".to_owned(),
        }
    }),
    ("store", State::Fail, |f| {
        f.store = Store::Version { found: 3, known: 2 }
    }),
    ("disk space", State::Fail, |f| {
        f.disk = Some(Disk { free: 0, total: 1 })
    }),
    ("disk space", State::Warn, |f| f.disk = None),
    ("controller", State::Warn, |f| {
        f.answer = Answer::Nobody("nobody".to_owned())
    }),
    ("enrolment port", State::Fail, |f| {
        f.ports[0].found = Holder::Other("nginx".to_owned())
    }),
    ("enrolment port", State::Fail, |f| {
        f.ports[0].found = Holder::Denied("permission denied".to_owned())
    }),
    ("sessions port", State::Fail, |f| {
        f.ports[1].found = Holder::Other("nginx".to_owned())
    }),
    ("sessions port", State::Fail, |f| {
        f.ports[1].found = Holder::Ours((WallMillis(0), WallMillis(NOW.0)))
    }),
    ("clock", State::Fail, |f| {
        f.clock = Keeper::Adrift { by: "chrony" }
    }),
    ("open files", State::Fail, |f| f.files.hard = 256),
    ("agents", State::Fail, |f| f.agents[0].cloned = true),
    ("agents", State::Warn, |f| f.agents[0].connected = false),
    ("agents", State::Warn, |f| {
        f.agents[1].silent_for = Some(Nanos::from_secs(11))
    }),
    ("agents", State::Warn, |f| f.agents.clear()),
    ("agents' clocks", State::Warn, |f| {
        f.agents[0].clock = Some(Nanos::from_secs(1))
    }),
    ("agents' versions", State::Warn, |f| {
        f.agents[1].version = Some("0.0.9".to_owned())
    }),
    ("agents", State::Warn, |f| {
        f.agents.iter_mut().for_each(|one| one.revoked = true)
    }),
];

#[test]
fn every_planted_fault_is_found_by_its_own_check_with_a_command() {
    for (at, (name, state, plant)) in PLANTED.into_iter().enumerate() {
        let mut facts = healthy();
        plant(&mut facts);
        let checks = judge(&facts, "nepho controller", "nepho");
        let found = checks.iter().find(|check| check.check == name).unwrap();
        assert_eq!(found.state, state, "{at}: {found:?}");
        assert!(found.mend.as_ref().is_some_and(|mend| !mend.is_empty()));
        let others = checks.iter().filter(|check| check.check != name);
        // Time passes for every certificate at once.
        let spared = |check: &&Check| facts.now == NOW && check.state != State::Ok;
        assert_eq!(others.filter(spared).count(), 0, "{at}: {checks:?}");
    }
}

#[test]
fn no_check_is_without_a_planted_fault() {
    let checks = judge(&healthy(), "nepho controller", "nepho");
    let all: BTreeSet<_> = checks.iter().map(|check| check.check.as_str()).collect();
    let planted: BTreeSet<_> = PLANTED.iter().map(|(name, ..)| *name).collect();
    assert_eq!(all, planted);
}
