//! What the stamps of events say of wall clocks, and what hosts say of theirs.
//!
//! Nothing is measured with a wall clock, so one that is set in the middle of a run changes no
//! figure. It is said all the same: whoever lays the report beside logs has to know.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    event::{Event, What},
    id::{AgentId, StageName},
    time::{ClockEpoch, ClockOffset, HostClock, Mono, WallMillis},
};

use super::{
    doubts::{Code, Doubts},
    said::said,
    story::Ordered,
};

/// A wall clock that is off by more than this makes logs hard to lay beside each other, and is far
/// more than any kept clock is off (a kept one stays within 100 ms even over bad lines).
const SKEW_MAX_MS: i64 = 2_000;
/// The wall clock against the monotonic one within one epoch: more than this was set, not kept. NTP
/// steps what is off by more than 128 ms and slews what is less.
const STEP_MIN_MS: i64 = 100;
/// While it is slewed it may run so much faster or slower: twice the kernel's 500 ppm.
const SLEW_PER_MILLE: i64 = 1;

/// The stamps of everybody's events.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    stamps: BTreeMap<AgentId, BTreeSet<(ClockEpoch, Mono, WallMillis)>>,
    hosts: BTreeMap<AgentId, HostClock>,
}

impl Clocks {
    pub(super) fn note(&mut self, author: &AgentId, event: &Event) {
        // What a spool says of itself has no stamps.
        if matches!(event.what, What::Gap { .. } | What::SpoolFull { .. }) {
            return;
        }
        let stamps = self.stamps.entry(author.clone()).or_default();
        stamps.insert((event.epoch, event.at, event.wall));
        if let What::HostClock(clock) = event.what {
            // Of several the worst: an agent says it at the start of each stage.
            let known = self.hosts.entry(author.clone()).or_insert(clock);
            *known = known.worse(clock);
        }
    }

    /// What hosts say of their wall clocks.
    pub(super) const fn hosts(&self) -> &BTreeMap<AgentId, HostClock> {
        &self.hosts
    }

    pub(super) fn doubt(&self, ordered: &BTreeMap<StageName, Ordered>, doubts: &mut Doubts) {
        for (author, stamps) in &self.stamps {
            let mut last: Option<(ClockEpoch, Mono, WallMillis)> = None;
            for &(epoch, at, wall) in stamps {
                if let Some((_, before, shown)) = last.filter(|last| last.0 == epoch) {
                    step(author, (before, shown), (at, wall), doubts);
                }
                last = Some((epoch, at, wall));
            }
        }
        let controllers = self.stamps.get(&AgentId::controller());
        let Some(&(_, zero, shown)) = controllers.and_then(BTreeSet::first) else {
            return;
        };
        let orders = ordered.values().flat_map(|ordered| &ordered.agents);
        for (agent, order) in orders {
            // The offset was known at the start; an epoch later it would say nothing.
            let near = self.stamps.get(agent).into_iter().flatten();
            let near = near.min_by_key(|stamp| stamp.1.minus(order.at).unsigned_abs());
            if let Some(&(_, at, wall)) = near {
                let here = (zero, shown);
                skew(agent, order.offset, here, (at, wall), doubts);
            }
        }
    }
}

fn step(
    author: &AgentId,
    (before, shown): (Mono, WallMillis),
    (at, wall): (Mono, WallMillis),
    doubts: &mut Doubts,
) {
    let passed = at.minus(before) / 1_000_000;
    let by = wall.0.saturating_sub(shown.0).saturating_sub(passed);
    if by.saturating_abs() > STEP_MIN_MS + passed.saturating_mul(SLEW_PER_MILLE) / 1000 {
        let by = seconds(by);
        let text = said!(
            "the wall clock of {author} was set by {by} in the middle of the run; no duration was \
             measured with it",
            "{author} 的系统时钟在运行途中被拨动 {by}；没有任何时长是用它测量的"
        );
        doubts.add(Code::WallClock, author, text);
    }
}

