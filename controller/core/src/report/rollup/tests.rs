use nepho_common::{
    event::What,
    journal::Seal,
    plan::{Expectation, Judge, Quantile, Ratio, Rise},
    recording::Outcome,
};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    super::{
        fixture::{agent, ended, good, journal, load, plan, told_by, whole},
        known,
        render::{Lang, json},
        report, report_rolled,
    },
    *,
};

const STAGE: Nanos = Nanos::from_secs(30 * 60);

/// Half an hour in one environment, judged by latency and at both ends. Now and then it fails.
fn long() -> Vec<Entry> {
    let mut plan = plan();
    plan.stages.truncate(1);
    let stage = &mut plan.stages[0];
    stage.lasts = STAGE;
    let one = stage.expectations[0].clone();
    let ends = Nanos::from_secs(100);
    let during = |during| Expectation {
        during,
        by: Vec::new(),
        ..one.clone()
    };
    let latency = Judge::Latency {
        quantile: Quantile::P50,
        max: Some(Nanos::from_millis(50)),
        min: None,
    };
    stage.expectations = vec![
        Expectation {
            judge: latency,
            ..one.clone()
        },
        during(Window::Before(ends)),
        during(Window::After(ends)),
        one,
    ];
    journal(&plan, |ask| match ask.n {
        600..640 => ended(Outcome::Refused, 1),
        n if n % 50 == 7 => ended(Outcome::Success, 20 + n / 60),
        _ => good(ask),
    })
}

fn controllers(entries: &[Entry]) -> Vec<Entry> {
    let own = entries.iter().filter(|e| e.key.agent.is_controller());
    own.cloned().collect()
}

/// Rolls up the blocks that are asked for, by their place; the rest stays.
fn roll(entries: Vec<Entry>, which: impl Fn(usize) -> bool) -> (Vec<Entry>, Vec<Rolled>) {
    let grain = Grain::of(controllers(&entries));
    let mut blocks: BTreeMap<(AgentId, SpoolId, u64), Vec<Entry>> = BTreeMap::new();
    let mut rest = Vec::new();
    for entry in entries {
        if matches!(entry.body, Body::Recordings(_)) {
            let (block, _) = seqs::place(entry.key.seq);
            let of = (entry.key.agent.clone(), entry.key.spool, block);
            blocks.entry(of).or_default().push(entry);
        } else {
            rest.push(entry);
        }
    }
    let mut rolled = Vec::new();
    for (number, mut block) in blocks.into_values().enumerate() {
        if which(number) {
            // In any order.
            block.rotate_left(number % 2);
            rolled.push(Rolled::of(block, &grain).unwrap());
        } else {
            rest.extend(block);
        }
    }
    (rest, rolled)
}

fn rolled_report(entries: Vec<Entry>, which: impl Fn(usize) -> bool) -> Option<String> {
    let (rest, rolled) = roll(entries, which);
    let report = report_rolled(Lang::En, rest, [], rolled)?;
    Some(json::render(&report))
}

fn of_records(entries: Vec<Entry>) -> String {
    json::render(&report(entries, []))
}

/// As the controller closes the first revision.
fn closed(mut entries: Vec<Entry>) -> Vec<Entry> {
    for known in known(entries.iter().map(|entry| &entry.key), 100) {
        let said = What::Reported { revision: 1, known };
        entries.extend(told_by(AgentId::controller(), said));
    }
    entries
}

#[test]
fn a_report_from_roll_ups_is_the_one_from_records_byte_for_byte() {
    let rise = Rise::new(10, 50, 5).unwrap();
    let concurrency = Judge::Concurrency {
        min: 30,
        latency: None,
        success_rate: Some(Ratio(990_000)),
    };
    let of_users = load::of_users(&[concurrency], rise);
    let stairs = load::journal(&of_users, |_| load::Told::of(load::Went::well(load::RATE)));
    for entries in [long(), closed(long()), whole(), closed(whole()), stairs] {
        let expected = of_records(entries.clone());
        for which in [0, 1, 2, 5, 255] {
            let found = rolled_report(entries.clone(), |number| which >> (number % 8) & 1 == 1);
            assert_eq!(found.as_ref(), Some(&expected), "{which:b}");
        }
    }
}

#[test]
fn what_no_report_tells_apart_is_merged() {
    let count = |all: &[Entry]| {
        let recordings = all.iter().map(|entry| match &entry.body {
            Body::Recordings(all) => all.len(),
            _ => 0,
        });
        recordings.sum::<usize>()
    };
    let entries = long();
    let before = count(&entries);
    let (rest, rolled) = roll(entries, |_| true);
    assert_eq!(count(&rest), 0);
    assert!(rolled.len() >= 3, "{}", rolled.len());
    let parts = rolled.iter().flat_map(|rolled| &rolled.parts);
    let after: usize = parts.map(|part| part.recordings.len()).sum();
    // Three metrics in columns and slots that are longer than ten seconds; two of them whole.
    assert!(after * 3 < before, "{after} of {before}");
}

