//! Roll-ups beside the records that they are made of.
//!
//! As soon as a spool holds [`RECORDS`] numbers without a gap, what they recorded is merged; that is a
//! function of records that never change, so it is done in a transaction of its own, when nobody
//! waits. What is not rolled up yet, or can't be, is read from its records: a roll-up that is missing
//! costs time and changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt as _;
use nepho_common::{
    id::{AgentId, Attempt, Digest, RunId, Seq, SpoolId, StageName},
    journal::{Body, Entry, FORMAT, Record, RecordKey, RecordKind},
};
use nepho_controller_core::report::rollup::{Grain, Part, RECORDS, Rolled};
use nepho_proto::journal::{Reader, fit, payload, version};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{
    error::StoreError,
    row::{self, Cell, kind_text},
    sql,
    store::read,
    writer::failed,
};

/// What is told apart in the run that was rolled up last: agents of one run write side by side.
pub(super) type Known = Option<(RunId, Grain)>;

/// Payloads that are merged at once, in bytes: what agents seal in one portion is at most 256 KiB. A
/// stranger may send five times as much.
const BLOCK_MAX: usize = 32 << 20;

/// What there is of a run: records, and roll-ups instead of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// By agent, spool and number.
    pub records: Vec<Record>,
    /// None of the records in them is among the others, and none is left out.
    pub rolled: Vec<Rolled>,
}

/// Rolls up one block, if one is due. Says whether one was.
pub(super) async fn one(
    connection: &mut SqliteConnection,
    known: &mut Known,
) -> Result<bool, StoreError> {
    let due = sqlx::query(sql::ROLLUP_DUE)
        .bind(RECORDS.cast_signed())
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    let Some(due) = due else { return Ok(false) };
    let (agent, spool, from) = row::rolled(&due)?;
    let to = Seq(from.0 + RECORDS);
    if !agent.is_controller() {
        let records = block(connection, &agent, &spool, from, to).await?;
        for (run, entries) in by_run(records) {
            let grain = grain(connection, known, &run, &entries).await?;
            if let Some(rolled) = Rolled::of(entries, grain) {
                put(connection, &rolled).await?;
            }
        }
    }
    sqlx::query(sql::SPOOL_ROLLED)
        .bind(agent.as_str())
        .bind(spool.bytes().as_slice())
        .bind(to.0.cast_signed())
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(true)
}

/// Forgets every roll-up, so that each is made again.
pub(super) async fn forget(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    for statement in [sql::ROLLUPS_FORGET, sql::SPOOLS_FORGET] {
        let done = sqlx::query(statement).execute(&mut *connection).await;
        done.map_err(failed)?;
    }
    Ok(())
}

/// The records of recordings in a block; none when they are too many to be held at once.
async fn block(
    connection: &mut SqliteConnection,
    agent: &AgentId,
    spool: &SpoolId,
    from: Seq,
    to: Seq,
) -> Result<Vec<Record>, StoreError> {
    let mut rows = sqlx::query(sql::RECORDS_OF_BLOCK)
        .bind(agent.as_str())
        .bind(spool.bytes().as_slice())
        .bind(from.0.cast_signed())
        .bind(to.0.cast_signed())
        .bind(kind_text(RecordKind::Recordings))
        .fetch(connection);
    let mut records = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        let record = row::record(&row)?;
        bytes += record.payload.len();
        if bytes > BLOCK_MAX {
            return Ok(Vec::new());
        }
        records.push(record);
    }
    Ok(records)
}

/// What the records of each run say; nothing of a run of which one can't be read.
fn by_run(records: Vec<Record>) -> BTreeMap<RunId, Vec<Entry>> {
    let mut reader = Reader::default();
    let mut runs: BTreeMap<RunId, Option<Vec<Entry>>> = BTreeMap::new();
    for record in records {
        let entry = reader.decode(&record).ok();
        let entries = runs.entry(record.run).or_insert_with(|| Some(Vec::new()));
        *entries = entries.take().zip(entry).map(|(mut entries, entry)| {
            entries.push(entry);
            entries
        });
    }
    let readable = runs.into_iter();
    readable
        .filter_map(|(run, entries)| Some((run, entries?)))
        .collect()
}

/// What is told apart in the stages of these.
async fn grain<'a>(
    connection: &mut SqliteConnection,
    known: &'a mut Known,
    run: &RunId,
    entries: &[Entry],
) -> Result<&'a Grain, StoreError> {
    let stages = stages(entries);
    let has_all =
        |(of, grain): &(RunId, Grain)| of == run && stages.iter().all(|stage| grain.knows(stage));
    if !known.as_ref().is_some_and(has_all) {
        let rows = sqlx::query(sql::RECORDS_OF_AUTHOR)
            .bind(run.as_str())
            .bind(AgentId::CONTROLLER)
            .fetch_all(connection)
            .await
            .map_err(failed)?;
        let records: Result<Vec<_>, _> = rows.iter().map(row::record).collect();
        let mut reader = Reader::default();
        let own = records?.into_iter();
        let own = own.filter_map(|record| reader.decode(&record).ok());
        *known = Some((run.clone(), Grain::of(own.collect())));
    }
    let (_, grain) = known.as_ref().expect("it was put there");
    Ok(grain)
}

