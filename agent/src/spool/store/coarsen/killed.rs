//! A process that is killed while old recordings merge, before and after the merged segment is in its
//! place: whatever was on disk is there, each value once.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nepho_common::{id::Seq, journal::Record};
use tempfile::TempDir;

use super::tests::{SERIES, SIZES, portion, sums};
use crate::spool::Store;

/// Where the child of the test below writes; without it that test is not a child.
const CHILD: &str = "NEPHO_TEST_SPOOL";
/// A child that has not come to its hold point by then hangs: on a disk of its own it takes a tenth of
/// a second, on one that is busy with the syncs of others a minute.
const PATIENCE: Duration = Duration::from_secs(300);

fn open(dir: &Path) -> Store {
    Store::open_with(dir.into(), "a".parse().unwrap(), SIZES).unwrap()
}

/// Writes and merges; somewhere in a merge it is held.
fn merge_until_killed(dir: &Path) {
    let mut store = open(dir);
    for n in 0.. {
        let draft = portion(n, SERIES);
        while !store.has_room_for([&draft]) {
            store.coarsen().unwrap();
        }
        store.append(&draft).unwrap();
        if n % 10 == 9 {
            store.sync().unwrap();
        }
    }
}

#[test]
fn a_kill_while_old_recordings_merge_loses_no_value_and_counts_none_twice() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return merge_until_killed(&PathBuf::from(dir));
    }
    let (_, module) = module_path!().split_once("::").unwrap();
    let name =
        format!("{module}::a_kill_while_old_recordings_merge_loses_no_value_and_counts_none_twice");
    for (point, shrank) in [("spool.before-merge", false), ("spool.after-merge", true)] {
        let temp = TempDir::new().unwrap();
        let (dir, held) = (temp.path().join("spool"), temp.path().join("held"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name.as_str(), "--exact", "--nocapture"])
            .env(CHILD, &dir)
            .env("NEPHO_HOLD", format!("{point}:{}", held.display()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let since = Instant::now();
        while !held.exists() {
            assert!(
                child.try_wait().unwrap().is_none(),
                "{point}: it ended by itself"
            );
            assert!(since.elapsed() < PATIENCE, "{point} was never reached");
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let first = std::fs::metadata(dir.join(format!("{:020}.seg", 1)))
            .unwrap()
            .len();
        assert_eq!(first < SIZES.segment / 2, shrank, "{point}: {first} bytes");

        let mut store = open(&dir);
        assert_eq!(store.standing().damaged, 0, "{point}");
        let last = store.last();
        assert!(last > Seq(10), "{point}: {last}");
        let kept: Vec<Record> = (1..=last.0)
            .map(|seq| store.read(Seq(seq)).unwrap())
            .collect();
        let record = |n: u64| store.record(Seq(n + 1), &portion(n, SERIES));
        let written: Vec<Record> = (0..last.0).map(record).collect();
        assert_eq!(sums(&kept), sums(&written), "{point}");
    }
}
