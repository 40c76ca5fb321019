//! What was seen of a request that failed, and what a target said of itself.

use nepho_common::{
    event::{Subject, What},
    recording::Outcome,
    symptom::{CertificateFault, LISTENERS_MAX, Listener, SAID_MAX, Symptom, plain},
    time::RunTime,
};

use crate::{
    bad::{BadMessage, Within as _, Wrong},
    convert::field::{
        choice, list, mark, name, part, plain as without_control, run_time, span, within_range,
    },
    wire,
};

/// A name of a program, in bytes: the kernel keeps 15, a path may be longer.
const PROGRAM_MAX: usize = 255;

pub(super) fn symptom_seen(wire: wire::SymptomSeen) -> Result<What, BadMessage> {
    let address = match wire.address.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| Wrong::Address).within("address")?),
    };
    within_range("status", wire.status.into(), 0, 999)?;
    let listeners = wire.listeners.map(|all| {
        let all = list("listener", all.listener, LISTENERS_MAX);
        all.within("listeners")
    });
    let said = without_control("said", wire.said, SAID_MAX * 4)?;
    let symptom = Symptom {
        address,
        status: u16::try_from(wire.status).ok().filter(|&status| status > 0),
        certificate: wire
            .certificate
            .map(TryInto::try_into)
            .transpose()
            .within("certificate")?,
        listeners: listeners.transpose()?,
        said: plain(&said),
    };
    Ok(What::SymptomSeen {
        of: part("of", wire.of)?,
        at: run_time("at", wire.at)?,
        outcome: choice::<wire::Outcome, _>("outcome", wire.outcome)?,
        symptom,
    })
}

pub(super) fn symptom_out(
    of: &Subject,
    at: RunTime,
    outcome: Outcome,
    symptom: &Symptom,
) -> wire::SymptomSeen {
    let listener = |one: &Listener| wire::Listener {
        port: one.port.into(),
        program: one.program.as_deref().map(plain).unwrap_or_default(),
    };
    let listeners = symptom.listeners.as_ref().map(|all| wire::Listeners {
        listener: all.iter().take(LISTENERS_MAX).map(listener).collect(),
    });
    wire::SymptomSeen {
        of: Some(of.into()),
        at: at.0,
        outcome: wire::Outcome::from(outcome).into(),
        address: symptom
            .address
            .map_or_else(String::new, |at| at.to_string()),
        status: symptom.status.unwrap_or_default().into(),
        certificate: symptom.certificate.map(Into::into),
        listeners,
        said: plain(&symptom.said),
    }
}

pub(super) fn fact_seen(wire: wire::FactSeen) -> Result<What, BadMessage> {
    Ok(What::FactSeen {
        of: part("of", wire.of)?,
        at: run_time("at", wire.at)?,
        name: name("name", wire.name)?,
        value: name("value", wire.value)?,
    })
}

impl TryFrom<wire::Subject> for Subject {
    type Error = BadMessage;

    fn try_from(wire: wire::Subject) -> Result<Self, BadMessage> {
        Ok(Self {
            stage: name("stage", wire.stage)?,
            step: name("step", wire.step)?,
            to: name("to", wire.to)?,
        })
    }
}

impl From<&Subject> for wire::Subject {
    fn from(of: &Subject) -> Self {
        Self {
            stage: of.stage.to_string(),
            step: of.step.to_string(),
            to: of.to.to_string(),
        }
    }
}

impl TryFrom<wire::Listener> for Listener {
    type Error = BadMessage;

    fn try_from(wire: wire::Listener) -> Result<Self, BadMessage> {
        within_range("port", wire.port.into(), 1, 65_535)?;
        let program = without_control("program", wire.program, PROGRAM_MAX)?;
        Ok(Self {
            port: u16::try_from(wire.port).unwrap_or_default(),
            program: Some(plain(&program)).filter(|name| !name.is_empty()),
        })
    }
}

impl TryFrom<wire::CertificateFault> for CertificateFault {
    type Error = BadMessage;

    fn try_from(wire: wire::CertificateFault) -> Result<Self, BadMessage> {
        use wire::certificate_fault::What as Wire;

        Ok(match wire.what.ok_or(Wrong::Missing).within("what")? {
            Wire::Expired(ago) => Self::Expired(span("expired", ago)?),
            Wire::NotYet(until) => Self::NotYet(span("not_yet", until)?),
            Wire::Name(set) => mark("name", set).map(|()| Self::Name)?,
            Wire::Issuer(set) => mark("issuer", set).map(|()| Self::Issuer)?,
        })
    }
}

impl From<CertificateFault> for wire::CertificateFault {
    fn from(fault: CertificateFault) -> Self {
        use wire::certificate_fault::What as Wire;

        let what = match fault {
            CertificateFault::Expired(ago) => Wire::Expired(ago.0),
            CertificateFault::NotYet(until) => Wire::NotYet(until.0),
            CertificateFault::Name => Wire::Name(true),
            CertificateFault::Issuer => Wire::Issuer(true),
        };
        Self { what: Some(what) }
    }
}
