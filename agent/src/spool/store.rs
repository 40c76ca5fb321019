//! The directory of a spool: `id`, `lock`, `ack` and segments named after their first number.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nepho_common::{
    id::{AgentId, Seq, SpoolId},
    journal::{FORMAT, Record, RecordKey},
};
use nepho_proto::journal;
use rustix::fs::{FlockOperation, flock};

use super::{
    Draft, SpoolError, Standing,
    segment::{self, FRAME, HEADER, Place, Scan},
};
use crate::{durable, random};

/// A segment is deleted as a whole, so this much may stay after its last record was acknowledged.
const SEGMENT: u64 = 8 << 20;
const SUFFIX: &str = "seg";

/// The files. Every call may block on the disk.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    agent: AgentId,
    id: SpoolId,
    /// By first number. The last one is written to.
    segments: BTreeMap<Seq, Vec<Option<Place>>>,
    tail: File,
    tail_length: u64,
    last: Seq,
    acked: Seq,
    damaged: u64,
    segment_max: u64,
    _lock: File,
}

impl Store {
    /// Opens or makes the spool of `agent` in `dir`. What a crash tore is cut off.
    ///
    /// # Errors
    /// The directory can't be used.
    pub fn open(dir: PathBuf, agent: AgentId) -> Result<Self, SpoolError> {
        Self::open_with(dir, agent, SEGMENT)
    }

    fn open_with(dir: PathBuf, agent: AgentId, segment_max: u64) -> Result<Self, SpoolError> {
        let mut make = fs::DirBuilder::new();
        make.recursive(true).mode(0o700);
        make.create(&dir).map_err(failed("make", &dir))?;
        let lock = lock(&dir.join("lock"))?;
        let mut damaged = 0;
        let scans = scan(&dir, &mut damaged)?;
        let id = identity(&dir, scans.values().next())?;
        let acked = acknowledged(&dir.join("ack"), &mut damaged)?;
        let mut segments = BTreeMap::new();
        let mut last = acked;
        let mut tail = None;
        for (first, scan) in scans {
            if scan.spool != id || last.next() < first && !segments.is_empty() {
                // Of another spool, or numbers before it are gone: said, not repaired.
                damaged += 1;
            }
            if scan.spool != id {
                continue;
            }
            damaged += scan.places.iter().filter(|place| place.is_none()).count() as u64;
            last = last.max(Seq((first.0 + scan.places.len() as u64).saturating_sub(1)));
            tail = Some((first, scan.sound));
            segments.insert(first, scan.places);
        }
        let (tail, tail_length) = match tail {
            // Numbers go on where the last segment ends, and each segment counts from its first.
            Some((first, sound)) if end(&segments, first) == last.next() => {
                (reopen(&path(&dir, first), sound)?, sound)
            }
            Some(_) | None => {
                segments.insert(last.next(), Vec::new());
                (create(&dir, id, last.next())?, HEADER as u64)
            }
        };
        if damaged > 0 {
            tracing::warn!(damaged, dir = %dir.display(), "parts of the spool can't be read");
        }
        let mut store = Self {
            dir,
            agent,
            id,
            segments,
            tail,
            tail_length,
            last,
            acked,
            damaged,
            segment_max,
            _lock: lock,
        };
        // A killed process leaves records that are whole but not yet on disk.
        store.sync()?;
        store.unlink_acknowledged()?;
        Ok(store)
    }

    /// Its identity.
    #[must_use]
    pub const fn id(&self) -> SpoolId {
        self.id
    }

