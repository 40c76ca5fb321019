//! The agent as a whole: wires spool, driver and connections, and ends them in order.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nepho_agent_core::engine::Engine;
use nepho_common::{
    control::PolicyReport,
    id::{AgentId, BootId, Feature, Seq},
    policy::{Endpoint, Policy},
    time::ClockEpoch,
};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::{JoinSet, LocalSet},
    time::timeout,
};

use crate::{
    address::Address,
    chain::Chain,
    clock,
    dial::Dialer,
    driver::{self, Author, Driver, DriverError},
    host,
    identity::{About, DataDir, Identity, IdentityError},
    leave::{Ending, Leave, beyond},
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
/// How long what is under way may take to end when nothing else is said. With the driver's own 2 s
/// for the disk and the two below that is 23 s: less than the 30 s after which Kubernetes kills.
pub const DRAIN_WITHIN: Duration = Duration::from_secs(15);
/// The last acknowledgement: a reconnect and a commit, many times over.
const DELIVER_MAX: Duration = Duration::from_secs(5);
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
    policy_file: PathBuf,
    calibration: PathBuf,
    reload: Arc<Notify>,
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
        let policy_file = policy.map_or_else(|| dir.policy(), Path::to_owned);
        let policy = policy::in_force(&policy_file);
        Ok(Self {
            about,
            dialer,
            renewal,
            spool,
            standing,
            boot,
            policy,
            policy_file,
            calibration: dir.calibration(),
            reload: Arc::default(),
        })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &AgentId {
        &self.about.agent
    }

    /// Notified, the agent reads its policy anew.
    #[must_use]
    pub fn reload(&self) -> Arc<Notify> {
        Arc::clone(&self.reload)
    }

    /// Runs until it is told to leave. `ready` is answered at the first welcome.
    ///
    /// # Errors
    /// The agent can't keep what it measures, so it must not go on.
    pub async fn run(
        self,
        stop: watch::Receiver<Leave>,
        ready: oneshot::Sender<()>,
    ) -> Result<Ending, AgentError> {
        // The agent has one thread, and the compiler can't prove that a stream of boxed messages
        // may change threads between two of its polls.
        Box::pin(LocalSet::new().run_until(self.drive(stop, ready))).await
    }

    async fn drive(
        self,
        stop: watch::Receiver<Leave>,
        ready: oneshot::Sender<()>,
    ) -> Result<Ending, AgentError> {
        let Self {
            about,
            dialer,
            renewal,
            spool,
            standing,
            boot,
            policy,
            policy_file,
            calibration,
            reload,
        } = self;
        let doors = doors(&about);
        let About {
            agent, environment, ..
        } = about;
        tracing::info!(%agent, %environment, controller = %dialer.address, "agent starts");
        let features = features();
        let (commands, taken) = mpsc::channel(COMMANDS);
        let (tell, told) = mpsc::channel(TOLD);
        let report = report(&policy, &doors);
        let (stand, stands) = watch::channel(Standing {
            epoch: ClockEpoch(1),
            runs: Vec::new(),
            policy: report.clone(),
        });
        let (wrote, written) = watch::channel(standing.written);
        let (leave, leaving) = watch::channel(false);
        let (hear, heard) = watch::channel(clock::now());
        let facts = Facts {
            agent: agent.clone(),
            boot,
            host: host::describe(),
            features: features.clone(),
            spool: spool.id(),
            calibration,
        };
        let guard = policy.clone().ok();
        let guard = guard.map(|policy| Guard::new(policy, doors.clone()));
        let author = Author { agent, environment };
        let driver = Driver::new(
            author,
            Engine::new(features, policy, doors.clone()),
            driver::Allowed {
                guard,
                doors,
                file: policy_file,
                report,
            },
            spool.clone(),
            driver::Ports {
                commands: taken,
                told: tell,
                standing: stand,
                written: wrote,
                heard,
                reload,
            },
        );
        let courier = Courier::new(
            dialer.clone(),
            spool.clone(),
            standing.acked,
            written.clone(),
        );
        let (last, acked) = (written.clone(), courier.acked());
        let ports = session::Ports {
            commands,
            told,
            standing: stands,
            written,
            heard: hear,
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
                        beyond(&mut stopped, Leave::Stay).await;
                        driving.await
                    }
                },
            }
        };
        let mut stop = stop;
        let is_delivered = tokio::select! {
            delivered = deliver(&mut carrying, &last, acked) => Some(delivered),
            Leave::Now = now(&mut stop) => None,
        };
        // What is read comes after what was acknowledged: then that is on disk as well.
        let kept = spool.read(*last.borrow());
        drop(timeout(GOODBYE_MAX, kept).await);
        leave.send_replace(true);
        let goodbye = async { while connections.join_next().await.is_some() {} };
        drop(timeout(GOODBYE_MAX, goodbye).await);
        renewing.shutdown().await;
        let ending = match (driven?, is_delivered) {
            (_, None) => Ending::Aborted,
            (true, Some(true)) => Ending::Complete,
            (true | false, Some(true | false)) => Ending::Incomplete,
        };
        tracing::info!(?ending, "agent ends");
        Ok(ending)
    }
}

/// Comes back when the agent is to end at once; it may have been told so already.
async fn now(stop: &mut watch::Receiver<Leave>) -> Leave {
    let told = stop.wait_for(|leave| *leave == Leave::Now).await;
    match told {
        Ok(leave) => *leave,
        // Nobody can say so any more: what was said last holds.
        Err(_) => std::future::pending().await,
    }
}

/// Where the controller listens, as far as this agent knows: nobody's targets.
fn doors(about: &About) -> Vec<Endpoint> {
    let mut doors = Vec::new();
    for Address { host, port } in [&about.controller, &about.sessions] {
        // An address that we dial ourselves is one.
        if let Ok(door) = Endpoint::new(host, *port)
            && !doors.contains(&door)
        {
            doors.push(door);
        }
    }
    doors
}

/// What the controller is told of it.
pub(crate) fn report(policy: &Result<Policy, String>, doors: &[Endpoint]) -> PolicyReport {
    match policy {
        Ok(policy) => PolicyReport::of(policy, doors.to_vec()),
        Err(why) => PolicyReport::Refusing(why.clone()),
    }
}

/// The driver has ended; what is still owed may go out for a moment, and is on disk anyway. The
/// heartbeat goes on meanwhile. Whether the controller has everything.
async fn deliver(
    carrying: &mut JoinSet<Result<(), SpoolError>>,
    written: &watch::Receiver<Seq>,
    mut acked: watch::Receiver<Seq>,
) -> bool {
    let last = *written.borrow();
    let everything = async { acked.wait_for(|acked| *acked >= last).await.is_ok() };
    let delivered = timeout(DELIVER_MAX, everything).await == Ok(true);
    if delivered {
        return true;
    }
    match carrying.try_join_next() {
        Some(Ok(Err(error))) => tracing::error!(error = %Chain(&error), "results stay on disk"),
        Some(Ok(Ok(())) | Err(_)) | None => {
            tracing::warn!("some results stay on disk until the next start");
        }
    }
    false
}

fn features() -> std::collections::BTreeSet<Feature> {
    let known = [
        "load.http",
        "probe.dns",
        "probe.event",
        "probe.grpc",
        "probe.http",
        "probe.http.more",
        "probe.icmp",
        "probe.prometheus",
        "probe.tcp",
        "probe.tcp.talk",
        "probe.tls",
        "run.resume",
        "watch.container",
        "watch.host",
        "watch.process",
    ];
    let name = |name: &str| name.parse().expect("these are names");
    known.map(name).into()
}
