//! How far an agent's clock is off: an interval, narrowed by every exchange of time stamps.
//!
//! Each exchange bounds the offset whatever the asymmetry of its path (see
//! [`nepho_common::time::Exchange`]), so all of them together bound it by their intersection, each
//! widened by what two clocks may have drifted since. Two hosts whose wall clocks are kept bound it
//! too (see [`nepho_common::time::HostWall`]), over far paths often better than any exchange; but
//! what a host says of itself is believed only as long as no exchange contradicts it.

use std::collections::VecDeque;

use nepho_common::time::{ClockEpoch, ClockOffset, Exchange, Mono, Nanos};

/// How many exchanges are remembered: five minutes of heartbeats.
const REMEMBERED: usize = 64;
/// For how long hosts are not believed after exchanges contradicted what they say of their clocks:
/// as long as exchanges are remembered.
const DISTRUSTED_FOR: Nanos = Nanos::from_secs(300);

/// What is known of one agent's clock.
#[derive(Debug, Clone, Default)]
pub struct Estimate {
    epoch: ClockEpoch,
    seen: VecDeque<Seen>,
    /// Where the offset was by the hosts' own bounds, and when they said so.
    claimed: Option<(Mono, ClockOffset)>,
    /// The same when exchanges last contradicted it.
    rejected: Option<(Mono, ClockOffset)>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// The stamps were taken after it, and clocks drift from there on.
    sent: Mono,
    offset: ClockOffset,
    round_trip: Nanos,
}

/// What an exchange showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It agrees with what was known.
    Agrees,
    /// It contradicts what was known: one of the clocks was disturbed. What was known is forgotten.
    Contradicts(Jump),
    /// The stamps contradict themselves, and were left out.
    Nonsense,
}

/// How the offset moved between two exchanges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// The last instant, on the controller's clock, at which it had not.
    pub since: Mono,
    /// By how much, at least and at most.
    pub moved: ClockOffset,
}

/// Where the offset lies at one instant, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Where it lies.
    pub offset: ClockOffset,
    /// The shortest round trip behind it.
    pub round_trip: Nanos,
    /// What the exchanges alone say, when the hosts' own bounds narrowed it.
    pub measured: Option<ClockOffset>,
    /// Where it would lie by the hosts' own bounds, when exchanges contradict them.
    pub rejected: Option<ClockOffset>,
}

impl Estimate {
    /// Takes one exchange, made on this epoch of the agent's clock.
    pub fn note(&mut self, exchange: Exchange, epoch: ClockEpoch) -> Told {
        let (Some(offset), Some(round_trip)) = (exchange.offset(), exchange.round_trip()) else {
            return Told::Nonsense;
        };
        if epoch != self.epoch {
            self.forget();
            self.epoch = epoch;
        }
        let jump = self.jump(offset, exchange.t4);
        if jump.is_some() {
            self.forget();
        }
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen {
            sent: exchange.t1,
            offset,
            round_trip,
        });
        jump.map_or(Told::Agrees, Told::Contradicts)
    }

    /// Takes what both hosts' bounds on their wall clocks say of the offset, which exchanges of now
    /// were made beside. Returns what the exchanges say, if they contradict it and did not before.
    pub fn note_hosts(&mut self, claimed: Option<ClockOffset>, now: Mono) -> Option<ClockOffset> {
        self.claimed = None;
        let (claimed, measured) = claimed.zip(self.measured(now))?;
        if claimed.intersect(measured).is_some() {
            if self.distrusted(now).is_none() {
                self.claimed = Some((now, claimed));
            }
            return None;
        }
        let is_news = self.distrusted(now).is_none();
        self.rejected = Some((now, claimed));
        is_news.then_some(measured)
    }

    /// Where the offset lies at `now` on the controller's clock. `None` before the first exchange.
    #[must_use]
    pub fn offset(&self, now: Mono) -> Option<ClockOffset> {
        let measured = self.measured(now)?;
        let claimed = self.claimed.map(|(at, said)| said.aged(now.since(at)));
        // What was said to agree may have ceased to; exchanges need nobody's word.
        Some(claimed.map_or(measured, |claimed| {
            claimed.intersect(measured).unwrap_or(measured)
        }))
    }

    /// Where it lies, and by what.
    #[must_use]
    pub fn read(&self, now: Mono) -> Option<Reading> {
        let (offset, measured) = (self.offset(now)?, self.measured(now)?);
        Some(Reading {
            offset,
            round_trip: self.round_trip()?,
            measured: (measured != offset).then_some(measured),
            rejected: self.distrusted(now),
        })
    }

    /// The shortest round trip among what is remembered.
    #[must_use]
    pub fn round_trip(&self) -> Option<Nanos> {
        self.seen.iter().map(|seen| seen.round_trip).min()
    }

    /// Where it lies by the exchanges alone.
    fn measured(&self, now: Mono) -> Option<ClockOffset> {
        let aged = self
            .seen
            .iter()
            .map(|seen| seen.offset.aged(now.since(seen.sent)));
        aged.reduce(|known, next| known.intersect(next).unwrap_or(next))
    }

    /// The claim that was rejected, while hosts are not believed because of it.
    fn distrusted(&self, now: Mono) -> Option<ClockOffset> {
        let (at, claimed) = self.rejected?;
        (now.since(at) < DISTRUSTED_FOR).then_some(claimed)
    }

    /// How the offset moved, if `found` contradicts what is known. The last exchange that
    /// contradicts it by itself came before the move; one that was slow enough to agree with both
    /// says nothing of when.
    fn jump(&self, found: ClockOffset, now: Mono) -> Option<Jump> {
        let known = self.measured(now)?;
        if known.intersect(found).is_some() {
            return None;
        }
        let contradicts = |seen: &&Seen| {
            let then = seen.offset.aged(now.since(seen.sent));
            then.intersect(found).is_none()
        };
        let last = self.seen.iter().rev().find(contradicts);
        let last = last.or(self.seen.front())?;
        Some(Jump {
            since: last.sent,
            moved: ClockOffset {
                lo: found.lo.saturating_sub(known.hi),
                hi: found.hi.saturating_sub(known.lo),
            },
        })
    }

    fn forget(&mut self) {
        self.seen.clear();
        self.claimed = None;
    }
}

