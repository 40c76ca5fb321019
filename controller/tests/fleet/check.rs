//! What must hold after every seed.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    event::What,
    id::{AgentId, StageName},
    journal::Body,
    recording::Metric,
    time::{DRIFT_PPM, Mono, Nanos},
};
use nepho_controller_core::report::Verdict;

use crate::{
    agent::Kept,
    scene,
    world::{self, World},
};

/// A start is ordered at most so long after its clock was measured.
const MEASURED: Nanos = Nanos::from_secs(30);

/// A promise that is broken on purpose, to see that the checks can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    None,
    AckBeforeStore,
    StoreTwice,
    Invent,
    LoseSamples,
    /// A record leaves the agent before it is on disk.
    SendBeforeSync,
    /// What does not fit on a full disk is forgotten.
    DropWhenFull,
    /// Nobody says that a host slept.
    HideSleep,
}

/// How often what happened: a simulation in which nothing goes wrong shows nothing.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    passed: u32,
    crashes: u32,
    lost: u32,
    returned: u32,
    missing: u32,
    stopped: u32,
    skipped: u32,
    /// Messages that the fabric lost, repeated, or delivered after a later one.
    dropped: u32,
    repeated: u32,
    reordered: u32,
    /// Records that a crash took before they were synced.
    forgotten: u32,
    /// Writes that a full disk refused.
    full: u32,
    /// Sleeps of a host, and those of them that a run's journal tells.
    slept: u32,
    told: u32,
    /// Runs in which a host slept while a stage was under way.
    spoilt: u32,
    /// Starts that the hosts' own bounds narrowed, and claims of theirs that were not believed.
    narrowed: u32,
    rejected: u32,
    /// Changes of the time of day.
    stepped: u32,
    restarts: u32,
}

impl Seen {
    pub(crate) fn count(&mut self, world: &World) {
        self.crashes += world.crashes;
        self.restarts += world.restarts;
        self.stopped += u32::from(world.stopped);
        self.passed += u32::from(world.verdict == Verdict::Pass);
        self.dropped += world.fabric.dropped;
        self.repeated += world.fabric.repeated;
        self.reordered += world.fabric.reordered;
        self.stepped += world.stepped;
        for agent in &world.agents {
            self.forgotten += agent.disk.forgotten;
            self.full += agent.disk.refused;
            self.slept += u32::try_from(agent.sleeps.len()).unwrap();
        }
        self.told += u32::try_from(world.sleeps_told()).unwrap();
        self.spoilt += u32::from(slept_in_a_stage(world).is_some());
        for what in world.journal() {
            match what {
                What::AgentLost { .. } => self.lost += 1,
                What::AgentReturned { .. } => self.returned += 1,
                What::StageCollected { missing, .. } => {
                    self.missing += u32::from(!missing.is_empty())
                }
                What::StageSkipped { .. } => self.skipped += 1,
                What::HostClockRejected { .. } => self.rejected += 1,
                What::StageOrdered { agents, .. } => {
                    let narrowed = agents.values().filter(|order| order.measured.is_some());
                    self.narrowed += u32::try_from(narrowed.count()).unwrap();
                }
                _ => {}
            }
        }
    }

    pub(crate) fn assert_everything_happened(&self) {
        let Self {
            passed,
            crashes,
            lost,
            returned,
            missing,
            stopped,
            skipped,
            dropped,
            repeated,
            reordered,
            forgotten,
            full,
            slept,
            told,
            spoilt,
            narrowed,
            rejected,
            stepped,
            restarts,
        } = self;
        for (what, times) in [
            ("passed", passed),
            ("crashes", crashes),
            ("lost", lost),
            ("returned", returned),
            ("missing", missing),
            ("stopped", stopped),
            ("skipped", skipped),
            ("dropped", dropped),
            ("repeated", repeated),
            ("reordered", reordered),
            ("forgotten", forgotten),
            ("full", full),
            ("slept", slept),
            ("told", told),
            ("spoilt", spoilt),
            ("narrowed", narrowed),
            ("rejected", rejected),
            ("stepped", stepped),
            ("restarts", restarts),
        ] {
            assert!(*times > 0, "{what} never happened: {self:?}");
        }
    }
}

pub(crate) fn check(world: &World) -> Result<(), String> {
    conservation(world)?;
    ending(world)?;
    completeness(world)?;
    starts(world)?;
    verdict(world)?;
    claims(world)?;
    sleeps(world)
}

