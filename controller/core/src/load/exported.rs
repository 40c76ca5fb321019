//! Times as the tools of others read them.

use std::{collections::BTreeMap, io};

use nepho_common::{
    histogram::Histogram,
    load::Order,
    recording::{Metric, Outcome},
    time::{Nanos, WallMillis},
};

use super::{
    Tally, hgrm,
    hlog::{self, Line},
};

/// Times of successes, by the second in which they were due.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(BTreeMap<u64, Times>);

#[derive(Debug, Clone, Default)]
struct Times {
    response: Histogram,
    service: Histogram,
}

impl Kept {
    pub(super) fn add(
        &mut self,
        second: u64,
        (outcome, metric): (Outcome, Metric),
        times: &Histogram,
    ) {
        if outcome != Outcome::Success {
            return;
        }
        let of = self.0.entry(second).or_default();
        if metric == Metric::ResponseTime {
            of.response.merge(times);
        } else if metric == Metric::ServiceTime {
            of.service.merge(times);
        }
    }
}

/// The service times in a log: a reader that does not know of tags finds the response times alone.
const SERVICE: &str = "service";
const SECOND: u64 = 1_000_000_000;

impl Tally {
    /// From now on times are kept by second, for [`Self::exported`].
    pub fn keep_seconds(&mut self) {
        self.kept.get_or_insert_default();
    }

    /// Files by their names: percentiles of response and service times for HdrHistogram's plotter,
    /// and both by second for its log tools. All are of successes, without the warm-up, of a load
    /// that began at this time; `about` is one line of the log's head.
    ///
    /// # Errors
    /// A histogram can't be put into a log: none that was counted here.
    pub fn exported(
        &self,
        order: &Order,
        about: &str,
        began: WallMillis,
    ) -> io::Result<Vec<(&'static str, Vec<u8>)>> {
        let table = |metric| hgrm::table(&self.of(metric)).into_bytes();
        let kept = self.kept.iter().flat_map(|kept| &kept.0);
        let lines = kept.flat_map(|(&second, times)| {
            let from = Nanos(second.saturating_mul(SECOND));
            let line = |tag, times| Line {
                from,
                // The last second may be a part of one.
                lasts: Nanos(order.lasts.0.saturating_sub(from.0).min(SECOND)),
                tag,
                times,
            };
            [
                line(None, &times.response),
                line(Some(SERVICE), &times.service),
            ]
        });
        Ok(vec![
            ("response.hgrm", table(Metric::ResponseTime)),
            ("service.hgrm", table(Metric::ServiceTime)),
            ("load.hlog", hlog::log(began, about, lines)?),
        ])
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::load::tests::{order, second};

    #[test]
    fn seconds_after_the_warm_up_are_exported_and_nothing_that_failed() {
        let mut tally = Tally::new(&order());
        tally.keep_seconds();
        let (took, lag) = (Nanos::from_millis(2), Nanos(50_000));
        for nth in 0..3 {
            let ended = [(Outcome::Success, 90, took), (Outcome::Timeout, 10, took)];
            tally.add(&second(nth, &ended, lag)).unwrap();
        }
        let files = tally
            .exported(&order(), "a test", WallMillis(1_000))
            .unwrap();
        let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["response.hgrm", "service.hgrm", "load.hlog"]);
        let text = |nth: usize| String::from_utf8(files[nth].1.clone()).unwrap();
        for (nth, max) in [(0, "2.050"), (1, "2.000")] {
            let foot = format!("#[Max     = {max:>12}, Total count    =          180]");
            assert!(text(nth).contains(&foot), "{}", text(nth));
        }
        let lines = IntervalLogIterator::new(&files[2].1).map(Result::unwrap);
        let intervals = lines.filter_map(|line| match line {
            LogEntry::Interval(one) => {
                let tag = one.tag().map(|tag| tag.as_str());
                Some((
                    one.start_timestamp().as_secs(),
                    one.duration().as_secs(),
                    tag,
                ))
            }
            LogEntry::StartTime(_) | LogEntry::BaseTime(_) => None,
        });
        let intervals: Vec<_> = intervals.collect();
        let expected = [
            (1, 1, None),
            (1, 1, Some("service")),
            (2, 1, None),
            (2, 1, Some("service")),
        ];
        assert_eq!(intervals, expected);
    }
}
