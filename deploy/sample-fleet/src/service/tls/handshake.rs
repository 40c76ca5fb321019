//! From a connection that was accepted to one that TLS protects.

use std::{sync::Arc, time::Duration};

use rustls::ServerConfig;
use tokio::{net::TcpStream, sync::watch, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::authority::Signed;
use crate::listener::OverTcp;

/// A handshake takes a millisecond and the way there and back; what takes longer is no client.
const DEADLINE: Duration = Duration::from_secs(5);

/// Shakes hands with every connection, showing one certificate.
#[derive(Clone)]
pub(crate) struct Handshakes(TlsAcceptor);

impl Handshakes {
    pub(super) fn with(signed: Signed) -> Result<Self, rustls::Error> {
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![signed.certificate], signed.key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// The protected connection; `None` if the client did not want it, took too long, or the end
    /// came first.
    pub(crate) async fn shake(
        &self,
        stream: TcpStream,
        end: &mut watch::Receiver<bool>,
    ) -> Option<TlsStream<TcpStream>> {
        let shaken = tokio::select! {
            _ = end.changed() => return None,
            shaken = timeout(DEADLINE, self.0.accept(stream)) => shaken,
        };
        match shaken {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "no handshake");
                None
            }
            Err(_) => {
                tracing::debug!("the handshake took too long");
                None
            }
        }
    }
}

impl OverTcp for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}