#[test]
fn a_roll_up_is_the_same_in_whatever_order_its_records_come() {
    let entries = long();
    let (_, one) = roll(entries.clone(), |_| true);
    let (_, other) = roll(entries.into_iter().rev().collect(), |_| true);
    assert_eq!(one, other);
}

#[test]
fn records_that_do_not_belong_together_are_not_rolled_up() {
    let entries = long();
    let grain = Grain::of(controllers(&entries));
    let recordings: Vec<_> = entries
        .iter()
        .filter(|entry| matches!(entry.body, Body::Recordings(_)))
        .take(2)
        .cloned()
        .collect();
    assert!(Rolled::of(recordings.clone(), &grain).is_some());
    assert_eq!(Rolled::of(recordings.clone(), &Grain::default()), None);
    let twice = [recordings.clone(), recordings.clone()].concat();
    assert_eq!(Rolled::of(twice, &grain), None);
    let changes: [fn(&mut Entry); 5] = [
        |one| one.run = "another".parse().unwrap(),
        |one| one.attempt = Attempt(9),
        |one| one.key.agent = agent("elsewhere"),
        |one| one.key.spool = SpoolId::new([99; 16]),
        |one| one.key.seq.0 += RECORDS,
    ];
    for change in changes {
        let mut changed = recordings.clone();
        change(changed.last_mut().unwrap());
        assert_eq!(Rolled::of(changed, &grain), None);
    }
}

/// To the records that are left, and to the roll-ups.
type Change = fn(&mut Vec<Entry>, &mut Vec<Rolled>);

fn filled(all: &mut [Rolled]) -> &mut Rolled {
    let mut all = all.iter_mut();
    all.find(|one| !one.parts.is_empty()).unwrap()
}

#[test]
fn what_was_tampered_with_or_is_asked_for_more_is_read_from_the_records() {
    let made = |change: Change| {
        let (mut rest, mut rolled) = roll(long(), |_| true);
        change(&mut rest, &mut rolled);
        report_rolled(Lang::En, rest, [], rolled)
    };
    assert!(made(|_, _| {}).is_some());
    let changes: [Change; 9] = [
        // Values that no record has: the seal says so.
        |_, rolled| {
            let one = &mut filled(rolled).parts[0].recordings[0];
            one.histogram.record(Nanos::from_millis(1));
        },
        |_, rolled| drop(filled(rolled).parts[0].recordings.pop()),
        |_, rolled| rolled.retain(|one| one.parts.is_empty()),
        // Records that it does not stand for.
        |_, rolled| filled(rolled).parts[0].records = u64::MAX,
        |_, rolled| rolled[0].grain = Digest::of(b"of another plan"),
        |_, rolled| rolled[0].run = "another".parse().unwrap(),
        // A stage that was resumed: its seal counts from there.
        |rest, _| {
            for entry in rest {
                if let Body::Seal(Seal { from, .. }) = &mut entry.body {
                    *from = Some(nepho_common::id::Seq(2));
                }
            }
        },
        // A clock that stood still.
        |rest, _| {
            let slept = What::EpochOpened {
                suspended: Nanos::from_secs(9),
                awake: None,
            };
            rest.extend(told_by(agent("local"), slept));
        },
        // No plan.
        |rest, _| rest.retain(|entry| !matches!(entry.body, Body::Exhibits(_))),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert_eq!(made(change).map(|_| ()), None, "{number}");
    }
}

#[test]
fn what_is_late_is_read_from_the_records() {
    let entries = long();
    let half = entries.len() / 2;
    let mut known = closed(entries.iter().take(half).cloned().collect());
    known.extend(entries.into_iter().skip(half));
    assert_eq!(rolled_report(known, |_| true), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Agents say when their recordings were: whatever they say, nothing is lost by merging.
    #[test]
    fn recordings_of_any_length_at_any_time_make_the_same_report(
        changes in vec((any::<Index>(), -2_000_000_000_000i64..2_000_000_000_000, 0i64..60_000_000_000), 0..200),
        which in any::<u8>(),
    ) {
        let mut entries = long();
        let mut intervals: Vec<&mut Interval> = Vec::new();
        for entry in &mut entries {
            if let Body::Recordings(all) = &mut entry.body {
                intervals.extend(all.iter_mut().map(|one| &mut one.interval));
            }
        }
        for (at, by, length) in changes {
            let at = at.index(intervals.len());
            let from = &mut intervals[at].from.0;
            // Some a little off, some anywhere.
            *from += if by % 3 == 0 { by } else { by % 20_000_000_000 };
            let from = *from;
            intervals[at].to.0 = from + length;
        }
        let expected = of_records(entries.clone());
        let found = rolled_report(entries, |number| which >> (number % 8) & 1 == 1);
        prop_assert_eq!(found, Some(expected));
    }
}
