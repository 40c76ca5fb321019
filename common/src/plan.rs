//! The plan: complete, immutable, content-hashed; and an agent's slice of it, the assignment.
//!
//! Nothing is left to choose at run time but what is named here as late-bound: the common start of
//! each stage. The plan id is the digest of the canonical JSON, so the same scenario, fleet, files,
//! agents and seed give the same id.

mod abort;
mod amount;
mod check;
mod load;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

pub use self::{
    abort::AbortIf,
    amount::Amount,
    check::{
        Check, DnsCheck, DnsRecord, EventCheck, GrpcCheck, HttpCheck, IcmpCheck, LOOKS_MAX,
        NatsCheck, PrometheusCheck, RedisCheck, TcpCheck, TlsCheck, WebhookCheck,
    },
    load::{
        Arrivals, BadRate, BadRise, BadSchedule, BadStripe, Call, Carried, DecidesOn, Feed, Leg,
        Load, Member, Model, Parts, Pool, Rate, Rise, Schedule, Share, Stripe, Take, ToldBy,
    },
    watch::{BadPick, ContainerPick, PickText, ProcessPick, Watch},
};
use crate::{
    id::{
        AgentId, Digest, EnvironmentName, Feature, GroupName, InstanceId, Operation, PlanId,
        ScenarioName, StageName, StepName,
    },
    time::Nanos,
};

/// What becomes of a run when one of its agents is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum LostAgent {
    /// It goes on with the others; what is missing is said.
    #[default]
    Continue,
    /// It is stopped.
    Fail,
    /// It is waited for, but for no longer than this; then the run goes on.
    Wait(Nanos),
}

impl LostAgent {
    /// Whether a plan need not speak of it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What will be done, by whom, to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Plan {
    /// Always [`Plan::SCHEMA`].
    pub schema: String,
    /// The scenario's name.
    pub scenario: ScenarioName,
    /// Its title, in any language; the name when it has none.
    pub title: String,
    /// Draws whatever the scenario leaves to chance.
    pub seed: u64,
    /// Later stages start although an earlier one failed.
    pub keep_going: bool,
    /// What becomes of the run when an agent is lost.
    #[serde(default, skip_serializing_if = "LostAgent::is_default")]
    pub lost_agent: LostAgent,
    /// Scenario, fleet and every file they name, by the name the operator gave.
    pub files: BTreeMap<String, Digest>,
    /// The agents that take part.
    pub agents: BTreeMap<AgentId, PlannedAgent>,
    /// The instances that are measured.
    pub instances: BTreeMap<InstanceId, PlannedInstance>,
    /// In the order of the file; one at a time.
    pub stages: Vec<PlannedStage>,
}

/// An agent that takes part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlannedAgent {
    /// Where it is.
    pub environment: EnvironmentName,
    /// What it must be able to do.
    pub features: BTreeSet<Feature>,
}

/// An instance that is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlannedInstance {
    /// Its group, if it has one.
    pub group: Option<GroupName>,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlannedStage {
    /// Its name.
    pub name: StageName,
    /// Begins only if all of these passed.
    pub after: Vec<StageName>,
    /// From its common start.
    pub lasts: Nanos,
    /// What is done, in the order of the file.
    pub steps: Vec<PlannedStep>,
    /// What is expected, in the order of the file.
    pub expectations: Vec<Expectation>,
    /// What ends the run at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abort_if: Vec<AbortIf>,
}

impl PlannedStage {
    /// The stairs by which an expectation of users is judged: how many there are in each, and the
    /// part of the stage. None of what expects anything else.
    #[must_use]
    pub fn stairs(&self, expectation: &Expectation) -> Vec<(u32, Window)> {
        let Judge::Concurrency { .. } = expectation.judge else {
            return Vec::new();
        };
        let mut steps = self.steps.iter();
        let step = steps.find(|step| step.name == expectation.on);
        let load = step.and_then(|step| step.act.load());
        let Some((load, rise)) = load.and_then(|load| Some((load, load.model.rise()?))) else {
            return Vec::new();
        };
        let stair = |stair| {
            let (from, to) = rise.steady(stair, self.lasts);
            let from = from.max(load.warm_up).min(to);
            (rise.users(stair), Window::Stair { from, to })
        };
        (0..rise.count()).map(stair).collect()
    }
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlannedStep {
    /// Its name, unique in its stage.
    pub name: StepName,
    /// What is done.
    pub act: Act<PlannedPath>,
}

/// The kinds of step, over paths (in a plan) or targets (in an assignment).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Act<T> {
    /// Asks each target again and again and notes what came back.
    Probe(Probe<T>),
    /// Reads again and again what hosts have left, and what some things on them use.
    Watch(Watch),
    /// Sends many requests, when a schedule says so or answers let it.
    Load(Load<T>),
}

