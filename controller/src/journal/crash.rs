//! What SQLite's store keeps when it is shut, shared or killed.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use futures_util::FutureExt as _;
use nepho_common::{
    id::{AgentId, Seq, SpoolId},
    journal::{Record, RecordKey, RecordKind},
    time::WallMillis,
};
use sqlx::{Connection as _, Row as _, SqliteConnection};

use super::*;

const NOW: WallMillis = WallMillis(1);

fn author() -> AgentId {
    "a".parse().unwrap()
}

fn record(seq: u64) -> Record {
    Record {
        format: 1,
        kind: RecordKind::Events,
        version: 1,
        key: RecordKey {
            agent: author(),
            spool: SpoolId::new([1; 16]),
            seq: Seq(seq),
        },
        run: "r1".parse().unwrap(),
        payload: seq.to_be_bytes().repeat(40),
    }
}

async fn seqs(store: &Store) -> Vec<u64> {
    let records = store.run_records(&"r1".parse().unwrap()).await.unwrap();
    records.into_iter().map(|record| record.key.seq.0).collect()
}

#[tokio::test]
async fn the_answer_comes_after_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nepho.sqlite");
    let store = Store::open(&path).await.unwrap();
    let url = format!("sqlite://{}", path.display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    for seq in 1..=20 {
        store.append(vec![record(seq)], NOW).await.unwrap();
        // Another connection sees only what is committed.
        let count: i64 = sqlx::query("SELECT COUNT(*) FROM records")
            .fetch_one(&mut other)
            .await
            .unwrap()
            .get(0);
        assert_eq!(count.cast_unsigned(), seq);
    }
}

#[tokio::test]
async fn requests_that_come_together_are_committed_together() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("nepho.sqlite")).await.unwrap();
    store.append(vec![record(1)], NOW).await.unwrap();
    let wal = dir.path().join("nepho.sqlite-wal");
    let size = || std::fs::metadata(&wal).unwrap().len();
    let start = size();
    store.append(vec![record(2)], NOW).await.unwrap();
    let alone = size() - start;
    let together = (3..103).map(|seq| store.append(vec![record(seq)], NOW));
    for answer in futures_util::future::join_all(together).await {
        answer.unwrap();
    }
    let each = (size() - start - alone) / 100;
    // A commit of its own writes whole pages again for each record.
    assert!(each * 4 < alone, "{each} bytes each, {alone} alone");
}

#[tokio::test]
async fn a_batch_is_stored_whole_although_nobody_waits_for_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("nepho.sqlite")).await.unwrap();
    {
        let append = store.append((1..=9).map(record).collect(), NOW);
        // One poll hands it to the writer.
        assert!(append.now_or_never().is_none());
    }
    store.append(vec![record(10)], NOW).await.unwrap();
    assert_eq!(seqs(&store).await, (1..=10).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_was_stored_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nepho.sqlite");
    let store = Store::open(&path).await.unwrap();
    store
        .append((1..=5).map(record).collect(), NOW)
        .await
        .unwrap();
    store.close().await;
    let store = Store::open(&path).await.unwrap();
    assert_eq!(seqs(&store).await, [1, 2, 3, 4, 5]);
    let spool = SpoolId::new([1; 16]);
    assert_eq!(store.durable(&author(), &spool).await.unwrap(), Seq(5));
}

#[tokio::test]
async fn a_second_controller_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nepho.sqlite");
    let first = Store::open(&path).await.unwrap();
    let second = Store::open(&path).await.unwrap_err();
    assert!(matches!(second, StoreError::Busy { .. }), "{second}");
    first.close().await;
    Store::open(&path).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_store_is_an_error_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nepho.sqlite");
    let text = "not a database ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_failed_write_is_answered_and_the_next_one_can_succeed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nepho.sqlite");
    let store = Store::open(&path).await.unwrap();
    let url = format!("sqlite://{}", path.display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    // As a full disk would: every insert fails.
    let broken = "CREATE TRIGGER full BEFORE INSERT ON records \
                  BEGIN SELECT RAISE(ABORT, 'disk full'); END";
    sqlx::query(broken).execute(&mut other).await.unwrap();
    let both = futures_util::future::join(
        store.append(vec![record(1)], NOW),
        store.append(vec![record(2)], NOW),
    );
    let (one, two) = both.await;
    assert!(matches!(one, Err(StoreError::Write(_))), "{one:?}");
    assert!(matches!(two, Err(StoreError::Write(_))), "{two:?}");
    sqlx::query("DROP TRIGGER full")
        .execute(&mut other)
        .await
        .unwrap();
    store.append(vec![record(1)], NOW).await.unwrap();
    assert_eq!(seqs(&store).await, [1]);
}

/// Where the child of the test below writes; without it that test is not a child.
const CHILD: &str = "NEPHO_TEST_STORE";

/// Prints each number after its append was answered, until it is killed.
async fn write_until_killed(path: &Path) {
    let store = Store::open(path).await.unwrap();
    for seq in 1.. {
        store.append(vec![record(seq)], NOW).await.unwrap();
        println!("stored {seq}");
    }
}

#[tokio::test]
async fn a_killed_controller_loses_nothing_that_it_acknowledged() {
    if let Some(path) = std::env::var_os(CHILD) {
        return write_until_killed(Path::new(&path)).await;
    }
    let (_, module) = module_path!().split_once("::").unwrap();
    let name = format!("{module}::a_killed_controller_loses_nothing_that_it_acknowledged");
    for kill_after in [1, 2, 7, 20] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nepho.sqlite");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name.as_str(), "--exact", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut acknowledged = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some((_, seq)) = line.rsplit_once("stored ") {
                acknowledged = seq.parse().unwrap();
            }
            if acknowledged == kill_after {
                child.kill().unwrap();
                break;
            }
        }
        child.wait().unwrap();
        assert_eq!(acknowledged, kill_after, "the child ended by itself");
        let store = Store::open(&path).await.unwrap();
        let stored = seqs(&store).await;
        let expected: Vec<u64> = (1..=stored.len() as u64).collect();
        assert_eq!(stored, expected, "each once and without a gap");
        assert!(stored.len() as u64 >= acknowledged, "{stored:?}");
        assert!(stored.len() as u64 <= acknowledged + 2, "{stored:?}");
        let spool = SpoolId::new([1; 16]);
        let durable = store.durable(&author(), &spool).await.unwrap();
        assert_eq!(durable.0, stored.len() as u64);
    }
}
