//! Join tokens.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nepho_common::id::Digest;
use ring::rand::{SecureRandom as _, SystemRandom};

/// What an operator hands to a new agent: a secret that can be used once, and the SHA-256 of the
/// authority's certificate in DER, so that the agent need not trust the first one it meets.
///
/// Grammar of the text form, which the agent reads as well:
///
/// ```text
/// token  = "nepho1" "." secret "." pin
/// secret = 43 characters: 32 random bytes in base64url without padding (RFC 4648 §5)
/// pin    = 43 characters: 32 bytes, SHA-256 of the authority's certificate (DER), likewise
/// ```
///
/// White space around it is ignored, for it comes from files. `Debug` does not show the secret;
/// `Display` is the token itself, for the one moment when the operator is given it.
///
/// ```
/// use nepho_common::id::Digest;
/// use nepho_controller::identity::token::JoinToken;
///
/// let token = JoinToken::random(Digest::of(b"the authority's certificate")).unwrap();
/// let read: JoinToken = token.to_string().parse().unwrap();
/// assert_eq!(read.secret_sha(), token.secret_sha());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    secret: [u8; 32],
    pin: Digest,
}

/// Why a text is not a join token. The text is not shown: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It is of another kind, or of a later release.
    #[error("a join token starts with \"nepho1.\": this is something else, or of a newer release")]
    Prefix,
    /// It was cut or mistyped.
    #[error("a join token is \"nepho1.\" and two parts of 43 characters: copy it whole")]
    Form,
}

/// The system has no random numbers to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

const PREFIX: &str = "nepho1";

impl JoinToken {
    /// A new one for this authority.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn random(pin: Digest) -> Result<Self, NoRandomness> {
        let mut secret = [0; 32];
        SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_| NoRandomness)?;
        Ok(Self { secret, pin })
    }

    /// What is stored of the secret and looked up.
    #[must_use]
    pub fn secret_sha(&self) -> Digest {
        Digest::of(&self.secret)
    }

    /// The secret part, as enrolment sends it.
    #[must_use]
    pub const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// SHA-256 of the authority's certificate.
    #[must_use]
    pub const fn pin(&self) -> Digest {
        self.pin
    }
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = URL_SAFE_NO_PAD.encode(self.secret);
        let pin = URL_SAFE_NO_PAD.encode(self.pin.bytes());
        write!(f, "{PREFIX}.{secret}.{pin}")
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("pin", &self.pin)
            .finish_non_exhaustive()
    }
}

impl FromStr for JoinToken {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let mut parts = text.trim().split('.');
        if parts.next() != Some(PREFIX) {
            return Err(BadToken::Prefix);
        }
        match (parts.next(), parts.next(), parts.next()) {
            (Some(secret), Some(pin), None) => Ok(Self {
                secret: part(secret)?,
                pin: Digest::new(part(pin)?),
            }),
            _ => Err(BadToken::Form),
        }
    }
}

fn part(text: &str) -> Result<[u8; 32], BadToken> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadToken::Form)?;
    bytes.try_into().map_err(|_| BadToken::Form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken::random(Digest::of(b"ca")).unwrap()
    }

    #[test]
    fn a_token_reads_back_what_it_printed() {
        let token = token();
        assert_eq!(token.to_string().parse(), Ok(token.clone()));
        assert_eq!(format!(" {token}\n").parse(), Ok(token));
    }

    #[test]
    fn the_text_form_is_the_documented_one() {
        let token = JoinToken {
            secret: [0; 32],
            pin: Digest::new([0xff; 32]),
        };
        let expected = format!("nepho1.{}.{}8", "A".repeat(43), "_".repeat(42));
        assert_eq!(token.to_string(), expected);
    }

    #[test]
    fn two_tokens_differ() {
        assert_ne!(token(), token());
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = token();
        let shown = format!("{token:?}");
        assert!(!shown.contains(&hex::encode(token.secret)));
        assert!(!shown.contains(&URL_SAFE_NO_PAD.encode(token.secret)));
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn anything_else_is_refused_without_being_shown() {
        let good = token().to_string();
        let cut: String = good.chars().take(60).collect();
        for (bad, error) in [
            ("", BadToken::Prefix),
            ("hunter2", BadToken::Prefix),
            ("nepho2.x.y", BadToken::Prefix),
            ("nepho1", BadToken::Form),
            ("nepho1.AAAA.AAAA", BadToken::Form),
            (cut.as_str(), BadToken::Form),
            (&format!("{good}.x"), BadToken::Form),
            (&format!("{good}="), BadToken::Form),
        ] {
            assert_eq!(bad.parse::<JoinToken>(), Err(error), "{bad}");
        }
    }
}
