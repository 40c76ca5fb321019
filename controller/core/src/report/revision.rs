//! Which records each revision of a report was made from. What came later is late: it makes the
//! next revision, and an earlier one can be made again as it was.

use std::collections::BTreeMap;

use nepho_common::{
    event::{Event, Known, What},
    id::{AgentId, Seq, SpoolId},
    journal::{Body, Entry, RecordKey},
};

use super::{
    fold::{Gathered, fold},
    model::{Change, Report, Revision},
    render::Lang,
    rollup::Rolled,
    summary,
};

/// How many changed findings a report names.
const CHANGES_SHOWN: usize = 200;

/// What the controller said of its reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revisions(BTreeMap<u32, BTreeMap<AgentId, Spools>>);

/// The stretches of each spool that a revision was made from.
type Spools = BTreeMap<SpoolId, Vec<(Seq, Seq)>>;

impl Revisions {
    /// Those that the journal tells of.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let mut all = Self::default();
        for entry in entries.iter().filter(|e| e.key.agent.is_controller()) {
            if let Body::Events(events) = &entry.body {
                events.iter().for_each(|event| all.note(event));
            }
        }
        all
    }

    fn note(&mut self, event: &Event) {
        let What::Reported { revision, known } = &event.what else {
            return;
        };
        let agents = self.0.entry(*revision).or_default();
        for Known {
            agent,
            spool,
            ranges,
        } in known
        {
            let spools = agents.entry(agent.clone()).or_default();
            let of = spools.entry(*spool).or_default();
            let both = of.iter().chain(ranges).copied().collect();
            *of = joined(both);
        }
    }

    /// The highest; 0 when there is none yet.
    #[must_use]
    pub fn last(&self) -> u32 {
        self.0.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// Whether this revision was made from this record; the controller's own belong to all.
    #[must_use]
    pub fn knows(&self, revision: u32, key: &RecordKey) -> bool {
        if key.agent.is_controller() {
            return true;
        }
        let spools = self.0.get(&revision).and_then(|all| all.get(&key.agent));
        let ranges = spools.and_then(|spools| spools.get(&key.spool));
        ranges.is_some_and(|ranges| {
            // They are joined, so only the last one that begins before can hold it.
            let begun = ranges.partition_point(|(from, _)| *from <= key.seq);
            let last = begun.checked_sub(1).and_then(|last| ranges.get(last));
            last.is_some_and(|(_, to)| key.seq <= *to)
        })
    }

    /// How many records of whom this revision was not made from.
    fn late(&self, revision: u32, gathered: &Gathered) -> BTreeMap<AgentId, u64> {
        let mut late = BTreeMap::new();
        for key in keys(gathered).filter(|key| !self.knows(revision, key)) {
            *late.entry(key.agent.clone()).or_default() += 1;
        }
        for key in gathered.rolled().iter().flat_map(Rolled::keys) {
            if !self.knows(revision, &key) {
                *late.entry(key.agent).or_default() += 1;
            }
        }
        late
    }
}

fn keys(gathered: &Gathered) -> impl Iterator<Item = &RecordKey> {
    let read = gathered.entries.iter().map(|entry| &entry.key);
    read.chain(gathered.unread.iter().map(|unread| &unread.key))
}

/// The report of everything that there is.
pub(super) fn latest(gathered: Gathered, lang: Lang) -> Report {
    let revisions = Revisions::of(&gathered.entries);
    let last = revisions.last();
    if last == 0 {
        return summary::report(fold(gathered, lang));
    }
    let closed = revisions.late(last, &gathered).is_empty();
    let number = if closed { last } else { last.saturating_add(1) };
    let before = number.checked_sub(1).filter(|before| *before > 0);
    let late = before.map_or_else(BTreeMap::new, |before| revisions.late(before, &gathered));
    let before = before.map(|before| {
        let known = cut(&revisions, before, gathered.clone());
        summary::report(fold(known, lang))
    });
    let mut report = summary::report(fold(gathered, lang));
    let (changes, more_changes) = before
        .as_ref()
        .map_or_else(Default::default, |before| changes(before, &report));
    report.revision = Some(Revision {
        number,
        closed,
        late,
        was: before.map(|before| before.verdict),
        changes,
        more_changes,
    });
    report
}

