//! What a record's payload holds.

use nepho_common::{
    id::{Attempt, RunId},
    journal::{Body, Entry, FORMAT, PAYLOAD_MAX, Record, RecordKind},
};
use prost::Message as _;

use super::{author, frugal};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    convert::field::{at_most, attempt, list, name, part},
    limits::ENTRIES_MAX,
    wire,
};

/// The version of a kind's payload that this release writes, and the only one that it reads.
#[must_use]
pub const fn version(kind: RecordKind) -> u32 {
    match kind {
        RecordKind::Events
        | RecordKind::Recordings
        | RecordKind::Gauges
        | RecordKind::Traces
        | RecordKind::Exhibits
        | RecordKind::Seal => 1,
    }
}

/// A body as the payload of a record of its kind and [`version`].
///
/// ```
/// use nepho_common::{id::{Attempt, SpoolId, Seq}, journal::{Body, Record, RecordKey, FORMAT}};
/// use nepho_proto::journal;
///
/// let body = Body::Gauges(Vec::new());
/// let run = "r1".parse()?;
/// let record = Record {
///     format: FORMAT,
///     kind: body.kind(),
///     version: journal::version(body.kind()),
///     key: RecordKey { agent: "a".parse()?, spool: SpoolId::new([7; 16]), seq: Seq(1) },
///     payload: journal::payload(&run, Attempt(1), &body),
///     run,
/// };
/// assert_eq!(journal::decode(&record).unwrap().body, body);
/// # Ok::<(), nepho_common::id::BadName>(())
/// ```
#[must_use]
pub fn payload(run: &RunId, attempt: Attempt, body: &Body) -> Vec<u8> {
    let mut wire = wire::Payload {
        run: run.to_string(),
        attempt: attempt.0,
        ..wire::Payload::default()
    };
    match body {
        Body::Events(events) => wire.events = events.iter().map(Into::into).collect(),
        Body::Recordings(all) => wire.recordings = all.iter().map(Into::into).collect(),
        Body::Gauges(gauges) => wire.gauges = gauges.iter().map(Into::into).collect(),
        Body::Traces(traces) => wire.traces = traces.iter().map(Into::into).collect(),
        Body::Exhibits(exhibits) => wire.exhibits = exhibits.iter().map(Into::into).collect(),
        Body::Seal(seal) => wire.seal = Some(seal.into()),
    }
    wire.encode_to_vec()
}

/// Reads a record's payload and checks that it agrees with what the record says of it: kind, run,
/// and author.
///
/// # Errors
/// [`BadMessage`] says what is wrong in which field.
pub fn decode(record: &Record) -> Result<Entry, BadMessage> {
    checked(record)?;
    let wire = wire::Payload::decode(record.payload.as_slice()).within("payload")?;
    let entry = entry(record, wire)?;
    author::check(&entry)?;
    Ok(entry)
}

/// Whether the payload may be looked into.
pub(super) fn checked(record: &Record) -> Result<(), BadMessage> {
    known("format", record.format, FORMAT)?;
    known("version", record.version, version(record.kind))?;
    at_most("payload", record.payload.len(), PAYLOAD_MAX)?;
    frugal::check(&record.payload)
}

/// A payload as the entry that it makes; whether its author may say so is not looked at.
pub(super) fn entry(record: &Record, wire: wire::Payload) -> Result<Entry, BadMessage> {
    let run: RunId = name("run", wire.run.clone())?;
    if run != record.run {
        return Err(author::foreign(run.as_str(), record.run.as_str())).within("run");
    }
    Ok(Entry {
        key: record.key.clone(),
        attempt: attempt("attempt", wire.attempt)?,
        run,
        body: body(record.kind, wire)?,
    })
}

fn known(field: &str, found: u32, known: u32) -> Result<(), BadMessage> {
    if found == known {
        return Ok(());
    }
    Err(Wrong::Unknown(found.into())).within(field)
}

