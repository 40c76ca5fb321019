//! What must hold for any bytes that a disk gives back as a segment. `scripts/fuzz` makes the
//! bytes; the test here replays what it kept, through a whole spool as well.

use super::segment::{FRAME, HEADER, Scan, frame, header, scan, unframe};

/// A segment file. Says whether its header was believed.
///
/// # Panics
/// When a place lies outside of the file, a record does not read back, or what is left after the
/// torn end was cut off reads differently.
#[must_use]
pub fn segment(file: &[u8]) -> bool {
    let Some(found) = scan(file) else {
        // With a sound header in front the rest is looked at too.
        let spool = nepho_common::id::SpoolId::new([7; 16]);
        let mut mended = header(spool, nepho_common::id::Seq(1)).to_vec();
        mended.extend_from_slice(file);
        check(&mended, &scan(&mended).expect("its header is sound"));
        return false;
    };
    check(file, &found);
    true
}

fn check(file: &[u8], found: &Scan) {
    let sound = usize::try_from(found.sound).expect("it lies in the file");
    let kept = file.get(..sound).expect("it lies in the file");
    assert_eq!(
        scan(kept).as_ref(),
        Some(found),
        "cutting the torn end changes nothing"
    );
    let mut end = HEADER as u64;
    for place in found.places.iter().flatten() {
        assert!(place.offset >= end, "records do not overlap");
        end = place.offset + (FRAME as u64) + u64::from(place.length);
        let at = usize::try_from(place.offset).expect("it lies in the file");
        let bytes = kept
            .get(at..at + FRAME + place.length as usize)
            .expect("a place lies in what is kept");
        let record = unframe(bytes).expect("a place has a sound frame");
        assert_eq!(
            frame(record).as_deref(),
            Some(bytes),
            "there is one way to write it"
        );
    }
    assert!(end <= found.sound);
    assert!(found.places.last().is_none_or(Option::is_some));
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use nepho_common::{
        id::{Seq, SpoolId},
        journal::{FORMAT, Record, RecordKey, RecordKind},
    };
    use nepho_proto::journal;
    use tempfile::TempDir;

    use super::*;
    use crate::spool::{Draft, Store};

    fn record(seq: u64, length: usize) -> Vec<u8> {
        journal::to_bytes(&Record {
            format: FORMAT,
            kind: RecordKind::Gauges,
            version: 1,
            key: RecordKey {
                agent: "a".parse().unwrap(),
                spool: SpoolId::new([7; 16]),
                seq: Seq(seq),
            },
            run: "r".parse().unwrap(),
            payload: vec![9; length],
        })
    }

    /// Sound, torn, spoilt in the middle, followed by zeros.
    fn seeds() -> Vec<Vec<u8>> {
        let whole = |lengths: &[usize]| {
            let mut file = header(SpoolId::new([7; 16]), Seq(1)).to_vec();
            for (n, &length) in lengths.iter().enumerate() {
                file.extend(frame(&record(n as u64 + 1, length)).unwrap());
            }
            file
        };
        let three = whole(&[3, 0, 20]);
        let mut spoilt = three.clone();
        spoilt[HEADER + FRAME + 5] ^= 1;
        vec![
            whole(&[]),
            whole(&[1]),
            three[..three.len() - 7].to_vec(),
            [three.clone(), vec![0; 24]].concat(),
            three,
            spoilt,
        ]
    }

    /// A spool whose one segment is this opens, and works.
    fn opens(file: &[u8]) {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join(format!("{:020}.seg", 1)), file).unwrap();
        let mut store = Store::open(dir.path().into(), "a".parse().unwrap()).unwrap();
        let last = store.last();
        for seq in 1..=last.0.min(50) {
            drop(store.read(Seq(seq)));
        }
        let draft = Draft {
            kind: RecordKind::Gauges,
            version: 1,
            run: "r".parse().unwrap(),
            payload: vec![5; 10],
        };
        let seq = store.append(&draft).unwrap();
        assert_eq!(seq, last.next());
        store.sync().unwrap();
        assert_eq!(store.read(seq).unwrap().payload, vec![5; 10]);
    }

    #[test]
    fn every_segment_that_the_fuzzer_kept_is_set_aside_or_read_as_far_as_it_is_sound() {
        if let Some(dir) = std::env::var_os("NEPHO_FUZZ_SEEDS") {
            let dir = PathBuf::from(dir).join("segment");
            fs::create_dir_all(&dir).unwrap();
            for (n, seed) in seeds().iter().enumerate() {
                fs::write(dir.join(format!("seed-{n:03}")), seed).unwrap();
            }
        }
        for seed in seeds() {
            assert!(segment(&seed));
            opens(&seed);
        }
        let corpus = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../scripts/fuzz/corpus/segment"
        );
        let (mut believed, mut refused) = (0, 0);
        for entry in fs::read_dir(corpus).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            match segment(&bytes) {
                true => believed += 1,
                false => refused += 1,
            }
            opens(&bytes);
        }
        assert!(believed > 5 && refused > 10, "{believed} {refused}");
    }
}