fn skew(
    agent: &AgentId,
    offset: ClockOffset,
    (zero, shown): (Mono, WallMillis),
    (at, wall): (Mono, WallMillis),
    doubts: &mut Doubts,
) {
    let passed = at.shifted(offset.middle().saturating_neg()).minus(zero) / 1_000_000;
    let ahead = wall.0.saturating_sub(shown.0.saturating_add(passed));
    let unsure = i64::try_from(offset.width().half().0 / 1_000_000).unwrap_or(i64::MAX);
    if ahead.saturating_abs() > SKEW_MAX_MS.saturating_add(unsure) {
        let ahead = seconds(ahead);
        let text = said!(
            "the wall clock of {agent} is {ahead} against the controller's; set one of them before \
             laying logs beside each other",
            "{agent} 的系统时钟与控制器相差 {ahead}；对照两边的日志之前请先校准其中之一"
        );
        doubts.add(Code::WallClock, agent, text);
    }
}

fn seconds(ms: i64) -> String {
    let (secs, rest) = (ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000);
    format!("{}{secs}.{}s", if ms < 0 { "-" } else { "+" }, rest / 100)
}

#[cfg(test)]
mod tests {
    use nepho_common::{journal::Body, time::Nanos};

    use super::*;
    use crate::report::{
        fixture::{Ask, agent, eventful, good, has, journal, of, plan},
        model::Report,
        render::{Lang, markdown},
    };

    /// The whole journal with every stamp of this author's wall clock moved, from its event number
    /// `from` on.
    fn moved(author: &AgentId, from: usize, by_ms: i64) -> Report {
        let mut count = 0;
        let mut entries = journal(&plan(), |ask: &Ask<'_>| good(ask));
        for entry in entries
            .iter_mut()
            .filter(|entry| entry.key.agent == *author)
        {
            let Body::Events(events) = &mut entry.body else {
                continue;
            };
            for event in events {
                if count >= from {
                    event.wall.0 += by_ms;
                }
                count += 1;
            }
        }
        of(entries)
    }

    #[test]
    fn a_wall_clock_that_is_off_or_set_is_told_and_changes_no_figure() {
        let local = agent("local");
        let sound = moved(&local, 0, 0);
        assert!(!has(&sound, Code::WallClock));
        const HOUR: i64 = 3_600_000;
        for by in [-366 * 24 * HOUR, -HOUR, HOUR, 366 * 24 * HOUR] {
            for (author, from) in [(&local, 0), (&local, 2), (&AgentId::controller(), 3)] {
                let report = moved(author, from, by);
                assert!(has(&report, Code::WallClock), "{author} {from} {by}");
                assert_eq!(report.findings, sound.findings, "no duration is touched");
                assert_eq!(report.verdict, sound.verdict);
            }
        }
        // Control: what a kept clock may be off.
        for by in [-1_900, 1_900] {
            assert!(!has(&moved(&local, 0, by), Code::WallClock));
        }
        assert!(!has(&moved(&local, 2, 90), Code::WallClock));
    }

    #[test]
    fn what_a_host_says_of_its_clock_is_a_condition_and_the_worst_of_it_counts() {
        let mut entries = eventful();
        let host = |synchronised, millis| {
            What::HostClock(HostClock {
                synchronised,
                max_error: Nanos::from_millis(millis),
                estimated_error: Nanos::from_millis(1),
            })
        };
        let local = agent("local");
        let mut said = [host(true, 9), host(true, 40)].into_iter();
        for entry in entries.iter_mut().filter(|entry| entry.key.agent == local) {
            let Body::Events(events) = &mut entry.body else {
                continue;
            };
            let like = events[0].clone();
            events.extend(said.next().map(|what| Event { what, ..like }));
        }
        let report = of(entries);
        let clock = report.conditions.clocks[&local];
        assert_eq!(
            (clock.synchronised, clock.max_error),
            (true, Nanos::from_millis(40))
        );
        let page = markdown::render(&report, Lang::En);
        assert!(page.contains("within 40ms"), "{page}");
    }
}
