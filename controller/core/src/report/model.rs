//! What a report holds: `nepho.report/v1`. Figures are integers, times are nanoseconds, and beside
//! them stands a `text` for people.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    control::Host,
    id::{
        AgentId, Digest, EnvironmentName, Feature, GroupName, PlanId, RunId, ScenarioName, Seq,
        ServiceName, SpoolId, StageName, StepName,
    },
    journal::RecordKind,
    plan::{Amount, Dimension, Quantile, Rate},
    time::{HostClock, Nanos, RunTime},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::charts::Charts;
pub use super::{
    doubts::Code,
    sent::{LoadReport, Spread},
};

/// Everything that is known of a run, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Always [`Report::SCHEMA`].
    pub schema: String,
    /// The run; absent when no record names one.
    pub run: Option<RunId>,
    /// The scenario; absent when there is no readable plan.
    pub scenario: Option<ScenarioName>,
    /// Which revision of the report this is; absent while the run is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// The worst of everything in it.
    pub verdict: Verdict,
    /// How many findings have which verdict.
    pub counts: Counts,
    /// In the order of the plan.
    pub stages: Vec<StageReport>,
    /// In the order of the plan.
    pub findings: Vec<Finding>,
    /// What loads sent, and what came of it; absent in older reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loads: Vec<LoadReport>,
    /// Everybody who was planned or took part.
    pub agents: Vec<AgentReport>,
    /// Under which it was measured.
    pub conditions: Conditions,
    /// What keeps a reader from believing all of it.
    pub doubts: Vec<Doubt>,
    /// What the plots are made of; absent without a readable plan, and in older reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charts: Option<Charts>,
}

impl Report {
    /// Names this format.
    pub const SCHEMA: &'static str = "nepho.report/v1";

    /// Whether what must be so before the first disturbance was not.
    #[must_use]
    pub fn was_unsteady(&self) -> bool {
        let failed =
            |one: &Finding| one.steady == Some(Steady::Before) && one.verdict == Verdict::Fail;
        self.findings.iter().any(failed)
    }

    /// Whether it was ended because what must hold did not.
    #[must_use]
    pub fn was_aborted(&self) -> bool {
        self.doubts.iter().any(|doubt| doubt.code == Code::Aborted)
    }
}

/// A report is made when its run ends, and once more whenever results arrive after that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Revision {
    /// From 1.
    pub number: u32,
    /// Whether the journal says which records it is made from. One that is not may still grow; it
    /// is closed a few seconds after the last late record.
    pub closed: bool,
    /// How many records of whom arrived after the revision before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub late: BTreeMap<AgentId, u64>,
    /// What the revision before said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<Verdict>,
    /// The findings that the late records changed, in the order of the plan, at most 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_changes: u64,
}

/// A finding that late records changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Its id.
    pub finding: String,
    /// The verdict of the revision before.
    pub was: Verdict,
    /// The verdict of this one.
    pub is: Verdict,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Five verdicts, from good to bad: the worst wins.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is as expected.
    Pass,
    /// It was never tried.
    NotRun,
    /// It was tried, but the evidence is too thin or the measuring side was at fault.
    Inconclusive,
    /// It is not as expected.
    Fail,
    /// The test itself broke.
    Error,
}

impl Verdict {
    /// The word for people and JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::NotRun => "not-run",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
            Self::Error => "error",
        }
    }
}

/// How many findings have which verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// As expected.
    pub pass: u64,
    /// Not as expected.
    pub fail: u64,
    /// Not to be decided.
    pub inconclusive: u64,
    /// Never tried.
    pub not_run: u64,
    /// Broken on our side.
    pub error: u64,
}

impl Counts {
    /// Counts one more.
    pub fn add(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Pass => &mut self.pass,
            Verdict::Fail => &mut self.fail,
            Verdict::Inconclusive => &mut self.inconclusive,
            Verdict::NotRun => &mut self.not_run,
            Verdict::Error => &mut self.error,
        } += 1;
    }

    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.pass + self.fail + self.inconclusive + self.not_run + self.error
    }
}

/// One expectation judged for one tuple.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// stage/step/kind/tuple.
    pub id: String,
    /// The stage.
    pub stage: StageName,
    /// The step.
    pub step: StepName,
    /// `failures`, `success-rate`, `latency.p50`…; of a steady state with `before.` or `after.`.
    pub kind: String,
    /// Which of the two times a steady state is judged; absent of everything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady: Option<Steady>,
    /// The tuple: which part of the step is judged.
    pub on: BTreeMap<Dimension, String>,
    /// How it came out.
    pub verdict: Verdict,
    /// What the scenario asked for.
    pub expected: Expected,
    /// What was seen.
    pub observed: Observed,
    /// How sure the figure is; absent for a plain count.
    pub uncertainty: Option<Uncertainty>,
    /// How much there is of what was planned.
    pub samples: Samples,
    /// Who measured.
    pub agents: Vec<AgentId>,
    /// What is likely behind it; always there unless it passed.
    pub cause: Option<String>,
    /// What to do about it; always there unless it passed.
    pub remedy: Option<String>,
    /// How soon; always there unless it passed.
    pub priority: Option<Priority>,
    /// The records that it rests on.
    pub evidence: Vec<Evidence>,
}

