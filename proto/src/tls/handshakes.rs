//! Real handshakes, over buffers: who gets in, who does not, and for which reason.

use std::sync::Arc;

use nepho_common::id::Digest;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, ProtocolVersion, ServerConfig,
    ServerConnection, pki_types::ServerName,
};

use super::{
    agent_uri,
    authority::{Authority, Holder, an_authority_itself, expired, uri},
    client_config_enrol, client_config_session, controller_uri, server_config_mutual,
    server_config_plain,
};

/// What either side found wrong; the other one only hears an alert.
#[derive(Debug)]
enum Ended {
    Connected {
        client: Box<ClientConnection>,
        server: Box<ServerConnection>,
    },
    ClientRefuses(Error),
    ServerRefuses(Error),
}

fn shake(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Ended {
    // The name is not checked, so the agent may call the controller whatever it likes.
    let name = ServerName::try_from("anything.example").unwrap();
    let mut client = ClientConnection::new(client, name).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    // Two round trips finish any handshake; more mean that neither side has anything to say.
    for _ in 0..8 {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        if let Err(error) = server.process_new_packets() {
            return Ended::ServerRefuses(error);
        }
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        if let Err(error) = client.process_new_packets() {
            return Ended::ClientRefuses(error);
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    let (client, server) = (Box::new(client), Box::new(server));
    Ended::Connected { client, server }
}

fn mutual(ours: &Authority, client: Holder, server: Holder) -> Ended {
    let authority = &ours.certificate;
    shake(
        client_config_session(authority, client.chain, client.key).unwrap(),
        server_config_mutual(authority, server.chain, server.key).unwrap(),
    )
}

/// The words of the refusal that our own checks gave.
fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::Other(why)) => why.0.to_string(),
        other => format!("not a refusal of ours: {other:?}"),
    }
}

#[test]
fn an_agent_and_the_controller_of_one_authority_connect() {
    let ours = Authority::new();
    let ended = mutual(&ours, ours.agent("a"), ours.controller());
    let Ended::Connected { client, server } = ended else {
        panic!("{ended:?}")
    };
    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(
        (client.alpn_protocol(), server.alpn_protocol()),
        (Some(&b"h2"[..]), Some(&b"h2"[..]))
    );
    assert_eq!(client.tls13_tickets_received(), 0, "no tickets");
    let shown = &server.peer_certificates().unwrap()[0];
    let agent = super::Identity::Agent("a".parse().unwrap());
    assert_eq!(super::peer_identity(shown), Ok(agent));
}

