//! Histogram layout 1: nanoseconds, 1,000 to 3.6e12, three significant digits, 24,576 bins.
//!
//! The bins are those of an HDR histogram with these bounds (G. Tene, HdrHistogram), so a dense
//! histogram of any HDR library with the same bounds has the same counts; a property test holds us
//! to that. Beside the bins stand the exact count, minimum, maximum and sum, because a bin keeps a
//! value only to one part in a thousand.

mod bins;
mod eight;
mod intake;
mod reach;

pub use self::intake::{Announced, Intake, Said};
use self::{bins::Bins, reach::Reach};
use crate::time::Nanos;

/// The number that names this layout on the wire.
pub const LAYOUT: u32 = 1;
/// How many bins layout 1 has.
pub const BINS: u32 = 24_576;
/// The largest value that layout 1 tells apart, one hour. What is above is counted in its bin and
/// in `overflow`.
pub const HIGHEST: u64 = 3_600_000_000_000;

/// `floor(log2(1000))`: the finest bins are 512 ns wide.
const UNIT_BITS: u32 = 9;
/// `2^11` sub-buckets hold three significant digits; the upper half of them is stored.
const HALF_BITS: u32 = 10;

/// The bin that `value` (nanoseconds) falls into; [`HIGHEST`]'s for anything above.
#[must_use]
pub const fn bin_of(value: u64) -> u32 {
    let value = if value > HIGHEST { HIGHEST } else { value };
    let in_first = (2u64 << (HALF_BITS + UNIT_BITS)) - 1;
    let bucket = 64 - (UNIT_BITS + HALF_BITS + 1) - (value | in_first).leading_zeros();
    let sub = value >> (bucket + UNIT_BITS);
    // `sub` is below 2^11 and `bucket` below 23, so this fits by far.
    #[expect(clippy::cast_possible_truncation, reason = "sub < 2048")]
    let sub = sub as u32;
    (bucket << HALF_BITS) + sub
}

/// The smallest and the largest value that fall into `bin`, in nanoseconds.
#[must_use]
pub const fn range_of(bin: u32) -> (u64, u64) {
    let (bucket, sub) = match bin >> HALF_BITS {
        0 => (0, bin),
        above => (above - 1, (bin & ((1 << HALF_BITS) - 1)) + (1 << HALF_BITS)),
    };
    let low = (sub as u64) << (bucket + UNIT_BITS);
    (low, low + (1 << (bucket + UNIT_BITS)) - 1)
}

/// Why a histogram from outside is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHistogram {
    /// Another layout than the one this release reads.
    #[error("histogram layout {0} is not known here; this release reads layout 1")]
    Layout(u32),
    /// `gap` and `n` have to pair up.
    #[error("{gaps} gaps for {counts} counts")]
    Lengths {
        /// How many gaps.
        gaps: usize,
        /// How many counts.
        counts: usize,
    },
    /// A gap of zero after the first would name a bin twice.
    #[error("a gap of zero at place {0} names a bin twice")]
    Gap(usize),
    /// A bin that layout 1 does not have.
    #[error("bin {0} is beyond the 24,576 of layout 1")]
    Bin(u64),
    /// A stored bin holds something.
    #[error("a count of zero at place {0}")]
    Zero(usize),
    /// The counts don't add up to what is said.
    #[error("the bins hold {bins}, the message says {said}")]
    Count {
        /// The sum over bins; `u64::MAX` when it overflowed.
        bins: u64,
        /// The count beside them.
        said: u64,
    },
    /// Minimum, maximum, sum or overflow contradict the bins.
    #[error("minimum, maximum, sum or overflow contradict the bins")]
    Bounds,
}

/// Counts of values in nanoseconds; mergeable, exact in count, minimum, maximum and sum.
///
/// ```
/// use nepho_common::{histogram::Histogram, time::Nanos};
/// let mut a = Histogram::default();
/// a.record(Nanos(15_000_000));
/// let mut b = Histogram::default();
/// b.record(Nanos(30_000_000));
/// a.merge(&b);
/// assert_eq!((a.count(), a.max()), (2, Some(Nanos(30_000_000))));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    bins: Bins,
    count: u64,
    overflow: u64,
    min: u64,
    max: u64,
    sum: u128,
}

