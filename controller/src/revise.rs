//! Late results. A run that is over gets the next revision of its report once they have stopped
//! coming; the first one is its scribe's.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use nepho_common::id::{Attempt, RunId, RunKey};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use crate::{
    driver::{Holder, Input},
    journal::{RunState, Store, StoreError},
    scribe::Scribe,
};

/// A revision is made when nothing has come for so long: an agent sends all that it has in one go.
const QUIET: Duration = Duration::from_secs(2);
/// And at the latest so long after the first late record, for one that never stops.
const AT_THE_LATEST: Duration = Duration::from_secs(30);
/// A run that is under way makes its first report by itself; it is looked at again after this.
const UNDER_WAY: Duration = Duration::from_secs(10);
/// Runs that are looked at soon. An agent may name any number; what is beyond this is found at the
/// next start.
const RUNS_MAX: usize = 4096;

/// The runs of which something was stored. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Late {
    touched: Arc<Mutex<BTreeMap<RunId, Touched>>>,
    wake: Arc<Notify>,
}

#[derive(Debug, Clone, Copy)]
struct Touched {
    /// Not before this.
    due: Instant,
    /// And not after this.
    latest: Instant,
}

impl Late {
    /// Something new of these runs is in the store since `now`.
    pub fn touch(&self, runs: impl IntoIterator<Item = RunId>, now: Instant) {
        let due = now + QUIET;
        {
            let mut touched = self.touched.lock().expect("nobody panics with it");
            for run in runs {
                if let Some(known) = touched.get_mut(&run) {
                    known.due = due.min(known.latest);
                } else if touched.len() < RUNS_MAX {
                    let latest = now + AT_THE_LATEST;
                    touched.insert(run, Touched { due, latest });
                }
            }
        }
        self.wake.notify_one();
    }

    fn again(&self, run: RunId, now: Instant) {
        let due = now + UNDER_WAY;
        // What comes late while it waits gets its quiet time: half of it makes no revision.
        let latest = due + AT_THE_LATEST;
        let touched = Touched { due, latest };
        let mut all = self.touched.lock().expect("nobody panics with it");
        all.entry(run).or_insert(touched);
    }

    /// What is due, and when the next one is.
    fn take(&self, now: Instant) -> (Vec<RunId>, Option<Instant>) {
        let mut touched = self.touched.lock().expect("nobody panics with it");
        let due = touched.extract_if(.., |_, touched| touched.due <= now);
        let due = due.map(|(run, _)| run).collect();
        (due, touched.values().map(|touched| touched.due).min())
    }
}

/// Makes revisions.
#[derive(Debug)]
pub struct Reviser {
    /// The journal.
    pub store: Store,
    /// Under whose name it writes.
    pub holder: Holder,
    /// Who shows them.
    pub driver: mpsc::Sender<Input>,
    /// What it looks at.
    pub late: Late,
}

impl Reviser {
    /// Works until `down` turns true; looks at every run that is over first, for the last process
    /// may have ended before it came to it.
    pub async fn work(self, mut down: watch::Receiver<bool>) {
        match self.store.runs().await {
            Ok(rows) => self
                .late
                .touch(rows.into_iter().map(|row| row.run), Instant::now()),
            Err(error) => warn!(%error, "runs can't be looked at for late results"),
        }
        loop {
            let (due, next) = self.late.take(Instant::now());
            for run in due {
                if let Err(error) = self.look_at(&run).await {
                    warn!(%run, %error, "late results are stored, but the report was not made again");
                }
            }
            let next = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = down.wait_for(|down| *down) => return,
                () = self.late.wake.notified() => {}
                () = next => {}
            }
        }
    }

    async fn look_at(&self, run: &RunId) -> Result<(), StoreError> {
        let Some(row) = self.store.run(run).await? else {
            // Of a run that another controller had, or that was deleted.
            warn!(%run, "results of a run that is not known here are kept; no run is made of them");
            return Ok(());
        };
        match row.state {
            RunState::Queued | RunState::Running => self.late.again(row.run, Instant::now()),
            // It has no report that could be revised.
            RunState::Interrupted => {}
            RunState::Ended => {
                let stored = self.store.records_of_agents(run).await?;
                if row.made.is_some_and(|made| stored > made.records) {
                    self.revise(run).await?;
                }
            }
        }
        Ok(())
    }

    async fn revise(&self, run: &RunId) -> Result<(), StoreError> {
        let fence = self.holder.claim(&self.store, run).await?;
        let key = RunKey {
            run: run.clone(),
            attempt: Attempt(1),
            fence,
        };
        let records = self.store.run_records(run).await?;
        let own = records.iter().map(|record| &record.key);
        let Some(last) = own.filter(|key| key.agent.is_controller()).max() else {
            return Ok(());
        };
        let mut scribe = Scribe::going_on(self.store.clone(), key, last.spool, last.seq.next());
        let reported = scribe.report().await?;
        if let Input::Reported {
            verdict, revision, ..
        } = &reported
        {
            info!(%run, revision, verdict = verdict.word(), "late results: the report has a new revision");
        }
        // The driver only goes away when the whole controller does.
        self.driver.send(reported).await.unwrap_or_default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunId {
        "20261123-1200-late-00".parse().unwrap()
    }

    #[test]
    fn a_run_that_was_under_way_is_not_looked_at_while_late_results_come() {
        let late = Late::default();
        let began = Instant::now();
        late.again(run(), began);
        // They come just before it is to be looked at again, a second apart.
        let mut now = began + UNDER_WAY - Duration::from_millis(500);
        for _ in 0..3 {
            late.touch([run()], now);
            now += Duration::from_secs(1);
            assert_eq!(late.take(now).0, []);
        }
        assert_eq!(late.take(now + QUIET).0, [run()]);
    }

    #[test]
    fn results_that_never_stop_coming_do_not_keep_a_revision_waiting_for_ever() {
        let late = Late::default();
        let began = Instant::now();
        let mut now = began;
        while late.take(now).0.is_empty() {
            late.touch([run()], now);
            now += Duration::from_secs(1);
            assert!(now - began <= AT_THE_LATEST + Duration::from_secs(1));
        }
    }
}
