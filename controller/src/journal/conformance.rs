//! What every engine must do, as functions over a store, and SQLite held to it.

use std::collections::BTreeSet;

use nepho_common::{
    id::{AgentId, Digest, Fence, PlanId, RunId, Seq, SpoolId},
    journal::{PAYLOAD_MAX, Record, RecordKey, RecordKind},
    time::WallMillis,
};

use super::*;

const NOW: WallMillis = WallMillis(1_795_393_620_000);

fn agent(name: &str) -> AgentId {
    name.parse().unwrap()
}

fn spool(n: u8) -> SpoolId {
    SpoolId::new([n; 16])
}

fn key(n: u8) -> Digest {
    Digest::of(&[n])
}

fn record(name: &str, spool: SpoolId, seq: u64) -> Record {
    Record {
        format: 1,
        kind: RecordKind::ALL[seq as usize % RecordKind::ALL.len()],
        version: 1,
        key: RecordKey {
            agent: agent(name),
            spool,
            seq: Seq(seq),
        },
        run: "r1".parse().unwrap(),
        payload: format!("{name} {spool} {seq}").into_bytes(),
    }
}

fn row(run: &str, created: i64) -> RunRow {
    RunRow {
        run: run.parse().unwrap(),
        plan: PlanId(Digest::of(b"plan")),
        scenario: "three-environments".parse().unwrap(),
        state: RunState::Queued,
        verdict: None,
        made: None,
        created: WallMillis(created),
        ended: None,
        requested_by: "张三".to_owned(),
    }
}

/// Deterministic, and printed by whoever fails: SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

/// Shuffled, repeated, in batches of any size and from several senders at once: stored once.
async fn ingestion_is_idempotent(store: &Store, seed: u64) {
    let mut dice = Dice(seed);
    let mut all = Vec::new();
    for (name, spool) in [("a", spool(1)), ("a", spool(2)), ("b", spool(1))] {
        all.extend((1..=20).map(|seq| record(name, spool, seq)));
    }
    let mut sent: Vec<Record> = all.iter().chain(&all).chain(&all).cloned().collect();
    dice.shuffle(&mut sent);
    let mut batches = Vec::new();
    while !sent.is_empty() {
        let size = 1 + dice.below(9.min(sent.len()));
        batches.push(sent.split_off(sent.len() - size));
    }
    let answers =
        futures_util::future::join_all(batches.into_iter().map(|batch| store.append(batch, NOW)))
            .await;
    let mut sum = Appended::default();
    for answer in answers {
        let answer = answer.unwrap();
        sum.stored += answer.stored;
        sum.repeated += answer.repeated;
        assert_eq!(answer.conflicts, [], "seed {seed}");
    }
    assert_eq!((sum.stored, sum.repeated), (60, 120), "seed {seed}");
    all.sort_by(|a, b| a.key.cmp(&b.key));
    let run = "r1".parse().unwrap();
    assert_eq!(store.run_records(&run).await.unwrap(), all, "seed {seed}");
    for (name, at) in [("a", spool(1)), ("a", spool(2)), ("b", spool(1))] {
        assert_eq!(store.durable(&agent(name), &at).await.unwrap(), Seq(20));
    }
}

async fn the_first_of_two_contents_is_kept_and_the_other_reported(store: &Store) {
    let first = record("a", spool(1), 1);
    store.append(vec![first.clone()], NOW).await.unwrap();
    let changes: [fn(&mut Record); 5] = [
        |r| r.payload.push(0),
        |r| r.format = 2,
        |r| r.version = 2,
        |r| r.kind = RecordKind::Seal,
        |r| r.run = "r2".parse().unwrap(),
    ];
    for change in changes {
        let mut other = first.clone();
        change(&mut other);
        let batch = vec![other, record("a", spool(1), 2)];
        let appended = store.append(batch, NOW).await.unwrap();
        assert_eq!(appended.conflicts, std::slice::from_ref(&first.key));
    }
    let records = store.run_records(&first.run).await.unwrap();
    assert_eq!(records, [first, record("a", spool(1), 2)]);
}

