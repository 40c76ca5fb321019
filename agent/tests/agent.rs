//! A whole agent against a controller that is made of `nepho-proto`'s server ends alone: join,
//! session, one stage, its records, and an end in order.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test program: a failure is a panic, in its helpers too"
)]

mod stolen;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::StreamExt as _;
use nepho_agent::{
    agent::Agent,
    clock,
    identity::DataDir,
    join::{Join, JoinError, join},
    leave::{Ending, Leave},
};
use nepho_common::{
    control::{Command, Order, Phase, Status, StopMode},
    event::What,
    id::{Attempt, Digest, Fence, PlanId, RunKey, Seq},
    journal::{Body, Entry, RecordKind, Seal},
    plan::{Act, AssignedStage, AssignedStep, Assignment, Check, Probe, Target, TcpCheck},
    recording::{Metric, Outcome},
    time::{Exchange, Nanos, RunTime},
};
use nepho_proto::{
    journal,
    session::{
        Ack, AgentMessage, ControllerMessage, EnrolReply, EnrolRequest, Enrolment, Incoming,
        Outgoing, Peer, PeerIdentity, Ping, Refused, ReissueRequest, RenewRequest, Sessions,
        Stranger, Welcome, async_trait, enrolment_server, sessions_server,
    },
    tls,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Server, server::Connected};

#[path = "agent/leaving.rs"]
mod leaving;
#[path = "agent/window.rs"]
mod window;

const DRAIN: Leave = Leave::Drain(Duration::from_secs(20));
const SECRET: [u8; 32] = [7; 32];
/// A hang guard, several times what anything here takes.
const GUARD: Duration = Duration::from_secs(30);

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Arc<Issuer> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate().unwrap();
    Arc::new(CertifiedIssuer::self_signed(params, key).unwrap())
}

fn named(uri: &str, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params.extended_key_usages = vec![usage];
    params
}

/// What an accept loop gives to tonic: a stream that says who is there.
struct Stream<P>(TlsStream<TcpStream>, P);

impl<P: Clone + Send + Sync + 'static> Connected for Stream<P> {
    type ConnectInfo = P;
    fn connect_info(&self) -> P {
        self.1.clone()
    }
}

impl<P: Unpin> AsyncRead for Stream<P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<P: Unpin> AsyncWrite for Stream<P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

async fn serve<P: Clone + Send + Sync + Unpin + 'static>(
    routes: tonic::service::Routes,
    config: Arc<ServerConfig>,
    who: fn(&TlsStream<TcpStream>, SocketAddr) -> P,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (streams, accepted) = mpsc::channel(4);
    tokio::spawn(async move {
        while let Ok((tcp, address)) = listener.accept().await {
            if let Ok(tls) = TlsAcceptor::from(Arc::clone(&config)).accept(tcp).await {
                let peer = who(&tls, address);
                streams
                    .send(Ok::<_, io::Error>(Stream(tls, peer)))
                    .await
                    .ok();
            }
        }
    });
    tokio::spawn(async move {
        let accepted = ReceiverStream::new(accepted);
        Server::builder()
            .add_routes(routes)
            .serve_with_incoming(accepted)
            .await
            .unwrap();
    });
    port
}

struct Enrol {
    authority: Arc<Issuer>,
    sessions_port: u16,
}

#[async_trait]
impl Enrolment for Enrol {
    async fn enrol(&self, _: Stranger, request: EnrolRequest) -> Result<EnrolReply, Refused> {
        if request.secret != SECRET {
            return Err(Refused::new(tonic::Code::PermissionDenied, "unknown token"));
        }
        let csr = CertificateSigningRequestParams::from_der(&request.csr.into()).unwrap();
        let params = named(
            "spiffe://nephoscope/agent/local-1",
            ExtendedKeyUsagePurpose::ClientAuth,
        );
        let own = params.signed_by(&csr.public_key, &self.authority).unwrap();
        Ok(EnrolReply {
            chain: vec![own.der().to_vec(), self.authority.der().to_vec()],
            agent: "local-1".parse().unwrap(),
            environment: "local".parse().unwrap(),
            sessions_port: self.sessions_port,
        })
    }

    async fn reissue(&self, _: Stranger, _: ReissueRequest) -> Result<EnrolReply, Refused> {
        Err(unasked())
    }
}

