//! Roll-ups: recordings of neighbouring records of one spool, merged where no report of their plan
//! tells them apart.
//!
//! What a report asks of the time of a recording is which column of a plot it lies in, which slot of
//! time, which parts of its stage, and whether it is too long for any of them (`Place`). Recordings
//! of one series that agree in all of it, the interval that spans them included, may as well be one.
//! So the longer a stage is, the more there is to merge: of a day 150 parts are told apart.
//!
//! Where a report asks for more - a clock stood still, a stage was resumed, results came late - or
//! where anything does not add up, [`super::report_rolled`] says so by making none, and it is folded
//! from the records. A roll-up is made of records that never change, so it never has to either.

use std::{collections::BTreeMap, sync::Arc};

use nepho_common::{
    id::{AgentId, Attempt, Digest, RunId, SpoolId, StageName, StepName},
    journal::{Body, Entry, RecordKey, RecordKind},
    plan::{Plan, PlannedStage, Window},
    recording::{Metric, Recording, Series},
    time::{Interval, Nanos},
};

use super::{
    charts::columns::Columns,
    fold, measured,
    render::Lang,
    seqs::{self, Bits},
    stats::blocks,
    story::Story,
};

/// How many numbers of a spool one roll-up stands for: the first from 1 to this, and so on.
pub const RECORDS: u64 = seqs::BLOCK;

/// The recordings of some records of one spool and run, merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rolled {
    /// The run.
    pub run: RunId,
    /// The try.
    pub attempt: Attempt,
    /// Who wrote the records.
    pub agent: AgentId,
    /// The spool.
    pub spool: SpoolId,
    /// Which [`RECORDS`] numbers of the spool, from 0.
    pub block: u64,
    /// Which of them are records of recordings, and are in here: the lowest bit is the first.
    pub records: u64,
    /// What is told apart in it, as a digest.
    pub grain: Digest,
    /// By the records that they are from.
    pub parts: Vec<Part>,
}

/// Recordings that are from the same records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which ones, like [`Rolled::records`].
    pub records: u64,
    /// Merged.
    pub recordings: Vec<Recording>,
}

/// What a report of one plan tells apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grain(BTreeMap<StageName, OfStage>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct OfStage {
    columns: Columns,
    slots: BTreeMap<StepName, Nanos>,
    parts: Vec<(Window, Interval)>,
}

/// Everything that a report asks of the time of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    column: Option<(u64, bool)>,
    slot: Option<(i64, bool)>,
    inside: Vec<bool>,
}

impl Grain {
    /// What the controller's records of a run say so far; a stage that has no start yet is not in it.
    #[must_use]
    pub fn of(controllers: Vec<Entry>) -> Self {
        let folded = fold::fold(fold::gather(controllers, []), Lang::En);
        let plan = folded.plan.as_ref();
        plan.map_or_else(Self::default, |plan| Self::planned(plan, &folded.story))
    }

    fn planned(plan: &Plan, story: &Story) -> Self {
        let of_stage = |stage: &PlannedStage| {
            let ordered = story.ordered.get(&stage.name)?;
            let parts = fold::parts(stage).into_iter();
            let parts = parts.filter_map(|part| Some((part, fold::span(story, stage, part)?)));
            let steps = stage.steps.iter();
            let slots = steps
                .filter_map(|step| Some((step.name.clone(), measured::slot(stage, &step.name)?)));
            let of_stage = OfStage {
                columns: Columns::of(ordered.at_run, stage.lasts),
                slots: slots.collect(),
                parts: parts.collect(),
            };
            Some((stage.name.clone(), of_stage))
        };
        Self(plan.stages.iter().filter_map(of_stage).collect())
    }

    /// Whether this stage has a start.
    #[must_use]
    pub fn knows(&self, stage: &StageName) -> bool {
        self.0.contains_key(stage)
    }

    /// Of these stages; `None` when one is not known. A release that tells other things apart has
    /// another digest, and so has another order to start.
    fn digest<'a>(&self, stages: impl IntoIterator<Item = &'a StageName>) -> Option<Digest> {
        let of = |stage: &'a StageName| Some((stage, self.0.get(stage)?));
        let all: Option<BTreeMap<_, _>> = stages.into_iter().map(of).collect();
        // How it prints is as good as any other way to write it: when that changes, so does the
        // digest, and records are read instead.
        all.map(|all| Digest::of(format!("{all:?}").as_bytes()))
    }

    fn place(&self, series: &Series, interval: Interval) -> Option<Place> {
        let of = self.0.get(&series.stage)?;
        let timed = series.metric == Metric::ResponseTime;
        let slot = of.slots.get(&series.step).filter(|_| timed);
        let parts = of.parts.iter();
        Some(Place {
            column: timed.then(|| of.columns.place(interval)),
            slot: slot.map(|slot| blocks::place(*slot, interval)),
            inside: parts
                .map(|(part, span)| fold::is_inside(*part, *span, interval))
                .collect(),
        })
    }
}

