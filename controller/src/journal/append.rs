//! Records into the store: each name once, and the end of every spool moved in the same
//! transaction.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use nepho_common::{
    id::{AgentId, Digest, SpoolId},
    journal::Record,
    time::WallMillis,
};
use nepho_controller_core::report::rollup::RECORDS;
use sqlx::{Row as _, SqliteConnection};

use super::{error::StoreError, row::kind_text, sql, store::Appended, writer::failed};

/// What came of it, and whether a spool has a block that can be rolled up now.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    records: &[Record],
    received: WallMillis,
) -> Result<(Appended, bool), StoreError> {
    let mut appended = Appended::default();
    let mut moved = BTreeSet::new();
    for record in records {
        let sha = content_sha(record);
        if insert(connection, record, &sha, received).await? {
            appended.stored += 1;
            moved.insert((&record.key.agent, &record.key.spool));
        } else if stored_sha(connection, record).await? == sha.bytes() {
            appended.repeated += 1;
        } else {
            appended.conflicts.push(record.key.clone());
        }
    }
    let mut is_due = false;
    for (agent, spool) in moved {
        is_due |= advance(connection, agent, spool).await?;
    }
    Ok((appended, is_due))
}

async fn insert(
    connection: &mut SqliteConnection,
    record: &Record,
    sha: &Digest,
    received: WallMillis,
) -> Result<bool, StoreError> {
    let done = sqlx::query(sql::RECORD_INSERT)
        .bind(record.key.agent.as_str())
        .bind(record.key.spool.bytes().as_slice())
        .bind(record.key.seq.0.cast_signed())
        .bind(i64::from(record.format))
        .bind(kind_text(record.kind))
        .bind(i64::from(record.version))
        .bind(record.run.as_str())
        .bind(record.payload.as_slice())
        .bind(sha.bytes().as_slice())
        .bind(received.0)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

async fn stored_sha(
    connection: &mut SqliteConnection,
    record: &Record,
) -> Result<Vec<u8>, StoreError> {
    sqlx::query(sql::RECORD_SHA)
        .bind(record.key.agent.as_str())
        .bind(record.key.spool.bytes().as_slice())
        .bind(record.key.seq.0.cast_signed())
        .fetch_one(connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failed)
}

/// Moves the end of a spool over what is there without a gap. Reads no more than one record
/// beyond it, so a gap does not make later appends dearer. Says whether it filled a block.
async fn advance(
    connection: &mut SqliteConnection,
    agent: &AgentId,
    spool: &SpoolId,
) -> Result<bool, StoreError> {
    let before: i64 = sqlx::query(sql::SPOOL_DURABLE)
        .bind(agent.as_str())
        .bind(spool.bytes().as_slice())
        .fetch_optional(&mut *connection)
        .await
        .and_then(|row| row.map_or(Ok(0), |row| row.try_get(0)))
        .map_err(failed)?;
    let mut end = before;
    {
        let mut seqs = sqlx::query(sql::RECORD_SEQS_AFTER)
            .bind(agent.as_str())
            .bind(spool.bytes().as_slice())
            .bind(before)
            .fetch(&mut *connection);
        while let Some(row) = seqs.try_next().await.map_err(failed)? {
            let seq: i64 = row.try_get(0).map_err(failed)?;
            if seq != end + 1 {
                break;
            }
            end = seq;
        }
    }
    if end == before {
        return Ok(false);
    }
    sqlx::query(sql::SPOOL_ADVANCE)
        .bind(agent.as_str())
        .bind(spool.bytes().as_slice())
        .bind(end)
        .execute(connection)
        .await
        .map_err(failed)?;
    let block = RECORDS.cast_signed();
    Ok(end / block > before / block)
}

/// Of everything but the name. The run's length goes before it, so that no two contents run
/// together.
fn content_sha(record: &Record) -> Digest {
    let run = record.run.as_str().as_bytes();
    let mut content = Vec::with_capacity(64 + run.len() + record.payload.len());
    content.extend(record.format.to_be_bytes());
    content.extend(record.version.to_be_bytes());
    for part in [kind_text(record.kind).as_bytes(), run] {
        content.extend((part.len() as u64).to_be_bytes());
        content.extend(part);
    }
    content.extend(&record.payload);
    Digest::of(&content)
}