fn unasked() -> Refused {
    Refused::new(
        tonic::Code::Unimplemented,
        "its certificate is good for long",
    )
}

/// What the test sees of the agent, and what it says to it.
struct Fake {
    acks: Arc<AtomicBool>,
    heard: mpsc::Sender<AgentMessage>,
    say: Mutex<Option<mpsc::Receiver<ControllerMessage>>>,
    entries: mpsc::Sender<Entry>,
}

#[async_trait]
impl Sessions for Fake {
    async fn control(
        &self,
        peer: Peer,
        mut incoming: Incoming<AgentMessage>,
    ) -> Result<Outgoing<ControllerMessage>, Refused> {
        assert_eq!(peer.agent.as_str(), "local-1");
        let heard = self.heard.clone();
        tokio::spawn(async move {
            while let Some(Ok(message)) = incoming.next().await {
                heard.send(message).await.ok();
            }
        });
        // After a reconnect there is nothing more to say.
        let say = self.say.lock().unwrap().take();
        Ok(match say {
            Some(say) => ReceiverStream::new(say).boxed(),
            None => futures_util::stream::pending().boxed(),
        })
    }

    async fn results(
        &self,
        _: Peer,
        incoming: Incoming<nepho_common::journal::Record>,
    ) -> Result<Outgoing<Ack>, Refused> {
        let entries = self.entries.clone();
        let says = Arc::clone(&self.acks);
        let acks = incoming.filter_map(move |record| {
            let entries = entries.clone();
            let says = Arc::clone(&says);
            async move {
                let record = record.unwrap();
                let ack = Ack {
                    spool: record.key.spool,
                    seq: record.key.seq,
                };
                entries.send(journal::decode(&record).unwrap()).await.ok();
                says.load(Ordering::Relaxed).then_some(ack)
            }
        });
        Ok(acks.boxed())
    }

    async fn renew(&self, _: Peer, _: RenewRequest) -> Result<EnrolReply, Refused> {
        Err(unasked())
    }
}

struct Controller {
    /// Whether records are acknowledged.
    acks: Arc<AtomicBool>,
    authority: Arc<Issuer>,
    enrolment: u16,
    heard: mpsc::Receiver<AgentMessage>,
    say: mpsc::Sender<ControllerMessage>,
    entries: mpsc::Receiver<Entry>,
}

impl Controller {
    async fn start() -> Self {
        let authority = authority();
        let key = KeyPair::generate().unwrap();
        let params = named(tls::controller_uri(), ExtendedKeyUsagePurpose::ServerAuth);
        let own = params.signed_by(&key, &authority).unwrap();
        let ca = authority.der().clone();
        let chain = vec![own.der().clone(), ca.clone()];
        let key = || PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mutual = tls::server_config_mutual(&ca, chain.clone(), key()).unwrap();
        let plain = tls::server_config_plain(chain, key()).unwrap();
        let (heard_in, heard) = mpsc::channel(64);
        let (say, said) = mpsc::channel(64);
        let (entries_in, entries) = mpsc::channel(64);
        let acks = Arc::new(AtomicBool::new(true));
        let fake = Fake {
            acks: Arc::clone(&acks),
            heard: heard_in,
            say: Mutex::new(Some(said)),
            entries: entries_in,
        };
        let sessions_port = serve(sessions_server(fake), mutual, |tls, address| {
            let certificates = tls.get_ref().1.peer_certificates().unwrap();
            PeerIdentity {
                identity: tls::peer_identity(&certificates[0]).unwrap(),
                address,
                serial: String::new(),
            }
        })
        .await;
        let enrol = Enrol {
            authority: Arc::clone(&authority),
            sessions_port,
        };
        let enrolment = serve(enrolment_server(enrol), plain, |_, address| Stranger {
            address,
        })
        .await;
        Self {
            acks,
            authority,
            enrolment,
            heard,
            say,
            entries,
        }
    }

    fn join(&self, dir: &DataDir, secret: [u8; 32], pin: Digest) -> Join {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let token = dir.0.with_extension("token");
        let [secret, pin] = [secret, *pin.bytes()].map(|part| URL_SAFE_NO_PAD.encode(part));
        std::fs::write(&token, format!("nepho1.{secret}.{pin}\n")).unwrap();
        Join {
            controller: format!("127.0.0.1:{}", self.enrolment).parse().unwrap(),
            sessions: None,
            token,
            dir: dir.clone(),
            force: false,
        }
    }

