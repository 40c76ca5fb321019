//! The least and the most that values in some bins can add up to.

use super::{HALF_BITS, Nanos, UNIT_BITS, range_of};

/// Grows with the bins that it takes. No sum overflows: the counts together fit 64 bits, and so
/// does every value.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reach {
    /// Every value at the lower edge of its bin.
    low: u128,
    /// Every value at the upper edge of its bin.
    high: u128,
}

impl Reach {
    /// `n` values in `bin`.
    pub(super) fn take(&mut self, bin: u32, n: u64) {
        let (low, high) = range_of(bin);
        self.low += u128::from(low) * u128::from(n);
        self.high += u128::from(high) * u128::from(n);
    }

    /// `n` values in bins of one bucket, which are equally wide; `subs` is what [`sub_of`] gives,
    /// added up over the values.
    pub(super) fn take_of(&mut self, bucket: u32, subs: u64, n: u64) {
        let low = u128::from(subs) << (bucket + UNIT_BITS);
        let width = 1u128 << (bucket + UNIT_BITS);
        self.low += low;
        self.high += low + (width - 1) * u128::from(n);
    }

    /// With the edges known exactly: no value of the first bin is below `min`, none of the last, which
    /// has no upper edge of its own if it is the last of all, is above `max`. Both lie in their bins.
    pub(super) fn within(
        self,
        (first, at_first): (u32, u64),
        min: Nanos,
        (last, at_last): (u32, u64),
        max: Nanos,
    ) -> (u128, u128) {
        let all = |value: u64, n| u128::from(value) * u128::from(n);
        let least = self.low - all(range_of(first).0, at_first) + all(min.0, at_first);
        let most = self.high - all(range_of(last).1, at_last) + all(max.0, at_last);
        (least, most)
    }
}

/// The bucket of a bin: bins of one bucket are equally wide, those of the next twice as wide.
pub(super) const fn bucket_of(bin: u32) -> u32 {
    (bin >> HALF_BITS).saturating_sub(1)
}

/// The lower edge of `bin` in widths of the bins of its bucket.
pub(super) const fn sub_of(bin: u32, bucket: u32) -> u32 {
    bin - (bucket << HALF_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::BINS;

    #[test]
    fn a_bin_is_its_place_in_its_bucket() {
        for bin in 0..BINS {
            let bucket = bucket_of(bin);
            let (mut one, mut of) = (Reach::default(), Reach::default());
            one.take(bin, 7);
            of.take_of(bucket, 7 * u64::from(sub_of(bin, bucket)), 7);
            assert_eq!((one.low, one.high), (of.low, of.high), "{bin}");
        }
    }
}
