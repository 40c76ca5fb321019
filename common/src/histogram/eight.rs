//! Eight small numbers in one word.

/// The first one in the lowest byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Eight(u64);

/// Every other byte, each with room above it for a sum.
const PAIRS: u64 = 0x00ff_00ff_00ff_00ff;

impl Eight {
    pub(super) const fn of(numbers: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(numbers))
    }

    /// Whether one of them is zero: a zero borrows from the bit above it when one is taken from it
    /// (S. E. Anderson, Bit Twiddling Hacks).
    pub(super) const fn has_zero(self) -> bool {
        const ONES: u64 = u64::from_le_bytes([1; 8]);
        self.0.wrapping_sub(ONES) & !self.0 & (ONES << 7) != 0
    }

    pub(super) const fn sum(self) -> u32 {
        let (even, odd) = self.halves();
        top(even + odd, 0x0001_0001_0001_0001)
    }

    /// Once the first, twice the second, … eight times the last.
    pub(super) const fn rising(self) -> u32 {
        let (even, odd) = self.halves();
        top(even, 0x0001_0003_0005_0007) + top(odd, 0x0002_0004_0006_0008)
    }

    /// The first, third… and the second, fourth…, each in 16 bits.
    const fn halves(self) -> (u64, u64) {
        (self.0 & PAIRS, (self.0 >> 8) & PAIRS)
    }
}

/// Four numbers of at most 510 in 16 bits each, times the four factors of at most 8 (the factor of
/// the lowest number on top), added up. It ends up in the top 16 bits of the product, and what is
/// below stays below: 510 × (8 + 6 + 4 + 2) fits 16 bits.
const fn top(four: u64, factors: u64) -> u32 {
    (four.wrapping_mul(factors) >> 48) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn as_one_by_one(numbers: [u8; 8]) {
        let eight = Eight::of(numbers);
        let all = || numbers.into_iter().map(u32::from);
        assert_eq!(eight.sum(), all().sum::<u32>(), "{numbers:?}");
        let rising: u32 = (1..).zip(all()).map(|(nth, number)| nth * number).sum();
        assert_eq!(eight.rising(), rising, "{numbers:?}");
        assert_eq!(eight.has_zero(), numbers.contains(&0), "{numbers:?}");
    }

    proptest! {
        #[test]
        fn eight_in_a_word_are_as_one_by_one(numbers: [u8; 8], at in 0usize..8, value in 0u8..3) {
            as_one_by_one(numbers);
            let mut numbers = numbers;
            numbers[at] = value;
            as_one_by_one(numbers);
        }
    }

    #[test]
    fn the_largest_are_not_too_large() {
        for numbers in [
            [0; 8],
            [1; 8],
            [u8::MAX; 8],
            [u8::MAX, 0, 1, 0, 1, 2, 1, u8::MAX],
        ] {
            as_one_by_one(numbers);
        }
    }
}
