//! A spool at its quota: no value is lost, what may have been sent is never touched, and a crash at
//! any step leaves either.

use std::{collections::BTreeMap, sync::Arc};

use nepho_common::{
    event::{Shortage, What},
    histogram::Histogram,
    id::{Attempt, Seq},
    journal::{Body, Record},
    recording::{Metric, Outcome, Recording, Series},
    time::{Interval, Nanos, RunTime},
};
use nepho_proto::journal;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

use crate::spool::{
    Draft, Job, SpoolError, Store,
    serve::Server,
    store::{QUOTA, Sizes},
};

/// Some twenty portions to a segment, eight segments.
pub(super) const SIZES: Sizes = Sizes {
    segment: 128 << 10,
    quota: 1 << 20,
};
/// A few small portions to a segment.
const SMALL: Sizes = Sizes {
    segment: 4_000,
    quota: QUOTA,
};
pub(super) const SERIES: u64 = 40;

fn open(dir: &TempDir, sizes: Sizes) -> Store {
    Store::open_with(dir.path().into(), "a".parse().unwrap(), sizes).unwrap()
}

/// What a stage leaves in ten seconds: some series with a few values.
pub(super) fn portion(n: u64, series: u64) -> Draft {
    let recording = |operation: u64| {
        let mut histogram = Histogram::default();
        (0..20).for_each(|value| histogram.record(Nanos(1_000_000 + (value * n) % 97 * 50_000)));
        let from = RunTime(i64::try_from(n).unwrap() * 10_000_000_000);
        Recording {
            series: Arc::new(Series {
                run: "r".parse().unwrap(),
                attempt: Attempt(1),
                stage: "one".parse().unwrap(),
                step: "reach".parse().unwrap(),
                operation: format!("GET /{operation}").try_into().unwrap(),
                from: "local".parse().unwrap(),
                agent: "a".parse().unwrap(),
                to: "local/x/1".parse().unwrap(),
                outcome: Outcome::Success,
                metric: Metric::ResponseTime,
            }),
            interval: Interval {
                from,
                to: from.plus(Nanos::from_secs(10)),
            },
            histogram,
        }
    };
    draft(Body::Recordings((0..series).map(recording).collect()))
}

fn draft(body: Body) -> Draft {
    let run = "r".parse().unwrap();
    Draft {
        kind: body.kind(),
        version: journal::version(body.kind()),
        payload: journal::payload(&run, Attempt(1), &body),
        run,
    }
}

/// The values of every series in these records.
pub(super) fn sums<'a>(
    payloads: impl IntoIterator<Item = &'a Record>,
) -> BTreeMap<Arc<Series>, Histogram> {
    let mut sums: BTreeMap<Arc<Series>, Histogram> = BTreeMap::new();
    for record in payloads {
        if let Body::Recordings(all) = journal::decode(record).unwrap().body {
            for one in all.into_iter().filter(|one| one.histogram.count() > 0) {
                sums.entry(one.series).or_default().merge(&one.histogram);
            }
        }
    }
    sums
}