async fn durable_is_the_end_of_what_has_no_gap(store: &Store) {
    let durable = async |at| store.durable(&agent("a"), &at).await.unwrap().0;
    assert_eq!(durable(spool(1)).await, 0);
    for (seq, end) in [
        (2, 0),
        (4, 0),
        (1, 2),
        (6, 2),
        (3, 4),
        (5, 6),
        (7, 7),
        (1, 7),
    ] {
        let batch = vec![record("a", spool(1), seq)];
        store.append(batch, NOW).await.unwrap();
        assert_eq!(durable(spool(1)).await, end, "after {seq}");
    }
    assert_eq!(durable(spool(2)).await, 0);
}

/// Model: the longest prefix of the set of numbers sent so far.
async fn durable_follows_the_model(store: &Store, seed: u64) {
    let mut dice = Dice(seed);
    let mut order: Vec<u64> = (1..=60).collect();
    dice.shuffle(&mut order);
    let mut sent: BTreeSet<u64> = BTreeSet::new();
    while !order.is_empty() {
        let size = 1 + dice.below(5.min(order.len()));
        let batch = order.split_off(order.len() - size);
        sent.extend(&batch);
        let records = batch.iter().map(|seq| record("a", spool(1), *seq));
        store.append(records.collect(), NOW).await.unwrap();
        let end = (1..).take_while(|seq| sent.contains(seq)).count() as u64;
        let durable = store.durable(&agent("a"), &spool(1)).await.unwrap();
        assert_eq!(durable, Seq(end), "seed {seed}, {sent:?}");
    }
}

