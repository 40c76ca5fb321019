//! A run directory: one run's journal as two files that outlive the store.
//!
//! - `journal.ndjson`: one record a line, in any order; a line twice counts once. Each line ends
//!   with `check`, the first 16 digits of the SHA-256 of the line without it, so that damage is
//!   found at its line.
//! - `manifest.json`: which run, how many records, and a digest that does not depend on their
//!   order, so that a record that is missing is noticed.
//!
//! Both are functions of the records alone, so the same run exported from any store is the same.
//! Everything here blocks: an async caller wraps it in `spawn_blocking`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufReader, BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
};

use nepho_common::{
    id::{Digest, PlanId, RunId},
    journal::{Record, RecordKey},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use self::line::{Line, next_line, parse};
use crate::journal::RunRow;

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod line;

pub use self::line::Damage;

/// The format of a run directory.
pub const SCHEMA: &str = "nepho.export/v1";

/// The file of the manifest.
pub const MANIFEST: &str = "manifest.json";

/// The file of the records.
pub const JOURNAL: &str = "journal.ndjson";

/// A manifest is some 300 bytes.
const MANIFEST_MAX: u64 = 64 * 1024;

/// What a run directory holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// Whose journal it is.
    pub run: RunId,
    /// What was executed.
    pub plan: PlanId,
    /// How many different records there are.
    pub records: u64,
    /// SHA-256 over the sorted SHA-256 of each line.
    pub digest: Digest,
}

/// Why a run directory can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file can't be written.
    #[error("can't write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The manifest is not one.
    #[error("{} is not a manifest of a run directory", path.display())]
    Manifest {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The manifest is too large to be one.
    #[error("{} is too large to be a manifest", path.display())]
    ManifestSize {
        /// Which.
        path: PathBuf,
    },
    /// The manifest is of a format that this release does not read.
    #[error("{} has the format {found:?}, and this release reads {SCHEMA}: use a newer nepho", path.display())]
    Schema {
        /// Which file.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// A line is not a record as it was written.
    #[error("{}:{line}: {why}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        why: Damage,
    },
    /// Fewer records than the manifest promises.
    #[error("{} lacks {missing} of {promised} records", path.display())]
    Missing {
        /// Which file.
        path: PathBuf,
        /// How many are not there.
        missing: u64,
        /// How many there should be.
        promised: u64,
    },
    /// More records than the manifest promises.
    #[error("{} has {extra} records more than its manifest says", path.display())]
    Extra {
        /// Which file.
        path: PathBuf,
        /// How many.
        extra: u64,
    },
    /// As many records as promised, but other ones.
    #[error("the records in {} are not the ones that its manifest was written for", path.display())]
    Other {
        /// Which file.
        path: PathBuf,
    },
}

/// Writes a run directory; files of that name are replaced whole. The manifest comes last, so a
/// directory that has one was finished.
///
/// # Errors
/// When a file can't be written.
pub fn write_run_dir(
    dir: &Path,
    run: &RunRow,
    records: &[Record],
) -> Result<Manifest, ExportError> {
    let mut sums = BTreeSet::new();
    std::fs::create_dir_all(dir).map_err(write(dir))?;
    replace(&dir.join(JOURNAL), |file| {
        for line in journal_lines(records) {
            sums.insert(Digest::of(line.as_bytes()));
            file.write_all(line.as_bytes())?;
            file.write_all(b"\n")?;
        }
        Ok(())
    })?;
    let manifest = Manifest {
        schema: SCHEMA.to_owned(),
        run: run.run.clone(),
        plan: run.plan,
        records: sums.len() as u64,
        digest: digest(&sums),
    };
    replace(&dir.join(MANIFEST), |file| {
        serde_json::to_writer_pretty(&mut *file, &manifest)?;
        file.write_all(b"\n")
    })?;
    Ok(manifest)
}

