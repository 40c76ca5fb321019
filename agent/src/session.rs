//! The control connection: hello, commands, heartbeats with clock exchange, statuses.
//!
//! Pings are answered here, never behind the driver's queue: the time between the two stamps of
//! an exchange must be ours alone. Whatever is lost does no harm, because the controller repeats
//! what it wants and every pong carries all statuses.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use futures_util::StreamExt as _;
use nepho_common::{
    control::{Command, Hello, Host, Phase, PolicyReport, Refusal, Status},
    id::{AgentId, BootId, Feature, Seq, SpoolId},
    protocol::OURS,
    time::{ClockEpoch, Mono, Nanos},
};
use nepho_proto::session::{
    AgentMessage, ControllerMessage, Incoming, NotQueued, Ping, Pong, Sender, SessionError,
    SessionsClient, Weigh as _, Welcome, queue,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout},
};

use crate::{
    backoff::Backoff,
    calibrated,
    chain::Chain,
    clock,
    dial::{DialError, Dialer},
    discipline, hold,
    ration::Ration,
    renewal::is_ended,
};

/// Until the welcome says otherwise: three heartbeats of 5 s.
const SILENCE: Duration = Duration::from_secs(15);
/// A controller that names a strange heartbeat is not followed beyond these.
const SILENCE_RANGE: (Nanos, Nanos) = (Nanos::from_secs(1), Nanos::from_secs(60));
/// Messages on their way out: some pongs and a status for each step of each run.
const OUT: usize = 64;
/// All of them together, 512 KiB: two of the largest that may be sent. A controller that does not
/// read costs this much and no more.
const OUT_BYTES: u32 = 512 << 10;

/// Where this agent stands, as the driver last said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The clock's epoch.
    pub epoch: ClockEpoch,
    /// Every run that it knows.
    pub runs: Vec<Status>,
    /// What it may do.
    pub policy: PolicyReport,
}

/// What stays the same for the life of the process.
#[derive(Debug, Clone)]
pub struct Facts {
    /// By its certificate.
    pub agent: AgentId,
    /// This start.
    pub boot: BootId,
    /// This host.
    pub host: Host,
    /// What it can do.
    pub features: BTreeSet<Feature>,
    /// Its spool.
    pub spool: SpoolId,
    /// Where it is said how much this host sends on time, if anybody measured it.
    pub calibration: PathBuf,
}

/// The ends that lead to the driver, and the word to leave.
#[derive(Debug)]
pub struct Ports {
    /// To the driver.
    pub commands: mpsc::Sender<Command>,
    /// From the driver: to be told at once.
    pub told: mpsc::Receiver<Status>,
    /// From the driver.
    pub standing: watch::Receiver<Standing>,
    /// From the driver: what is on disk.
    pub written: watch::Receiver<Seq>,
    /// To the loads: when the controller was last heard.
    pub heard: watch::Sender<Mono>,
    /// True: say goodbye and end.
    pub leave: watch::Receiver<bool>,
    /// Answered at the first welcome.
    pub ready: Option<oneshot::Sender<()>>,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("no connection")]
    Dial(#[from] DialError),
    #[error("no session")]
    Session(#[from] SessionError),
    #[error("nothing was heard for {0:?}")]
    Silent(Duration),
    #[error("the controller ended the session: {0}")]
    Goodbye(String),
    #[error("the controller closed the session")]
    Closed,
    #[error(
        "the controller chose protocol {0}, this agent speaks {OURS}: upgrade nepho-agent to the \
         controller's version"
    )]
    Protocol(u32),
    #[error("the controller takes this agent for {0}")]
    Name(AgentId),
}

impl From<NotQueued> for Lost {
    fn from(_: NotQueued) -> Self {
        // Whoever waits for room learns of nothing but the end.
        Self::Closed
    }
}

