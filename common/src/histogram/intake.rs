//! Bins from outside, taken in one by one or eight at a time; nothing is believed.

use super::{
    BINS, BadHistogram, HIGHEST, Histogram, LAYOUT, Nanos, bin_of,
    bins::Bins,
    eight::Eight,
    reach::{Reach, bucket_of, sub_of},
};

/// What a histogram from outside says beside its bins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
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
}

/// What is about to come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Announced {
    /// How many gaps.
    pub gaps: usize,
    /// How many counts.
    pub counts: usize,
    /// The first gap; 0 without any.
    pub first: u64,
    /// All gaps together, which is the last bin.
    pub last: u64,
}

/// A histogram in the making, its bins by rising number. Whoever reads hundreds of millions of them
/// needs one walk that checks, adds up and stores.
///
/// ```
/// use nepho_common::histogram::{Announced, Intake, LAYOUT, Said};
/// let said = Said { layout: LAYOUT, count: 3, min: 600, max: 1_100, sum: 2_400, ..Said::default() };
/// let announced = Announced { gaps: 2, counts: 2, first: 1, last: 2 };
/// let mut intake = Intake::new(said, announced).unwrap();
/// intake.one(1, 2).unwrap();
/// intake.one(1, 1).unwrap();
/// assert_eq!(intake.finish().unwrap().count(), 3);
/// ```
#[derive(Debug)]
pub struct Intake {
    said: Said,
    bins: Bins,
    /// How many bins are to come in all, and how many came.
    announced: usize,
    came: usize,
    /// The last one.
    bin: u32,
    total: u64,
    reach: Reach,
}

impl Intake {
    /// For all that is announced; memory for it is taken now, at most 16 B for each bin.
    ///
    /// # Errors
    /// A layout that is not known, gaps that do not pair up with counts, or a last bin that the
    /// layout does not have.
    pub fn new(said: Said, announced: Announced) -> Result<Self, BadHistogram> {
        if said.layout != LAYOUT {
            return Err(BadHistogram::Layout(said.layout));
        }
        let Announced { gaps, counts, .. } = announced;
        if gaps != counts {
            return Err(BadHistogram::Lengths { gaps, counts });
        }
        let (first, last) = (index(announced.first)?, index(announced.last)?);
        Ok(Self {
            said,
            bins: Bins::with_room(counts, first, last),
            announced: counts,
            came: 0,
            bin: 0,
            total: 0,
            reach: Reach::default(),
        })
    }

    /// The next bin: its number (the first one) or its distance from the one before it, and its count.
    ///
    /// # Errors
    /// A bin twice, one that the layout does not have or nobody announced, one that is empty, or
    /// counts that are too many together.
    pub fn one(&mut self, gap: u64, n: u64) -> Result<(), BadHistogram> {
        if gap == 0 && self.came > 0 {
            return Err(BadHistogram::Gap(self.came));
        }
        let bin = index(u64::from(self.bin).saturating_add(gap))?;
        if n == 0 {
            return Err(BadHistogram::Zero(self.came));
        }
        self.total = self.total.checked_add(n).ok_or(BadHistogram::Count {
            bins: u64::MAX,
            said: self.said.count,
        })?;
        if self.came >= self.announced || !self.bins.push(bin, n) {
            return Err(BadHistogram::Bin(bin.into()));
        }
        self.reach.take(bin, n);
        self.bin = bin;
        self.came += 1;
        Ok(())
    }

    /// The next eight, as [`Self::one`] eight times.
    ///
    /// # Errors
    /// As [`Self::one`].
    #[inline]
    pub fn eight(&mut self, gaps: [u8; 8], counts: [u8; 8]) -> Result<(), BadHistogram> {
        if self.eight_in_one_bucket(gaps, counts).is_some() {
            return Ok(());
        }
        let mut pairs = gaps.into_iter().zip(counts);
        pairs.try_for_each(|(gap, n)| self.one(gap.into(), n.into()))
    }

    /// `None`, and nothing is taken, when anything is wrong with them or they need a closer look.
    #[inline]
    fn eight_in_one_bucket(&mut self, gaps: [u8; 8], counts: [u8; 8]) -> Option<()> {
        let (gap, n) = (Eight::of(gaps), Eight::of(counts));
        if self.came == 0 || self.announced - self.came < 8 || gap.has_zero() || n.has_zero() {
            return None;
        }
        let before = self.bin;
        let last = before + gap.sum();
        let bucket = bucket_of(before + 1);
        if last >= BINS || bucket_of(last) != bucket {
            return None;
        }
        let total = self.total.checked_add(n.sum().into())?;
        let window = self.bins.window(before + 1, last, 8)?;
        // Distances from the bin before, times counts.
        let mut weight = 0;
        if let Some(window) = window.as_mut_array::<8>() {
            // Side by side: most of a series with many values looks like this.
            weight = n.rising().into();
            for (slot, n) in window.iter_mut().zip(counts) {
                *slot = n.into();
            }
        } else {
            let mut distance = 0u32;
            for (gap, n) in gaps.into_iter().zip(counts) {
                distance += u32::from(gap);
                weight += u64::from(distance) * u64::from(n);
                *window.get_mut(distance as usize - 1)? = n.into();
            }
        }
        let subs = u64::from(sub_of(before, bucket)) * u64::from(n.sum()) + weight;
        self.reach.take_of(bucket, subs, n.sum().into());
        self.total = total;
        self.bin = last;
        self.came += 8;
        Some(())
    }

