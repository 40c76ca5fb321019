//! Room in a spool that is as large as it may be: the recordings of its oldest segments merge.
//!
//! A record is named by its number for ever, so what may have been sent is not touched: whatever was
//! given to whoever sends, and whatever was there when this process began, for an earlier one may
//! have sent it. Of the rest a whole segment is written anew, with the same numbers, and put into its
//! place by a rename: a crash leaves the one or the other, and both hold the same values. A segment of
//! which something may yet be rolled back is not touched either, for values move within it.

use std::mem;

use nepho_common::{id::Seq, journal::Record};
use nepho_proto::journal;

use super::{FRAME, HEADER, Segment, Store, segment};
use crate::{
    chain::Chain,
    hold,
    spool::{
        Draft, SpoolError,
        directory::failed,
        merge::{self, Merged},
    },
};

/// A segment that shrinks by less than an eighth is left as it is: the next call looks at the next.
const WORTH: u64 = 8;

impl Store {
    /// Whether so many drafts find room.
    pub(in crate::spool) fn has_room_for<'a>(
        &self,
        drafts: impl IntoIterator<Item = &'a Draft>,
    ) -> bool {
        /// What a record takes beside its payload: frame, key and the names in it.
        const BESIDE: u64 = 512;
        let each = drafts.into_iter().map(|draft| draft.payload.len() as u64);
        let size: u64 = each.map(|payload| payload + BESIDE).sum();
        self.bytes() + size <= self.sizes.quota
    }

    /// Merges the recordings of the oldest segment that nobody was sent anything of. `None` when
    /// there is none any more.
    pub(in crate::spool) fn coarsen(&mut self) -> Option<Vec<Merged>> {
        loop {
            let last = *self.segments.last_key_value()?.0;
            let may = |(first, segment): &(&Seq, &Segment)| {
                let end = first.0 + segment.places.len() as u64;
                let is_kept = end <= self.synced.0 + 1;
                is_kept && **first > self.handed && **first < last && !segment.is_coarse
            };
            let first = *self.segments.iter().find(may)?.0;
            self.segments.get_mut(&first)?.is_coarse = true;
            match self.coarsen_one(first) {
                Ok(merged) if merged.is_empty() => {}
                Ok(merged) => return Some(merged),
                Err(error) => {
                    // The old segment is still there, or the new one is: both are whole.
                    tracing::warn!(error = %Chain(&error), "a segment can't be merged");
                    self.look_again(first);
                }
            }
        }
    }

    fn coarsen_one(&mut self, first: Seq) -> Result<Vec<Merged>, SpoolError> {
        let Some(segment) = self.segments.get(&first) else {
            return Ok(Vec::new());
        };
        let (count, before) = (segment.places.len() as u64, segment.length);
        let numbers = (first.0..first.0 + count).map(Seq);
        // One with a hole stays: the hole has to be told under its own number.
        let records: Option<Vec<Record>> = numbers.map(|seq| self.sound(seq)).collect();
        let Some(mut records) = records else {
            return Ok(Vec::new());
        };
        // Moved, not copied: it is eight megabytes.
        let draft = |record: &mut Record| Draft {
            kind: record.kind,
            version: record.version,
            run: record.run.clone(),
            payload: mem::take(&mut record.payload),
        };
        let mut drafts: Vec<_> = records.iter_mut().map(draft).collect();
        let merged = merge::merge(&self.agent, drafts.iter_mut().collect());
        let path = self.directory.segment(first);
        let mut file = segment::header(self.id, first).to_vec();
        for (mut record, draft) in records.into_iter().zip(drafts) {
            record.payload = draft.payload;
            let Some(frame) = segment::frame(&journal::to_bytes(&record)) else {
                return Ok(Vec::new());
            };
            file.extend(frame);
        }
        let after = file.len() as u64;
        if merged.is_empty() || after > before - before / WORTH {
            return Ok(Vec::new());
        }
        hold::block_at("spool.before-merge");
        self.directory
            .replace(first, &file)
            .map_err(failed("merge", &path))?;
        hold::block_at("spool.after-merge");
        self.look_again(first);
        tracing::warn!(segment = %path.display(), before, after, "the spool is as large as it may be: old recordings were merged");
        Ok(merged)
    }

    /// Where the records of a segment lie that may have been written anew.
    fn look_again(&mut self, first: Seq) {
        let found = self.directory.verify(first).unwrap_or_default();
        let Some(segment) = self.segments.get_mut(&first) else {
            return;
        };
        for (index, place) in segment.places.iter_mut().enumerate() {
            *place = found.get(index).copied().flatten();
        }
        let end = segment.places.iter().rev().find_map(|place| *place);
        segment.length = end.map_or(HEADER as u64, |place| place.end());
        debug_assert!(
            segment.length >= (HEADER + FRAME) as u64,
            "a segment was merged away"
        );
    }
}

#[cfg(test)]
#[cfg(feature = "hold-points")]
mod killed;
#[cfg(test)]
mod tests;