#[cfg(test)]
mod tests {
    use nepho_common::time::{HostClock, HostWall};
    use proptest::prelude::*;

    use super::*;

    fn exchange(at: u64, offset: i64, there: u64, back: u64) -> Exchange {
        let t1 = Mono(at);
        let t2 = t1.plus(Nanos(there)).shifted(offset);
        Exchange {
            t1,
            t2,
            t3: t2,
            t4: t1.plus(Nanos(there + back)),
        }
    }

    proptest! {
        #[test]
        fn the_truth_is_always_inside_and_never_wider_than_the_best_round_trip(
            offset in -1_000_000_000i64..1_000_000_000,
            paths in prop::collection::vec((0u64..60_000_000, 0u64..60_000_000), 1..20),
        ) {
            let mut estimate = Estimate::default();
            let mut at = 10_000_000_000;
            for (there, back) in &paths {
                let told = estimate.note(exchange(at, offset, *there, *back), ClockEpoch(0));
                prop_assert_eq!(told, Told::Agrees);
                at += there + back + 1_000_000;
            }
            let found = estimate.offset(Mono(at)).unwrap();
            prop_assert!(found.lo <= offset && offset <= found.hi);
            let best = paths.iter().map(|(there, back)| there + back).min().unwrap();
            // Drift over at most 20 exchanges of 121 ms is below 80 µs on each side.
            prop_assert!(found.width().0 <= best + 160_000);
        }
    }

    /// Two clocks that drift apart by `ppm`, seen over paths of any asymmetry: the true offset and
    /// what is known of it, after each exchange and just before the next one. `widen` is the
    /// estimate as it is; without it, the exchanges are laid together as if clocks kept step.
    fn truth_and_knowledge(
        ppm: i64,
        offset: i64,
        steps: &[(u64, u64, u64)],
        widen: bool,
    ) -> Vec<(i64, ClockOffset)> {
        let start = 1_u64 << 42;
        let true_offset = |at: u64| {
            offset + i64::try_from(i128::from(at - start) * i128::from(ppm) / 1_000_000).unwrap()
        };
        let mut estimate = Estimate::default();
        let mut naive: Option<ClockOffset> = None;
        let (mut at, mut seen) = (start, Vec::new());
        for &(pause, there, back) in steps {
            let arrives = at + there;
            let t2 = Mono(arrives).shifted(true_offset(arrives));
            let exchange = Exchange {
                t1: Mono(at),
                t2,
                t3: t2,
                t4: Mono(arrives + back),
            };
            estimate.note(exchange, ClockEpoch(0));
            let fresh = exchange.offset().unwrap();
            naive = Some(naive.map_or(fresh, |known| ClockOffset {
                lo: known.lo.max(fresh.lo),
                hi: known.hi.min(fresh.hi),
            }));
            for now in [exchange.t4.0, exchange.t4.0 + pause] {
                let known = if widen {
                    estimate.offset(Mono(now))
                } else {
                    naive
                };
                seen.push((true_offset(now), known.unwrap()));
            }
            at = exchange.t4.0 + pause;
        }
        seen
    }