async fn what_can_not_be_stored_is_refused_with_its_name(store: &Store) {
    let mut large = record("a", spool(1), 3);
    large.payload = vec![0; PAYLOAD_MAX + 1];
    for bad in [
        record("a", spool(1), 0),
        record("a", spool(1), u64::MAX),
        large,
    ] {
        let key = bad.key.clone();
        let batch = vec![record("a", spool(1), 1), bad];
        match store.append(batch, NOW).await {
            Err(StoreError::Unstorable { key: named, .. }) => assert_eq!(*named, key),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.durable(&agent("a"), &spool(1)).await.unwrap(), Seq(0));
}

async fn runs_are_listed_with_their_state(store: &Store) {
    let run: RunId = "r1".parse().unwrap();
    assert_eq!(store.run(&run).await.unwrap(), None);
    store.create_run(row("r1", 1)).await.unwrap();
    store.create_run(row("r2", 2)).await.unwrap();
    assert!(matches!(
        store.create_run(row("r1", 3)).await,
        Err(StoreError::RunExists(name)) if name == run
    ));
    assert_eq!(store.run(&run).await.unwrap(), Some(row("r1", 1)));
    for state in RunState::ALL {
        store.set_run_state(run.clone(), state).await.unwrap();
        let found = store.run(&run).await.unwrap().unwrap();
        assert_eq!(found.state, state);
    }
    let verdict = Some("fail".to_owned());
    let made = Some(Made {
        revision: 1,
        records: 7,
    });
    let first = Ending {
        state: RunState::Ended,
        verdict: verdict.clone(),
        made,
        at: WallMillis(9),
    };
    store.end_run(run.clone(), first.clone()).await.unwrap();
    let made = Some(Made {
        revision: 2,
        records: 8,
    });
    let second = Ending {
        made,
        at: WallMillis(12),
        ..first.clone()
    };
    store.end_run(run.clone(), second).await.unwrap();
    let ended = RunRow {
        state: RunState::Ended,
        verdict,
        made,
        ended: Some(WallMillis(9)),
        ..row("r1", 1)
    };
    assert_eq!(store.runs().await.unwrap(), [row("r2", 2), ended]);
    let nobody: RunId = "nobody".parse().unwrap();
    assert!(matches!(
        store.set_run_state(nobody.clone(), RunState::Ended).await,
        Err(StoreError::NoRun(name)) if name == nobody
    ));
    let ended = store.end_run(nobody, first).await;
    assert!(matches!(ended, Err(StoreError::NoRun(_))));
}

fn token(secret: u8) -> NewToken {
    NewToken {
        secret: key(secret),
        environment: "local".parse().unwrap(),
        agent: None,
        expires: WallMillis(NOW.0 + 3_600_000),
    }
}

fn later(ms: i64) -> WallMillis {
    WallMillis(NOW.0 + ms)
}

async fn of_many_keys_with_one_token_one_wins(store: &Store) {
    store.put_token(token(1)).await.unwrap();
    let uses = (1..=20).map(|n| store.use_token(key(1), key(100 + n), NOW));
    let answers = futures_util::future::join_all(uses).await;
    let mut granted = 0;
    for answer in answers {
        match answer.unwrap() {
            TokenUse::Granted(grant) => {
                assert!(!grant.again);
                granted += 1;
            }
            TokenUse::Refused(why) => assert_eq!(why, TokenRefusal::Used),
        }
    }
    assert_eq!(granted, 1);
}

async fn the_winner_may_ask_again_for_ten_minutes(store: &Store) {
    let named = NewToken {
        agent: Some(agent("a")),
        ..token(1)
    };
    store.put_token(named).await.unwrap();
    let grant = |again| {
        TokenUse::Granted(Grant {
            environment: "local".parse().unwrap(),
            agent: Some(agent("a")),
            again,
        })
    };
    let used = TokenUse::Refused(TokenRefusal::Used);
    for (by, at, expected) in [
        (key(7), NOW, grant(false)),
        (key(7), NOW, grant(true)),
        (key(7), later(600_000), grant(true)),
        (key(8), later(1), used.clone()),
        (key(7), later(600_001), used),
    ] {
        let found = store.use_token(key(1), by, at).await.unwrap();
        assert_eq!(found, expected);
    }
}

async fn an_expired_or_unknown_token_gives_nothing(store: &Store) {
    store.put_token(token(1)).await.unwrap();
    for (secret, at, expected) in [
        (key(2), NOW, TokenRefusal::Unknown),
        (key(1), later(3_600_000), TokenRefusal::Expired),
        (key(1), later(9_000_000), TokenRefusal::Expired),
    ] {
        let found = store.use_token(secret, key(7), at).await.unwrap();
        assert_eq!(found, TokenUse::Refused(expected));
    }
    // Negative control: in time it would have been granted.
    let found = store.use_token(key(1), key(7), later(3_599_999)).await;
    assert!(matches!(found.unwrap(), TokenUse::Granted(_)));
}

fn admission(name: Option<&str>, by: u8) -> Admission {
    Admission {
        environment: "local".parse().unwrap(),
        agent: name.map(agent),
        serial: format!("{by:02x}"),
        key: key(by),
        not_after: later(1),
        now: NOW,
    }
}

async fn admitted(store: &Store, admission: Admission) -> (AgentRow, Option<AgentRow>) {
    match store.admit(admission).await.unwrap() {
        Admitted::Stored { agent, replaced } => (*agent, replaced.map(|row| *row)),
        Admitted::Revoked(name) => panic!("{name} is revoked"),
    }
}

async fn agents_get_names_of_their_environment(store: &Store) {
    for (by, name) in [
        (1, "local-1"),
        (2, "local-2"),
        (1, "local-1"),
        (3, "local-3"),
    ] {
        let (row, _) = admitted(store, admission(None, by)).await;
        assert_eq!(row.agent, agent(name));
        assert_eq!(store.agent(&row.agent).await.unwrap(), Some(row));
    }
    let names: Vec<_> = store.agents().await.unwrap();
    assert_eq!(names.len(), 3);
    // Many at once: each key its own name.
    let many = (10..30).map(|by| admitted(store, admission(None, by)));
    let rows = futures_util::future::join_all(many).await;
    let names: BTreeSet<_> = rows.into_iter().map(|(row, _)| row.agent).collect();
    assert_eq!(names.len(), 20);
    let long = Admission {
        environment: "e".repeat(63).parse().unwrap(),
        ..admission(None, 40)
    };
    let (row, _) = admitted(store, long).await;
    assert_eq!(row.agent.as_str(), format!("{}-1", "e".repeat(48)));
}

async fn a_host_that_is_set_up_anew_takes_its_old_name(store: &Store) {
    let (old, none) = admitted(store, admission(Some("a"), 1)).await;
    assert_eq!(none, None);
    let (new, replaced) = admitted(store, admission(Some("a"), 2)).await;
    assert_eq!(replaced, Some(old));
    assert_eq!(store.agent(&agent("a")).await.unwrap(), Some(new));
}

async fn a_revoked_name_is_not_given_again(store: &Store) {
    admitted(store, admission(Some("a"), 1)).await;
    assert!(store.revoke(agent("a"), later(5)).await.unwrap());
    assert!(!store.revoke(agent("a"), later(6)).await.unwrap());
    assert!(!store.revoke(agent("nobody"), NOW).await.unwrap());
    let row = store.agent(&agent("a")).await.unwrap().unwrap();
    assert_eq!(row.revoked, Some(later(5)));
    for (name, by) in [(Some("a"), 1), (Some("a"), 2), (None, 1)] {
        let found = store.admit(admission(name, by)).await.unwrap();
        assert_eq!(found, Admitted::Revoked(agent("a")));
    }
    assert_eq!(store.agent(&agent("a")).await.unwrap(), Some(row));
}

async fn an_offer_becomes_the_current_certificate_when_it_is_shown(store: &Store) {
    let (row, _) = admitted(store, admission(Some("a"), 1)).await;
    let offer = |serial: &str| Offer {
        serial: serial.to_owned(),
        key: key(9),
        not_after: later(9),
    };
    let a = agent("a");
    let offered = async |name: &str, shown: &str, serial| {
        let shown = shown.to_owned();
        store
            .offer(agent(name), shown, offer(serial))
            .await
            .unwrap()
    };
    assert_eq!(offered("nobody", "any", "n1").await, Offered::Unknown);
    assert_eq!(offered("a", "other", "n1").await, Offered::Stale);
    assert!(!store.promote(a.clone(), "n1".to_owned()).await.unwrap());
    let stored = Offered::Stored(row.environment.clone());
    assert_eq!(offered("a", &row.serial, "n1").await, stored);
    assert_eq!(offered("a", &row.serial, "n2").await, stored);
    assert!(!store.promote(a.clone(), "n1".to_owned()).await.unwrap());
    let found = store.agent(&a).await.unwrap().unwrap();
    assert_eq!(
        (&found.serial, found.next),
        (&row.serial, Some(offer("n2")))
    );
    assert!(store.promote(a.clone(), "n2".to_owned()).await.unwrap());
    let found = store.agent(&a).await.unwrap().unwrap();
    assert_eq!((found.serial.as_str(), found.key), ("n2", key(9)));
    assert_eq!((found.not_after, found.next), (later(9), None));
    // Who shows what was only offered has it: that is promoted first.
    assert_eq!(offered("a", "n2", "n3").await, stored);
    assert_eq!(offered("a", "n3", "n4").await, stored);
    let found = store.agent(&a).await.unwrap().unwrap();
    assert_eq!(
        (found.serial.as_str(), found.next),
        ("n3", Some(offer("n4")))
    );
    store.revoke(a.clone(), later(5)).await.unwrap();
    assert_eq!(offered("a", "n3", "n5").await, Offered::Revoked);
    assert!(!store.promote(a, "n4".to_owned()).await.unwrap());
}

fn claim(holder: &str, until: i64, alone: bool) -> Claim {
    Claim {
        run: "r1".parse().unwrap(),
        holder: holder.to_owned(),
        clock: holder.chars().take(1).collect(),
        until: later(until),
        alone,
    }
}

const fn taken(fence: u64, same_clock: bool) -> Claimed {
    Claimed::Taken {
        fence: Fence(fence),
        same_clock,
    }
}

async fn a_run_has_one_holder_and_its_fence_rises_when_that_changes(store: &Store) {
    let ask = |holder: &'static str, now, until, alone| async move {
        let claimed = store.claim(claim(holder, until, alone), later(now)).await;
        claimed.unwrap()
    };
    assert_eq!(ask("a1", 0, 15, false).await, taken(1, true));
    assert_eq!(
        ask("a1", 1, 16, false).await,
        taken(1, true),
        "it has it already"
    );
    let held = Claimed::Held {
        holder: "a1".to_owned(),
        until: later(16),
    };
    assert_eq!(ask("b1", 2, 17, false).await, held);
    store
        .renew_leases("a1".to_owned(), later(20))
        .await
        .unwrap();
    assert!(
        matches!(ask("b1", 19, 30, false).await, Claimed::Held { .. }),
        "it was renewed"
    );
    assert_eq!(
        ask("b1", 20, 35, false).await,
        taken(2, false),
        "the lease has ended"
    );
    assert!(matches!(
        ask("a1", 21, 36, false).await,
        Claimed::Held { .. }
    ));
    // Who holds the store's lock knows that the other one's process is gone.
    assert_eq!(ask("b2", 21, 36, true).await, taken(3, true));
}

