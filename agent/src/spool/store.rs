//! The records of a spool: numbered, appended, synced, read, acknowledged.
//!
//! What a write or a sync that failed leaves in a file is nobody's knowledge. So the store goes
//! back to what was synced, looks at what the disk really has of it, and goes on in another file;
//! whoever holds the records writes them again. Their numbers were never sent.

mod coarsen;

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use nepho_common::{
    id::{AgentId, Seq, SpoolId},
    journal::{FORMAT, Record, RecordKey},
};
use nepho_proto::journal;

use super::{
    Draft, SpoolError, Standing,
    directory::{Directory, Found, failed},
    gap::{self, Hole},
    segment::{self, FRAME, HEADER, Place},
};

/// A segment is deleted as a whole, so this much may stay after its last record was acknowledged.
const SEGMENT: u64 = 8 << 20;

/// How much may lie on disk, 256 MiB: what 40 services in three stages leave in some 20 days
/// without a controller, and small beside what a host keeps of logs. Beyond it old recordings merge;
/// when none are left, results wait in memory as on a full disk.
pub(super) const QUOTA: u64 = 256 << 20;

/// The sizes of a store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) segment: u64,
    pub(super) quota: u64,
}

/// The files. Every call may block on the disk.
#[derive(Debug)]
pub struct Store {
    directory: Directory,
    agent: AgentId,
    id: SpoolId,
    /// By first number: where the n-th record after it lies, if it can be read.
    segments: BTreeMap<Seq, Segment>,
    /// The last segment, when it is written to.
    tail: Option<File>,
    last: Seq,
    synced: Seq,
    acked: Seq,
    damaged: u64,
    sizes: Sizes,
    hole: Option<Hole>,
    /// Everything up to here may have been sent, by this process or an earlier one.
    handed: Seq,
}

#[derive(Debug, Default)]
struct Segment {
    places: Vec<Option<Place>>,
    /// Up to where it is filled.
    length: u64,
    /// Its recordings were merged, or can't be.
    is_coarse: bool,
}

impl Store {
    /// Opens or makes the spool of `agent` in `dir`. What a crash tore is cut off.
    ///
    /// # Errors
    /// The directory can't be used.
    pub fn open(dir: PathBuf, agent: AgentId) -> Result<Self, SpoolError> {
        let sizes = Sizes {
            segment: SEGMENT,
            quota: QUOTA,
        };
        Self::open_with(dir, agent, sizes)
    }

    pub(super) fn open_with(
        dir: PathBuf,
        agent: AgentId,
        sizes: Sizes,
    ) -> Result<Self, SpoolError> {
        let directory = Directory::open(dir)?;
        let Found {
            mut scans,
            mut aside,
            beyond,
        } = directory.scan()?;
        let id = directory.identity(&scans)?;
        let foreign = |scan: &segment::Scan| scan.spool != id;
        let others: BTreeMap<_, _> = scans.extract_if(.., |_, scan| foreign(scan)).collect();
        directory.set_all_aside(others.keys().copied())?;
        aside += others.len() as u64;
        let acked = directory.acknowledged()?;
        let mut store = Self {
            directory,
            agent,
            id,
            segments: BTreeMap::new(),
            tail: None,
            last: Seq(0),
            synced: Seq(0),
            acked: acked.unwrap_or_default(),
            // Then everything that is still there is sent again, which does no harm.
            damaged: aside + u64::from(acked.is_none()),
            sizes,
            hole: None,
            handed: Seq(0),
        };
        let mut sound = None;
        for (first, scan) in scans {
            // After a failed sync the same numbers may stand in two files: the later one counts.
            if let Some((before, segment)) = store.segments.last_key_value() {
                let room = usize::try_from(first.0 - before.0).unwrap_or(usize::MAX);
                if segment.places.len() > room {
                    let before = *before;
                    store
                        .segments
                        .entry(before)
                        .and_modify(|s| s.places.truncate(room));
                }
            }
            let length = scan.sound;
            sound = Some((first, length));
            let places = scan.places;
            let segment = Segment {
                places,
                length,
                is_coarse: false,
            };
            store.segments.insert(first, segment);
        }
        let end = |(first, segment): (&Seq, &Segment)| first.0 + segment.places.len() as u64 - 1;
        let end = store.segments.last_key_value().map_or(0, end);
        store.last = Seq(end).max(store.acked).max(beyond);
        // Numbers go on where the last segment ends, and each segment counts from its first.
        if let Some((first, sound)) = sound.filter(|_| Seq(end) == store.last) {
            store.tail = Some(store.directory.reopen(first, sound)?);
        }
        // A killed process leaves records that are whole but not yet on disk.
        store.sync()?;
        store.look_for_holes()?;
        store.handed = store.last;
        store.unlink_acknowledged();
        store.directory.take_ballast();
        Ok(store)
    }

