//! How the API asks the driver and the store.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use nepho_common::{
    control::{Host, StopMode},
    id::{AgentId, EnvironmentName, RunId},
    journal::{Record, RecordKind},
    time::WallMillis,
};
use nepho_controller_core::{
    log::{self, Line},
    report::{Report, Verdict, render::Lang},
};
use nepho_proto::tls::agent_uri;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Input, take_up::Holder};
use crate::{
    clock,
    identity::{
        ca::Authority,
        enrol::{self, MintError},
        token::JoinToken,
    },
    journal::{RunRow, RunState, Store, StoreError},
    listen::Cuts,
    scribe,
    view::{AgentDetail, AgentView, CertificateView, RunView, SpoolView},
};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no such run.
    #[error("there is no run {0}; `nepho runs` lists them")]
    NoSuchRun(RunId),
    /// There is no such revision of its report.
    #[error("run {0} has {1}")]
    NoSuchRevision(RunId, Revisions),
    /// There is no such agent.
    #[error("there is no agent {0}; `nepho agents ls` lists them")]
    NoSuchAgent(AgentId),
    /// The run is over.
    #[error("run {0} is over already")]
    Over(RunId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No join token could be made.
    #[error("no join token can be made")]
    Mint(#[source] MintError),
    /// The controller is shutting down.
    #[error("the controller is shutting down")]
    Down,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// The revisions that a run's report has, by the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revisions(u32);

impl fmt::Display for Revisions {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => write!(to, "no revision of its report yet"),
            1 => write!(to, "revision 1 of its report only"),
            last => write!(to, "revisions 1 to {last} of its report"),
        }
    }
}

/// A join token and how it is used.
#[derive(Debug)]
pub struct Enrolled {
    /// The token.
    pub token: JoinToken,
    /// When it is void.
    pub expires: WallMillis,
    /// What to type on the agent's host.
    pub command: String,
}

/// An agent that is no longer one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Which.
    pub agent: AgentId,
    /// Since when.
    pub since: WallMillis,
    /// How many connections of it were cut.
    pub connections: usize,
}

/// The way to the driver. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    driver: mpsc::Sender<Input>,
    pub(super) store: Store,
    authority: Arc<Authority>,
    pub(super) host: Host,
    /// Where agents come to enrol, as they are told.
    enrolment: String,
    cuts: Cuts,
    pub(super) holder: Holder,
}

impl Handle {
    /// A handle on this driver.
    #[must_use]
    pub const fn new(
        driver: mpsc::Sender<Input>,
        store: Store,
        authority: Arc<Authority>,
        host: Host,
        enrolment: String,
        cuts: Cuts,
        holder: Holder,
    ) -> Self {
        Self {
            driver,
            store,
            authority,
            host,
            enrolment,
            cuts,
            holder,
        }
    }

    /// Takes an agent's right away and ends what it has open: it is told, then written down, then
    /// cut, so that whatever it opens in between is cut as well. Revoking twice changes nothing.
    ///
    /// # Errors
    /// [`Failure::NoSuchAgent`], or when the store fails.
    pub async fn revoke(&self, agent: AgentId) -> Result<Revoked, Failure> {
        let Some(row) = self.store.agent(&agent).await? else {
            return Err(Failure::NoSuchAgent(agent));
        };
        let dismiss = |reply| Input::Dismiss {
            agent: agent.clone(),
            reason: "revoked".to_owned(),
            reply,
        };
        self.ask(dismiss).await?;
        let now = clock::wall();
        let is_new = self.store.revoke(agent.clone(), now).await?;
        let connections = self.cuts.live(&agent);
        self.cuts.cut(&agent);
        tracing::warn!(%agent, connections, is_new, "agent revoked");
        Ok(Revoked {
            agent,
            since: row.revoked.unwrap_or(now),
            connections,
        })
    }

    pub(super) async fn ask<T>(
        &self,
        input: impl FnOnce(oneshot::Sender<T>) -> Input,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        self.driver
            .send(input(reply))
            .await
            .map_err(|_| Failure::Down)?;
        answer.await.map_err(|_| Failure::Down)
    }

    /// Every agent that was enrolled, connected or not, revoked ones too.
    pub async fn agents(&self) -> Vec<AgentView> {
        let views = self.ask(Input::Agents).await.unwrap_or_default();
        let rows = self.store.agents().await.unwrap_or_default();
        let by_name = views.into_iter().map(|view| (view.agent.clone(), view));
        let mut known: BTreeMap<_, _> = by_name.collect();
        let shown = rows.into_iter().map(|row| {
            let seen = known.remove(&row.agent);
            let revoked = row.revoked;
            let view = seen.unwrap_or_else(|| AgentView::unseen(row.agent, row.environment));
            AgentView { revoked, ..view }
        });
        let mut views: Vec<_> = shown.collect();
        // The store may have failed; who is connected is there all the same.
        views.extend(known.into_values());
        views.sort_by(|a, b| (&a.environment, &a.agent).cmp(&(&b.environment, &b.agent)));
        views
    }

    /// One agent in full.
    ///
    /// # Errors
    /// [`Failure::NoSuchAgent`], or when the store fails.
    pub async fn agent(&self, agent: AgentId) -> Result<AgentDetail, Failure> {
        let Some(row) = self.store.agent(&agent).await? else {
            return Err(Failure::NoSuchAgent(agent));
        };
        let views = self.ask(Input::Agents).await?;
        let seen = views.into_iter().find(|view| view.agent == agent);
        let view = seen.unwrap_or_else(|| AgentView::unseen(agent.clone(), row.environment));
        let spools = self.store.spools(&agent).await?.into_iter();
        Ok(AgentDetail {
            view: AgentView {
                revoked: row.revoked,
                ..view
            },
            identity: agent_uri(&agent),
            enrolled: row.enrolled,
            certificate: CertificateView {
                serial: row.serial,
                not_after: row.not_after,
            },
            next: row.next.map(|next| CertificateView {
                serial: next.serial,
                not_after: next.not_after,
            }),
            connections: self.cuts.live(&agent),
            spools: spools
                .map(|(spool, committed)| SpoolView { spool, committed })
                .collect(),
        })
    }

