//! A certificate authority for tests, and what forgers would make of it.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::agent_uri;

/// An authority with its key.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) certificate: CertificateDer<'static>,
}

/// A chain and the key of its first certificate.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Clone for Holder {
    fn clone(&self) -> Self {
        let (chain, key) = (self.chain.clone(), self.key.clone_key());
        Self { chain, key }
    }
}

impl Authority {
    pub(super) fn new() -> Self {
        Self::called("authority")
    }

    pub(super) fn called(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        Self {
            issuer,
            certificate,
        }
    }

    /// Signs whatever it is asked to, with the authority at the chain's end.
    pub(super) fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> Holder {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        Holder {
            chain,
            key: key.into(),
        }
    }

    pub(super) fn named(&self, uris: &[&str]) -> Holder {
        self.sign(|params| params.subject_alt_names = uris.iter().map(|text| uri(text)).collect())
    }

    pub(super) fn controller(&self) -> Holder {
        self.named(&[super::controller_uri()])
    }

    pub(super) fn agent(&self, name: &str) -> Holder {
        self.named(&[&agent_uri(&name.parse().unwrap())])
    }
}

pub(super) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

pub(super) fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2001, 1, 1);
}

pub(super) fn an_authority_itself(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}
