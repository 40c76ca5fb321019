//! References to secrets. A plan holds references only; an agent reads the secret itself, where its
//! policy lets it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// `env:NAME` or `file:/PATH`: where an agent finds a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretRef {
    /// A variable of the agent's environment.
    Env(String),
    /// A file on the agent's host, by its absolute path.
    File(String),
}

/// Why a text is no reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reference is `env:NAME` or `file:/PATH`")]
pub struct BadReference;

impl FromStr for SecretRef {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, BadReference> {
        match text.split_once(':') {
            Some(("env", name))
                if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') =>
            {
                Ok(Self::Env(name.to_owned()))
            }
            Some(("file", path)) if path.starts_with('/') && !path.contains(char::is_control) => {
                Ok(Self::File(path.to_owned()))
            }
            _ => Err(BadReference),
        }
    }
}

impl TryFrom<String> for SecretRef {
    type Error = BadReference;

    fn try_from(text: String) -> Result<Self, BadReference> {
        text.parse()
    }
}

impl From<SecretRef> for String {
    fn from(reference: SecretRef) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

/// A piece of a header's value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Sent as it stands.
    Text(String),
    /// Replaced by the secret on the agent that sends it.
    Secret(SecretRef),
}

/// The pieces of a header's value, in order; `${env:NAME}` and `${file:/PATH}` are references.
///
/// # Errors
/// A `${` that is no reference.
pub fn parts(text: &str) -> Result<Vec<Part>, BadReference> {
    let mut parts = Vec::new();
    let mut push = |text: &str| {
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
    };
    let mut pieces = text.split("${");
    push(pieces.next().unwrap_or_default());
    let mut found = Vec::new();
    for piece in pieces {
        let (reference, after) = piece.split_once('}').ok_or(BadReference)?;
        found.push((reference.parse()?, after));
    }
    for (reference, after) in found {
        parts.push(Part::Secret(reference));
        if !after.is_empty() {
            parts.push(Part::Text(after.to_owned()));
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_among_text_and_what_is_none_is_refused() {
        let text = |text: &str| Part::Text(text.to_owned());
        let secret = |text: &str| Part::Secret(text.parse().unwrap());
        assert_eq!(
            parts("Bearer ${env:T}, ${file:/a/b}!"),
            Ok(vec![
                text("Bearer "),
                secret("env:T"),
                text(", "),
                secret("file:/a/b"),
                text("!")
            ])
        );
        assert_eq!(parts("plain $ {"), Ok(vec![text("plain $ {")]));
        for bad in ["${env:T", "${T}", "${env:1}", "${file:relative}", "${env:}"] {
            assert_eq!(parts(bad), Err(BadReference), "{bad}");
        }
        assert_eq!(
            String::from("file:/x".parse::<SecretRef>().unwrap()),
            "file:/x"
        );
    }
}