/// When a steady state is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Steady {
    /// Before the first disturbance.
    Before,
    /// At the end.
    After,
}

/// What the scenario asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Expected {
    /// For people.
    pub text: String,
    /// The most requests that may fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<u64>,
    /// The least share that must succeed, in parts per million.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_success_ppm: Option<u32>,
    /// With which confidence that must be shown, in parts per million; absent when what was observed
    /// is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence_ppm: Option<u32>,
    /// Which quantile of latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<Quantile>,
    /// The most it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ns: Option<Nanos>,
    /// The least it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ns: Option<Nanos>,
    /// The most that hosts may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<Amount>,
    /// The least that hosts must use or have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<Amount>,
    /// The least time that certificates must be valid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_left_ns: Option<Nanos>,
    /// What all targets must say alike of themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same: Option<String>,
    /// Over what a balancer spreads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
    /// By how much a share may differ, in parts per million.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance_ppm: Option<u32>,
    /// The least users that must be carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_users: Option<u32>,
    /// The least successes of a load in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_rate: Option<Rate>,
    /// The most successes of a load in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<Rate>,
}

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Observed {
    /// For people.
    pub text: String,
    /// How many requests ended how. Those that failed on our side are shown, but count as missing.
    pub outcomes: BTreeMap<String, u64>,
    /// The share of successes, in parts per million, rounded down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_ppm: Option<u32>,
    /// The quantile of the latency of successes: upper edge of its bin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ns: Option<Nanos>,
    /// The same if failures took for ever; absent when that makes it infinite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_with_failures_ns: Option<Nanos>,
    /// The largest reading of hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<Amount>,
    /// The smallest reading of hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<Amount>,
    /// What is left of the certificate that ends first; negative when it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_left_ns: Option<i64>,
    /// Of a distribution: what each got.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<GivenShare>,
    /// Successes of a load in a second, where that is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Users of the highest stair that held with all below it; absent when the first did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried_users: Option<u32>,
    /// Users of the stair with the most throughput for its median latency; absent when that is the
    /// highest of which anything is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knee_users: Option<u32>,
    /// Of a load whose users come in stairs: how each stair did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stairs: Vec<StairFigures>,
}

/// How users were carried in a stair, without its first second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StairFigures {
    /// How many there were, of all agents together.
    pub users: u32,
    /// Successes in a second.
    pub rate: Rate,
    /// The median latency of successes; absent when there is none.
    pub p50_ns: Option<Nanos>,
    /// The quantile that is judged; absent when none is, or of too few successes to show it.
    pub quantile_ns: Option<Nanos>,
    /// Requests that failed.
    pub failures: u64,
    /// Requests that say something of the target.
    pub samples: u64,
    /// Whether it held.
    pub verdict: Verdict,
}

/// What one of those behind a balancer got; shares in parts per million.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GivenShare {
    /// Who.
    pub name: String,
    /// How often the balancer chose it.
    pub decisions: u64,
    /// Requests that it answered and that failed.
    pub failures: u64,
    /// By the configured weights.
    pub expected_ppm: u32,
    /// Absent of no decisions.
    pub observed_ppm: Option<u32>,
    /// The lower end of the interval.
    pub low_ppm: Option<u32>,
    /// The upper end.
    pub high_ppm: Option<u32>,
}

/// An interval that holds the true figure with 95 % confidence, or with the one that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Uncertainty {
    /// For people.
    pub text: String,
    /// `wilson`, `clopper-pearson`, `order-statistic` or `block-bootstrap`.
    pub method: String,
    /// Lower end of a share, parts per million.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_ppm: Option<u32>,
    /// Upper end of a share, parts per million.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_ppm: Option<u32>,
    /// Lower end of a latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_ns: Option<Nanos>,
    /// Upper end of a latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_ns: Option<Nanos>,
}

/// How much there is of what was planned, in requests; of hosts, in readings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Samples {
    /// How many the plan holds.
    pub planned: u64,
    /// How many say something of the target.
    pub observed: u64,
    /// How many are missing, path by path: too many of one don't make up for another.
    pub missing: u64,
}

/// How soon to look into it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// First.
    High,
    /// Then.
    Medium,
    /// When there is time.
    Low,
}

impl Priority {
    /// The word for people and JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// Records of one spool that a finding rests on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Who wrote them.
    pub agent: AgentId,
    /// Where.
    pub spool: SpoolId,
    /// The first one's number.
    pub from: Seq,
    /// The last one's number.
    pub to: Seq,
    /// How many of those between belong to it.
    pub records: u64,
}