#[test]
fn five_times_the_quota_finds_room_without_losing_a_value_or_a_number() {
    let dir = TempDir::new().unwrap();
    let plain = TempDir::new().unwrap();
    let (mut store, mut control) = (
        open(&dir, SIZES),
        open(
            &plain,
            Sizes {
                quota: QUOTA,
                ..SIZES
            },
        ),
    );
    let (mut raw, mut merges) = (0, 0);
    for n in 0.. {
        let draft = portion(n, SERIES);
        raw += draft.payload.len() as u64;
        while !store.has_room_for([&draft]) {
            let merged = store.coarsen().expect("something is left to merge");
            assert_eq!(merged[0].stage.as_str(), "one");
            merges += 1;
        }
        store.append(&draft).unwrap();
        control.append(&draft).unwrap();
        if n % 10 == 0 {
            store.sync().unwrap();
            control.sync().unwrap();
        }
        if raw > 5 * SIZES.quota {
            break;
        }
    }
    store.sync().unwrap();
    control.sync().unwrap();
    assert!(merges > 5, "{merges}");
    assert!(store.bytes() <= SIZES.quota);
    assert_eq!(store.last(), control.last());
    // After a new start as well.
    for store in [store, open_again(&dir)] {
        let mut store = store;
        let read = |store: &mut Store| -> Vec<Record> {
            (1..=store.last().0)
                .map(|seq| store.read(Seq(seq)).unwrap())
                .collect()
        };
        assert_eq!(sums(&read(&mut store)), sums(&read(&mut control)));
    }
    // Control: without merging it stops early.
    let dir = TempDir::new().unwrap();
    let mut stops = open(&dir, SIZES);
    let full = (0..).find_map(|n| stops.append(&portion(n, SERIES)).err());
    assert!(matches!(full, Some(SpoolError::Quota(_))));
}

