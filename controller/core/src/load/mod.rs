//! What a generator counted, folded into one summary with the doubts that it leaves.
//!
//! ```text
//! Counted, Counted, … --Tally--> Summary --text or JSON--> whoever asked
//! ```
//!
//! [`calibration`] is what a host can send, found by many of them.

pub mod calibration;
mod doubts;
mod exported;
mod hgrm;
mod hlog;
mod text;

use std::collections::BTreeMap;

use nepho_common::{
    histogram::{BadHistogram, Histogram},
    load::{Counted, Counts, Order, Times, Withheld},
    recording::{Metric, Outcome},
    time::{Mono, Nanos},
};
use serde::Serialize;

pub use self::doubts::Verdict;

/// Everything that was counted so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Whole seconds from the start that are told apart as warm-up.
    warm_up: u64,
    whole: Counts,
    counts: Counts,
    times: Times,
    /// By second, to say what came of it while it is under way.
    seconds: BTreeMap<u64, Counts>,
    /// How far each lane has told.
    lanes: BTreeMap<u32, Heard>,
    /// How many lanes there are, and how many whole seconds.
    expected: (u32, u64),
    own: Own,
    withheld: Withheld,
    /// Times of successes by second, where they are asked for.
    kept: Option<exported::Kept>,
}

/// How far one lane has told. It does so once a second, of itself too.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    times: u64,
    /// The second that it said to be in.
    second: u64,
}

/// How the lanes did, at their worst.
#[derive(Debug, Clone, Copy, Default)]
struct Own {
    /// Processor time of all of them, in all.
    used: Nanos,
    /// The largest share of a core that one thread used in a second, in millionths.
    core_ppm: u64,
    /// The longest gap, and the second in which it ended.
    gap: Nanos,
    gap_second: u64,
}

impl Tally {
    /// Nothing counted; of this order the first seconds are warm-up.
    #[must_use]
    pub fn new(order: &Order) -> Self {
        Self {
            warm_up: order.warm_up.0.div_ceil(1_000_000_000),
            expected: (order.lanes, order.lasts.0 / 1_000_000_000),
            ..Self::default()
        }
    }

    /// Adds what a lane told.
    ///
    /// # Errors
    /// It is not what a generator of ours tells.
    pub fn add(&mut self, counted: &Counted) -> Result<(), BadHistogram> {
        let Counted {
            second,
            counts,
            times,
            own,
            lane,
            // Nobody asks a single address who answered, or for a reference lane.
            traces: _,
            is_reference: _,
        } = counted;
        self.whole.add(*counts);
        self.seconds.entry(*second).or_default().add(*counts);
        if own.is_some() {
            let heard = self.lanes.entry(*lane).or_default();
            heard.times += 1;
            heard.second = heard.second.max(*second);
        }
        if *second < self.warm_up {
            return Ok(());
        }
        self.counts.add(*counts);
        for timed in times {
            let key = (timed.outcome, timed.metric);
            let histogram = timed.histogram()?;
            if let Some(kept) = &mut self.kept {
                kept.add(*second, key, &histogram);
            }
            self.times.entry(key).or_default().merge(&histogram);
        }
        if let Some(own) = own {
            let share = u128::from(own.used.0) * 1_000_000 / u128::from(own.over.0.max(1));
            let share = u64::try_from(share).unwrap_or(u64::MAX);
            self.own.used.0 = self.own.used.0.saturating_add(own.used.0);
            // In a part of a second a thread that has just begun looks busy.
            if own.over >= Nanos::from_millis(500) {
                self.own.core_ppm = self.own.core_ppm.max(share);
            }
            if own.gap > self.own.gap {
                (self.own.gap, self.own.gap_second) = (own.gap, *second);
            }
        }
        Ok(())
    }

    /// What the generator's host did not give it while it was measured.
    pub const fn withheld(&mut self, withheld: Withheld) {
        self.withheld = withheld;
    }

    /// Processor time of the generator's threads, after the warm-up.
    #[must_use]
    pub const fn used(&self) -> Nanos {
        self.own.used
    }

    /// How many seconds are over, from the start, for every lane.
    #[must_use]
    pub fn whole_seconds(&self) -> u64 {
        let (lanes, seconds) = self.expected;
        if u32::try_from(self.lanes.len()).is_ok_and(|heard| heard < lanes) {
            return 0;
        }
        // Having told n times, a lane is n seconds old; being late, it says in which second it is.
        let over = self.lanes.values().map(|one| one.times.max(one.second));
        over.min().unwrap_or(0).min(seconds)
    }