impl<T> Act<T> {
    /// The probe, if it is one.
    #[must_use]
    pub const fn probe(&self) -> Option<&Probe<T>> {
        match self {
            Self::Probe(probe) => Some(probe),
            Self::Watch(_) | Self::Load(_) => None,
        }
    }

    /// The load, if it is one.
    #[must_use]
    pub const fn load(&self) -> Option<&Load<T>> {
        match self {
            Self::Load(load) => Some(load),
            Self::Probe(_) | Self::Watch(_) => None,
        }
    }

    /// Whom it asks; nobody when it asks nobody.
    #[must_use]
    pub fn to(&self) -> &[T] {
        match self {
            Self::Probe(probe) => &probe.to,
            Self::Load(load) => &load.to,
            Self::Watch(_) => &[],
        }
    }

    /// How long an answer is waited for; nothing when none is.
    #[must_use]
    pub const fn timeout(&self) -> Nanos {
        match self {
            Self::Probe(probe) => probe.timeout,
            Self::Load(load) => load.timeout,
            Self::Watch(_) => Nanos(0),
        }
    }
}

/// Asks each target every so often, one request at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Probe<T> {
    /// From one intended instant of a target to its next.
    pub every: Nanos,
    /// After this a request has failed.
    pub timeout: Nanos,
    /// Who asks whom.
    pub to: Vec<T>,
}

impl<T> Probe<T> {
    /// How many requests a target with this offset gets in a stage of this length.
    #[must_use]
    pub fn requests(&self, offset: Nanos, lasts: Nanos) -> u64 {
        lasts
            .0
            .saturating_sub(offset.0)
            .div_ceil(self.every.0.max(1))
    }

    /// How many of them are due between two instants of the stage.
    #[must_use]
    pub fn requests_within(&self, offset: Nanos, (from, to): (Nanos, Nanos)) -> u64 {
        let before = self.requests(offset, from);
        self.requests(offset, to).saturating_sub(before)
    }
}

/// One agent and one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlannedPath {
    /// Who asks.
    pub agent: AgentId,
    /// Who is asked.
    pub to: InstanceId,
    /// What is asked, for people and for the series.
    pub operation: Operation,
    /// How to get there.
    pub route: Route,
}

/// How an agent gets to an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Route {
    /// This request, first at this offset from the stage's start.
    Ask {
        /// The request.
        check: Check,
        /// Spreads requests evenly, so that agents never ask in bursts.
        offset: Nanos,
    },
    /// The fleet declares no address for this environment: not run.
    NoPath,
}

/// What a step is expected to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Expectation {
    /// The step it judges.
    pub on: StepName,
    /// How.
    pub judge: Judge,
    /// One finding for each tuple of these; one in all when empty.
    pub by: Vec<Dimension>,
    /// Which part of the stage counts.
    pub during: Window,
    /// Whether a failure stops the stages that come after.
    pub gate: bool,
}

