//! Agents' streams: nouns in, driver inputs out. No decision is taken here but who may speak.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use nepho_common::{
    control::Hello,
    id::{AgentId, RunId, SpoolId},
    journal::Record,
    protocol::{self, OURS, Side, Speaks},
    time::Nanos,
};
use nepho_proto::session::{
    Ack, AgentMessage, ControllerMessage, EnrolReply, Incoming, Outgoing, Peer, Receiver, Refused,
    RenewRequest, SessionError, Sessions, Weigh as _, Welcome, async_trait, queue,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout},
};
use tonic::Code;
use tracing::{info, warn};

use crate::{
    clock,
    driver::{Input, SessionId},
    hold,
    identity::enrol::Registrar,
    inbox::{self, Room, Rooms},
    journal::Store,
    listen::Arrivals,
    news,
    revise::Late,
};

/// How often the controller pings an agent.
pub const HEARTBEAT: Nanos = Nanos::from_secs(5);
/// An agent says hello at once; this bounds one that holds a stream open for nothing.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Messages waiting for one agent: a few commands and pings. One that does not read that many is
/// cut off.
const OUT_MAX: usize = 64;
/// And their bytes, 1 MiB: seventeen assignments of 60 kB; a larger one has the queue for itself.
/// With two thousand agents that stopped reading in the same second this is 2 GiB at the worst, and
/// 120 MB for the one assignment that each of them would be sent.
const OUT_BYTES: u32 = 1 << 20;
/// Messages of one session that this release does not understand before it is ended: a newer agent
/// may say a thing or two, a broken one says nothing else.
const BAD_MAX: u32 = 32;

/// Receives sessions for the driver.
#[derive(Debug, Clone)]
pub struct Desk {
    driver: mpsc::Sender<Input>,
    store: Store,
    registrar: Registrar,
    rooms: Rooms,
    arrivals: Arrivals,
    late: Late,
    /// True: the controller ends, and takes nothing more.
    down: watch::Receiver<bool>,
}

impl Desk {
    /// A desk in front of this driver and this store; who renews is this registrar's.
    #[must_use]
    pub fn new(
        driver: mpsc::Sender<Input>,
        store: Store,
        registrar: Registrar,
        arrivals: Arrivals,
        late: Late,
        down: watch::Receiver<bool>,
    ) -> Self {
        Self {
            driver,
            store,
            registrar,
            rooms: Rooms::default(),
            arrivals,
            late,
            down,
        }
    }
}

#[async_trait]
impl Sessions for Desk {
    async fn control(
        &self,
        peer: Peer,
        mut incoming: Incoming<AgentMessage>,
    ) -> Result<Outgoing<ControllerMessage>, Refused> {
        let agent = peer.agent;
        let known = self.store.agent(&agent).await.map_err(|error| {
            warn!(%agent, %error, "the store could not be asked for an agent");
            Refused::new(
                Code::Unavailable,
                "the controller's store does not answer; try again",
            )
        })?;
        let Some(row) = known.filter(|row| row.revoked.is_none()) else {
            let why = "this agent is not known here, or was revoked; enrol it again";
            return Err(Refused::new(Code::PermissionDenied, why));
        };
        let (hello, protocol) = hello(&mut incoming).await?;
        self.arrivals.spoke(peer.address);
        let (out, orders) = queue(OUT_MAX, OUT_BYTES);
        let session = SessionId::next();
        let (address, version) = (peer.address, hello.host.version.clone());
        let (reply, entered) = oneshot::channel();
        let opened = Input::Opened {
            agent: agent.clone(),
            environment: row.environment,
            session,
            hello: Box::new(hello),
            out,
            reply,
        };
        let gone = || Refused::new(Code::Unavailable, "the controller is shutting down");
        self.driver.send(opened).await.map_err(|_| gone())?;
        if !entered.await.map_err(|_| gone())? {
            let why = format!(
                "another copy of {agent} is in a session: an identity runs once; give this host \
                 one of its own with `nepho enroll`"
            );
            return Err(Refused::new(Code::AlreadyExists, &why));
        }
        info!(%agent, %address, %version, "session opened");
        let welcome = Welcome {
            protocol,
            heartbeat: HEARTBEAT,
            agent: agent.clone(),
        };
        let welcome = stream::once(async { ControllerMessage::Welcome(welcome) });
        let driver = self.driver.clone();
        let live = Live {
            agent,
            session,
            incoming,
            orders,
            driver,
            room: self.rooms.session(),
            bad: 0,
        };
        Ok(welcome.chain(stream::unfold(live, Live::step)).boxed())
    }

