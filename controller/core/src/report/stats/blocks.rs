//! Between which values a quantile lies, when requests follow each other's lead: a slow second makes
//! every answer in it slow, so a thousand answers may tell no more than ten would.
//!
//! Time is cut into slots, and whole blocks of neighbouring slots are drawn again and again (moving
//! blocks: H. Künsch, 1989; the last slot is followed by the first: D. Politis and J. Romano, 1992).
//! What varies between the draws is what varies between blocks, whatever goes on inside them. Few
//! blocks vary too little, so the ends lie farther out, as Student's distribution would have them
//! (T. Hesterberg, "What Teachers Should Know About the Bootstrap", 2015: the expanded percentile
//! interval).

use std::collections::BTreeMap;

use nepho_common::{
    histogram::Histogram,
    time::{Interval, Nanos},
};

use super::draws::Draws;

/// Agents seal recordings every ten seconds, so time is known no finer.
const FINEST: Nanos = Nanos::from_secs(10);
/// More slots cost time and say little more: an hour is cut into minutes.
const SLOTS_MAX: usize = 60;
/// Fewer blocks than these say nothing of how blocks vary.
const BLOCKS_MIN: usize = 5;
/// From so many slots on, a block is two of them, so that what spans an edge is seen too.
const PAIRS_FROM: usize = 20;
const RESAMPLES: usize = 1_000;
/// Any seed will do, as long as it is the same for everybody who makes the report again.
const SEED: u64 = 0x6e65_7068_6f73;

/// Values by the time at which they were asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slots {
    by_time: BTreeMap<i64, Histogram>,
    /// Something spans several slots: a spool at its quota merges what is beside each other.
    coarse: bool,
}

/// An interval, and how long the blocks are that it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByBlocks {
    pub(crate) low: Nanos,
    pub(crate) high: Nanos,
    pub(crate) block: Nanos,
}

/// How long the slots of a stage are; `None` when it is too short for blocks.
pub(crate) fn slot(lasts: Nanos) -> Option<Nanos> {
    let finest = lasts.0 / FINEST.0;
    (finest >= BLOCKS_MIN as u64).then(|| Nanos(finest.div_ceil(SLOTS_MAX as u64) * FINEST.0))
}

/// In which slot something lies, by its beginning; whether it is longer than one.
pub(crate) fn place(slot: Nanos, interval: Interval) -> (i64, bool) {
    let slot = i64::try_from(slot.0).unwrap_or(i64::MAX).max(1);
    let spans = i128::from(interval.to.0) - i128::from(interval.from.0);
    (interval.from.0.div_euclid(slot), spans > i128::from(slot))
}

impl Slots {
    /// Adds values of this interval to slots of this length.
    pub(crate) fn add(&mut self, slot: Nanos, interval: Interval, values: &Histogram) {
        let (at, is_long) = place(slot, interval);
        self.coarse |= is_long;
        self.by_time.entry(at).or_default().merge(values);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.coarse |= other.coarse;
        for (&at, values) in &other.by_time {
            self.by_time.entry(at).or_default().merge(values);
        }
    }

    /// The interval at 95 %; `None` when time is known too coarsely, or there is too little of it.
    pub(crate) fn interval(&self, slot: Nanos, quantile: (u64, u64)) -> Option<ByBlocks> {
        let (&first, _) = self.by_time.first_key_value()?;
        let (&last, _) = self.by_time.last_key_value()?;
        let slots = usize::try_from(last.checked_sub(first)?)
            .ok()?
            .checked_add(1)?;
        // An agent says when its recordings were: those of another time are no reason to draw.
        if self.coarse || slots > 2 * SLOTS_MAX || self.by_time.len() * 2 < slots {
            return None;
        }
        let empty = Histogram::default();
        let slots: Vec<_> = (first..=last)
            .map(|at| self.by_time.get(&at).unwrap_or(&empty))
            .collect();
        let (low, high) = interval(&slots, quantile)?;
        let block = Nanos(slot.0.saturating_mul(width(slots.len()) as u64));
        Some(ByBlocks { low, high, block })
    }
}

/// How many slots make a block.
const fn width(slots: usize) -> usize {
    if slots < PAIRS_FROM { 1 } else { 2 }
}

fn interval(slots: &[&Histogram], quantile: (u64, u64)) -> Option<(Nanos, Nanos)> {
    let drawn = slots.len() / width(slots.len());
    if drawn < BLOCKS_MIN {
        return None;
    }
    let mut whole = Histogram::default();
    slots.iter().for_each(|values| whole.merge(values));
    let bins: Vec<u32> = whole.bins().map(|(bin, _)| bin).collect();
    let resamples = Resamples::draw(slots, drawn, quantile);
    // The quantile of each resample is never needed, only in how many it lies at or below a bin;
    // that rises from bin to bin, so the ends are found by halving.
    let reached = |at_least: usize| {
        let place = bins.partition_point(|&bin| resamples.at_most(slots, bin) < at_least);
        let below: u64 = whole.bins().take(place).map(|(_, n)| n).sum();
        whole.at_rank(below.saturating_add(1))
    };
    let tail = tail(drawn);
    Some((reached(tail)?.0, reached(RESAMPLES + 1 - tail)?.1))
}

