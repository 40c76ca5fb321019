//! Reads every so often what this host uses and has left.
//!
//! Counters are told as rates between two readings, so the first reading of a stage tells levels only.
//! What the kernel does not say is left out: no zero stands for "unknown".
//!
//! - [`host`]: the readings, from sysinfo and, for what it lacks, from `/proc`.
//! - [`proc`]: the files of `/proc` and cgroups, parsed.

mod host;
mod proc;

use nepho_common::{
    id::{Operation, StageName, StepName},
    recording::{Gauge, Unit},
    time::{Mono, Nanos, RunTime},
};
use tokio::sync::watch;

use self::host::Reader;
use super::pacer::Mode;
use crate::{clock, clock::Alarm};

/// What one reading says: a name, a value and its unit.
pub(super) type Reading = (&'static str, f64, Unit);

/// A step that watches this host.
#[derive(Debug, Clone)]
pub(super) struct Watching {
    pub(super) stage: StageName,
    pub(super) step: StepName,
    pub(super) every: Nanos,
    /// The stage's start, on this host's clock and in run time.
    pub(super) at: Mono,
    pub(super) at_run: RunTime,
    /// From the start on.
    pub(super) lasts: Nanos,
}

impl Watching {
    /// Reads until the stage ends, and hands every reading to `tell`.
    pub(super) async fn run<F>(
        self,
        mut mode: watch::Receiver<Mode>,
        tell: impl Fn(Vec<Gauge>) -> F,
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
        // A process that resumes a stage reads at the instants that are still to come.
        let missed = clock::now().since(self.at).0.div_ceil(self.every.0.max(1));
        let mut next = self.at.plus(Nanos(missed.saturating_mul(self.every.0)));
        let mut reader = Some(Reader::default());
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
            // The files of /proc may take the kernel some milliseconds.
            let mut mine = reader.take().unwrap_or_default();
            let read = tokio::task::spawn_blocking(move || {
                let at = clock::now();
                let readings = mine.read(at);
                (mine, at, readings)
            });
            let Ok((back, at, readings)) = read.await else {
                break;
            };
            reader = Some(back);
            tell(
                readings
                    .into_iter()
                    .filter_map(|one| self.gauge(at, one))
                    .collect(),
            )
            .await;
            let now = clock::now();
            while next <= now {
                next = next.plus(Nanos(self.every.0.max(1)));
            }
        }
    }

    fn gauge(&self, at: Mono, (name, value, unit): Reading) -> Option<Gauge> {
        let name = Operation::try_from(name.to_owned()).ok()?;
        value.is_finite().then(|| Gauge {
            name,
            stage: self.stage.clone(),
            step: self.step.clone(),
            of: None,
            at: RunTime(self.at_run.0.saturating_add(at.minus(self.at))),
            value,
            unit,
        })
    }
}