/// Keeps a control session open until it is told to leave.
pub async fn keep(dialer: Dialer, facts: Facts, mut ports: Ports) {
    let mut backoff = Backoff::new();
    let mut leave = ports.leave.clone();
    let mut latest = dialer.tls.clone();
    loop {
        latest.mark_unchanged();
        let mut welcomed = None;
        let lost = match session(&dialer, &facts, &mut ports, &mut welcomed).await {
            Ok(()) => return,
            Err(lost) => lost,
        };
        if let Some(since) = welcomed {
            backoff.lasted(since.elapsed());
        }
        let wait = backoff.next_wait();
        let error = Chain(&lost).to_string();
        tracing::warn!(error, ?wait, "control session lost");
        if is_ended(&error) {
            dialer.ended.notify_one();
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // With a new certificate there is nothing to wait for.
            Ok(()) = latest.changed() => backoff.reset(),
            () = told_to(&mut leave) => return,
        }
    }
}

/// Comes back when the flag is up, or nobody can raise it any more.
pub(crate) async fn told_to(flag: &mut watch::Receiver<bool>) {
    drop(flag.wait_for(|&up| up).await);
}

async fn session(
    dialer: &Dialer,
    facts: &Facts,
    ports: &mut Ports,
    welcomed: &mut Option<Instant>,
) -> Result<(), Lost> {
    let mut leave = ports.leave.clone();
    let hello = hello(facts, ports);
    let policy = ports.standing.borrow().policy.clone();
    let opening = open(dialer.clone(), hello);
    let (out, incoming) = tokio::select! {
        opened = opening => opened?,
        () = told_to(&mut leave) => return Ok(()),
    };
    // What was told while nobody listened is in the hello.
    while ports.told.try_recv().is_ok() {}
    let mut session = Session {
        facts,
        out,
        incoming,
        silence: SILENCE,
        policy,
        ration: Ration::full(clock::now()),
    };
    loop {
        tokio::select! {
            biased;
            message = session.next() => {
                let message = message?;
                ports.heard.send_replace(clock::now());
                if let Some(welcome) = session.answer(message, ports).await? {
                    *welcomed = Some(Instant::now());
                    session.silence = silence(welcome.heartbeat);
                    let agent = &facts.agent;
                    tracing::info!(%agent, controller = %dialer.address, "control session opened");
                    if let Some(ready) = ports.ready.take() {
                        // Whoever started us may not care.
                        ready.send(()).ok();
                    }
                }
            }
            Some(status) = ports.told.recv() => session.say(AgentMessage::Status(status)).await?,
            () = told_to(&mut leave) => {
                let reason = "the agent is stopped".to_owned();
                session.say(AgentMessage::Goodbye { reason }).await?;
                session.close().await;
                return Ok(());
            }
        }
    }
}

async fn open(
    dialer: Dialer,
    hello: Hello,
) -> Result<(Sender<AgentMessage>, Incoming<ControllerMessage>), Lost> {
    let client = SessionsClient::new(dialer.channel().await?);
    let (out, outgoing) = queue(OUT, OUT_BYTES);
    let hello = AgentMessage::Hello(Box::new(hello));
    out.try_send(hello).expect("a new queue has room");
    let opened = timeout(SILENCE, client.control(outgoing.boxed())).await;
    Ok((out, opened.map_err(|_| Lost::Silent(SILENCE))??))
}

fn hello(facts: &Facts, ports: &mut Ports) -> Hello {
    let standing = ports.standing.borrow_and_update().clone();
    Hello {
        protocol: (OURS.lowest, OURS.highest),
        boot: facts.boot,
        host: facts.host.clone(),
        features: facts.features.clone(),
        spool: facts.spool,
        next: ports.written.borrow().next(),
        epoch: standing.epoch,
        runs: standing.runs,
        policy: Some(standing.policy),
        // Anew with each session: it may have been measured since.
        calibrated: calibrated::read(&facts.calibration, facts.host.cpus),
    }
}

fn silence(heartbeat: Nanos) -> Duration {
    let (least, most) = SILENCE_RANGE;
    Nanos(heartbeat.0.saturating_mul(3))
        .clamp(least, most)
        .duration()
}

struct Session<'a> {
    facts: &'a Facts,
    out: Sender<AgentMessage>,
    incoming: Incoming<ControllerMessage>,
    silence: Duration,
    /// As the controller knows it.
    policy: PolicyReport,
    /// Of lines about what it says.
    ration: Ration,
}