/// A stage of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageReport {
    /// Its name.
    pub name: StageName,
    /// The worst of its findings.
    pub verdict: Verdict,
    /// Its common start in run time; absent when it was not begun.
    pub began_ns: Option<RunTime>,
    /// How long it was to last.
    pub planned_ns: Nanos,
    /// How long it lasted, by the agent that ended last; absent when none said so.
    pub lasted_ns: Option<Nanos>,
    /// Its findings.
    pub counts: Counts,
    /// Why it was not begun.
    pub skipped: Option<String>,
    /// How well the agents kept the common start.
    pub starts: Vec<StartQuality>,
    /// From where to where: a table for each step.
    pub matrix: Vec<Matrix>,
}

/// How well one agent kept the common start of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StartQuality {
    /// The stage.
    pub stage: StageName,
    /// Who.
    pub agent: AgentId,
    /// How late it began by its own clock; negative when early.
    pub late_ns: i64,
    /// How far its clock may be off beyond that, to either side; absent when the order is not
    /// in the journal.
    pub bound_ns: Option<Nanos>,
    /// The shortest round trip behind that bound.
    pub round_trip_ns: Option<Nanos>,
    /// The bound by the exchanges alone, when what both hosts know of their clocks narrowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchanged_ns: Option<Nanos>,
}

/// From where to where, for one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Matrix {
    /// The step.
    pub step: StepName,
    /// Environment by environment.
    pub cells: Vec<Cell>,
    /// Service by service, from each environment.
    pub services: Vec<ServiceRow>,
}

/// All requests from one environment to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cell {
    /// From where.
    pub from: EnvironmentName,
    /// To where.
    pub to: EnvironmentName,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// All requests from one environment to one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceRow {
    /// From where.
    pub from: EnvironmentName,
    /// Where the service is.
    pub environment: EnvironmentName,
    /// Its group; absent when the plan doesn't say.
    pub group: Option<GroupName>,
    /// The service.
    pub service: ServiceName,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Counts and latency of some requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Figures {
    /// How many the plan holds.
    pub planned: u64,
    /// How many say something of the target.
    pub requests: u64,
    /// How many of those failed.
    pub failures: u64,
    /// The median latency of successes.
    pub p50_ns: Option<Nanos>,
    /// The largest latency of successes.
    pub max_ns: Option<Nanos>,
    /// How many instances have no declared address from there.
    pub no_path: u64,
}

/// One agent's part in the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentReport {
    /// Who.
    pub agent: AgentId,
    /// Where; absent when neither plan nor controller says.
    pub environment: Option<EnvironmentName>,
    /// Its host; absent when it never joined.
    pub host: Option<Host>,
    /// What it can do.
    pub features: Vec<Feature>,
    /// Why it refused.
    pub refused: Option<String>,
    /// How many records of each kind are stored.
    pub records: BTreeMap<RecordKind, u64>,
    /// How many requests it reported.
    pub samples: u64,
    /// When it was not heard of.
    pub lost: Vec<LostSpan>,
    /// The stages that are proven complete.
    pub sealed: Vec<StageName>,
    /// What is missing, stage by stage; empty when nothing is.
    pub missing: Vec<Missing>,
}

/// A span in which nothing was heard of an agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct LostSpan {
    /// When it was last heard of.
    pub from_ns: RunTime,
    /// When it was given up.
    pub given_up_ns: RunTime,
    /// When it was back; absent when it never was.
    pub to_ns: Option<RunTime>,
    /// It came back as another process.
    pub restarted: bool,
}

/// What is missing of one stage of one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// The stage.
    pub stage: StageName,
    /// How many requests were planned.
    pub planned: u64,
    /// How many of them are missing.
    pub requests: u64,
    /// Why, for people.
    pub why: String,
}

/// Under which conditions it was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Conditions {
    /// The plan.
    pub plan: Option<PlanId>,
    /// The scenario's title.
    pub title: Option<String>,
    /// When the run began, wall time of the controller.
    pub began: Option<String>,
    /// When the run ended, wall time of the controller.
    pub ended: Option<String>,
    /// How it ended.
    pub end: Option<String>,
    /// What the plan was made from.
    pub files: BTreeMap<String, Digest>,
    /// The controller's host.
    pub controller: Option<Host>,
    /// The agents' hosts.
    pub hosts: BTreeMap<AgentId, Host>,
    /// The versions of our programs that took part.
    pub versions: BTreeSet<String>,
    /// The worst start of all, by lateness and bound together.
    pub worst_start: Option<StartQuality>,
    /// What the agents' hosts say of their wall clocks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clocks: BTreeMap<AgentId, HostClock>,
}

/// Something that keeps a reader from believing all of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Doubt {
    /// Which kind.
    pub code: Code,
    /// For people.
    pub text: String,
    /// Whom or what it concerns: an agent, a stage, a finding; empty for the run.
    pub about: String,
}