/// The lock is the directory's, and a second store of one process would not get it.
fn open_again(dir: &TempDir) -> Store {
    let copy = TempDir::new().unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap().flatten() {
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let store = open(&copy, SIZES);
    // Deleted at the end of the test's process, with the folder of all of them.
    drop(copy.keep());
    store
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Append,
    Sync,
    /// Whoever sends reads on, so many records.
    Send(u8),
    Acknowledge,
    Coarsen,
    /// A new process on the same directory; what was merged beside may be left over.
    Restart(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => Just(Step::Append),
        3 => Just(Step::Sync),
        2 => (0u8..6).prop_map(Step::Send),
        1 => Just(Step::Acknowledge),
        3 => Just(Step::Coarsen),
        1 => any::<bool>().prop_map(Step::Restart),
    ]
}

struct Play {
    dir: TempDir,
    store: Option<Store>,
    issued: BTreeMap<Seq, Draft>,
    /// What went out, and must be the same for ever.
    sent: BTreeMap<Seq, Vec<u8>>,
    merges: u32,
    /// Forget what was sent: the control.
    forgets: bool,
}

impl Play {
    fn new(forgets: bool) -> Self {
        let dir = TempDir::new().unwrap();
        Self {
            store: Some(open(&dir, SMALL)),
            dir,
            issued: BTreeMap::new(),
            sent: BTreeMap::new(),
            merges: 0,
            forgets,
        }
    }

    fn play(&mut self, step: Step) -> Result<(), String> {
        let store = self.store.as_mut().unwrap();
        match step {
            Step::Append => {
                let draft = portion(self.issued.len() as u64, 4);
                self.issued.insert(store.append(&draft).unwrap(), draft);
            }
            Step::Sync => store.sync().unwrap(),
            Step::Send(many) => {
                let next = self.sent.keys().last().map_or(1, |seq| seq.0 + 1);
                let next = next.max(store.standing().acked.0 + 1);
                for seq in (next..next + u64::from(many)).map(Seq) {
                    if let Some(record) = store.read(seq) {
                        self.sent.insert(seq, record.payload);
                    }
                }
            }
            Step::Acknowledge => {
                if let Some(last) = self.sent.keys().last() {
                    store.acknowledged(*last);
                }
            }
            Step::Coarsen => {
                if self.forgets {
                    store.handed = Seq(0);
                }
                self.merges += u32::from(store.coarsen().is_some());
            }
            Step::Restart(torn) => {
                drop(self.store.take());
                if torn {
                    std::fs::write(self.dir.path().join("00000000000000000001.new"), "x").unwrap();
                }
                let store = open(&self.dir, SMALL);
                assert_eq!(store.standing().damaged, 0);
                self.issued.retain(|seq, _| *seq <= store.last());
                self.store = Some(store);
            }
        }
        self.check()
    }

    /// What went out is what it was, and nothing of what is owed is lost or counted twice.
    fn check(&mut self) -> Result<(), String> {
        let store = self.store.as_mut().unwrap();
        let (acked, synced) = (store.standing().acked, store.synced);
        let handed = store.handed;
        let mut owed: Vec<Record> = (acked.0 + 1..=synced.0)
            .map(|seq| store.read(Seq(seq)).ok_or(format!("{seq} is gone")))
            .collect::<Result<_, _>>()?;
        // A look is not a sending.
        store.handed = handed;
        for record in &owed {
            let sent = self.sent.get(&record.key.seq);
            if sent.is_some_and(|sent| *sent != record.payload) {
                return Err(format!("{} went out and was changed", record.key.seq));
            }
        }
        let record = |seq: &Seq, payload: &Vec<u8>| Record {
            payload: payload.clone(),
            ..store.record(*seq, &portion(0, 1))
        };
        let issued = self.issued.iter().filter(|(seq, _)| **seq <= synced);
        let issued: Vec<Record> = issued.map(|(seq, one)| record(seq, &one.payload)).collect();
        // What is acknowledged counts as it went out.
        let gone = self.sent.iter().filter(|(seq, _)| **seq <= acked);
        owed.extend(gone.map(|(seq, payload)| record(seq, payload)));
        if sums(&owed) != sums(&issued) {
            return Err("values were lost or counted twice".to_owned());
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn merging_on_disk_keeps_every_value_and_never_touches_what_went_out(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut play = Play::new(false);
        for step in &steps {
            play.play(*step).map_err(TestCaseError::fail)?;
        }
    }
}

#[test]
fn the_check_notices_a_record_that_is_changed_after_it_went_out() {
    let played = |forgets| {
        let mut play = Play::new(forgets);
        let steps = [
            [Step::Append; 20].as_slice(),
            &[Step::Sync, Step::Send(1), Step::Coarsen],
        ];
        let found = steps
            .concat()
            .into_iter()
            .try_for_each(|step| play.play(step));
        assert!(play.merges == 1, "nothing was merged");
        found
    };
    assert_eq!(played(false), Ok(()));
    assert_eq!(played(true), Err("1 went out and was changed".to_owned()));
}

#[tokio::test]
async fn a_spool_at_its_quota_goes_on_and_says_how_finely_time_is_divided_now() {
    let dir = TempDir::new().unwrap();
    let server = Server::new(open(&dir, SIZES), "a".parse().unwrap());
    let (jobs, queue) = mpsc::channel(8);
    let serving = tokio::spawn(server.serve(queue));
    let mut last = Seq(0);
    for n in 0..50 {
        let (done, written) = oneshot::channel();
        jobs.send(Job::Write(
            (n * 10..n * 10 + 10).map(|n| portion(n, SERIES)).collect(),
            done,
        ))
        .await
        .unwrap();
        last = written.await.unwrap().unwrap();
    }
    assert!(last > Seq(500), "what was said of it has numbers too");
    let mut told = Vec::new();
    let mut records = Vec::new();
    for seq in 1..=last.0 {
        let (done, read) = oneshot::channel();
        jobs.send(Job::Read(Seq(seq), done)).await.unwrap();
        let record = read.await.unwrap().unwrap();
        if let Body::Events(events) = journal::decode(&record).unwrap().body {
            told.extend(events.into_iter().map(|event| event.what));
        }
        records.push(record);
    }
    let values: u64 = sums(&records).values().map(Histogram::count).sum();
    assert_eq!(values, 500 * SERIES * 20);
    let longest = told.iter().map(|what| match what {
        What::SpoolFull {
            stage,
            why: Shortage::Quota,
            longest,
            ..
        } if stage.as_str() == "one" => *longest,
        other => unreachable!("{other:?}"),
    });
    assert!(longest.max() > Some(Nanos::from_secs(10)));
    drop(jobs);
    serving.await.unwrap();
}
