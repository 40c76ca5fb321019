//! Secrets in what is sent: read when a question is made ready, judged again when it is asked.

use http::{HeaderMap, HeaderName, HeaderValue};
use nepho_common::{
    policy::{Endpoint, Policy},
    secret::{Part, SecretRef, parts},
};

use super::{super::secret, Failure};

/// A text with its secrets in it. It is never printed.
pub(super) struct Revealed {
    pub(super) text: String,
    pub(super) secrets: Vec<SecretRef>,
}

/// Reads the secrets of `value`, which is meant for `to`. None of the value is repeated in an error.
pub(super) fn reveal(value: &str, to: &Endpoint, policy: &Policy) -> Result<Revealed, String> {
    let mut revealed = Revealed {
        text: String::new(),
        secrets: Vec::new(),
    };
    for part in parts(value).map_err(|why| why.to_string())? {
        match part {
            Part::Text(part) => revealed.text.push_str(&part),
            Part::Secret(reference) => {
                // Judged when the run was prepared, and once more where it is used.
                let allowed = policy.admits_secret(&reference, to);
                allowed.map_err(|rule| rule.to_string())?;
                let read = secret::read(&reference);
                let found = read.map_err(|why| format!("secret {reference}: {why}"))?;
                revealed.text.push_str(found.reveal());
                revealed.secrets.push(reference);
            }
        }
    }
    Ok(revealed)
}

/// The text alone, for whoever asks it many times and is judged once.
pub(in super::super) fn text(
    value: &str,
    to: &Endpoint,
    policy: &Policy,
) -> Result<String, String> {
    reveal(value, to, policy).map(|revealed| revealed.text)
}

/// Headers with their secrets in them, and which those are.
#[derive(Debug, Clone)]
pub(super) struct Headers {
    pub(super) map: HeaderMap,
    secrets: Vec<SecretRef>,
}

impl Headers {
    /// Makes the headers of a request to `to` ready. `of` says of which request, in errors.
    pub(super) fn reveal(
        headers: &[(String, String)],
        of: &str,
        to: &Endpoint,
        policy: &Policy,
    ) -> Result<Self, String> {
        let mut map = HeaderMap::new();
        let mut secrets = Vec::new();
        for (name, value) in headers {
            let bad = |why: &str| format!("header {name:?} of {of}: {why}");
            let revealed = reveal(value, to, policy).map_err(|why| bad(&why))?;
            let key: HeaderName = name.parse().map_err(|_| bad("not a header name"))?;
            let value = HeaderValue::from_str(&revealed.text);
            let mut value = value.map_err(|_| bad("not a header value"))?;
            // Such a value prints as `Sensitive`.
            value.set_sensitive(!revealed.secrets.is_empty());
            secrets.extend(revealed.secrets);
            map.append(key, value);
        }
        Ok(Self { map, secrets })
    }

    /// Once more: the policy may have been changed since the stage began.
    pub(super) fn admitted(&self, to: &Endpoint, policy: &Policy) -> Result<(), Failure> {
        admitted(&self.secrets, to, policy)
    }

    /// What may go to anybody: a redirect takes no secret to another place.
    pub(super) fn without_secrets(&self) -> HeaderMap {
        let plain = self.map.iter().filter(|(_, value)| !value.is_sensitive());
        plain
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

/// Whether these secrets may go there now.
pub(super) fn admitted(
    secrets: &[SecretRef],
    to: &Endpoint,
    policy: &Policy,
) -> Result<(), Failure> {
    for secret in secrets {
        policy.admits_secret(secret, to)?;
    }
    Ok(())
}
