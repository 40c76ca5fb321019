//! Certificate requests: the public key is taken and its possession proven; whatever else a
//! request asks for is not even looked at.

use nepho_common::id::Digest;
use rcgen::SubjectPublicKeyInfo;
use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::{
    certification_request::X509CertificationRequest,
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ED25519},
    prelude::FromDer as _,
    x509::SubjectPublicKeyInfo as ParsedKey,
};

/// A public key whose holder proved to have the private one.
#[derive(Debug)]
pub struct ProvenKey {
    pub(super) key: SubjectPublicKeyInfo,
    fingerprint: Digest,
}

/// Why no key is taken from a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// A request with a P-256 key has 250 bytes.
    #[error("the certificate request is larger than {REQUEST_MAX} bytes")]
    TooLarge,
    /// It is not DER, or there is something behind it.
    #[error("the certificate request can't be read")]
    Malformed,
    /// It is not signed by the key that it shows.
    #[error("the certificate request is not signed by its own key")]
    Signature,
    /// Neither P-256 nor Ed25519.
    #[error("the key of the certificate request is neither P-256 nor Ed25519")]
    Algorithm,
}

/// The largest request that is read.
pub const REQUEST_MAX: usize = 4096;

impl ProvenKey {
    /// Takes the key from a PKCS#10 request in DER.
    ///
    /// # Errors
    /// When it can't be read, proves nothing, or has a key that we don't sign.
    pub fn from_request(der: &[u8]) -> Result<Self, BadRequest> {
        if der.len() > REQUEST_MAX {
            return Err(BadRequest::TooLarge);
        }
        let (rest, request) =
            X509CertificationRequest::from_der(der).map_err(|_| BadRequest::Malformed)?;
        if !rest.is_empty() {
            return Err(BadRequest::Malformed);
        }
        let parsed = &request.certification_request_info.subject_pki;
        if !is_accepted(parsed) {
            return Err(BadRequest::Algorithm);
        }
        request
            .verify_signature()
            .map_err(|_| BadRequest::Signature)?;
        let key = SubjectPublicKeyInfo::from_der(parsed.raw).map_err(|_| BadRequest::Algorithm)?;
        Ok(Self {
            fingerprint: Digest::of(parsed.raw),
            key,
        })
    }

    /// SHA-256 of the SubjectPublicKeyInfo in DER.
    #[must_use]
    pub const fn fingerprint(&self) -> Digest {
        self.fingerprint
    }
}

fn is_accepted(key: &ParsedKey<'_>) -> bool {
    let algorithm = &key.algorithm;
    let bits = &key.subject_public_key.data;
    if algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok());
        // Uncompressed, which is all that ring reads.
        curve == Some(OID_EC_P256) && bits.len() == 65 && bits.first() == Some(&4)
    } else {
        algorithm.algorithm == OID_SIG_ED25519 && bits.len() == 32
    }
}

/// Whether the holder of `key` signed `message`. Only keys that we sign ever did.
pub(super) fn is_signed_by(key: &ParsedKey<'_>, message: &[u8], signature: &[u8]) -> bool {
    if !is_accepted(key) {
        return false;
    }
    let algorithm: &dyn VerificationAlgorithm = if key.algorithm.algorithm == OID_SIG_ED25519 {
        &ED25519
    } else {
        &ECDSA_P256_SHA256_ASN1
    };
    let key = UnparsedPublicKey::new(algorithm, &key.subject_public_key.data);
    key.verify(message, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};

    use super::*;

    fn request(key: &KeyPair) -> Vec<u8> {
        let params = CertificateParams::default();
        params.serialize_request(key).unwrap().der().to_vec()
    }

    #[test]
    fn p256_and_ed25519_keys_are_taken() {
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let proven = ProvenKey::from_request(&request(&key)).unwrap();
            assert_eq!(proven.key.der_bytes(), key.der_bytes());
            let expected = Digest::of(&key.subject_public_key_info());
            assert_eq!(proven.fingerprint(), expected);
        }
    }

    #[test]
    fn other_curves_are_refused() {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let error = ProvenKey::from_request(&request(&key)).unwrap_err();
        assert_eq!(error, BadRequest::Algorithm);
    }

    #[test]
    fn no_flipped_bit_gives_another_key() {
        let good = request(&KeyPair::generate().unwrap());
        let key = ProvenKey::from_request(&good).unwrap().fingerprint();
        let mut accepted = 0;
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            if let Ok(proven) = ProvenKey::from_request(&bad) {
                assert_eq!(proven.fingerprint(), key, "bit {at}");
                accepted += 1;
            }
        }
        // Around the signature the parser is not strict about DER; what is signed can't change.
        assert!(accepted < 32, "{accepted}");
    }

    #[test]
    fn a_request_that_is_cut_or_followed_by_something_is_malformed() {
        let good = request(&KeyPair::generate().unwrap());
        for len in 0..good.len() {
            assert!(ProvenKey::from_request(&good[..len]).is_err(), "{len}");
        }
        let mut longer = good;
        longer.push(0);
        let error = ProvenKey::from_request(&longer).unwrap_err();
        assert_eq!(error, BadRequest::Malformed);
    }

    #[test]
    fn a_huge_request_is_refused_unread() {
        let error = ProvenKey::from_request(&vec![0x30; 1 << 20]).unwrap_err();
        assert_eq!(error, BadRequest::TooLarge);
    }
}