/// Blocks drawn again and again.
struct Resamples {
    width: usize,
    /// The first slot of each block that was drawn, and the rank of the quantile in all of them.
    drawn: Vec<(Vec<usize>, u64)>,
}

impl Resamples {
    fn draw(slots: &[&Histogram], blocks: usize, (num, den): (u64, u64)) -> Self {
        let width = width(slots.len());
        let of_block = blocks_of(slots, width, Histogram::count);
        let mut draws = Draws::new(SEED);
        let mut place = || usize::try_from(draws.below(slots.len() as u64)).unwrap_or_default();
        let mut resample = || {
            let blocks: Vec<_> = (0..blocks).map(|_| place()).collect();
            let all = u128::from(sum(&blocks, &of_block));
            let rank = (all * u128::from(num)).div_ceil(u128::from(den));
            (blocks, u64::try_from(rank).unwrap_or(u64::MAX))
        };
        Self {
            width,
            drawn: (0..RESAMPLES).map(|_| resample()).collect(),
        }
    }

    /// In how many of them the quantile lies at or below `bin`.
    fn at_most(&self, slots: &[&Histogram], bin: u32) -> usize {
        let of_block = blocks_of(slots, self.width, |values| {
            let below = values.bins().take_while(|(at, _)| *at <= bin);
            below.fold(0, |sum, (_, n)| sum.saturating_add(n))
        });
        let reaches = |(blocks, rank): &&(Vec<usize>, u64)| sum(blocks, &of_block) >= *rank;
        self.drawn.iter().filter(reaches).count()
    }
}

/// A count of each block, by its first slot.
fn blocks_of(slots: &[&Histogram], width: usize, of: impl Fn(&Histogram) -> u64) -> Vec<u64> {
    let of_slot: Vec<u64> = slots.iter().map(|values| of(values)).collect();
    let of_block = |first| {
        let held = (first..first + width).map(|at| of_slot[at % of_slot.len()]);
        held.fold(0, u64::saturating_add)
    };
    (0..of_slot.len()).map(of_block).collect()
}

fn sum(blocks: &[usize], of_block: &[u64]) -> u64 {
    let counts = blocks.iter().map(|&block| of_block[block]);
    counts.fold(0, u64::saturating_add)
}

/// Which of the 1,000 resamples, in order of their quantiles, is the lower end: with `n` blocks the
/// one at `Φ(−t·√(n/(n−1)))`, where `t` is the 97.5 % quantile of Student's distribution with `n−1`
/// degrees of freedom. Computed once, and rounded down, which is outwards.
const fn tail(blocks: usize) -> usize {
    match blocks {
        0..=5 => 1,
        6 => 2,
        7 => 4,
        8 => 5,
        9 => 7,
        10 => 8,
        11 => 9,
        12 => 10,
        13 => 11,
        14 => 12,
        15..=17 => 13,
        18..=19 => 14,
        20..=24 => 15,
        25..=29 => 17,
        30..=39 => 18,
        40..=49 => 20,
        _ => 21,
    }
}

#[cfg(test)]
mod tests {
    use nepho_common::time::RunTime;

    use super::*;
    use crate::report::stats::{binomial::Binomial, quantile_ranks};

    /// A latency that leans on the one before it: AR(1) around 10 ms, with nearly normal shocks.
    struct Leaning {
        draws: Draws,
        lean: f64,
        last: f64,
    }

