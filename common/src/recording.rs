//! The four kinds of measurement that cross the wire. Only recordings merge.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    histogram::Histogram,
    id::{
        AgentId, Attempt, Digest, EnvironmentName, Feature, InstanceId, Operation, RunId,
        StageName, StepName, ThingName,
    },
    time::{Interval, RunTime},
};

/// How one attempt at an operation ended. What a target does is data, never an error of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Outcome {
    /// It answered, and as it should.
    Success,
    /// It answered with a status that was not asked for.
    Status,
    /// It answered with a body or header that was not asked for.
    Content,
    /// Nobody listens there.
    Refused,
    /// The connection was cut.
    Reset,
    /// Nothing came back in time.
    Timeout,
    /// No route, or the network said that the host is not there.
    Unreachable,
    /// The name could not be resolved.
    Resolve,
    /// The TLS handshake failed.
    Tls,
    /// What came back does not follow the protocol.
    Protocol,
    /// The measuring side failed: out of ports, file handles, memory. Says nothing of the target.
    OurSide,
}

impl Outcome {
    /// Every outcome, in the order of the wire.
    pub const ALL: [Self; 11] = [
        Self::Success,
        Self::Status,
        Self::Content,
        Self::Refused,
        Self::Reset,
        Self::Timeout,
        Self::Unreachable,
        Self::Resolve,
        Self::Tls,
        Self::Protocol,
        Self::OurSide,
    ];

    /// The word for people and JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Status => "status",
            Self::Content => "content",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Resolve => "resolve",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::OurSide => "our-side",
        }
    }
}

/// What a series measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Metric {
    /// From the intended instant to the end of the answer.
    ResponseTime,
    /// From the actual sending to the end of the answer.
    ServiceTime,
    /// From the intended instant to the actual sending: the generator's own error.
    SendLag,
    /// Waiting for a connection.
    PoolWait,
    /// Resolving a name.
    Resolve,
    /// Opening a connection.
    Connect,
    /// The TLS handshake.
    Handshake,
    /// From sending to the first byte of the answer.
    FirstByte,
    /// Handing the request to the kernel, from having a connection on.
    Send,
}

impl Metric {
    /// Every metric, in the order of the wire.
    pub const ALL: [Self; 9] = [
        Self::ResponseTime,
        Self::ServiceTime,
        Self::SendLag,
        Self::PoolWait,
        Self::Resolve,
        Self::Connect,
        Self::Handshake,
        Self::FirstByte,
        Self::Send,
    ];

    /// The word for people and JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ResponseTime => "response-time",
            Self::ServiceTime => "service-time",
            Self::SendLag => "send-lag",
            Self::PoolWait => "pool-wait",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Handshake => "handshake",
            Self::FirstByte => "first-byte",
            Self::Send => "send",
        }
    }
}

/// What was measured, by whom, from where, of what. The stored key; merging over parts of it is a
/// view.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Series {
    /// The run.
    pub run: RunId,
    /// The try.
    pub attempt: Attempt,
    /// The stage.
    pub stage: StageName,
    /// The step.
    pub step: StepName,
    /// What was asked.
    pub operation: Operation,
    /// The environment of the agent.
    pub from: EnvironmentName,
    /// The agent.
    pub agent: AgentId,
    /// The target.
    pub to: InstanceId,
    /// How it ended.
    pub outcome: Outcome,
    /// What is measured.
    pub metric: Metric,
}

/// Counts and latencies of one series in one interval. The only kind that merges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Of what. Shared, because an hour of one series has hundreds of recordings.
    pub series: Arc<Series>,
    /// When; aligned to the stage's start. Intended instants fall inside, answers may come later.
    pub interval: Interval,
    /// The values.
    pub histogram: Histogram,
}

/// A value with its unit at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauge {
    /// What: lower-case words with dots, for example `process.rss`.
    pub name: Operation,
    /// The stage during which it was read.
    pub stage: StageName,
    /// The step that read it.
    pub step: StepName,
    /// Of what; the agent's own host, or something on it, when `None`.
    pub of: Option<InstanceId>,
    /// Of which process or container of the step's watch.
    pub thing: Option<ThingName>,
    /// When.
    pub at: RunTime,
    /// The value; finite.
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
}

