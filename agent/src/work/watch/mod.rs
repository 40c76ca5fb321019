//! Reads every so often what this host uses and has left, and what some things on it use.
//!
//! Counters are told as rates between two readings, so the first reading of a stage tells levels only.
//! What the kernel does not say is left out: no zero stands for "unknown".
//!
//! - [`host`]: the readings, from sysinfo and, for what it lacks, from `/proc`.
//! - [`process`]: of processes. [`container`]: of containers, by what their [`engine`] says.
//! - [`presence`]: whether a thing is there, and how often another one came in its place.
//! - [`proc`]: the files of `/proc` and cgroups, parsed. [`share`]: shares and rates.

mod container;
mod engine;
mod host;
mod presence;
mod proc;
mod process;
mod share;

use nepho_common::{
    event::{Presence, What},
    id::{Operation, StageName, StepName, ThingName},
    plan::Watch,
    policy::Policy,
    recording::{Gauge, Scope, Unit},
    time::{Mono, Nanos, RunTime},
};
use tokio::sync::watch;

use super::{guard::Guard, pacer::Mode};
use crate::{clock, clock::Alarm};

/// What one reading says: a name, of what, a value and its unit.
#[derive(Debug, Clone, PartialEq)]
struct Reading {
    name: &'static str,
    /// The host itself when `None`.
    thing: Option<ThingName>,
    value: f64,
    unit: Unit,
}

/// What was seen at one instant.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) gauges: Vec<Gauge>,
    /// What changed about things that are watched.
    pub(super) events: Vec<What>,
}

/// A step that watches this host.
#[derive(Debug, Clone)]
pub(super) struct Watching {
    pub(super) stage: StageName,
    pub(super) step: StepName,
    pub(super) watch: Watch,
    /// The stage's start, on this host's clock and in run time.
    pub(super) at: Mono,
    pub(super) at_run: RunTime,
    /// From the start on.
    pub(super) lasts: Nanos,
    /// Says what may be looked at: the owner of the host may change his mind in the middle.
    pub(super) guard: Guard,
}

/// Knows what was read last.
#[derive(Debug, Default)]
struct Readers {
    host: host::Reader,
    processes: process::Reader,
    containers: container::Reader,
}

impl Watching {
    /// Reads until the stage ends, and hands every reading to `tell`.
    pub(super) async fn run<F>(self, mut mode: watch::Receiver<Mode>, tell: impl Fn(Look) -> F)
    where
        F: Future<Output = ()>,
    {
        let mut alarm = match Alarm::new() {
            Ok(alarm) => alarm,
            Err(error) => {
                tracing::error!(%error, stage = %self.stage, step = %self.step, "a watch has no alarm");
                return;
            }
        };
        let end = self.at.plus(self.lasts);
        let every = self.watch.every.0.max(1);
        // A process that resumes a stage reads at the instants that are still to come.
        let missed = clock::now().since(self.at).0.div_ceil(every);
        let mut next = self.at.plus(Nanos(missed.saturating_mul(every)));
        let mut readers = Some(Readers::default());
        while next < end {
            tokio::select! {
                biased;
                _ = mode.wait_for(|mode| *mode > Mode::Send) => break,
                rang = alarm.until(next) => {
                    if rang.is_err() {
                        break;
                    }
                }
            }
            let allowed = allowed(&self.watch, &self.guard.policy());
            let mine = readers.take().unwrap_or_default();
            // An engine that hangs must not hold up the end of the stage.
            let looked = tokio::select! {
                biased;
                looked = self.look(mine, allowed) => looked,
                _ = mode.wait_for(|mode| *mode > Mode::Send) => None,
            };
            let Some((back, look)) = looked else {
                break;
            };
            readers = Some(back);
            tell(look).await;
            let now = clock::now();
            while next <= now {
                next = next.plus(Nanos(every));
            }
        }
    }

    async fn look(
        &self,
        mut readers: Readers,
        (watch, engine): (Watch, String),
    ) -> Option<(Readers, Look)> {
        let picks = watch.containers.clone();
        // The files of /proc may take the kernel some milliseconds.
        let read = tokio::task::spawn_blocking(move || {
            let at = clock::now();
            let mut readings = Vec::new();
            if !watch.without_host {
                let told = readers.host.read(at).into_iter();
                readings.extend(told.map(|(name, value, unit)| Reading {
                    name,
                    thing: None,
                    value,
                    unit,
                }));
            }
            let (more, changes) = readers.processes.read(at, &watch.processes);
            readings.extend(more);
            (readers, at, readings, changes)
        });
        let (mut readers, at, mut readings, mut changes) = read.await.ok()?;
        let (more, seen) = readers.containers.read(&engine, &picks).await;
        readings.extend(more);
        changes.extend(seen);
        let look = Look {
            gauges: readings
                .into_iter()
                .filter_map(|one| self.gauge(at, one))
                .collect(),
            events: changes
                .into_iter()
                .map(|(thing, how)| self.event(at, thing, how))
                .collect(),
        };
        Some((readers, look))
    }

    fn gauge(&self, at: Mono, reading: Reading) -> Option<Gauge> {
        let Reading {
            name,
            thing,
            value,
            unit,
        } = reading;
        let name = Operation::try_from(name.to_owned()).ok()?;
        value.is_finite().then(|| Gauge {
            name,
            stage: self.stage.clone(),
            step: self.step.clone(),
            of: None,
            thing,
            at: self.run_time(at),
            value,
            unit,
        })
    }

    fn event(&self, at: Mono, thing: ThingName, how: Presence) -> What {
        What::ThingSeen {
            stage: self.stage.clone(),
            step: self.step.clone(),
            thing,
            at: self.run_time(at),
            how,
        }
    }

    fn run_time(&self, at: Mono) -> RunTime {
        RunTime(self.at_run.0.saturating_add(at.minus(self.at)))
    }
}

/// The part of a watch that the policy allows now, and where the container engine is.
fn allowed(watch: &Watch, policy: &Policy) -> (Watch, String) {
    let mut watch = watch.clone();
    watch.without_host |= policy.admits_action(&Scope::Host.action()).is_err();
    watch
        .processes
        .retain(|_, pick| policy.admits_process(pick).is_ok());
    watch
        .containers
        .retain(|_, pick| policy.admits_container(pick).is_ok());
    (watch, policy.watch.engine().to_owned())
}