    /// Where it stands.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        Standing {
            acked: self.acked,
            written: self.last,
            damaged: self.damaged,
        }
    }

    /// The last record's number; zero when there was never one.
    #[must_use]
    pub const fn last(&self) -> Seq {
        self.last
    }

    /// Writes a record. It is not safe before [`Self::sync`].
    ///
    /// # Errors
    /// The disk is full or broken. What is in the file then is found out by opening it again.
    pub fn append(&mut self, draft: Draft) -> Result<Seq, SpoolError> {
        if self.tail_length >= self.segment_max {
            self.sync()?;
            let first = self.last.next();
            self.tail = create(&self.dir, self.id, first)?;
            self.tail_length = HEADER as u64;
            self.segments.insert(first, Vec::new());
        }
        let seq = self.last.next();
        let record = Record {
            format: FORMAT,
            kind: draft.kind,
            version: draft.version,
            key: RecordKey {
                agent: self.agent.clone(),
                spool: self.id,
                seq,
            },
            run: draft.run,
            payload: draft.payload,
        };
        let (first, places) = self
            .segments
            .last_entry()
            .map(|entry| (*entry.key(), entry.into_mut()))
            .expect("open and append leave a last segment");
        let path = path(&self.dir, first);
        let frame = segment::frame(&journal::to_bytes(&record))
            .ok_or_else(|| io::Error::other("the record is larger than any reader takes"))
            .map_err(failed("write", &path))?;
        self.tail
            .write_all_at(&frame, self.tail_length)
            .map_err(failed("write", &path))?;
        let length = u32::try_from(frame.len() - FRAME).expect("a frame was made of it");
        let offset = self.tail_length;
        places.push(Some(Place { offset, length }));
        self.tail_length += frame.len() as u64;
        self.last = seq;
        Ok(seq)
    }

    /// Everything that was appended is on disk.
    ///
    /// # Errors
    /// The disk fails. It must not be tried again: the kernel may have dropped the pages.
    pub fn sync(&mut self) -> Result<(), SpoolError> {
        self.tail.sync_data().map_err(failed("sync", &self.dir))
    }

    /// A record; `None` when it was unlinked, never written, or is damaged.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn read(&self, seq: Seq) -> Result<Option<Record>, SpoolError> {
        let Some((&first, places)) = self.segments.range(..=seq).next_back() else {
            return Ok(None);
        };
        let index = usize::try_from(seq.0 - first.0).unwrap_or(usize::MAX);
        let Some(&Some(Place { offset, length })) = places.get(index) else {
            return Ok(None);
        };
        let path = path(&self.dir, first);
        let mut frame = vec![0; FRAME + length as usize];
        let is_tail = self.segments.last_key_value().map(|(last, _)| *last) == Some(first);
        if is_tail {
            self.tail.read_exact_at(&mut frame, offset)
        } else {
            File::open(&path).and_then(|file| file.read_exact_at(&mut frame, offset))
        }
        .map_err(failed("read", &path))?;
        let record = segment::unframe(&frame).and_then(|bytes| journal::from_bytes(bytes).ok());
        let record = record.filter(|record| record.key.seq == seq && record.key.spool == self.id);
        if record.is_none() {
            tracing::warn!(%seq, path = %path.display(), "a record was spoilt on disk");
        }
        Ok(record)
    }

    /// Everything up to `seq` is in the controller's store. What is not needed any more goes, but
    /// only after the acknowledgement itself is on disk: else numbers could be used twice.
    ///
    /// # Errors
    /// The disk is full or broken.
    pub fn acknowledged(&mut self, seq: Seq) -> Result<(), SpoolError> {
        if seq <= self.acked || seq > self.last {
            return Ok(());
        }
        let path = self.dir.join("ack");
        durable::replace(&path, format!("{}\n", seq.0).as_bytes(), 0o600)
            .map_err(failed("write", &path))?;
        self.acked = seq;
        self.unlink_acknowledged()
    }

    /// The last segment stays in any case: it says where numbers go on.
    fn unlink_acknowledged(&mut self) -> Result<(), SpoolError> {
        while let Some(&next) = self.segments.keys().nth(1) {
            if next > self.acked.next() {
                break;
            }
            if let Some((first, _)) = self.segments.pop_first() {
                let path = path(&self.dir, first);
                fs::remove_file(&path).map_err(failed("delete", &path))?;
            }
        }
        Ok(())
    }
}

fn failed(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| SpoolError::File { act, path, source }
}

fn path(dir: &Path, first: Seq) -> PathBuf {
    dir.join(format!("{:020}.{SUFFIX}", first.0))
}

fn end(segments: &BTreeMap<Seq, Vec<Option<Place>>>, first: Seq) -> Seq {
    Seq(first.0 + segments.get(&first).map_or(0, |places| places.len() as u64))
}

fn lock(path: &Path) -> Result<File, SpoolError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("open", path))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| SpoolError::Locked(path.to_owned()))?;
    Ok(file)
}