/// What is compared with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Judge {
    /// At most so many requests may fail.
    Failures {
        /// The most that may fail.
        max: u64,
        /// Judges what can be said with this confidence, in place of what was observed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confidence: Option<Ratio>,
    },
    /// At least this share must succeed.
    SuccessRate {
        /// The least share.
        min: Ratio,
        /// Judges what can be said with this confidence, in place of what was observed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confidence: Option<Ratio>,
    },
    /// A quantile of the latency of successes lies within bounds.
    Latency {
        /// Which.
        quantile: Quantile,
        /// The most it may be.
        max: Option<Nanos>,
        /// The least it may be.
        min: Option<Nanos>,
    },
    /// The certificates that targets show are valid for at least so much longer.
    Certificate {
        /// The least time that may be left.
        min: Nanos,
    },
    /// Every reading of a gauge of what is watched lies within bounds.
    Resource {
        /// Which: one of `WATCH_GAUGES`.
        name: Operation,
        /// The most it may be.
        max: Option<Amount>,
        /// The least it may be.
        min: Option<Amount>,
    },
    /// A balancer spreads its decisions as it is configured to.
    Distribution {
        /// Over what: one of `SPREAD_OVER`.
        over: Operation,
        /// What it decides on.
        decides_on: DecidesOn,
        /// Those who may answer, with their weights.
        members: Vec<Member>,
        /// By how much the share of one may differ, of all decisions.
        tolerance: Ratio,
        /// Of all that is said of their shares together.
        confidence: Ratio,
    },
    /// Every target says the same of itself.
    Same {
        /// Of what: one of `FACTS`.
        fact: Operation,
    },
    /// So many users are carried within limits, of a closed load whose users come in stairs: each
    /// stair up to theirs is judged by itself.
    Concurrency {
        /// The least users, of all agents together.
        min: u32,
        /// How slow answers may be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        latency: Option<LatencyMax>,
        /// The least share that must succeed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        success_rate: Option<Ratio>,
    },
    /// So many requests of a load succeed in a second.
    Throughput {
        /// The most that may.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<Rate>,
        /// The least that must.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<Rate>,
    },
}

/// The most that a quantile of the latency of successes may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LatencyMax {
    /// Which quantile.
    pub quantile: Quantile,
    /// The most it may be.
    pub max: Nanos,
}

/// What targets say of themselves, and agents note.
pub const FACTS: [&str; 1] = ["version"];

/// What a balancer may spread its decisions over.
pub const SPREAD_OVER: [&str; 2] = ["instance", "version"];

impl Judge {
    /// The word of the scenario file.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Failures { .. } => "failures",
            Self::SuccessRate { .. } => "success-rate",
            Self::Latency { .. } => "latency",
            Self::Certificate { .. } => "certificate",
            Self::Resource { .. } => "resource",
            Self::Distribution { .. } => "distribution",
            Self::Same { .. } => "same",
            Self::Concurrency { .. } => "concurrency",
            Self::Throughput { .. } => "throughput",
        }
    }
}

impl Check {
    /// Whether whoever asks this is shown a certificate.
    #[must_use]
    pub fn shows_certificate(&self) -> bool {
        match self {
            Self::Http(HttpCheck { url, .. })
            | Self::Grpc(GrpcCheck { url, .. })
            | Self::Prometheus(PrometheusCheck { url, .. }) => url.starts_with("https://"),
            Self::Tls(_) => true,
            Self::Tcp(_) | Self::Dns(_) | Self::Icmp(_) | Self::Event(_) => false,
        }
    }

    /// Whether whoever asks this may be told which version answers.
    #[must_use]
    pub const fn tells_version(&self) -> bool {
        match self {
            Self::Http(_) => true,
            Self::Grpc(_)
            | Self::Prometheus(_)
            | Self::Tls(_)
            | Self::Tcp(_)
            | Self::Dns(_)
            | Self::Icmp(_)
            | Self::Event(_) => false,
        }
    }
}

/// A quantile that can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Quantile {
    /// The median.
    P50,
    /// Three of four values are below it.
    P75,
    /// Nine of ten.
    P90,
    /// 19 of 20.
    P95,
    /// 99 of 100.
    P99,
    /// 999 of 1,000.
    #[serde(rename = "p99.9")]
    P999,
    /// The largest value.
    Max,
}

impl Quantile {
    /// Every quantile, from small to large.
    pub const ALL: [Self; 7] = [
        Self::P50,
        Self::P75,
        Self::P90,
        Self::P95,
        Self::P99,
        Self::P999,
        Self::Max,
    ];

