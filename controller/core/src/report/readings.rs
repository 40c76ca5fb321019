//! What hosts said of themselves, and whether it is within bounds. A host that was hardly heard may
//! have used anything meanwhile: no data is never a pass.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    id::{AgentId, Seq, SpoolId, StageName, StepName, ThingName},
    journal::RecordKey,
    plan::{Act, Amount, Plan, Watch},
    recording::{Gauge, Scope, WATCH_GAUGES},
    time::{Nanos, RunTime},
};

use super::{
    doubts::{Code, Doubts},
    model::{Evidence, Samples, Verdict},
    said::said,
    tuple::Watched,
};

/// Two readings so far apart tell of one time.
const NEAR: Nanos = Nanos::from_secs(10);

/// One gauge of one host, or of a thing on it, in one step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    stage: StageName,
    step: StepName,
    agent: AgentId,
    thing: Option<ThingName>,
    name: String,
}

/// What one gauge of one host said.
#[derive(Debug, Default)]
struct Said {
    /// Each instant counts once.
    at: BTreeMap<RunTime, f64>,
    records: BTreeSet<(SpoolId, Seq)>,
}

/// Every reading that the plan asks for.
#[derive(Debug, Default)]
pub(super) struct Readings(BTreeMap<Source, Said>);

/// What is judged: a gauge, and its bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits<'a> {
    pub(super) name: &'a str,
    pub(super) max: Option<Amount>,
    pub(super) min: Option<Amount>,
}