fn demand(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// Acknowledged is stored, once; stored was issued, with that content.
fn conservation(world: &World) -> Result<(), String> {
    for agent in &world.agents {
        for entry in agent
            .disk
            .synced
            .iter()
            .take(usize::try_from(agent.outbox.acked().0).unwrap())
        {
            let stored = world.store.get(&entry.key);
            demand(stored.is_some(), || {
                format!("{:?} was acknowledged and is not stored", entry.key)
            })?;
        }
    }
    for (key, (stored, times)) in &world.store {
        demand(*times == 1, || format!("{key:?} was counted {times} times"))?;
        if key.agent.is_controller() {
            continue;
        }
        let agent = world
            .agents
            .iter()
            .find(|agent| agent.id == key.agent)
            .unwrap();
        let issued = agent
            .disk
            .synced
            .get(usize::try_from(key.seq.0 - 1).unwrap());
        demand(issued == Some(stored), || {
            format!("{key:?} was stored and not issued so")
        })?;
    }
    Ok(())
}

fn ending(world: &World) -> Result<(), String> {
    let ends = world
        .journal()
        .into_iter()
        .filter(|what| matches!(what, What::RunEnded { .. }));
    let ends = ends.count();
    demand(ends == 1, || format!("the run ended {ends} times"))?;
    let mut ordered = BTreeSet::new();
    for what in world.journal() {
        if let What::StageOrdered { stage, .. } = what {
            demand(ordered.insert(stage), || {
                format!("{stage} was started twice")
            })?;
        }
    }
    demand(world.run.is_over(), || "the run is not over".to_owned())?;
    let owed: Vec<_> = world
        .agents
        .iter()
        .map(|agent| agent.outbox.owed())
        .collect();
    demand(owed.iter().all(|owed| *owed == 0), || {
        format!("agents still owe records: {owed:?}")
    })
}

/// Of an agent that was collected, everything it observed is in the store.
fn completeness(world: &World) -> Result<(), String> {
    let stored = stored(world);
    for what in world.journal() {
        let What::StageCollected { stage, missing } = what else {
            continue;
        };
        for agent in world
            .agents
            .iter()
            .filter(|agent| !missing.contains(&agent.id))
        {
            let Some(truth) = agent.truth.get(stage) else {
                continue;
            };
            let found = stored
                .get(&(agent.id.clone(), stage.clone()))
                .copied()
                .unwrap_or_default();
            demand(found == *truth, || {
                format!(
                    "{} observed {truth} in {stage}, {found} are stored",
                    agent.id
                )
            })?;
        }
    }
    Ok(())
}

/// The true start lies within the stated bound, whatever the paths and the clocks.
fn starts(world: &World) -> Result<(), String> {
    for what in world.journal() {
        let What::StageOrdered {
            stage, at, agents, ..
        } = what
        else {
            continue;
        };
        for agent in &world.agents {
            let (Some(order), Some(&(actual, own))) =
                (agents.get(&agent.id), agent.starts.get(stage))
            else {
                continue;
            };
            // A host that slept between the order and the start can't keep its word. It says so.
            let mut sleeps = agent.sleeps.iter();
            if sleeps.any(|(from, long)| *from <= actual && at.since(from.plus(*long)) < MEASURED) {
                continue;
            }
            let lateness = own.since(order.at).0;
            let error = Mono::minus(actual, *at).unsigned_abs();
            let bound = order.offset.width().half().0 + lateness;
            demand(error <= bound, || {
                format!(
                    "{} started {stage} {error} ns off, the bound was {bound}",
                    agent.id
                )
            })?;
            // The shortest round trip may be as old as the world, and what was known then has drifted.
            let drift = at.since(world::BEGIN).0 / 1_000_000 * DRIFT_PPM;
            let tight = order.round_trip.half().0 + drift + 1_000_000;
            demand(order.offset.width().half().0 <= tight, || {
                format!(
                    "the bound {} is padded beyond {tight}",
                    order.offset.width().half()
                )
            })?;
        }
    }
    Ok(())
}

/// No data is never a pass: a run passes only if every request of the plan is in the store, whether
/// it came in time or late.
fn verdict(world: &World) -> Result<(), String> {
    let planned = scene::REQUESTS * scene::AGENTS.len() as u64 * 2;
    let found: u64 = stored(world).values().sum();
    demand(world.verdict != Verdict::Pass || found == planned, || {
        format!("passed with {found} of {planned} requests")
    })
}

/// Who lies about its clock is not believed, and who tells the truth is not called a liar.
fn claims(world: &World) -> Result<(), String> {
    for what in world.journal() {
        match what {
            What::HostClockRejected { agent, .. } => {
                let of = world.agents.iter().find(|one| one.id == *agent).unwrap();
                // A host that slept says of its clock what was so before.
                let lied = of.kept == Kept::Lies || !of.sleeps.is_empty();
                demand(lied, || {
                    format!("{agent} told the truth and was not believed")
                })?;
            }
            What::StageOrdered { stage, agents, .. } => {
                let mut liars = world.agents.iter().filter(|one| one.kept == Kept::Lies);
                let believed = liars.find(|one| {
                    let order = agents.get(&one.id);
                    order.is_some_and(|order| order.measured.is_some())
                });
                demand(believed.is_none(), || {
                    format!("a lie moved the start of {stage}")
                })?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a host slept through can't be judged by: such a run does not pass.
fn sleeps(world: &World) -> Result<(), String> {
    let Some((agent, stage)) = slept_in_a_stage(world) else {
        return Ok(());
    };
    demand(world.verdict != Verdict::Pass, || {
        format!("passed although {agent} slept in {stage}")
    })
}

/// Who slept in which of its stages.
fn slept_in_a_stage(world: &World) -> Option<(&AgentId, &StageName)> {
    world.agents.iter().find_map(|agent| {
        let slept = |(stage, (began, _)): (&StageName, &(Mono, Mono))| {
            let sealed = *agent.seals.get(stage)?;
            let in_it = |(from, long): &(Mono, Nanos)| *from < sealed && from.plus(*long) > *began;
            let mut sleeps = agent.sleeps.iter();
            sleeps.any(in_it).then_some(())
        };
        let found = agent
            .starts
            .iter()
            .find(|(stage, at)| slept((stage, at)).is_some());
        found.map(|(stage, _)| (&agent.id, stage))
    })
}

/// How many requests of each agent and stage are in the store.
fn stored(world: &World) -> BTreeMap<(AgentId, StageName), u64> {
    let mut stored: BTreeMap<(AgentId, StageName), u64> = BTreeMap::new();
    for (entry, _) in world.store.values() {
        let Body::Recordings(recordings) = &entry.body else {
            continue;
        };
        for recording in recordings
            .iter()
            .filter(|r| r.series.metric == Metric::ResponseTime)
        {
            let key = (
                recording.series.agent.clone(),
                recording.series.stage.clone(),
            );
            *stored.entry(key).or_default() += recording.histogram.count();
        }
    }
    stored
}
