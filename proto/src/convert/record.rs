//! Records: what is around a payload that is not looked into.

use nepho_common::journal::{PAYLOAD_MAX, Record, RecordKey};

use super::field::{at_most, choice, id, name, seq};
use crate::{bad::BadMessage, wire};

impl TryFrom<wire::Record> for Record {
    type Error = BadMessage;

    fn try_from(wire: wire::Record) -> Result<Self, BadMessage> {
        at_most("payload", wire.payload.len(), PAYLOAD_MAX)?;
        Ok(Self {
            format: wire.format,
            kind: choice::<wire::RecordKind, _>("kind", wire.kind)?,
            version: wire.version,
            key: RecordKey {
                agent: name("agent", wire.agent)?,
                spool: id("spool", &wire.spool)?,
                seq: seq("seq", wire.seq)?,
            },
            run: name("run", wire.run)?,
            payload: wire.payload,
        })
    }
}

impl From<Record> for wire::Record {
    fn from(record: Record) -> Self {
        Self {
            format: record.format,
            kind: wire::RecordKind::from(record.kind).into(),
            version: record.version,
            agent: record.key.agent.to_string(),
            spool: record.key.spool.bytes().to_vec(),
            seq: record.key.seq.0,
            run: record.run.to_string(),
            payload: record.payload,
        }
    }
}
