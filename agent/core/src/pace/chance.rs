//! What chance decides of a schedule: the gap before each arrival, and whose arrival it is.
//!
//! Both are functions of the seed and the arrival's number alone. So every stripe draws the same
//! schedule without asking anybody, and nothing has to be kept to draw an arrival again.
//!
//! Same seed, same schedule on every machine. The standard library doesn't promise that of its
//! logarithm, so this one is made of the operations of IEEE 754 that round alike everywhere (sums,
//! products, quotients), and gaps are added up as integers.

use std::f64::consts::{LN_2, SQRT_2};

use nepho_common::plan::Parts;

/// The draws of one seed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chance {
    gaps: u64,
    owners: u64,
}

/// The increment of SplitMix64: an odd number near 2⁶⁴ over the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Chance {
    /// Two sequences, begun at places that have nothing to do with each other, nor with those of a
    /// seed that is one higher. The constants are the first 16 hexadecimal digits after the point
    /// of π and of e.
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            gaps: mix(seed ^ 0x243f_6a88_85a3_08d3),
            owners: mix(seed ^ 0xb7e1_5162_8aed_2a6a),
        }
    }

    /// From the arrival before this one (or the start) to this one, at a rate of one.
    pub(super) fn gap(self, number: u64) -> u64 {
        exponential(draw(self.gaps, number))
    }

    /// Whose it is: modulo the number of stripes. Uneven by less than their number over 2⁶⁴.
    pub(super) const fn owner(self, number: u64) -> u64 {
        draw(self.owners, number)
    }
}

/// The `number`-th output, from 0 on, of the SplitMix64 that begins here: G. Steele, D. Lea, C.
/// Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
const fn draw(begin: u64, number: u64) -> u64 {
    mix(begin.wrapping_add(GOLDEN.wrapping_mul(number.wrapping_add(1))))
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// -ln U in parts of an arrival, for U the upper 53 bits of `bits`, in (0, 1]. At most 37 arrivals.
///
/// U is m / 2ᵏ with m in [1, 2), and ln m = ln √2 + 2 artanh z with z = (m - √2) / (m + √2), which is
/// at most 0.172. Nine terms of the series for artanh leave an error below 10⁻¹⁵; a part is
/// 5·10⁻¹³.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "53 bits are exact in a float; a logarithm that is rounded below zero is zero"
)]
fn exponential(bits: u64) -> u64 {
    let whole = (bits >> 11) + 1;
    let k = whole.leading_zeros() - 10;
    // Shifted until its highest bit is that of 2^53: m, exactly.
    let m = (whole << k) as f64 / (1u64 << 53) as f64;
    let z = (m - SQRT_2) / (m + SQRT_2);
    let zz = z * z;
    let mut sum = 1.0 / 17.0;
    for odd in [15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * zz + 1.0 / odd;
    }
    let minus_ln = (f64::from(k) - 0.5) * LN_2 - 2.0 * z * sum;
    (minus_ln * Parts::ARRIVAL as f64 + 0.5) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sequence() {
        // The reference implementation's first outputs for seed 1234567.
        assert_eq!(draw(1_234_567, 0), 6_457_827_717_110_365_317);
        assert_eq!(draw(1_234_567, 1), 3_203_168_211_198_807_973);
    }

    /// Ends, powers of two and their neighbours, and the logarithm of this machine in between.
    #[test]
    fn gaps_are_logarithms_to_a_part() {
        let part = Parts::ARRIVAL as f64;
        let check = |whole: u64| {
            let exact = -((whole as f64) / (1u64 << 53) as f64).ln() * part;
            let found = exponential((whole - 1) << 11) as f64;
            assert!((found - exact).abs() <= 0.75, "{whole}: {found}, {exact}");
        };
        for k in 0..=53 {
            let power = 1u64 << k;
            [power - 1, power, power + 1]
                .into_iter()
                .filter(|whole| (1..=1 << 53).contains(whole))
                .for_each(check);
        }
        (0..100_000).for_each(|n| check((draw(7, n) >> 11) + 1));
        assert_eq!(exponential(u64::MAX), 0);
        assert_eq!(exponential(0), 73_473_601_139_354);
    }

    /// To the last part, on every machine. A program in another language found the same sum (FNV-1a
    /// over whole numbers).
    #[test]
    fn a_seed_draws_the_same_everywhere_and_for_ever() {
        let chance = Chance::new(7);
        let fold = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        let draws = (0..100_000).flat_map(|n| [chance.gap(n), chance.owner(n)]);
        let sum = draws.fold(0xcbf2_9ce4_8422_2325, fold);
        assert_eq!(sum, 1_262_557_308_339_681_934);
    }

    /// The bits below the 53 that count change nothing.
    #[test]
    fn a_gap_and_its_owner_have_nothing_in_common() {
        let chance = Chance::new(0);
        assert_ne!(chance.gaps, chance.owners);
        let next = Chance::new(1);
        assert_ne!(
            chance.gap(1),
            next.gap(0),
            "not the same sequence one later"
        );
        assert_eq!(exponential(0x1234_5000), exponential(0x1234_57ff));
    }
}
