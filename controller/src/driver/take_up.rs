//! Runs that the last controller left unfinished are taken up, with a higher fence.

use std::{collections::BTreeMap, time::Duration};

use nepho_common::{
    event::{Event, What},
    id::{AgentId, Attempt, Fence, RunId, RunKey, Seq, SpoolId, StageName},
    journal::{Body, Entry},
    plan::Plan,
    time::WallMillis,
};
use nepho_controller_core::{
    report::{self, Verdict},
    run::{Input, Past, Run, shift_by_wall},
};
use ring::rand::{SecureRandom as _, SystemRandom};
use tracing::{info, warn};

use super::live::TakenUp;
use crate::{
    clock,
    journal::{Claim, Claimed, Ending, RunRow, RunState, Store, StoreError},
    news,
    scribe::{self, Scribe},
    view::StageView,
};

/// How long a run stays ours when we don't renew: three times what lies between two renewals.
const LEASE_MS: i64 = 15_000;
/// How often leases are renewed.
pub const LEASE_RENEW_EVERY: Duration = Duration::from_secs(5);

/// This start of the controller's process, as leases name it.
#[derive(Debug, Clone)]
pub struct Holder {
    name: String,
    clock: String,
}

impl Holder {
    /// A new one, on this host.
    #[must_use]
    pub fn new(host: &str) -> Self {
        let mut bytes = [0; 8];
        // Without random numbers nothing else starts either; the process id tells starts apart.
        SystemRandom::new().fill(&mut bytes).unwrap_or_default();
        let random = u64::from_be_bytes(bytes);
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            name: format!("{host}/{}/{random:016x}", std::process::id()),
            clock: boot.trim().to_owned(),
        }
    }

    fn until() -> WallMillis {
        WallMillis(clock::wall().0.saturating_add(LEASE_MS))
    }

    /// Takes the lease of a run that nobody has yet.
    ///
    /// # Errors
    /// When the store fails, or somebody has it.
    pub async fn claim(&self, store: &Store, run: &RunId) -> Result<Fence, StoreError> {
        match self.ask(store, run).await? {
            Claimed::Taken { fence, .. } => Ok(fence),
            Claimed::Held { .. } => Err(StoreError::Fenced(run.clone())),
        }
    }

    async fn ask(&self, store: &Store, run: &RunId) -> Result<Claimed, StoreError> {
        let claim = Claim {
            run: run.clone(),
            holder: self.name.clone(),
            clock: self.clock.clone(),
            until: Self::until(),
            // The store's lock is held as long as its process lives.
            alone: true,
        };
        store.claim(claim, clock::wall()).await
    }

    /// Keeps what this process has.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn renew(&self, store: &Store) -> Result<(), StoreError> {
        store.renew_leases(self.name.clone(), Self::until()).await
    }
}

/// A run, and what the store has of its agents.
type Taken = (TakenUp, Vec<Input>);

/// Takes up every run that is under way. One that never began is called interrupted.
///
/// # Errors
/// When the store can't be read or written.
pub async fn take_up(store: &Store, holder: &Holder) -> Result<Vec<Taken>, StoreError> {
    let mut all = Vec::new();
    for row in store.runs().await? {
        if row.state != RunState::Running {
            continue;
        }
        let run = row.run.clone();
        match holder.ask(store, &run).await? {
            Claimed::Held { holder, until } => {
                warn!(%run, holder, %until, "another controller drives this run");
            }
            Claimed::Taken { fence, same_clock } => {
                if let Some(taken) = one(store, row, fence, same_clock).await? {
                    info!(%run, fence = fence.0, "a run is taken up");
                    all.push(taken);
                } else {
                    warn!(%run, "a run was cut off before it began");
                    let ending = Ending {
                        state: RunState::Interrupted,
                        verdict: None,
                        made: None,
                        at: clock::wall(),
                    };
                    store.end_run(run, ending).await?;
                }
            }
        }
    }
    Ok(all)
}

async fn one(
    store: &Store,
    row: RunRow,
    fence: Fence,
    same_clock: bool,
) -> Result<Option<Taken>, StoreError> {
    let records = store.run_records(&row.run).await?;
    let mut news = BTreeMap::new();
    for record in &records {
        news::tell(record, &mut news);
    }
    let (entries, _) = scribe::read(records);
    let Some(plan) = plan(&entries) else {
        return Ok(None);
    };
    let own = |entry: &&Entry| entry.key.agent.is_controller();
    let Some(last) = entries.iter().filter(own).map(|entry| &entry.key).max() else {
        return Ok(None);
    };
    let (spool, next) = (last.spool, last.seq.next());
    let said: Vec<Event> = entries
        .iter()
        .filter(own)
        .flat_map(|entry| match &entry.body {
            Body::Events(events) => events.clone(),
            Body::Recordings(_)
            | Body::Gauges(_)
            | Body::Traces(_)
            | Body::Exhibits(_)
            | Body::Seal(_) => Vec::new(),
        })
        .collect();
    let now = clock::now();
    let shift = if same_clock {
        0
    } else {
        shift_by_wall(&said, now, clock::wall())
    };
    let (passed, stages) = judged(&entries, &said);
    let key = RunKey {
        run: row.run.clone(),
        attempt: Attempt(1),
        fence,
    };
    let past = Past {
        key: key.clone(),
        plan,
        said: &said,
        shift,
        passed,
    };
    let Some((run, actions)) = Run::restore(past, now) else {
        return Ok(None);
    };
    let owned = durable(store, &entries).await?;
    let taken = TakenUp {
        run,
        actions,
        scribe: Scribe::going_on(store.clone(), key, spool, next),
        created: row.created,
        said,
        tally: news.remove(&row.run).unwrap_or_default().tally,
        stages,
    };
    Ok(Some((taken, owned)))
}

fn plan(entries: &[Entry]) -> Option<Plan> {
    entries.iter().find_map(|entry| match &entry.body {
        Body::Exhibits(all) if entry.key.agent.is_controller() => {
            let plan = all.iter().find(|one| one.name.as_str() == "plan")?;
            serde_json::from_slice(&plan.content).ok()
        }
        Body::Exhibits(_)
        | Body::Events(_)
        | Body::Recordings(_)
        | Body::Gauges(_)
        | Body::Traces(_)
        | Body::Seal(_) => None,
    })
}

/// The stages that were collected are judged again: the same records, the same verdict.
fn judged(entries: &[Entry], said: &[Event]) -> (BTreeMap<StageName, bool>, Vec<StageView>) {
    let mut passed = BTreeMap::new();
    let mut views = Vec::new();
    for event in said {
        if let What::StageCollected { stage, .. } = &event.what {
            let verdict = report::judge_stage(entries.to_vec(), stage);
            passed.insert(stage.clone(), verdict == Verdict::Pass);
            let stage = stage.clone();
            views.push(StageView { stage, verdict });
        }
    }
    (passed, views)
}

async fn durable(store: &Store, entries: &[Entry]) -> Result<Vec<Input>, StoreError> {
    let mut spools: BTreeMap<(AgentId, SpoolId), Seq> = BTreeMap::new();
    for entry in entries.iter().filter(|e| !e.key.agent.is_controller()) {
        let of = (entry.key.agent.clone(), entry.key.spool);
        if let std::collections::btree_map::Entry::Vacant(slot) = spools.entry(of) {
            let (agent, spool) = slot.key();
            let seq = store.durable(agent, spool).await?;
            slot.insert(seq);
        }
    }
    let input = |((agent, spool), seq)| Input::Durable { agent, spool, seq };
    Ok(spools.into_iter().map(input).collect())
}
