//! A record as a line of `journal.ndjson`, with a check of its own.

use std::io::{self, BufRead, Read as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nepho_common::{
    id::{AgentId, Digest, RunId, Seq, SpoolId},
    journal::{PAYLOAD_MAX, Record, RecordKey, RecordKind},
};
use serde::{Deserialize, Serialize};

/// The longest line: the largest payload in base64, and 1 KiB for names of at most 63 bytes.
pub(super) const LINE_MAX: usize = PAYLOAD_MAX.div_ceil(3) * 4 + 1024;

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It is too long.
    #[error("the line is longer than any record")]
    TooLong,
    /// It is not a record in JSON.
    #[error("the line is cut off or not a record")]
    NotARecord,
    /// Its content is not what its check says.
    #[error("the record does not match its check")]
    Check,
    /// Another line has the same name and other content.
    #[error("another record has the same agent, spool and number")]
    Twice,
    /// It belongs to another run.
    #[error("the record is of another run")]
    OtherRun,
}

/// A record as a line. The order of the fields is the order in the file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    format: u32,
    kind: RecordKind,
    version: u32,
    agent: AgentId,
    spool: SpoolId,
    seq: Seq,
    run: RunId,
    payload: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    check: String,
}

impl Line {
    pub(super) fn of(record: &Record) -> Self {
        Self {
            format: record.format,
            kind: record.kind,
            version: record.version,
            agent: record.key.agent.clone(),
            spool: record.key.spool,
            seq: record.key.seq,
            run: record.run.clone(),
            payload: STANDARD.encode(&record.payload),
            check: String::new(),
        }
    }

    pub(super) fn text(mut self) -> String {
        self.check = hex::encode(&Digest::of(self.json().as_bytes()).bytes()[..8]);
        self.json()
    }

    fn json(&self) -> String {
        serde_json::to_string(self).expect("names, numbers and base64 are JSON")
    }

    pub(super) fn record(self) -> Option<Record> {
        Some(Record {
            format: self.format,
            kind: self.kind,
            version: self.version,
            key: RecordKey {
                agent: self.agent,
                spool: self.spool,
                seq: self.seq,
            },
            run: self.run,
            payload: STANDARD.decode(self.payload).ok()?,
        })
    }
}

/// A line back into its record, and its sum.
///
/// The sum is of the line as we would write it, so that another writer's spaces do no harm.
pub(super) fn parse(text: &[u8]) -> Result<(Digest, Record), Damage> {
    if text.len() > LINE_MAX {
        return Err(Damage::TooLong);
    }
    let line: Line = serde_json::from_slice(text).map_err(|_| Damage::NotARecord)?;
    let check = line.check.clone();
    let record = line.record().ok_or(Damage::NotARecord)?;
    let ours = Line::of(&record).text();
    if !ours.ends_with(&format!("\"check\":\"{check}\"}}")) {
        return Err(Damage::Check);
    }
    Ok((Digest::of(ours.as_bytes()), record))
}

/// One line without its end; never reads more than the longest legal one and a byte.
pub(super) fn next_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut text = Vec::new();
    let limit = LINE_MAX as u64 + 2;
    let read = reader.by_ref().take(limit).read_until(b'\n', &mut text)?;
    if read == 0 {
        return Ok(None);
    }
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    Ok(Some(text))
}
