//! How the API says no: `nepho.error/v1`.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    driver::{Failure, PlanFailure},
    exit::Exit,
    identity::enrol::MintError,
};

/// Names the format.
pub const SCHEMA: &str = "nepho.error/v1";

/// Whose fault it is. The word is what programs look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// The request is not one.
    BadRequest,
    /// Scenario or fleet hold mistakes.
    Invalid,
    /// The caller may not.
    NotAuthorised,
    /// There is no such run or path.
    NotFound,
    /// It can't be done now, or not by these agents.
    Refused,
    /// The request is larger than any honest one.
    TooLarge,
    /// The controller's own fault.
    #[serde(other)]
    Internal,
}

impl Blame {
    const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NotAuthorised => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Refused => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The exit code of a command that was told so.
    #[must_use]
    pub const fn exit(self) -> Exit {
        match self {
            Self::BadRequest | Self::NotFound => Exit::Usage,
            Self::Invalid | Self::TooLarge => Exit::Invalid,
            Self::NotAuthorised => Exit::NotAuthorised,
            Self::Refused => Exit::Refused,
            Self::Internal => Exit::Internal,
        }
    }
}

/// A request that was not granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, JsonSchema)]
#[error("{message}")]
pub struct Refusal {
    /// [`SCHEMA`].
    pub schema: String,
    /// Whose fault.
    pub code: Blame,
    /// What is wrong; several lines when it is several things.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The mistakes of the files, for programs; their text with carets is the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Value>,
}

impl Refusal {
    /// A refusal that says no more than this.
    #[must_use]
    pub fn new(code: Blame, message: impl Into<String>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            code,
            message: message.into(),
            hint: None,
            diagnostics: None,
        }
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.code.status(), Json(self)).into_response()
    }
}

impl From<PlanFailure> for Refusal {
    fn from(failure: PlanFailure) -> Self {
        match failure {
            PlanFailure::Diagnostics(found) => Self {
                diagnostics: Some(found.json()),
                ..Self::new(Blame::Invalid, found.render(false))
            },
            PlanFailure::Refused(why) => Self::new(Blame::Refused, why.join("\n")),
            PlanFailure::Failure(failure) => failure.into(),
        }
    }
}

/// An error with everything behind it, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let text = chain(&failure);
        match failure {
            Failure::NoSuchRun(_) | Failure::NoSuchRevision(..) | Failure::NoSuchAgent(_) => {
                Self::new(Blame::NotFound, text)
            }
            Failure::Over(_) => Self::new(Blame::Refused, text),
            Failure::Mint(MintError::Reserved) => Self::new(Blame::BadRequest, text),
            Failure::Mint(MintError::Store(_) | MintError::NoRandomness(_))
            | Failure::Store(_)
            | Failure::Down
            | Failure::Random => Self::new(Blame::Internal, text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_flat_and_says_whose_fault_it_is() {
        let refusal = Refusal::new(Blame::Refused, "busy").hint("wait");
        let text = serde_json::to_string(&refusal).unwrap();
        assert_eq!(
            text,
            r#"{"schema":"nepho.error/v1","code":"refused","message":"busy","hint":"wait"}"#
        );
        assert_eq!(refusal.into_response().status(), StatusCode::CONFLICT);
    }

    #[test]
    fn a_code_of_a_later_release_is_still_read() {
        let text = r#"{"schema":"nepho.error/v1","code":"moon-phase","message":"m"}"#;
        let refusal: Refusal = serde_json::from_str(text).unwrap();
        assert_eq!(refusal.code, Blame::Internal);
    }
}