    /// The word of the scenario file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P75 => "p75",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::Max => "max",
        }
    }

    /// As a fraction. Integers, because 99.9/100 as a float is off by a rank.
    #[must_use]
    pub const fn fraction(self) -> (u64, u64) {
        match self {
            Self::P50 => (1, 2),
            Self::P75 => (3, 4),
            Self::P90 => (9, 10),
            Self::P95 => (19, 20),
            Self::P99 => (99, 100),
            Self::P999 => (999, 1_000),
            Self::Max => (1, 1),
        }
    }

    /// The least number of samples that lets it drive a verdict: so many that 100 of them lie
    /// above it. One stall of a target delays many requests in a row, so a tail made of fewer is
    /// the story of one or two events.
    ///
    /// The median differs: half of all values would have to move before it does, and short stages
    /// are judged by it. It needs so many that its order-statistic interval at 95 % is finite on
    /// both sides (Hahn and Meeker, ch. 5). The maximum is a plain fact of what was seen and needs
    /// one.
    #[must_use]
    pub const fn samples_needed(self) -> u64 {
        match self {
            Self::P50 => 6,
            Self::P75 | Self::P90 | Self::P95 | Self::P99 | Self::P999 => self.with_above(100),
            Self::Max => 1,
        }
    }

    /// The least number of samples that lets it be shown at all: ten of them lie above it. The
    /// median and the maximum of anything may be shown.
    #[must_use]
    pub const fn samples_to_show(self) -> u64 {
        match self {
            Self::P50 | Self::Max => 1,
            Self::P75 | Self::P90 | Self::P95 | Self::P99 | Self::P999 => self.with_above(10),
        }
    }

    /// How many samples there are when so many lie above it.
    const fn with_above(self, above: u64) -> u64 {
        let (num, den) = self.fraction();
        (above * den).div_ceil(den - num)
    }
}

/// What findings are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Dimension {
    /// The environment of the agent.
    From,
    /// The environment of the target.
    Environment,
    /// The group of the target.
    Group,
    /// The service of the target.
    Service,
    /// The instance.
    Instance,
    /// The process that is watched.
    Process,
    /// The container that is watched.
    Container,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 7] = [
        Self::From,
        Self::Environment,
        Self::Group,
        Self::Service,
        Self::Instance,
        Self::Process,
        Self::Container,
    ];

    /// The word of the scenario file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::Environment => "environment",
            Self::Group => "group",
            Self::Service => "service",
            Self::Instance => "instance",
            Self::Process => "process",
            Self::Container => "container",
        }
    }
}

/// A part of a stage. Without faults, changes and warm-ups, the first two are the whole stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Window {
    /// All of it.
    Stage,
    /// The stage less warm-ups and less every active and recovery span.
    Baseline,
    /// The steady state before the first disturbance: the first so long of the stage.
    Before(Nanos),
    /// The steady state at the end: the last so long of the stage.
    After(Nanos),
    /// The stage less its first so long, in which a load warms up.
    Warm(Nanos),
    /// Where a closed load has one number of users, less the time in which they come.
    Stair {
        /// From the stage's start.
        from: Nanos,
        /// From the stage's start.
        to: Nanos,
    },
}

impl Window {
    /// From when to when it is, from the stage's start.
    #[must_use]
    pub fn span(self, lasts: Nanos) -> (Nanos, Nanos) {
        match self {
            Self::Stage | Self::Baseline => (Nanos(0), lasts),
            Self::Before(over) => (Nanos(0), over.min(lasts)),
            Self::After(over) => {
                // From the edge of a recording on: what is known of time is not known finer.
                let from = lasts.0.saturating_sub(over.0) / Self::EDGE.0 * Self::EDGE.0;
                (Nanos(from), lasts)
            }
            Self::Warm(from) => (from.min(lasts), lasts),
            Self::Stair { from, to } => (from.min(lasts), to.min(lasts)),
        }
    }

    /// Agents end their recordings at multiples of this, from the stage's start.
    pub const EDGE: Nanos = Nanos::from_secs(10);

    /// Whether it is a part of the stage, whatever happens in it.
    #[must_use]
    pub const fn is_part(self) -> bool {
        match self {
            Self::Stage | Self::Baseline => false,
            Self::Before(_) | Self::After(_) | Self::Warm(_) | Self::Stair { .. } => true,
        }
    }
}

/// A share in parts per million, so that no float lies in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ratio(pub u32);

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        if rest == 0 {
            return f.pad(&format!("{whole}%"));
        }
        f.pad(&format!(
            "{whole}.{}%",
            format!("{rest:04}").trim_end_matches('0')
        ))
    }
}

