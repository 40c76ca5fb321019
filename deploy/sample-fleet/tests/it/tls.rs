use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tempfile::TempDir;

use crate::running::{Running, binary, connect, switch_over};

type Protected = StreamOwned<ClientConnection, TcpStream>;

/// A service whose certificate ends in so many days, and the file with its authority.
fn service(days: i32) -> (Running, TempDir) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let ca = dir.path().join("ca.pem");
    let tls = format!("--tls={days}");
    let service = Running::service(&[&tls, "--ca-out", text(&ca)]);
    (service, dir)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder has a plain name")
}

/// A client that trusts the authority in this file and no other.
fn protected(address: SocketAddr, ca: &Path, name: &str) -> Protected {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(ca).expect("a certificate");
    roots.add(certificate).expect("an authority");
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).expect("a client");
    StreamOwned::new(client, connect(address))
}

/// The whole answer, until the service says goodbye.
fn ask(mut stream: Protected, path: &str) -> io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// What the client says of the service's certificate.
fn refused(asked: io::Result<String>) -> Option<CertificateError> {
    let error = asked.err()?.into_inner()?;
    match *error.downcast::<Error>().ok()? {
        Error::InvalidCertificate(why) => Some(why),
        _ => None,
    }
}

fn is_expired(why: Option<CertificateError>) -> bool {
    matches!(
        why,
        Some(CertificateError::Expired | CertificateError::ExpiredContext { .. })
    )
}

#[test]
fn a_client_that_trusts_the_authority_is_answered_by_every_name() {
    let (mut service, dir) = service(90);
    assert_eq!(service.ready["schema"], "nepho.sample-service/v1");
    assert_eq!(service.ready["tls"], true);
    let ca = dir.path().join("ca.pem");
    for name in ["localhost", "127.0.0.1"] {
        let answer = ask(protected(service.address(), &ca, name), "/health").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.contains(r#""status":"UP""#), "{answer}");
    }
    let other = ask(protected(service.address(), &ca, "elsewhere"), "/health");
    assert!(refused(other).is_some(), "a name that it is not for");
    assert!(service.end(Signal::TERM).0.success());
}

#[test]
fn a_certificate_that_has_ended_is_refused_as_such() {
    for (days, expired) in [(-3, true), (3, false)] {
        let (service, dir) = service(days);
        let ca = dir.path().join("ca.pem");
        let asked = ask(protected(service.address(), &ca, "localhost"), "/health");
        assert_eq!(asked.is_err(), expired, "{asked:?}");
        assert_eq!(is_expired(refused(asked)), expired);
    }
}

#[test]
fn the_address_of_listen_is_a_name_of_the_service() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let more = [
        "--tls",
        "90",
        "--ca-out",
        text(&ca),
        "--listen",
        "127.0.0.2:0",
    ];
    let service = Running::service(&more);
    assert_eq!(service.address().ip(), Ipv4Addr::new(127, 0, 0, 2));
    for (name, is_one) in [
        ("127.0.0.2", true),
        ("127.0.0.1", true),
        ("127.0.0.3", false),
    ] {
        let asked = ask(protected(service.address(), &ca, name), "/");
        assert_eq!(asked.is_ok(), is_one, "{name}");
    }
}

#[test]
fn an_authority_that_is_given_signs_and_another_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let [ca, ca_key, out] = ["ca.pem", "ca.key", "out.pem"].map(|name| dir.path().join(name));
    std::fs::write(&ca, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&ca_key, key.serialize_pem()).unwrap();
    let given = ["--ca", text(&ca), "--ca-key", text(&ca_key)];
    let service = Running::service(&[&["--tls=90", "--ca-out", text(&out)][..], &given].concat());
    for trusted in [&ca, &out] {
        assert!(ask(protected(service.address(), trusted, "localhost"), "/").is_ok());
    }
    let (_other, other_dir) = self::service(90);
    let other = other_dir.path().join("ca.pem");
    let asked = ask(protected(service.address(), &other, "localhost"), "/");
    assert!(refused(asked).is_some());

    let swapped = ["--ca", text(&ca_key), "--ca-key", text(&ca)];
    let named = ["service", "--environment", "e", "--name", "n", "--tls=90"];
    let wrong = binary().args(named).args(swapped).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(said.contains("holds no certificate"), "{said}");
}

#[test]
fn switches_work_over_https_too() {
    let (service, dir) = service(90);
    let ca = dir.path().join("ca.pem");
    let client = || protected(service.address(), &ca, "localhost");
    let turned = switch_over(&mut client(), r#"{"status":500}"#).unwrap();
    assert_eq!(turned.body["switches"]["status"], 500);
    assert!(ask(client(), "/").unwrap().starts_with("HTTP/1.1 500"));
    switch_over(&mut client(), r#"{"reset":true}"#).unwrap();
    let broken = ask(client(), "/").unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn who_speaks_without_tls_is_not_answered() {
    let (service, _dir) = service(90);
    let mut plain = connect(service.address());
    plain
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).ok();
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[test]
fn who_does_not_shake_hands_is_left() {
    let (service, _dir) = service(90);
    let begin = Instant::now();
    let mut shy = connect(service.address());
    assert_eq!(
        shy.read(&mut [0]).unwrap(),
        0,
        "closed before the patience ends"
    );
    assert!(begin.elapsed() >= Duration::from_secs(4), "not at once");
}

#[test]
fn a_handshake_under_way_does_not_keep_a_service_from_ending() {
    let (mut service, _dir) = service(90);
    let _shy = connect(service.address());
    let (status, took, _) = service.end(Signal::TERM);
    assert!(
        status.success() && took.as_secs() < 1,
        "{status} after {took:?}"
    );
}
