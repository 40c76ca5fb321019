//! What a lane counts: requests by the second in which they were due, times by how they ended.

use std::collections::BTreeMap;

use nepho_common::{
    histogram::Histogram,
    load::{Counted, Counts, Own, Timed},
    recording::{Metric, Outcome},
    time::{Mono, Nanos},
};

use super::{
    places::Due,
    traced::{Ended, Names, traced},
};

/// What is counted together.
const SECOND: u64 = 1_000_000_000;

/// The instants of one request. Each is read from the clock once, and the parts between them add up
/// to the response time, whatever the clock said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamps {
    /// When it was due.
    pub(super) intended: Mono,
    /// When the lane turned to it: what passed since then is not the lane's fault.
    pub(super) dispatched: Mono,
    /// When it had a connection.
    pub(super) taken: Mono,
    /// When its last byte was handed to the kernel.
    pub(super) sent: Mono,
    /// When the first byte of the answer was here.
    pub(super) first: Option<Mono>,
    /// When the answer was complete, or the failure known.
    pub(super) done: Mono,
}

impl Stamps {
    /// The times that are told of it.
    fn times(&self) -> [(Metric, Option<Nanos>); 6] {
        let first = self.first.map(|first| first.since(self.sent));
        [
            (Metric::ResponseTime, Some(self.done.since(self.intended))),
            (Metric::SendLag, Some(self.dispatched.since(self.intended))),
            (Metric::PoolWait, Some(self.taken.since(self.dispatched))),
            (Metric::Send, Some(self.sent.since(self.taken))),
            (Metric::ServiceTime, Some(self.done.since(self.sent))),
            (Metric::FirstByte, first),
        ]
    }
}

/// What one lane counted and did not tell yet.
#[derive(Debug)]
pub(super) struct Sheet {
    lane: u32,
    start: Mono,
    /// Of the lane that the others are compared with.
    pub(super) is_reference: bool,
    /// The latest second that anything belongs to, as nearly everything does.
    latest: Page,
    /// The names of those who answered; `None` when nobody asks.
    pub(super) names: Option<Names>,
    /// The others that are not told yet.
    earlier: BTreeMap<u64, Page>,
}

/// Times of what succeeded, in the order of [`Stamps::times`].
type Well = [Histogram; 6];

#[derive(Debug, Default)]
struct Page {
    /// Which second, from the start.
    second: u64,
    /// When it began.
    since: Mono,
    counts: Counts,
    /// Of what succeeded, by call: nearly everything.
    well: Vec<Well>,
    ended: Vec<Ended>,
    /// Of the rest, by call and how it ended.
    times: BTreeMap<(u16, Outcome, Metric), Histogram>,
}

impl Sheet {
    pub(super) fn new(lane: u32, start: Mono) -> Self {
        Self {
            lane,
            start,
            is_reference: false,
            latest: Page::new(start, 0),
            names: None,
            earlier: BTreeMap::new(),
        }
    }

    fn page(&mut self, of: Mono) -> &mut Page {
        // Without a division: this is asked several times for each request.
        if of >= self.latest.since && of.0 - self.latest.since.0 < SECOND {
            return &mut self.latest;
        }
        self.second(of.since(self.start).0 / SECOND)
    }

    fn second(&mut self, second: u64) -> &mut Page {
        let new = Page::new(self.start, second);
        if second > self.latest.second {
            let over = std::mem::replace(&mut self.latest, new);
            if !over.is_blank() {
                self.earlier.insert(over.second, over);
            }
            return &mut self.latest;
        }
        if second == self.latest.second {
            return &mut self.latest;
        }
        self.earlier.entry(second).or_insert(new)
    }

    /// What belongs to the second in which this was due.
    pub(super) fn counts(&mut self, of: Mono) -> &mut Counts {
        &mut self.page(of).counts
    }