fn stages(entries: &[Entry]) -> BTreeSet<&StageName> {
    let mut stages = BTreeSet::new();
    for entry in entries {
        if let Body::Recordings(all) = &entry.body {
            stages.extend(all.iter().map(|one| &one.series.stage));
        }
    }
    stages
}

async fn put(connection: &mut SqliteConnection, rolled: &Rolled) -> Result<(), StoreError> {
    let parts = rolled.parts.iter().flat_map(|part| {
        let portions = fit(part.recordings.clone()).into_iter();
        portions.map(|portion| (part.records, portion))
    });
    let mut parts: Vec<_> = parts.collect();
    if parts.is_empty() {
        // Records in which nothing was recorded; they are not read one by one either.
        parts.push((0, Vec::new()));
    }
    let count = parts.len();
    for (number, (held, portion)) in (0i64..).zip(parts) {
        let payload = payload(&rolled.run, rolled.attempt, &Body::Recordings(portion));
        sqlx::query(sql::ROLLUP_INSERT)
            .bind(rolled.run.as_str())
            .bind(rolled.agent.as_str())
            .bind(rolled.spool.bytes().as_slice())
            .bind(rolled.block.cast_signed())
            .bind(number)
            .bind(i64::try_from(count).unwrap_or(i64::MAX))
            .bind(i64::from(rolled.attempt.0))
            .bind(rolled.records.cast_signed())
            .bind(held.cast_signed())
            .bind(rolled.grain.bytes().as_slice())
            .bind(i64::from(version(RecordKind::Recordings)))
            .bind(payload)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

/// Everything of a run; `None` when its roll-ups do not stand for exactly the records that they
/// are instead of, or can't be read.
pub(super) async fn kept(
    connection: &mut SqliteConnection,
    run: &RunId,
) -> Result<Option<Kept>, StoreError> {
    let rows = sqlx::query(sql::ROLLUPS_OF_RUN)
        .bind(run.as_str())
        .fetch_all(&mut *connection)
        .await
        .map_err(read("a run's roll-ups"))?;
    let Some(rolled) = gather(run, &rows) else {
        return Ok(None);
    };
    let keys = sqlx::query(sql::RECORDS_ROLLED)
        .bind(run.as_str())
        .bind(kind_text(RecordKind::Recordings))
        .fetch_all(&mut *connection)
        .await
        .map_err(read("a run's records"))?;
    let stored: Result<BTreeSet<RecordKey>, _> = keys.iter().map(row::key).collect();
    let held: BTreeSet<RecordKey> = rolled.iter().flat_map(Rolled::keys).collect();
    if stored? != held {
        return Ok(None);
    }
    let rows = sqlx::query(sql::RECORDS_NOT_ROLLED)
        .bind(run.as_str())
        .bind(kind_text(RecordKind::Recordings))
        .fetch_all(connection)
        .await
        .map_err(read("a run's records"))?;
    let records: Result<Vec<_>, _> = rows.iter().map(row::record).collect();
    Ok(Some(Kept {
        records: records?,
        rolled,
    }))
}

/// Rows by agent, spool, block and part.
fn gather(run: &RunId, rows: &[SqliteRow]) -> Option<Vec<Rolled>> {
    let mut all: Vec<Rolled> = Vec::new();
    let mut missing = 0;
    let mut reader = Reader::default();
    for row in rows {
        let (parts, one) = part(run, row, &mut reader)?;
        match all.last_mut() {
            Some(last) if missing > 0 => {
                let of = |one: &Rolled| {
                    let place = (one.agent.clone(), one.spool, one.block);
                    (place, one.attempt, one.records, one.grain)
                };
                if of(last) != of(&one) {
                    return None;
                }
                last.parts.extend(one.parts);
                missing -= 1;
            }
            Some(_) | None => {
                missing = parts.checked_sub(1)?;
                all.push(one);
            }
        }
    }
    (missing == 0).then_some(all)
}

/// One row: of how many, and what it holds.
fn part(run: &RunId, row: &SqliteRow, reader: &mut Reader) -> Option<(u64, Rolled)> {
    let cell = Cell {
        table: "rollups",
        row,
    };
    let agent: AgentId = cell.name("agent").ok()?;
    let spool = cell
        .bytes("spool", |bytes| SpoolId::try_from(bytes).ok())
        .ok()?;
    let block = cell.unsigned("block").ok()?;
    // It is encoded as a record is, so it is read as one; the name is of no record.
    let record = Record {
        format: FORMAT,
        kind: RecordKind::Recordings,
        version: cell.narrow("version").ok()?,
        key: RecordKey {
            agent: agent.clone(),
            spool,
            seq: Seq(block.checked_mul(RECORDS)?.checked_add(1)?),
        },
        run: run.clone(),
        payload: cell.get("payload").ok()?,
    };
    let Body::Recordings(recordings) = reader.decode(&record).ok()?.body else {
        return None;
    };
    let rolled = Rolled {
        run: run.clone(),
        attempt: Attempt(cell.narrow("attempt").ok()?),
        agent,
        spool,
        block,
        records: row.try_get::<i64, _>("records").ok()?.cast_unsigned(),
        grain: cell
            .bytes("grain", |bytes| Digest::try_from(bytes).ok())
            .ok()?,
        parts: vec![Part {
            records: row.try_get::<i64, _>("held").ok()?.cast_unsigned(),
            recordings,
        }],
    };
    Some((cell.unsigned("parts").ok()?, rolled))
}
