//! Agents without hosts: each plays an agent's side of the wire over two mTLS connections of its own,
//! with the waits, deadlines and repetitions of the real one, and keeps what is not acknowledged.
//!
//! What it leaves out: a disk, probes, runs. Its spool is a queue in memory.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use futures_util::StreamExt as _;
use hyper_util::rt::TokioIo;
use nepho_common::{
    control::{Hello, Host},
    id::{AgentId, BootId, Seq, SpoolId},
    journal::Record,
    protocol::OURS,
    time::ClockEpoch,
};
use nepho_controller::clock;
use nepho_proto::session::{Ack, AgentMessage, ControllerMessage, Incoming, Pong, SessionsClient};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    task::{LocalSet, spawn_local},
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// As in the agent: `backoff.rs`, `dial.rs`, `session.rs`, `results.rs`.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const MOST_WAIT: Duration = Duration::from_secs(10);
const STEP_MAX: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(15);
const ACK_MAX: Duration = Duration::from_secs(30);

/// Who an agent is.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) agent: AgentId,
    pub(crate) spool: SpoolId,
    pub(crate) tls: Arc<ClientConfig>,
}

/// What the crowd has seen, for whoever measures.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Control sessions that are welcomed now.
    pub(crate) welcomed: Arc<AtomicUsize>,
    /// Results streams that are open now.
    pub(crate) open: Arc<AtomicUsize>,
    /// Nobody opens anything any more.
    is_over: AtomicBool,
    /// Whether figures are kept.
    pub(crate) measures: AtomicBool,
    /// How late a heartbeat came after five seconds, ms.
    pub(crate) lateness: Mutex<Vec<f64>>,
    /// From writing to acknowledgement, ms.
    pub(crate) acknowledged: Mutex<Vec<f64>>,
    /// Sessions that ended, by why.
    pub(crate) lost: Mutex<BTreeMap<String, u64>>,
    /// Records that are written and not acknowledged.
    pub(crate) owed: AtomicUsize,
    /// What each agent has had acknowledged.
    pub(crate) acked: Mutex<BTreeMap<AgentId, u64>>,
}

/// Makes an agent's next record.
pub(crate) type Author = Arc<dyn Fn(&Held, Seq) -> Record + Send + Sync>;

/// Threads that play agents. The wire's client futures stay on the thread that made them, as in the
/// agent itself.
const THREADS: usize = 2;

/// All agents.
pub(crate) struct Crowd {
    pub(crate) seen: Arc<Seen>,
    /// Agents on their way to their threads; as many as ever join at once.
    threads: Vec<mpsc::Sender<Agent>>,
    address: SocketAddr,
    /// How many records each agent has written: it rises by one for everybody at once, as the edges
    /// of recordings do.
    edge: watch::Sender<u64>,
}

impl Crowd {
    pub(crate) fn new(address: SocketAddr, author: &Author) -> Self {
        let edge = watch::Sender::new(0);
        let start = || {
            let (agents, joining) = mpsc::channel(4096);
            let (author, edge) = (Arc::clone(author), edge.subscribe());
            thread::spawn(move || play(joining, &author, &edge));
            agents
        };
        Self {
            seen: Arc::default(),
            threads: (0..THREADS).map(|_| start()).collect(),
            address,
            edge,
        }
    }

    /// More agents open their sessions.
    pub(crate) fn join(&self, held: impl Iterator<Item = Held>) {
        for (held, thread) in held.zip(self.threads.iter().cycle()) {
            let agent = Agent {
                held,
                address: self.address,
                seen: Arc::clone(&self.seen),
            };
            thread.try_send(agent).expect("its thread plays");
        }
    }

    /// Everybody has one more record to send.
    pub(crate) fn edge(&self) {
        self.edge.send_modify(|edge| *edge += 1);
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.seen.is_over.store(true, Ordering::Relaxed);
    }
}

/// Until the crowd is dropped.
fn play(mut joining: mpsc::Receiver<Agent>, author: &Author, edge: &watch::Receiver<u64>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let playing = async {
        while let Some(agent) = joining.recv().await {
            spawn_local(agent.clone().control());
            spawn_local(agent.results(Arc::clone(author), edge.clone()));
        }
    };
    LocalSet::new().block_on(&runtime, playing);
}

#[derive(Debug, Clone)]
struct Agent {
    held: Held,
    address: SocketAddr,
    seen: Arc<Seen>,
}

/// Why a session ended: for counting.
type Lost = String;