    fn is_inside((truth, known): &(i64, ClockOffset)) -> bool {
        known.lo <= *truth && *truth <= known.hi
    }

    proptest! {
        #[test]
        fn the_truth_stays_inside_while_the_clocks_drift_apart(
            ppm in -30i64..=30,
            offset in -1_000_000_000i64..1_000_000_000,
            steps in prop::collection::vec(
                (0u64..20_000_000_000, 0u64..120_000_000, 0u64..120_000_000), 1..100),
        ) {
            for seen in truth_and_knowledge(ppm, offset, &steps, true) {
                prop_assert!(is_inside(&seen), "{seen:?}");
            }
        }
    }

    #[test]
    fn what_drifts_while_an_answer_is_on_its_way_back_counts_as_well() {
        // The agent's stamp bounds the offset from above to the nanosecond, 120 ms before it is here.
        let steps = [(0, 0, 120_000_000)];
        for ppm in [-30, 30] {
            let known = truth_and_knowledge(ppm, 0, &steps, true);
            assert!(known.iter().all(is_inside), "{ppm}: {known:?}");
        }
        let naive = truth_and_knowledge(30, 0, &steps, false);
        assert!(!naive.iter().all(is_inside), "the control must fail");
    }

    #[test]
    fn without_widening_the_truth_would_be_lost() {
        // Quick paths, a heartbeat every 5 s, five minutes: 30 ppm are 9 ms by then.
        let steps = [(5_000_000_000, 100_000, 100_000); 60];
        for ppm in [-30, 30] {
            let naive = truth_and_knowledge(ppm, 0, &steps, false);
            assert!(!naive.iter().all(is_inside), "the control must fail");
            let known = truth_and_knowledge(ppm, 0, &steps, true);
            assert!(known.iter().all(is_inside));
        }
    }

    #[test]
    fn a_clock_that_jumps_is_noticed_and_the_old_knowledge_dropped() {
        let mut estimate = Estimate::default();
        assert_eq!(
            estimate.note(exchange(1 << 40, 0, 1000, 1000), ClockEpoch(0)),
            Told::Agrees
        );
        // Slow enough to agree with both: it does not say when.
        let slow = exchange((1 << 40) + 5000, 0, 9_000_000_000, 1000);
        assert_eq!(estimate.note(slow, ClockEpoch(0)), Told::Agrees);
        let jumped = exchange((1 << 40) + 20_000_000_000, 5_000_000_000, 1000, 1000);
        let Told::Contradicts(jump) = estimate.note(jumped, ClockEpoch(0)) else {
            panic!("a jump of 5 s is not noticed")
        };
        assert_eq!(jump.since, Mono(1 << 40));
        assert!(jump.moved.lo <= 5_000_000_000 && 5_000_000_000 <= jump.moved.hi);
        assert!(jump.moved.width() < Nanos::from_millis(2), "{jump:?}");
        let found = estimate.offset(jumped.t4).unwrap();
        assert!(found.lo <= 5_000_000_000 && 5_000_000_000 <= found.hi);
    }

    /// What two hosts say of their wall clocks, which are off by `errors` and claim `bounds`.
    fn claim(truth: i64, errors: [i64; 2], bounds: [u64; 2], synchronised: bool) -> [HostWall; 2] {
        let kept = |max_error| HostClock {
            synchronised,
            max_error: Nanos(max_error),
            estimated_error: Nanos(0),
        };
        let ours = 1_795_393_620_000_000_000;
        // Each wall clock shows the true time and its error, and is its monotonic one plus `ahead`.
        let theirs = ours - truth + errors[0] - errors[1];
        let wall = |ahead, bound| HostWall {
            clock: kept(bound),
            ahead,
        };
        [wall(theirs, bounds[0]), wall(ours, bounds[1])]
    }

