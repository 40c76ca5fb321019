//! The agent as a whole: wires spool, driver and connections, and ends them in order.

use std::{io, path::Path, time::Duration};

use nepho_agent_core::engine::Engine;
use nepho_common::{
    control::PolicyReport,
    id::{AgentId, BootId, Feature},
    policy::Policy,
    time::ClockEpoch,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinSet, LocalSet},
    time::timeout,
};

use crate::{
    chain::Chain,
    clock,
    dial::Dialer,
    driver::{self, Author, Driver, DriverError},
    host,
    identity::{About, DataDir, Identity, IdentityError},
    policy, random,
    renewal::Renewal,
    results::Courier,
    session::{self, Facts, Standing},
    spool::{Spool, SpoolError},
    work::guard::Guard,
};

/// Commands that wait for the driver: one or two for each run that it knows, many times over.
const COMMANDS: usize = 64;
/// Statuses that wait for the session: one for each step of each run.
const TOLD: usize = 64;
/// With the driver's own 2 s, everything ends within the 5 s that a supervisor is told of.
const DELIVER_MAX: Duration = Duration::from_millis(1500);
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// Why the agent ended.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It does not know who it is.
    #[error("no identity")]
    Identity(#[from] IdentityError),
    /// Its spool can't be used.
    #[error("no spool")]
    Spool(#[from] SpoolError),
    /// The host gives no randomness.
    #[error("draw a boot id")]
    Random(#[source] io::Error),
    /// It can't go on.
    #[error("the agent can't go on")]
    Driver(#[from] DriverError),
}

/// An agent with its identity and its spool, not yet running.
#[derive(Debug)]
pub struct Agent {
    about: About,
    dialer: Dialer,
    renewal: Renewal,
    spool: Spool,
    standing: crate::spool::Standing,
    boot: BootId,
    policy: Result<Policy, String>,
}

impl Agent {
    /// Opens what `dir` holds, under the policy of that file, else of the one in `dir`.
    ///
    /// # Errors
    /// It was never joined, or is damaged, or in use.
    pub fn open(dir: &DataDir, policy: Option<&Path>) -> Result<Self, AgentError> {
        let about = About::load(dir)?;
        let identity = Identity::load(dir)?;
        let (renewal, dialer) = Renewal::new(dir.clone(), about.clone(), identity, clock::wall)?;
        let (spool, standing) = Spool::open(dir.spool(), about.agent.clone())?;
        let boot = BootId::new(random::bytes().map_err(AgentError::Random)?);
        let own = dir.policy();
        let policy = policy::in_force(policy.unwrap_or(&own));
        Ok(Self {
            about,
            dialer,
            renewal,
            spool,
            standing,
            boot,
            policy,
        })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &AgentId {
        &self.about.agent
    }

    /// Runs until `stop` is true, then drains. `ready` is answered at the first welcome.
    ///
    /// # Errors
    /// The agent can't keep what it measures, so it must not go on.
    pub async fn run(
        self,
        stop: watch::Receiver<bool>,
        ready: oneshot::Sender<()>,
    ) -> Result<(), AgentError> {
        // The agent has one thread, and the compiler can't prove that a stream of boxed messages
        // may change threads between two of its polls.
        LocalSet::new().run_until(self.drive(stop, ready)).await
    }

    async fn drive(
        self,
        stop: watch::Receiver<bool>,
        ready: oneshot::Sender<()>,
    ) -> Result<(), AgentError> {
        let Self {
            about,
            dialer,
            renewal,
            spool,
            standing,
            boot,
            policy,
        } = self;
        let About {
            agent, environment, ..
        } = about;
        tracing::info!(%agent, %environment, controller = %dialer.address, "agent starts");
        let features = features();
        let (commands, taken) = mpsc::channel(COMMANDS);
        let (tell, told) = mpsc::channel(TOLD);
        let (stand, stands) = watch::channel(Standing {
            epoch: ClockEpoch(1),
            runs: Vec::new(),
        });
        let (wrote, written) = watch::channel(standing.written);
        let (leave, leaving) = watch::channel(false);
        let facts = Facts {
            agent: agent.clone(),
            boot,
            host: host::describe(),
            features: features.clone(),
            spool: spool.id(),
            policy: match &policy {
                Ok(policy) => PolicyReport::of(policy),
                Err(why) => PolicyReport::Refusing(why.clone()),
            },
        };
        let guard = policy.clone().ok().map(Guard::new);
        let author = Author { agent, environment };
        let driver = Driver::new(
            author,
            Engine::new(features, policy),
            guard,
            spool.clone(),
            driver::Ports {
                commands: taken,
                told: tell,
                standing: stand,
                written: wrote,
            },
        );
        let courier = Courier::new(dialer.clone(), spool, standing.acked, written.clone());
        let ports = session::Ports {
            commands,
            told,
            standing: stands,
            written,
            leave: leaving,
            ready: Some(ready),
        };
        // Ends with this set: what it was about to write is on disk whole, or not at all.
        let mut renewing = JoinSet::new();
        renewing.spawn_local(renewal.keep(dialer.clone()));
        let mut connections = JoinSet::new();
        connections.spawn_local(session::keep(dialer, facts, ports));
        let mut carrying = JoinSet::new();
        carrying.spawn_local(courier.carry());
        let driven = {
            let mut stopped = stop.clone();
            let driving = driver.run(stop.clone());
            tokio::pin!(driving);
            tokio::select! {
                driven = &mut driving => driven,
                // While the driver runs, a courier ends only when the spool fails it.
                carried = carrying.join_next() => match carried {
                    Some(Ok(Err(error))) => Err(error.into()),
                    Some(Ok(Ok(())) | Err(_)) | None => {
                        session::told_to(&mut stopped).await;
                        driving.await
                    }
                },
            }
        };
        deliver(&mut carrying).await;
        leave.send_replace(true);
        let goodbye = async { while connections.join_next().await.is_some() {} };
        drop(timeout(GOODBYE_MAX, goodbye).await);
        renewing.shutdown().await;
        tracing::info!("agent ends");
        Ok(driven?)
    }
}

/// The driver has ended; what is still owed may go out for a moment, and is on disk anyway.
async fn deliver(carrying: &mut JoinSet<Result<(), SpoolError>>) {
    match timeout(DELIVER_MAX, carrying.join_next()).await {
        Ok(Some(Ok(Err(error)))) => tracing::error!(error = %Chain(&error), "results stay on disk"),
        Ok(Some(Ok(Ok(())) | Err(_)) | None) => {}
        Err(_) => tracing::warn!("some results stay on disk until the next start"),
    }
}

fn features() -> std::collections::BTreeSet<Feature> {
    let known = ["probe.http", "probe.tcp", "run.resume"];
    let name = |name: &str| name.parse().expect("these are names");
    known.map(name).into()
}