/// Units of gauges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A count of things.
    Count,
    /// Bytes.
    Bytes,
    /// Nanoseconds.
    Nanoseconds,
    /// A share between 0 and 1; of one core it may be more.
    Ratio,
    /// Things per second.
    PerSecond,
    /// Bytes per second.
    BytesPerSecond,
}

impl Unit {
    /// Every unit, in the order of the wire.
    pub const ALL: [Self; 6] = [
        Self::Count,
        Self::Bytes,
        Self::Nanoseconds,
        Self::Ratio,
        Self::PerSecond,
        Self::BytesPerSecond,
    ];
}

/// What a gauge of a watch is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The agent's own host.
    Host,
    /// Processes on it.
    Process,
    /// Containers on it.
    Container,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Host, Self::Process, Self::Container];

    /// What an agent must be able to do, and be allowed to.
    #[must_use]
    pub fn action(self) -> Feature {
        let name = match self {
            Self::Host => "watch.host",
            Self::Process => "watch.process",
            Self::Container => "watch.container",
        };
        name.parse().expect("these are names")
    }

    /// Of what the gauge of this name is; `None` when its first word is no scope.
    #[must_use]
    pub fn of(gauge: &str) -> Option<Self> {
        match gauge.split('.').next()? {
            "host" | "agent" => Some(Self::Host),
            "process" => Some(Self::Process),
            "container" => Some(Self::Container),
            _ => None,
        }
    }
}

/// What agents tell by a watch, and in which unit. `process.cpu` and `container.cpu` are shares of
/// one core, and more than 1 when several are used.
pub const WATCH_GAUGES: [(&str, Unit); 35] = [
    ("agent.throttled", Unit::Ratio),
    ("container.count", Unit::Count),
    ("container.cpu", Unit::Ratio),
    ("container.disk.read", Unit::BytesPerSecond),
    ("container.disk.written", Unit::BytesPerSecond),
    ("container.memory", Unit::Bytes),
    ("container.network.received", Unit::BytesPerSecond),
    ("container.network.sent", Unit::BytesPerSecond),
    ("container.restarts", Unit::Count),
    ("container.threads", Unit::Count),
    ("container.throttled", Unit::Ratio),
    ("host.cpu", Unit::Ratio),
    ("host.cpu.stolen", Unit::Ratio),
    ("host.cpu.waiting", Unit::Ratio),
    ("host.disk", Unit::Ratio),
    ("host.disk.read", Unit::BytesPerSecond),
    ("host.disk.written", Unit::BytesPerSecond),
    ("host.files", Unit::Count),
    ("host.load", Unit::Count),
    ("host.memory", Unit::Ratio),
    ("host.memory.used", Unit::Bytes),
    ("host.network.received", Unit::BytesPerSecond),
    ("host.network.sent", Unit::BytesPerSecond),
    ("host.pressure.cpu", Unit::Ratio),
    ("host.pressure.io", Unit::Ratio),
    ("host.pressure.memory", Unit::Ratio),
    ("host.swap.used", Unit::Bytes),
    ("process.count", Unit::Count),
    ("process.cpu", Unit::Ratio),
    ("process.disk.read", Unit::BytesPerSecond),
    ("process.disk.written", Unit::BytesPerSecond),
    ("process.handles", Unit::Count),
    ("process.memory", Unit::Bytes),
    ("process.restarts", Unit::Count),
    ("process.threads", Unit::Count),
];

/// What agents tell of each share of a load and each second, and in which unit. What belongs to one
/// second may be told in pieces: counts and bytes are then added up.
pub const LOAD_GAUGES: [(&str, Unit); 12] = [
    ("load.offered", Unit::Count),
    ("load.sent", Unit::Count),
    ("load.shed", Unit::Count),
    ("load.unsent", Unit::Count),
    ("load.cut", Unit::Count),
    ("load.connected", Unit::Count),
    ("load.received", Unit::Bytes),
    ("load.written", Unit::Bytes),
    // Of one core, of the busiest thread.
    ("load.cpu", Unit::Ratio),
    // The longest time that a thread was due to run and did not.
    ("load.gap", Unit::Nanoseconds),
    // The median service time of successes: of the reference lane, and of the others for the same
    // call. Of pieces of a second the first one stands, which holds nearly all of it.
    ("load.reference", Unit::Nanoseconds),
    ("load.lanes", Unit::Nanoseconds),
];

