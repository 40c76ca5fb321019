//! The four configurations.

use std::sync::Arc;

use nepho_common::id::Digest;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::{Resumption, danger::ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier},
    version::TLS13,
};

use super::verify::{AgentsOnly, ControllerOnly, Trust};

/// Why there is no configuration: what we hold ourselves is at fault, not a peer.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The authority's certificate can't be used.
    #[error("the authority's certificate can't be used")]
    Authority(#[source] rustls::Error),
    /// No verifier can be made of it.
    #[error("no verifier can be made of the authority's certificate")]
    Verifier(#[source] VerifierBuilderError),
    /// The chain and the key don't belong together, or one can't be read.
    #[error("certificate chain and key can't be used")]
    Identity(#[source] rustls::Error),
}

/// The sessions listener: agents of this authority only.
///
/// # Errors
/// [`TlsError`] when the certificates or the key can't be used.
pub fn server_config_mutual(
    authority: &CertificateDer<'_>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let roots = Arc::new(roots(authority)?);
    let signed = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(TlsError::Verifier)?;
    let config = server().with_client_cert_verifier(Arc::new(AgentsOnly { signed }));
    finished(config.with_single_cert(chain, key))
}

/// The enrolment listener. The chain has to end in the authority, which the agent knows only by
/// its digest.
///
/// # Errors
/// [`TlsError`] when the chain or the key can't be used.
pub fn server_config_plain(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    finished(server().with_no_client_auth().with_single_cert(chain, key))
}

/// An agent's connections for sessions: to the controller of this authority only, with its own
/// certificate.
///
/// # Errors
/// [`TlsError`] when the certificates or the key can't be used.
pub fn client_config_session(
    authority: &CertificateDer<'_>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let config = client(Trust::Authority(roots(authority)?))
        .with_client_auth_cert(chain, key)
        .map_err(TlsError::Identity)?;
    Ok(Arc::new(without_memory(config)))
}

/// An agent's connection for enrolment: to the controller of the authority with this digest, as
/// the join token has it.
#[must_use]
pub fn client_config_enrol(authority: Digest) -> Arc<ClientConfig> {
    Arc::new(without_memory(
        client(Trust::Pinned(authority)).with_no_client_auth(),
    ))
}

/// Named everywhere, so that it does not matter whether `main` installed one.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(authority: &CertificateDer<'_>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let authority = authority.clone().into_owned();
    roots.add(authority).map_err(TlsError::Authority)?;
    Ok(roots)
}

type Server = rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>;
type Client = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn server() -> Server {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("ring speaks TLS 1.3")
}

fn finished(config: Result<ServerConfig, rustls::Error>) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = config.map_err(TlsError::Identity)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

fn client(trust: Trust) -> Client {
    let provider = provider();
    let algorithms = provider.signature_verification_algorithms;
    let verifier: Arc<dyn ServerCertVerifier> = Arc::new(ControllerOnly { trust, algorithms });
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("ring speaks TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
}

fn without_memory(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    config
}
