//! A controller's doors on loopback, and agents that knock: what the tests of this package share.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{Stream, StreamExt as _};
use nepho_common::{id::AgentId, time::WallMillis};
use nepho_proto::tls;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Agents, Arrivals, Conn, Cuts, Gate, Limits, listen};
use crate::{
    identity::{ca::Authority, certificate::Serial, csr::ProvenKey},
    journal::{Admission, Admitted, Store},
};

/// Only a hang guard: whatever is awaited takes milliseconds.
pub(crate) const HANG: Duration = Duration::from_secs(20);

pub(crate) fn wall() -> WallMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    WallMillis(i64::try_from(since.as_millis()).unwrap())
}

pub(crate) struct Site {
    pub(crate) store: Store,
    pub(crate) authority: Arc<Authority>,
    pub(crate) cuts: Cuts,
    _dir: tempfile::TempDir,
}

/// What an agent holds.
pub(crate) struct Held {
    pub(crate) key: KeyPair,
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

impl Held {
    pub(crate) fn new(key: KeyPair, chain: Vec<Vec<u8>>) -> Self {
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        Self { key, chain }
    }

    pub(crate) fn config(&self, authority: &Authority) -> Arc<ClientConfig> {
        let chain = self.chain.clone();
        tls::client_config_session(authority.ca_der(), chain, private(&self.key)).unwrap()
    }
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

pub(crate) fn request(key: &KeyPair) -> Vec<u8> {
    let request = CertificateParams::default().serialize_request(key);
    request.unwrap().der().to_vec()
}

impl Site {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            store: Store::open(&dir.path().join("nepho.sqlite")).await.unwrap(),
            authority: Arc::new(Authority::open(dir.path(), wall()).unwrap()),
            cuts: Cuts::default(),
            _dir: dir,
        }
    }

    /// An agent as enrolment leaves it.
    pub(crate) async fn agent(&self, name: &AgentId) -> Held {
        let key = KeyPair::generate().unwrap();
        let proven = ProvenKey::from_request(&request(&key)).unwrap();
        let serial = Serial::random().unwrap();
        let now = wall();
        let admission = Admission {
            environment: "local".parse().unwrap(),
            agent: Some(name.clone()),
            serial: serial.to_string(),
            key: proven.fingerprint(),
            not_after: self.authority.not_after(now),
            now,
        };
        let admitted = self.store.admit(admission).await.unwrap();
        assert!(matches!(admitted, Admitted::Stored { .. }));
        let issued = self.authority.issue_agent(name, &proven, &serial, now);
        Held::new(key, issued.unwrap().chain)
    }

    pub(crate) fn agents(&self) -> Agents {
        Agents {
            store: self.store.clone(),
            cuts: self.cuts.clone(),
            arrivals: Arrivals::default(),
            wall,
        }
    }

    pub(crate) fn mutual(&self) -> Arc<ServerConfig> {
        let (chain, key) = self.authority.controller_identity(wall()).unwrap();
        tls::server_config_mutual(self.authority.ca_der(), chain, key).unwrap()
    }

    pub(crate) fn plain(&self) -> Arc<ServerConfig> {
        let (chain, key) = self.authority.controller_identity(wall()).unwrap();
        tls::server_config_plain(chain, key).unwrap()
    }
}

/// A door with nobody behind it yet.
pub(crate) async fn door<G: Gate>(
    config: Arc<ServerConfig>,
    gate: G,
    limits: Limits,
) -> (
    SocketAddr,
    watch::Sender<Arc<ServerConfig>>,
    impl Stream<Item = io::Result<Conn<G::Peer>>> + Send,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (changes, config) = watch::channel(config);
    (address, changes, listen(listener, config, gate, limits))
}

/// A door whose guests say "in" and then listen, as an idle session does.
pub(crate) struct Hall<P> {
    pub(crate) address: SocketAddr,
    pub(crate) config: watch::Sender<Arc<ServerConfig>>,
    pub(crate) peers: mpsc::Receiver<P>,
}

impl<P: Clone + Send + Sync + Unpin + 'static> Hall<P> {
    pub(crate) async fn open<G: Gate<Peer = P>>(
        config: Arc<ServerConfig>,
        gate: G,
        limits: Limits,
    ) -> Self {
        use tonic::transport::server::Connected as _;
        let (address, config, incoming) = door(config, gate, limits).await;
        let (sender, peers) = mpsc::channel(64); // More than any test lets in.
        tokio::spawn(async move {
            tokio::pin!(incoming);
            while let Some(conn) = incoming.next().await {
                let mut conn = conn.unwrap();
                sender.send(conn.connect_info()).await.ok();
                tokio::spawn(async move {
                    conn.write_all(b"in").await.ok();
                    conn.flush().await.ok();
                    conn.read_u8().await.ok();
                });
            }
        });
        Self {
            address,
            config,
            peers,
        }
    }
}

/// Knocks; the connection if it was let in, within the hang guard.
pub(crate) async fn knock(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    timeout(HANG, knock_over(tcp, config)).await.expect("hangs")
}

pub(crate) async fn knock_over(
    tcp: TcpStream,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("controller").unwrap();
    let mut tls = TlsConnector::from(config).connect(name, tcp).await?;
    // In TLS 1.3 a client learns by reading whether its certificate was taken.
    let mut word = [0; 2];
    tls.read_exact(&mut word).await?;
    assert_eq!(&word, b"in");
    Ok(tls)
}
