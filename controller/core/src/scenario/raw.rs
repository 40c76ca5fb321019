//! The scenario file as it may be written. Everything is optional here: what must be there is said
//! by the schema, and what was refused is absent.

mod asked;
mod load;

use std::collections::BTreeMap;

use nepho_common::plan::Quantile;
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use self::{
    asked::{
        RawDns, RawEvent, RawGrpc, RawHealth, RawHttp, RawIcmp, RawNats, RawPrometheus, RawRedis,
        RawTcp, RawTls, RawWebhook,
    },
    load::{RawAnswer, RawClosed, RawFeed, RawLoad, RawOpen, RawRequest, RawSpike, RawTake},
};
use super::{amount, duration, ratio};

/// Nephoscope scenario: stages of steps, and what is expected of them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(
    rename = "Scenario",
    title = "Nephoscope scenario",
    extend(
        "required" = ["api", "name", "fleet", "stages"],
        "x-later" = ["schedule", "notify"]
    )
)]
pub(crate) struct RawScenario {
    /// Version of the format: nepho/v1.
    #[schemars(pattern(r"^nepho/v1$"))]
    pub(crate) api: Option<String>,
    /// The scenario's name: lower-case letters, digits, '.', '_' and '-'.
    #[schemars(pattern(r"^[a-z0-9][a-z0-9._-]{0,62}$"))]
    pub(crate) name: Option<String>,
    /// A name for people, in any language.
    pub(crate) title: Option<String>,
    /// The fleet file, relative to this file.
    pub(crate) fleet: Option<String>,
    /// What becomes of the run when an agent is not heard of any more: continue with the others
    /// (when left out), fail (stop the run), or wait for it.
    pub(crate) lost_agent: Option<RawLostAgent>,
    /// With `lost-agent: wait`, how long: 1s to 1h, 2m when left out. Then the run continues.
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) lost_agent_within: Option<String>,
    /// What must be so before anything is disturbed, and again at the end. A run in which it is not
    /// so at first ends there, with exit code 13.
    #[schemars(length(min = 1, max = 20))]
    pub(crate) steady_state: Option<Vec<Option<RawSteady>>>,
    /// What ends a run at once, before anybody is harmed.
    pub(crate) safety: Option<RawSafety>,
    /// What happens, one stage at a time, in this order.
    #[schemars(length(min = 1, max = 100))]
    pub(crate) stages: Option<Vec<Option<RawStage>>>,
}

/// What becomes of the run when an agent is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "LostAgent", inline)]
pub(crate) enum RawLostAgent {
    Continue,
    Fail,
    Wait,
}

/// A time in which some steps run side by side.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Stage", extend("required" = ["name", "lasts", "steps"]))]
pub(crate) struct RawStage {
    /// The stage's name, unique in the scenario.
    #[schemars(pattern(r"^[a-z0-9][a-z0-9._-]{0,62}$"))]
    pub(crate) name: Option<String>,
    /// A name for people, in any language.
    pub(crate) title: Option<String>,
    /// The earlier stages that must have passed before this one begins. The stage before when left
    /// out; none when empty.
    pub(crate) after: Option<Vec<Option<String>>>,
    /// How long the stage lasts: 1s to 24h.
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) lasts: Option<String>,
    /// What is done in this stage, by name.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 200))]
    pub(crate) steps: Option<BTreeMap<String, Option<RawStep>>>,
    /// What is expected of the steps.
    #[schemars(length(max = 500))]
    pub(crate) expect: Option<Vec<Option<RawExpectation>>>,
}

/// One thing that is done in a stage.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(
    rename = "Step",
    extend("x-later" = ["fault", "change", "consistency"])
)]
pub(crate) struct RawStep {
    /// Ask each target regularly, and note whether and how fast it answers.
    pub(crate) probe: Option<RawProbe>,
    /// Read regularly what the hosts of agents use and have left, and what some things there use.
    pub(crate) watch: Option<RawWatch>,
    /// Send many requests, when a schedule says so or answers let it.
    pub(crate) load: Option<Box<RawLoad>>,
}

/// Read regularly what hosts use and have left, and what some processes and containers on them use.
/// It has at least one of `host`, `processes` and `containers`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Watch")]
pub(crate) struct RawWatch {
    /// The hosts that the agents run on: processor, memory, disk, network, pressure.
    pub(crate) host: Option<RawHost>,
    /// Processes on those hosts, each by a name for findings (`by: [process]`), at most 20. All
    /// processes that fit are one thing, and what they use is added up; process.count says how many
    /// there are, and process.restarts how many came in the place of one that had gone.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 20))]
    pub(crate) processes: Option<BTreeMap<String, Option<RawProcess>>>,
    /// Containers on those hosts, each by a name for findings (`by: [container]`), at most 20. All
    /// containers that fit are one thing, and what they use is added up.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 20))]
    pub(crate) containers: Option<BTreeMap<String, Option<RawContainer>>>,
    /// How often: 1s to 1h; 5s when left out.
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) every: Option<String>,
    /// The environments whose agents look; all when left out.
    #[schemars(length(min = 1))]
    pub(crate) from: Option<Vec<Option<String>>>,
    /// How many agents of each environment look: all (when left out), or a number in quotes.
    #[schemars(pattern("^(all|[1-9][0-9]{0,3})$"))]
    pub(crate) agents: Option<String>,
}

