//! What the store keeps, as types, and how a row becomes one. A row that can't be read back is an
//! error with the table's name, never a guess.

use nepho_common::{
    id::{AgentId, Digest, EnvironmentName, PlanId, RunId, ScenarioName, Seq, SpoolId},
    journal::{Record, RecordKey, RecordKind},
    time::WallMillis,
};
use sqlx::{Row as _, sqlite::SqliteRow};

use super::error::StoreError;

/// One run, as a list of runs shows it. What happened in it is in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its name.
    pub run: RunId,
    /// What it executes.
    pub plan: PlanId,
    /// The scenario's name, for people.
    pub scenario: ScenarioName,
    /// Where it stands.
    pub state: RunState,
    /// How it was judged, in the report's word; `None` while it is not.
    pub verdict: Option<String>,
    /// The latest revision of its report; `None` while there is none.
    pub made: Option<Made>,
    /// When it was asked for.
    pub created: WallMillis,
    /// When it ended.
    pub ended: Option<WallMillis>,
    /// Who asked for it, for people.
    pub requested_by: String,
}

/// A revision of a run's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// From 1.
    pub revision: u32,
    /// How many records of agents it was made from.
    pub records: u64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// As what.
    pub state: RunState,
    /// How it was judged, in the report's word.
    pub verdict: Option<String>,
    /// The revision that says so.
    pub made: Option<Made>,
    /// When; of several the first is kept.
    pub at: WallMillis,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunState {
    /// It waits for agents that another run holds.
    Queued,
    /// It is under way, from preparing agents to the last stage's collection.
    Running,
    /// Its journal ends with the event that says so.
    Ended,
    /// The controller went away while it was under way.
    Interrupted,
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Queued, Self::Running, Self::Ended, Self::Interrupted];

    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Interrupted => "interrupted",
        }
    }
}

/// One agent that was admitted. An agent whose certificate has another serial is not this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRow {
    /// Its name.
    pub agent: AgentId,
    /// Where it is.
    pub environment: EnvironmentName,
    /// Serial number of its certificate, hexadecimal.
    pub serial: String,
    /// SHA-256 of its public key.
    pub key: Digest,
    /// The end of its certificate.
    pub not_after: WallMillis,
    /// When it was admitted.
    pub enrolled: WallMillis,
    /// Since when it is no longer one of ours.
    pub revoked: Option<WallMillis>,
    /// A certificate that it was given and has not shown yet.
    pub next: Option<Offer>,
}

/// A certificate that takes the place of the current one when it is first shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// SHA-256 of its public key.
    pub key: Digest,
    /// Its end.
    pub not_after: WallMillis,
}

/// What came of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    /// It is written down; the agent is in this environment.
    Stored(EnvironmentName),
    /// There is no such agent.
    Unknown,
    /// It is no longer one of ours.
    Revoked,
    /// The certificate that it showed is neither its current nor its next one.
    Stale,
}

/// A join token that was just made: only the hash of its secret is ever stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// SHA-256 of the secret.
    pub secret: Digest,
    /// Where its user will be.
    pub environment: EnvironmentName,
    /// What its user will be called; `None` lets the controller choose.
    pub agent: Option<AgentId>,
    /// Until when it can be used.
    pub expires: WallMillis,
}

/// What came of using a join token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenUse {
    /// It is this key's now.
    Granted(Grant),
    /// It is not.
    Refused(TokenRefusal),
}

/// What a join token gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Where the agent is.
    pub environment: EnvironmentName,
    /// Its name, if the token gives one.
    pub agent: Option<AgentId>,
    /// The same key used it a moment ago: the reply was lost.
    pub again: bool,
}

/// Why a join token gives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefusal {
    /// Nobody made it.
    Unknown,
    /// Its time is over.
    Expired,
    /// Another key used it, or the same key too long ago.
    Used,
}

/// What is to be written down of an agent that showed a good token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Where it is.
    pub environment: EnvironmentName,
    /// Its name; `None` lets the store choose `<environment>-<n>`.
    pub agent: Option<AgentId>,
    /// Serial number of the certificate that it will get, hexadecimal.
    pub serial: String,
    /// SHA-256 of its public key.
    pub key: Digest,
    /// The end of that certificate.
    pub not_after: WallMillis,
    /// When.
    pub now: WallMillis,
}

/// What came of an admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// The agent as it is stored now.
    Stored {
        /// The row.
        agent: Box<AgentRow>,
        /// The row that it took the place of, when a host was set up anew under its old name.
        replaced: Option<Box<AgentRow>>,
    },
    /// This name was revoked; it is not given again.
    Revoked(AgentId),
}

pub(super) const fn kind_text(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Events => "events",
        RecordKind::Recordings => "recordings",
        RecordKind::Gauges => "gauges",
        RecordKind::Traces => "traces",
        RecordKind::Exhibits => "exhibits",
        RecordKind::Seal => "seal",
    }
}

pub(super) fn record(row: &SqliteRow) -> Result<Record, StoreError> {
    let cell = Cell {
        table: "records",
        row,
    };
    let kind: String = cell.get("kind")?;
    Ok(Record {
        format: cell.narrow("format")?,
        kind: RecordKind::ALL
            .into_iter()
            .find(|known| kind_text(*known) == kind)
            .ok_or_else(|| cell.damaged("kind"))?,
        version: cell.narrow("version")?,
        key: key(row)?,
        run: cell.name("run")?,
        payload: cell.get("payload")?,
    })
}