impl Session<'_> {
    /// The next message; one that does not parse is passed over.
    async fn next(&mut self) -> Result<ControllerMessage, Lost> {
        let wait = self.silence;
        loop {
            let next = timeout(wait, self.incoming.next()).await;
            match next.map_err(|_| Lost::Silent(wait))?.ok_or(Lost::Closed)? {
                Ok(message) => return Ok(message),
                Err(error @ SessionError::Bad(_)) => {
                    if let Some(unsaid) = self.ration.line(clock::now()) {
                        tracing::warn!(error = %Chain(&error), unsaid, "a message was not understood");
                    }
                }
                Err(error @ (SessionError::Refused(_) | SessionError::Broken(_))) => {
                    return Err(error.into());
                }
            }
        }
    }

    async fn answer(
        &mut self,
        message: ControllerMessage,
        ports: &Ports,
    ) -> Result<Option<Welcome>, Lost> {
        match message {
            ControllerMessage::Ping(ping) => self.pong(ping, ports).await?,
            ControllerMessage::Command(command) => {
                // A full queue means that the driver waits for its disk. Waiting here would stop
                // the heartbeat; the controller repeats what it wants.
                if ports.commands.try_send(command).is_err() {
                    tracing::warn!("a command was put off: the driver is busy or ending");
                }
            }
            ControllerMessage::Strange { key, why } => {
                // Refused here: nobody behind this point has a word for it. Our own log has it
                // before the controller does.
                let refusal = Refusal::Invalid(why.to_string());
                if let Some(unsaid) = self.ration.line(clock::now()) {
                    tracing::warn!(run = %key.run, rule = %refusal, unsaid, "a command was refused");
                }
                let phase = Phase::Refused(refusal);
                self.say(AgentMessage::Status(Status { key, phase }))
                    .await?;
            }
            ControllerMessage::Welcome(welcome) => {
                if !OURS.has(welcome.protocol) {
                    return Err(Lost::Protocol(welcome.protocol));
                }
                if welcome.agent != self.facts.agent {
                    return Err(Lost::Name(welcome.agent));
                }
                return Ok(Some(welcome));
            }
            ControllerMessage::Goodbye { reason } => return Err(Lost::Goodbye(reason)),
        }
        Ok(None)
    }

    async fn pong(&mut self, Ping { id, t1 }: Ping, ports: &Ports) -> Result<(), Lost> {
        let is_armed = |status: &Status| matches!(status.phase, Phase::Armed(_));
        if ports.standing.borrow().runs.iter().any(is_armed) {
            hold::at("clock.pong").await;
        }
        let t2 = clock::now();
        let Standing {
            epoch,
            runs,
            policy,
        } = ports.standing.borrow().clone();
        let news = (policy != self.policy).then_some(policy);
        let mut pong = Pong {
            id,
            t1,
            t2,
            t3: t2,
            epoch,
            runs,
            policy: news.clone(),
            wall: discipline::host_wall(),
        };
        let weight = AgentMessage::Pong(pong.clone()).weight();
        let place = timeout(self.silence, self.out.reserve(weight)).await;
        let place = place
            .map_err(|_| Lost::Silent(self.silence))?
            .map_err(Lost::from)?;
        pong.t3 = clock::now();
        place.send(AgentMessage::Pong(pong));
        self.policy = news.unwrap_or_else(|| self.policy.clone());
        Ok(())
    }

    async fn say(&mut self, message: AgentMessage) -> Result<(), Lost> {
        let said = timeout(self.silence, self.out.send(message)).await;
        said.map_err(|_| Lost::Silent(self.silence))?
            .map_err(Lost::from)
    }

    /// Ends our direction, and waits until the controller has ended its own.
    async fn close(self) {
        let Self {
            out, mut incoming, ..
        } = self;
        drop(out);
        let ended = async { while incoming.next().await.is_some() {} };
        // Whoever told us to leave has set a deadline of its own.
        drop(timeout(Duration::from_millis(500), ended).await);
    }
}