async fn what_an_older_holder_says_is_not_stored(store: &Store) {
    store.claim(claim("a1", 15, false), NOW).await.unwrap();
    let says = |fence, seq| {
        let fence = Some(("r1".parse().unwrap(), Fence(fence)));
        store.append_as(fence, vec![record("controller", spool(9), seq)], NOW)
    };
    assert_eq!(says(1, 1).await.unwrap().stored, 1);
    store
        .claim(claim("b1", 40, false), later(15))
        .await
        .unwrap();
    assert!(matches!(says(1, 2).await, Err(StoreError::Fenced(_))));
    assert_eq!(says(2, 2).await.unwrap().stored, 1, "its number is free");
    // What agents say bears no fence: it is stored whoever drives.
    let of_agent = store.append(vec![record("a", spool(1), 1)], NOW).await;
    assert_eq!(of_agent.unwrap().stored, 1);
}

async fn a_closed_store_says_so(store: &Store) {
    store.clone().close().await;
    let answer = store.append(vec![record("a", spool(1), 1)], NOW).await;
    assert!(matches!(answer, Err(StoreError::Closed)));
}

/// Runs the suite on an engine; `$open` is an expression that gives a fresh store and whatever
/// must live as long.
macro_rules! conformance {
    ($open:expr) => {
        conformance!($open;
            the_first_of_two_contents_is_kept_and_the_other_reported,
            durable_is_the_end_of_what_has_no_gap,
            what_can_not_be_stored_is_refused_with_its_name,
            runs_are_listed_with_their_state,
            of_many_keys_with_one_token_one_wins,
            the_winner_may_ask_again_for_ten_minutes,
            an_expired_or_unknown_token_gives_nothing,
            agents_get_names_of_their_environment,
            a_host_that_is_set_up_anew_takes_its_old_name,
            a_revoked_name_is_not_given_again,
            an_offer_becomes_the_current_certificate_when_it_is_shown,
            a_run_has_one_holder_and_its_fence_rises_when_that_changes,
            what_an_older_holder_says_is_not_stored,
            a_closed_store_says_so
        );

        #[tokio::test]
        async fn ingestion_is_idempotent_under_shuffles_and_repetition() {
            for seed in 0..12 {
                let (store, _held) = $open.await;
                super::ingestion_is_idempotent(&store, seed).await;
            }
        }

        #[tokio::test]
        async fn durable_follows_the_model_of_a_set() {
            for seed in 0..6 {
                let (store, _held) = $open.await;
                super::durable_follows_the_model(&store, seed).await;
            }
        }
    };
    ($open:expr; $($test:ident),*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let (store, _held) = $open.await;
                super::$test(&store).await;
            }
        )*
    };
}

mod sqlite {
    use super::*;

    async fn open() -> (Store, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("nepho.sqlite")).await.unwrap();
        (store, dir)
    }

    conformance!(open());
}
