//! When each target of a stage is to be asked, as a value.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use nepho_common::{
    plan::AssignedStage,
    time::{Mono, Nanos},
};

/// One request that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Place of the step in the stage.
    pub step: usize,
    /// Place of the target in the step.
    pub target: usize,
    /// When it was to be sent.
    pub intended: Mono,
}

/// What is due at an instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// To be sent, in order of their instants.
    pub send: Vec<Slot>,
    /// Late by more than their own interval: the next request of the same target is due already.
    /// Sending them now would be a burst that nobody planned. The step, and how late.
    pub missed: Vec<(usize, Nanos)>,
}

/// The schedule of a stage: `start + offset + k * every`, as long as that lies before its end.
#[derive(Debug, Clone)]
pub struct Slots {
    end: Mono,
    /// By instant, then place: the order does not depend on the heap's whims.
    next: BinaryHeap<Reverse<(Mono, usize, usize)>>,
    every: BTreeMap<usize, Nanos>,
}

impl Slots {
    /// The schedule of `stage`, started at `start`.
    #[must_use]
    pub fn new(stage: &AssignedStage, start: Mono) -> Self {
        let end = start.plus(stage.lasts);
        let mut next = BinaryHeap::new();
        let mut every = BTreeMap::new();
        for (step, assigned) in stage.steps.iter().enumerate() {
            let Some(probe) = assigned.act.probe() else {
                continue;
            };
            // Zero would be for ever at one instant; the budget refuses it long before.
            every.insert(step, Nanos(probe.every.0.max(1)));
            for (target, asked) in probe.to.iter().enumerate() {
                let first = start.plus(asked.offset);
                if first < end {
                    next.push(Reverse((first, step, target)));
                }
            }
        }
        Self { end, next, every }
    }

    /// When something is due next; `None` when everything was.
    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        self.next.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Everything whose instant has come by `now`. Each slot comes once, here or there.
    pub fn due(&mut self, now: Mono) -> Due {
        let mut due = Due::default();
        while let Some(&Reverse((intended, step, target))) = self.next.peek() {
            if intended > now {
                break;
            }
            self.next.pop();
            let every = self.every.get(&step).copied().unwrap_or(Nanos(1));
            let after = intended.plus(every);
            if after < self.end {
                self.next.push(Reverse((after, step, target)));
            }
            let late = now.since(intended);
            if late > every {
                due.missed.push((step, late));
            } else {
                due.send.push(Slot {
                    step,
                    target,
                    intended,
                });
            }
        }
        due
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use nepho_common::plan::{Act, AssignedStep, Check, HttpCheck, Probe, Target, TcpCheck};
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn stage(lasts: Nanos, every: Nanos, checks: Vec<(Check, Nanos)>) -> AssignedStage {
        let target = |(check, offset)| Target {
            to: "local/a/1".parse().unwrap(),
            operation: "ask".to_owned().try_into().unwrap(),
            check,
            offset,
        };
        let probe = Probe {
            every,
            timeout: Nanos::from_secs(1),
            to: checks.into_iter().map(target).collect(),
        };
        AssignedStage {
            name: "s".parse().unwrap(),
            lasts,
            steps: vec![AssignedStep {
                name: "p".parse().unwrap(),
                act: Act::Probe(probe),
            }],
        }
    }

    fn tcp(port: u16) -> Check {
        Check::Tcp(TcpCheck {
            host: "127.0.0.1".to_owned(),
            port,
            ..TcpCheck::default()
        })
    }

    pub(crate) fn http(port: u16) -> Check {
        Check::Http(HttpCheck {
            url: format!("http://127.0.0.1:{port}/"),
            method: "GET".to_owned(),
            headers: Vec::new(),
            status: [200].into(),
            ..HttpCheck::default()
        })
    }

    fn slots(lasts: u64, every: u64, offsets: &[u64]) -> Slots {
        let checks = offsets.iter().map(|&o| (tcp(1), Nanos(o))).collect();
        Slots::new(&stage(Nanos(lasts), Nanos(every), checks), Mono(1000))
    }

    #[test]
    fn each_target_has_its_own_instants_and_the_end_is_not_one() {
        let mut slots = slots(30, 10, &[0, 5]);
        let mut seen = Vec::new();
        while let Some(at) = slots.next() {
            seen.extend(slots.due(at).send.iter().map(|s| (s.intended.0, s.target)));
        }
        let expected = [
            (1000, 0),
            (1005, 1),
            (1010, 0),
            (1015, 1),
            (1020, 0),
            (1025, 1),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn after_a_pause_the_overdue_are_counted_and_the_last_is_sent() {
        let mut slots = slots(100, 10, &[0]);
        assert_eq!(slots.due(Mono(1000)).send.len(), 1);
        let due = slots.due(Mono(1047));
        assert_eq!(due.missed, [(0, Nanos(37)), (0, Nanos(27)), (0, Nanos(17))]);
        let sent: Vec<_> = due.send.iter().map(|s| s.intended).collect();
        assert_eq!(sent, [Mono(1040)], "its own instant, not the present one");
        assert_eq!(slots.next(), Some(Mono(1050)));
    }

    proptest! {
        #[test]
        fn every_slot_comes_once_whatever_the_pauses(
            lasts in 1u64..500, every in 1u64..60, offsets in prop::collection::vec(0u64..80, 0..6),
            pauses in prop::collection::vec(1u64..200, 0..40),
        ) {
            let mut slots = slots(lasts, every, &offsets);
            let probe = Probe::<Target> { every: Nanos(every), timeout: Nanos(1), to: vec![] };
            let planned: u64 =
                offsets.iter().map(|&o| probe.requests(Nanos(o), Nanos(lasts))).sum();
            let mut now = 1000;
            let mut came = 0;
            for pause in pauses.into_iter().chain([10_000]) {
                now += pause;
                let due = slots.due(Mono(now));
                prop_assert!(due.send.iter().all(|s| now - s.intended.0 <= every));
                came += (due.send.len() + due.missed.len()) as u64;
            }
            prop_assert_eq!(came, planned);
            prop_assert_eq!(slots.next(), None);
        }
    }
}