    /// A request that was sent came to an end.
    pub(super) fn ended(&mut self, stamps: &Stamps, ended: Ended, received: u64) {
        let is_traced = self.names.is_some();
        let Ended { call, outcome, .. } = ended;
        let page = self.page(stamps.intended);
        page.counts.completed += 1;
        page.counts.received += received;
        if is_traced {
            page.ended.push(ended);
        }
        let nth = usize::from(call);
        if page.well.len() <= nth {
            page.well.resize_with(nth + 1, Well::default);
        }
        let times = stamps.times().into_iter().zip(&mut page.well[nth]);
        for ((metric, time), well) in times {
            let Some(time) = time else { continue };
            if outcome == Outcome::Success {
                well.record(time);
            } else {
                let times = &mut page.times;
                times
                    .entry((call, outcome, metric))
                    .or_default()
                    .record(time);
            }
        }
    }

    /// A request failed before it could be sent: it waited, and that is all.
    pub(super) fn unsent(&mut self, due: &Due, outcome: Outcome, at: Mono) {
        let is_traced = self.names.is_some();
        let &Due {
            call,
            intended,
            dispatched,
            ..
        } = due;
        let page = self.page(intended);
        page.counts.unsent += 1;
        if is_traced {
            page.ended.push(Ended {
                intended,
                call,
                by: None,
                outcome,
                is_first: false,
            });
        }
        for (metric, time) in [
            (Metric::ResponseTime, at.since(intended)),
            (Metric::SendLag, dispatched.since(intended)),
            (Metric::PoolWait, at.since(dispatched)),
        ] {
            let times = &mut page.times;
            times
                .entry((call, outcome, metric))
                .or_default()
                .record(time);
        }
    }

    /// A connection was opened at this instant, and what that took.
    pub(super) fn connected(&mut self, at: Mono, connect: Nanos, handshake: Option<Nanos>) {
        let page = self.page(at);
        page.counts.connected += 1;
        let took = [
            (Metric::Connect, Some(connect)),
            (Metric::Handshake, handshake),
        ];
        for (metric, time) in took {
            if let Some(time) = time {
                let key = (0, Outcome::Success, metric);
                page.times.entry(key).or_default().record(time);
            }
        }
    }

    /// Everything since it was last told; the second that is under way says how the lane did.
    pub(super) fn tell(&mut self, now: Mono, own: Own) -> Vec<Counted> {
        let present = now.since(self.start).0.saturating_sub(1) / SECOND;
        self.second(present);
        let blank = Page::new(self.start, self.latest.second);
        let last = std::mem::replace(&mut self.latest, blank);
        let mut told = std::mem::take(&mut self.earlier);
        // What was due later than now, by a clock that was read a moment ago, is told as well.
        if last.second == present || !last.is_blank() {
            told.insert(last.second, last);
        }
        let (lane, start, is_reference) = (self.lane, self.start, self.is_reference);
        let names = self.names.as_ref();
        let told = told.into_values().map(|page| Counted {
            lane,
            second: page.second,
            counts: page.counts,
            own: (page.second == present).then_some(own),
            times: page.told(),
            traces: names.map_or_else(Vec::new, |names| traced(page.ended, start, names)),
            is_reference,
        });
        told.collect()
    }
}

impl Page {
    fn new(start: Mono, second: u64) -> Self {
        Self {
            second,
            since: start.plus(Nanos(second.saturating_mul(SECOND))),
            ..Self::default()
        }
    }

    /// Whether nothing was counted.
    fn is_blank(&self) -> bool {
        self.counts == Counts::default() && self.times.is_empty()
    }

    fn told(&self) -> Vec<Timed> {
        let mut told = Vec::new();
        for (well, call) in self.well.iter().zip(0..) {
            let each = Stamps::METRICS.into_iter().zip(well);
            let each = each.filter(|(_, times)| times.count() > 0);
            told.extend(
                each.map(|(metric, times)| {
                    Timed::new(Outcome::Success, metric, times).of_call(call)
                }),
            );
        }
        let others = self.times.iter();
        told.extend(others.map(|((call, outcome, metric), times)| {
            Timed::new(*outcome, *metric, times).of_call(*call)
        }));
        told
    }
}

