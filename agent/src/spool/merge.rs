//! Recordings that wait become fewer bytes, never fewer values: those of one series merge. What is
//! lost is how finely time was divided.

use std::{collections::BTreeMap, sync::Arc};

use nepho_common::{
    histogram::Histogram,
    id::{AgentId, Attempt, RunId, Seq, SpoolId, StageName},
    journal::{Body, FORMAT, Record, RecordKey, RecordKind},
    recording::{Recording, Series},
    time::{Interval, Nanos},
};
use nepho_proto::journal;

use super::Draft;

type Stage = (RunId, Attempt, StageName);

/// Recordings of one stage, and in which drafts they were.
#[derive(Default)]
struct Held {
    places: Vec<usize>,
    merged: BTreeMap<Arc<Series>, Recording>,
}

/// A stage of which recordings were merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Merged {
    pub(super) run: RunId,
    pub(super) attempt: Attempt,
    pub(super) stage: StageName,
    /// How long the longest of its recordings is now.
    pub(super) longest: Nanos,
}

/// Merges the recordings of each stage into its last drafts. The others stay, each with an empty
/// recording of the stage, because its seal counts them.
pub(super) fn merge(agent: &AgentId, mut drafts: Vec<&mut Draft>) -> Vec<Merged> {
    let mut stages: BTreeMap<Stage, Held> = BTreeMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        if let Some((stage, recordings)) = recordings(agent, draft) {
            // One draft after the other: a segment of them, read at once, would take ten times the
            // room that it has on disk.
            stages.entry(stage).or_default().take(index, recordings);
        }
    }
    let mut all = Vec::new();
    for ((run, attempt, stage), held) in stages {
        let Some(first) = held.merged.values().next().cloned() else {
            continue;
        };
        let longest = held.merged.values().map(|one| length(one.interval)).max();
        let mut groups = journal::fit(held.merged.into_values().collect());
        if groups.len() >= held.places.len() {
            continue;
        }
        let histogram = Histogram::default();
        let empty = vec![Recording { histogram, ..first }];
        // The last drafts take what there is.
        let holders = held.places.into_iter().rev();
        for index in holders {
            let body = Body::Recordings(groups.pop().unwrap_or_else(|| empty.clone()));
            if let Some(draft) = drafts.get_mut(index) {
                draft.payload = journal::payload(&run, attempt, &body);
            }
        }
        all.push(Merged {
            run,
            attempt,
            stage,
            longest: longest.unwrap_or_default(),
        });
    }
    all
}

const fn length(interval: Interval) -> Nanos {
    interval.to.since(interval.from)
}

/// What a draft holds, if it is recordings of one stage.
fn recordings(agent: &AgentId, draft: &Draft) -> Option<(Stage, Vec<Recording>)> {
    if draft.kind != RecordKind::Recordings {
        return None;
    }
    let record = Record {
        format: FORMAT,
        kind: draft.kind,
        version: draft.version,
        key: RecordKey {
            agent: agent.clone(),
            spool: SpoolId::new([0; 16]),
            seq: Seq(1),
        },
        run: draft.run.clone(),
        payload: draft.payload.clone(),
    };
    let entry = journal::decode(&record).ok()?;
    let Body::Recordings(recordings) = entry.body else {
        return None;
    };
    let stage = recordings.first()?.series.stage.clone();
    let is_one = recordings.iter().all(|one| one.series.stage == stage);
    is_one.then_some(((entry.run, entry.attempt, stage), recordings))
}