/// The report of everything that there is, some of it rolled up; `None` when it takes the records.
pub(super) fn latest_rolled(gathered: Gathered, lang: Lang) -> Option<Report> {
    let revisions = Revisions::of(&gathered.entries);
    let last = revisions.last();
    // What was late is compared with what was there before, record by record.
    if last > 1 || (last == 1 && !revisions.late(last, &gathered).is_empty()) {
        return None;
    }
    let folded = fold(gathered, lang);
    if folded.too_fine || folded.proofs.any_differs() {
        return None;
    }
    let mut report = summary::report(folded);
    report.revision = (last == 1).then(|| Revision {
        number: last,
        closed: true,
        late: BTreeMap::new(),
        was: None,
        changes: Vec::new(),
        more_changes: 0,
    });
    Some(report)
}

/// The report as it was in this revision.
pub(super) fn as_of(revision: u32, gathered: Gathered, lang: Lang) -> Option<Report> {
    let revisions = Revisions::of(&gathered.entries);
    let is_known = revisions.0.contains_key(&revision);
    is_known.then(|| latest(cut(&revisions, revision, gathered), lang))
}

/// What this revision was made from, and what was said until then.
fn cut(revisions: &Revisions, revision: u32, mut gathered: Gathered) -> Gathered {
    gathered
        .unread
        .retain(|unread| revisions.knows(revision, &unread.key));
    gathered.entries.retain_mut(|entry| {
        if let Body::Events(events) = &mut entry.body {
            events.retain(|event| !is_after(&event.what, revision));
        }
        revisions.knows(revision, &entry.key)
    });
    gathered
}

fn is_after(what: &What, last: u32) -> bool {
    matches!(what, What::Reported { revision, .. } if *revision > last)
}

/// These records as a revision names them, in portions that one event may hold.
#[must_use]
pub fn known<'a>(keys: impl IntoIterator<Item = &'a RecordKey>, portion: usize) -> Vec<Vec<Known>> {
    let mut spools: BTreeMap<(&AgentId, SpoolId), Vec<Seq>> = BTreeMap::new();
    for key in keys.into_iter().filter(|key| !key.agent.is_controller()) {
        let seqs = spools.entry((&key.agent, key.spool)).or_default();
        seqs.push(key.seq);
    }
    // A run of which no agent wrote anything has a revision too.
    let mut portions = vec![Vec::new()];
    let mut room = portion;
    for ((agent, spool), seqs) in spools {
        let ranges = joined(seqs.into_iter().map(|seq| (seq, seq)).collect());
        for some in ranges.chunks(portion.max(1)) {
            if room < some.len() {
                portions.push(Vec::new());
                room = portion;
            }
            room = room.saturating_sub(some.len());
            let known = Known {
                agent: agent.clone(),
                spool,
                ranges: some.to_vec(),
            };
            portions.last_mut().expect("there is one").push(known);
        }
    }
    portions
}

/// Stretches in order, those that touch made one.
pub(super) fn joined(mut ranges: Vec<(Seq, Seq)>) -> Vec<(Seq, Seq)> {
    ranges.sort_unstable();
    let mut joined: Vec<(Seq, Seq)> = Vec::new();
    for (from, to) in ranges {
        match joined.last_mut() {
            Some((_, end)) if from <= end.next() => *end = to.max(*end),
            Some(_) | None => joined.push((from, to)),
        }
    }
    joined
}