/// One agent's slice of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Of which plan.
    pub plan: PlanId,
    /// The agent's environment, for its series.
    pub environment: EnvironmentName,
    /// What the agent must be able to do.
    pub features: BTreeSet<Feature>,
    /// Only what concerns this agent; a stage without steps is still kept in step with the others.
    pub stages: Vec<AssignedStage>,
}

/// A stage for one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedStage {
    /// Its name.
    pub name: StageName,
    /// From its common start.
    pub lasts: Nanos,
    /// This agent's steps.
    pub steps: Vec<AssignedStep>,
}

impl AssignedStage {
    /// How long answers are waited for after the end: the longest time-out.
    #[must_use]
    pub fn drain(&self) -> Nanos {
        let timeouts = self.steps.iter().map(|step| step.act.timeout());
        timeouts.max().unwrap_or_default()
    }
}

/// A step for one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedStep {
    /// Its name.
    pub name: StepName,
    /// What is done.
    pub act: Act<Target>,
}

/// One instance to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Who is asked.
    pub to: InstanceId,
    /// What is asked, for the series.
    pub operation: Operation,
    /// The request.
    pub check: Check,
    /// The first request's distance from the stage's start.
    pub offset: Nanos,
}

/// Why some bytes are not the plan they claim to be.
#[derive(Debug, thiserror::Error)]
pub enum BadPlan {
    /// Not JSON of this shape.
    #[error("plan does not parse")]
    Json(#[source] serde_json::Error),
    /// A plan of another release's format.
    #[error("plan has schema {0:?}, this release reads nepho.plan/v1")]
    Schema(String),
    /// The content is not what the id hashes.
    #[error("plan {found} is not the plan {said} that it is said to be")]
    Id {
        /// What the content hashes to.
        found: PlanId,
        /// What was said.
        said: PlanId,
    },
}

impl Plan {
    /// Names this format.
    pub const SCHEMA: &'static str = "nepho.plan/v1";

    /// The one way to write it down: compact JSON, fields in the order of this file, maps ordered.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a plan has only string keys and integers")
    }

    /// The digest of [`Self::canonical`].
    #[must_use]
    pub fn id(&self) -> PlanId {
        PlanId(Digest::of(&self.canonical()))
    }

    /// Reads a plan back and checks that it is the one that `said` names.
    ///
    /// # Errors
    /// [`BadPlan`] when it does not parse or hashes to something else.
    pub fn read(canonical: &[u8], said: PlanId) -> Result<Self, BadPlan> {
        let found = PlanId(Digest::of(canonical));
        if found != said {
            return Err(BadPlan::Id { found, said });
        }
        let plan: Self = serde_json::from_slice(canonical).map_err(BadPlan::Json)?;
        if plan.schema == Self::SCHEMA {
            Ok(plan)
        } else {
            Err(BadPlan::Schema(plan.schema))
        }
    }

