//! Hold points: a crash test holds the process at a named place, and kills it there.
//!
//! `NEPHO_HOLD=point:FILE` makes the process write FILE at that point and wait there until the
//! file is removed. Only under the cargo feature `hold-points`; without it every call is nothing.
//!
//! | point | where |
//! |---|---|
//! | `begin.after-row` | a run's row is stored, nothing else of it |
//! | `begin.after-exhibits` | its plan is stored, its driver has not begun |
//! | `events.before-WORD`, `events.after-WORD` | an event of that kind is, or was just, committed |
//! | `state.STATE` | a run has come to that state, nobody was told yet |
//! | `ingest.before-commit`, `ingest.after-commit` | an agent's results are here; or committed, not acknowledged |
//! | `judge.before` | a stage is to be judged |
//! | `report.before-end`, `report.after-end` | the report is folded; or its verdict is stored, nobody was told |

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

/// Nothing: this build has no hold points.
#[cfg(not(feature = "hold-points"))]
pub async fn at(_point: &str) {}

/// Nothing: this build has no hold points.
#[cfg(not(feature = "hold-points"))]
pub const fn block_at(_point: &str) {}

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
