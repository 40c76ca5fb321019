//! What a failure looked like: told once for each target of a stage and each way to fail, so that a
//! cause can be found from it.

use std::{io, net::SocketAddr};

use nepho_common::{
    id::ServiceName,
    recording::Outcome,
    symptom::{CertificateFault, Symptom, plain},
    time::Nanos,
};
use rustls::{CertificateError, pki_types::UnixTime};

use super::{Failure, exchange::Replied};
use crate::{chain::Chain, scrub, work::listeners};

/// Of a body, this much is kept: the first line of an error page.
const BODY_SHOWN: usize = 200;

/// What was seen of a request so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Trail {
    pub(super) address: Option<SocketAddr>,
    status: Option<u16>,
    body: String,
    version: Option<String>,
}

impl Trail {
    pub(super) fn reply(&mut self, replied: &Replied) {
        self.status = Some(replied.status.as_u16());
        let shown = replied.body.get(..BODY_SHOWN).unwrap_or(&replied.body);
        self.body = plain(&String::from_utf8_lossy(shown));
        self.version = version(replied);
    }

    /// What the target said of its version.
    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

/// A failure of a kind that was not seen before, before anybody looked closer.
#[derive(Debug)]
pub struct Clue {
    trail: Trail,
    /// `None` when the time was up.
    failure: Option<Failure>,
    /// Whether this host's policy lets the agent say who listens here.
    may_look: bool,
}

impl Clue {
    pub(super) const fn new(trail: Trail, failure: Option<Failure>, may_look: bool) -> Self {
        Self {
            trail,
            failure,
            may_look,
        }
    }

    /// What it looked like. Looks at this host's own listeners for `service`, which takes milliseconds:
    /// after the end of the request was stamped.
    pub async fn symptom(self, outcome: Outcome, service: &ServiceName) -> Symptom {
        let Self {
            trail,
            failure,
            may_look,
        } = self;
        let words = failure
            .as_ref()
            .map_or_else(String::new, |failure| Chain(failure).to_string());
        let said = match (&trail.body, trail.status) {
            (body, Some(_)) if !body.is_empty() => body.clone(),
            (_, _) => words,
        };
        let listeners = match trail
            .address
            .filter(|_| may_look && tells_of_listeners(outcome))
        {
            Some(address) => listeners::at(address, service.clone()).await,
            None => None,
        };
        Symptom {
            address: trail.address,
            status: trail.status,
            certificate: failure.as_ref().and_then(certificate),
            listeners,
            said: plain(&scrub::clean(&said)),
        }
    }
}

/// Where it matters who listens.
const fn tells_of_listeners(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Refused
        | Outcome::Reset
        | Outcome::Status
        | Outcome::Content
        | Outcome::Protocol => true,
        Outcome::Success
        | Outcome::Timeout
        | Outcome::Unreachable
        | Outcome::Resolve
        | Outcome::Tls
        | Outcome::OurSide => false,
    }
}

/// What an answer says of its version: a header `X-Version`, or `version` in a JSON object, which is
/// where services say it that say it at all.
fn version(replied: &Replied) -> Option<String> {
    let header = replied.headers.get("x-version");
    let said = header
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let said = said.or_else(|| {
        let body: serde_json::Value = serde_json::from_slice(&replied.body).ok()?;
        Some(body.get("version")?.as_str()?.to_owned())
    });
    let said = plain(&scrub::clean(&said?));
    let short: String = said.chars().take(64).collect();
    (!short.is_empty()).then_some(short)
}

fn certificate(failure: &Failure) -> Option<CertificateFault> {
    let Failure::Handshake(error) = failure else {
        return None;
    };
    let inner = io::Error::get_ref(error)?;
    let rustls::Error::InvalidCertificate(why) = inner.downcast_ref::<rustls::Error>()? else {
        return None;
    };
    let between = |from: &UnixTime, to: &UnixTime| {
        Nanos::from_secs(to.as_secs().saturating_sub(from.as_secs()))
    };
    match why {
        CertificateError::ExpiredContext { time, not_after } => {
            Some(CertificateFault::Expired(between(not_after, time)))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            Some(CertificateFault::NotYet(between(time, not_before)))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Some(CertificateFault::Name)
        }
        CertificateError::UnknownIssuer => Some(CertificateFault::Issuer),
        // The type is open, so there is no list of the others.
        _ => None,
    }
}
