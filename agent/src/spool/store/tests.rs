use std::fs;

use nepho_common::{event::What, id::Attempt, journal::Body, recording::Exhibit};
use tempfile::TempDir;

use super::*;
use crate::spool::segment::HEADER;

fn open_with(dir: &TempDir, segment: u64, quota: u64) -> Store {
    let sizes = Sizes { segment, quota };
    Store::open_with(dir.path().into(), "a".parse().unwrap(), sizes).unwrap()
}

fn open(dir: &TempDir) -> Store {
    open_with(dir, 500, 1 << 20)
}

fn draft(n: usize) -> Draft {
    let content = vec![u8::try_from(n % 251).unwrap(); n];
    let exhibit = Exhibit::new("x".to_owned().try_into().unwrap(), content).unwrap();
    let body = Body::Exhibits(vec![exhibit]);
    let run = "r".parse().unwrap();
    Draft {
        kind: body.kind(),
        version: journal::version(body.kind()),
        payload: journal::payload(&run, Attempt(1), &body),
        run,
    }
}

fn append(store: &mut Store, sizes: impl IntoIterator<Item = usize>) {
    for size in sizes {
        store.append(&draft(size)).unwrap();
    }
}

fn filled(dir: &TempDir, n: usize) -> Store {
    let mut store = open(dir);
    append(&mut store, 1..=n);
    store.sync().unwrap();
    store
}

fn segments(dir: &TempDir) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "seg"))
        .collect();
    found.sort();
    found
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// What a record says of a hole; `None` for a record that is itself.
fn hole(record: &Record) -> Option<Vec<(u64, u64)>> {
    let Body::Events(events) = journal::decode(record).unwrap().body else {
        return None;
    };
    let told = events.iter().map(|event| match event.what {
        What::Gap { from, to } => (from.0, to.0),
        ref other => panic!("{other:?}"),
    });
    Some(told.collect())
}

#[test]
fn everything_reads_back_over_many_segments_and_a_new_start() {
    let dir = TempDir::new().unwrap();
    let store = filled(&dir, 30);
    let id = store.id();
    assert!(segments(&dir).len() > 3);
    drop(store);
    let mut store = open(&dir);
    assert_eq!((store.id(), store.last()), (id, Seq(30)));
    for n in 1..=30 {
        let record = store.read(Seq(n as u64)).unwrap();
        assert_eq!(record.payload, draft(n).payload);
    }
    assert_eq!(store.append(&draft(1)).unwrap(), Seq(31));
    assert_eq!(store.standing().damaged, 0);
}

#[test]
fn what_is_acknowledged_goes_and_numbers_are_never_used_twice() {
    let dir = TempDir::new().unwrap();
    let mut store = filled(&dir, 30);
    let before = segments(&dir).len();
    store.acknowledged(Seq(15));
    let between = segments(&dir).len();
    assert!(between < before && between > 1);
    assert!(store.read(Seq(16)).is_some());
    store.acknowledged(Seq(40));
    let acked = store.standing().acked;
    assert_eq!(acked, Seq(15), "the future is not believed");
    store.acknowledged(Seq(30));
    assert_eq!(segments(&dir).len(), 1);
    drop(store);
    fs::remove_file(dir.path().join("ack")).unwrap();
    assert_eq!(open(&dir).append(&draft(1)).unwrap(), Seq(31));
}

#[test]
fn in_the_place_of_lost_records_stand_records_that_say_so() {
    let dir = TempDir::new().unwrap();
    drop(filled(&dir, 3));
    flip(&segments(&dir)[0], HEADER + FRAME);
    let mut store = open(&dir);
    assert_eq!(store.standing().damaged, 1);
    assert_eq!(hole(&store.read(Seq(1)).unwrap()), Some(vec![(1, 1)]));
    assert_eq!(hole(&store.read(Seq(2)).unwrap()), None);
    assert_eq!(store.last(), Seq(3));
    // One that is spoilt while we look on is found out when it is read.
    let path = segments(&dir)[0].clone();
    let place = store.place(Seq(2)).unwrap();
    flip(&path, usize::try_from(place.offset).unwrap() + FRAME);
    assert_eq!(hole(&store.read(Seq(2)).unwrap()), Some(vec![(2, 2)]));
    assert!(hole(&store.read(Seq(2)).unwrap()).is_some());
    assert_eq!(store.standing().damaged, 2);
}

#[test]
fn a_segment_that_is_set_aside_leaves_a_hole_that_can_be_acknowledged() {
    let dir = TempDir::new().unwrap();
    drop(filled(&dir, 30));
    let path = segments(&dir)[1].clone();
    let names: Vec<u64> = segments(&dir)
        .iter()
        .map(|path| path.file_stem().unwrap().to_str().unwrap().parse().unwrap())
        .collect();
    flip(&path, 0);
    let mut store = open(&dir);
    assert!(path.with_extension("quarantine").exists());
    let (from, to) = (names[1], names[2] - 1);
    for seq in from..=to {
        assert_eq!(hole(&store.read(Seq(seq)).unwrap()), Some(vec![(seq, seq)]));
    }
    for seq in (1..from).chain(to + 1..=30) {
        assert_eq!(hole(&store.read(Seq(seq)).unwrap()), None, "{seq}");
    }
    store.acknowledged(Seq(30));
    assert_eq!(store.standing().acked, Seq(30));
}

#[test]
fn numbers_of_a_last_segment_that_is_set_aside_are_not_used_again() {
    let dir = TempDir::new().unwrap();
    drop(filled(&dir, 30));
    flip(segments(&dir).last().unwrap(), 3);
    let mut store = open(&dir);
    assert!(store.append(&draft(1)).unwrap() > Seq(30));
}