    /// All runs, the newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn runs(&self) -> Result<Vec<RunView>, Failure> {
        let mut views = Vec::new();
        for row in self.store.runs().await? {
            views.push(
                match self
                    .ask(|reply| Input::Watch(row.run.clone(), reply))
                    .await?
                {
                    Some(live) => live.borrow().clone(),
                    None => past(row),
                },
            );
        }
        views.sort_by_key(|view| std::cmp::Reverse(view.created));
        Ok(views)
    }

    /// One run.
    ///
    /// # Errors
    /// [`Failure::NoSuchRun`], or when the store fails.
    pub async fn run(&self, run: &RunId) -> Result<RunView, Failure> {
        Ok(self.watch(run).await?.borrow().clone())
    }

    /// A run as it changes. Ends after the view with a verdict.
    ///
    /// # Errors
    /// [`Failure::NoSuchRun`], or when the store fails.
    pub async fn watch(&self, run: &RunId) -> Result<watch::Receiver<RunView>, Failure> {
        if let Some(live) = self.ask(|reply| Input::Watch(run.clone(), reply)).await? {
            return Ok(live);
        }
        Ok(watch::channel(past(self.row(run).await?)).1)
    }

    /// Asks a run to end before its time; comes back at once, the run takes its time.
    ///
    /// # Errors
    /// [`Failure::NoSuchRun`] or [`Failure::Over`].
    pub async fn stop(&self, run: &RunId, mode: StopMode, by: String) -> Result<(), Failure> {
        let stop = |reply| Input::Stop {
            run: run.clone(),
            mode,
            by,
            reply,
        };
        if self.ask(stop).await? {
            return Ok(());
        }
        self.row(run).await?;
        Err(Failure::Over(run.clone()))
    }

    /// The report in this language, folded from what the store has now, or as it was in a revision.
    ///
    /// # Errors
    /// [`Failure::NoSuchRun`] or [`Failure::NoSuchRevision`], or when the store fails.
    pub async fn report(
        &self,
        run: &RunId,
        revision: Option<u32>,
        lang: Lang,
    ) -> Result<Report, Failure> {
        if revision.is_none() {
            self.row(run).await?;
            let kept = self.store.run_kept(run).await?;
            if let Some(report) = scribe::fold_kept(lang, kept) {
                return Ok(report);
            }
        }
        let (row, records) = self.records(run).await?;
        let last = row.made.map_or(0, |made| made.revision);
        scribe::refold_in(lang, revision, records)
            .ok_or(Failure::NoSuchRevision(row.run, Revisions(last)))
    }

    /// Everything that the store has of a run.
    ///
    /// # Errors
    /// [`Failure::NoSuchRun`], or when the store fails.
    pub async fn records(&self, run: &RunId) -> Result<(RunRow, Vec<Record>), Failure> {
        let row = self.row(run).await?;
        Ok((row, self.store.run_records(run).await?))
    }

    /// The events of a run, in words; whether it is over.
    ///
    /// # Errors
    /// [`Failure::NoSuchRun`], or when the store fails.
    pub async fn log(&self, run: &RunId) -> Result<(Vec<Line>, bool), Failure> {
        // Whether it is over is asked first: nothing that it said until then is missing below.
        let over = self.run(run).await?.is_over();
        let records = self.store.run_records_of(run, RecordKind::Events).await?;
        let (entries, _) = scribe::read(records);
        Ok((log::lines(&entries), over))
    }

    async fn row(&self, run: &RunId) -> Result<RunRow, Failure> {
        self.store
            .run(run)
            .await?
            .ok_or_else(|| Failure::NoSuchRun(run.clone()))
    }

    /// Makes a join token.
    ///
    /// # Errors
    /// When it can't be made or stored.
    pub async fn enroll(
        &self,
        environment: EnvironmentName,
        agent: Option<AgentId>,
        ttl: Duration,
    ) -> Result<Enrolled, Failure> {
        let now = clock::wall();
        let token = enrol::mint(&self.store, &self.authority, environment, agent, ttl, now);
        let token = token.await.map_err(Failure::Mint)?;
        let valid = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        let command = format!(
            "nepho-agent join --controller {} --token-file -",
            self.enrolment
        );
        Ok(Enrolled {
            token,
            expires: WallMillis(now.0.saturating_add(valid)),
            command,
        })
    }
}

/// A run that is no longer in memory.
fn past(row: RunRow) -> RunView {
    let verdict = row.verdict.as_ref().and_then(|word| {
        serde_json::from_value::<Verdict>(serde_json::Value::String(word.clone())).ok()
    });
    // A run that the controller did not see to its end has no report of its own making.
    let verdict = verdict.or((row.state == RunState::Interrupted).then_some(Verdict::Inconclusive));
    RunView {
        schema: RunView::SCHEMA.to_owned(),
        run: row.run,
        plan: row.plan,
        title: row.scenario.to_string(),
        scenario: row.scenario,
        created: row.created,
        progress: None,
        tally: None,
        stages: Vec::new(),
        said: Vec::new(),
        revision: row.made.map(|made| made.revision),
        exit_code: verdict.map(nepho_controller_core::report::exit_code_of),
        verdict,
    }
}
