//! A controller that does not acknowledge makes no agent send, or hold, more than its window.

use nepho_agent::spool::{Draft, Spool};
use nepho_agent_core::outbox::WINDOW_BYTES;
use nepho_common::recording::Exhibit;

use super::*;

/// As large as a batch of recordings.
const SIZE: usize = 256 << 10;
const RECORDS: u64 = 40;

/// Ten megabytes that an earlier start left on disk.
async fn owed(dir: &DataDir) {
    let (spool, _) = Spool::open(dir.spool(), "local-1".parse().unwrap()).unwrap();
    let run = "r1".parse().unwrap();
    let content = vec![b'x'; SIZE];
    let body = Body::Exhibits(vec![Exhibit {
        name: "large".to_owned().try_into().unwrap(),
        digest: Digest::of(&content),
        content,
    }]);
    let draft = Draft {
        kind: RecordKind::Exhibits,
        version: journal::version(RecordKind::Exhibits),
        payload: journal::payload(&run, Attempt(1), &body),
        run,
    };
    for _ in 0..RECORDS {
        let written = spool.write(vec![draft.clone()]).await;
        written.await.unwrap().unwrap();
    }
    drop(spool);
    // Its thread ends a moment later, and with it the lock.
    let lock = std::fs::File::open(dir.spool().join("lock")).unwrap();
    let wait = tokio::task::spawn_blocking(move || {
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
    });
    wait.await.unwrap().unwrap();
}

/// How many records come, until nothing comes for a while.
async fn come(controller: &mut Controller) -> u64 {
    let mut count = 0;
    let quiet = Duration::from_millis(700);
    while let Ok(entry) = tokio::time::timeout(quiet, controller.entries.recv()).await {
        entry.unwrap();
        count += 1;
    }
    count
}

async fn delivered(acks: bool) -> u64 {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir(temp.path().join("agent"));
    let mut controller = Controller::start().await;
    controller.acks.store(acks, Ordering::Relaxed);
    join(controller.join(&dir, SECRET, controller.pin()))
        .await
        .unwrap();
    owed(&dir).await;
    let running = run(&dir);
    controller.welcome().await;
    running.ready.await.unwrap();
    let count = come(&mut controller).await;
    running.stop.send_replace(Leave::Now);
    running.agent.await.unwrap().unwrap();
    count
}

#[tokio::test]
async fn without_acknowledgements_no_more_than_the_window_is_on_its_way() {
    local(async {
        let count = delivered(false).await;
        let bytes = count * SIZE as u64;
        println!("{count} records, {bytes} bytes without an acknowledgement");
        assert!(bytes <= WINDOW_BYTES && bytes > WINDOW_BYTES / 2);
        // Control: what is acknowledged makes room.
        assert_eq!(delivered(true).await, RECORDS);
    })
    .await;
}