/// Each record as its line, without the line end, in the order given.
pub fn journal_lines<'a>(
    records: impl IntoIterator<Item = &'a Record>,
) -> impl Iterator<Item = String> {
    records.into_iter().map(|record| Line::of(record).text())
}

/// Reads a run directory back, ordered by agent, spool and number. Shuffled and repeated lines
/// are read as if they were not.
///
/// # Errors
/// When a line is damaged, with its number, or when the records are not all there.
pub fn read_run_dir(dir: &Path) -> Result<(Manifest, Vec<Record>), ExportError> {
    let manifest = read_manifest(&dir.join(MANIFEST))?;
    let path = dir.join(JOURNAL);
    let mut reader = BufReader::new(File::open(&path).map_err(read(&path))?);
    let mut found: BTreeMap<RecordKey, (Digest, Record)> = BTreeMap::new();
    for line in 1.. {
        let damaged = |why| ExportError::Damaged {
            path: path.clone(),
            line,
            why,
        };
        let Some(text) = next_line(&mut reader).map_err(read(&path))? else {
            break;
        };
        let (sum, record) = parse(&text).map_err(damaged)?;
        if record.run != manifest.run {
            return Err(damaged(Damage::OtherRun));
        }
        match found.get(&record.key) {
            Some((there, _)) if *there == sum => {}
            Some(_) => return Err(damaged(Damage::Twice)),
            None => {
                found.insert(record.key.clone(), (sum, record));
            }
        }
    }
    let sums = found.values().map(|(sum, _)| *sum).collect();
    check(&manifest, &sums, path)?;
    let records = found.into_values().map(|(_, record)| record).collect();
    Ok((manifest, records))
}

fn read_manifest(path: &Path) -> Result<Manifest, ExportError> {
    let file = File::open(path).map_err(read(path))?;
    let mut text = Vec::new();
    file.take(MANIFEST_MAX + 1)
        .read_to_end(&mut text)
        .map_err(read(path))?;
    manifest_of(path, &text)
}

/// What stands in a manifest; the path is for what is said of it.
fn manifest_of(path: &Path, text: &[u8]) -> Result<Manifest, ExportError> {
    /// Read first, so that a later format is named instead of called damaged.
    #[derive(Deserialize)]
    struct Format {
        schema: String,
    }
    let manifest = |source| ExportError::Manifest {
        path: path.to_owned(),
        source,
    };
    if text.len() as u64 > MANIFEST_MAX {
        return Err(ExportError::ManifestSize {
            path: path.to_owned(),
        });
    }
    let format: Format = serde_json::from_slice(text).map_err(manifest)?;
    if format.schema != SCHEMA {
        return Err(ExportError::Schema {
            path: path.to_owned(),
            found: format.schema.chars().take(80).collect(),
        });
    }
    serde_json::from_slice(text).map_err(manifest)
}

fn check(manifest: &Manifest, sums: &BTreeSet<Digest>, path: PathBuf) -> Result<(), ExportError> {
    let found = sums.len() as u64;
    if found < manifest.records {
        return Err(ExportError::Missing {
            path,
            missing: manifest.records - found,
            promised: manifest.records,
        });
    }
    if found > manifest.records {
        return Err(ExportError::Extra {
            path,
            extra: found - manifest.records,
        });
    }
    if digest(sums) != manifest.digest {
        return Err(ExportError::Other { path });
    }
    Ok(())
}

fn digest(sums: &BTreeSet<Digest>) -> Digest {
    let mut hash = Sha256::new();
    for sum in sums {
        hash.update(sum.bytes());
    }
    Digest::new(hash.finalize().into())
}