    fn pin(&self) -> Digest {
        Digest::of(self.authority.der())
    }

    async fn hear(&mut self) -> AgentMessage {
        tokio::time::timeout(GUARD, self.heard.recv())
            .await
            .unwrap()
            .unwrap()
    }

    async fn phase(&mut self) -> Phase {
        loop {
            if let AgentMessage::Status(Status { phase, .. }) = self.hear().await {
                return phase;
            }
        }
    }

    async fn order(&self, order: Order) {
        let key = RunKey {
            run: "r1".parse().unwrap(),
            attempt: Attempt(1),
            fence: Fence(1),
        };
        self.say
            .send(ControllerMessage::Command(Command { key, order }))
            .await
            .unwrap();
    }

    async fn welcome(&mut self) {
        assert!(matches!(self.hear().await, AgentMessage::Hello(_)));
        let welcome = Welcome {
            protocol: 1,
            heartbeat: Nanos::from_secs(5),
            agent: "local-1".parse().unwrap(),
        };
        self.say
            .send(ControllerMessage::Welcome(welcome))
            .await
            .unwrap();
    }
}

fn assignment(port: u16, lasts: Nanos) -> Assignment {
    let target = Target {
        to: "local/a/1".parse().unwrap(),
        operation: "connect".to_owned().try_into().unwrap(),
        check: Check::Tcp(TcpCheck {
            host: "127.0.0.1".to_owned(),
            port,
            ..TcpCheck::default()
        }),
        offset: Nanos::from_millis(5),
    };
    let every = Nanos::from_millis(50);
    let probe = Probe {
        every,
        timeout: Nanos::from_millis(500),
        to: vec![target],
    };
    let step = AssignedStep {
        name: "p".parse().unwrap(),
        act: Act::Probe(probe),
    };
    Assignment {
        plan: PlanId(Digest::of(b"")),
        environment: "local".parse().unwrap(),
        features: BTreeSet::from(["probe.tcp".parse().unwrap()]),
        stages: vec![AssignedStage {
            name: "one".parse().unwrap(),
            lasts,
            steps: vec![step],
        }],
    }
}

struct Running {
    stop: watch::Sender<Leave>,
    ready: oneshot::Receiver<()>,
    agent: tokio::task::JoinHandle<Result<Ending, nepho_agent::agent::AgentError>>,
}

fn run(dir: &DataDir) -> Running {
    let agent = Agent::open(dir, None).unwrap();
    let (stop, stopped) = watch::channel(Leave::Stay);
    let (say_ready, ready) = oneshot::channel();
    let agent = tokio::task::spawn_local(agent.run(stopped, say_ready));
    Running { stop, ready, agent }
}

