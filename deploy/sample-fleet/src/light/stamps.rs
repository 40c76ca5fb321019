//! What really happened: of each request, when it came and when its answer went.
//!
//! A file of records of 24 bytes, in the order in which the requests came. Each is three numbers of
//! 64 bits, the least significant byte first: the number that the request gave itself in the header
//! `x-nepho-slot` (all ones: none), the instant at which its head was completely read, and the one at
//! which the last byte of its answer was handed to the kernel (all ones: never). Instants are
//! nanoseconds on `CLOCK_MONOTONIC`.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::clock::Stamp;

/// Stands for a number that nobody gave and for an instant that never was.
const NONE: u64 = u64::MAX;

/// Which record a request has; nothing if it has none.
pub(super) type Place = Option<usize>;

/// Kept in memory to the end: to write while requests come would change what is measured.
#[derive(Debug)]
pub(super) struct Stamps {
    records: Vec<[u64; 3]>,
    most: usize,
    refused: u64,
    file: File,
    path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
#[error("write stamps to {path}")]
pub(crate) struct StampsError {
    path: PathBuf,
    source: io::Error,
}

impl Stamps {
    /// Makes the file now, so that what can't be written is known before the first request. Room
    /// for `most` records is reserved; the kernel gives it page by page.
    pub(super) fn create(path: &Path, most: usize) -> Result<Self, StampsError> {
        let path = path.to_owned();
        match File::create(&path) {
            Ok(file) => Ok(Self {
                records: Vec::with_capacity(most),
                most,
                refused: 0,
                file,
                path,
            }),
            Err(source) => Err(StampsError { path, source }),
        }
    }

    pub(super) fn came(&mut self, slot: Option<u64>, at: Stamp) -> Place {
        if self.records.len() == self.most {
            self.refused += 1;
            return None;
        }
        let slot = slot.unwrap_or(NONE);
        self.records.push([slot, at.nanoseconds(), NONE]);
        Some(self.records.len() - 1)
    }

    pub(super) fn went(&mut self, place: Place, at: Stamp) {
        if let Some([_, _, went]) = place.and_then(|place| self.records.get_mut(place)) {
            *went = at.nanoseconds();
        }
    }

    /// Writes the file, and says on stderr how many requests have no place in it.
    pub(super) fn write(self) -> Result<(), StampsError> {
        let mut file = io::BufWriter::new(self.file);
        let mut numbers = self.records.iter().flatten();
        let written = numbers
            .try_for_each(|number| file.write_all(&number.to_le_bytes()))
            .and_then(|()| file.flush());
        if let Err(source) = written {
            let path = self.path;
            return Err(StampsError { path, source });
        }
        let (stamped, refused) = (self.records.len(), self.refused);
        if refused > 0 {
            tracing::warn!(stamped, refused, "there was no room for all stamps");
        } else {
            tracing::info!(stamped, "stamps written");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_three_numbers_and_full_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stamps");
        let mut stamps = Stamps::create(&path, 2).unwrap();
        let first = stamps.came(Some(7), Stamp::at(100));
        let second = stamps.came(None, Stamp::at(0x0102));
        let third = stamps.came(Some(8), Stamp::at(300));
        assert_eq!((first, second, third), (Some(0), Some(1), None));
        stamps.went(first, Stamp::at(200));
        stamps.went(third, Stamp::at(400));
        assert_eq!(stamps.refused, 1);
        stamps.write().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (numbers, rest) = bytes.as_chunks();
        let numbers: Vec<_> = numbers.iter().map(|n| u64::from_le_bytes(*n)).collect();
        assert_eq!(numbers, [7, 100, 200, NONE, 0x0102, NONE]);
        assert!(rest.is_empty());
    }

    #[test]
    fn a_file_that_can_not_be_made_is_an_error_at_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Stamps::create(folder.path(), 2).is_err());
    }
}