    async fn results(
        &self,
        peer: Peer,
        incoming: Incoming<Record>,
    ) -> Result<Outgoing<Ack>, Refused> {
        // A results stream may well be silent: there may be nothing to send for hours.
        self.arrivals.spoke(peer.address);
        let desk = self.clone();
        let acks = stream::unfold(
            (desk, peer.agent, incoming, false),
            |(desk, agent, mut incoming, mut ended)| async move {
                let mut down = desk.down.clone();
                // What was taken is committed and acknowledged; what comes after stays the agent's.
                let batch = tokio::select! {
                    batch = inbox::batch(&mut incoming, &mut ended) => batch?,
                    _ = down.wait_for(|down| *down) => return None,
                };
                let room = desk.rooms.batch(&batch).await;
                let acks = desk.commit(&agent, batch).await?;
                drop(room);
                Some((stream::iter(acks), (desk, agent, incoming, ended)))
            },
        );
        Ok(acks.flatten().boxed())
    }

    async fn renew(&self, peer: Peer, request: RenewRequest) -> Result<EnrolReply, Refused> {
        self.arrivals.spoke(peer.address);
        let renewed = self.registrar.renew(&peer, &request).await;
        renewed.inspect_err(|refused| {
            let (address, why) = (peer.address, refused.message.as_str());
            warn!(agent = %peer.agent, %address, why, "renewal refused");
        })
    }
}