    /// Counts what is missing. When nothing of what is owed can be read, nobody knows any more what
    /// to say of it: numbers begin anew under a new identity, as in a new directory.
    fn look_for_holes(&mut self) -> Result<(), SpoolError> {
        let owed = self.last.0 - self.acked.0;
        let numbers = self.segments.iter().flat_map(|(first, segment)| {
            let numbered = (first.0..).zip(&segment.places);
            numbered.filter_map(|(seq, place)| place.map(|_| Seq(seq)))
        });
        let (mut any, mut readable) = (false, 0);
        for seq in numbers {
            any = true;
            readable += u64::from(seq > self.acked);
        }
        self.damaged += owed - readable;
        if owed > 0 && !any {
            self.directory
                .set_all_aside(self.segments.keys().copied())?;
            self.id = self.directory.new_identity()?;
            (self.segments, self.tail) = (BTreeMap::new(), None);
            (self.last, self.synced, self.acked) = (Seq(0), Seq(0), Seq(0));
        }
        if self.damaged > 0 {
            let (damaged, dir) = (self.damaged, self.directory.path());
            tracing::warn!(damaged, dir = %dir.display(), "parts of the spool can't be read");
        }
        Ok(())
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
            written: self.synced,
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
    /// The disk is full or broken, or the spool is as large as it may be: [`Self::roll_back`].
    pub fn append(&mut self, draft: &Draft) -> Result<Seq, SpoolError> {
        let seq = self.last.next();
        let frame = segment::frame(&journal::to_bytes(&self.record(seq, draft)))
            .ok_or_else(|| io::Error::other("the record is larger than any reader takes"))
            .map_err(failed("write", self.directory.path()))?;
        let size = frame.len() as u64;
        if self.bytes() + size > self.sizes.quota {
            return Err(SpoolError::Quota(self.sizes.quota));
        }
        let full = |(_, segment): (&Seq, &Segment)| segment.length >= self.sizes.segment;
        if self.segments.last_key_value().is_some_and(full) {
            // Only the last file may be torn. It promises nothing yet.
            self.sync_tail()?;
            self.tail = None;
        }
        if self.tail.is_none() {
            self.tail = Some(self.directory.create(self.id, seq)?);
            let length = HEADER as u64;
            let segment = Segment {
                length,
                ..Segment::default()
            };
            self.segments.insert(seq, segment);
        }
        let (Some(tail), Some(mut entry)) = (&self.tail, self.segments.last_entry()) else {
            return Err(SpoolError::Gone);
        };
        let offset = entry.get().length;
        tail.write_all_at(&frame, offset)
            .map_err(failed("write", &self.directory.segment(*entry.key())))?;
        let length = u32::try_from(frame.len() - FRAME).expect("a frame was made of it");
        entry.get_mut().places.push(Some(Place { offset, length }));
        entry.get_mut().length += size;
        self.last = seq;
        Ok(seq)
    }

    /// Everything that was appended is on disk.
    ///
    /// # Errors
    /// The disk fails. It must not be tried again: the kernel may have dropped the pages.
    /// [`Self::roll_back`], and append again.
    pub fn sync(&mut self) -> Result<(), SpoolError> {
        self.sync_tail()?;
        self.synced = self.last;
        Ok(())
    }

    fn sync_tail(&self) -> Result<(), SpoolError> {
        let sync = self.tail.as_ref().map_or(Ok(()), File::sync_data);
        sync.map_err(failed("sync", self.directory.path()))
    }

    /// After a write or a sync that failed: forgets what was not synced, closes its file, and looks
    /// whether the disk really has what was.
    pub fn roll_back(&mut self) {
        self.tail = None;
        self.last = self.synced;
        // Whole segments of what was never synced; then the one that is half of each.
        let unsynced = self.segments.split_off(&self.synced.next());
        for first in unsynced.keys() {
            // What stays is cut off by the next start: a later file of these numbers counts.
            self.directory.remove(*first).ok();
        }
        let Some(mut entry) = self.segments.last_entry() else {
            return;
        };
        let first = *entry.key();
        let kept = usize::try_from(self.synced.0 + 1 - first.0).unwrap_or(usize::MAX);
        let segment = entry.get_mut();
        segment.places.truncate(kept);
        let on_disk = self.directory.verify(first).unwrap_or_default();
        let mut spoilt = 0;
        for (index, place) in segment.places.iter_mut().enumerate() {
            if place.is_some() && on_disk.get(index).copied().flatten() != *place {
                *place = None;
                spoilt += 1;
            }
        }
        let end = segment.places.iter().rev().find_map(|place| *place);
        segment.length = end.map_or(HEADER as u64, |place| place.end());
        if let Err(error) = self.directory.reopen(first, segment.length) {
            tracing::warn!(error = %crate::chain::Chain(&error), "the torn end stays until the next start");
        }
        if spoilt > 0 {
            self.damaged += spoilt;
            tracing::error!(
                spoilt,
                "the disk does not have records that it had promised to keep"
            );
        }
    }

    /// A record; `None` when it was acknowledged away or never written. In the place of one that
    /// is lost stands a record that says so: without it the store could never acknowledge what
    /// comes after.
    pub fn read(&mut self, seq: Seq) -> Option<Record> {
        if seq > self.synced {
            return None;
        }
        self.handed = seq.max(self.handed);
        if let Some(record) = self.sound(seq) {
            return Some(record);
        }
        let is_owed = seq > self.acked;
        is_owed.then(|| self.told(seq)).flatten()
    }

    /// The record itself, if it can be read. One that turns out to be spoilt is not looked at again.
    fn sound(&mut self, seq: Seq) -> Option<Record> {
        let place = self.place(seq)?;
        let (first, _) = self.segments.range(..=seq).next_back()?;
        let path = self.directory.segment(*first);
        let record = load(&path, place)
            .filter(|record| record.key.seq == seq && record.key.spool == self.id);
        if record.is_none() {
            tracing::error!(%seq, path = %path.display(), "a record was spoilt on disk");
            self.damaged += 1;
            let first = *first;
            let index = usize::try_from(seq.0 - first.0).unwrap_or(usize::MAX);
            let places = self.segments.get_mut(&first).map(|s| &mut s.places);
            if let Some(place) = places.and_then(|places| places.get_mut(index)) {
                *place = None;
            }
        }
        record
    }

    /// What is said in the place of a record that is lost, in the run that its neighbour belongs to.
    fn told(&mut self, seq: Seq) -> Option<Record> {
        if !self.hole.as_ref().is_some_and(|hole| hole.holds(seq)) {
            let is_lost =
                |seq: &Seq| *seq > self.acked && *seq <= self.synced && self.place(*seq).is_none();
            let down = (1..=seq.0).rev().map(Seq).take_while(is_lost).last();
            let up = (seq.0..).map(Seq).take_while(is_lost).last();
            let (from, to) = (down.unwrap_or(seq), up.unwrap_or(seq));
            let before = (1..from.0).rev().map(Seq).take(gap::NEIGHBOURS);
            let after = (to.0 + 1..=self.synced.0).map(Seq).take(gap::NEIGHBOURS);
            let neighbours: Vec<_> = before.chain(after).collect();
            let whose = neighbours.into_iter().find_map(|seq| {
                let record = self.sound(seq)?;
                let entry = journal::decode(&record).ok()?;
                Some((entry.run, entry.attempt))
            });
            let (run, attempt) = whose?;
            self.hole = Some(Hole {
                from,
                to,
                run,
                attempt,
            });
        }
        let key = self.key(seq);
        self.hole.as_ref().map(|hole| hole.record(key))
    }

    /// Everything up to `seq` is in the controller's store. What is not needed any more goes, but
    /// only after the acknowledgement itself is on disk: else numbers could be used twice. One that
    /// can't be written is forgotten: what it was for is sent again, which does no harm.
    pub fn acknowledged(&mut self, seq: Seq) {
        if seq <= self.acked || seq > self.synced {
            return;
        }
        match self.directory.acknowledge(seq) {
            Ok(()) => {
                self.acked = seq;
                self.unlink_acknowledged();
                self.directory.take_ballast();
            }
            Err(error) => {
                tracing::warn!(error = %crate::chain::Chain(&error), "an acknowledgement is not kept");
            }
        }
    }

    /// The last segment stays in any case: it says where numbers go on.
    fn unlink_acknowledged(&mut self) {
        while let Some((&next, _)) = self.segments.iter().nth(1) {
            let Some((&first, _)) = self.segments.first_key_value() else {
                break;
            };
            if next > self.acked.next() {
                break;
            }
            if let Err(error) = self.directory.remove(first) {
                tracing::warn!(error = %crate::chain::Chain(&error), "a segment can't be deleted");
                break;
            }
            self.segments.remove(&first);
        }
    }

    fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.length).sum()
    }

    fn place(&self, seq: Seq) -> Option<Place> {
        let (first, segment) = self.segments.range(..=seq).next_back()?;
        let index = usize::try_from(seq.0 - first.0).ok()?;
        segment.places.get(index).copied().flatten()
    }

    fn record(&self, seq: Seq, draft: &Draft) -> Record {
        Record {
            format: FORMAT,
            kind: draft.kind,
            version: draft.version,
            key: self.key(seq),
            run: draft.run.clone(),
            payload: draft.payload.clone(),
        }
    }

    fn key(&self, seq: Seq) -> RecordKey {
        RecordKey {
            agent: self.agent.clone(),
            spool: self.id,
            seq,
        }
    }
}

fn load(path: &Path, place: Place) -> Option<Record> {
    let mut frame = vec![0; FRAME + place.length as usize];
    File::open(path)
        .and_then(|file| file.read_exact_at(&mut frame, place.offset))
        .ok()?;
    segment::unframe(&frame).and_then(|bytes| journal::from_bytes(bytes).ok())
}

#[cfg(test)]
mod tests;