/// A histogram as it crosses the wire: everything public, nothing believed. See
/// [`Histogram::from_sparse`].
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sparse {
    /// [`LAYOUT`].
    pub layout: u32,
    /// How many values.
    pub count: u64,
    /// How many of them were above [`HIGHEST`].
    pub overflow: u64,
    /// Exact smallest value, nanoseconds; 0 when empty.
    pub min: u64,
    /// Exact largest value, nanoseconds; 0 when empty.
    pub max: u64,
    /// Exact sum, nanoseconds.
    pub sum: u128,
    /// First bin, then the distance to each following one.
    pub gap: Vec<u32>,
    /// How many values lie in each of these bins.
    pub n: Vec<u64>,
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, value: Nanos) {
        let value = value.0;
        self.bins.count(bin_of(value));
        self.overflow += u64::from(value > HIGHEST);
        self.min = if self.count == 0 {
            value
        } else {
            self.min.min(value)
        };
        self.max = self.max.max(value);
        self.sum += u128::from(value);
        self.count += 1;
    }

    /// Adds everything that `other` counted. Associative and commutative; the empty one is neutral.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.bins.merge(&other.bins);
        self.min = if self.count == 0 {
            other.min
        } else {
            self.min.min(other.min)
        };
        self.max = self.max.max(other.max);
        self.count = self.count.saturating_add(other.count);
        self.overflow = self.overflow.saturating_add(other.overflow);
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many values.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// How many values were above [`HIGHEST`].
    #[must_use]
    pub const fn overflow(&self) -> u64 {
        self.overflow
    }

    /// Exact sum, nanoseconds.
    #[must_use]
    pub const fn sum(&self) -> u128 {
        self.sum
    }

    /// Exact smallest value.
    #[must_use]
    pub fn min(&self) -> Option<Nanos> {
        (self.count > 0).then_some(Nanos(self.min))
    }

    /// Exact largest value.
    #[must_use]
    pub fn max(&self) -> Option<Nanos> {
        (self.count > 0).then_some(Nanos(self.max))
    }

    /// The bins that hold something, in order of value.
    pub fn bins(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.bins.iter()
    }

    /// The smallest and the largest that the value of `rank` (1 is the smallest value) can be.
    ///
    /// `None` when the rank is 0 or above the count.
    #[must_use]
    pub fn at_rank(&self, rank: u64) -> Option<(Nanos, Nanos)> {
        if rank == 0 || rank > self.count {
            return None;
        }
        let mut seen = 0u64;
        for (bin, n) in self.bins.iter() {
            seen = seen.saturating_add(n);
            if seen >= rank {
                let (low, high) = range_of(bin);
                let high = if high >= HIGHEST { self.max } else { high };
                return Some((Nanos(low.max(self.min)), Nanos(high.min(self.max))));
            }
        }
        None
    }

    /// The value at the quantile `num/den`: nearest rank, upper edge of its bin, never above the
    /// exact maximum. Integers only, because 99.9/100 as a float is off by a rank.
    ///
    /// `None` when nothing was counted.
    #[must_use]
    pub fn quantile(&self, num: u64, den: u64) -> Option<Nanos> {
        let rank = (u128::from(self.count) * u128::from(num)).div_ceil(u128::from(den.max(1)));
        let rank = u64::try_from(rank)
            .unwrap_or(u64::MAX)
            .clamp(1, self.count.max(1));
        self.at_rank(rank).map(|(_, high)| high)
    }

    /// What stands beside the bins.
    #[must_use]
    pub const fn said(&self) -> Said {
        Said {
            layout: LAYOUT,
            count: self.count,
            overflow: self.overflow,
            min: self.min,
            max: self.max,
            sum: self.sum,
        }
    }

    /// The sparse form, for the wire.
    #[must_use]
    pub fn to_sparse(&self) -> Sparse {
        let mut last = 0;
        let gap = |(bin, _)| bin - std::mem::replace(&mut last, bin);
        let gap = self.bins.iter().map(gap).collect();
        Sparse {
            layout: LAYOUT,
            count: self.count,
            overflow: self.overflow,
            min: self.min,
            max: self.max,
            sum: self.sum,
            gap,
            n: self.bins.iter().map(|(_, n)| n).collect(),
        }
    }

    /// Checks everything before it believes anything.
    ///
    /// # Errors
    /// [`BadHistogram`] says what is wrong; what was allocated is bounded by the message's own size.
    pub fn from_sparse(sparse: &Sparse) -> Result<Self, BadHistogram> {
        let said = Said {
            layout: sparse.layout,
            count: sparse.count,
            overflow: sparse.overflow,
            min: sparse.min,
            max: sparse.max,
            sum: sparse.sum,
        };
        let gaps = || sparse.gap.iter().map(|&gap| u64::from(gap));
        let announced = Announced {
            gaps: sparse.gap.len(),
            counts: sparse.n.len(),
            first: gaps().next().unwrap_or(0),
            last: gaps().sum(),
        };
        let mut intake = Intake::new(said, announced)?;
        for (gap, &n) in gaps().zip(&sparse.n) {
            intake.one(gap, n)?;
        }
        intake.finish()
    }

    /// The least and the most that values in these bins can add up to. The last bin of all has no
    /// upper edge of its own.
    fn reach(&self) -> (u128, u128) {
        let (Some(first), Some(last)) = (self.bins.first(), self.bins.last()) else {
            return (0, 0);
        };
        let mut reach = Reach::default();
        self.bins.iter().for_each(|(bin, n)| reach.take(bin, n));
        reach.within(first, Nanos(self.min), last, Nanos(self.max))
    }

    /// Two histograms whose merge is this one, each with half of the bins. `None` when there are
    /// fewer than two bins.
    ///
    /// The bin at which it is cut hides where exactly its values lie, so the inner edges are the
    /// bins' own and the sum is shared out by the lower edges; merging restores all of it.
    #[must_use]
    pub fn split(&self) -> Option<(Self, Self)> {
        if self.bins.len() < 2 {
            return None;
        }
        let (lower, upper) = self.bins.halves();
        let ((top, _), (middle, _)) = (lower.last()?, upper.first()?);
        let mut lower = Self {
            count: lower.iter().map(|(_, n)| n).sum(),
            bins: lower,
            min: self.min,
            max: range_of(top).1,
            ..Self::default()
        };
        let mut upper = Self {
            bins: upper,
            min: range_of(middle).0,
            max: self.max,
            ..Self::default()
        };
        // What the upper half needs at least stays there; the lower takes the rest, up to what its
        // values can add up to.
        lower.sum = self
            .sum
            .saturating_sub(upper.reach().0)
            .min(lower.reach().1);
        upper.sum = self.sum - lower.sum;
        upper.count = self.count - lower.count;
        upper.overflow = self.overflow;
        Some((lower, upper))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|&v| histogram.record(Nanos(v)));
        histogram
    }

    fn values() -> impl Strategy<Value = Vec<u64>> {
        let value = (0u32..43, any::<u64>()).prop_map(|(bits, v)| v & ((1 << bits) - 1));
        prop::collection::vec(value, 0..60)
    }

    fn merged(a: &Histogram, b: &Histogram) -> Histogram {
        let mut sum = a.clone();
        sum.merge(b);
        sum
    }

    #[test]
    fn the_layout_has_the_bins_it_says() {
        assert_eq!(bin_of(0), 0);
        assert_eq!(bin_of(511), 0);
        assert_eq!(bin_of(512), 1);
        assert!(bin_of(HIGHEST) < BINS);
        assert_eq!(bin_of(u64::MAX), bin_of(HIGHEST));
        for bin in 0..BINS {
            let (low, high) = range_of(bin);
            if high < HIGHEST {
                assert_eq!(
                    (bin_of(low), bin_of(high), bin_of(high + 1)),
                    (bin, bin, bin + 1)
                );
            }
        }
    }

    #[test]
    fn percentiles_come_from_merged_counts_never_from_averages() {
        // research: A = 9,900 × 10 ms, B = 50 × 10 ms + 50 × 1,000 ms; the true p99 is 10 ms.
        let ms = 1_000_000;
        let a = of(&vec![10 * ms; 9_900]);
        let b = of(&[vec![10 * ms; 50], vec![1_000 * ms; 50]].concat());
        let p99 = merged(&a, &b).quantile(99, 100).unwrap().0;
        assert!(p99.abs_diff(10 * ms) <= 10 * ms / 1000, "{p99}");
        let mean = a
            .quantile(99, 100)
            .unwrap()
            .0
            .midpoint(b.quantile(99, 100).unwrap().0);
        assert!(mean > 500 * ms, "the average that we never take");
    }

    #[test]
    fn a_tail_that_one_agent_alone_sees_is_in_the_whole() {
        // research: A = 1,000 × 10 ms, B = 950 × 10 ms + 50 × 1,000 ms; the true p99 is 1,000 ms.
        let ms = 1_000_000;
        let a = of(&vec![10 * ms; 1_000]);
        let b = of(&[vec![10 * ms; 950], vec![1_000 * ms; 50]].concat());
        assert_eq!(merged(&a, &b).quantile(99, 100), Some(Nanos(1_000 * ms)));
        let mean = a.quantile(99, 100).unwrap().0 / 2 + b.quantile(99, 100).unwrap().0 / 2;
        assert!(mean < 600 * ms, "the average that we never take");
    }

    #[test]
    fn a_quantile_of_the_first_hundred_is_its_own_number() {
        // research: as floats, these five come out a rank too high.
        let ms = 1_000_000;
        let hundred = of(&(1..=100).map(|n| n * ms).collect::<Vec<_>>());
        for (num, float) in [
            (7u64, 0.07f64),
            (14, 0.14),
            (28, 0.28),
            (55, 0.55),
            (56, 0.56),
        ] {
            let found = hundred.quantile(num, 100).unwrap().0;
            assert!(
                found >= num * ms && found < (num + 1) * ms,
                "p{num}: {found}"
            );
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "small"
            )]
            let rank = (float * 100.0).ceil() as u64;
            assert_eq!(rank, num + 1, "the rank that we never take");
        }
    }

    #[test]
    fn ranks_are_not_off_by_one() {
        // research: 999 × 1 and 1 × 1000 — a float p99.9 answers 1000.
        let histogram = of(&[vec![1_000; 999], vec![1_000_000]].concat());
        assert!(histogram.quantile(999, 1000).unwrap().0 < 2_000);
        assert_eq!(histogram.quantile(1, 1).unwrap().0, 1_000_000);
        assert_eq!(Histogram::default().quantile(1, 2), None);
    }

    #[test]
    fn what_is_above_an_hour_is_counted_as_overflow_and_kept_exactly() {
        let histogram = of(&[5, HIGHEST + 7]);
        assert_eq!(
            (histogram.overflow(), histogram.max()),
            (1, Some(Nanos(HIGHEST + 7)))
        );
        assert_eq!(
            Histogram::from_sparse(&histogram.to_sparse()).unwrap(),
            histogram
        );
    }

    proptest! {
        #[test]
        fn the_bins_are_those_of_an_hdr_histogram(values in values()) {
            let mut hdr = hdrhistogram::Histogram::<u64>::new_with_bounds(1_000, HIGHEST, 3).unwrap();

            let values: Vec<_> = values.into_iter().map(|v| v.min(HIGHEST)).collect();
            values.iter().for_each(|&v| hdr.record(v).unwrap());
            let ours = of(&values);
            prop_assert_eq!(hdr.distinct_values(), BINS as usize);
            let theirs: Vec<_> = hdr.iter_recorded()
                .map(|v| (bin_of(v.value_iterated_to()), v.count_at_value())).collect();
            prop_assert_eq!(ours.bins().collect::<Vec<_>>(), theirs);
            for v in values {
                prop_assert_eq!(range_of(bin_of(v)), (hdr.lowest_equivalent(v), hdr.highest_equivalent(v)));
            }
        }

        #[test]
        fn merging_is_commutative_associative_and_has_a_neutral(
            a in values(), b in values(), c in values(),
        ) {
            let (x, y, z) = (of(&a), of(&b), of(&c));
            prop_assert_eq!(merged(&x, &y), merged(&y, &x));
            prop_assert_eq!(merged(&merged(&x, &y), &z), merged(&x, &merged(&y, &z)));
            prop_assert_eq!(merged(&x, &Histogram::default()), x.clone());
            prop_assert_eq!(merged(&Histogram::default(), &x), x.clone());
            prop_assert_eq!(merged(&x, &y), of(&[a, b].concat()));
        }

        #[test]
        fn the_sparse_form_reads_back(values in values()) {
            let histogram = of(&values);
            prop_assert_eq!(Histogram::from_sparse(&histogram.to_sparse()).unwrap(), histogram);
        }

        #[test]
        fn two_halves_merge_to_the_whole_and_each_is_valid(values in values()) {
            let whole = of(&values);
            if let Some((lower, upper)) = whole.split() {
                prop_assert_eq!(merged(&lower, &upper), whole);
                for half in [lower, upper] {
                    prop_assert_eq!(Histogram::from_sparse(&half.to_sparse()).unwrap(), half);
                }
            }
        }

        #[test]
        fn one_changed_number_is_noticed(values in values(), at in any::<prop::sample::Index>()) {
            prop_assume!(!values.is_empty());
            let good = of(&values).to_sparse();
            let place = at.index(good.n.len());
            let mut more = good.clone();
            more.n[place] += 1;
            prop_assert!(Histogram::from_sparse(&more).is_err());
            let mut zero = good.clone();
            zero.n[place] = 0;
            prop_assert!(Histogram::from_sparse(&zero).is_err());
            let mut far = good.clone();
            far.gap[place] = u32::MAX;
            prop_assert!(Histogram::from_sparse(&far).is_err());
            let mut short = good.clone();
            short.gap.pop();
            prop_assert!(Histogram::from_sparse(&short).is_err());
            // Every value is in its bin, so a sum beyond the bins' edges is nobody's.
            let far = u128::from(good.max - good.min) * u128::from(good.count) + 1;
            let sum = good.sum + far;
            let beyond = Sparse { sum, ..good.clone() };
            prop_assert!(Histogram::from_sparse(&beyond).is_err());
            let other = Sparse { layout: 2, ..good };
            prop_assert!(Histogram::from_sparse(&other).is_err());
        }
    }

    /// Found by fuzzing: half of it could not hold what the whole said.
    #[test]
    fn a_sum_that_its_bins_cannot_hold_is_refused() {
        let whole = of(&[1_000, 1_000_000]);
        let good = whole.to_sparse();
        for sum in [
            u128::from(good.max) + 1_024,
            u128::from(good.max) * 2,
            999_000,
        ] {
            let bad = Sparse {
                sum,
                ..good.clone()
            };
            assert_eq!(
                Histogram::from_sparse(&bad),
                Err(BadHistogram::Bounds),
                "{sum}"
            );
        }
    }

    #[test]
    fn counts_that_overflow_are_refused() {
        let bad = Sparse {
            layout: 1,
            count: 1,
            gap: vec![0, 1],
            n: vec![u64::MAX, 2],
            ..Sparse::default()
        };
        assert_eq!(
            Histogram::from_sparse(&bad),
            Err(BadHistogram::Count {
                bins: u64::MAX,
                said: 1
            })
        );
    }
}
