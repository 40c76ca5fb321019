//! A disk that is really full: a small file system of its own, where this machine lets us mount one.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    process::Command,
    sync::Arc,
    time::Duration,
};

use nepho_agent::spool::{Draft, Spool};
use nepho_common::{
    event::{Event, Shortage, What},
    histogram::Histogram,
    id::{Attempt, Seq},
    journal::Body,
    recording::{Metric, Outcome, Recording, Series},
    time::{Interval, Nanos, RunTime},
};
use nepho_proto::journal;
use tempfile::TempDir;
use tokio::time::timeout;

/// A second is how often a full disk is tried again; the rest is for a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

/// A file system of one megabyte.
struct Small(TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
        let mounted = mount.arg(dir.path()).output();
        mounted.ok()?.status.success().then_some(Self(dir))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        drop(unmount.arg("-l").arg(self.0.path()).status());
    }
}

/// Says loudly that a test is not done on this machine, and where that is counted.
fn skip(test: &str, why: &str) {
    println!("SKIPPED {test}: {why}");
    if let Some(path) = std::env::var_os("NEPHO_TEST_SKIPS") {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        writeln!(file, "{test}: {why}").unwrap();
    }
}

fn portion(n: u64) -> Draft {
    let mut histogram = Histogram::default();
    (0..1_500).for_each(|value| histogram.record(Nanos(value * value * 997 + n)));
    let body = Body::Recordings(vec![Recording {
        series: Arc::new(Series {
            run: "r".parse().unwrap(),
            attempt: Attempt(1),
            stage: "one".parse().unwrap(),
            step: "reach".parse().unwrap(),
            operation: "GET /".to_owned().try_into().unwrap(),
            from: "local".parse().unwrap(),
            agent: "a".parse().unwrap(),
            to: "local/x/1".parse().unwrap(),
            outcome: Outcome::Success,
            metric: Metric::ResponseTime,
        }),
        interval: Interval {
            from: RunTime(0),
            to: RunTime(1),
        },
        histogram,
    }]);
    let run = "r".parse().unwrap();
    Draft {
        kind: body.kind(),
        version: journal::version(body.kind()),
        payload: journal::payload(&run, Attempt(1), &body),
        run,
    }
}

/// Takes what room there is.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    for block in [64 << 10, 4 << 10, 1] {
        while file.write_all(&vec![7; block]).is_ok() {}
    }
}

async fn values(spool: &Spool, seqs: std::ops::RangeInclusive<u64>) -> u64 {
    let mut sum = 0;
    for seq in seqs {
        let record = spool.read(Seq(seq)).await.unwrap().unwrap();
        let Body::Recordings(all) = journal::decode(&record).unwrap().body else {
            unreachable!("{seq} is something else")
        };
        sum += all.iter().map(|one| one.histogram.count()).sum::<u64>();
    }
    sum
}

#[tokio::test]
async fn results_outlast_a_full_disk_without_a_restart_and_without_losing_a_count() {
    let Some(small) = Small::mount() else {
        skip("a full disk", "no right to mount a file system");
        return;
    };
    let dir = small.0.path().join("spool");
    let (spool, _) = Spool::open(dir.clone(), "a".parse().unwrap()).unwrap();
    let first = spool.write(vec![portion(0), portion(1)]).await;
    assert_eq!(first.await.unwrap().unwrap(), Seq(2));
    let filler = small.0.path().join("filler");
    fill(&filler);

    let mut waiting = Vec::new();
    for n in 0..100 {
        waiting.push(spool.write(vec![portion(n), portion(n)]).await);
    }
    // Nothing is promised while it is not on disk, and what was there can still be read.
    let mut last = waiting.pop().unwrap();
    assert!(
        timeout(Duration::from_millis(1_500), &mut last)
            .await
            .is_err()
    );
    assert_eq!(values(&spool, 1..=2).await, 3_000);

    // An acknowledgement finds room in the ballast.
    spool.acknowledged(Seq(2)).await;
    assert_eq!(
        spool
            .read(Seq(2))
            .await
            .unwrap()
            .map(|record| record.key.seq),
        Some(Seq(2))
    );
    let ack = fs::read_to_string(dir.join("ack")).unwrap();
    assert!(ack.starts_with("2 "), "{ack}");

    fs::remove_file(&filler).unwrap();
    let written = timeout(SOON, last).await.unwrap().unwrap().unwrap();
    // One more than was given: before the rest the spool says that it was full.
    assert_eq!(written, Seq(203), "no number was skipped or used twice");
    for done in waiting {
        done.await.unwrap().unwrap();
    }
    assert_eq!(values(&spool, 4..=203).await, 200 * 1_500);
    let said = spool.read(Seq(3)).await.unwrap().unwrap();
    let Body::Events(said) = journal::decode(&said).unwrap().body else {
        unreachable!("nothing is said of it")
    };
    let [Event { what, .. }] = &said[..] else {
        unreachable!("{said:?}")
    };
    let disk = matches!(what, What::SpoolFull { why: Shortage::Disk, waited, .. } if *waited >= Nanos::from_secs(1));
    assert!(disk, "{what:?}");
    let next = spool.write(vec![portion(0)]).await;
    assert_eq!(next.await.unwrap().unwrap(), Seq(204));
}