    impl Leaning {
        fn new(seed: u64, lean: f64) -> Self {
            let mut new = Self {
                draws: Draws::new(seed),
                lean,
                last: 0.0,
            };
            // Long enough to forget where it began.
            (0..200).for_each(|_| {
                new.next();
            });
            new
        }

        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "around ten million"
        )]
        fn next(&mut self) -> Nanos {
            let uniform = |draws: &mut Draws| (draws.next() >> 11) as f64 / (1u64 << 53) as f64;
            let shock: f64 = (0..12).map(|_| uniform(&mut self.draws)).sum::<f64>() - 6.0;
            self.last = self.lean * self.last + (1.0 - self.lean * self.lean).sqrt() * shock;
            Nanos((10e6 + 1e6 * self.last).max(1e6) as u64)
        }
    }

    const PER_SLOT: u64 = 50;

    /// A stage of so many slots, with 5 requests a second.
    fn slots(values: &mut Leaning, slots: i64) -> Slots {
        let mut made = Slots::default();
        for at in 0..slots {
            let mut held = Histogram::default();
            (0..PER_SLOT).for_each(|_| held.record(values.next()));
            let from = RunTime(at * 10_000_000_000 + 7);
            let to = from.plus(FINEST);
            made.add(FINEST, Interval { from, to }, &held);
        }
        made
    }

    fn whole(slots: &Slots) -> Histogram {
        let mut whole = Histogram::default();
        slots.by_time.values().for_each(|one| whole.merge(one));
        whole
    }

    fn plain(slots: &Slots, quantile: (u64, u64)) -> (Nanos, Nanos) {
        let whole = whole(slots);
        let (low, high) = quantile_ranks(whole.count(), quantile).unwrap();
        (
            whole.at_rank(low).unwrap().0,
            whole.at_rank(high).unwrap().1,
        )
    }

    /// How many of 1,000 seeded runs hold the truth by blocks, and by the plain interval.
    fn held(lean: f64, n: i64, quantile: (u64, u64)) -> (usize, usize) {
        let mut long = Leaning::new(1, lean);
        let mut all = Histogram::default();
        (0..3_000_000).for_each(|_| all.record(long.next()));
        let truth = all.quantile(quantile.0, quantile.1).unwrap();
        let (mut by_blocks, mut by_ranks) = (0, 0);
        for seed in 0..1_000 {
            let run = slots(&mut Leaning::new(1_000 + seed, lean), n);
            let found = run.interval(FINEST, quantile).unwrap();
            by_blocks += usize::from((found.low..=found.high).contains(&truth));
            let (low, high) = plain(&run, quantile);
            by_ranks += usize::from((low..=high).contains(&truth));
        }
        (by_blocks, by_ranks)
    }

    /// The fewest of 1,000 runs that are within the exact bounds at 99.9 % of 95 %.
    fn least() -> usize {
        let least = Binomial::new(1_000, (95, 100)).first_above(0.000_5);
        usize::try_from(least).unwrap()
    }

    #[test]
    fn values_that_lean_on_each_other_are_held_as_often_as_is_said() {
        for (lean, n, quantile) in [
            (0.8, 6, (1, 2)),
            (0.8, 12, (1, 2)),
            (0.9, 30, (1, 2)),
            (0.8, 12, (3, 4)),
            (0.8, 30, (9, 10)),
        ] {
            let (by_blocks, by_ranks) = held(lean, n, quantile);
            let about = format!("{by_blocks}, plain {by_ranks}: {lean}, {n} slots, {quantile:?}");
            assert!(by_blocks >= least(), "{about}");
            // The control: the interval that assumes independence is far too narrow.
            assert!(by_ranks < 850, "{about}");
        }
    }

    #[test]
    fn independent_values_are_not_held_too_loosely() {
        let (mut blocks, mut ranks) = (0, 0);
        for seed in 0..200 {
            let run = slots(&mut Leaning::new(seed, 0.0), 30);
            let found = run.interval(FINEST, (1, 2)).unwrap();
            let (low, high) = plain(&run, (1, 2));
            blocks += found.high.0 - found.low.0;
            ranks += high.0 - low.0;
        }
        assert!(blocks < ranks * 3 / 2, "{blocks} against {ranks}");
    }

    #[test]
    fn blocks_need_time_that_is_known_and_enough_of_it() {
        let mut values = Leaning::new(1, 0.0);
        assert_eq!(slots(&mut values, 4).interval(FINEST, (1, 2)), None);
        let five = slots(&mut values, 5);
        assert_eq!(five.interval(FINEST, (1, 2)).unwrap().block, FINEST);
        let many = slots(&mut values, 20);
        let block = many.interval(FINEST, (1, 2)).unwrap().block;
        assert_eq!(block, Nanos::from_secs(20));
        let mut one = Histogram::default();
        one.record(Nanos::from_millis(1));
        let at = |from, secs| Interval {
            from: RunTime(from),
            to: RunTime(from).plus(Nanos::from_secs(secs)),
        };
        let mut coarse = five.clone();
        coarse.add(FINEST, at(7, 20), &one);
        assert_eq!(coarse.interval(FINEST, (1, 2)), None);
        for strange in [i64::MIN, i64::MAX - 1] {
            let mut strange_time = five.clone();
            strange_time.add(FINEST, at(strange, 0), &one);
            assert_eq!(strange_time.interval(FINEST, (1, 2)), None);
        }
        assert_eq!(slot(Nanos::from_secs(49)), None);
        assert_eq!(slot(Nanos::from_secs(50)), Some(FINEST));
        assert_eq!(slot(Nanos::from_secs(3_600)), Some(Nanos::from_secs(60)));
    }

    #[test]
    fn the_same_run_has_the_same_interval_in_whatever_order_it_came() {
        let run = slots(&mut Leaning::new(3, 0.5), 12);
        let mut again = Slots::default();
        for (&at, values) in run.by_time.iter().rev() {
            let mut one = Slots::default();
            one.by_time.insert(at, values.clone());
            again.merge(&one);
        }
        let of = |slots: &Slots| slots.interval(FINEST, (9, 10)).unwrap();
        assert_eq!(of(&run), of(&again));
    }
}