/// Writes a file beside, flushes it to disk and gives it its name: a reader sees the old one or
/// the new one, never half of one.
fn replace(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> Result<(), ExportError> {
    let dir = path.parent().expect("it was joined to a directory");
    let mut temp = tempfile::NamedTempFile::new_in(dir).map_err(write(path))?;
    let mut file = BufWriter::new(temp.as_file_mut());
    fill(&mut file)
        .and_then(|()| file.flush())
        .map_err(write(path))?;
    drop(file);
    temp.as_file().sync_all().map_err(write(path))?;
    let file = temp.persist(path).map_err(|error| ExportError::Write {
        path: path.to_owned(),
        source: error.error,
    })?;
    drop(file);
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(write(path))
}

fn write(path: &Path) -> impl FnOnce(io::Error) -> ExportError {
    let path = path.to_owned();
    |source| ExportError::Write { path, source }
}

fn read(path: &Path) -> impl FnOnce(io::Error) -> ExportError {
    let path = path.to_owned();
    |source| ExportError::Read { path, source }
}

#[cfg(test)]
mod tests {
    use nepho_common::{
        id::{Seq, SpoolId},
        journal::{PAYLOAD_MAX, RecordKind},
        time::WallMillis,
    };
    use tempfile::TempDir;

    use super::{line::LINE_MAX, *};
    use crate::journal::RunState;

    fn run() -> RunRow {
        RunRow {
            run: "r1".parse().unwrap(),
            plan: PlanId(Digest::of(b"plan")),
            scenario: "s".parse().unwrap(),
            state: RunState::Ended,
            verdict: Some("pass".to_owned()),
            made: None,
            created: WallMillis(1),
            ended: Some(WallMillis(2)),
            requested_by: "me".to_owned(),
        }
    }

    fn records() -> Vec<Record> {
        (1..=40_u64)
            .map(|n| Record {
                format: 1,
                kind: RecordKind::ALL[n as usize % RecordKind::ALL.len()],
                version: 1,
                key: RecordKey {
                    agent: if n % 2 == 0 { "a" } else { "b" }.parse().unwrap(),
                    spool: SpoolId::new([7; 16]),
                    seq: Seq(n.div_ceil(2)),
                },
                run: "r1".parse().unwrap(),
                payload: vec![n as u8; n as usize * 3],
            })
            .collect()
    }

    fn sorted() -> Vec<Record> {
        let mut records = records();
        records.sort_by(|a, b| a.key.cmp(&b.key));
        records
    }

    fn exported() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        write_run_dir(dir.path(), &run(), &records()).unwrap();
        dir
    }

    fn rewrite(dir: &TempDir, change: impl FnOnce(&mut Vec<String>)) {
        let path = dir.path().join(JOURNAL);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
        change(&mut lines);
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }

    #[test]
    fn what_was_written_is_read_back() {
        let (manifest, records) = read_run_dir(exported().path()).unwrap();
        assert_eq!(manifest.records, 40);
        assert_eq!(records, sorted());
    }

    #[test]
    fn the_order_of_the_records_does_not_change_the_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let one = write_run_dir(dir.path(), &run(), &records()).unwrap();
        let two = write_run_dir(dir.path(), &run(), &sorted()).unwrap();
        assert_eq!(one, two);
    }

    #[test]
    fn shuffled_and_repeated_lines_do_no_harm() {
        let dir = exported();
        rewrite(&dir, |lines| {
            lines.reverse();
            lines.rotate_left(7);
            lines.push(lines[3].clone());
            lines.push(lines[30].replace("\":", "\": "));
        });
        assert_eq!(read_run_dir(dir.path()).unwrap().1, sorted());
    }

    #[test]
    fn a_flipped_bit_is_found_at_its_line_or_changes_nothing() {
        let dir = exported();
        let path = dir.path().join(JOURNAL);
        let good = std::fs::read(&path).unwrap();
        let start = good.iter().position(|b| *b == b'\n').unwrap() + 1;
        let len = good[start..].iter().position(|b| *b == b'\n').unwrap();
        let mut harmless = 0;
        for at in start..start + len {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                std::fs::write(&path, bad).unwrap();
                match read_run_dir(dir.path()) {
                    Err(ExportError::Damaged { line: 2, .. }) => {}
                    // A letter of a hexadecimal number became a capital: it is the same number.
                    Ok((_, records)) if records == sorted() => harmless += 1,
                    other => panic!("byte {at}, bit {bit}: {other:?}"),
                }
            }
        }
        assert!(harmless <= 32, "{harmless}");
    }

    #[test]
    fn a_file_that_is_cut_off_is_refused_wherever_the_cut_is() {
        let dir = exported();
        let path = dir.path().join(JOURNAL);
        let good = std::fs::read(&path).unwrap();
        // The very last line end may go: nothing is lost with it.
        for len in 0..good.len() - 1 {
            std::fs::write(&path, &good[..len]).unwrap();
            match read_run_dir(dir.path()) {
                Err(ExportError::Damaged { .. } | ExportError::Missing { .. }) => {}
                other => panic!("{len} bytes: {other:?}"),
            }
        }
    }

    #[test]
    fn missing_records_are_counted() {
        let dir = exported();
        rewrite(&dir, |lines| lines.truncate(37));
        let error = read_run_dir(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("lacks 3 of 40 records"), "{error}");
    }

    #[test]
    fn other_records_than_the_manifest_promises_are_refused() {
        let dir = exported();
        let mut other = records()[0].clone();
        other.key.seq = Seq(99);
        let line: String = journal_lines([&other]).collect();
        rewrite(&dir, |lines| lines[0].clone_from(&line));
        assert!(matches!(
            read_run_dir(dir.path()),
            Err(ExportError::Other { .. })
        ));
        let dir = exported();
        rewrite(&dir, |lines| lines.push(line));
        assert!(matches!(
            read_run_dir(dir.path()),
            Err(ExportError::Extra { extra: 1, .. })
        ));
    }

    #[test]
    fn one_name_with_two_contents_is_refused() {
        let dir = exported();
        let mut other = records()[0].clone();
        other.payload.push(1);
        let line: String = journal_lines([&other]).collect();
        rewrite(&dir, |lines| lines.push(line));
        assert!(matches!(
            read_run_dir(dir.path()),
            Err(ExportError::Damaged {
                line: 41,
                why: Damage::Twice,
                ..
            })
        ));
    }

    #[test]
    fn a_record_of_another_run_is_refused() {
        let dir = exported();
        let mut other = records()[0].clone();
        other.run = "r2".parse().unwrap();
        let line: String = journal_lines([&other]).collect();
        rewrite(&dir, |lines| lines.push(line));
        assert!(matches!(
            read_run_dir(dir.path()),
            Err(ExportError::Damaged {
                why: Damage::OtherRun,
                ..
            })
        ));
    }

    #[test]
    fn a_line_without_end_is_not_read_into_memory() {
        let dir = exported();
        std::fs::write(dir.path().join(JOURNAL), vec![b'{'; LINE_MAX * 2]).unwrap();
        assert!(matches!(
            read_run_dir(dir.path()),
            Err(ExportError::Damaged {
                line: 1,
                why: Damage::TooLong,
                ..
            })
        ));
    }

    #[test]
    fn the_largest_record_fits_into_a_line() {
        let mut record = records().remove(0);
        record.payload = vec![0xff; PAYLOAD_MAX];
        record.key.agent = "a".repeat(63).parse().unwrap();
        record.run = "r".repeat(63).parse().unwrap();
        record.key.seq = Seq(u64::MAX);
        let line: String = journal_lines([&record]).collect();
        assert_eq!(parse(line.as_bytes()).unwrap().1, record);
    }

    #[test]
    fn a_later_format_is_named() {
        let dir = exported();
        let later = r#"{"schema":"nepho.export/v2","else":1}"#;
        std::fs::write(dir.path().join(MANIFEST), later).unwrap();
        let error = read_run_dir(dir.path()).unwrap_err().to_string();
        assert!(error.contains("nepho.export/v2"), "{error}");
    }
}
