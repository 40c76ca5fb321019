//! One file of the spool: a header, then frames of `length | CRC-32 | record`, numbers little
//! endian. The n-th frame holds the record with the number `first + n`.

use nepho_common::id::{Seq, SpoolId};
use nepho_proto::limits::RECORD_MAX;

const MAGIC: &[u8; 8] = b"NEPHOSPL";
const LAYOUT: u32 = 1;
/// Magic, layout, spool, first number, CRC-32 of these.
pub(super) const HEADER: usize = 8 + 4 + 16 + 8 + 4;
/// Length and CRC-32.
pub(super) const FRAME: usize = 4 + 4;

/// Where a record lies in its file. The length says how much to read; the CRC is checked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) length: u32,
}

impl Place {
    /// Where the next frame begins.
    pub(super) const fn end(self) -> u64 {
        self.offset + FRAME as u64 + self.length as u64
    }
}

/// What a file turned out to hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) spool: SpoolId,
    pub(super) first: Seq,
    /// One for each frame; `None` for one whose CRC is wrong.
    pub(super) places: Vec<Option<Place>>,
    /// Where the last sound frame ends. What follows was torn by a crash.
    pub(super) sound: u64,
}

pub(super) fn header(spool: SpoolId, first: Seq) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&LAYOUT.to_le_bytes());
    header[12..28].copy_from_slice(spool.bytes());
    header[28..36].copy_from_slice(&first.0.to_le_bytes());
    let crc = crc32fast::hash(&header[..36]);
    header[36..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// `record` as it is written. `None` when it is longer than any reader takes.
pub(super) fn frame(record: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(record.len())
        .ok()
        .filter(|_| record.len() <= RECORD_MAX && !record.is_empty())?;
    let mut frame = Vec::with_capacity(FRAME + record.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
    frame.extend_from_slice(record);
    Some(frame)
}

/// The record of a frame, if its CRC is right.
pub(super) fn unframe(frame: &[u8]) -> Option<&[u8]> {
    let (crc, record) = (u32_at(frame, 4)?, frame.get(FRAME..)?);
    (crc32fast::hash(record) == crc).then_some(record)
}

/// Looks through a whole file. `None` when even its header is not sound.
pub(super) fn scan(file: &[u8]) -> Option<Scan> {
    let (head, crc) = (file.get(..36)?, u32_at(file, 36)?);
    let is_ours = head.starts_with(MAGIC) && u32_at(head, 8)? == LAYOUT;
    if !is_ours || crc32fast::hash(head) != crc {
        return None;
    }
    let spool = SpoolId::try_from(head.get(12..28)?).ok()?;
    let first = Seq(u64::from_le_bytes(head.get(28..36)?.try_into().ok()?));
    let mut places = Vec::new();
    let mut at = HEADER;
    let mut sound = (HEADER as u64, 0);
    // A length of zero is what a file system may leave behind where data never arrived.
    while let Some(length) = u32_at(file, at).filter(|&length| length > 0) {
        let end = at + FRAME + length as usize;
        let Some(frame) = file.get(at..end).filter(|_| length as usize <= RECORD_MAX) else {
            break;
        };
        let offset = at as u64;
        places.push(unframe(frame).map(|_| Place { offset, length }));
        at = end;
        if places.last().is_some_and(Option::is_some) {
            sound = (at as u64, places.len());
        }
    }
    // Bad frames at the very end are what a power cut leaves of writes that were never synced, so
    // never sent: their numbers may be used again. In the middle they are damage.
    let (sound, count) = sound;
    places.truncate(count);
    Some(Scan {
        spool,
        first,
        places,
        sound,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(records: &[&[u8]]) -> Vec<u8> {
        let mut file = header(SpoolId::new([9; 16]), Seq(5)).to_vec();
        for record in records {
            file.extend(frame(record).unwrap());
        }
        file
    }

    #[test]
    fn a_file_reads_back_with_every_place() {
        let bytes = file(&[b"one", b"three"]);
        let found = scan(&bytes).unwrap();
        assert_eq!((found.spool, found.first), (SpoolId::new([9; 16]), Seq(5)));
        assert_eq!(found.sound, bytes.len() as u64);
        let at = found.places[1].unwrap().offset as usize;
        assert_eq!(unframe(&bytes[at..]), Some(&b"three"[..]));
    }

    #[test]
    fn a_torn_frame_ends_the_file_and_a_spoilt_one_is_passed_over() {
        let whole = file(&[b"one", b"two", b"three"]);
        for cut in 1..FRAME + 5 {
            let found = scan(&whole[..whole.len() - cut]).unwrap();
            assert_eq!(found.places.len(), 2, "cut by {cut}");
            assert_eq!(found.sound, file(&[b"one", b"two"]).len() as u64);
        }
        let mut spoilt = whole.clone();
        spoilt[HEADER + FRAME + 3 + FRAME] ^= 1;
        let found = scan(&spoilt).unwrap();
        let sound: Vec<_> = found.places.iter().map(Option::is_some).collect();
        assert_eq!(sound, [true, false, true]);
        let last = HEADER + 2 * FRAME + 6 + FRAME;
        spoilt[last] ^= 1;
        assert_eq!(
            scan(&spoilt).unwrap().places.len(),
            1,
            "nothing sound follows"
        );
        let zeros = [whole.clone(), vec![0; 64]].concat();
        assert_eq!(scan(&zeros).unwrap().sound, whole.len() as u64);
    }

    #[test]
    fn a_spoilt_header_is_nobodys() {
        let whole = file(&[b"one"]);
        for at in 0..HEADER {
            let mut spoilt = whole.clone();
            spoilt[at] ^= 0x40;
            assert_eq!(scan(&spoilt), None, "byte {at}");
            assert_eq!(scan(&whole[..at]), None);
        }
    }

    #[test]
    fn lengths_that_no_writer_makes_are_not_followed() {
        let mut huge = file(&[]);
        huge.extend_from_slice(&u32::MAX.to_le_bytes());
        huge.extend_from_slice(&[0; 100]);
        assert_eq!(scan(&huge).unwrap().sound, HEADER as u64);
        assert_eq!(frame(&vec![0; RECORD_MAX + 1]), None);
    }
}
