//! A run's events in words, in order, from its journal: what `nepho logs` prints.
//!
//! Controller and agents each stamp what they say with their own clocks. The offset that a start was
//! ordered with leads from an agent's monotonic clock to the controller's, so all lines stand on one
//! clock, whatever wall clocks say. Deliberately absent: what was measured, which is the report's.

mod words;

use std::collections::BTreeMap;

use nepho_common::{
    event::{Event, What},
    id::AgentId,
    journal::{Body, Entry},
    time::{ClockOffset, Mono, WallMillis},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::words::{kind, words};

/// One event, for people and for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// When, on the controller's wall clock, in milliseconds since 1970.
    pub at: WallMillis,
    /// Who said it: an agent, or the controller.
    pub by: AgentId,
    /// What kind of event it is, in a word or two: `stage-started`.
    pub kind: String,
    /// What happened; one line, free of control characters.
    pub text: String,
    /// Where it stands in the journal, AUTHOR/SPOOL/NUMBER.NTH: the same for ever.
    pub id: String,
}

/// The events of a journal, the earliest first.
#[must_use]
pub fn lines(entries: &[Entry]) -> Vec<Line> {
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    entries.dedup_by(|a, b| a.key == b.key);
    let clock = Clock::of(&entries);
    let mut lines = Vec::new();
    let mut reported = 0;
    let mut before: BTreeMap<&AgentId, WallMillis> = BTreeMap::new();
    for entry in entries {
        let by = &entry.key.agent;
        for (nth, event) in events(entry).iter().enumerate() {
            // A long list of records comes in several events of one revision.
            if let What::Reported { revision, .. } = event.what {
                if revision <= reported {
                    continue;
                }
                reported = revision;
            }
            // What one author says stays in its order, whatever its clock did.
            let last = before.get(by).copied().unwrap_or(clock.began);
            let at = clock.wall(by, event).map_or(last, |at| at.max(last));
            before.insert(by, at);
            lines.push(Line {
                at,
                by: by.clone(),
                kind: kind(&event.what).to_owned(),
                text: words(&event.what),
                id: format!("{by}/{}/{}.{nth}", entry.key.spool, entry.key.seq),
            });
        }
    }
    // Stable: of one millisecond, what one author said stays together.
    lines.sort_by_key(|line| line.at);
    lines
}

fn events(entry: &Entry) -> &[Event] {
    match &entry.body {
        Body::Events(events) => events,
        Body::Recordings(_)
        | Body::Gauges(_)
        | Body::Traces(_)
        | Body::Exhibits(_)
        | Body::Seal(_) => &[],
    }
}

/// How other clocks lie to the controller's.
#[derive(Debug)]
struct Clock {
    began: WallMillis,
    /// By agent: an instant on its clock, its offset then, and what the controller's two clocks
    /// showed when that was said.
    orders: BTreeMap<AgentId, Vec<(Mono, ClockOffset, Mono, WallMillis)>>,
}

impl Clock {
    fn of(entries: &[&Entry]) -> Self {
        let own = entries
            .iter()
            .filter(|entry| entry.key.agent.is_controller());
        let own: Vec<_> = own.flat_map(|entry| events(entry)).collect();
        let mut orders: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for event in &own {
            let What::StageOrdered { agents, .. } = &event.what else {
                continue;
            };
            for (agent, order) in agents {
                let order = (order.at, order.offset, event.at, event.wall);
                orders.entry(agent.clone()).or_default().push(order);
            }
        }
        Self {
            began: own.first().map_or(WallMillis(0), |event| event.wall),
            orders,
        }
    }

    /// When `by` said it; `None` for what has no stamp.
    fn wall(&self, by: &AgentId, event: &Event) -> Option<WallMillis> {
        // What a spool says of itself has no stamps.
        if matches!(event.what, What::Gap { .. } | What::SpoolFull { .. }) {
            return None;
        }
        let orders = self.orders.get(by).into_iter().flatten();
        let nearest = orders.min_by_key(|order| event.at.minus(order.0).unsigned_abs());
        let Some(&(_, offset, said, wall)) = nearest else {
            // The controller itself, or an agent before its first start.
            return Some(event.wall);
        };
        let here = event.at.shifted(offset.middle().saturating_neg());
        let passed = here.minus(said) / 1_000_000;
        Some(WallMillis(wall.0.saturating_add(passed)))
    }
}

#[cfg(test)]
mod tests;