    proptest! {
        #[test]
        fn hosts_that_say_the_truth_never_push_it_out_and_never_widen_what_is_known(
            ppm in -30i64..=30,
            offset in -1_000_000_000i64..1_000_000_000,
            bounds in [0u64..40_000_000, 0u64..40_000_000],
            share in [-100i64..=100, -100i64..=100],
            steps in prop::collection::vec(
                (0u64..20_000_000_000, 0u64..120_000_000, 0u64..120_000_000), 1..80),
        ) {
            let start = 1_u64 << 42;
            let truth = |at: u64| {
                offset + i64::try_from(i128::from(at - start) * i128::from(ppm) / 1_000_000).unwrap()
            };
            let errors = [0, 1].map(|i| i64::try_from(bounds[i]).unwrap() * share[i] / 100);
            let mut estimate = Estimate::default();
            let mut at = start;
            for (pause, there, back) in steps {
                let arrives = at + there;
                let t2 = Mono(arrives).shifted(truth(arrives));
                let t4 = Mono(arrives + back);
                let exchange = Exchange { t1: Mono(at), t2, t3: t2, t4 };
                estimate.note(exchange, ClockEpoch(0));
                let [theirs, ours] = claim(truth(arrives), errors, bounds, true);
                // Read at both ends of the way back, as a pong carries it.
                let claimed = theirs.offset_from(ours).map(|said| said.aged(Nanos(back)));
                prop_assert_eq!(estimate.note_hosts(claimed, t4), None);
                for now in [t4.0, t4.0 + pause] {
                    let read = estimate.read(Mono(now)).unwrap();
                    prop_assert!(read.offset.lo <= truth(now) && truth(now) <= read.offset.hi);
                    let alone = estimate.measured(Mono(now)).unwrap();
                    prop_assert!(read.offset.width() <= alone.width());
                    prop_assert!(alone.intersect(read.offset) == Some(read.offset));
                    prop_assert_eq!(read.measured.is_some(), read.offset != alone);
                }
                at = t4.0 + pause;
            }
        }
    }

    #[test]
    fn over_a_far_path_two_kept_clocks_know_more_than_any_exchange() {
        let mut estimate = Estimate::default();
        let far = exchange(1 << 40, 5_000, 200_000_000, 50_000_000);
        estimate.note(far, ClockEpoch(0));
        let claimed = |synchronised| {
            let [theirs, ours] = claim(5_000, [900_000, -300_000], [1_000_000; 2], synchronised);
            theirs.offset_from(ours)
        };
        assert_eq!(estimate.note_hosts(claimed(true), far.t4), None);
        let read = estimate.read(far.t4).unwrap();
        assert!(read.offset.lo <= 5_000 && 5_000 <= read.offset.hi);
        assert!(read.offset.width() < Nanos::from_millis(5), "{read:?}");
        let alone = read.measured.unwrap().width();
        assert!(alone >= Nanos::from_millis(250) && alone < Nanos::from_millis(251));
        // Controls: a clock that nobody keeps says nothing, and a sleep makes what was said void.
        assert_eq!(claimed(false), None);
        assert_eq!(estimate.note_hosts(None, far.t4), None);
        assert_eq!(estimate.read(far.t4).unwrap().measured, None);
        estimate.note_hosts(claimed(true), far.t4);
        estimate.note(far, ClockEpoch(1));
        assert_eq!(estimate.read(far.t4).unwrap().measured, None);
    }

    #[test]
    fn a_host_that_lies_is_told_once_and_not_believed_for_five_minutes() {
        let mut estimate = Estimate::default();
        let at = |secs: u64| (1 << 40) + secs * 1_000_000_000;
        let said = |error| {
            let [theirs, ours] = claim(0, [error, 0], [1_000_000; 2], true);
            theirs.offset_from(ours)
        };
        let mut note = |secs: u64, claimed| {
            let exchange = exchange(at(secs), 0, 10_000_000, 10_000_000);
            assert_eq!(estimate.note(exchange, ClockEpoch(0)), Told::Agrees);
            let told = estimate.note_hosts(claimed, exchange.t4);
            (told, estimate.read(exchange.t4).unwrap())
        };
        let (told, read) = note(0, said(80_000_000));
        assert_eq!((told, read.measured), (Some(read.offset), None));
        assert_eq!(read.rejected, said(80_000_000));
        for secs in [5, 10] {
            let (told, read) = note(secs, said(80_000_000));
            assert!(
                told.is_none() && read.rejected.is_some(),
                "it was said already"
            );
        }
        let (told, read) = note(15, said(0));
        assert!(
            told.is_none() && read.measured.is_none(),
            "it lied a moment ago"
        );
        let (_, read) = note(400, said(0));
        assert!(read.measured.is_some() && read.rejected.is_none());
    }

    #[test]
    fn a_new_epoch_starts_afresh_and_lies_are_left_out() {
        let mut estimate = Estimate::default();
        estimate.note(exchange(1 << 40, 0, 1000, 1000), ClockEpoch(0));
        let slept = exchange((1 << 40) + 5000, -7_000_000, 9000, 9000);
        assert_eq!(estimate.note(slept, ClockEpoch(1)), Told::Agrees);
        assert_eq!(estimate.round_trip(), Some(Nanos(18_000)));
        let lie = Exchange {
            t1: Mono(100),
            t2: Mono(0),
            t3: Mono(50),
            t4: Mono(110),
        };
        assert_eq!(estimate.note(lie, ClockEpoch(1)), Told::Nonsense);
    }
}
