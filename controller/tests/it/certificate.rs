//! How much longer certificates are good, judged from what a real agent saw of real handshakes.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nepho_controller_core::report::Verdict;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::{
    ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
};

use crate::{
    found::report,
    process::{command, said, took},
};

/// Shakes hands with whoever comes, with a certificate that is good for so many days.
fn listen(issuer: &Issuer<'_, KeyPair>, days: u32) -> SocketAddr {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName("localhost".try_into().unwrap())];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let day = Duration::from_secs(86_400);
    params.not_before = date_time_ymd(1970, 1, 1) + now - day;
    params.not_after = date_time_ymd(1970, 1, 1) + now + day * days;
    let key = KeyPair::generate().unwrap();
    let signed = params.signed_by(&key, issuer).unwrap();
    let chain = vec![CertificateDer::from(signed.der().to_vec())];
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.into())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever hangs up is served no further.
            shake(&config, stream).ok();
        }
    });
    address
}

fn shake(config: &Arc<ServerConfig>, mut stream: TcpStream) -> std::io::Result<()> {
    let server = ServerConnection::new(Arc::clone(config));
    let mut server = server.map_err(std::io::Error::other)?;
    while server.is_handshaking() {
        server.complete_io(&mut stream)?;
    }
    server.send_close_notify();
    server.write_tls(&mut stream)?;
    Ok(())
}

fn authority(dir: &Path) -> Issuer<'static, KeyPair> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "An authority of this test");
    authority.distinguished_name = subject;
    let key = KeyPair::generate().unwrap();
    let signed = authority.self_signed(&key).unwrap();
    std::fs::write(dir.join("authority.pem"), signed.pem()).unwrap();
    Issuer::new(authority, key)
}

const SCENARIO: &str = "api: nepho/v1
name: certificates
fleet: fleet.yaml
stages:
  - name: only
    lasts: 3s
    steps:
      shake: {probe: {tls: {}, every: 500ms}}
      again: {probe: {tls: {}, every: 500ms}}
    expect:
      - {on: shake, failures: {max: 0}}
      - {on: shake, certificate: {left: {min: 14d}}, by: [service]}
      - {on: again, certificate: {left: {min: 72h}}, by: [service]}
";

#[test]
fn a_certificate_that_ends_soon_fails_and_one_that_does_not_passes() {
    let _took = took("certificates judged");
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let issuer = authority(dir);
    let [soon, late] = [5, 90].map(|days| listen(&issuer, days).port());
    let fleet = format!(
        "api: nepho/v1\nenvironments: {{local: {{}}}}\nservices:\n  \
         - {{name: soon, environment: local, http: {{}}, address: {{inside: 'https://localhost:{soon}'}}}}\n  \
         - {{name: late, environment: local, http: {{}}, address: {{inside: 'https://localhost:{late}'}}}}\n",
    );
    std::fs::write(dir.join("fleet.yaml"), fleet).unwrap();
    std::fs::write(dir.join("s.yaml"), SCENARIO).unwrap();
    let mut run = command("nepho");
    run.args(["run", "s.yaml", "--local", "--out", "out"]);
    run.env("SSL_CERT_FILE", dir.join("authority.pem"));
    said(run.current_dir(dir)).with(10);
    let found = report(&dir.join("out"));
    let finding = |id: &str| {
        let found = found.findings.iter().find(|one| one.id == id);
        found.unwrap_or_else(|| panic!("{id}"))
    };
    // Both shake hands well: it is the time alone that is judged.
    assert_eq!(finding("only/shake/failures").verdict, Verdict::Pass);
    let two_weeks = |service: &str| finding(&format!("only/shake/certificate/{service}"));
    assert_eq!(two_weeks("soon").verdict, Verdict::Fail);
    assert_eq!(two_weeks("late").verdict, Verdict::Pass);
    for service in ["soon", "late"] {
        let three_days = finding(&format!("only/again/certificate/{service}"));
        assert_eq!(three_days.verdict, Verdict::Pass, "{three_days:?}");
    }
    for (service, days) in [("soon", 5.0), ("late", 90.0)] {
        let left = two_weeks(service).observed.certificate_left_ns.unwrap();
        let left = Duration::from_nanos(u64::try_from(left).unwrap()).as_secs_f64() / 86_400.0;
        assert!(left <= days && left > days - 0.01, "{service}: {left} days");
    }
}