impl Stamps {
    /// In the order of [`Self::times`].
    const METRICS: [Metric; 6] = [
        Metric::ResponseTime,
        Metric::SendLag,
        Metric::PoolWait,
        Metric::Send,
        Metric::ServiceTime,
        Metric::FirstByte,
    ];
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_parts_of_a_request_add_up_to_its_response_time(
            start in 0..1_u64 << 60,
            parts in prop::array::uniform4(0..1_u64 << 40),
        ) {
            let mut at = Mono(start);
            let mut next = |part: u64| { at = at.plus(Nanos(part)); at };
            let stamps = Stamps {
                intended: Mono(start),
                dispatched: next(parts[0]),
                taken: next(parts[1]),
                sent: next(parts[2]),
                first: None,
                done: next(parts[3]),
            };
            let times: BTreeMap<_, _> = stamps.times().into_iter().collect();
            let of = |metric| times[&metric].unwrap().0;
            let sum: u64 = [Metric::SendLag, Metric::PoolWait, Metric::Send, Metric::ServiceTime]
                .into_iter().map(of).sum();
            prop_assert_eq!(of(Metric::ResponseTime), sum);
            prop_assert_eq!(times.keys().count(), Stamps::METRICS.len());
            let order: Vec<_> = stamps.times().into_iter().map(|(metric, _)| metric).collect();
            prop_assert_eq!(order, Stamps::METRICS);
        }
    }

    proptest! {
        #[test]
        fn whatever_the_order_each_request_is_told_once_and_in_its_second(
            steps in prop::collection::vec((0..6 * SECOND, any::<bool>()), 0..40),
        ) {
            let start = Mono(7 * SECOND + 3);
            let mut sheet = Sheet::new(0, start);
            let (mut due, mut told) = (BTreeMap::<u64, u64>::new(), BTreeMap::<u64, u64>::new());
            let mut take = |counted: Vec<Counted>| {
                for one in counted {
                    *told.entry(one.second).or_default() += one.counts.offered;
                }
            };
            for (at, tells) in steps {
                if tells {
                    take(sheet.tell(start.plus(Nanos(at)), Own::default()));
                } else {
                    sheet.counts(start.plus(Nanos(at))).offered += 1;
                    *due.entry(at / SECOND).or_default() += 1;
                }
            }
            take(sheet.tell(start.plus(Nanos(6 * SECOND)), Own::default()));
            told.retain(|_, offered| *offered > 0);
            prop_assert_eq!(told, due);
        }
    }

    #[test]
    fn what_comes_late_belongs_to_the_second_in_which_it_was_due() {
        let start = Mono(5 * SECOND);
        let mut sheet = Sheet::new(3, start);
        let due = start.plus(Nanos::from_millis(1_500));
        sheet.counts(due).offered += 1;
        let told = sheet.tell(start.plus(Nanos::from_secs(2)), Own::default());
        assert_eq!((told.len(), told[0].second, told[0].lane), (1, 1, 3));
        assert!(told[0].own.is_some());
        let late = Stamps {
            intended: due,
            dispatched: due,
            taken: due,
            sent: due,
            first: None,
            done: due.plus(Nanos::from_secs(3)),
        };
        let ended = Ended {
            intended: due,
            call: 0,
            by: None,
            outcome: Outcome::Timeout,
            is_first: false,
        };
        sheet.ended(&late, ended, 0);
        let told = sheet.tell(start.plus(Nanos::from_secs(5)), Own::default());
        let seconds: Vec<_> = told.iter().map(|one| one.second).collect();
        assert_eq!(seconds, [1, 4]);
        assert_eq!(told[0].counts.completed, 1);
        assert!(told[0].own.is_none() && told[1].own.is_some());
        let response = told[0].times.iter();
        let mut response = response.filter(|one| one.metric == Metric::ResponseTime);
        let times = response.next().unwrap().histogram().unwrap();
        assert_eq!(times.max(), Some(Nanos::from_secs(3)));
    }
}