/// Counts one while it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Agent {
    async fn control(self) {
        let mut bound = FIRST_WAIT;
        while !self.seen.is_over.load(Ordering::Relaxed) {
            let (lost, was_welcomed) = self.clone().session().await;
            if was_welcomed {
                bound = FIRST_WAIT;
            }
            self.lost("control", lost);
            wait(&mut bound).await;
        }
    }

    /// One session to its end, and whether it was welcomed.
    async fn session(self) -> (Lost, bool) {
        let hello = AgentMessage::Hello(Box::new(hello(&self.held)));
        let (out, queue) = mpsc::channel(64); // As many as the agent's own.
        out.try_send(hello).expect("a new queue has room");
        let client = match self.channel().await {
            Ok(channel) => SessionsClient::new(channel),
            Err(lost) => return (lost, false),
        };
        let opened = timeout(SILENCE, client.control(ReceiverStream::new(queue).boxed())).await;
        let mut incoming = match opened {
            Ok(Ok(incoming)) => incoming,
            Ok(Err(error)) => return (error.to_string(), false),
            Err(_) => return ("no answer to the hello".to_owned(), false),
        };
        let mut counted = None;
        let lost = self.serve(&out, &mut incoming, &mut counted).await;
        (lost, counted.is_some())
    }

    async fn serve(
        &self,
        out: &mpsc::Sender<AgentMessage>,
        incoming: &mut Incoming<ControllerMessage>,
        counted: &mut Option<Counted>,
    ) -> Lost {
        let mut pinged: Option<Instant> = None;
        loop {
            match timeout(SILENCE, incoming.next()).await {
                Ok(Some(Ok(ControllerMessage::Welcome(_)))) => {
                    *counted = Some(Counted::new(&self.seen.welcomed));
                }
                Ok(Some(Ok(ControllerMessage::Ping(ping)))) => {
                    let t2 = clock::now();
                    if let Some(before) = pinged.replace(Instant::now()) {
                        self.beat(before.elapsed());
                    }
                    let pong = Pong {
                        id: ping.id,
                        t1: ping.t1,
                        t2,
                        t3: clock::now(),
                        epoch: ClockEpoch(0),
                        runs: Vec::new(),
                        policy: None,
                        wall: None,
                    };
                    if out.send(AgentMessage::Pong(pong)).await.is_err() {
                        return "the stream is closed".to_owned();
                    }
                }
                Ok(Some(Ok(ControllerMessage::Command(_) | ControllerMessage::Strange { .. }))) => {
                }
                Ok(Some(Ok(ControllerMessage::Goodbye { reason }))) => {
                    return format!("goodbye: {reason}");
                }
                Ok(Some(Err(error))) => return error.to_string(),
                Ok(None) => return "closed".to_owned(),
                Err(_) => return format!("silent for {SILENCE:?}"),
            }
        }
    }

    async fn open(self) -> Result<(mpsc::Sender<Record>, Incoming<Ack>), Lost> {
        let client = SessionsClient::new(self.channel().await?);
        let (out, queue) = mpsc::channel(4); // As many as the agent's own.
        let opened = timeout(ACK_MAX, client.results(ReceiverStream::new(queue).boxed())).await;
        match opened {
            Ok(Ok(incoming)) => Ok((out, incoming)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer".to_owned()),
        }
    }

    async fn results(self, author: Author, mut edge: watch::Receiver<u64>) {
        let mut bound = FIRST_WAIT;
        let mut spool = Spool::default();
        // An agent that joins late owes nothing of what was before it.
        let begun = *edge.borrow_and_update();
        let mut courier = Courier {
            agent: &self,
            author,
            begun,
            edge,
            spool: &mut spool,
        };
        while !self.seen.is_over.load(Ordering::Relaxed) {
            let before = courier.spool.acked;
            let lost = courier.carry().await;
            if courier.spool.acked > before {
                bound = FIRST_WAIT;
            }
            self.lost("results", lost);
            wait(&mut bound).await;
        }
    }

    /// As the agent's `dial.rs`.
    async fn channel(&self) -> Result<Channel, Lost> {
        let (address, tls) = (self.address, Arc::clone(&self.held.tls));
        let tcp = in_time(TcpStream::connect(address)).await;
        let tcp = tcp.map_err(|error| format!("connect: {error}"))?;
        tcp.set_nodelay(true).ok();
        let name = ServerName::try_from("controller").expect("a plain word is a name");
        let stream = in_time(TlsConnector::from(tls).connect(name, tcp)).await;
        let stream = stream.map_err(|error| format!("handshake: {error}"))?;
        let mut once = Some(TokioIo::new(stream));
        let connector = service_fn(move |_: http::Uri| {
            std::future::ready(once.take().ok_or_else(|| io::Error::other("used up")))
        });
        Endpoint::from_static("http://controller")
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true)
            .connect_with_connector(connector)
            .await
            .map_err(|error| format!("HTTP/2: {error}"))
    }

    fn beat(&self, gap: Duration) {
        if self.seen.measures.load(Ordering::Relaxed) {
            let late = gap.as_secs_f64() * 1e3 - 5000.0;
            self.seen.lateness.lock().unwrap().push(late.max(0.0));
        }
    }

    fn lost(&self, stream: &str, why: Lost) {
        let mut lost = self.seen.lost.lock().unwrap();
        *lost.entry(format!("{stream}: {why}")).or_default() += 1;
    }
}

