//! The records of one run, each once: which run it is that they tell of, and what belongs to it.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    event::What,
    id::{AgentId, Attempt, RunId},
    journal::{Body, Entry, RecordKey},
};

use crate::report::{
    Unread,
    doubts::{Code, Doubts},
    rollup::Rolled,
    said::said,
};

/// The records of one run, each once.
#[derive(Debug, Clone, Default)]
pub(in crate::report) struct Gathered {
    pub(in crate::report) entries: Vec<Entry>,
    /// Those that could not be read.
    pub(in crate::report) unread: BTreeSet<Unread>,
    /// Instead of records of recordings.
    pub(super) rolled: Vec<Rolled>,
    pub(super) run: Option<RunId>,
    pub(super) attempt: Option<Attempt>,
    pub(super) contested: BTreeSet<AgentId>,
    pub(super) doubts: Doubts,
}

impl Gathered {
    /// What stands for records that are not here.
    pub(in crate::report) fn rolled(&self) -> &[Rolled] {
        &self.rolled
    }

    /// The same, with what stands for more records.
    pub(in crate::report) fn with(self, rolled: Vec<Rolled>) -> Self {
        Self { rolled, ..self }
    }
}

/// Finds the run that these records tell of, and what belongs to it.
pub(in crate::report) fn gather(
    entries: impl IntoIterator<Item = Entry>,
    unread: impl IntoIterator<Item = Unread>,
) -> Gathered {
    let mut gathered = Gathered {
        // An export may hold a record twice, so these are a set like the records themselves.
        unread: unread.into_iter().collect(),
        ..Gathered::default()
    };
    let set = unique(entries, &mut gathered);
    gathered.entries = of_one_run(set, &mut gathered);
    gathered
}

/// One entry for each key. Of two contents under one key the smaller is kept.
fn unique(
    entries: impl IntoIterator<Item = Entry>,
    folded: &mut Gathered,
) -> BTreeMap<RecordKey, Entry> {
    let mut set: BTreeMap<RecordKey, Entry> = BTreeMap::new();
    let mut conflicts = BTreeSet::new();
    for entry in entries {
        let Some(known) = set.get_mut(&entry.key) else {
            set.insert(entry.key.clone(), entry);
            continue;
        };
        if *known == entry {
            continue;
        }
        // Gauges hold floats, so entries have no order of their own; how they print has one.
        let (ours, theirs) = (format!("{known:?}"), format!("{entry:?}"));
        if ours == theirs {
            continue;
        }
        conflicts.insert(entry.key.clone());
        if theirs < ours {
            *known = entry;
        }
    }
    for key in conflicts {
        let RecordKey { agent, spool, seq } = key;
        let text = said!(
            "record {seq} of {agent} in spool {spool} exists with two contents",
            "{agent} 的缓存区 {spool} 中第 {seq} 条记录有两种内容"
        );
        folded.doubts.add(Code::Conflict, &agent, text);
        folded.contested.insert(agent);
    }
    set
}

/// The records of the run that the controller started, of its last try.
fn of_one_run(set: BTreeMap<RecordKey, Entry>, folded: &mut Gathered) -> Vec<Entry> {
    let mut starts: BTreeMap<RunId, Attempt> = BTreeMap::new();
    for entry in set.values().filter(|entry| starts_run(entry)) {
        let last = starts.entry(entry.run.clone()).or_insert(entry.attempt);
        *last = entry.attempt.max(*last);
    }
    let Some((run, attempt)) = starts.first_key_value() else {
        let text = said!(
            "the journal does not say that a run began",
            "运行日志中没有运行开始的记录"
        );
        folded.doubts.add(Code::NoStart, "", text);
        folded.run = set.values().map(|entry| entry.run.clone()).min();
        return set.into_values().collect();
    };
    if starts.len() > 1 {
        let text = said!(
            "the journal holds several runs; this is the report of {run}",
            "运行日志中有多次运行；这是 {run} 的报告"
        );
        folded.doubts.add(Code::Contradiction, "", text);
    }
    folded.run = Some(run.clone());
    folded.attempt = Some(*attempt);
    let mut mine = Vec::new();
    for entry in set.into_values() {
        if entry.run == *run && entry.attempt == *attempt {
            mine.push(entry);
        } else {
            let (agent, run, attempt) = (&entry.key.agent, &entry.run, entry.attempt.0);
            let text = said!(
                "a record of {agent} belongs to run {run}, try {attempt}, and was left out",
                "{agent} 的一条记录属于运行 {run} 的第 {attempt} 次尝试，未计入"
            );
            folded.doubts.add(Code::OtherRun, agent, text);
        }
    }
    mine
}

fn starts_run(entry: &Entry) -> bool {
    let Body::Events(events) = &entry.body else {
        return false;
    };
    entry.key.agent.is_controller()
        && events
            .iter()
            .any(|event| matches!(event.what, What::RunStarted { .. }))
}