pub(super) fn key(row: &SqliteRow) -> Result<RecordKey, StoreError> {
    let cell = Cell {
        table: "records",
        row,
    };
    Ok(RecordKey {
        agent: cell.name("agent")?,
        spool: cell.bytes("spool", |bytes| SpoolId::try_from(bytes).ok())?,
        seq: Seq(cell.unsigned("seq")?),
    })
}

/// A spool, and up to where it was looked through.
pub(super) fn rolled(row: &SqliteRow) -> Result<(AgentId, SpoolId, Seq), StoreError> {
    let cell = Cell {
        table: "spools",
        row,
    };
    Ok((
        cell.name("agent")?,
        cell.bytes("spool", |bytes| SpoolId::try_from(bytes).ok())?,
        Seq(cell.unsigned("rolled_seq")?),
    ))
}

pub(super) fn spool(row: &SqliteRow) -> Result<(SpoolId, Seq), StoreError> {
    let cell = Cell {
        table: "spools",
        row,
    };
    Ok((
        cell.bytes("spool", |bytes| SpoolId::try_from(bytes).ok())?,
        Seq(cell.unsigned("durable_seq")?),
    ))
}

pub(super) fn run(row: &SqliteRow) -> Result<RunRow, StoreError> {
    let cell = Cell { table: "runs", row };
    let state: String = cell.get("state")?;
    Ok(RunRow {
        run: cell.name("run")?,
        plan: PlanId(cell.name("plan")?),
        scenario: cell.name("scenario")?,
        state: RunState::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or_else(|| cell.damaged("state"))?,
        verdict: cell.get("verdict")?,
        made: made(&cell)?,
        created: WallMillis(cell.get("created_ms")?),
        ended: cell.get::<Option<i64>>("ended_ms")?.map(WallMillis),
        requested_by: cell.get("requested_by")?,
    })
}

fn made(cell: &Cell<'_>) -> Result<Option<Made>, StoreError> {
    if cell.get::<Option<i64>>("revision")?.is_none() {
        return Ok(None);
    }
    let revision = u32::try_from(cell.unsigned("revision")?);
    Ok(Some(Made {
        revision: revision.map_err(|_| cell.damaged("revision"))?,
        records: cell.unsigned("known_records")?,
    }))
}

pub(super) fn agent(row: &SqliteRow) -> Result<AgentRow, StoreError> {
    let cell = Cell {
        table: "agents",
        row,
    };
    Ok(AgentRow {
        agent: cell.name("agent")?,
        environment: cell.name("environment")?,
        serial: cell.get("serial")?,
        key: cell.bytes("key_sha", |bytes| Digest::try_from(bytes).ok())?,
        not_after: WallMillis(cell.get("not_after_ms")?),
        enrolled: WallMillis(cell.get("enrolled_ms")?),
        revoked: cell.get::<Option<i64>>("revoked_ms")?.map(WallMillis),
        next: offer(&cell)?,
    })
}

fn offer(cell: &Cell<'_>) -> Result<Option<Offer>, StoreError> {
    let Some(serial) = cell.get::<Option<String>>("next_serial")? else {
        return Ok(None);
    };
    Ok(Some(Offer {
        serial,
        key: cell.bytes("next_key_sha", |bytes| Digest::try_from(bytes).ok())?,
        not_after: WallMillis(cell.get("next_not_after_ms")?),
    }))
}

/// A token's row: what it grants, when it was used and by which key.
pub(super) struct TokenRow {
    pub(super) environment: EnvironmentName,
    pub(super) agent: Option<AgentId>,
    pub(super) used: Option<WallMillis>,
    pub(super) used_by: Option<Digest>,
}

pub(super) fn token(row: &SqliteRow) -> Result<TokenRow, StoreError> {
    let cell = Cell {
        table: "tokens",
        row,
    };
    let agent: Option<String> = cell.get("agent")?;
    let used_by: Option<Vec<u8>> = cell.get("used_by_key")?;
    Ok(TokenRow {
        environment: cell.name("environment")?,
        agent: match agent {
            Some(_) => Some(cell.name("agent")?),
            None => None,
        },
        used: cell.get::<Option<i64>>("used_ms")?.map(WallMillis),
        used_by: match used_by {
            Some(_) => Some(cell.bytes("used_by_key", |bytes| Digest::try_from(bytes).ok())?),
            None => None,
        },
    })
}

/// The columns of a row, each through its own door.
pub(super) struct Cell<'a> {
    pub(super) table: &'static str,
    pub(super) row: &'a SqliteRow,
}

impl Cell<'_> {
    fn damaged(&self, column: &'static str) -> StoreError {
        StoreError::Damaged {
            table: self.table,
            column,
        }
    }

    pub(super) fn get<T>(&self, column: &'static str) -> Result<T, StoreError>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    {
        self.row.try_get(column).map_err(|_| self.damaged(column))
    }

    pub(super) fn name<T: std::str::FromStr>(&self, column: &'static str) -> Result<T, StoreError> {
        let text: String = self.get(column)?;
        text.parse().map_err(|_| self.damaged(column))
    }

    pub(super) fn bytes<T>(
        &self,
        column: &'static str,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, StoreError> {
        let bytes: Vec<u8> = self.get(column)?;
        read(&bytes).ok_or_else(|| self.damaged(column))
    }

    pub(super) fn unsigned(&self, column: &'static str) -> Result<u64, StoreError> {
        u64::try_from(self.get::<i64>(column)?).map_err(|_| self.damaged(column))
    }

    pub(super) fn narrow(&self, column: &'static str) -> Result<u32, StoreError> {
        u32::try_from(self.get::<i64>(column)?).map_err(|_| self.damaged(column))
    }
}
