//! How far an agent's clock is off: an interval, narrowed by every exchange of time stamps.
//!
//! Each exchange bounds the offset whatever the asymmetry of its path (see
//! [`nepho_common::time::Exchange`]), so all of them together bound it by their intersection, each
//! widened by what two clocks may have drifted since.

use std::collections::VecDeque;

use nepho_common::time::{ClockEpoch, ClockOffset, Exchange, Mono, Nanos};

/// How many exchanges are remembered: five minutes of heartbeats.
const REMEMBERED: usize = 64;

/// What is known of one agent's clock.
#[derive(Debug, Clone, Default)]
pub struct Estimate {
    epoch: ClockEpoch,
    seen: VecDeque<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    at: Mono,
    offset: ClockOffset,
    round_trip: Nanos,
}

/// What an exchange showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It agrees with what was known.
    Agrees,
    /// It contradicts what was known: one of the clocks was disturbed. What was known is forgotten.
    Contradicts,
    /// The stamps contradict themselves, and were left out.
    Nonsense,
}

impl Estimate {
    /// Takes one exchange, made on this epoch of the agent's clock.
    pub fn note(&mut self, exchange: Exchange, epoch: ClockEpoch) -> Told {
        let (Some(offset), Some(round_trip)) = (exchange.offset(), exchange.round_trip()) else {
            return Told::Nonsense;
        };
        if epoch != self.epoch {
            self.seen.clear();
            self.epoch = epoch;
        }
        let known = self.offset(exchange.t4);
        let contradicts = known.is_some_and(|known| known.intersect(offset).is_none());
        if contradicts {
            self.seen.clear();
        }
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen {
            at: exchange.t4,
            offset,
            round_trip,
        });
        if contradicts {
            Told::Contradicts
        } else {
            Told::Agrees
        }
    }

    /// Where the offset lies at `now` on the controller's clock. `None` before the first exchange.
    #[must_use]
    pub fn offset(&self, now: Mono) -> Option<ClockOffset> {
        let aged = self
            .seen
            .iter()
            .map(|seen| seen.offset.aged(now.since(seen.at)));
        aged.reduce(|known, next| known.intersect(next).unwrap_or(next))
    }

    /// The shortest round trip among what is remembered.
    #[must_use]
    pub fn round_trip(&self) -> Option<Nanos> {
        self.seen.iter().map(|seen| seen.round_trip).min()
    }
}

#[cfg(test)]
mod tests {
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
        let jumped = exchange((1 << 40) + 5000, 5_000_000_000, 1000, 1000);
        assert_eq!(estimate.note(jumped, ClockEpoch(0)), Told::Contradicts);
        let found = estimate.offset(jumped.t4).unwrap();
        assert!(found.lo <= 5_000_000_000 && 5_000_000_000 <= found.hi);
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