/// The host of an agent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WatchHost")]
pub(crate) struct RawHost {}

/// Which processes. It has one of `name`, `pid-file` and `unit`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "WatchProcess")]
pub(crate) struct RawProcess {
    /// Those of exactly this name: the one that the kernel shows, or the last part of the path of
    /// their executable. Children count if they have it too.
    pub(crate) name: Option<String>,
    /// The one whose number stands in this file of the host, without its children.
    pub(crate) pid_file: Option<String>,
    /// All in the control group of this systemd unit, as in nginx.service.
    pub(crate) unit: Option<String>,
}

/// Which containers. It has one of `name` and `label`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "WatchContainer")]
pub(crate) struct RawContainer {
    /// The one of exactly this name.
    pub(crate) name: Option<String>,
    /// Those with this label: key, or key=value.
    pub(crate) label: Option<String>,
}

/// Ask each target regularly. It has one of `health`, `http`, `tcp`, `tls`, `dns`, `icmp`, `grpc`,
/// `prometheus` and `event`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Probe")]
pub(crate) struct RawProbe {
    /// The check that the fleet file gives for each service.
    pub(crate) health: Option<RawHealth>,
    /// A request of its own to HTTP services.
    pub(crate) http: Option<RawHttp>,
    /// A TCP connection, and what is said over it; without more only that it opens.
    pub(crate) tcp: Option<RawTcp>,
    /// A TLS handshake, and what its certificate must be.
    pub(crate) tls: Option<RawTls>,
    /// A question to name servers.
    pub(crate) dns: Option<RawDns>,
    /// An echo request to the hosts of the services.
    pub(crate) icmp: Option<RawIcmp>,
    /// The health service of gRPC.
    pub(crate) grpc: Option<RawGrpc>,
    /// A query to Prometheus servers, whose one number must lie within bounds.
    pub(crate) prometheus: Option<RawPrometheus>,
    /// A message that is sent and must be seen.
    pub(crate) event: Option<RawEvent>,
    /// How often each target is asked: 50ms to 1h; 1s when left out.
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) every: Option<String>,
    /// How long an answer is waited for: 10ms to 60s; 2s when left out. It may be longer than
    /// `every`: answers are waited for side by side.
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) timeout: Option<String>,
    /// The environments whose agents ask; all when left out.
    #[schemars(length(min = 1))]
    pub(crate) from: Option<Vec<Option<String>>>,
    /// Who is asked; everybody when left out.
    pub(crate) to: Option<RawSelector>,
    /// How many agents of each environment ask: "1" (when left out), another number, or all.
    #[schemars(pattern("^(all|[1-9][0-9]{0,3})$"))]
    pub(crate) agents: Option<String>,
}

/// Chooses instances: keys are ANDed, the names of a list are ORed, what is left out means all.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Selector", extend("x-later" = ["count"]))]
pub(crate) struct RawSelector {
    /// Names of environments.
    #[schemars(length(min = 1))]
    pub(crate) environment: Option<Vec<Option<String>>>,
    /// Names of groups.
    #[schemars(length(min = 1))]
    pub(crate) group: Option<Vec<Option<String>>>,
    /// Names of services.
    #[schemars(length(min = 1))]
    pub(crate) service: Option<Vec<Option<String>>>,
    /// Names of instances.
    #[schemars(length(min = 1))]
    pub(crate) instance: Option<Vec<Option<String>>>,
    /// Labels, each with the values that are meant.
    #[schemars(extend("minProperties" = 1))]
    pub(crate) label: Option<BTreeMap<String, Option<RawLabelValues>>>,
    /// Of a load: whether it goes to the instances themselves, or to the balancers before them
    /// (services that have `balances` in the fleet file).
    #[schemars(pattern("^(balancer|instances)$"))]
    pub(crate) via: Option<String>,
}

/// Values of one label; any of them will do.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct RawLabelValues(#[schemars(length(min = 1))] pub(crate) Vec<Option<String>>);

