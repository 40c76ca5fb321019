//! How each side looks at the other's certificate: first who signed it, then whom it names.

use std::sync::Arc;

use nepho_common::id::Digest;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::identity::{Identity, peer_identity};

/// Which authority a client trusts.
#[derive(Debug)]
pub(super) enum Trust {
    /// This one.
    Authority(RootCertStore),
    /// The one with this digest, which the server has to present last.
    Pinned(Digest),
}

/// Why a signed certificate is not the one that is wanted.
#[derive(Debug, thiserror::Error)]
enum Unwanted {
    #[error("the chain does not end in the authority that the join token names")]
    Pin,
    #[error("the certificate is not the controller's")]
    NotController,
    #[error("the certificate is not an agent's")]
    NotAgent,
}

fn refuse(why: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
}

/// Lets nobody be the server but the controller.
#[derive(Debug)]
pub(super) struct ControllerOnly {
    pub(super) trust: Trust,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ControllerOnly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let all = self.algorithms.all;
        match &self.trust {
            Trust::Authority(roots) => {
                verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, all)?;
            }
            Trust::Pinned(pin) => {
                let (authority, between) = intermediates
                    .split_last()
                    .filter(|(authority, _)| Digest::of(authority) == *pin)
                    .ok_or_else(|| refuse(Unwanted::Pin))?;
                let mut roots = RootCertStore::empty();
                roots.add(authority.clone().into_owned())?;
                verify_server_cert_signed_by_trust_anchor(&parsed, &roots, between, now, all)?;
            }
        }
        match peer_identity(end_entity).map_err(refuse)? {
            Identity::Controller => Ok(ServerCertVerified::assertion()),
            Identity::Agent(_) => Err(refuse(Unwanted::NotController)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Lets nobody be the client but an agent.
#[derive(Debug)]
pub(super) struct AgentsOnly {
    /// Checks who signed.
    pub(super) signed: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for AgentsOnly {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.signed.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .signed
            .verify_client_cert(end_entity, intermediates, now)?;
        match peer_identity(end_entity).map_err(refuse)? {
            Identity::Agent(_) => Ok(verified),
            Identity::Controller => Err(refuse(Unwanted::NotAgent)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}