#[test]
fn the_second_session_is_checked_as_fully_as_the_first() {
    let ours = Authority::new();
    let (agent, controller) = (ours.agent("a"), ours.controller());
    let client = client_config_session(&ours.certificate, agent.chain, agent.key).unwrap();
    let server = server_config_mutual(&ours.certificate, controller.chain, controller.key).unwrap();
    for _ in 0..2 {
        let ended = shake(Arc::clone(&client), Arc::clone(&server));
        let Ended::Connected { client, .. } = ended else {
            panic!("{ended:?}")
        };
        assert_eq!(client.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
}

#[test]
fn every_agent_that_is_not_ours_is_refused_for_its_own_reason() {
    let (ours, theirs) = (Authority::new(), Authority::called("theirs"));
    let agent = agent_uri(&"a".parse().unwrap());
    let with_dns = |params: &mut rcgen::CertificateParams| {
        let dns = rcgen::SanType::DnsName("a.example".try_into().unwrap());
        params.subject_alt_names = vec![uri(&agent), dns];
    };
    let cases = [
        (
            ours.named(&[&agent, controller_uri()]),
            "the certificate has other names beside one URI",
        ),
        (
            ours.named(&[&agent, &agent]),
            "the certificate has other names beside one URI",
        ),
        (
            ours.sign(with_dns),
            "the certificate has other names beside one URI",
        ),
        (ours.named(&[]), "the certificate has no URI name"),
        (ours.controller(), "the certificate is not an agent's"),
        (
            ours.named(&["spiffe://nephoscope/agent/controller"]),
            "no agent may be named `controller`",
        ),
        (
            ours.named(&["spiffe://elsewhere/agent/a"]),
            "is no identity here",
        ),
        (
            ours.named(&["spiffe://nephoscope/agent/../controller"]),
            "the certificate names no agent",
        ),
    ];
    for (holder, reason) in cases {
        match mutual(&ours, holder, ours.controller()) {
            Ended::ServerRefuses(error) => assert!(words(&error).contains(reason), "{error:?}"),
            other => panic!("{reason}: {other:?}"),
        }
    }
    let signed = [
        (theirs.agent("a"), CertificateError::UnknownIssuer),
        // Another authority under our name is found out by its key.
        (Authority::new().agent("a"), CertificateError::BadSignature),
        (
            ours.sign(|params| {
                params.subject_alt_names = vec![uri(&agent)];
                expired(params);
            }),
            CertificateError::Expired,
        ),
    ];
    for (holder, reason) in signed {
        match mutual(&ours, holder, ours.controller()) {
            Ended::ServerRefuses(Error::InvalidCertificate(found)) => {
                // `Expired` equals `ExpiredContext`, whatever the times in it.
                let expired = matches!(found, CertificateError::ExpiredContext { .. });
                let same = found == reason || (expired && reason == CertificateError::Expired);
                assert!(same, "{found:?} instead of {reason:?}");
            }
            other => panic!("{reason:?}: {other:?}"),
        }
    }
}

#[test]
fn an_authority_is_not_taken_for_an_agent() {
    let ours = Authority::new();
    let holder = ours.sign(|params| {
        params.subject_alt_names = vec![uri(&agent_uri(&"a".parse().unwrap()))];
        an_authority_itself(params);
    });
    match mutual(&ours, holder, ours.controller()) {
        Ended::ServerRefuses(Error::InvalidCertificate(CertificateError::Other(why))) => {
            assert!(format!("{why:?}").contains("CaUsedAsEndEntity"), "{why:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_without_a_certificate_gets_no_session() {
    let ours = Authority::new();
    let controller = ours.controller();
    let server = server_config_mutual(&ours.certificate, controller.chain, controller.key).unwrap();
    match shake(client_config_enrol(Digest::of(&ours.certificate)), server) {
        Ended::ServerRefuses(Error::NoCertificatesPresented) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_agent_talks_to_nobody_but_the_controller() {
    let (ours, theirs) = (Authority::new(), Authority::called("theirs"));
    let twice = [controller_uri(), controller_uri()];
    let cases = [
        (ours.agent("b"), "the certificate is not the controller's"),
        (
            ours.named(&twice),
            "the certificate has other names beside one URI",
        ),
        (ours.named(&[]), "the certificate has no URI name"),
        (
            ours.named(&["spiffe://nephoscope/controller/"]),
            "is no identity here",
        ),
        (
            ours.named(&["SPIFFE://nephoscope/controller"]),
            "is no identity here",
        ),
        (theirs.controller(), "UnknownIssuer"),
    ];
    for (holder, reason) in cases {
        match mutual(&ours, ours.agent("a"), holder) {
            Ended::ClientRefuses(error) => assert!(words(&error).contains(reason), "{error:?}"),
            other => panic!("{reason}: {other:?}"),
        }
    }
}

#[test]
fn an_expired_controller_is_refused() {
    let ours = Authority::new();
    let holder = ours.sign(|params| {
        params.subject_alt_names = vec![uri(controller_uri())];
        expired(params);
    });
    match mutual(&ours, ours.agent("a"), holder) {
        Ended::ClientRefuses(Error::InvalidCertificate(CertificateError::ExpiredContext {
            ..
        })) => {}
        other => panic!("{other:?}"),
    }
}

fn enrol(pin: Digest, server: Holder) -> Ended {
    let server = server_config_plain(server.chain, server.key).unwrap();
    shake(client_config_enrol(pin), server)
}

#[test]
fn enrolment_trusts_the_authority_of_the_token_and_no_other() {
    let (ours, theirs) = (Authority::new(), Authority::called("theirs"));
    let pin = Digest::of(&ours.certificate);
    assert!(matches!(
        enrol(pin, ours.controller()),
        Ended::Connected { .. }
    ));

    // Our authority is public: showing it behind a certificate that it did not sign is easy.
    let mut forged = theirs.controller();
    forged.chain[1] = ours.certificate.clone();
    match enrol(pin, forged) {
        Ended::ClientRefuses(Error::InvalidCertificate(why)) => {
            let reasons = [
                CertificateError::UnknownIssuer,
                CertificateError::BadSignature,
            ];
            assert!(reasons.contains(&why), "{why:?}");
        }
        other => panic!("{other:?}"),
    }
    let mut alone = ours.controller();
    alone.chain.truncate(1);
    let pinned = "the chain does not end in the authority that the join token names";
    for (holder, reason) in [
        (theirs.controller(), pinned),
        (alone, pinned),
        (ours.agent("a"), "the certificate is not the controller's"),
    ] {
        match enrol(pin, holder) {
            Ended::ClientRefuses(error) => assert_eq!(words(&error), reason),
            other => panic!("{reason}: {other:?}"),
        }
    }
}
