//! The directory of a spool: `id`, `lock`, `ack`, `ballast`, and segments named after their first
//! number. What can't be read is renamed to `*.quarantine` and left for a person to look at.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nepho_common::id::{Seq, SpoolId};
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};

use super::{
    SpoolError,
    segment::{self, HEADER, Place, Scan},
};
use crate::{durable, random};

const SUFFIX: &str = "seg";

/// Room that is kept for a full disk: enough to write acknowledgements down, after which segments
/// may go. It is given up when it is needed and taken again when there is room.
const BALLAST: u64 = 256 << 10;

/// Numbers far beyond what any agent will ever write; a header that says more is not believed.
const SEQ_MAX: u64 = 1 << 62;

/// A spool's directory, locked.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

/// Segments that can be read, and what was set aside.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By first number.
    pub(super) scans: BTreeMap<Seq, Scan>,
    /// How many files were set aside.
    pub(super) aside: u64,
    /// Where numbers may go on at the earliest: a file that was set aside may have held some.
    pub(super) beyond: Seq,
}

impl Directory {
    /// Makes it if it is not there, and locks it.
    pub(super) fn open(path: PathBuf) -> Result<Self, SpoolError> {
        let mut make = fs::DirBuilder::new();
        make.recursive(true).mode(0o700);
        make.create(&path).map_err(failed("make", &path))?;
        let lock = lock(&path.join("lock"))?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn segment(&self, first: Seq) -> PathBuf {
        self.path.join(format!("{:020}.{SUFFIX}", first.0))
    }

    /// Looks through every segment. One that can't be read, or is not what its name says, is set
    /// aside.
    pub(super) fn scan(&self) -> Result<Found, SpoolError> {
        let mut found = Found::default();
        for entry in fs::read_dir(&self.path).map_err(failed("list", &self.path))? {
            let path = entry.map_err(failed("list", &self.path))?.path();
            let suffix = path.extension();
            if suffix.is_some_and(|suffix| suffix == "new") {
                // A crash came before it was put into place.
                fs::remove_file(&path).map_err(failed("delete", &path))?;
            }
            if suffix.is_none_or(|suffix| suffix != SUFFIX) {
                continue;
            }
            let bytes = fs::read(&path).ok();
            let scan = bytes.as_deref().and_then(segment::scan);
            match scan.filter(|scan| scan.first.0 < SEQ_MAX && self.segment(scan.first) == path) {
                Some(scan) => {
                    found.scans.insert(scan.first, scan);
                }
                // The crash came while it was made: nothing was in it yet.
                None if bytes.as_ref().is_some_and(|bytes| bytes.len() <= HEADER) => {
                    fs::remove_file(&path).map_err(failed("delete", &path))?;
                }
                None => {
                    found.aside += 1;
                    found.beyond = found.beyond.max(most_in(&path));
                    set_aside(&path)?;
                }
            }
        }
        Ok(found)
    }

    /// Sets every segment aside: none of them says anything.
    pub(super) fn set_all_aside(
        &self,
        firsts: impl IntoIterator<Item = Seq>,
    ) -> Result<(), SpoolError> {
        let mut firsts = firsts.into_iter();
        firsts.try_for_each(|first| set_aside(&self.segment(first)))
    }

    /// The spool's identity: the file's, or the one that the segments have.
    pub(super) fn identity(&self, scans: &BTreeMap<Seq, Scan>) -> Result<SpoolId, SpoolError> {
        let path = self.path.join("id");
        let found = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let id: Option<SpoolId> = found.as_deref().and_then(|text| text.trim().parse().ok());
        let agrees = |id: &SpoolId| scans.values().any(|scan| scan.spool == *id);
        if let Some(id) = id.filter(|id| scans.is_empty() || agrees(id)) {
            return Ok(id);
        }
        match (found, scans.values().next()) {
            (_, Some(scan)) => self.set_identity(scan.spool),
            (None, None) => self.new_identity(),
            (Some(_), None) => Err(SpoolError::Id(path)),
        }
    }

    /// Numbers begin anew under a name that nobody has heard of. Whenever a crash comes, the next
    /// start finds the old name with its numbers, or none.
    pub(super) fn new_identity(&self) -> Result<SpoolId, SpoolError> {
        let path = self.path.join("id");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("delete", &path)(error));
            }
            Ok(()) | Err(_) => {}
        }
        self.acknowledge(Seq(0))?;
        self.set_identity(SpoolId::new(
            random::bytes().map_err(failed("draw", &path))?,
        ))
    }

    fn set_identity(&self, id: SpoolId) -> Result<SpoolId, SpoolError> {
        let path = self.path.join("id");
        let text = format!("{id}\n");
        durable::replace(&path, text.as_bytes(), 0o600).map_err(failed("write", &path))?;
        Ok(id)
    }

    /// Up to where everything was acknowledged; `None` when the file is spoilt.
    pub(super) fn acknowledged(&self) -> Result<Option<Seq>, SpoolError> {
        let path = self.path.join("ack");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(read_ack(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(Seq(0))),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Writes an acknowledgement down. On a full disk the ballast makes room for it.
    pub(super) fn acknowledge(&self, seq: Seq) -> Result<(), SpoolError> {
        let path = self.path.join("ack");
        let text = ack_text(seq);
        let write = || durable::replace(&path, text.as_bytes(), 0o600);
        write()
            .or_else(|_| {
                self.drop_ballast();
                write()
            })
            .map_err(failed("write", &path))
    }

    /// A new segment. A file of that name has only what was never synced.
    pub(super) fn create(&self, id: SpoolId, first: Seq) -> Result<File, SpoolError> {
        let path = self.segment(first);
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
            durable::sync_dir(&self.path)?;
            Ok(file)
        };
        make().map_err(failed("make", &path))
    }

    /// The last segment, cut to what is sound in it.
    pub(super) fn reopen(&self, first: Seq, sound: u64) -> Result<File, SpoolError> {
        let path = self.segment(first);
        let open = || {
            let file = OpenOptions::new().read(true).write(true).open(&path)?;
            file.set_len(sound)?;
            Ok(file)
        };
        open().map_err(failed("open", &path))
    }

    /// What the disk, not the kernel's memory, has of a segment. `None` when it does not say.
    pub(super) fn verify(&self, first: Seq) -> Option<Vec<Option<Place>>> {
        let file = File::open(self.segment(first)).ok()?;
        // Whoever refuses the advice lets us read what it has.
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).ok();
        drop(file);
        let bytes = fs::read(self.segment(first)).ok()?;
        segment::scan(&bytes).map(|scan| scan.places)
    }

    /// Puts a segment that holds the same records into the place of another.
    pub(super) fn replace(&self, first: Seq, content: &[u8]) -> io::Result<()> {
        durable::replace(&self.segment(first), content, 0o600)
    }

    pub(super) fn remove(&self, first: Seq) -> Result<(), SpoolError> {
        let path = self.segment(first);
        fs::remove_file(&path).map_err(failed("delete", &path))
    }

    fn drop_ballast(&self) {
        // It may have been given up already.
        fs::remove_file(self.path.join("ballast")).ok();
    }

    /// Takes the ballast if there is room for it.
    pub(super) fn take_ballast(&self) {
        let path = self.path.join("ballast");
        if path.exists() {
            return;
        }
        let take = || {
            let file = OpenOptions::new()
                .create_new(true)
                .write(true)
                .mode(0o600)
                .open(&path)?;
            fallocate(&file, FallocateFlags::empty(), 0, BALLAST)?;
            file.sync_all()
        };
        if take().is_err() {
            self.drop_ballast();
        }
    }
}

