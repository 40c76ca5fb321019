//! Seals against what is stored: the proof that nothing was lost between agent and journal.

use std::collections::BTreeMap;

use nepho_common::{
    event::{Event, What},
    id::{AgentId, Seq, SpoolId, StageName},
    journal::{Body, Entry, RecordKey, RecordKind, Seal},
    recording::Series,
};

use super::{
    recorded::{OfSeries, Recorded},
    render::outcome,
    rollup::Rolled,
    said::{Said, said},
};

/// What is stored of each stage, agent and spool, and what the seal says there should be.
#[derive(Debug, Default)]
pub(super) struct Coverages {
    of: BTreeMap<(AgentId, StageName), BTreeMap<SpoolId, Coverage>>,
    /// Where the seals of resumed stages begin to count.
    resumed: BTreeMap<(AgentId, StageName, SpoolId), Seq>,
}

#[derive(Debug, Default)]
struct Coverage {
    records: BTreeMap<RecordKind, u64>,
    samples: BTreeMap<Series, u64>,
    seals: Vec<Seal>,
}

/// Whether the results of one stage of one agent are all here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// Everything that was sealed is stored.
    Complete,
    /// The agent never said that it is complete.
    NoSeal,
    /// The seal and the store contradict each other.
    Differs(Said),
}

impl Coverages {
    /// Nothing counted yet; what a resumed stage's seal does not count will not be.
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut resumed = BTreeMap::new();
        for entry in entries {
            let Body::Seal(Seal { stage, from, .. }) = &entry.body else {
                continue;
            };
            let key = (entry.key.agent.clone(), stage.clone(), entry.key.spool);
            resumed.extend(from.map(|from| (key, from)));
        }
        Self {
            resumed,
            ..Self::default()
        }
    }

    /// Counts a stored record for the stages that it speaks of.
    pub(super) fn count(&mut self, entry: &Entry) {
        let mut stages: Vec<&StageName> = match &entry.body {
            Body::Events(events) => events.iter().filter_map(stage_of).collect(),
            Body::Recordings(all) => all.iter().map(|one| &one.series.stage).collect(),
            Body::Gauges(all) => all.iter().map(|one| &one.stage).collect(),
            Body::Traces(all) => all.iter().map(|one| &one.stage).collect(),
            // An exhibit belongs to a run, and a seal does not count itself.
            Body::Exhibits(_) | Body::Seal(_) => Vec::new(),
        };
        // What a record holds of one stage lies side by side, so there is little left to sort.
        stages.dedup();
        stages.sort();
        stages.dedup();
        stages.retain(|stage| !self.is_before_resume(&entry.key, stage));
        for stage in stages {
            let coverage = self.at(&entry.key, stage);
            *coverage.records.entry(entry.body.kind()).or_default() += 1;
        }
    }

    /// Counts what stands for stored records.
    pub(super) fn count_rolled(&mut self, rolled: &Rolled) {
        for (stage, records) in rolled.stages() {
            let of = (rolled.agent.clone(), stage.clone());
            let coverage = self.of.entry(of).or_default();
            let coverage = coverage.entry(rolled.spool).or_default();
            let count = coverage.records.entry(RecordKind::Recordings).or_default();
            *count += u64::from(records.count_ones());
        }
    }

    /// Whether some seal counts only a part of what is in this spool.
    pub(super) fn is_resumed(&self, agent: &AgentId, spool: &SpoolId) -> bool {
        let mut all = self.resumed.keys();
        all.any(|(of, _, at)| of == agent && at == spool)
    }

    /// Counts the values in recordings.
    pub(super) fn sum(&mut self, recorded: &Recorded) {
        for OfSeries {
            author,
            series,
            pieces,
        } in recorded.each()
        {
            for pieces in pieces.chunk_by(|one, next| one.spool == next.spool) {
                let Some(first) = pieces.first() else {
                    continue;
                };
                let of = (author.clone(), series.stage.clone(), first.spool);
                let from = self.resumed.get(&of).copied();
                let counted = pieces.iter().filter(|piece| piece.begins() >= from);
                let counted = counted.map(|piece| piece.histogram.count());
                let counted = counted.fold(0, u64::saturating_add);
                let spools = self
                    .of
                    .entry((author.clone(), series.stage.clone()))
                    .or_default();
                let samples = &mut spools.entry(first.spool).or_default().samples;
                let sum = samples.entry(series.as_ref().clone()).or_default();
                *sum = sum.saturating_add(counted);
            }
        }
    }

    pub(super) fn seal(&mut self, key: &RecordKey, seal: Seal) {
        let stage = seal.stage.clone();
        self.at(key, &stage).seals.push(seal);
    }

    fn is_before_resume(&self, key: &RecordKey, stage: &StageName) -> bool {
        let of = (key.agent.clone(), stage.clone(), key.spool);
        self.resumed.get(&of).is_some_and(|from| key.seq < *from)
    }

    fn at(&mut self, key: &RecordKey, stage: &StageName) -> &mut Coverage {
        let spools = self
            .of
            .entry((key.agent.clone(), stage.clone()))
            .or_default();
        spools.entry(key.spool).or_default()
    }

    /// Compares once, for many findings rest on the same proof.
    pub(super) fn settle(self) -> Proofs {
        let settled = self.of.into_iter();
        Proofs(settled.map(|(key, spools)| (key, proof(&spools))).collect())
    }
}

