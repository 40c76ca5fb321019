//! A controller with all its doors, in this process, and agents' identities that it gave.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper_util::rt::TokioIo;
use nepho_common::id::AgentId;
use nepho_controller::{
    service::{self, Config, Controller},
    view::AgentView,
};
use nepho_proto::{
    session::{EnrolReply, EnrolRequest, EnrolmentClient},
    tls,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};

/// Only a hang guard: whatever is awaited takes milliseconds.
pub(crate) const HANG: Duration = Duration::from_secs(30);

/// Where honest agents come from; an attacker that has addresses takes others of the loopback.
pub(crate) const HONEST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(crate) struct Site {
    pub(crate) controller: Controller,
    dir: TempDir,
}

pub(crate) async fn soon<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, wait).await.expect("in time")
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    /// Ends it in order, and starts it again on its data.
    pub(crate) async fn restart(self) -> Self {
        soon(self.controller.shutdown()).await;
        Self::start_in(self.dir).await
    }

    async fn start_in(dir: TempDir) -> Self {
        let config = Config {
            data_dir: dir.path().to_owned(),
            enrolment: "127.0.0.1:0".parse().unwrap(),
            sessions: "127.0.0.1:0".parse().unwrap(),
            socket: dir.path().join("nepho.sock"),
            advertise: None,
            certificate_life: Duration::from_secs(3600),
        };
        let controller = service::start(config).await.unwrap();
        Self { controller, dir }
    }

    pub(crate) async fn end(self) {
        soon(self.controller.shutdown()).await;
    }

    /// An identity, by a join token as an agent gets it.
    pub(crate) async fn agent(&self, name: &str) -> Arc<ClientConfig> {
        let name: AgentId = name.parse().unwrap();
        let hour = Duration::from_secs(3600);
        let local = "local".parse().unwrap();
        let enrolled = self.controller.handle.enroll(local, Some(name), hour);
        let token = enrolled.await.unwrap().token;
        let key = KeyPair::generate().unwrap();
        let csr = CertificateParams::default().serialize_request(&key);
        let request = EnrolRequest {
            secret: token.secret().to_vec(),
            csr: csr.unwrap().der().to_vec(),
            version: "0.1.0".to_owned(),
        };
        let plain = tls::client_config_enrol(token.pin());
        let channel = channel(
            dial(HONEST, self.controller.enrolment, plain)
                .await
                .unwrap(),
        )
        .await;
        let reply = soon(EnrolmentClient::new(channel).enrol(request)).await;
        session_config(reply.unwrap(), &key)
    }

    /// A connection to the sessions door.
    pub(crate) async fn knock(&self, held: &Arc<ClientConfig>) -> TlsStream<TcpStream> {
        let dialled = dial(HONEST, self.controller.sessions, Arc::clone(held)).await;
        dialled.unwrap()
    }

    pub(crate) async fn seen(&self, name: &str) -> Option<AgentView> {
        let agents = self.controller.handle.agents().await;
        agents.into_iter().find(|view| view.agent.as_str() == name)
    }
}

fn session_config(reply: EnrolReply, key: &KeyPair) -> Arc<ClientConfig> {
    let chain: Vec<_> = reply.chain.into_iter().map(CertificateDer::from).collect();
    let ca = chain.last().unwrap().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    tls::client_config_session(&ca, chain, key).unwrap()
}

/// TCP from this address of ours.
pub(crate) async fn connect(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    soon(socket.connect(to)).await
}

/// TLS from this address of ours.
pub(crate) async fn dial(
    from: IpAddr,
    to: SocketAddr,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let tcp = connect(from, to).await?;
    let name = ServerName::try_from("controller").unwrap();
    soon(TlsConnector::from(config).connect(name, tcp)).await
}

/// HTTP/2 as tonic speaks it, over a connection that is there.
pub(crate) async fn channel(tls: TlsStream<TcpStream>) -> Channel {
    let mut once = Some(TokioIo::new(tls));
    let connector = tower::service_fn(move |_| {
        let stream = once.take();
        std::future::ready(stream.ok_or_else(|| io::Error::other("used up")))
    });
    let endpoint = Endpoint::from_static("http://controller");
    soon(endpoint.connect_with_connector(connector))
        .await
        .unwrap()
}