/// The findings that are not what they were; how many more than are named.
fn changes(before: &Report, now: &Report) -> (Vec<Change>, u64) {
    let before = before
        .findings
        .iter()
        .map(|one| (one.id.as_str(), one.verdict));
    let before: BTreeMap<_, _> = before.collect();
    let changed = now.findings.iter().filter_map(|finding| {
        let was = *before.get(finding.id.as_str())?;
        (was != finding.verdict).then(|| Change {
            finding: finding.id.clone(),
            was,
            is: finding.verdict,
        })
    });
    let mut changes: Vec<Change> = changed.collect();
    let more = changes.len().saturating_sub(CHANGES_SHOWN);
    changes.truncate(CHANGES_SHOWN);
    (changes, more as u64)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, prelude::*};

    use super::{
        super::{
            fixture::{Author, agent, eventful, is_late, of, whole},
            model::Verdict,
            render::{json, markdown, terminal},
            report_as_of,
        },
        *,
    };

    fn reported(revision: u32, entries: &[Entry]) -> Vec<Entry> {
        let spool = 200 + u8::try_from(revision).unwrap();
        let mut author = Author::new(AgentId::controller(), spool);
        for known in known(entries.iter().map(|entry| &entry.key), 3) {
            author.say(What::Reported { revision, known });
        }
        author.entries
    }

    fn first() -> Vec<Entry> {
        let mut entries = eventful();
        entries.extend(reported(1, &entries));
        entries
    }

    fn second() -> Vec<Entry> {
        let mut entries = first();
        entries.extend(whole().into_iter().filter(is_late));
        entries
    }

    #[test]
    fn late_results_make_the_next_revision_which_says_what_they_changed() {
        let before = of(first());
        let late = whole().iter().filter(|entry| is_late(entry)).count();
        let after = of(second());
        let revision = after.revision.as_ref().unwrap();
        assert_eq!((revision.number, revision.closed), (2, false));
        assert_eq!(revision.late, [(agent("aliyun"), late as u64)].into());
        assert_eq!(revision.was, Some(before.verdict));
        let change = revision
            .changes
            .iter()
            .find(|change| change.is == Verdict::Pass);
        let change = change.expect("something that was not decided passes now");
        let is = |report: &Report| {
            report
                .findings
                .iter()
                .find(|f| f.id == change.finding)
                .unwrap()
                .verdict
        };
        assert_eq!((is(&before), is(&after)), (change.was, change.is));
        assert_ne!(change.was, Verdict::Pass);
        insta::assert_snapshot!(
            terminal::render(&after, Lang::En, terminal::Colour::None)
                .lines()
                .take(3)
                .collect::<Vec<_>>()
                .join("\n")
        );
        assert!(markdown::render(&after, Lang::En).contains("## What late results changed"));
    }

    #[test]
    fn a_closed_revision_differs_from_the_open_one_in_nothing_else() {
        let mut entries = second();
        let mut open = of(entries.clone());
        entries.extend(reported(2, &entries));
        let closed = of(entries);
        open.revision.as_mut().unwrap().closed = true;
        assert_eq!(json::render(&closed), json::render(&open));
    }

    #[test]
    fn an_earlier_revision_is_made_again_as_it_was() {
        let mut entries = second();
        entries.extend(reported(2, &entries));
        let again = report_as_of(Lang::En, 1, entries.clone(), []).unwrap();
        assert_eq!(json::render(&again), json::render(&of(first())));
        assert_eq!(
            report_as_of(Lang::En, 2, entries.clone(), []),
            Some(of(entries.clone()))
        );
        assert_eq!(report_as_of(Lang::En, 3, entries, []), None);
    }

    #[test]
    fn what_is_sent_again_is_not_late() {
        let mut entries = first();
        entries.extend(eventful());
        let report = of(entries);
        let revision = report.revision.as_ref().unwrap();
        assert_eq!((revision.number, revision.closed), (1, true));
        assert_eq!(json::render(&report), json::render(&of(first())));
        assert!(!terminal::render(&report, Lang::En, terminal::Colour::None).contains("Revision"));
    }

    #[test]
    fn a_run_under_way_has_no_revision() {
        assert_eq!(of(eventful()).revision, None);
    }

    proptest! {
        #[test]
        fn a_revision_knows_its_records_and_no_others(
            seqs in btree_set((0u8..3, 1u64..60), 0..60), portion in 1usize..9,
        ) {
            let key = |(spool, seq): (u8, u64)| RecordKey {
                agent: agent("local"), spool: SpoolId::new([spool; 16]), seq: Seq(seq),
            };
            let keys: Vec<_> = seqs.iter().copied().map(key).collect();
            let mut author = Author::new(AgentId::controller(), 9);
            for known in known(&keys, portion) {
                prop_assert!(known.iter().map(|known| known.ranges.len()).sum::<usize>() <= portion);
                author.say(What::Reported { revision: 4, known });
            }
            let revisions = Revisions::of(&author.entries);
            prop_assert_eq!(revisions.last(), 4);
            for one in (0..3).flat_map(|spool| (1..60).map(move |seq| (spool, seq))) {
                prop_assert_eq!(revisions.knows(4, &key(one)), seqs.contains(&one));
            }
        }
    }
}