#[test]
fn when_nothing_can_be_read_numbers_begin_anew_under_another_identity() {
    let dir = TempDir::new().unwrap();
    let store = filled(&dir, 3);
    let id = store.id();
    drop(store);
    flip(&segments(&dir)[0], 0);
    let mut store = open(&dir);
    assert_ne!(store.id(), id);
    assert_eq!(store.append(&draft(1)).unwrap(), Seq(1));
    let id = store.id();
    store.sync().unwrap();
    drop(store);
    let store = open(&dir);
    assert_eq!((store.id(), store.last()), (id, Seq(1)));
}

#[test]
fn a_spoilt_id_is_found_in_the_segments_and_a_spoilt_acknowledgement_is_not_believed() {
    let dir = TempDir::new().unwrap();
    let mut store = filled(&dir, 20);
    store.acknowledged(Seq(2));
    let id = store.id();
    drop(store);
    for text in ["rubbish", "00000000000000000000000000000001\n"] {
        fs::write(dir.path().join("id"), text).unwrap();
        assert_eq!(open(&dir).id(), id);
    }
    fs::write(dir.path().join("ack"), "9 00000000\n").unwrap();
    let store = open(&dir);
    assert_eq!(store.standing().acked, Seq(0), "it is all sent again");
}

#[test]
fn a_crash_while_a_segment_is_made_does_no_harm() {
    let dir = TempDir::new().unwrap();
    drop(filled(&dir, 1));
    fs::write(dir.path().join(format!("{:020}.seg", 2)), b"NEPHO").unwrap();
    let mut store = open(&dir);
    assert_eq!(store.append(&draft(2)).unwrap(), Seq(2));
    assert!(store.read(Seq(1)).is_some());
}

#[test]
fn after_a_failed_write_the_same_records_go_into_another_file() {
    let dir = TempDir::new().unwrap();
    let mut store = filled(&dir, 5);
    append(&mut store, 6..=20);
    store.roll_back();
    assert_eq!(store.last(), Seq(5));
    append(&mut store, 106..=120);
    store.sync().unwrap();
    for round in 0..2 {
        for n in 1..=20usize {
            let expected = if n > 5 { n + 100 } else { n };
            let record = store.read(Seq(n as u64)).unwrap();
            assert_eq!(record.payload, draft(expected).payload, "{n}, {round}");
        }
        drop(store);
        store = open(&dir);
    }
    assert_eq!(store.standing().damaged, 0);
}

#[test]
fn what_the_disk_lost_although_it_had_promised_is_found_out_after_a_failed_sync() {
    let dir = TempDir::new().unwrap();
    let mut store = filled(&dir, 5);
    let place = store.place(Seq(3)).unwrap();
    let path = segments(&dir).pop().unwrap();
    flip(&path, usize::try_from(place.offset).unwrap() + FRAME);
    store.roll_back();
    assert_eq!(store.standing().damaged, 1);
    assert!(hole(&store.read(Seq(3)).unwrap()).is_some());
    assert_eq!(hole(&store.read(Seq(5)).unwrap()), None);
}

#[test]
fn a_spool_that_is_as_large_as_it_may_be_takes_nothing_until_something_went() {
    let dir = TempDir::new().unwrap();
    let mut store = open_with(&dir, 500, 2_000);
    let mut n = 0;
    let refused = loop {
        match store.append(&draft(100)) {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
        store.sync().unwrap();
    };
    assert!(matches!(refused, SpoolError::Quota(2_000)), "{refused}");
    store.roll_back();
    store.acknowledged(Seq(n));
    assert_eq!(store.append(&draft(100)).unwrap(), Seq(n + 1));
}

/// A disk that takes every write, says `EINVAL` to every sync, and keeps nothing: what a page cache
/// does whose pages the kernel drops after an error.
fn forgetful() -> File {
    let null = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null");
    null.unwrap()
}

/// One segment for all.
fn large(dir: &TempDir) -> Store {
    open_with(dir, 1 << 16, 1 << 20)
}

#[test]
fn what_was_written_before_a_failed_sync_is_not_trusted_when_a_later_one_would_succeed() {
    let dir = TempDir::new().unwrap();
    let mut store = large(&dir);
    append(&mut store, 1..=5);
    store.sync().unwrap();
    let sound = store.tail.replace(forgetful()).unwrap();
    append(&mut store, 6..=9);
    assert!(store.sync().is_err());
    assert_eq!(store.standing().written, Seq(5));
    assert_eq!(store.read(Seq(6)), None, "what is not safe is not sent");
    store.roll_back();
    assert!(store.tail.is_none(), "that file is not written to again");
    append(&mut store, 106..=109);
    store.sync().unwrap();
    drop(store);
    let mut store = large(&dir);
    assert_eq!((store.last(), store.standing().damaged), (Seq(9), 0));
    assert_eq!(store.read(Seq(6)).unwrap().payload, draft(106).payload);

    // Control: whoever syncs again instead and goes on believes in records that are nowhere.
    let dir = TempDir::new().unwrap();
    let mut store = large(&dir);
    append(&mut store, 1..=5);
    store.sync().unwrap();
    let true_tail = store.tail.replace(forgetful());
    append(&mut store, 6..=9);
    assert!(store.sync().is_err());
    store.tail = true_tail;
    store.sync().unwrap();
    drop((store, sound));
    assert_eq!(large(&dir).last(), Seq(5));
}
