//! Enrolment.

use super::{
    check::port,
    field::{at_most, name, said, text},
};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    limits::{CERTIFICATE_MAX, CHAIN_MAX, SECRET_MAX, SIGNATURE_MAX},
    session::{EnrolReply, EnrolRequest, ReissueRequest, RenewRequest},
    wire,
};

impl TryFrom<wire::EnrolRequest> for EnrolRequest {
    type Error = BadMessage;

    fn try_from(wire: wire::EnrolRequest) -> Result<Self, BadMessage> {
        filled("secret", &wire.secret, SECRET_MAX)?;
        filled("csr", &wire.csr, CERTIFICATE_MAX)?;
        Ok(Self {
            secret: wire.secret,
            csr: wire.csr,
            version: text("version", wire.version)?,
        })
    }
}

fn filled(field: &str, bytes: &[u8], max: usize) -> Result<(), BadMessage> {
    if bytes.is_empty() {
        return Err(Wrong::Missing).within(field);
    }
    at_most(field, bytes.len(), max)
}

impl From<EnrolRequest> for wire::EnrolRequest {
    fn from(request: EnrolRequest) -> Self {
        Self {
            version: said(&request.version),
            secret: request.secret,
            csr: request.csr,
        }
    }
}

impl TryFrom<wire::RenewRequest> for RenewRequest {
    type Error = BadMessage;

    fn try_from(wire: wire::RenewRequest) -> Result<Self, BadMessage> {
        filled("csr", &wire.csr, CERTIFICATE_MAX)?;
        Ok(Self {
            csr: wire.csr,
            version: text("version", wire.version)?,
        })
    }
}

impl From<RenewRequest> for wire::RenewRequest {
    fn from(request: RenewRequest) -> Self {
        Self {
            version: said(&request.version),
            csr: request.csr,
        }
    }
}

impl TryFrom<wire::ReissueRequest> for ReissueRequest {
    type Error = BadMessage;

    fn try_from(wire: wire::ReissueRequest) -> Result<Self, BadMessage> {
        filled("certificate", &wire.certificate, CERTIFICATE_MAX)?;
        filled("csr", &wire.csr, CERTIFICATE_MAX)?;
        filled("proof", &wire.proof, SIGNATURE_MAX)?;
        Ok(Self {
            certificate: wire.certificate,
            csr: wire.csr,
            proof: wire.proof,
            version: text("version", wire.version)?,
        })
    }
}

impl From<ReissueRequest> for wire::ReissueRequest {
    fn from(request: ReissueRequest) -> Self {
        Self {
            version: said(&request.version),
            certificate: request.certificate,
            csr: request.csr,
            proof: request.proof,
        }
    }
}

impl TryFrom<wire::EnrolReply> for EnrolReply {
    type Error = BadMessage;

    fn try_from(wire: wire::EnrolReply) -> Result<Self, BadMessage> {
        if wire.chain.is_empty() {
            return Err(Wrong::Missing).within("chain");
        }
        at_most("chain", wire.chain.len(), CHAIN_MAX)?;
        for (place, certificate) in wire.chain.iter().enumerate() {
            filled(&format!("chain[{place}]"), certificate, CERTIFICATE_MAX)?;
        }
        Ok(Self {
            chain: wire.chain,
            agent: name("agent", wire.agent)?,
            environment: name("environment", wire.environment)?,
            sessions_port: port("sessions_port", wire.sessions_port)?,
        })
    }
}

impl From<EnrolReply> for wire::EnrolReply {
    fn from(reply: EnrolReply) -> Self {
        Self {
            chain: reply.chain,
            agent: reply.agent.to_string(),
            environment: reply.environment.to_string(),
            sessions_port: reply.sessions_port.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::session::{enrol_reply, enrol_request, reissue_request, renew_request};

    proptest! {
        #[test]
        fn request_and_reply_read_back(request in enrol_request(), reply in enrol_reply()) {
            let wire = wire::EnrolRequest::from(request.clone());
            prop_assert_eq!(EnrolRequest::try_from(wire), Ok(request));
            let wire = wire::EnrolReply::from(reply.clone());
            prop_assert_eq!(EnrolReply::try_from(wire), Ok(reply));
        }

        #[test]
        fn renewal_and_reissue_read_back(renew in renew_request(), reissue in reissue_request()) {
            let wire = wire::RenewRequest::from(renew.clone());
            prop_assert_eq!(RenewRequest::try_from(wire), Ok(renew));
            let wire = wire::ReissueRequest::from(reissue.clone());
            prop_assert_eq!(ReissueRequest::try_from(wire), Ok(reissue));
        }
    }

    #[test]
    fn a_reply_without_a_chain_or_with_an_endless_one_is_refused() {
        for certificates in [0, CHAIN_MAX + 1] {
            let chain = vec![vec![1]; certificates];
            let wire = wire::EnrolReply {
                chain,
                ..Default::default()
            };
            assert_eq!(EnrolReply::try_from(wire).unwrap_err().field, "chain");
        }
    }

    #[test]
    fn a_request_without_a_secret_or_above_its_cap_is_refused() {
        for (secret, csr, field) in [
            (0, 9, "secret"),
            (SECRET_MAX + 1, 9, "secret"),
            (9, 0, "csr"),
            (9, CERTIFICATE_MAX + 1, "csr"),
        ] {
            let (secret, csr) = (vec![1; secret], vec![1; csr]);
            let wire = wire::EnrolRequest {
                secret,
                csr,
                version: String::new(),
            };
            assert_eq!(EnrolRequest::try_from(wire).unwrap_err().field, field);
        }
    }

    #[test]
    fn a_renewal_without_its_parts_or_above_their_caps_is_refused() {
        for (certificate, csr, proof, field) in [
            (0, 9, 9, "certificate"),
            (CERTIFICATE_MAX + 1, 9, 9, "certificate"),
            (9, 0, 9, "csr"),
            (9, CERTIFICATE_MAX + 1, 9, "csr"),
            (9, 9, 0, "proof"),
            (9, 9, SIGNATURE_MAX + 1, "proof"),
        ] {
            let wire = wire::ReissueRequest {
                certificate: vec![1; certificate],
                csr: vec![1; csr],
                proof: vec![1; proof],
                version: String::new(),
            };
            assert_eq!(ReissueRequest::try_from(wire).unwrap_err().field, field);
        }
        for csr in [0, CERTIFICATE_MAX + 1] {
            let wire = wire::RenewRequest {
                csr: vec![1; csr],
                version: String::new(),
            };
            assert_eq!(RenewRequest::try_from(wire).unwrap_err().field, "csr");
        }
    }

    #[test]
    fn the_secret_is_in_no_log() {
        let secret = b"sesame".to_vec();
        let request = EnrolRequest {
            secret,
            csr: vec![1],
            version: "1".to_owned(),
        };
        let text = format!("{request:?}");
        assert!(!text.contains("115") && !text.contains("sesame"), "{text}");
    }
}
