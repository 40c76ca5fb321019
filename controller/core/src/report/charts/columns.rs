//! How a stage is divided into the columns of its plots.

use nepho_common::time::{Interval, Nanos, RunTime};

use super::stretch;

/// How many columns a stage has at most; more than that are no longer told apart on paper.
const COLUMNS_MAX: u64 = 120;
/// Agents close a recording so often, so that columns can't be shorter.
const COLUMN_MIN: Nanos = Nanos::from_secs(10);

/// The columns of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) struct Columns {
    start: RunTime,
    /// How long one is.
    pub(super) every: Nanos,
}

impl Columns {
    /// Of a stage that began at `start`.
    pub(in crate::report) fn of(start: RunTime, lasts: Nanos) -> Self {
        Self {
            start,
            every: stretch(lasts, COLUMN_MIN, COLUMNS_MAX),
        }
    }

    /// In which one a recording lies, by its beginning; whether it is longer than one.
    pub(in crate::report) fn place(&self, recording: Interval) -> (u64, bool) {
        // What an agent says of time is not believed beyond the stage.
        let number = recording.from.since(self.start).0 / self.every.0.max(1);
        let is_long = recording.to.since(recording.from) > self.every;
        (number.min(COLUMNS_MAX - 1), is_long)
    }

    /// Where one begins.
    pub(super) fn at(&self, number: u64) -> RunTime {
        let since = self.every.0.saturating_mul(number);
        self.start.plus(Nanos(since))
    }
}