impl Rolled {
    /// Merges the recordings of one spool that lie in one block of [`RECORDS`] numbers, in any
    /// order. `None` when they do not belong together, or when nothing says what is told apart in
    /// one of their stages.
    #[must_use]
    pub fn of(mut entries: Vec<Entry>, grain: &Grain) -> Option<Self> {
        entries.sort_by_key(|entry| entry.key.seq);
        let first = entries.first()?;
        let (block, _) = seqs::place(first.key.seq);
        let (run, attempt) = (first.run.clone(), first.attempt);
        let (agent, spool) = (first.key.agent.clone(), first.key.spool);
        let mut all = 0;
        let mut held: BTreeMap<Arc<Series>, Vec<(Place, Bits, Recording)>> = BTreeMap::new();
        for entry in entries {
            let (of, record) = seqs::place(entry.key.seq);
            let same = (&entry.run, entry.attempt) == (&run, attempt)
                && (&entry.key.agent, entry.key.spool, of) == (&agent, spool, block);
            let Body::Recordings(recordings) = entry.body else {
                return None;
            };
            if !same || agent.is_controller() || all & record != 0 {
                return None;
            }
            all |= record;
            for recording in recordings {
                let place = grain.place(&recording.series, recording.interval)?;
                let known = held.entry(Arc::clone(&recording.series)).or_default();
                merge(known, grain, place, record, recording);
            }
        }
        let digest = grain.digest(held.keys().map(|series| &series.stage))?;
        let mut parts: BTreeMap<Bits, Vec<Recording>> = BTreeMap::new();
        for (_, records, recording) in held.into_values().flatten() {
            parts.entry(records).or_default().push(recording);
        }
        let part = |(records, recordings)| Part {
            records,
            recordings,
        };
        Some(Self {
            run,
            attempt,
            agent,
            spool,
            block,
            records: all,
            grain: digest,
            parts: parts.into_iter().map(part).collect(),
        })
    }

    /// What of it has to agree with the plan that is reported.
    pub(super) fn told_apart(&self) -> ToldApart {
        ToldApart {
            run: self.run.clone(),
            attempt: self.attempt,
            stages: self.stages().into_keys().cloned().collect(),
            grain: self.grain,
            // What is from none of its records is from nowhere.
            is_whole: self
                .parts
                .iter()
                .all(|part| part.records & !self.records == 0),
        }
    }

    /// The records that it stands for.
    pub fn keys(&self) -> impl Iterator<Item = RecordKey> {
        seqs::each(self.block, self.records).map(|seq| RecordKey {
            agent: self.agent.clone(),
            spool: self.spool,
            seq,
        })
    }

    /// Which of its records speak of which stage.
    pub(super) fn stages(&self) -> BTreeMap<&StageName, Bits> {
        let mut stages = BTreeMap::new();
        for part in &self.parts {
            for recording in &part.recordings {
                *stages.entry(&recording.series.stage).or_default() |= part.records;
            }
        }
        stages
    }
}

/// Rolls up everything of a run that can be, whether its blocks are full or not, and says what is
/// left: for journals that lie in no store.
#[must_use]
pub fn roll_up(entries: Vec<Entry>) -> (Vec<Entry>, Vec<Rolled>) {
    let own = entries
        .iter()
        .filter(|entry| entry.key.agent.is_controller());
    let grain = Grain::of(own.cloned().collect());
    let mut blocks: BTreeMap<(AgentId, SpoolId, u64), Vec<Entry>> = BTreeMap::new();
    let mut rest = Vec::new();
    for entry in entries {
        if entry.body.kind() == RecordKind::Recordings {
            let (block, _) = seqs::place(entry.key.seq);
            let of = (entry.key.agent.clone(), entry.key.spool, block);
            blocks.entry(of).or_default().push(entry);
        } else {
            rest.push(entry);
        }
    }
    let mut all = Vec::new();
    for block in blocks.into_values() {
        match Rolled::of(block.clone(), &grain) {
            Some(rolled) => all.push(rolled),
            None => rest.extend(block),
        }
    }
    (rest, all)
}

/// Adds a recording to the one that it is not told apart from, or beside the others.
fn merge(
    known: &mut Vec<(Place, Bits, Recording)>,
    grain: &Grain,
    place: Place,
    record: Bits,
    recording: Recording,
) {
    let spanned = |one: Interval| Interval {
        from: one.from.min(recording.interval.from),
        to: one.to.max(recording.interval.to),
    };
    // The latest ones lie nearest.
    let same = known.iter_mut().rev().find(|(of, _, held)| {
        let together = || grain.place(&held.series, spanned(held.interval));
        *of == place && together().as_ref() == Some(of)
    });
    match same {
        Some((_, records, held)) => {
            *records |= record;
            held.interval = spanned(held.interval);
            held.histogram.merge(&recording.histogram);
        }
        None => known.push((place, record, recording)),
    }
}

/// What a roll-up says of itself.
#[derive(Debug)]
pub(super) struct ToldApart {
    run: RunId,
    attempt: Attempt,
    stages: Vec<StageName>,
    grain: Digest,
    is_whole: bool,
}

/// Whether the plan that these were rolled up for is the one that is reported, and nothing more is
/// asked of them.
pub(super) fn fits(
    all: &[ToldApart],
    plan: &Plan,
    story: &Story,
    identity: Option<(&RunId, Attempt)>,
) -> bool {
    let grain = Grain::planned(plan, story);
    let fits = |one: &ToldApart| {
        Some((&one.run, one.attempt)) == identity
            && one.is_whole
            && grain.digest(&one.stages) == Some(one.grain)
    };
    all.is_empty() || !story.disturbed.any() && all.iter().all(fits)
}

#[cfg(test)]
mod tests;
