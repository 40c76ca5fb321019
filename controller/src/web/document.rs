//! What goes over the API. Every answer names its format.

use nepho_common::{
    control::StopMode,
    doctor::Check,
    id::{AgentId, EnvironmentName, RunId},
    time::WallMillis,
};
use nepho_controller_core::{log::Line, scenario::Bundle};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    driver::RunOptions,
    view::{AgentDetail, AgentView, RunView},
};

/// A document with its format beside its fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document<T> {
    /// `nepho.<thing>/v1`.
    pub schema: String,
    /// The fields.
    #[serde(flatten)]
    pub body: T,
}

impl<T: Body> Document<T> {
    /// `body` under its format's name.
    #[must_use]
    pub fn of(body: T) -> Self {
        Self {
            schema: T::SCHEMA.to_owned(),
            body,
        }
    }
}

/// A body that has a format.
pub trait Body {
    /// Its name.
    const SCHEMA: &'static str;
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// Of the controller's program.
    pub version: String,
}

impl Body for Version {
    const SCHEMA: &'static str = "nepho.version/v1";
}

/// Asks for a join token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentRequest {
    /// Where the agent will be.
    pub environment: EnvironmentName,
    /// What it will be called; the controller chooses when left out.
    #[serde(default)]
    pub agent: Option<AgentId>,
    /// For how many seconds the token can be used.
    pub ttl_s: u64,
}

/// A join token. The only document that holds a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Enrolment {
    /// The token; it works once.
    pub token: String,
    /// Until when.
    pub expires: WallMillis,
    /// What to type on the agent's host.
    pub command: String,
}

impl std::fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enrolment")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Body for Enrolment {
    const SCHEMA: &'static str = "nepho.enrolment/v1";
}

/// Every agent that was ever admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Agents {
    /// By name.
    pub agents: Vec<AgentView>,
}

impl Body for Agents {
    const SCHEMA: &'static str = "nepho.agents/v1";
}

impl Body for AgentDetail {
    const SCHEMA: &'static str = "nepho.agent-detail/v1";
}

/// An agent is no longer one of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Revoked {
    /// Which.
    pub agent: AgentId,
    /// Since when.
    pub since: WallMillis,
    /// How many connections of it were cut just now.
    pub connections: usize,
}

impl Body for Revoked {
    const SCHEMA: &'static str = "nepho.revoked/v1";
}

/// Asks for a plan or a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// The scenario with every file that it names.
    pub bundle: Bundle,
    /// How.
    pub options: RunOptions,
}

/// A run was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunStarted {
    /// Its name.
    pub run: RunId,
}

impl Body for RunStarted {
    const SCHEMA: &'static str = "nepho.run-started/v1";
}

/// Every run that the store knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Runs {
    /// Newest first.
    pub runs: Vec<RunView>,
}

impl Body for Runs {
    const SCHEMA: &'static str = "nepho.runs/v1";
}

/// What happened in a run so far, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Log {
    /// Which run.
    pub run: RunId,
    /// Whether it is over: then only late results add to it.
    pub over: bool,
    /// The earliest first.
    pub lines: Vec<Line>,
}

impl Body for Log {
    const SCHEMA: &'static str = "nepho.logs/v1";
}

impl Body for Check {
    const SCHEMA: &'static str = "nepho.check/v1";
}

impl Body for Line {
    const SCHEMA: &'static str = "nepho.log/v1";
}

impl Body for AgentView {
    const SCHEMA: &'static str = "nepho.agent/v1";
}

/// Asks for a run's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopRequest {
    /// How.
    pub mode: StopMode,
}

/// The end was asked for; the run says when it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stopping {
    /// Which run.
    pub run: RunId,
    /// How.
    pub mode: StopMode,
}

impl Body for Stopping {
    const SCHEMA: &'static str = "nepho.stopping/v1";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_names_its_format_first() {
        let version = Document::of(Version {
            version: "1".to_owned(),
        });
        let text = serde_json::to_string(&version).unwrap();
        assert_eq!(text, r#"{"schema":"nepho.version/v1","version":"1"}"#);
        assert_eq!(
            serde_json::from_str::<Document<Version>>(&text).unwrap(),
            version
        );
    }

    #[test]
    fn a_token_is_not_printed_by_accident() {
        let enrolment = Enrolment {
            token: "secret".to_owned(),
            expires: WallMillis(0),
            command: "secret".to_owned(),
        };
        assert!(!format!("{enrolment:?}").contains("secret"));
    }
}
