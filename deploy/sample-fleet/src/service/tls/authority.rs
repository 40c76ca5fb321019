//! Whoever signs the service's certificate: made for it, or given.

use std::{path::Path, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::TlsError;

const DAY: Duration = Duration::from_secs(24 * 3600);
const LIFE: Duration = DAY.saturating_mul(90);
/// A certificate whose life is to be longer than [`LIFE`] is good already, also where a clock is
/// behind.
const GOOD_SINCE: Duration = Duration::from_secs(3600);

pub(super) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// The certificate of the service and its key.
pub(super) struct Signed {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// Why what was given is no authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    NoCertificate,
    NotAnAuthority,
    NoKey,
    OtherKey,
}

impl Refused {
    /// The same with the names of the files.
    pub(super) fn at(self, ca: &Path, key: &Path) -> TlsError {
        let (ca, key) = (ca.to_owned(), key.to_owned());
        match self {
            Self::NoCertificate => TlsError::NoCertificate(ca),
            Self::NotAnAuthority => TlsError::NotAnAuthority(ca),
            Self::NoKey => TlsError::NoKey(key),
            Self::OtherKey => TlsError::OtherKey { ca, key },
        }
    }
}

impl Authority {
    pub(super) fn made() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = called("nepho-sample-fleet authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Ok(Self {
            pem: params.self_signed(&key)?.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// That of the first certificate in `ca`, and of `key`.
    pub(super) fn given(ca: &str, key: &str) -> Result<Self, Refused> {
        let pem = first_certificate(ca).ok_or(Refused::NoCertificate)?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes());
        let der = der.map_err(|_no_pem| Refused::NoCertificate)?;
        let (_, certificate) =
            X509Certificate::from_der(&der).map_err(|_no_der| Refused::NoCertificate)?;
        if !certificate.is_ca() {
            return Err(Refused::NotAnAuthority);
        }
        let key = KeyPair::from_pem(key).map_err(|_no_key| Refused::NoKey)?;
        if certificate.public_key().raw != key.subject_public_key_info() {
            return Err(Refused::OtherKey);
        }
        let issuer = Issuer::from_ca_cert_der(&der, key);
        Ok(Self {
            pem,
            issuer: issuer.map_err(|_no_issuer| Refused::NoCertificate)?,
        })
    }

    /// Its certificate, without anything else that was in a file.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs a certificate for these names that ends `days` after `now`.
    pub(super) fn sign(
        &self,
        names: Vec<SanType>,
        now: Duration,
        days: i32,
    ) -> Result<Signed, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = called("nepho-sample-fleet service");
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let (from, until) = validity(now, days);
        let begin = date_time_ymd(1970, 1, 1);
        params.not_before = begin + from;
        params.not_after = begin + until;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Signed {
            certificate: certificate.into(),
            key: key.into(),
        })
    }
}

/// From when until when, since 1970, as `now` is.
fn validity(now: Duration, days: i32) -> (Duration, Duration) {
    let span = DAY.saturating_mul(days.unsigned_abs());
    let until = if days < 0 {
        now.saturating_sub(span)
    } else {
        now.saturating_add(span)
    };
    let from = until.saturating_sub(LIFE);
    (from.min(now.saturating_sub(GOOD_SINCE)), until)
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

fn first_certificate(text: &str) -> Option<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let (_, rest) = text.split_once(BEGIN)?;
    let (block, _) = rest.split_once(END)?;
    Some(format!("{BEGIN}{block}{END}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    /// How many seconds after now a certificate begins and ends.
    fn seconds(days: i32) -> (i64, i64) {
        let authority = Authority::made().unwrap();
        let signed = authority.sign(Vec::new(), NOW, days).unwrap();
        let (_, certificate) = X509Certificate::from_der(&signed.certificate).unwrap();
        let validity = certificate.validity();
        let since = |time: i64| time - 1_800_000_000;
        (
            since(validity.not_before.timestamp()),
            since(validity.not_after.timestamp()),
        )
    }

    #[test]
    fn a_certificate_ends_on_its_day_after_a_life_of_ninety() {
        let day = 24 * 3600;
        assert_eq!(seconds(10), (-80 * day, 10 * day));
        assert_eq!(seconds(0), (-90 * day, 0));
        assert_eq!(seconds(-3), (-93 * day, -3 * day));
    }

    #[test]
    fn a_certificate_with_a_longer_life_is_good_already() {
        let day = 24 * 3600;
        assert_eq!(seconds(90), (-3600, 90 * day));
        assert_eq!(seconds(3650), (-3600, 3650 * day));
    }

    /// An authority's certificate and key, in PEM.
    fn authority() -> (String, String) {
        let made = Authority::made().unwrap();
        (made.pem.clone(), made.issuer.key().serialize_pem())
    }

    fn refused(ca: &str, key: &str) -> Option<Refused> {
        Authority::given(ca, key).err()
    }

    #[test]
    fn a_given_authority_is_taken_without_the_key_that_lies_beside_it() {
        let (ca, key) = authority();
        let both = format!("{key}{ca}");
        let given = Authority::given(&both, &key).unwrap();
        assert_eq!(given.pem().replace("\r\n", "\n"), ca.replace("\r\n", "\n"));
        assert!(!given.pem().contains("PRIVATE"));
    }

    #[test]
    fn what_is_no_authority_is_refused_by_its_fault() {
        let (ca, key) = authority();
        let (_, other_key) = authority();
        assert_eq!(refused(&key, &key), Some(Refused::NoCertificate));
        let cut = ca.replacen("MII", "", 1);
        assert_eq!(refused(&cut, &key), Some(Refused::NoCertificate));
        assert_eq!(refused(&ca, &ca), Some(Refused::NoKey));
        assert_eq!(refused(&ca, &other_key), Some(Refused::OtherKey));
        let own = KeyPair::generate().unwrap();
        let leaf = CertificateParams::default().self_signed(&own).unwrap();
        assert_eq!(
            refused(&leaf.pem(), &own.serialize_pem()),
            Some(Refused::NotAnAuthority)
        );
        assert_eq!(refused(&ca, &key), None);
    }
}