    /// How it stands, in a line.
    #[must_use]
    pub fn line(&self) -> String {
        let over = self.whole_seconds();
        let Some(last) = over.checked_sub(1) else {
            return "the first second is under way".to_owned();
        };
        let sent = self.seconds.get(&last).map_or(0, |counts| counts.sent);
        let failed = self.failed();
        format!(
            "{over} s  {sent} sent in the last second, {} in all, {failed} failed, {} open",
            self.whole.sent,
            self.whole.offered.saturating_sub(
                self.whole.completed + self.whole.shed + self.whole.unsent + self.whole.cut
            ),
        )
    }

    fn failed(&self) -> u64 {
        let errors = self.errors();
        errors
            .values()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// How often it ended in each way that is no success.
    fn errors(&self) -> BTreeMap<&'static str, u64> {
        let response = self.times.iter().filter(|((outcome, metric), _)| {
            *metric == Metric::ResponseTime && *outcome != Outcome::Success
        });
        let counts = response.map(|((outcome, _), times)| (outcome.word(), times.count()));
        counts.collect()
    }

    fn of(&self, metric: Metric) -> Histogram {
        let success = self.times.get(&(Outcome::Success, metric));
        success.cloned().unwrap_or_default()
    }

    /// Of all requests, however they ended.
    fn of_all(&self, metric: Metric) -> Histogram {
        let mut all = Histogram::default();
        let mine = self.times.iter();
        for (_, times) in mine.filter(|((_, own), _)| *own == metric) {
            all.merge(times);
        }
        all
    }

    /// What it amounts to.
    #[must_use]
    pub fn summary(&self, order: &Order, began: Mono, took: Nanos) -> Summary {
        let response = self.of(Metric::ResponseTime);
        let lag = self.of_all(Metric::SendLag);
        let measured = Nanos(order.lasts.0.saturating_sub(self.warm_up * 1_000_000_000));
        let (verdict, doubts) = doubts::doubts(self, order, &response, &lag);
        let failed = self.failed();
        let missing = failed.saturating_add(self.counts.shed);
        Summary {
            schema: Summary::SCHEMA.to_owned(),
            url: order.url.clone(),
            model: if order.model.is_open() {
                "open"
            } else {
                "closed"
            },
            connections: order.connections,
            spin_ns: order.carried.spin.0,
            lasts_ns: measured.0,
            began_ns: began.0,
            took_ns: took.0,
            offered: self.counts.offered,
            sent: self.counts.sent,
            completed: self.counts.completed,
            succeeded: response.count(),
            errors: self.errors(),
            shed: self.counts.shed,
            unsent: self.counts.unsent,
            cut: self.counts.cut,
            rate: rate(response.count(), measured),
            bytes: self.counts.received,
            response_ns: Spread::of(&response),
            response_with_failures_ns: Spread::with_failures(&response, missing),
            service_ns: Spread::of(&self.of(Metric::ServiceTime)),
            send_lag_ns: Spread::of(&lag),
            pool_wait_ns: Spread::of(&self.of(Metric::PoolWait)),
            connect_ns: Spread::of(&self.of(Metric::Connect)),
            handshake_ns: Spread::of(&self.of(Metric::Handshake)),
            first_byte_ns: Spread::of(&self.of(Metric::FirstByte)),
            verdict,
            doubts,
        }
    }

    /// The times from the intended instants on, of what succeeded.
    #[must_use]
    pub fn response(&self) -> Histogram {
        self.of(Metric::ResponseTime)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate for people; a count above 2^53 is none"
)]
fn rate(count: u64, over: Nanos) -> f64 {
    if over.0 == 0 {
        return 0.0;
    }
    count as f64 * 1e9 / over.0 as f64
}

/// What a load amounts to: what `nepho load -o json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Summary {
    /// Always `nepho.load/v1`.
    pub schema: String,
    /// Whom.
    pub url: String,
    /// `open` or `closed`.
    pub model: &'static str,
    /// How many connections there were to be.
    pub connections: u32,
    /// How long before each request was due the generator's threads looked at the clock all the time.
    pub spin_ns: u64,
    /// How long was measured, without the warm-up. All counts and times are of requests that were
    /// due in it.
    pub lasts_ns: u64,
    /// The instant from which the schedule counts, on this host's monotonic clock.
    pub began_ns: u64,
    /// From there to the last answer, the warm-up with it.
    pub took_ns: u64,
    /// Requests that were due.
    pub offered: u64,
    /// Of those, how many were sent.
    pub sent: u64,
    /// Of those, how many came to an end.
    pub completed: u64,
    /// Of those, how many succeeded.
    pub succeeded: u64,
    /// How many ended in each other way, those with it that could not even be sent.
    pub errors: BTreeMap<&'static str, u64>,
    /// Requests that were due and not begun, because too many were open.
    pub shed: u64,
    /// Requests whose time was over, or whose connection failed, before they were sent.
    pub unsent: u64,
    /// Requests that were open when the load was ended at once.
    pub cut: u64,
    /// Successes per second of what was measured.
    pub rate: f64,
    /// Bytes of answers.
    pub bytes: u64,
    /// From the intended instant to the end of the answer, of successes.
    pub response_ns: Option<Spread>,
    /// The same, with everything that failed or was shed as never answered: absent where the
    /// quantile is one of those.
    pub response_with_failures_ns: Option<Spread>,
    /// From the sending to the end of the answer, of successes.
    pub service_ns: Option<Spread>,
    /// From the intended instant to the moment at which the generator turned to it.
    pub send_lag_ns: Option<Spread>,
    /// Waiting for a connection, of successes.
    pub pool_wait_ns: Option<Spread>,
    /// Opening connections.
    pub connect_ns: Option<Spread>,
    /// TLS handshakes.
    pub handshake_ns: Option<Spread>,
    /// From the sending to the first byte of the answer, of successes.
    pub first_byte_ns: Option<Spread>,
    /// Whether the figures are the target's.
    pub verdict: Verdict,
    /// What speaks against that.
    pub doubts: Vec<String>,
}

