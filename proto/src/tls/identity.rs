//! Identities in certificates: SPIFFE ids in the trust domain `nephoscope`.

use nepho_common::{
    id::{AgentId, BadName},
    time::WallMillis,
};
use rustls::pki_types::CertificateDer;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
};

const CONTROLLER: &str = "spiffe://nephoscope/controller";
const AGENT: &str = "spiffe://nephoscope/agent/";

/// Who a certificate of ours names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The controller.
    Controller,
    /// An agent.
    Agent(AgentId),
}

/// Why a certificate names nobody. Its signature is another question, and asked before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadIdentity {
    /// Not a certificate.
    #[error("the certificate does not parse")]
    Encoding,
    /// An authority vouches for others and is nobody itself.
    #[error("the certificate is an authority's")]
    Authority,
    /// Names nothing.
    #[error("the certificate has no URI name")]
    None,
    /// Ours have one name and nothing beside it, so nothing else can be read out of them.
    #[error("the certificate has other names beside one URI")]
    Others,
    /// A name, but not one of this trust domain's two forms.
    #[error("the certificate's URI {0:?} is no identity here")]
    Uri(String),
    /// An agent's form with something else than an agent's name in it.
    #[error("the certificate names no agent")]
    Agent(#[source] BadName),
    /// The controller's word as an agent's name.
    #[error("no agent may be named `controller`")]
    Reserved,
}

/// The controller's identity.
#[must_use]
pub const fn controller_uri() -> &'static str {
    CONTROLLER
}

/// An agent's identity.
#[must_use]
pub fn agent_uri(agent: &AgentId) -> String {
    format!("{AGENT}{agent}")
}

/// Whom a certificate names. Says nothing of who signed it.
///
/// # Errors
/// [`BadIdentity`] when it does not name exactly one, byte for byte.
pub fn peer_identity(certificate: &CertificateDer<'_>) -> Result<Identity, BadIdentity> {
    let (rest, parsed) =
        X509Certificate::from_der(certificate).map_err(|_| BadIdentity::Encoding)?;
    if !rest.is_empty() {
        return Err(BadIdentity::Encoding);
    }
    let constraints = parsed
        .basic_constraints()
        .map_err(|_| BadIdentity::Encoding)?;
    if constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err(BadIdentity::Authority);
    }
    let names = parsed
        .subject_alternative_name()
        .map_err(|_| BadIdentity::Encoding)?;
    let names = names.ok_or(BadIdentity::None)?;
    match names.value.general_names.as_slice() {
        [GeneralName::URI(uri)] => identity(uri),
        names if names.iter().any(|name| matches!(name, GeneralName::URI(_))) => {
            Err(BadIdentity::Others)
        }
        _ => Err(BadIdentity::None),
    }
}

/// From when until when a certificate says that it is good. Says nothing of who signed it.
#[must_use]
pub fn validity(certificate: &CertificateDer<'_>) -> Option<(WallMillis, WallMillis)> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let validity = parsed.validity();
    let wall =
        |time: x509_parser::time::ASN1Time| WallMillis(time.timestamp().saturating_mul(1000));
    Some((wall(validity.not_before), wall(validity.not_after)))
}

fn identity(uri: &str) -> Result<Identity, BadIdentity> {
    if uri == CONTROLLER {
        return Ok(Identity::Controller);
    }
    let name = uri.strip_prefix(AGENT);
    let name = name.ok_or_else(|| BadIdentity::Uri(uri.chars().take(120).collect()))?;
    let agent: AgentId = name.parse().map_err(BadIdentity::Agent)?;
    if agent.is_controller() {
        return Err(BadIdentity::Reserved);
    }
    Ok(Identity::Agent(agent))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::authority::Authority, *};
    use crate::arbitrary::name;

    proptest! {
        #[test]
        fn an_agent_is_read_back_from_its_uri(agent in name::<AgentId>()) {
            prop_assert_eq!(identity(&agent_uri(&agent)), Ok(Identity::Agent(agent)));
        }

        #[test]
        fn arbitrary_bytes_name_nobody_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(peer_identity(&bytes.into()).is_err());
        }

        #[test]
        fn a_certificate_with_one_byte_changed_never_names_another(
            at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            // Changed bytes break the signature, which is checked before; what is left is that
            // reading them never panics and never yields the controller.
            let mut bytes = agent_a().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            prop_assert!(peer_identity(&bytes.into()) != Ok(Identity::Controller));
        }
    }

    fn agent_a() -> &'static CertificateDer<'static> {
        static SIGNED: std::sync::OnceLock<CertificateDer<'static>> = std::sync::OnceLock::new();
        SIGNED.get_or_init(|| Authority::new().agent("a").chain.swap_remove(0))
    }

    #[test]
    fn the_grammar_is_byte_for_byte() {
        assert_eq!(identity(controller_uri()), Ok(Identity::Controller));
        for uri in [
            "spiffe://nephoscope/controller/",
            "spiffe://nephoscope/Controller",
            "spiffe://nephoscope/controller?x",
            "spiffe://nephoscope//controller",
            "spiffe://nephoscope.example/controller",
            "spiffe://user@nephoscope/controller",
            "SPIFFE://nephoscope/controller",
            "https://nephoscope/controller",
            "spiffe://nephoscope/agents/a",
            "spiffe://nephoscope/agent",
            "",
        ] {
            assert_eq!(identity(uri), Err(BadIdentity::Uri(uri.to_owned())));
        }
        for name in ["", "a/b", "../a", "a%2e", "A", "a?b", "a#", " a", "a\0"] {
            let found = identity(&format!("{AGENT}{name}"));
            assert!(
                matches!(found, Err(BadIdentity::Agent(_))),
                "{name:?}: {found:?}"
            );
        }
        assert_eq!(
            identity(&format!("{AGENT}controller")),
            Err(BadIdentity::Reserved)
        );
    }

    #[test]
    fn an_authority_is_nobody_itself() {
        let ours = Authority::new();
        assert_eq!(
            peer_identity(&ours.certificate),
            Err(BadIdentity::Authority)
        );
    }

    #[test]
    fn bytes_after_the_certificate_are_refused() {
        let mut bytes = agent_a().to_vec();
        bytes.push(0);
        assert_eq!(peer_identity(&bytes.into()), Err(BadIdentity::Encoding));
    }
}
