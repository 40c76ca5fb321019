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
pub(super) mod proc;
mod process;
mod share;

use std::time::Duration;

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

/// How long an engine is waited for: at least so long, and never longer. Some tell what a container
/// uses once a second, to whoever waits for it. Between the two, a reading is over before the next
/// is due.
const WITHIN: (Duration, Duration) = (Duration::from_millis(1_500), Duration::from_secs(5));

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

/// What one look found, not yet said of which step.
struct Seen {
    at: Mono,
    readings: Vec<Reading>,
    changes: Vec<(ThingName, Presence)>,
}

/// Looks, and knows what it saw last.
trait Source {
    /// Everything that this watch asks for; `None` when this program ends.
    fn look(&mut self, watch: Watch, engine: &str) -> impl Future<Output = Option<Seen>> + Send;
}

/// The host and its processes.
#[derive(Debug, Default)]
struct Here {
    host: host::Reader,
    processes: process::Reader,
}

impl Source for Here {
    async fn look(&mut self, watch: Watch, _engine: &str) -> Option<Seen> {
        let mut readers = std::mem::take(self);
        // The files of /proc may take the kernel some milliseconds.
        let read = tokio::task::spawn_blocking(move || {
            let at = clock::now();
            let (mut readings, changes) = readers.processes.read(at, &watch.processes);
            if !watch.without_host {
                let told = readers.host.read(at).into_iter();
                readings.extend(told.map(|(name, value, unit)| Reading {
                    name,
                    thing: None,
                    value,
                    unit,
                }));
            }
            let seen = Seen {
                at,
                readings,
                changes,
            };
            (readers, seen)
        });
        let (readers, seen) = read.await.ok()?;
        *self = readers;
        Some(seen)
    }
}

impl Source for container::Reader {
    async fn look(&mut self, watch: Watch, engine: &str) -> Option<Seen> {
        let at = clock::now();
        let within = (watch.every.duration() * 3 / 4).clamp(WITHIN.0, WITHIN.1);
        let (readings, changes) = self.read(engine, &watch.containers, within).await;
        Some(Seen {
            at,
            readings,
            changes,
        })
    }
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

impl Watching {
    /// Reads until the stage ends, and hands every reading to `tell`. An engine that takes its time
    /// holds up no reading of anything else.
    pub(super) async fn run<F>(self, mode: watch::Receiver<Mode>, tell: impl Fn(Look) -> F)
    where
        F: Future<Output = ()>,
    {
        let here = async {
            if !self.watch.without_host || !self.watch.processes.is_empty() {
                self.follow(mode.clone(), Here::default(), &tell).await;
            }
        };
        let engine = async {
            if !self.watch.containers.is_empty() {
                let containers = container::Reader::default();
                self.follow(mode.clone(), containers, &tell).await;
            }
        };
        tokio::join!(here, engine);
    }

    async fn follow<F>(
        &self,
        mut mode: watch::Receiver<Mode>,
        mut source: impl Source,
        tell: impl Fn(Look) -> F,
    ) where
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
            let (watch, engine) = allowed(&self.watch, &self.guard.policy());
            // An engine that hangs must not hold up the end of the stage.
            let seen = tokio::select! {
                biased;
                seen = source.look(watch, &engine) => seen,
                _ = mode.wait_for(|mode| *mode > Mode::Send) => None,
            };
            let Some(seen) = seen else {
                break;
            };
            tell(self.told(seen)).await;
            let now = clock::now();
            while next <= now {
                next = next.plus(Nanos(every));
            }
        }
    }

    fn told(&self, seen: Seen) -> Look {
        let Seen {
            at,
            readings,
            changes,
        } = seen;
        let gauges = readings.into_iter();
        let changes = changes.into_iter();
        Look {
            gauges: gauges.filter_map(|one| self.gauge(at, one)).collect(),
            events: changes
                .map(|(thing, how)| self.event(at, thing, how))
                .collect(),
        }
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
