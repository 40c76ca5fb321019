//! One encrypted connection to the controller, as a channel that is used once.

use std::{fmt, io, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use http::Uri;
use hyper_util::rt::TokioIo;
use nepho_common::time::Nanos;
use rustls::{
    CertificateError, ClientConfig,
    pki_types::{ServerName, UnixTime},
};
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
    /// By this host's clock its certificate is of another time.
    #[error(
        "shake hands with {address}: by this host's clock its certificate {off}; compare the time of \
         both hosts (timedatectl), and set the one that is wrong"
    )]
    Time {
        /// Where.
        address: Address,
        /// By how much.
        off: OffTime,
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

/// How far a certificate is from being valid by this host's clock, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffTime {
    /// It begins so much later.
    Early(Nanos),
    /// It ended so much earlier.
    Late(Nanos),
}

impl fmt::Display for OffTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Early(by) => write!(f, "begins in {}", by),
            Self::Late(by) => write!(f, "ended {} ago", by),
        }
    }
}

impl OffTime {
    fn of(error: &io::Error) -> Option<Self> {
        let tls = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        let rustls::Error::InvalidCertificate(why) = tls else {
            return None;
        };
        let between = |from: &UnixTime, to: &UnixTime| {
            Nanos::from_secs(to.as_secs().saturating_sub(from.as_secs()))
        };
        match why {
            CertificateError::NotValidYetContext { time, not_before } => {
                Some(Self::Early(between(time, not_before)))
            }
            CertificateError::ExpiredContext { time, not_after } => {
                Some(Self::Late(between(not_after, time)))
            }
            // The type is open, so there is no list of the others.
            _ => None,
        }
    }
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
            .map_err(|source| match OffTime::of(&source) {
                Some(off) => DialError::Time {
                    address: address.clone(),
                    off,
                },
                None => DialError::Handshake {
                    address: address.clone(),
                    source,
                },
            })
    }
}

async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(STEP_MAX, step)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use nepho_proto::tls::{
        agent_uri, client_config_session, controller_uri, server_config_mutual,
    };
    use rcgen::{
        BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
        date_time_ymd,
    };
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::chain::Chain;

    /// What dialling says of a controller whose certificate is good for these years.
    async fn said(from: i32, to: i32) -> Result<(), DialError> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        let sign = |uri: &str, (from, to)| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(to, 1, 1);
            let signed = params.signed_by(&key, &issuer).unwrap().der().clone();
            (vec![signed, authority.clone()], key.into())
        };
        let (chain, key) = sign(controller_uri(), (from, to));
        let server = server_config_mutual(&authority, chain, key).unwrap();
        let (chain, key) = sign(&agent_uri(&"a".parse().unwrap()), (2000, 2100));
        let client = client_config_session(&authority, chain, key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            // What the server thinks of the end does not matter here.
            TlsAcceptor::from(server).accept(stream).await.ok()
        };
        let dialer = Dialer::fixed(address, client);
        let (found, _server) = tokio::join!(dialer.stream(), serve);
        found.map(drop)
    }

    #[tokio::test]
    async fn a_certificate_of_another_time_says_by_how_much_this_hosts_clock_is_off() {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = since_1970.unwrap().as_secs();
        // 2090-01-01 and 2001-01-01 in seconds since 1970.
        let (begins, ended) = (3_786_912_000, 978_307_200);
        let early = said(2090, 2091).await.unwrap_err();
        let DialError::Time { off, .. } = &early else {
            panic!("{}", Chain(&early));
        };
        let OffTime::Early(by) = off else {
            panic!("{off:?}");
        };
        assert!(by.0.abs_diff((begins - now) * 1_000_000_000) < 60_000_000_000);
        let text = early.to_string();
        assert!(
            text.contains("its certificate begins in ") && text.contains("timedatectl"),
            "{text}"
        );
        let late = said(2000, 2001).await.unwrap_err();
        let DialError::Time { off, .. } = &late else {
            panic!("{}", Chain(&late));
        };
        let OffTime::Late(by) = off else {
            panic!("{off:?}");
        };
        assert!(by.0.abs_diff((now - ended) * 1_000_000_000) < 60_000_000_000);
        assert!(said(2000, 2100).await.is_ok(), "and one of today connects");
    }
}
