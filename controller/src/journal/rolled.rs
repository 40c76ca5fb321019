//! Roll-ups are kept as they would be made, and reports from them are those from records.

use std::path::Path;

use nepho_common::{
    id::Seq,
    journal::{Body, Record, RecordKind},
    time::{Nanos, WallMillis},
};
use nepho_controller_core::report::render::{Lang, json};
use nepho_proto::journal::{decode, payload};
use sqlx::{Connection as _, Row as _, SqliteConnection};

use super::*;
use crate::scribe;

#[path = "../../benches/promises/hour.rs"]
mod hour;

const NOW: WallMillis = WallMillis(1);

/// Three agents, with more than three blocks each.
fn journal() -> Vec<Record> {
    hour::records(2, Nanos::from_secs(20 * 60))
}

async fn store(dir: &Path) -> Store {
    Store::open(&dir.join("nepho.sqlite")).await.unwrap()
}

async fn kept(store: &Store) -> Kept {
    store.run_kept(&hour::run()).await.unwrap()
}

/// As whoever asks for a report has it.
async fn report(store: &Store) -> (bool, String) {
    let kept = kept(store).await;
    let quick = !kept.rolled.is_empty();
    if let Some(report) = scribe::fold_kept(Lang::En, kept) {
        return (quick, json::render(&report));
    }
    let records = store.run_records(&hour::run()).await.unwrap();
    (false, json::render(&scribe::refold(records)))
}

/// SplitMix64.
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for at in (1..items.len()).rev() {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let other = usize::try_from((z ^ (z >> 31)) % (at as u64 + 1)).unwrap();
        items.swap(at, other);
    }
}

#[tokio::test]
async fn what_the_writer_keeps_is_what_is_made_again_whatever_the_order_and_repetition() {
    let all = journal();
    let dir = tempfile::tempdir().unwrap();
    let first = store(dir.path()).await;
    first.append(all.clone(), NOW).await.unwrap();
    first.roll_up_again().await.unwrap();
    let expected = kept(&first).await;
    assert!(expected.rolled.len() >= 9, "{}", expected.rolled.len());
    assert!(expected.records.len() < all.len());
    let whole = json::render(&scribe::refold(all.clone()));
    assert_eq!(report(&first).await, (true, whole.clone()));
    for seed in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path()).await;
        // A start is told to nobody before the journal has it.
        let is_controllers = |record: &&Record| record.key.agent.is_controller();
        let own = all.iter().filter(is_controllers).cloned().collect();
        store.append(own, NOW).await.unwrap();
        let mut sent = [all.clone(), all.clone()].concat();
        shuffle(&mut sent, seed);
        for some in sent.chunks(50) {
            store.append(some.to_vec(), NOW).await.unwrap();
        }
        store.roll_up().await.unwrap();
        assert_eq!(kept(&store).await, expected, "seed {seed}");
        assert_eq!(report(&store).await, (true, whole.clone()), "seed {seed}");
    }
}

#[tokio::test]
async fn a_report_is_the_same_however_much_is_rolled_up_by_then() {
    let all = journal();
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let mut quick = 0;
    for some in all.chunks(97) {
        store.append(some.to_vec(), NOW).await.unwrap();
        let (from_rolled, found) = report(&store).await;
        quick += usize::from(from_rolled);
        let records = store.run_records(&hour::run()).await.unwrap();
        assert_eq!(found, json::render(&scribe::refold(records)));
    }
    store.roll_up().await.unwrap();
    let (from_rolled, _) = report(&store).await;
    assert!(from_rolled, "{quick} before");
}

#[tokio::test]
async fn a_store_that_has_no_roll_ups_makes_them_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let before = store(dir.path()).await;
    before.append(journal(), NOW).await.unwrap();
    before.roll_up().await.unwrap();
    let expected = kept(&before).await;
    before.close().await;
    // As a release left it that knew of none.
    let mut other = raw(dir.path()).await;
    for statement in ["DELETE FROM rollups", "UPDATE spools SET rolled_seq = 0"] {
        sqlx::query(statement).execute(&mut other).await.unwrap();
    }
    other.close().await.unwrap();
    let after = store(dir.path()).await;
    after.roll_up().await.unwrap();
    assert_eq!(kept(&after).await, expected);
}