/// What is expected of a step. It has one of `failures`, `success-rate`, `latency`,
/// `certificate`, `resource`, `same`, `distribution`, `concurrency` and `throughput`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(
    rename = "Expectation",
    extend(
        "required" = ["on"],
        "x-later" = [
            "failover", "over", "unaffected"
        ]
    )
)]
pub(crate) struct RawExpectation {
    /// The step that is judged.
    pub(crate) on: Option<String>,
    /// How many requests may fail.
    pub(crate) failures: Option<RawCounts>,
    /// Which share of the requests must succeed.
    pub(crate) success_rate: Option<RawRatios>,
    /// How fast the answers must come.
    pub(crate) latency: Option<RawLatency>,
    /// How long the certificates must be valid for.
    pub(crate) certificate: Option<RawCertificate>,
    /// How much of something may be used by what a watch looks at.
    pub(crate) resource: Option<RawResource>,
    /// How a balancer must spread what a load sends it.
    pub(crate) distribution: Option<RawDistribution>,
    /// How many users a closed load with `stairs` must carry within limits. It is judged over all
    /// agents and targets together, and has neither `by` nor `during`.
    pub(crate) concurrency: Option<RawConcurrency>,
    /// How many requests of a load succeed in a second, by when they were due.
    pub(crate) throughput: Option<RawThroughput>,
    /// What all targets must say alike of themselves: version, which HTTP answers tell in a header
    /// `X-Version` or as `version` of a JSON object.
    #[schemars(pattern("^version$"))]
    pub(crate) same: Option<String>,
    /// With `failures` and `success-rate`: judge what can be said with this confidence (50% to
    /// 99.9999%), in place of what was observed. It takes more requests: 2,995 for 99.9% at 95%.
    /// With `distribution`: of all shares together; 95% when left out.
    #[schemars(regex(pattern = ratio::PATTERN))]
    pub(crate) confidence: Option<String>,
    /// One finding for each combination of these; all must pass. One finding over everything when
    /// left out.
    #[schemars(length(min = 1))]
    pub(crate) by: Option<Vec<Option<RawDimension>>>,
    /// The part of the stage that is judged: stage (when left out), or baseline, which is the stage
    /// without its disturbances.
    #[schemars(pattern("^(stage|baseline)$"))]
    pub(crate) during: Option<String>,
    /// Whether the stage fails with this expectation; true when left out.
    pub(crate) gate: Option<bool>,
}

/// What must be so before and after. It has one of `failures`, `success-rate` and `latency`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "SteadyState", extend("required" = ["on", "over"]))]
pub(crate) struct RawSteady {
    /// The step that is judged: in the first stage that has it, and in the last.
    pub(crate) on: Option<String>,
    /// How many requests may fail.
    pub(crate) failures: Option<RawCounts>,
    /// Which share of the requests must succeed.
    pub(crate) success_rate: Option<RawRatios>,
    /// How fast the answers must come.
    pub(crate) latency: Option<RawLatency>,
    /// With `failures` and `success-rate`: judge what can be said with this confidence (50% to
    /// 99.9999%), in place of what was observed.
    #[schemars(regex(pattern = ratio::PATTERN))]
    pub(crate) confidence: Option<String>,
    /// One finding for each combination of these; all must pass. One finding over everything when
    /// left out.
    #[schemars(length(min = 1))]
    pub(crate) by: Option<Vec<Option<RawDimension>>>,
    /// For how long, at the beginning of the first stage and at the end of the last: tens of
    /// seconds, 10s to 1h.
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) over: Option<String>,
}

/// What ends a run at once, before anybody is harmed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Safety", extend("required" = ["abort-if"], "x-later" = ["min-healthy"]))]
pub(crate) struct RawSafety {
    /// The run is aborted as soon as one of these does not hold, over all agents together.
    #[schemars(length(min = 1, max = 20))]
    pub(crate) abort_if: Option<Vec<Option<RawAbort>>>,
}

/// What must hold while a run goes on. One of `failures`, `success-rate` and `latency` says what.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "AbortIf", extend("required" = ["on", "over"]))]
pub(crate) struct RawAbort {
    /// The step that is looked at, in each stage that has it.
    pub(crate) on: Option<String>,
    /// How many requests may fail.
    pub(crate) failures: Option<RawCounts>,
    /// Which share of the requests must succeed.
    pub(crate) success_rate: Option<RawRatios>,
    /// How fast the answers must come; a request that fails took longer than any.
    pub(crate) latency: Option<RawLatency>,
    /// How much of the past is looked at together: of a load whole seconds, of a probe tens of
    /// seconds, 1h at most.
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) over: Option<String>,
}

/// What findings are told apart by.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("enum" = ["from", "environment", "group", "service", "instance", "process", "container"]))]
pub(crate) struct RawDimension(pub(crate) String);

/// Bounds of a number; at least one of them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MostFailures", extend("required" = ["max"]))]
pub(crate) struct RawCounts {
    /// At most this many.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub(crate) max: Option<u64>,
}

