//! Hold points: a crash test holds the process at a named place, and kills it there.
//!
//! `NEPHO_HOLD=point:FILE` makes the process write FILE at that point and wait there until the
//! file is removed. Only under the cargo feature `hold-points`; without it every call is nothing.
//!
//! | point | where |
//! |---|---|
//! | `command.WORD` | an order was received, not obeyed: prepare, arm, start, resume, stop, release |
//! | `clock.pong` | a ping is to be answered while a stage is armed |
//! | `run.before-begin` | a stage is to begin, its workers are not spawned |
//! | `stage.running` | the first request went out |
//! | `stage.draining` | a stage's time is up, its workers were not told |
//! | `spool.after-append` | records are written, not synced |
//! | `spool.after-sync` | records are synced, not sent |
//! | `spool.before-merge` | the recordings of a segment are merged, nothing is written |
//! | `spool.after-merge` | the merged segment is in the place of the other |
//! | `results.before-send` | a record is read from the spool, not sent |
//! | `results.after-send` | a record is sent, not acknowledged |
//! | `results.acked` | an acknowledgement was received, not written down |
//! | `seal.before-write` | a stage is drained, its last recordings are not written |
//! | `seal.after-sync` | a stage's seal is on disk, nobody was told |
//!
//! `NEPHO_HOLD=probe.before-send:panic` makes one request say its headers, secrets and all, in the
//! log and in a panic: what comes of that shows whether secrets are taken out of both.

/// Holds the calling task at `point`, if that is asked for.
#[cfg(feature = "hold-points")]
pub async fn at(point: &str) {
    if let Some(file) = held::reach(point) {
        while file.exists() {
            tokio::time::sleep(held::LOOK_EVERY).await;
        }
    }
}

/// Holds the calling thread at `point`, if that is asked for.
#[cfg(feature = "hold-points")]
pub fn block_at(point: &str) {
    if let Some(file) = held::reach(point) {
        while file.exists() {
            std::thread::sleep(held::LOOK_EVERY);
        }
    }
}

/// Says a text that holds a secret wherever a bug could, if that is asked for.
#[cfg(feature = "hold-points")]
#[expect(clippy::panic, reason = "that is what it is for")]
pub fn spill_at(point: &str, text: impl FnOnce() -> String) {
    if held::spills(point) {
        let text = text();
        tracing::error!(text, "spilled");
        panic!("spilled {text}");
    }
}

/// Nothing: this build has no hold points.
#[cfg(not(feature = "hold-points"))]
pub async fn at(_point: &str) {}

/// Nothing: this build has no hold points.
#[cfg(not(feature = "hold-points"))]
pub const fn block_at(_point: &str) {}

/// Nothing: this build has no hold points.
#[cfg(not(feature = "hold-points"))]
pub fn spill_at(_point: &str, _text: impl FnOnce() -> String) {}

#[cfg(feature = "hold-points")]
mod held {
    use std::{
        path::PathBuf,
        sync::atomic::{AtomicBool, Ordering},
        time::Duration,
    };

    /// A test waits seconds for a process; a hundredth of one costs nothing.
    pub(super) const LOOK_EVERY: Duration = Duration::from_millis(10);

    /// A point holds once: a test that lets go wants the process to go on.
    static REACHED: AtomicBool = AtomicBool::new(false);

    pub(super) fn spills(point: &str) -> bool {
        let asked = std::env::var("NEPHO_HOLD").unwrap_or_default();
        asked.strip_prefix(point) == Some(":panic") && !REACHED.swap(true, Ordering::SeqCst)
    }

    pub(super) fn reach(point: &str) -> Option<PathBuf> {
        let held = std::env::var("NEPHO_HOLD").ok()?;
        let file = held.strip_prefix(point)?.strip_prefix(':')?;
        if REACHED.swap(true, Ordering::SeqCst) {
            return None;
        }
        std::fs::write(file, point).expect("a test names a file that can be written");
        Some(file.into())
    }
}
