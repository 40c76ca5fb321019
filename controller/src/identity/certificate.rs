//! What our certificates say. Every field is written here; nothing is copied from a request.

use std::{fmt, time::Duration};

use nepho_common::time::WallMillis;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    PublicKeyData, SanType, SerialNumber,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use super::ca::AuthorityError;

/// How long a certificate of the controller is good for, and of an agent if nothing else is said.
pub const VALID: Duration = Duration::from_secs(24 * 3600);

/// Certificates begin up to this much before they are made, for clocks that are a little behind; an
/// eighth of a short life at most, so that half of it still lies ahead.
const BACKDATED: Duration = Duration::from_secs(60);

/// The serial number of a certificate that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serial([u8; 16]);

impl Serial {
    /// 126 random bits; the first two make it positive and 16 bytes long in DER.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn random() -> Result<Self, AuthorityError> {
        let mut bytes = [0; 16];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| AuthorityError::NoRandomness)?;
        bytes[0] = bytes[0] & 0x3f | 0x40;
        Ok(Self(bytes))
    }

    pub(super) fn number(&self) -> SerialNumber {
        SerialNumber::from_slice(&self.0)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

/// The end of a certificate that is made now and good for `valid`.
#[must_use]
pub fn not_after(now: WallMillis, valid: Duration) -> WallMillis {
    let valid = i64::try_from(valid.as_millis()).unwrap_or(i64::MAX);
    WallMillis(now.0.saturating_add(valid))
}

pub(super) fn leaf(
    uri: &str,
    usage: ExtendedKeyUsagePurpose,
    serial: &Serial,
    now: WallMillis,
    valid: Duration,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("Nephoscope"); // Nobody reads it: the URI is the identity.
    params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(serial.number());
    set_validity(&mut params, now, valid);
    Ok(params)
}

pub(super) fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

pub(super) fn set_validity(params: &mut CertificateParams, now: WallMillis, valid: Duration) {
    let since_epoch = Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
    let now = rcgen::date_time_ymd(1970, 1, 1) + since_epoch;
    params.not_before = now - BACKDATED.min(valid / 8);
    params.not_after = now + valid;
}

/// What was made must be what was meant, whatever the library did with it.
pub(super) fn assert_agent(
    der: &[u8],
    uri: &str,
    serial: &Serial,
    key: &impl PublicKeyData,
) -> Result<(), AuthorityError> {
    let wrong = AuthorityError::Wrong;
    let (rest, parsed) =
        X509Certificate::from_der(der).map_err(|_| wrong("it can't be read back"))?;
    let san = parsed.subject_alternative_name().ok().flatten();
    let names = san.map(|san| san.value.general_names.as_slice());
    let usage = parsed.key_usage().ok().flatten();
    let extended = parsed.extended_key_usage().ok().flatten();
    let constraints = parsed.basic_constraints().ok().flatten();
    for (holds, what) in [
        (rest.is_empty(), "something follows it"),
        (
            matches!(names, Some([GeneralName::URI(name)]) if *name == uri),
            "its names are not one URI",
        ),
        (
            constraints.is_some_and(|c| !c.value.ca),
            "it may sign others",
        ),
        (
            usage.is_some_and(|u| u.value.flags == 1),
            "its key may do more than sign",
        ),
        (
            extended.is_some_and(|e| e.value.client_auth && !e.value.server_auth && !e.value.any),
            "it is not for clients alone",
        ),
        (parsed.raw_serial() == serial.0, "its number is another"),
        (
            parsed.public_key().raw == key.subject_public_key_info(),
            "its key is another",
        ),
    ] {
        if !holds {
            return Err(wrong(what));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, KeyPair};

    use super::*;

    const NOW: WallMillis = WallMillis(1_795_393_620_000);

    #[test]
    fn the_check_after_issuing_finds_a_wrong_certificate() {
        let key = KeyPair::generate().unwrap();
        let serial = Serial::random().unwrap();
        let uri = "spiffe://nephoscope/agent/a";
        let made = |change: fn(&mut CertificateParams)| {
            let usage = ExtendedKeyUsagePurpose::ClientAuth;
            let mut params = leaf(uri, usage, &serial, NOW, VALID).unwrap();
            change(&mut params);
            let certificate = params.self_signed(&key).unwrap();
            assert_agent(certificate.der(), uri, &serial, &key)
        };
        made(|_| {}).unwrap();
        for change in [
            (|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)) as fn(&mut CertificateParams),
            |p| {
                p.subject_alt_names
                    .push(SanType::URI("x:y".try_into().unwrap()))
            },
            |p| p.subject_alt_names.clear(),
            |p| p.key_usages.push(KeyUsagePurpose::KeyCertSign),
            |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            |p| p.serial_number = Some(SerialNumber::from_slice(&[1])),
        ] {
            assert!(matches!(made(change), Err(AuthorityError::Wrong(_))));
        }
    }

    #[test]
    fn serial_numbers_are_positive_of_full_length_and_differ() {
        let (one, two) = (Serial::random().unwrap(), Serial::random().unwrap());
        assert_ne!(one, two);
        for serial in [one, two] {
            assert_eq!(serial.0[0] & 0xc0, 0x40);
        }
    }
}
