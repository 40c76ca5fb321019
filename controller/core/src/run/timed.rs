//! What a run writes down of clocks.

use nepho_common::{
    control::Phase,
    event::{ClockJump, What},
    time::{ClockOffset, Mono, Nanos, RunTime},
};

use super::{Input, tests::Play};
use crate::clock::{Jump, Reading};

const fn range(lo: i64, hi: i64) -> ClockOffset {
    ClockOffset { lo, hi }
}

/// Up to where the agent's clock is to be read for the first stage.
fn armed() -> Play {
    let mut play = Play::new(&["a"], &[("one", &[])]);
    play.deaf = true;
    play.say("a", Phase::Prepared);
    play.say("a", Phase::Armed("one".parse().unwrap()));
    play
}

#[test]
fn a_host_that_is_not_believed_is_named_at_each_start_and_the_start_rests_on_exchanges() {
    let mut play = armed();
    let (claimed, measured) = (range(9_000, 9_100), range(-1_000, 1_000));
    play.give(Input::Clock {
        agent: "a".parse().unwrap(),
        reading: Reading {
            offset: measured,
            round_trip: Nanos(2_000),
            measured: None,
            rejected: Some(claimed),
        },
    });
    let rejected = What::HostClockRejected {
        agent: "a".parse().unwrap(),
        at: RunTime(0),
        claimed,
        measured,
    };
    assert!(play.journal.contains(&rejected), "{:?}", play.journal);
    assert_eq!(ordered(&play), (measured, None));
}

#[test]
fn a_start_that_hosts_narrowed_keeps_what_exchanges_alone_said() {
    let mut play = armed();
    play.give(Input::Clock {
        agent: "a".parse().unwrap(),
        reading: Reading {
            offset: range(10, 20),
            round_trip: Nanos(2_000),
            measured: Some(range(-1_000, 1_000)),
            rejected: None,
        },
    });
    assert_eq!(ordered(&play), (range(10, 20), Some(range(-1_000, 1_000))));
}

#[test]
fn a_clock_that_moved_is_told_in_run_time_and_only_of_who_takes_part() {
    let mut play = armed();
    play.timed("a");
    play.pass(Nanos::from_secs(5));
    let moved = range(-3_010, -2_990);
    let since = Mono(play.now.0 - 2_000_000_000);
    for agent in ["a", "stranger"] {
        play.give(Input::ClockDisturbed(
            agent.parse().unwrap(),
            Jump { since, moved },
        ));
    }
    let told: Vec<_> = play
        .journal
        .iter()
        .filter_map(|what| match what {
            What::ClockDisturbed { agent, at, jump } => Some((agent.as_str(), *at, *jump)),
            _ => None,
        })
        .collect();
    let [(agent, at, Some(ClockJump { since, moved: told }))] = told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((agent, told), ("a", moved));
    assert_eq!(at.since(since), Nanos::from_secs(2));
}

fn ordered(play: &Play) -> (ClockOffset, Option<ClockOffset>) {
    let order = play.journal.iter().find_map(|what| match what {
        What::StageOrdered { agents, .. } => agents.values().next().copied(),
        _ => None,
    });
    let order = order.unwrap();
    (order.offset, order.measured)
}