/// What is written and not acknowledged, with when it was written.
#[derive(Default)]
struct Spool {
    written: u64,
    acked: u64,
    owed: VecDeque<(Record, Instant)>,
    /// How many of `owed` are on their way over this connection.
    sent: usize,
}

struct Courier<'a> {
    agent: &'a Agent,
    author: Author,
    begun: u64,
    edge: watch::Receiver<u64>,
    spool: &'a mut Spool,
}

impl Courier<'_> {
    async fn carry(&mut self) -> Lost {
        let (out, mut incoming) = match self.agent.clone().open().await {
            Ok(opened) => opened,
            Err(lost) => return lost,
        };
        let seen = Arc::clone(&self.agent.seen);
        let _open = Counted::new(&seen.open);
        self.spool.sent = 0;
        let mut heard = Instant::now();
        loop {
            if self.spool.owed.is_empty() {
                heard = Instant::now();
            }
            self.write(&seen);
            let next = self
                .spool
                .owed
                .get(self.spool.sent)
                .map(|(record, _)| record.clone());
            tokio::select! {
                ack = incoming.next() => match ack {
                    Some(Ok(ack)) => {
                        heard = Instant::now();
                        self.acknowledged(ack.seq.0, &seen);
                    }
                    Some(Err(error)) => return error.to_string(),
                    None => return "closed".to_owned(),
                },
                place = out.reserve(), if next.is_some() => match (place, next) {
                    (Ok(place), Some(record)) => {
                        place.send(record);
                        self.spool.sent += 1;
                    }
                    (Err(_), _) | (_, None) => return "the stream is closed".to_owned(),
                },
                changed = self.edge.changed() => if changed.is_err() {
                    return "the benchmark is over".to_owned();
                },
                () = sleep(ACK_MAX.saturating_sub(heard.elapsed())), if !self.spool.owed.is_empty() => {
                    return format!("nothing was acknowledged for {ACK_MAX:?}");
                }
            }
        }
    }

    /// Whatever is due since the last edge.
    fn write(&mut self, seen: &Seen) {
        let due = *self.edge.borrow_and_update() - self.begun;
        while self.spool.written < due {
            self.spool.written += 1;
            let record = (self.author)(&self.agent.held, Seq(self.spool.written));
            self.spool.owed.push_back((record, Instant::now()));
            seen.owed.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn acknowledged(&mut self, seq: u64, seen: &Seen) {
        let spool = &mut *self.spool;
        while spool.acked < seq
            && let Some((_, written)) = spool.owed.pop_front()
        {
            spool.acked += 1;
            spool.sent = spool.sent.saturating_sub(1);
            seen.owed.fetch_sub(1, Ordering::SeqCst);
            if seen.measures.load(Ordering::Relaxed) {
                let took = written.elapsed().as_secs_f64() * 1e3;
                seen.acknowledged.lock().unwrap().push(took);
            }
        }
        let agent = self.agent.held.agent.clone();
        seen.acked.lock().unwrap().insert(agent, spool.acked);
    }
}

fn hello(held: &Held) -> Hello {
    Hello {
        protocol: (OURS.lowest, OURS.highest),
        boot: BootId::new(*held.spool.bytes()),
        host: Host {
            name: "crowd".to_owned(),
            os: "none".to_owned(),
            kernel: "none".to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cpus: 1,
            memory: 0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        features: BTreeSet::new(),
        spool: held.spool,
        next: Seq(1),
        epoch: ClockEpoch(0),
        runs: Vec::new(),
        policy: None,
        calibrated: None,
    }
}

/// Full jitter, as the agent has it.
async fn wait(bound: &mut Duration) {
    let share = f64::from(random()) / f64::from(u32::MAX);
    sleep(bound.mul_f64(share)).await;
    *bound = (*bound * 2).min(MOST_WAIT);
}

fn random() -> u32 {
    use ring::rand::{SecureRandom as _, SystemRandom};
    let mut bytes = [0; 4];
    SystemRandom::new().fill(&mut bytes).unwrap();
    u32::from_le_bytes(bytes)
}

async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(STEP_MAX, step)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
