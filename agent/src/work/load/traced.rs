//! Who answered what, in the order in which it was due: a trace of each back end and second.

use std::collections::BTreeMap;

use nepho_common::{
    load::{Ran, Traced},
    recording::Outcome,
    time::{Mono, Nanos},
};

/// More names than these are those of no pool: a target that calls itself something else each time
/// says nothing. What else it says is nobody's.
const NAMES_MAX: usize = 256;
/// The longest name.
const NAME_MAX: usize = 120;
/// The most runs of one trace: outcomes that take turns request by request are told up to here.
const RUNS_MAX: usize = 1_000;

/// The names that a lane has heard.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<String>);

/// A name that a lane has heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(u16);

impl Names {
    /// The name of these bytes; `None` when they are none.
    pub(super) fn of(&mut self, bytes: &[u8]) -> Option<Name> {
        let known = self.0.iter().position(|name| name.as_bytes() == bytes);
        let place = match known {
            Some(place) => place,
            None => {
                let text = std::str::from_utf8(bytes).ok()?;
                let is_name = (1..=NAME_MAX).contains(&text.len());
                if !is_name || text.contains(char::is_control) || self.0.len() >= NAMES_MAX {
                    return None;
                }
                self.0.push(text.to_owned());
                self.0.len() - 1
            }
        };
        u16::try_from(place).ok().map(Name)
    }

    pub(super) fn text(&self, name: Name) -> Option<String> {
        self.0.get(usize::from(name.0)).cloned()
    }
}

/// One request that ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) intended: Mono,
    pub(super) call: u16,
    pub(super) by: Option<Name>,
    pub(super) outcome: Outcome,
    /// It was the first on its connection.
    pub(super) is_first: bool,
}

/// What ended of one second, as traces.
pub(super) fn traced(mut all: Vec<Ended>, start: Mono, names: &Names) -> Vec<Traced> {
    all.sort_by_key(|one| one.intended);
    let mut traces: BTreeMap<(u16, Option<Name>), Traced> = BTreeMap::new();
    for one in all {
        let trace = traces.entry((one.call, one.by)).or_insert_with(|| Traced {
            call: one.call,
            by: one.by.and_then(|name| names.text(name)),
            connections: 0,
            runs: Vec::new(),
            truncated: 0,
        });
        trace.connections += u64::from(one.is_first);
        let at = Nanos(one.intended.0.saturating_sub(start.0));
        let is_full = trace.runs.len() >= RUNS_MAX;
        let last = trace.runs.last_mut();
        if let Some(last) = last.filter(|last| last.outcome == one.outcome && trace.truncated == 0)
        {
            (last.last, last.count) = (at, last.count.saturating_add(1));
        } else if is_full {
            trace.truncated += 1;
        } else {
            trace.runs.push(Ran {
                first: at,
                last: at,
                count: 1,
                outcome: one.outcome,
            });
        }
    }
    traces.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_back_end_has_its_own_runs_in_the_order_of_what_was_due() {
        let mut names = Names::default();
        let [a, b] = ["a", "b"].map(|name| names.of(name.as_bytes()));
        assert_eq!(names.of(b"a"), a);
        let ended = |at: u64, by, outcome, is_first| Ended {
            intended: Mono(100 + at),
            call: 0,
            by,
            outcome,
            is_first,
        };
        let (good, bad) = (Outcome::Success, Outcome::Status);
        let all = vec![
            ended(3, a, good, false),
            ended(1, a, good, true),
            ended(2, b, good, true),
            ended(4, b, bad, false),
            ended(5, a, good, false),
            ended(6, None, Outcome::Timeout, true),
        ];
        let told: Vec<_> = traced(all, Mono(100), &names)
            .iter()
            .map(|one| {
                let runs = one
                    .runs
                    .iter()
                    .map(|run| (run.first.0, run.last.0, run.count));
                (
                    one.by.clone().unwrap_or_default(),
                    one.connections,
                    runs.collect::<Vec<_>>(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (String::new(), 1, vec![(6, 6, 1)]),
                ("a".to_owned(), 1, vec![(1, 5, 3)]),
                ("b".to_owned(), 1, vec![(2, 2, 1), (4, 4, 1)]),
            ]
        );
    }

    #[test]
    fn names_without_end_are_nobodys() {
        let mut names = Names::default();
        for n in 0..NAMES_MAX {
            assert!(names.of(format!("n{n}").as_bytes()).is_some());
        }
        assert_eq!(names.of(b"one-more"), None);
        assert!(names.of(b"n7").is_some());
        let mut names = Names::default();
        for bad in [&b""[..], b"a\nb", b"\xff", &[b'x'; NAME_MAX + 1]] {
            assert_eq!(names.of(bad), None);
        }
    }
}