/// With a check of its own: a wrong number would silently give up what was never sent.
fn ack_text(seq: Seq) -> String {
    let number = seq.0.to_string();
    format!("{number} {:08x}\n", crc32fast::hash(number.as_bytes()))
}

pub(super) fn read_ack(text: &str) -> Option<Seq> {
    let number = text.split_whitespace().next()?.parse().ok()?;
    let seq = Seq(number);
    (number < SEQ_MAX && ack_text(seq) == text).then_some(seq)
}

/// How far the numbers of a file may have gone that can't be read any more.
fn most_in(path: &Path) -> Seq {
    /// A frame with the smallest record: its name alone takes more.
    const FRAME_MIN: u64 = 32;
    let first = path
        .file_stem()
        .and_then(|stem| stem.to_str()?.parse().ok());
    let length = fs::metadata(path).map_or(0, |file| file.len());
    let first: u64 = first.filter(|first| *first < SEQ_MAX).unwrap_or(0);
    Seq(first + length / FRAME_MIN)
}

fn set_aside(path: &Path) -> Result<(), SpoolError> {
    tracing::error!(path = %path.display(), "a segment can't be read and is set aside as *.quarantine");
    let aside = path.with_extension("quarantine");
    fs::rename(path, &aside).map_err(failed("set aside", path))
}

pub(super) fn failed(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| SpoolError::File { act, path, source }
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