impl Summary {
    /// Names this format.
    pub const SCHEMA: &'static str = "nepho.load/v1";
}

/// Quantiles in nanoseconds: nearest rank, the upper edge of its bin, never above the maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Spread {
    /// The median.
    pub p50: Option<u64>,
    /// Nine of ten.
    pub p90: Option<u64>,
    /// 99 of 100.
    pub p99: Option<u64>,
    /// 999 of 1,000.
    #[serde(rename = "p99.9")]
    pub p999: Option<u64>,
    /// The largest.
    pub max: Option<u64>,
    /// How many values.
    pub count: u64,
}

impl Spread {
    fn of(times: &Histogram) -> Option<Self> {
        Self::with_failures(times, 0)
    }

    /// With so many more that are larger than all others.
    fn with_failures(times: &Histogram, missing: u64) -> Option<Self> {
        let count = times.count().saturating_add(missing);
        let at = |num: u64, den: u64| {
            let rank = (u128::from(count) * u128::from(num)).div_ceil(u128::from(den));
            let rank = u64::try_from(rank).unwrap_or(u64::MAX).max(1);
            times.at_rank(rank).map(|(_, high)| high.0)
        };
        (count > 0).then(|| Self {
            p50: at(1, 2),
            p90: at(9, 10),
            p99: at(99, 100),
            p999: at(999, 1_000),
            max: at(1, 1),
            count,
        })
    }
}

#[cfg(test)]
mod tests {
    use nepho_common::{
        load::{Model, Own as Lane, Throttled, Timed},
        plan::{Arrivals, Schedule},
    };

    use super::*;

    pub(super) fn order() -> Order {
        let rate = "100/s".parse().unwrap();
        let schedule = Schedule::constant(Arrivals::Constant, rate, Nanos::from_secs(3));
        let model = Model::Open {
            schedule: schedule.unwrap(),
            seed: 1,
        };
        let url = "http://a.example/".to_owned();
        Order {
            connections: 8,
            warm_up: Nanos::from_secs(1),
            timeout: Nanos::from_secs(1),
            in_flight_max: 50,
            ..Order::plain(url, model, Nanos::from_secs(3))
        }
    }

    /// A second in which 100 were due: so many ended in this way after so long, each sent late by
    /// so much.
    pub(super) fn second(second: u64, ended: &[(Outcome, u64, Nanos)], lag: Nanos) -> Counted {
        let mut times = Vec::new();
        let all: u64 = ended.iter().map(|(_, count, _)| count).sum();
        for (outcome, count, took) in ended {
            let of = |time: Nanos| {
                let mut histogram = Histogram::default();
                (0..*count).for_each(|_| histogram.record(time));
                histogram
            };
            let response = Nanos(took.0 + lag.0);
            for (metric, time) in [
                (Metric::ResponseTime, response),
                (Metric::ServiceTime, *took),
                (Metric::SendLag, lag),
                (Metric::PoolWait, Nanos(0)),
            ] {
                times.push(Timed::new(*outcome, metric, &of(time)));
            }
        }
        Counted {
            lane: 0,
            second,
            counts: Counts {
                offered: 100,
                sent: all,
                completed: all,
                shed: 100 - all,
                received: all * 100,
                ..Counts::default()
            },
            times,
            own: Some(Lane {
                used: Nanos::from_millis(50),
                over: Nanos::from_secs(1),
                gap: Nanos::from_millis(1),
            }),
            ..Counted::default()
        }
    }

    fn summary(seconds: &[Counted]) -> Summary {
        let mut tally = Tally::new(&order());
        for one in seconds {
            tally.add(one).unwrap();
        }
        tally.summary(&order(), Mono(7), Nanos::from_secs(3))
    }

    const FAST: Nanos = Nanos::from_millis(2);
    const LAG: Nanos = Nanos(50_000);