fn body(kind: RecordKind, mut wire: wire::Payload) -> Result<Body, BadMessage> {
    let max = ENTRIES_MAX;
    let body = match kind {
        RecordKind::Events => Body::Events(list("events", take(&mut wire.events), max)?),
        RecordKind::Recordings => {
            Body::Recordings(list("recordings", take(&mut wire.recordings), max)?)
        }
        RecordKind::Gauges => Body::Gauges(list("gauges", take(&mut wire.gauges), max)?),
        RecordKind::Traces => Body::Traces(list("traces", take(&mut wire.traces), max)?),
        RecordKind::Exhibits => Body::Exhibits(list("exhibits", take(&mut wire.exhibits), max)?),
        RecordKind::Seal => Body::Seal(part("seal", wire.seal.take())?),
    };
    // What the kind names has been taken out, so whatever is left has no business here.
    let left = [
        ("events", wire.events.len()),
        ("recordings", wire.recordings.len()),
        ("gauges", wire.gauges.len()),
        ("traces", wire.traces.len()),
        ("exhibits", wire.exhibits.len()),
        ("seal", wire.seal.iter().len()),
    ];
    match left.into_iter().find(|&(_, entries)| entries > 0) {
        Some((field, _)) => Err(Wrong::Unexpected).within(field),
        None => Ok(body),
    }
}

fn take<T>(list: &mut Vec<T>) -> Vec<T> {
    std::mem::take(list)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{attempt, entry, name, record_of};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn an_entry_reads_back(entry in entry()) {
            prop_assert_eq!(decode(&record_of(&entry)), Ok(entry));
        }

        #[test]
        fn arbitrary_bytes_are_never_a_panic(
            entry in entry(), payload in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            decode(&Record { payload, ..record_of(&entry) }).ok();
        }

        #[test]
        fn a_payload_with_one_byte_changed_is_never_a_panic(
            entry in entry(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut record = record_of(&entry);
            let at = at.index(record.payload.len());
            record.payload[at] = byte;
            decode(&record).ok();
        }

        #[test]
        fn another_run_inside_than_outside_is_refused(entry in entry(), run in name::<RunId>()) {
            prop_assume!(run != entry.run);
            let bad = decode(&Record { run, ..record_of(&entry) }).unwrap_err();
            prop_assert!(matches!(bad.wrong, Wrong::Foreign { .. }), "{bad}");
        }

        #[test]
        fn formats_and_versions_that_are_not_known_are_refused(entry in entry(), other in 2u32..) {
            for unknown in [0, other] {
                let record = Record { format: unknown, ..record_of(&entry) };
                prop_assert_eq!(decode(&record).unwrap_err().field, "format");
                let record = Record { version: unknown, ..record_of(&entry) };
                prop_assert_eq!(decode(&record).unwrap_err().field, "version");
            }
        }

        #[test]
        fn only_the_list_that_the_kind_names_may_be_used(
            entry in entry(), run in name::<RunId>(), attempt in attempt(),
        ) {
            // A gauge rides along with whatever the record holds; to a list of gauges it may.
            let mut record = record_of(&entry);
            let gauges = wire::Payload { gauges: vec![wire::Gauge::default()], ..Default::default() };
            record.payload.extend(gauges.encode_to_vec());
            let bad = decode(&record).unwrap_err();
            let expected = if record.kind == RecordKind::Gauges { Wrong::Missing } else { Wrong::Unexpected };
            prop_assert!(bad.field.starts_with("gauges"), "{bad}");
            prop_assert!(bad.wrong == expected || record.kind == RecordKind::Gauges, "{bad}");
            // And a kind without its own list of one entry, the seal, is not a seal.
            let empty = payload(&run, attempt, &Body::Gauges(Vec::new()));
            let seal = Record { kind: RecordKind::Seal, payload: empty, run, ..record };
            prop_assert_eq!(decode(&seal).unwrap_err().to_string(), "seal: is missing");
        }
    }

    #[test]
    fn more_entries_than_any_of_ours_are_refused() {
        let gauges = vec![wire::Gauge::default(); ENTRIES_MAX + 1];
        let wire = wire::Payload {
            run: "r".to_owned(),
            attempt: 1,
            gauges,
            ..Default::default()
        };
        let bad = body(RecordKind::Gauges, wire).unwrap_err();
        assert_eq!(
            bad.wrong,
            Wrong::TooMany {
                found: ENTRIES_MAX + 1,
                max: ENTRIES_MAX
            }
        );
    }
}