/// The readings of some hosts, judged.
#[derive(Debug)]
pub(super) struct Used<'a> {
    pub(super) verdict: Verdict,
    /// What is farthest out of bounds, with its reading there.
    pub(super) worst: Option<(Watched<'a>, RunTime, Amount)>,
    /// What gave too few readings, and how many.
    pub(super) short: Vec<(Watched<'a>, u64)>,
    pub(super) least: Option<Amount>,
    pub(super) most: Option<Amount>,
    pub(super) samples: Samples,
    pub(super) evidence: Vec<Evidence>,
}

impl Readings {
    /// Takes what watches of the plan were asked for and doubts the rest. Gauges of probes are theirs.
    pub(super) fn gather(
        plan: &Plan,
        records: &[(RecordKey, Vec<Gauge>)],
        doubts: &mut Doubts,
    ) -> Self {
        let mut all: BTreeMap<Source, Said> = BTreeMap::new();
        for (key, gauges) in records {
            for gauge in gauges {
                let stage = plan.stages.iter().find(|one| one.name == gauge.stage);
                let step = stage.and_then(|stage| {
                    let mut steps = stage.steps.iter();
                    steps.find(|step| step.name == gauge.step)
                });
                let asked = match step.map(|step| &step.act) {
                    Some(Act::Probe(_) | Act::Load(_)) => continue,
                    Some(Act::Watch(watch)) => {
                        watch.hosts.contains(&key.agent) && is_of(watch, gauge)
                    }
                    None => false,
                };
                let name = gauge.name.as_str();
                // A later agent may tell more; of what we know the unit is known.
                let known = WATCH_GAUGES.iter().find(|(known, _)| *known == name);
                let fits = known.is_none_or(|(_, unit)| *unit == gauge.unit);
                if !asked || !fits || gauge.of.is_some() {
                    let (agent, stage, step) = (&key.agent, &gauge.stage, &gauge.step);
                    let text = said!(
                        "{agent} told of {name} in {stage}/{step}, which the plan does not ask of it",
                        "{agent} 在 {stage}/{step} 中上报了 {name}，计划没有要求它上报"
                    );
                    doubts.add(Code::NotPlanned, agent, text);
                    continue;
                }
                let source = Source {
                    stage: gauge.stage.clone(),
                    step: gauge.step.clone(),
                    agent: key.agent.clone(),
                    thing: gauge.thing.clone(),
                    name: name.to_owned(),
                };
                let said = all.entry(source).or_default();
                said.at.insert(gauge.at, gauge.value);
                said.records.insert((key.spool, key.seq));
            }
        }
        Self(all)
    }

    /// Of what is watched at the host of `agent`, what used most processor time around `at`, in
    /// processors.
    pub(super) fn busiest(
        &self,
        stage: &StageName,
        agent: &AgentId,
        at: RunTime,
    ) -> Option<(&ThingName, f64)> {
        let mine = self.0.iter().filter(|(of, _)| {
            let is_cpu = of.name == "process.cpu" || of.name == "container.cpu";
            is_cpu && of.stage == *stage && of.agent == *agent
        });
        let near = mine.filter_map(|(of, said)| {
            let apart = |one: &RunTime| one.0.abs_diff(at.0);
            let (when, value) = said.at.iter().min_by_key(|(one, _)| apart(one))?;
            (apart(when) <= NEAR.0).then_some((of.thing.as_ref()?, *value))
        });
        near.max_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    /// Judges one gauge of these, each of which was to give `planned` readings.
    pub(super) fn judge<'a>(
        &self,
        (stage, step): (&StageName, &StepName),
        of: &[Watched<'a>],
        limits: Limits<'_>,
        planned: u64,
    ) -> Used<'a> {
        let unit = limits.max.or(limits.min).map(Amount::unit);
        let amount = |value: f64| unit.and_then(|unit| Amount::of(value, unit));
        let mut used = Used {
            verdict: Verdict::Pass,
            worst: None,
            short: Vec::new(),
            least: None,
            most: None,
            samples: Samples::default(),
            evidence: Vec::new(),
        };
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut beyond = 0.0;
        let nothing = Said::default();
        for &watched in of {
            let source = Source {
                stage: stage.clone(),
                step: step.clone(),
                agent: watched.agent.clone(),
                thing: watched.thing.cloned(),
                name: limits.name.to_owned(),
            };
            let said = self.0.get(&source).unwrap_or(&nothing);
            for (&at, &value) in &said.at {
                (low, high) = (low.min(value), high.max(value));
                let out = limits.out_by(value);
                if out > beyond {
                    beyond = out;
                    used.worst = amount(value).map(|amount| (watched, at, amount));
                }
            }
            let observed = (said.at.len() as u64).min(planned);
            // A rate lies between two readings, and one may have come too late.
            let enough = planned.saturating_sub(Watch::READINGS_MIN - 1).max(1);
            if observed < enough {
                used.short.push((watched, observed));
            }
            used.samples.planned = used.samples.planned.saturating_add(planned);
            used.samples.observed = used.samples.observed.saturating_add(observed);
            let missing = enough.saturating_sub(observed);
            used.samples.missing = used.samples.missing.saturating_add(missing);
            used.evidence.extend(said.evidence(watched.agent));
        }
        (used.least, used.most) = (amount(low), amount(high));
        if beyond > 0.0 {
            used.verdict = Verdict::Fail;
        } else if !used.short.is_empty() || of.is_empty() {
            used.verdict = Verdict::Inconclusive;
        }
        used
    }
}

/// Whether a watch looks at what this gauge is of. A later agent may tell more of it.
fn is_of(watch: &Watch, gauge: &Gauge) -> bool {
    let scope = Scope::of(gauge.name.as_str());
    match &gauge.thing {
        None => scope.is_none_or(|scope| scope == Scope::Host) && watch.tells(Scope::Host),
        Some(thing) => scope.is_some_and(|scope| watch.things(scope).any(|one| one == Some(thing))),
    }
}

impl Limits<'_> {
    /// By how much a reading is out of bounds, in its unit; 0 within.
    fn out_by(self, value: f64) -> f64 {
        let above = self.max.map_or(0.0, |max| value - max.value());
        let below = self.min.map_or(0.0, |min| min.value() - value);
        above.max(below).max(0.0)
    }
}

impl Said {
    fn evidence(&self, agent: &AgentId) -> Vec<Evidence> {
        let mut spools: BTreeMap<SpoolId, BTreeSet<Seq>> = BTreeMap::new();
        for &(spool, seq) in &self.records {
            spools.entry(spool).or_default().insert(seq);
        }
        let evidence = |(spool, seqs): (&SpoolId, &BTreeSet<Seq>)| {
            Some(Evidence {
                agent: agent.clone(),
                spool: *spool,
                from: *seqs.first()?,
                to: *seqs.last()?,
                records: seqs.len() as u64,
            })
        };
        spools.iter().filter_map(evidence).collect()
    }
}