/// Outcomes in send order, run-length encoded. Per series (its outcome is not used) and back end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The stage.
    pub stage: StageName,
    /// The step.
    pub step: StepName,
    /// What was asked.
    pub operation: Operation,
    /// The target.
    pub to: InstanceId,
    /// Who answered behind a balancer, when the answer said so.
    pub back_end: Option<Operation>,
    /// Runs of equal outcomes.
    pub runs: Vec<TraceRun>,
    /// Connections whose first request is among them; 0 where nobody counts.
    pub connections: u64,
    /// How many requests were left out at the end because the trace was full.
    pub truncated: u64,
}

/// The most runs that one trace may have: at 16 B each, 64 KiB.
pub const TRACE_RUNS_MAX: usize = 4096;

/// Consecutive requests with one outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceRun {
    /// Intended instant of the first.
    pub first: RunTime,
    /// Intended instant of the last.
    pub last: RunTime,
    /// How many.
    pub count: u32,
    /// How they ended.
    pub outcome: Outcome,
}

impl Trace {
    /// Adds one request; in send order.
    pub fn push(&mut self, at: RunTime, outcome: Outcome) {
        if self.truncated > 0 {
            self.truncated += 1;
            return;
        }
        if let Some(run) = self.runs.last_mut()
            && run.outcome == outcome
            && run.count < u32::MAX
        {
            run.last = at;
            run.count += 1;
        } else if self.runs.len() < TRACE_RUNS_MAX {
            self.runs.push(TraceRun {
                first: at,
                last: at,
                count: 1,
                outcome,
            });
        } else {
            self.truncated = 1;
        }
    }

    /// How many requests it speaks of, those left out included.
    #[must_use]
    pub fn count(&self) -> u64 {
        let runs = self.runs.iter().map(|run| u64::from(run.count));
        runs.fold(self.truncated, u64::saturating_add)
    }
}

/// A content-hashed blob: a schema, a body, a certificate chain, a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhibit {
    /// What it is, for example `plan`, `file:scenario.yaml`.
    pub name: Operation,
    /// SHA-256 of `content`.
    pub digest: Digest,
    /// At most [`EXHIBIT_MAX`] bytes.
    pub content: Vec<u8>,
}

/// The largest exhibit, 1 MiB: a plan of 40 services in 3 environments takes 100 kB.
pub const EXHIBIT_MAX: usize = 1 << 20;

impl Exhibit {
    /// Hashes `content`. `None` when it is above [`EXHIBIT_MAX`].
    #[must_use]
    pub fn new(name: Operation, content: Vec<u8>) -> Option<Self> {
        let digest = Digest::of(&content);
        (content.len() <= EXHIBIT_MAX).then_some(Self {
            name,
            digest,
            content,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_keeps_order_and_counts_what_it_left_out() {
        let text = |text: &str| Operation::try_from(text.to_owned()).unwrap();
        let mut trace = Trace {
            stage: "s".parse().unwrap(),
            step: "p".parse().unwrap(),
            operation: text("GET /"),
            to: "local/a/1".parse().unwrap(),
            back_end: None,
            runs: Vec::new(),
            connections: 0,
            truncated: 0,
        };
        for i in 0..10_000i64 {
            let outcome = if i % 2 == 0 {
                Outcome::Success
            } else {
                Outcome::Reset
            };
            trace.push(RunTime(i), outcome);
        }
        assert_eq!((trace.runs.len(), trace.count()), (TRACE_RUNS_MAX, 10_000));
        assert_eq!(trace.truncated, 10_000 - TRACE_RUNS_MAX as u64);
    }

    #[test]
    fn an_exhibit_above_the_cap_is_refused() {
        let name = Operation::try_from("body".to_owned()).unwrap();
        assert!(Exhibit::new(name.clone(), vec![0; EXHIBIT_MAX]).is_some());
        assert!(Exhibit::new(name, vec![0; EXHIBIT_MAX + 1]).is_none());
    }
}
