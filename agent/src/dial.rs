//! One encrypted connection to the controller, as a channel that is used once.

use std::{io, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::TcpStream,
    sync::{Notify, watch},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::address::Address;

/// Resolving and connecting, and then the handshake, may each take this long. A controller that
/// is there answers within a round trip.
const STEP_MAX: Duration = Duration::from_secs(5);
/// A connection that a middlebox forgot is found out within 15 s.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody answers there.
    #[error("connect to {address}")]
    Connect {
        /// Where.
        address: Address,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not the controller, or it does not want us.
    #[error("shake hands with {address}")]
    Handshake {
        /// Where.
        address: Address,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No HTTP/2.
    #[error("speak HTTP/2 with {address}")]
    Speak {
        /// Where.
        address: Address,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
}

/// Dials one address.
#[derive(Debug, Clone)]
pub struct Dialer {
    /// Where.
    pub address: Address,
    /// As whom, and whom to trust: each dialling takes the latest.
    pub tls: watch::Receiver<Arc<ClientConfig>>,
    /// To be told when the door takes our certificate for ended.
    pub ended: Arc<Notify>,
}

impl Dialer {
    /// With a configuration that stays as it is.
    #[must_use]
    pub fn fixed(address: Address, tls: Arc<ClientConfig>) -> Self {
        Self {
            address,
            tls: watch::channel(tls).1,
            ended: Arc::new(Notify::new()),
        }
    }

    /// A channel over one new connection. When that breaks, the channel is done: whoever dialled
    /// decides when to dial again.
    ///
    /// # Errors
    /// Which step failed, and why.
    pub fn channel(&self) -> BoxFuture<'static, Result<Channel, DialError>> {
        // Owned and boxed: the compiler can't see that a borrowed one may change threads.
        self.clone().dial().boxed()
    }

    async fn dial(self) -> Result<Channel, DialError> {
        let stream = self.stream().await?;
        let mut once = Some(TokioIo::new(stream));
        let connector = service_fn(move |_: Uri| {
            let stream = once.take();
            std::future::ready(stream.ok_or_else(|| io::Error::other("the connection is used up")))
        });
        Endpoint::from_static("http://controller")
            .http2_keep_alive_interval(KEEP_ALIVE_EVERY)
            .keep_alive_timeout(KEEP_ALIVE_MAX)
            .keep_alive_while_idle(true)
            .connect_with_connector(connector)
            .await
            .map_err(|source| DialError::Speak {
                address: self.address.clone(),
                source,
            })
    }

    async fn stream(&self) -> Result<TlsStream<TcpStream>, DialError> {
        let address = &self.address;
        let connected = in_time(TcpStream::connect((address.host.clone(), address.port))).await;
        let stream = connected.map_err(|source| DialError::Connect {
            address: address.clone(),
            source,
        })?;
        // Only ever a delay: without it small messages wait for the answer to the one before.
        stream.set_nodelay(true).ok();
        // The peer is known by its SPIFFE id, so the name says nothing; one that is always valid.
        let name = ServerName::try_from("controller").expect("a plain word is a name");
        let tls = Arc::clone(&self.tls.borrow());
        let shaken = TlsConnector::from(tls).connect(name, stream);
        in_time(shaken)
            .await
            .map_err(|source| DialError::Handshake {
                address: address.clone(),
                source,
            })
    }
}

async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(STEP_MAX, step)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
