//! Which of the calls of a mix a request is.

/// The weights of a mix.
#[derive(Debug, Clone)]
pub(super) struct Mix {
    /// For each call, the sum of its weight and those before.
    up_to: Vec<u64>,
    seed: u64,
}

impl Mix {
    pub(super) fn new(weights: impl IntoIterator<Item = u32>, seed: u64) -> Self {
        let mut sum = 0;
        let up_to = weights.into_iter().map(|weight| {
            sum += u64::from(weight);
            sum
        });
        Self {
            up_to: up_to.collect(),
            seed,
        }
    }

    /// The call of the request with this number: drawn, and the same each time it is asked.
    pub(super) fn call(&self, number: u64) -> u16 {
        let [.., all] = self.up_to.as_slice() else {
            return 0;
        };
        if self.up_to.len() < 2 {
            return 0;
        }
        // The high half of a product with a number of 64 bits: no division, and no bias that
        // anybody could see.
        let drawn = (u128::from(scatter(self.seed ^ scatter(number))) * u128::from(*all)) >> 64;
        let place = self
            .up_to
            .partition_point(|up_to| u128::from(*up_to) <= drawn);
        u16::try_from(place).unwrap_or(0)
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): neighbours come apart.
const fn scatter(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_as_often_as_their_weights_say_and_in_no_order() {
        let mix = Mix::new([9, 0, 1], 7);
        let calls: Vec<_> = (0..100_000).map(|number| mix.call(number)).collect();
        let count = |call| calls.iter().filter(|one| **one == call).count();
        assert_eq!(count(1), 0);
        // Five standard deviations of 100,000 draws at one in ten.
        assert!(count(2).abs_diff(10_000) < 475, "{}", count(2));
        // After the rare one it comes again as often as ever.
        let pairs = calls.windows(2).filter(|pair| pair == &[2, 2]).count();
        assert!(pairs.abs_diff(1_000) < 160, "{pairs}");
        assert_eq!(mix.call(42), mix.call(42));
        let other = Mix::new([9, 0, 1], 8);
        assert!((0..100).any(|number| other.call(number) != mix.call(number)));
        assert_eq!(Mix::new([5], 1).call(3), 0);
        assert_eq!(Mix::new([], 1).call(3), 0);
    }
}