async fn local(test: impl Future<Output = ()>) {
    let all = tokio::task::LocalSet::new();
    tokio::time::timeout(GUARD * 2, all.run_until(test))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_stage_is_asked_for_run_sealed_and_everything_of_it_arrives_once() {
    local(async {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir(temp.path().join("agent"));
        let mut controller = Controller::start().await;
        join(controller.join(&dir, SECRET, controller.pin()))
            .await
            .unwrap();
        let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = target.local_addr().unwrap().port();
        let running = run(&dir);
        controller.welcome().await;
        running.ready.await.unwrap();

        let t1 = clock::now();
        controller
            .say
            .send(ControllerMessage::Ping(Ping { id: 9, t1 }))
            .await
            .unwrap();
        let AgentMessage::Pong(pong) = controller.hear().await else {
            panic!("a ping is answered by a pong");
        };
        let t4 = clock::now();
        let exchange = Exchange {
            t1: pong.t1,
            t2: pong.t2,
            t3: pong.t3,
            t4,
        };
        let offset = exchange.offset().unwrap();
        assert!(offset.lo <= 0 && offset.hi >= 0, "both clocks are one");
        println!("round trip {}", exchange.round_trip().unwrap());

        let lasts = Nanos::from_millis(300);
        controller
            .order(Order::Prepare(Box::new(assignment(port, lasts))))
            .await;
        assert_eq!(controller.phase().await, Phase::Prepared);
        let one: nepho_common::id::StageName = "one".parse().unwrap();
        controller.order(Order::Arm(one.clone())).await;
        assert_eq!(controller.phase().await, Phase::Armed(one.clone()));
        let at = clock::now().plus(Nanos::from_millis(100));
        controller
            .order(Order::Start {
                stage: one.clone(),
                at_run: RunTime(0),
                at,
            })
            .await;
        for phase in [Phase::Scheduled(one.clone()), Phase::Running(one.clone())] {
            assert_eq!(controller.phase().await, phase);
        }
        assert_eq!(controller.phase().await, Phase::Draining(one.clone()));
        let Phase::Sealed { seal: last, .. } = controller.phase().await else {
            panic!("a drained stage is sealed");
        };

        let mut entries = Vec::new();
        while entries
            .last()
            .is_none_or(|entry: &Entry| entry.key.seq < last)
        {
            entries.push(controller.entries.recv().await.unwrap());
        }
        check(&entries, last, at);
        running.stop.send_replace(DRAIN);
        assert!(matches!(
            controller.hear().await,
            AgentMessage::Goodbye { .. }
        ));
        running.agent.await.unwrap().unwrap();
        let ack = std::fs::read_to_string(dir.spool().join("ack")).unwrap();
        assert!(ack.starts_with(&format!("{last} ")), "{ack}");
    })
    .await;
}

/// The seal says just what arrived: six requests, due at 5, 55, … 255 ms.
fn check(entries: &[Entry], last: Seq, at: nepho_common::time::Mono) {
    let seqs: Vec<_> = entries.iter().map(|entry| entry.key.seq.0).collect();
    assert_eq!(seqs, (1..=last.0).collect::<Vec<_>>(), "no gap, none twice");
    let mut records: BTreeMap<RecordKind, u64> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    let mut seals: Vec<&Seal> = Vec::new();
    for entry in entries {
        match &entry.body {
            Body::Seal(seal) => {
                seals.push(seal);
                continue;
            }
            Body::Recordings(all) => {
                for one in all {
                    *counts.entry(one.series.as_ref().clone()).or_default() +=
                        one.histogram.count();
                }
            }
            Body::Events(events) => {
                for event in events {
                    if let What::StageStarted {
                        planned, actual, ..
                    } = event.what
                    {
                        assert_eq!(planned, at);
                        assert!(actual >= planned);
                        println!("stage began {} late", actual.since(planned));
                    }
                }
            }
            Body::Gauges(_) | Body::Traces(_) | Body::Exhibits(_) => {}
        }
        *records.entry(entry.body.kind()).or_default() += 1;
    }
    let [seal] = seals[..] else {
        panic!("one stage has one seal, not {}", seals.len());
    };
    assert_eq!((&seal.records, &seal.samples), (&records, &counts));
    let of = |metric| {
        counts
            .iter()
            .filter(move |(series, _)| series.metric == metric)
    };
    let response: Vec<_> = of(Metric::ResponseTime)
        .map(|(s, n)| (s.outcome, *n))
        .collect();
    assert_eq!(response, [(Outcome::Success, 6)]);
}

#[tokio::test]
async fn an_abort_in_the_middle_of_a_stage_seals_what_there_is() {
    local(async {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir(temp.path().join("agent"));
        let mut controller = Controller::start().await;
        join(controller.join(&dir, SECRET, controller.pin()))
            .await
            .unwrap();
        let running = run(&dir);
        controller.welcome().await;
        let one: nepho_common::id::StageName = "one".parse().unwrap();
        let lasts = Nanos::from_secs(60);
        controller
            .order(Order::Prepare(Box::new(assignment(1, lasts))))
            .await;
        controller.order(Order::Arm(one.clone())).await;
        let at = clock::now();
        controller
            .order(Order::Start {
                stage: one.clone(),
                at_run: RunTime(0),
                at,
            })
            .await;
        while controller.phase().await != Phase::Running(one.clone()) {}
        controller.order(Order::Stop(StopMode::Abort)).await;
        while !matches!(controller.phase().await, Phase::Sealed { .. }) {}
        let mut last = controller.entries.recv().await.unwrap();
        while !matches!(last.body, Body::Seal(_)) {
            last = controller.entries.recv().await.unwrap();
        }
        running.stop.send_replace(DRAIN);
        running.agent.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn joining_trusts_only_the_authority_of_the_token_and_happens_once() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir(temp.path().join("agent"));
    let controller = Controller::start().await;
    let other = join(controller.join(&dir, SECRET, Digest::of(b"another"))).await;
    assert!(matches!(other, Err(JoinError::Dial(_))), "{other:?}");
    let wrong = join(controller.join(&dir, [8; 32], controller.pin())).await;
    assert!(matches!(wrong, Err(JoinError::Enrol(_))), "{wrong:?}");
    assert!(!dir.identity().exists() && !dir.about().exists());
    let about = join(controller.join(&dir, SECRET, controller.pin()))
        .await
        .unwrap();
    assert_eq!(about.agent.as_str(), "local-1");
    let again = join(controller.join(&dir, SECRET, controller.pin())).await;
    assert!(matches!(again, Err(JoinError::AlreadyJoined(_))));
    let forced = Join {
        force: true,
        ..controller.join(&dir, SECRET, controller.pin())
    };
    join(forced).await.unwrap();
}

#[tokio::test]
async fn the_program_says_when_it_is_ready_and_ends_well_on_sigterm() {
    local(async {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir(temp.path().join("agent"));
        let mut controller = Controller::start().await;
        join(controller.join(&dir, SECRET, controller.pin()))
            .await
            .unwrap();
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_nepho-agent"))
            .args(["run", "--die-with-parent", "--data-dir"])
            .arg(&dir.0)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        controller.welcome().await;
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = out.next_line().await.unwrap().unwrap();
        assert_eq!(
            ready,
            r#"{"agent":"local-1","schema":"nepho.agent-ready/v1"}"#
        );
        let pid = child.id().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let resident = status.lines().find(|line| line.starts_with("VmRSS"));
        println!("at rest: {}", resident.unwrap());
        let id = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        while !matches!(controller.hear().await, AgentMessage::Goodbye { .. }) {}
        assert!(child.wait().await.unwrap().success());
        assert_eq!(
            out.next_line().await.unwrap(),
            None,
            "one line and no other"
        );
    })
    .await;
}

/// Killed where it is held, and started again, the agent delivers what it had on disk.
#[cfg(feature = "hold-points")]
#[tokio::test]
async fn what_was_on_disk_arrives_after_a_kill_at_any_point_of_delivery() {
    for point in [
        "spool.after-sync",
        "results.before-send",
        "results.after-send",
    ] {
        local(killed_at(point)).await;
    }
}

#[cfg(feature = "hold-points")]
async fn killed_at(point: &str) {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir(temp.path().join("agent"));
    let mut controller = Controller::start().await;
    join(controller.join(&dir, SECRET, controller.pin()))
        .await
        .unwrap();
    let held = temp.path().join("held");
    let start = |hold: Option<String>| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_nepho-agent"));
        command.args(["run", "--data-dir"]).arg(&dir.0);
        command.envs(hold.map(|hold| ("NEPHO_HOLD", hold)));
        command.kill_on_drop(true).spawn().unwrap()
    };
    let mut child = start(Some(format!("{point}:{}", held.display())));
    controller.welcome().await;
    let one: nepho_common::id::StageName = "one".parse().unwrap();
    let plan = assignment(1, Nanos::from_secs(60));
    controller.order(Order::Prepare(Box::new(plan))).await;
    controller.order(Order::Arm(one.clone())).await;
    let at = clock::now();
    let at_run = RunTime(0);
    let begin = Order::Start {
        stage: one,
        at_run,
        at,
    };
    controller.order(begin).await;
    while !held.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    child.kill().await.unwrap();
    std::fs::remove_file(&held).unwrap();
    let before: Vec<_> = std::iter::from_fn(|| controller.entries.try_recv().ok()).collect();
    assert!(before.is_empty() || point == "results.after-send");
    let mut child = start(None);
    // It was not acknowledged, so it comes again, the same.
    let entry = controller.entries.recv().await.unwrap();
    assert_eq!(entry.key.seq, Seq(1), "{point}");
    assert!(before.iter().all(|first| *first == entry));
    child.kill().await.unwrap();
}