/// Every segment that can be read. One without a sound header is set aside.
fn scan(dir: &Path, damaged: &mut u64) -> Result<BTreeMap<Seq, Scan>, SpoolError> {
    let mut scans = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(failed("list", dir))? {
        let path = entry.map_err(failed("list", dir))?.path();
        if path.extension().is_none_or(|suffix| suffix != SUFFIX) {
            continue;
        }
        let bytes = fs::read(&path).map_err(failed("read", &path))?;
        match segment::scan(&bytes) {
            Some(scan) => {
                scans.insert(scan.first, scan);
            }
            // The crash came while it was made: nothing was in it yet.
            None if bytes.len() <= HEADER => {
                fs::remove_file(&path).map_err(failed("delete", &path))?;
            }
            None => {
                *damaged += 1;
                let aside = path.with_extension("bad");
                fs::rename(&path, &aside).map_err(failed("set aside", &path))?;
            }
        }
    }
    Ok(scans)
}

fn identity(dir: &Path, oldest: Option<&Scan>) -> Result<SpoolId, SpoolError> {
    let path = dir.join("id");
    let found = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed("read", &path)(error)),
    };
    if let Some(id) = found.as_deref().and_then(|text| text.trim().parse().ok()) {
        return Ok(id);
    }
    let id = match (found, oldest) {
        (_, Some(scan)) => scan.spool,
        (None, None) => SpoolId::new(random::bytes().map_err(failed("draw", &path))?),
        (Some(_), None) => return Err(SpoolError::Id(path)),
    };
    durable::replace(&path, format!("{id}\n").as_bytes(), 0o600).map_err(failed("write", &path))?;
    Ok(id)
}

fn acknowledged(path: &Path, damaged: &mut u64) -> Result<Seq, SpoolError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().parse().map_or_else(
            |_| {
                // Then everything that is still there is sent again, which does no harm.
                *damaged += 1;
                Seq(0)
            },
            Seq,
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Seq(0)),
        Err(error) => Err(failed("read", path)(error)),
    }
}

fn create(dir: &Path, id: SpoolId, first: Seq) -> Result<File, SpoolError> {
    let path = path(dir, first);
    let make = || {
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)?;
        (&file).write_all(&segment::header(id, first))?;
        file.sync_all()?;
        durable::sync_dir(dir)?;
        Ok(file)
    };
    make().map_err(failed("make", &path))
}

fn reopen(path: &Path, sound: u64) -> Result<File, SpoolError> {
    let open = || {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        file.set_len(sound)?;
        Ok(file)
    };
    open().map_err(failed("open", path))
}

#[cfg(test)]
mod tests {
    use nepho_common::journal::RecordKind;
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    fn open(dir: &TempDir) -> Store {
        Store::open_with(dir.path().into(), "a".parse().unwrap(), 500).unwrap()
    }

    fn draft(n: usize) -> Draft {
        Draft {
            kind: RecordKind::Recordings,
            version: 1,
            run: "r".parse().unwrap(),
            payload: vec![u8::try_from(n % 251).unwrap(); n],
        }
    }