impl Held {
    fn take(&mut self, index: usize, recordings: Vec<Recording>) {
        self.places.push(index);
        for recording in recordings {
            match self.merged.get_mut(&recording.series) {
                Some(known) => {
                    known.histogram.merge(&recording.histogram);
                    known.interval.from = known.interval.from.min(recording.interval.from);
                    known.interval.to = known.interval.to.max(recording.interval.to);
                }
                None => {
                    self.merged.insert(Arc::clone(&recording.series), recording);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nepho_common::{
        recording::{Metric, Outcome},
        time::RunTime,
    };
    use proptest::prelude::*;

    use super::*;

    /// Of the second stage; the operations with their values.
    type Portion = (bool, Vec<(u8, Vec<u64>)>);

    fn recording(stage: &str, operation: u8, at: i64, values: &[u64]) -> Recording {
        let mut histogram = Histogram::default();
        values
            .iter()
            .for_each(|value| histogram.record(Nanos(*value)));
        Recording {
            series: Arc::new(Series {
                run: "r".parse().unwrap(),
                attempt: Attempt(1),
                stage: stage.parse().unwrap(),
                step: "reach".parse().unwrap(),
                operation: format!("GET /{operation}").try_into().unwrap(),
                from: "local".parse().unwrap(),
                agent: "a".parse().unwrap(),
                to: "local/x/1".parse().unwrap(),
                outcome: Outcome::Success,
                metric: Metric::ResponseTime,
            }),
            interval: Interval {
                from: RunTime(at),
                to: RunTime(at + 10),
            },
            histogram,
        }
    }

    fn draft(recordings: Vec<Recording>) -> Draft {
        let body = Body::Recordings(recordings);
        let run = "r".parse().unwrap();
        Draft {
            kind: body.kind(),
            version: journal::version(body.kind()),
            payload: journal::payload(&run, Attempt(1), &body),
            run,
        }
    }

    fn read(drafts: &[Draft]) -> Vec<(Stage, Vec<Recording>)> {
        let agent = "a".parse().unwrap();
        drafts
            .iter()
            .map(|draft| recordings(&agent, draft).unwrap())
            .collect()
    }

    fn by_series(drafts: &[Draft]) -> BTreeMap<Arc<Series>, Histogram> {
        let mut sums: BTreeMap<Arc<Series>, Histogram> = BTreeMap::new();
        for recording in read(drafts).into_iter().flat_map(|(_, all)| all) {
            sums.entry(recording.series)
                .or_default()
                .merge(&recording.histogram);
        }
        sums
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn merging_loses_no_value_and_no_record_of_any_stage(
            portions in prop::collection::vec(
                (any::<bool>(), prop::collection::vec((0u8..4, prop::collection::vec(0u64..1 << 40, 1..6)), 1..4)),
                1..12,
            ),
        ) {
            let portion = |(at, (other, all)): (i64, &Portion)| {
                let stage = if *other { "two" } else { "one" };
                draft(all.iter().map(|(op, values)| recording(stage, *op, at, values)).collect())
            };
            let before: Vec<_> = (0i64..).zip(&portions).map(portion).collect();
            let mut after = before.clone();
            merge(&"a".parse().unwrap(), after.iter_mut().collect());
            prop_assert_eq!(by_series(&after), by_series(&before));
            let stages = |drafts: &[Draft]| read(drafts).into_iter().map(|(s, _)| s).collect::<Vec<_>>();
            prop_assert_eq!(stages(&after), stages(&before));
            let again = after.clone();
            merge(&"a".parse().unwrap(), after.iter_mut().collect());
            prop_assert_eq!(by_series(&again), by_series(&after));
        }
    }

    #[test]
    fn a_thousand_portions_of_one_series_take_little_more_room_than_one() {
        let values: Vec<_> = (0..400u64).map(|n| n * n * 1_000).collect();
        let mut drafts: Vec<_> = (0..1000)
            .map(|n| draft(vec![recording("one", 1, n * 10, &values)]))
            .collect();
        let size = |drafts: &[Draft]| drafts.iter().map(|d| d.payload.len()).sum::<usize>();
        let before = size(&drafts);
        let merged = merge(&"a".parse().unwrap(), drafts.iter_mut().collect());
        assert_eq!(merged.len(), 1);
        assert_eq!(merged[0].longest, Nanos(10_000));
        assert!(size(&drafts) * 4 < before, "{} of {before}", size(&drafts));
        let (_, last) = read(&drafts).pop().unwrap();
        let whole = Interval {
            from: RunTime(0),
            to: RunTime(10_000),
        };
        assert_eq!(
            (last[0].interval, last[0].histogram.count()),
            (whole, 400_000)
        );
    }
}