    /// What one agent has to do; `None` when it takes no part.
    #[must_use]
    pub fn slice(&self, agent: &AgentId) -> Option<Assignment> {
        let planned = self.agents.get(agent)?;
        let step = |step: &PlannedStep| {
            let target = |path: &PlannedPath| match &path.route {
                Route::Ask { check, offset } if path.agent == *agent => Some(Target {
                    to: path.to.clone(),
                    operation: path.operation.clone(),
                    check: check.clone(),
                    offset: *offset,
                }),
                Route::Ask { .. } | Route::NoPath => None,
            };
            let act = match &step.act {
                Act::Probe(probe) => Act::Probe(Probe {
                    every: probe.every,
                    timeout: probe.timeout,
                    to: probe.to.iter().filter_map(target).collect(),
                }),
                Act::Watch(watch) => Act::Watch(Watch {
                    hosts: watch.hosts.get(agent).cloned().into_iter().collect(),
                    ..watch.clone()
                }),
                Act::Load(load) => Act::Load(Load {
                    model: load.model.clone(),
                    timeout: load.timeout,
                    warm_up: load.warm_up,
                    calls: load.calls.clone(),
                    told_by: load.told_by.clone(),
                    feeds: load.feeds.clone(),
                    seed: load.seed,
                    carried: load.carried,
                    shares: load
                        .shares
                        .iter()
                        .filter(|share| share.agent == *agent)
                        .cloned()
                        .collect(),
                    to: load.to.iter().filter_map(target).collect(),
                }),
            };
            let is_mine = match &act {
                Act::Probe(_) | Act::Load(_) => !act.to().is_empty(),
                Act::Watch(watch) => !watch.hosts.is_empty(),
            };
            is_mine.then(|| AssignedStep {
                name: step.name.clone(),
                act,
            })
        };
        let stage = |stage: &PlannedStage| AssignedStage {
            name: stage.name.clone(),
            lasts: stage.lasts,
            steps: stage.steps.iter().filter_map(step).collect(),
        };
        Some(Assignment {
            plan: self.id(),
            environment: planned.environment.clone(),
            features: planned.features.clone(),
            stages: self.stages.iter().map(stage).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let path = |agent: &str, route| PlannedPath {
            agent: agent.parse().unwrap(),
            to: "local/db/1".parse().unwrap(),
            operation: "connect".to_owned().try_into().unwrap(),
            route,
        };
        let check = Check::Tcp(TcpCheck {
            host: "127.0.0.1".to_owned(),
            port: 1,
            ..TcpCheck::default()
        });
        let ask = Route::Ask {
            check,
            offset: Nanos(7),
        };
        let to = vec![path("a", ask), path("b", Route::NoPath)];
        let agent = |environment: &str| PlannedAgent {
            environment: environment.parse().unwrap(),
            features: ["probe.tcp".parse().unwrap()].into(),
        };
        Plan {
            schema: Plan::SCHEMA.to_owned(),
            scenario: "s".parse().unwrap(),
            title: "题".to_owned(),
            seed: 1,
            keep_going: false,
            lost_agent: LostAgent::default(),
            files: BTreeMap::new(),
            agents: [
                ("a".parse().unwrap(), agent("local")),
                ("b".parse().unwrap(), agent("far")),
            ]
            .into(),
            instances: BTreeMap::new(),
            stages: vec![PlannedStage {
                name: "one".parse().unwrap(),
                after: Vec::new(),
                lasts: Nanos::from_secs(3),
                steps: vec![PlannedStep {
                    name: "reach".parse().unwrap(),
                    act: Act::Probe(Probe {
                        every: Nanos::from_secs(1),
                        timeout: Nanos::from_secs(2),
                        to,
                    }),
                }],
                expectations: Vec::new(),
                abort_if: Vec::new(),
            }],
        }
    }

    #[test]
    fn a_plan_reads_back_under_its_own_id_only() {
        let plan = plan();
        assert_eq!(Plan::read(&plan.canonical(), plan.id()).unwrap(), plan);
        let other = Plan {
            seed: 2,
            ..plan.clone()
        };
        assert_ne!(other.id(), plan.id());
        assert!(matches!(
            Plan::read(&other.canonical(), plan.id()),
            Err(BadPlan::Id { .. })
        ));
    }

    #[test]
    fn a_slice_holds_what_the_agent_does_and_nothing_else() {
        let plan = plan();
        let a = plan.slice(&"a".parse().unwrap()).unwrap();
        assert_eq!(
            (a.stages[0].steps.len(), a.stages[0].drain()),
            (1, Nanos::from_secs(2))
        );
        let b = plan.slice(&"b".parse().unwrap()).unwrap();
        assert!(
            b.stages[0].steps.is_empty(),
            "no path, nothing to do, still in step"
        );
        assert!(plan.slice(&"c".parse().unwrap()).is_none());
    }

    #[test]
    fn a_target_is_asked_from_its_offset_until_the_end() {
        let plan = plan();
        let probe = plan.stages[0].steps[0].act.probe().unwrap();
        assert_eq!(probe.requests(Nanos(0), Nanos::from_secs(3)), 3);
        assert_eq!(probe.requests(Nanos(7), Nanos::from_secs(3)), 3);
        assert_eq!(probe.requests(Nanos(1), Nanos(3_000_000_001)), 3);
        assert_eq!(probe.requests(Nanos(0), Nanos(3_000_000_001)), 4);
    }

    #[test]
    fn shares_print_exactly() {
        let shares = [
            (990_000, "99%"),
            (999_000, "99.9%"),
            (0, "0%"),
            (123_400, "12.34%"),
        ];
        shares
            .iter()
            .for_each(|(ppm, text)| assert_eq!(Ratio(*ppm).to_string(), *text));
    }
}
