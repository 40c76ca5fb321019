//! What controller and agent tell each other while a run is under way.
//!
//! Commands are idempotent and level-triggered: the controller repeats what it wants until the
//! agent says that it is so, and an agent answers a repeated command with its present phase. So a
//! lost, repeated or late message does no harm.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    calibrated::Calibrated,
    id::{BootId, Digest, Feature, RunId, RunKey, Seq, SpoolId, StageName},
    plan::Assignment,
    policy::{Endpoint, Policy},
    time::{ClockEpoch, Mono, RunTime},
};

/// What the controller wants of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Which run, which try, by which right.
    pub key: RunKey,
    /// What.
    pub order: Order,
}

/// The orders of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Check the assignment and get ready to obey it.
    Prepare(Box<Assignment>),
    /// Get ready to start this stage at a moment's notice.
    Arm(StageName),
    /// Start this stage at an instant of the agent's own clock, which is `at_run` in run time.
    Start {
        /// The stage.
        stage: StageName,
        /// Its start in run time, a whole second.
        at_run: RunTime,
        /// The same instant on the agent's own clock.
        at: Mono,
    },
    /// Go on with this stage, which an earlier process of this agent began. What is due from now
    /// on is sent; what was due before stays that process's matter. Only what may be resumed is.
    Resume {
        /// The stage.
        stage: StageName,
        /// Its start in run time, a whole second.
        at_run: RunTime,
        /// The same instant on the agent's own clock.
        at: Mono,
    },
    /// End what is under way, seal what there is, begin nothing new.
    Stop(StopMode),
    /// The run is over and everything arrived: forget it.
    Release,
}

/// How a run is ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum StopMode {
    /// Send nothing new, wait for answers.
    Stop,
    /// Cut what is open.
    Abort,
}

/// Where an agent stands in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which run, which try.
    pub key: RunKey,
    /// Where it stands.
    pub phase: Phase,
}

/// The phases of an agent in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It does not know this run: it was restarted, or the run was released.
    Unknown,
    /// It will not do this.
    Refused(Refusal),
    /// It checked the assignment and can obey it.
    Prepared,
    /// It can start this stage at a moment's notice.
    Armed(StageName),
    /// It knows the instant at which to start this stage.
    Scheduled(StageName),
    /// This stage is under way.
    Running(StageName),
    /// This stage has ended, answers are waited for.
    Draining(StageName),
    /// Everything of this stage is in the spool, and its seal is the record `seal`.
    Sealed {
        /// The stage.
        stage: StageName,
        /// The spool.
        spool: SpoolId,
        /// The seal's number in it.
        seal: Seq,
    },
    /// It was told to stop, and nothing of this run is under way any more.
    Stopped,
}

/// Why an agent refuses. Whole, never clipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Another run holds the agent.
    #[error("busy with run {0}")]
    Busy(RunId),
    /// It lacks features that the assignment needs.
    #[error("this agent can't do {}", list(.0))]
    Unsupported(BTreeSet<Feature>),
    /// The assignment contradicts itself or goes beyond what any agent does.
    #[error("the assignment is not acceptable: {0}")]
    Invalid(String),
    /// A command by somebody who no longer owns the run.
    #[error("a newer controller owns this run")]
    Fenced,
    /// The agent's policy forbids it.
    #[error("the agent's policy forbids it: {0}")]
    Policy(String),
    /// The agent was told to end, and takes on nothing new.
    #[error("the agent is being stopped")]
    Leaving,
    /// The start came too late to be kept.
    #[error("the order to start came {}ms after its instant", .0.0 / 1_000_000)]
    Late(crate::time::Nanos),
}

fn list(features: &BTreeSet<Feature>) -> String {
    features
        .iter()
        .map(Feature::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

/// What an agent says of itself when a session opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The lowest and the highest version of the protocol that it speaks.
    pub protocol: (u32, u32),
    /// This start of its process.
    pub boot: BootId,
    /// The host and the program.
    pub host: Host,
    /// What it can do.
    pub features: BTreeSet<Feature>,
    /// Its spool.
    pub spool: SpoolId,
    /// The number that the next record gets.
    pub next: Seq,
    /// Its clock's epoch.
    pub epoch: ClockEpoch,
    /// The runs that it knows.
    pub runs: Vec<Status>,
    /// What its host lets it do; `None` from a release that has no policy.
    pub policy: Option<PolicyReport>,
    /// How much its host was found to send on time; `None` where nobody measured it, or the host was
    /// changed since.
    pub calibrated: Option<Calibrated>,
}

/// What an agent says of its policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PolicyReport {
    /// In force.
    InForce {
        /// [`crate::policy::Policy::canonical`], as it came: a newer agent's may hold what this
        /// release can't read.
        canonical: String,
        /// Its SHA-256.
        digest: Digest,
        /// Its controller's, as it dials it: refused as targets whatever the policy says.
        #[serde(default)]
        doors: Vec<Endpoint>,
    },
    /// Missing or broken, so every work is refused; with what mends it.
    Refusing(String),
}

impl PolicyReport {
    /// The report of this policy, by an agent whose controller has these doors.
    #[must_use]
    pub fn of(policy: &Policy, doors: Vec<Endpoint>) -> Self {
        let canonical = policy.canonical();
        let digest = Digest::of(canonical.as_bytes());
        Self::InForce {
            canonical,
            digest,
            doors,
        }
    }
}

/// The host and program of an agent or of the controller: the conditions of a measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Operating system and its version.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// `x86_64`, `aarch64`.
    pub arch: String,
    /// Processors that the program may use.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// Version of our program.
    pub version: String,
}
