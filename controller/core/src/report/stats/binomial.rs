//! How likely so many of so many are: the binomial distribution, summed from its most likely count
//! outwards. Neighbours differ by a factor that is one multiplication and one division, so nothing
//! under- or overflows, however many there are.

/// Up to here it is summed; it takes some 100,000 steps then. More are for the callers to
/// approximate.
pub(crate) const SUMMED: u64 = 100_000_000;

/// Counts that are less likely than this, measured by the most likely one, are left out.
const NOTHING: f64 = 1e-30;

/// `B ~ Bin(n, num/den)`.
#[derive(Debug)]
pub(crate) struct Binomial {
    /// The smallest count that is likely at all.
    first: u64,
    /// `P(B <= first + i)`.
    at_most: Vec<f64>,
}

impl Binomial {
    /// Of at most [`SUMMED`] tries, each with the chance `num/den`.
    pub(crate) fn new(n: u64, (num, den): (u64, u64)) -> Self {
        debug_assert!(n <= SUMMED && num <= den, "{n} tries of {num}/{den}");
        if num == 0 || num >= den {
            let first = if num == 0 { 0 } else { n };
            return Self {
                first,
                at_most: vec![1.0],
            };
        }
        let odds = float(num) / float(den - num);
        let mode = (u128::from(n) + 1) * u128::from(num) / u128::from(den);
        let mode = u64::try_from(mode).unwrap_or(u64::MAX).min(n);
        let mut below = Vec::new();
        let mut chance = 1.0;
        for count in (1..=mode).rev() {
            chance *= float(count) / float(n - count + 1) / odds;
            if chance < NOTHING {
                break;
            }
            below.push(chance);
        }
        let first = mode - below.len() as u64;
        let mut at_most: Vec<f64> = below.into_iter().rev().collect();
        at_most.push(1.0);
        chance = 1.0;
        for count in mode..n {
            chance *= float(n - count) / float(count + 1) * odds;
            if chance < NOTHING {
                break;
            }
            at_most.push(chance);
        }
        let mut sum = 0.0;
        for chance in &mut at_most {
            sum += *chance;
            *chance = sum;
        }
        at_most.iter_mut().for_each(|chance| *chance /= sum);
        Self { first, at_most }
    }

    /// `P(B <= count)`.
    pub(crate) fn at_most(&self, count: u64) -> f64 {
        let Some(place) = count.checked_sub(self.first) else {
            return 0.0;
        };
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        self.at_most.get(place).copied().unwrap_or(1.0)
    }

    /// How many counts `c` have `P(B <= c) <= chance`: the smallest `c` of which that is not true.
    pub(crate) fn first_above(&self, chance: f64) -> u64 {
        self.first + self.at_most.partition_point(|&at| at <= chance) as u64
    }

    /// The smallest `c` with `P(B <= c) >= chance`.
    pub(crate) fn first_reaching(&self, chance: f64) -> u64 {
        self.first + self.at_most.partition_point(|&at| at < chance) as u64
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_distributions_are_what_can_be_counted_by_hand() {
        let four = Binomial::new(4, (1, 2));
        let sixteenths: Vec<_> = (0..=4).map(|count| four.at_most(count) * 16.0).collect();
        assert_eq!(sixteenths, [1.0, 5.0, 11.0, 15.0, 16.0]);
    }

    #[test]
    fn what_can_not_be_or_must_be_is_certain() {
        let never = Binomial::new(7, (0, 1));
        let always = Binomial::new(7, (1, 1));
        let whole = |chance: f64| (chance * 1e9).round();
        assert_eq!(whole(never.at_most(0)), 1e9);
        assert_eq!(
            (whole(always.at_most(6)), whole(always.at_most(7))),
            (0.0, 1e9)
        );
        assert_eq!(whole(Binomial::new(0, (1, 2)).at_most(0)), 1e9);
    }

    #[test]
    fn a_rare_thing_of_many_is_as_rare_as_its_power() {
        // 0.999^2995 is the first below 5 %: the rule of three in its exact form.
        let none = |n| Binomial::new(n, (1, 1_000)).at_most(0);
        assert!(none(2_994) > 0.05 && none(2_995) <= 0.05);
        let most = Binomial::new(SUMMED, (1, 2));
        assert!((most.at_most(SUMMED / 2) - 0.5).abs() < 1e-4);
    }
}