    fn segments(dir: &TempDir) -> Vec<PathBuf> {
        let mut found: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|suffix| suffix == SUFFIX))
            .collect();
        found.sort();
        found
    }

    #[test]
    fn everything_reads_back_over_many_segments_and_a_new_start() {
        let dir = TempDir::new().unwrap();
        let mut store = open(&dir);
        for n in 1..=30 {
            assert_eq!(store.append(draft(n)).unwrap(), Seq(n as u64));
        }
        store.sync().unwrap();
        let id = store.id();
        assert!(segments(&dir).len() > 3);
        drop(store);
        let mut store = open(&dir);
        assert_eq!((store.id(), store.last()), (id, Seq(30)));
        for n in 1..=30 {
            let record = store.read(Seq(n as u64)).unwrap().unwrap();
            assert_eq!(record.payload, draft(n).payload);
        }
        assert_eq!(store.append(draft(1)).unwrap(), Seq(31));
        assert_eq!(store.standing().damaged, 0);
    }

    #[test]
    fn what_is_acknowledged_goes_and_numbers_are_never_used_twice() {
        let dir = TempDir::new().unwrap();
        let mut store = open(&dir);
        for n in 1..=30 {
            store.append(draft(n)).unwrap();
        }
        store.sync().unwrap();
        let before = segments(&dir).len();
        store.acknowledged(Seq(15)).unwrap();
        let between = segments(&dir).len();
        assert!(between < before && between > 1);
        assert!(store.read(Seq(16)).unwrap().is_some());
        store.acknowledged(Seq(40)).unwrap();
        assert_eq!(
            store.standing().acked,
            Seq(15),
            "the future is not believed"
        );
        store.acknowledged(Seq(30)).unwrap();
        assert_eq!(segments(&dir).len(), 1);
        drop(store);
        fs::remove_file(dir.path().join("ack")).unwrap();
        assert_eq!(open(&dir).append(draft(1)).unwrap(), Seq(31));
    }

    #[test]
    fn a_spoilt_record_is_counted_and_passed_over() {
        let dir = TempDir::new().unwrap();
        let mut store = open(&dir);
        for n in 1..=3 {
            store.append(draft(n)).unwrap();
        }
        store.sync().unwrap();
        drop(store);
        let path = &segments(&dir)[0];
        let mut bytes = fs::read(path).unwrap();
        bytes[HEADER + FRAME] ^= 1;
        fs::write(path, bytes).unwrap();
        let store = open(&dir);
        assert_eq!(store.standing().damaged, 1);
        assert_eq!(store.read(Seq(1)).unwrap(), None);
        assert!(store.read(Seq(2)).unwrap().is_some());
        assert_eq!(store.last(), Seq(3));
    }

    #[test]
    fn a_lost_id_is_found_in_the_segments_and_a_spoilt_segment_is_set_aside() {
        let dir = TempDir::new().unwrap();
        let mut store = open(&dir);
        store.append(draft(1)).unwrap();
        let id = store.id();
        drop(store);
        fs::write(dir.path().join("id"), "rubbish").unwrap();
        assert_eq!(open(&dir).id(), id);
        let path = &segments(&dir)[0];
        let mut bytes = fs::read(path).unwrap();
        bytes[0] ^= 1;
        fs::write(path, bytes).unwrap();
        let store = open(&dir);
        assert_eq!((store.standing().damaged, store.id()), (1, id));
        assert!(path.with_extension("bad").exists());
    }

    #[test]
    fn a_crash_while_a_segment_is_made_does_no_harm() {
        let dir = TempDir::new().unwrap();
        let mut store = open(&dir);
        store.append(draft(1)).unwrap();
        store.sync().unwrap();
        drop(store);
        fs::write(path(dir.path(), Seq(2)), b"NEPHO").unwrap();
        let mut store = open(&dir);
        assert_eq!(store.append(draft(2)).unwrap(), Seq(2));
        assert!(store.read(Seq(1)).unwrap().is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_synced_survives_any_loss_of_what_was_not(
            synced in 0usize..12, more in 1usize..12, lost in 0u64..3000, noise in 0usize..20,
        ) {
            let dir = TempDir::new().unwrap();
            let mut store =
                Store::open_with(dir.path().into(), "a".parse().unwrap(), 1 << 20).unwrap();
            for n in 0..synced {
                store.append(draft(n + 1)).unwrap();
            }
            store.sync().unwrap();
            let safe = store.tail_length;
            for n in synced..synced + more {
                store.append(draft(n + 1)).unwrap();
            }
            let length = store.tail_length;
            drop(store);
            let kept = length.saturating_sub(lost).max(safe);
            let path = &segments(&dir)[0];
            let mut bytes = fs::read(path).unwrap();
            bytes.truncate(usize::try_from(kept).unwrap());
            bytes.resize(bytes.len() + noise, 0);
            fs::write(path, bytes).unwrap();
            let mut store = open(&dir);
            prop_assert!(store.last() >= Seq(synced as u64));
            for n in 0..store.last().0 {
                let record = store.read(Seq(n + 1)).unwrap().unwrap();
                prop_assert_eq!(record.payload.len() as u64, n + 1);
            }
            let next = store.last().next();
            prop_assert_eq!(store.append(draft(7)).unwrap(), next);
            prop_assert_eq!(store.read(next).unwrap().unwrap().payload, draft(7).payload);
        }
    }
}
