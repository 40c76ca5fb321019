//! Whose certificates are trusted, and what is read of those that targets show.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use nepho_agent_core::recorder::Certificate;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What is to be spoken over TLS, as ALPN names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::work) enum Spoken {
    Http1,
    Http2,
    /// Nothing is said of it.
    Unnamed,
}

/// How to shake hands.
#[derive(Clone)]
pub(in crate::work) struct Tls {
    http1: TlsConnector,
    http2: TlsConnector,
    unnamed: TlsConnector,
}

impl Tls {
    pub(super) fn trusting(roots: RootCertStore) -> Self {
        let unnamed = config(roots);
        let spoken = |protocol: &[u8]| {
            let mut config = unnamed.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            TlsConnector::from(Arc::new(config))
        };
        Self {
            http1: spoken(b"http/1.1"),
            http2: spoken(b"h2"),
            unnamed: TlsConnector::from(Arc::new(unnamed.clone())),
        }
    }

    pub(in crate::work) const fn connector(&self, spoken: Spoken) -> &TlsConnector {
        match spoken {
            Spoken::Http1 => &self.http1,
            Spoken::Http2 => &self.http2,
            Spoken::Unnamed => &self.unnamed,
        }
    }
}

impl Tls {
    /// Trusting these authorities in PEM and no others, or those of this host.
    pub(in crate::work) async fn of(authorities: Option<&str>) -> Result<Self, String> {
        let Some(pem) = authorities else {
            return Ok(of_host().await);
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|_| "the authorities are no PEM")?;
            let added = roots.add(certificate);
            added.map_err(|_| "one of the authorities is no certificate")?;
        }
        if roots.is_empty() {
            return Err("the authorities hold no certificate".to_owned());
        }
        Ok(Self::trusting(roots))
    }
}

/// With the root certificates of this host, or of SSL_CERT_FILE, read once.
pub(super) async fn of_host() -> Tls {
    static TLS: OnceCell<Tls> = OnceCell::const_new();
    let read = async || {
        // Reading a hundred files takes milliseconds, and the runtime has one thread.
        let roots = tokio::task::spawn_blocking(native_roots).await;
        Tls::trusting(roots.unwrap_or_else(|_| RootCertStore::empty()))
    };
    TLS.get_or_init(read).await.clone()
}

fn native_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (taken, left) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        tracing::warn!(
            left,
            "this host has no root certificates: https probes will fail"
        );
    }
    roots
}

fn config(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring can do TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Each request measures a whole handshake.
    config.resumption = rustls::client::Resumption::disabled();
    config
}

/// What is noted of a certificate; `None` when it can't be read, or this host's clock is set before
/// 1970.
pub(super) fn certificate(shown: &CertificateDer<'_>) -> Option<Certificate> {
    let (_, parsed) = X509Certificate::from_der(shown).ok()?;
    let ends = parsed.validity().not_after.timestamp();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let now = i64::try_from(now.as_nanos()).ok()?;
    let left = ends.saturating_mul(1_000_000_000).saturating_sub(now);
    Some(Certificate { ends, left })
}
