//! A look at a spool from outside: reads, counts, and leaves everything as it is, so that the agent
//! that owns it may go on.

use std::{fs, io, path::Path};

use super::{directory::read_ack, segment};

/// What a look showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Records that are not acknowledged.
    pub owed: u64,
    /// Bytes of segments, those set aside included.
    pub bytes: u64,
    /// Records that can't be read, and segments that were set aside or will be.
    pub damaged: u64,
}

/// Looks at the spool in `dir`.
///
/// # Errors
/// The directory or a file in it can't be read, or it is not there.
pub fn inspect(dir: &Path) -> io::Result<Inspection> {
    let mut found = Inspection::default();
    let acked = match fs::read_to_string(dir.join("ack")) {
        Ok(text) => read_ack(&text).map_or_else(
            || {
                found.damaged += 1;
                0
            },
            |acked| acked.0,
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        match path.extension().and_then(|suffix| suffix.to_str()) {
            Some("seg") => {}
            Some("quarantine") => {
                found.damaged += 1;
                found.bytes += fs::metadata(&path)?.len();
                continue;
            }
            Some(_) | None => continue,
        }
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            // Acknowledged and deleted since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        found.bytes += bytes.len() as u64;
        match segment::scan(&bytes) {
            Some(scan) => {
                let numbered = (scan.first.0..).zip(&scan.places);
                found.owed += numbered.filter(|(seq, _)| *seq > acked).count() as u64;
                found.damaged += scan.places.iter().filter(|place| place.is_none()).count() as u64;
            }
            // One that was being made when the agent crashed holds nothing yet.
            None if bytes.len() <= segment::HEADER => {}
            None => found.damaged += 1,
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use nepho_common::{id::Seq, journal::RecordKind};

    use super::{
        super::{Draft, Store},
        *,
    };

    #[test]
    fn what_is_owed_and_what_is_damaged_is_counted_and_nothing_is_touched() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("spool");
        assert!(inspect(&dir).is_err(), "nothing is there yet");
        let mut store = Store::open(dir.clone(), "a".parse().unwrap()).unwrap();
        let draft = || Draft {
            kind: RecordKind::Events,
            version: 1,
            run: "r".parse().unwrap(),
            payload: vec![7; 100],
        };
        for _ in 0..5 {
            store.append(&draft()).unwrap();
        }
        store.sync().unwrap();
        store.acknowledged(Seq(2));
        // While its owner has it.
        let found = inspect(&dir).unwrap();
        assert_eq!((found.owed, found.damaged), (3, 0));
        drop(store);

        let segment = fs::read_dir(&dir)
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        let segment = segment
            .into_iter()
            .find(|path| path.extension().is_some_and(|s| s == "seg"));
        let segment = segment.unwrap();
        let mut bytes = fs::read(&segment).unwrap();
        bytes[segment::HEADER + 20] ^= 1; // In the first record.
        fs::write(&segment, &bytes).unwrap();
        let found = inspect(&dir).unwrap();
        assert_eq!((found.owed, found.damaged), (3, 1));
        bytes[3] ^= 1; // In the header.
        fs::write(&segment, &bytes).unwrap();
        fs::write(dir.join("ack"), "x").unwrap();
        let found = inspect(&dir).unwrap();
        assert_eq!((found.owed, found.damaged), (0, 2));
        assert_eq!(fs::read(&segment).unwrap(), bytes);
    }
}
