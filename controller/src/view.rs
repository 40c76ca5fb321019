//! What the API shows of agents and runs: `nepho.agents/v1`, `nepho.run/v1`.

use nepho_common::{
    calibrated::Calibrated,
    control::{Host, PolicyReport},
    id::{AgentId, EnvironmentName, Feature, PlanId, RunId, ScenarioName, Seq, SpoolId, StageName},
    time::{ClockOffset, Nanos, WallMillis},
};
use nepho_controller_core::{report::Verdict, run::Progress};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An agent, as `nepho agents ls` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentView {
    /// Its name.
    pub agent: AgentId,
    /// Where it is.
    pub environment: EnvironmentName,
    /// Whether a session is open.
    pub connected: bool,
    /// How long ago it was last heard of; `None` if never since the controller started.
    pub silent_for: Option<Nanos>,
    /// Its host, once it said hello.
    pub host: Option<Host>,
    /// What it can do.
    pub features: Vec<Feature>,
    /// What its host lets it do, as it said.
    #[serde(default)]
    pub policy: Option<PolicyReport>,
    /// How much its host was found to send on time (`nepho calibrate --save` there).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibrated: Option<Calibrated>,
    /// Where its clock's offset to the controller lies.
    pub clock: Option<ClockOffset>,
    /// The shortest round trip lately.
    pub round_trip: Option<Nanos>,
    /// The runs that it takes part in.
    pub runs: Vec<RunId>,
    /// Since when it is no longer one of ours.
    #[serde(default)]
    pub revoked: Option<WallMillis>,
    /// Within the last minute a second copy of its identity wanted a session while it was in one.
    #[serde(default)]
    pub cloned: bool,
}

impl AgentView {
    /// An agent that had no session since the controller started.
    #[must_use]
    pub const fn unseen(agent: AgentId, environment: EnvironmentName) -> Self {
        Self {
            agent,
            environment,
            connected: false,
            silent_for: None,
            host: None,
            features: Vec::new(),
            policy: None,
            calibrated: None,
            clock: None,
            round_trip: None,
            runs: Vec::new(),
            revoked: None,
            cloned: false,
        }
    }
}

/// One agent in full, as `nepho agents show` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentDetail {
    /// What the list shows of it.
    #[serde(flatten)]
    pub view: AgentView,
    /// What its certificates name: its SPIFFE id.
    pub identity: String,
    /// When it was admitted.
    pub enrolled: WallMillis,
    /// The certificate that it shows.
    pub certificate: CertificateView,
    /// One that it was given and has not shown yet.
    pub next: Option<CertificateView>,
    /// Its connections now; one in a session has two, control and results.
    pub connections: usize,
    /// Its spools; one whose directory was made anew has several.
    pub spools: Vec<SpoolView>,
}

/// A certificate of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateView {
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// Its end.
    pub not_after: WallMillis,
}

/// A spool of an agent, as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpoolView {
    /// Which.
    pub spool: SpoolId,
    /// Everything up to here is committed.
    pub committed: Seq,
}

/// A run, as `nepho status` and the event stream show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunView {
    /// Always `nepho.run/v1`.
    pub schema: String,
    /// Its name.
    pub run: RunId,
    /// What it executes.
    pub plan: PlanId,
    /// The scenario.
    pub scenario: ScenarioName,
    /// Its title.
    pub title: String,
    /// When it began.
    pub created: WallMillis,
    /// Where it stands; `None` for a run that is over and no longer in memory.
    pub progress: Option<Progress>,
    /// Requests that the store has; `None` for a run that is no longer in memory.
    pub tally: Option<Tally>,
    /// Stages that were judged or skipped so far, in order.
    pub stages: Vec<StageView>,
    /// What the last events said, newest last; at most 20.
    pub said: Vec<String>,
    /// Which revision of the report there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// Set once the report is made.
    pub verdict: Option<Verdict>,
    /// The exit code that goes with the verdict.
    pub exit_code: Option<u8>,
}

impl RunView {
    /// Names this format.
    pub const SCHEMA: &'static str = "nepho.run/v1";

    /// Whether the report is there.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.verdict.is_some()
    }
}

/// What the store has of a run that is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Requests.
    pub requests: u64,
    /// How many of them failed.
    pub failures: u64,
}

/// A stage that was judged or skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageView {
    /// Its name.
    pub stage: StageName,
    /// The verdict over its gating findings; `not-run` when it was skipped.
    pub verdict: Verdict,
}
