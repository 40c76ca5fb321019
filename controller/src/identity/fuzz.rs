//! What must hold for any bytes as what a stranger shows to be let in. `scripts/fuzz` makes the
//! bytes; the test here replays what it kept.

use std::{str::FromStr as _, sync::OnceLock};

use nepho_common::{id::Digest, time::WallMillis};
use nepho_proto::tls::{self, Identity};
use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{ca::Authority, certificate::Serial, csr::ProvenKey, token::JoinToken};

/// A certificate request, a token or a former certificate; the first byte chooses. Says whether
/// it was believed.
///
/// # Panics
/// When a certificate says more than its name, or what was believed does not read back.
#[must_use]
pub fn enrolment(input: &[u8]) -> bool {
    match input.split_first() {
        Some((kind, bytes)) if kind % 3 == 0 => request(bytes),
        Some((kind, bytes)) if kind % 3 == 1 => token(bytes),
        Some((_, bytes)) => certificate(bytes),
        None => false,
    }
}

/// Whatever a request asks for, the certificate has its key and our name for it, and nothing else.
fn request(der: &[u8]) -> bool {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    let Ok(key) = ProvenKey::from_request(der) else {
        return false;
    };
    let now = WallMillis(1_800_000_000_000);
    let authority = AUTHORITY.get_or_init(|| {
        let dir = tempfile::tempdir().expect("there is room for a key");
        Authority::open(dir.path(), now).expect("an authority can be made")
    });
    let name = "a".parse().expect("it is a name");
    let serial = Serial::random().expect("the system has random numbers");
    let issued = authority
        .issue_agent(&name, &key, &serial, now)
        .expect("a proven key can be signed");
    let leaf = CertificateDer::from(
        issued
            .chain
            .first()
            .expect("the leaf comes first")
            .as_slice(),
    );
    assert_eq!(tls::peer_identity(&leaf), Ok(Identity::Agent(name)));
    let (_, parsed) = X509Certificate::from_der(&leaf).expect("we made it");
    assert_eq!(Digest::of(parsed.public_key().raw), key.fingerprint());
    true
}

fn token(bytes: &[u8]) -> bool {
    let Some(token) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| JoinToken::from_str(text).ok())
    else {
        return false;
    };
    assert_eq!(token.to_string().parse(), Ok(token));
    true
}

fn certificate(der: &[u8]) -> bool {
    let der = CertificateDer::from(der);
    // Its end is looked at only after who it names; but neither may harm.
    std::hint::black_box(tls::validity(&der));
    match tls::peer_identity(&der) {
        Ok(Identity::Agent(agent)) => {
            assert_eq!(agent.as_str().parse(), Ok(agent));
            true
        }
        Ok(Identity::Controller) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256,
        PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    };

    use super::*;
    use crate::replay::replay;

    /// Keys are drawn anew each time: what the corpus holds was drawn once.
    fn seeds() -> Vec<Vec<u8>> {
        let mut seeds = Vec::new();
        for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let mut greedy = CertificateParams::new(vec!["controller".to_owned()]).unwrap();
            greedy.distinguished_name = DistinguishedName::new();
            greedy
                .distinguished_name
                .push(DnType::CommonName, "nepho://controller");
            for params in [CertificateParams::default(), greedy] {
                let request = params.serialize_request(&key).unwrap();
                seeds.push([&[0][..], request.der()].concat());
            }
        }
        let token = JoinToken::random(Digest::of(b"ca")).unwrap().to_string();
        seeds.push([&[1][..], token.as_bytes()].concat());
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path(), WallMillis(1_800_000_000_000)).unwrap();
        let (chain, _) = authority
            .controller_identity(WallMillis(1_800_000_000_000))
            .unwrap();
        seeds.push([&[2][..], &chain[0]].concat());
        seeds
    }

    #[test]
    fn whatever_a_stranger_showed_to_the_fuzzer_is_refused_or_gives_no_more_than_a_name() {
        replay("enrolment", &seeds(), enrolment);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let other = CertificateParams::default()
            .serialize_request(&key)
            .unwrap();
        assert!(!enrolment(&[&[0][..], other.der()].concat()));
    }
}