async fn raw(dir: &Path) -> SqliteConnection {
    let url = format!("sqlite://{}", dir.join("nepho.sqlite").display());
    SqliteConnection::connect(&url).await.unwrap()
}

#[tokio::test]
async fn a_roll_up_that_somebody_changed_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    store.append(journal(), NOW).await.unwrap();
    let run = hour::run();
    let records = store.run_records(&run).await.unwrap();
    let expected = json::render(&scribe::refold(records));
    let mut other = raw(dir.path()).await;
    let one = "block = 1 AND part = 0 AND agent = 'agent-local'";
    for change in [
        "UPDATE rollups SET payload = x'00' WHERE",
        "UPDATE rollups SET records = records - 1 WHERE",
        "UPDATE rollups SET records = 0, held = 0 WHERE",
        "UPDATE rollups SET held = -1 WHERE",
        "UPDATE rollups SET grain = x'00' WHERE",
        "UPDATE rollups SET grain = zeroblob(32) WHERE",
        "UPDATE rollups SET parts = parts + 1 WHERE",
        "UPDATE rollups SET attempt = 7 WHERE",
        "UPDATE rollups SET block = 1000 WHERE",
        "UPDATE rollups SET agent = 'agent-aliyun', block = 1000 WHERE",
        "DELETE FROM rollups WHERE",
    ] {
        store.roll_up_again().await.unwrap();
        assert_eq!(report(&store).await, (true, expected.clone()));
        let statement = sqlx::AssertSqlSafe(format!("{change} {one}"));
        let done = sqlx::query(statement).execute(&mut other).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "{change}");
        assert_eq!(report(&store).await, (false, expected.clone()), "{change}");
    }
    // Well made, and with a value that no record has: what agents sealed says so.
    store.roll_up_again().await.unwrap();
    let query = sqlx::AssertSqlSafe(format!("SELECT version, payload FROM rollups WHERE {one}"));
    let row = sqlx::query(query).fetch_one(&mut other).await.unwrap();
    let local = kept(&store).await.records;
    let local = local
        .iter()
        .find(|one| one.key.agent.as_str() == "agent-local");
    let record = Record {
        kind: RecordKind::Recordings,
        payload: row.get("payload"),
        ..local.unwrap().clone()
    };
    let entry = decode(&record).unwrap();
    let Body::Recordings(mut recordings) = entry.body else {
        panic!("recordings went in");
    };
    recordings[0].histogram.record(Nanos::from_millis(7));
    let changed = payload(&run, entry.attempt, &Body::Recordings(recordings));
    let statement = sqlx::AssertSqlSafe(format!("UPDATE rollups SET payload = $1 WHERE {one}"));
    sqlx::query(statement)
        .bind(changed)
        .execute(&mut other)
        .await
        .unwrap();
    assert_eq!(report(&store).await, (false, expected));
}

#[tokio::test]
async fn a_block_without_a_plan_is_left_to_its_records() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let all = journal();
    let of_agents = all
        .iter()
        .filter(|record| !record.key.agent.is_controller());
    store
        .append(of_agents.cloned().collect(), NOW)
        .await
        .unwrap();
    store.roll_up().await.unwrap();
    assert_eq!(kept(&store).await.rolled, []);
    // The plan comes, and what is made again has it.
    store.append(all, NOW).await.unwrap();
    store.roll_up_again().await.unwrap();
    assert_ne!(kept(&store).await.rolled, []);
}

#[test]
fn a_block_is_as_long_as_the_statements_say() {
    let of = format!("/ {}", nepho_controller_core::report::rollup::RECORDS);
    for statement in [sql::RECORDS_NOT_ROLLED, sql::RECORDS_ROLLED] {
        assert!(statement.contains(&of), "{statement}");
    }
    assert_eq!(Seq(64).0, nepho_controller_core::report::rollup::RECORDS);
}
