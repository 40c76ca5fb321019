//! Why a session did not come about or ended, and whose doing it was.

use std::error::Error;

use crate::{
    bad::{BadMessage, Wrong},
    convert::field::said,
};

/// What went wrong in a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The peer said no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The connection broke, or the peer went away without a word.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The peer said something that is not a message of this protocol.
    #[error("the peer sent a bad message")]
    Bad(#[from] BadMessage),
}

/// A refusal, by the other side of a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused ({code:?}): {message}")]
pub struct Refused {
    /// The sort of refusal.
    pub code: tonic::Code,
    /// For people; without control characters.
    pub message: String,
}

impl Refused {
    /// A refusal that the peer will read.
    #[must_use]
    pub fn new(code: tonic::Code, message: &str) -> Self {
        let message = said(message);
        Self { code, message }
    }
}

impl From<Refused> for tonic::Status {
    fn from(refused: Refused) -> Self {
        Self::new(refused.code, refused.message)
    }
}

/// Texts by which tonic and prost say that the bytes, not the connection, are at fault. A status
/// made on this side carries no other mark; a test over a real connection holds us to them.
const BAD_BYTES: [&str; 3] = [
    "failed to decode Protobuf message",
    "Error, decoded message length too large",
    "protocol error: received message with",
];

/// Texts by which tonic says that the connection is at fault, where it keeps no source.
const BROKEN: [&str; 4] = [
    "protocol error: missing grpc-status",
    "grpc-status header missing",
    "Unexpected EOF decoding stream",
    "Service was not ready",
];

impl From<tonic::Status> for SessionError {
    fn from(status: tonic::Status) -> Self {
        let message = said(status.message());
        let starts = |texts: &[&str]| texts.iter().any(|text| message.starts_with(text));
        if let Some(source) = status.source() {
            return Self::Broken(said(&chain(&message, source)));
        }
        if starts(&BAD_BYTES) {
            let bad = BadMessage::from(Wrong::Encoding(message));
            return Self::Bad(BadMessage {
                field: "message".to_owned(),
                ..bad
            });
        }
        if starts(&BROKEN) {
            return Self::Broken(message);
        }
        Self::Refused(Refused {
            code: status.code(),
            message,
        })
    }
}

fn chain(message: &str, source: &(dyn Error + 'static)) -> String {
    let mut text = message.to_owned();
    let mut next = Some(source);
    while let Some(error) = next {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = error.source();
    }
    text
}