/// Whether everything is here, by agent and stage.
#[derive(Debug, Default)]
pub(super) struct Proofs(BTreeMap<(AgentId, StageName), Proof>);

impl Proofs {
    /// Whether everything of this stage of this agent is here.
    pub(super) fn of(&self, agent: &AgentId, stage: &StageName) -> Proof {
        let known = self.0.get(&(agent.clone(), stage.clone()));
        known.cloned().unwrap_or(Proof::NoSeal)
    }

    /// Whether some seal contradicts what is here.
    pub(super) fn any_differs(&self) -> bool {
        let mut all = self.0.values();
        all.any(|proof| matches!(proof, Proof::Differs(_)))
    }
}

fn proof(spools: &BTreeMap<SpoolId, Coverage>) -> Proof {
    let mut sealed = true;
    for coverage in spools.values() {
        match coverage.seals.as_slice() {
            [] => sealed = false,
            [seal] => {
                if let Some(why) = coverage.contradicts(seal) {
                    return Proof::Differs(why);
                }
            }
            [_, _, ..] => {
                let n = coverage.seals.len();
                return Proof::Differs(said!("{n} seals", "有 {n} 份封存清单"));
            }
        }
    }
    if sealed {
        Proof::Complete
    } else {
        Proof::NoSeal
    }
}

impl Coverage {
    fn contradicts(&self, seal: &Seal) -> Option<Said> {
        for kind in RecordKind::ALL {
            if matches!(kind, RecordKind::Exhibits | RecordKind::Seal) {
                continue;
            }
            let promised = seal.records.get(&kind).copied().unwrap_or_default();
            let found = self.records.get(&kind).copied().unwrap_or_default();
            // What an agent says after its seal, for example that the stage ended, is not in it.
            if found < promised {
                let kind = kind_word(kind);
                return Some(said!(
                    "{found} of {promised} records of {kind} are stored",
                    "应有 {promised} 条{kind}记录，实存 {found} 条";
                    kind
                ));
            }
        }
        let said = |series| seal.samples.get(series).copied().unwrap_or_default();
        let found = |series| self.samples.get(series).copied().unwrap_or_default();
        let mut all = seal.samples.keys().chain(self.samples.keys());
        all.find(|series| said(*series) != found(*series))
            .map(|series| {
                let (found, promised, to) = (found(series), said(series), &series.to);
                let outcome = outcome(series.outcome);
                let metric = series.metric.word();
                said!(
                    "{found} of {promised} values of {to} ({outcome}, {metric}) are stored",
                    "{to} 应有 {promised} 个值（{outcome}，{metric}），实存 {found} 个";
                    outcome
                )
            })
    }
}

/// The stage that an agent's event speaks of.
fn stage_of(event: &Event) -> Option<&StageName> {
    match &event.what {
        What::StageStarted { stage, .. }
        | What::StageEnded { stage, .. }
        | What::Missed { stage, .. }
        | What::StageOrdered { stage, .. }
        | What::StageCollected { stage, .. }
        | What::StageSkipped { stage, .. }
        | What::Aborted { stage, .. } => Some(stage),
        // The seal of the stage counts the records that hold these.
        What::SymptomSeen { of, .. } | What::FactSeen { of, .. } => Some(&of.stage),
        What::ThingSeen { stage, .. } | What::LoadEnded { stage, .. } => Some(stage),
        What::EpochOpened { .. }
        | What::HostClock(_)
        | What::ClockDisturbed { .. }
        | What::HostClockRejected { .. }
        // The spool says it of what it holds, and no seal counts it.
        | What::SpoolFull { .. }
        | What::Gap { .. }
        | What::RunStarted { .. }
        | What::AgentJoined { .. }
        | What::AgentRefused { .. }
        | What::AgentLost { .. }
        | What::AgentReturned { .. }
        | What::ControllerReturned { .. }
        | What::StopRequested { .. }
        | What::RecordRefused { .. }
        | What::RunEnded { .. }
        | What::Reported { .. } => None,
    }
}

/// The word for people.
fn kind_word(kind: RecordKind) -> Said {
    match kind {
        RecordKind::Events => said!("events", "事件"),
        RecordKind::Recordings => said!("recordings", "测量"),
        RecordKind::Gauges => said!("gauges", "读数"),
        RecordKind::Traces => said!("traces", "跟踪"),
        RecordKind::Exhibits => said!("exhibits", "附件"),
        RecordKind::Seal => said!("seals", "封存清单"),
    }
}