    #[test]
    fn a_warm_up_is_left_out_and_a_load_that_kept_up_is_valid() {
        let slow = Nanos::from_millis(500);
        let told = [
            second(0, &[(Outcome::Success, 100, slow)], LAG),
            second(1, &[(Outcome::Success, 100, FAST)], LAG),
            second(
                2,
                &[(Outcome::Success, 99, FAST), (Outcome::Status, 1, FAST)],
                LAG,
            ),
        ];
        let summary = summary(&told);
        assert_eq!((summary.offered, summary.succeeded), (200, 199));
        assert_eq!(summary.errors, BTreeMap::from([("status", 1)]));
        assert_eq!(summary.verdict, Verdict::Valid, "{:?}", summary.doubts);
        let max = summary.response_ns.unwrap().max.unwrap();
        assert_eq!(max, FAST.0 + LAG.0);
        let with = summary.response_with_failures_ns.unwrap();
        assert_eq!((with.count, with.max), (200, None));
        assert!(with.p99.is_some() && with.p999.is_none());
        insta::assert_snapshot!(summary);
    }

    #[test]
    fn what_was_not_sent_makes_figures_worthless_however_fast_the_rest_was() {
        let shed = second(1, &[(Outcome::Success, 60, FAST)], LAG);
        let summary = summary(&[shed]);
        assert_eq!((summary.verdict, summary.shed), (Verdict::Invalid, 40));
        insta::assert_snapshot!(summary);
    }

    #[test]
    fn what_the_host_withheld_speaks_against_the_figures() {
        let well = second(1, &[(Outcome::Success, 100, FAST)], LAG);
        let doubts = |stolen_ppm, times| {
            let mut tally = Tally::new(&order());
            tally.add(&well).unwrap();
            tally.withheld(Withheld {
                stolen_ppm,
                throttled: Some(Throttled {
                    times,
                    lasted: Nanos::from_millis(40 * times),
                }),
            });
            let summary = tally.summary(&order(), Mono(7), Nanos::from_secs(3));
            (summary.verdict, summary.doubts.join("\n"))
        };
        assert_eq!(doubts(Some(9_999), 0), (Verdict::Valid, String::new()));
        assert_eq!(doubts(None, 0), (Verdict::Valid, String::new()));
        let (verdict, text) = doubts(Some(32_100), 3);
        assert_eq!(verdict, Verdict::Suspect);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn only_seconds_that_are_over_are_shown() {
        let mut order = order();
        order.lanes = 2;
        let mut tally = Tally::new(&order);
        let mut told = |lane: u32, second: u64, sent: u64, own: bool| {
            let counted = Counted {
                lane,
                second,
                counts: Counts {
                    offered: sent,
                    sent,
                    completed: sent,
                    ..Counts::default()
                },
                own: own.then(Lane::default),
                ..Counted::default()
            };
            tally.add(&counted).unwrap();
            (tally.whole_seconds(), tally.line())
        };
        assert_eq!(told(0, 0, 50, false).0, 0);
        // A lane tells a little late: it is in the next second, in which nothing was sent yet.
        assert_eq!(told(0, 1, 0, true).1, "the first second is under way");
        told(1, 0, 51, false);
        let expected = "1 s  101 sent in the last second, 101 in all, 0 failed, 0 open";
        assert_eq!(told(1, 1, 1, true).1, expected.replace("101 in", "102 in"));
        // Exactly on time it is still in the second that ends; so late, it skips one.
        assert_eq!(told(0, 1, 49, true).0, 1);
        assert_eq!(told(1, 3, 0, true).0, 2);
        assert_eq!(told(0, 3, 0, true).0, 3);
        // Whatever is waited for, nothing is due after the end.
        assert_eq!(told(0, 5, 0, true).0, 3);
        assert_eq!(told(1, 5, 0, true).0, 3);
    }

    #[test]
    fn a_generator_that_was_late_is_suspect() {
        let late = second(1, &[(Outcome::Success, 100, FAST)], Nanos::from_millis(30));
        let summary = summary(&[late]);
        assert_eq!(summary.verdict, Verdict::Suspect);
        assert!(
            summary.doubts[0].contains("late: p99 30"),
            "{:?}",
            summary.doubts
        );
        let mut gap = second(1, &[(Outcome::Success, 100, FAST)], LAG);
        gap.own.as_mut().unwrap().gap = Nanos::from_millis(101);
        let summary = self::summary(&[gap.clone()]);
        assert!(summary.doubts[0].contains("did not run for 101ms in second 2"));
        gap.own.as_mut().unwrap().gap = Nanos::from_millis(99);
        gap.own.as_mut().unwrap().used = Nanos::from_millis(950);
        let summary = self::summary(&[gap]);
        assert!(
            summary.doubts[0].contains("used 95% of a core"),
            "{:?}",
            summary.doubts
        );
    }
}