    /// Whether all of it fits together.
    ///
    /// # Errors
    /// Bins that did not come, or a count, minimum, maximum, sum or overflow that contradicts them.
    pub fn finish(self) -> Result<Histogram, BadHistogram> {
        let Said {
            count,
            overflow,
            min,
            max,
            sum,
            layout: _,
        } = self.said;
        if self.came != self.announced {
            let (gaps, counts) = (self.came, self.announced);
            return Err(BadHistogram::Lengths { gaps, counts });
        }
        if self.total != count {
            let bins = self.total;
            return Err(BadHistogram::Count { bins, said: count });
        }
        let consistent = match (self.bins.first(), self.bins.last()) {
            // A half of a split recording knows its own edges to a bin only, hence bins, not values.
            (Some(first), Some(last)) => {
                bin_of(min) == first.0
                    && bin_of(max) == last.0
                    && min <= max
                    && overflow <= last.1
                    && (overflow > 0) == (max > HIGHEST)
                    && {
                        let (least, most) = self.reach.within(first, Nanos(min), last, Nanos(max));
                        least <= sum && sum <= most
                    }
            }
            (None, _) | (_, None) => (min, max, sum, overflow) == (0, 0, 0, 0),
        };
        if !consistent {
            return Err(BadHistogram::Bounds);
        }
        Ok(Histogram {
            bins: self.bins,
            count,
            overflow,
            min,
            max,
            sum,
        })
    }
}

/// A bin that layout 1 has.
fn index(bin: u64) -> Result<u32, BadHistogram> {
    let index = u32::try_from(bin).ok().filter(|&bin| bin < BINS);
    index.ok_or(BadHistogram::Bin(bin))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(pairs: &[(u8, u8)]) -> (Said, Announced) {
        let said = Said {
            layout: LAYOUT,
            count: pairs.iter().map(|&(_, n)| u64::from(n)).sum(),
            ..Said::default()
        };
        let announced = Announced {
            gaps: pairs.len(),
            counts: pairs.len(),
            first: pairs.first().map_or(0, |&(gap, _)| gap.into()),
            last: pairs.iter().map(|&(gap, _)| u64::from(gap)).sum(),
        };
        (said, announced)
    }

    fn intake(pairs: &[(u8, u8)]) -> Intake {
        let (said, announced) = all(pairs);
        Intake::new(said, announced).unwrap()
    }

    /// What is left of an intake when everything has come, or what was refused.
    fn eights(pairs: &[(u8, u8)]) -> Result<String, BadHistogram> {
        let mut intake = intake(pairs);
        let (eights, rest) = pairs.as_chunks::<8>();
        for eight in eights {
            intake.eight(eight.map(|(gap, _)| gap), eight.map(|(_, n)| n))?;
        }
        rest.iter()
            .try_for_each(|&(gap, n)| intake.one(gap.into(), n.into()))?;
        Ok(format!("{intake:?}"))
    }

    fn ones(pairs: &[(u8, u8)]) -> Result<String, BadHistogram> {
        let mut intake = intake(pairs);
        pairs
            .iter()
            .try_for_each(|&(gap, n)| intake.one(gap.into(), n.into()))?;
        Ok(format!("{intake:?}"))
    }

    proptest! {
        #[test]
        fn eight_at_a_time_is_one_after_the_other(
            near in prop::collection::vec((1u8..4, 1u8..), 0..200),
            far in prop::collection::vec((1u8.., 1u8..), 0..40),
            spoilt in prop::option::of((any::<prop::sample::Index>(), any::<bool>())),
        ) {
            for mut pairs in [near.clone(), far.clone(), [near, far].concat()] {
                if let (Some((at, gap)), false) = (spoilt, pairs.is_empty()) {
                    let at = at.index(pairs.len());
                    if gap { pairs[at].0 = 0 } else { pairs[at].1 = 0 }
                    prop_assert!(ones(&pairs).is_err() || (gap && at == 0));
                }
                prop_assert_eq!(eights(&pairs), ones(&pairs));
            }
        }
    }

    #[test]
    fn more_than_was_announced_is_refused_and_so_is_less() {
        let pairs = [(1, 1); 24];
        let (said, announced) = all(&pairs);
        let fewer = Announced {
            gaps: 16,
            counts: 16,
            ..announced
        };
        let mut more = Intake::new(said, fewer).unwrap();
        let eights: Result<(), _> = (0..3).try_for_each(|_| more.eight([1; 8], [1; 8]));
        assert_eq!(eights, Err(BadHistogram::Bin(17)));
        let nearer = Announced {
            last: announced.last - 1,
            ..announced
        };
        let mut beyond = Intake::new(said, nearer).unwrap();
        let eights: Result<(), _> = (0..3).try_for_each(|_| beyond.eight([1; 8], [1; 8]));
        assert_eq!(eights, Err(BadHistogram::Bin(24)));
        let mut less = Intake::new(said, announced).unwrap();
        less.eight([1; 8], [1; 8]).unwrap();
        assert!(matches!(less.finish(), Err(BadHistogram::Lengths { .. })));
    }
}