/// What the agent says first, and the version that both will speak.
async fn hello(incoming: &mut Incoming<AgentMessage>) -> Result<(Hello, u32), Refused> {
    let Ok(first) = timeout(HELLO_WITHIN, incoming.next()).await else {
        return Err(Refused::new(Code::DeadlineExceeded, "no hello came"));
    };
    let hello = match first {
        Some(Ok(AgentMessage::Hello(hello))) => *hello,
        Some(Ok(_)) | None => {
            return Err(Refused::new(Code::InvalidArgument, "no hello came first"));
        }
        Some(Err(SessionError::Bad(bad))) => {
            return Err(Refused::new(Code::InvalidArgument, &bad.to_string()));
        }
        Some(Err(error)) => return Err(Refused::new(Code::InvalidArgument, &error.to_string())),
    };
    let (lowest, highest) = hello.protocol;
    let agent = Side {
        speaks: Speaks { lowest, highest },
        version: hello.host.version.clone(),
    };
    let controller = Side {
        speaks: OURS,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let agreed = protocol::agree(&agent, &controller);
    let protocol =
        agreed.map_err(|why| Refused::new(Code::FailedPrecondition, &why.to_string()))?;
    Ok((hello, protocol))
}

/// An open control stream. Dropping it tells the driver that it is closed.
struct Live {
    agent: AgentId,
    session: SessionId,
    incoming: Incoming<AgentMessage>,
    orders: Receiver<ControllerMessage>,
    driver: mpsc::Sender<Input>,
    room: Room,
    /// How many of its messages were not understood.
    bad: u32,
}

impl Live {
    /// The next message to the agent; what comes from it goes to the driver meanwhile. The driver
    /// ends the session by dropping its sender.
    async fn step(mut self) -> Option<(ControllerMessage, Self)> {
        loop {
            let message = tokio::select! {
                order = self.orders.recv() => return order.map(|order| (order, self)),
                message = self.incoming.next() => message,
            };
            // Before anything else: this is the fourth stamp of a clock exchange.
            let at = clock::now();
            let message = match message {
                Some(Ok(message)) => Box::new(message),
                Some(Err(SessionError::Bad(error))) => {
                    // Of a newer release, or broken. Bytes that are no message at all end the
                    // stream by themselves.
                    self.bad += 1;
                    if self.bad == 1 || self.bad > BAD_MAX {
                        let bad = self.bad;
                        warn!(agent = %self.agent, %error, bad, "a message was not understood");
                    }
                    if self.bad > BAD_MAX {
                        return None;
                    }
                    continue;
                }
                Some(Err(error)) => {
                    info!(agent = %self.agent, %error, "session ended");
                    return None;
                }
                None => return None,
            };
            let (agent, session) = (self.agent.clone(), self.session);
            let held = self.room.hold(message.weight()).await;
            self.driver
                .send(Input::Message {
                    agent,
                    session,
                    message,
                    at,
                    held,
                })
                .await
                .ok()?;
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let closed = Input::Closed {
            agent: self.agent.clone(),
            session: self.session,
        };
        // A full queue loses nothing: silence is noticed by the heartbeat as well.
        self.driver.try_send(closed).ok();
    }
}

impl Desk {
    /// Commits what came, then says up to where it is durable. `None` ends the stream: the agent
    /// comes back and sends again what was not acknowledged.
    async fn commit(
        &self,
        agent: &AgentId,
        chunk: Vec<Result<Record, SessionError>>,
    ) -> Option<Vec<Ack>> {
        let mut records = Vec::with_capacity(chunk.len());
        for item in chunk {
            match item {
                Ok(record) => records.push(record),
                Err(SessionError::Bad(error)) => {
                    // It stays in the agent's spool and comes again, so it is not lost meanwhile.
                    warn!(
                        %agent, %error,
                        "a record was not understood, and what comes after it waits in the agent's \
                         spool: upgrade the controller if the agent is newer"
                    );
                    break;
                }
                Err(error) => {
                    info!(%agent, %error, "results stream ended");
                    break;
                }
            }
        }
        let spools: BTreeSet<SpoolId> = records.iter().map(|record| record.key.spool).collect();
        let runs: BTreeSet<RunId> = records.iter().map(|record| record.run.clone()).collect();
        let mut news = BTreeMap::new();
        records
            .iter()
            .for_each(|record| news::tell(record, &mut news));
        if records.is_empty() {
            return None;
        }
        hold::at("ingest.before-commit").await;
        let appended = self.store.append(records, clock::wall()).await;
        hold::at("ingest.after-commit").await;
        let appended = appended
            .map_err(|error| warn!(%agent, %error, "results not stored"))
            .ok()?;
        if appended.stored > 0 {
            self.late.touch(runs, Instant::now());
        }
        for key in &appended.conflicts {
            warn!(%agent, spool = %key.spool, seq = %key.seq, "one key came with two contents");
        }
        if appended.repeated > 0 || !appended.conflicts.is_empty() {
            // Something of it was counted before; the figures of the live view stay a lower bound.
            news.clear();
        }
        let mut acks = Vec::new();
        for spool in spools {
            let seq = self.store.durable(agent, &spool).await;
            let seq = seq
                .map_err(|error| warn!(%agent, %error, "the store does not answer"))
                .ok()?;
            let agent = agent.clone();
            let news = std::mem::take(&mut news);
            let committed = Input::Committed {
                agent,
                spool,
                seq,
                news,
            };
            // A driver that has ended asks the store when it starts again.
            self.driver.send(committed).await.ok();
            acks.push(Ack { spool, seq });
        }
        Some(acks)
    }
}