/// How a balancer must spread what it is sent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Distribution", extend("required" = ["over", "tolerance"]))]
pub(crate) struct RawDistribution {
    /// Over what: instance, by the weights of the fleet file, or version, by `weights`; answers tell
    /// their version in a header `X-Version`.
    #[schemars(pattern("^(instance|version)$"))]
    pub(crate) over: Option<String>,
    /// By how much the share of each may differ, of all that is sent: with 5%, a third may be from
    /// 28.4% to 38.3%.
    #[schemars(regex(pattern = ratio::PATTERN))]
    pub(crate) tolerance: Option<String>,
    /// The weights of versions: {"2.1": 9, "2.2": 1}.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 50))]
    pub(crate) weights: Option<BTreeMap<String, Option<u32>>>,
}

/// How many users must be carried. It has `latency`, `success-rate` or both. Each stair must keep
/// both; its first second, in which users come, is left out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Concurrency", extend("required" = ["min"]))]
pub(crate) struct RawConcurrency {
    /// At least this many: the last stair has as many or more.
    #[schemars(range(min = 1, max = 20_000))]
    pub(crate) min: Option<u32>,
    /// How fast the answers must come in each stair: one figure, with `max`.
    pub(crate) latency: Option<RawLatency>,
    /// Which share of the requests of each stair must succeed.
    pub(crate) success_rate: Option<RawRatios>,
}

/// Bounds of the throughput; at least one of them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Throughput")]
pub(crate) struct RawThroughput {
    /// At least so many: 500/s, 0.5/s, 30/m.
    pub(crate) min: Option<String>,
    /// At most so many, as a limit of rates lets through.
    pub(crate) max: Option<String>,
}

/// The least share.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LeastShare", extend("required" = ["min"]))]
pub(crate) struct RawRatios {
    /// At least this share: 99.9%.
    #[schemars(regex(pattern = ratio::PATTERN))]
    pub(crate) min: Option<String>,
}

/// What is expected of the certificates that targets show.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Certificate", extend("required" = ["left"]))]
pub(crate) struct RawCertificate {
    /// How much longer they are valid.
    pub(crate) left: Option<RawLeft>,
}

/// Bounds of what is used; at least one of them. Every reading must lie within.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Resource", extend("required" = ["name"]))]
pub(crate) struct RawResource {
    /// What: host.cpu, host.memory, process.cpu (of one core), process.memory, process.restarts,
    /// container.cpu, container.throttled…
    pub(crate) name: Option<String>,
    /// At least so much: 80%, 2.5, 512MiB, 10MiB/s. Of process.cpu and container.cpu 100% is one
    /// core, and more than that may be written.
    #[schemars(regex(pattern = amount::PATTERN))]
    pub(crate) min: Option<String>,
    /// At most so much: 80%, 2.5, 512MiB, 10MiB/s.
    #[schemars(regex(pattern = amount::PATTERN))]
    pub(crate) max: Option<String>,
}

/// The least time that is left.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LeastLeft", extend("required" = ["min"]))]
pub(crate) struct RawLeft {
    /// At least this many days or hours: 14d, 36h.
    #[schemars(regex(pattern = duration::DAYS))]
    pub(crate) min: Option<String>,
}

/// Bounds of latency figures; at least one figure.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    rename = "Latency",
    extend("minProperties" = 1, "x-later" = ["mean"])
)]
pub(crate) struct RawLatency {
    /// Half of the answers came within this.
    pub(crate) p50: Option<RawDurations>,
    /// Three of four answers came within this; it is judged from 400 answers on.
    pub(crate) p75: Option<RawDurations>,
    /// Nine of ten; from 1,000 answers on.
    pub(crate) p90: Option<RawDurations>,
    /// 95 of 100; from 2,000 answers on.
    pub(crate) p95: Option<RawDurations>,
    /// 99 of 100; from 10,000 answers on.
    pub(crate) p99: Option<RawDurations>,
    /// 999 of 1,000; from 100,000 answers on.
    #[serde(rename = "p99.9")]
    pub(crate) p999: Option<RawDurations>,
    /// The slowest answer.
    pub(crate) max: Option<RawDurations>,
}

impl RawLatency {
    pub(crate) const fn bounds(&self, quantile: Quantile) -> Option<&RawDurations> {
        match quantile {
            Quantile::P50 => &self.p50,
            Quantile::P75 => &self.p75,
            Quantile::P90 => &self.p90,
            Quantile::P95 => &self.p95,
            Quantile::P99 => &self.p99,
            Quantile::P999 => &self.p999,
            Quantile::Max => &self.max,
        }
        .as_ref()
    }
}

/// Bounds of a duration; at least one of them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DurationBounds")]
pub(crate) struct RawDurations {
    /// At least this long.
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) min: Option<String>,
    /// At most this long.
    #[schemars(regex(pattern = duration::PATTERN))]
    pub(crate) max: Option<String>,
}
