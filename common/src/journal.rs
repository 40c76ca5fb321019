//! The journal: records keyed by author, spool and number; ingesting one twice counts once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    event::Event,
    id::{AgentId, Attempt, RunId, Seq, SpoolId, StageName},
    recording::{Exhibit, Gauge, Recording, Series, Trace},
};

/// The format of a record that this release writes.
pub const FORMAT: u32 = 1;

/// Names a record for ever.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    /// Who wrote it: an agent, or the controller.
    pub agent: AgentId,
    /// The spool it was written to.
    pub spool: SpoolId,
    /// Its number there.
    pub seq: Seq,
}

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RecordKind {
    /// Events.
    Events,
    /// Recordings.
    Recordings,
    /// Gauges.
    Gauges,
    /// Traces.
    Traces,
    /// Exhibits.
    Exhibits,
    /// A seal.
    Seal,
}

impl RecordKind {
    /// Every kind, in the order of the wire.
    pub const ALL: [Self; 6] = [
        Self::Events,
        Self::Recordings,
        Self::Gauges,
        Self::Traces,
        Self::Exhibits,
        Self::Seal,
    ];
}

/// A record as it is kept and sent: its payload is not looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// [`FORMAT`] of its writer.
    pub format: u32,
    /// What the payload holds.
    pub kind: RecordKind,
    /// Version of the payload's own layout, from 1.
    pub version: u32,
    /// Its name.
    pub key: RecordKey,
    /// The run it belongs to.
    pub run: RunId,
    /// Encoded by `nepho-proto`.
    pub payload: Vec<u8>,
}

/// The largest payload that is written or read, 1.25 MiB: the largest exhibit and its frame.
pub const PAYLOAD_MAX: usize = 5 << 18;

/// A record's content, decoded and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name.
    pub key: RecordKey,
    /// The run it belongs to.
    pub run: RunId,
    /// The try it belongs to.
    pub attempt: Attempt,
    /// What it says.
    pub body: Body,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// What happened.
    Events(Vec<Event>),
    /// Histograms and counts.
    Recordings(Vec<Recording>),
    /// Values at times.
    Gauges(Vec<Gauge>),
    /// Outcomes in send order.
    Traces(Vec<Trace>),
    /// Blobs.
    Exhibits(Vec<Exhibit>),
    /// A stage of this agent is complete.
    Seal(Seal),
}

impl Body {
    /// The kind of record that holds it.
    #[must_use]
    pub const fn kind(&self) -> RecordKind {
        match self {
            Self::Events(_) => RecordKind::Events,
            Self::Recordings(_) => RecordKind::Recordings,
            Self::Gauges(_) => RecordKind::Gauges,
            Self::Traces(_) => RecordKind::Traces,
            Self::Exhibits(_) => RecordKind::Exhibits,
            Self::Seal(_) => RecordKind::Seal,
        }
    }
}

/// Says of one stage of one agent how much there is of it, so that the reader can prove that
/// nothing is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// The stage.
    pub stage: StageName,
    /// How many records of each kind the agent wrote for it, this seal left out.
    pub records: BTreeMap<RecordKind, u64>,
    /// How many values each series has in all.
    pub samples: BTreeMap<Series, u64>,
    /// The stage was resumed: only records from this number on are counted. What an earlier process
    /// of the agent wrote lies before it in the same spool.
    pub from: Option<Seq>,
}
