//! What must hold for any bytes as a run directory's files. `scripts/fuzz` makes the bytes; the
//! test here replays what it kept.

use std::{io::BufReader, path::Path};

use super::{
    Manifest,
    line::{Line, next_line, parse},
    manifest_of,
};

/// A manifest (first byte even) or a journal (odd). Says whether anything of it was believed.
///
/// # Panics
/// When what was believed does not read back as the same.
#[must_use]
pub fn export(input: &[u8]) -> bool {
    match input.split_first() {
        Some((kind, text)) if kind % 2 == 0 => manifest(text),
        Some((_, text)) => journal(text),
        None => false,
    }
}

fn manifest(text: &[u8]) -> bool {
    let path = Path::new("manifest.json");
    let Ok(found) = manifest_of(path, text) else {
        return false;
    };
    let said = serde_json::to_vec(&found).expect("it is plain data");
    let again: Manifest = manifest_of(path, &said).expect("we wrote it");
    assert_eq!(again, found);
    true
}

fn journal(text: &[u8]) -> bool {
    let mut believed = false;
    let mut reader = BufReader::with_capacity(64, text);
    while let Some(line) = next_line(&mut reader).expect("memory can be read") {
        believed |= parse(&line).is_ok_and(|read| {
            reads_back(&read.1);
            true
        });
        // No fuzzer finds the check of a line; with the right one in its place the rest is looked
        // at as well.
        let mended = serde_json::from_slice::<Line>(&line)
            .ok()
            .and_then(Line::record);
        believed |= mended.is_some_and(|record| {
            reads_back(&record);
            // What a payload says is refused or understood; never more than that.
            drop(nepho_proto::journal::decode(&record));
            true
        });
    }
    believed
}

fn reads_back(record: &nepho_common::journal::Record) {
    let text = Line::of(record).text();
    let (sum, again) = parse(text.as_bytes()).expect("we wrote it");
    assert_eq!(&again, record);
    assert_eq!(sum, nepho_common::id::Digest::of(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use nepho_common::{
        id::{Attempt, Digest, PlanId, Seq, SpoolId},
        journal::{Body, FORMAT, Record, RecordKey, RecordKind},
    };

    use super::*;
    use crate::{export::SCHEMA, replay::replay};

    fn record(seq: u64) -> Record {
        let run = "r1".parse().unwrap();
        Record {
            format: FORMAT,
            kind: RecordKind::Gauges,
            version: 1,
            key: RecordKey {
                agent: "a".parse().unwrap(),
                spool: SpoolId::new([7; 16]),
                seq: Seq(seq),
            },
            payload: nepho_proto::journal::payload(&run, Attempt(1), &Body::Gauges(Vec::new())),
            run,
        }
    }

    fn seeds() -> Vec<Vec<u8>> {
        let line = |seq| Line::of(&record(seq)).text().into_bytes();
        let manifest = Manifest {
            schema: SCHEMA.to_owned(),
            run: "r1".parse().unwrap(),
            plan: PlanId(Digest::of(b"plan")),
            records: 2,
            digest: Digest::of(b"records"),
        };
        vec![
            [vec![0], serde_json::to_vec_pretty(&manifest).unwrap()].concat(),
            [vec![1], line(1)].concat(),
            [vec![1], line(1), vec![b'\n'], line(2), vec![b'\n']].concat(),
        ]
    }

    #[test]
    fn every_export_that_the_fuzzer_kept_is_refused_or_reads_back() {
        replay("export", &seeds(), export);
    }
}
