//! One share of a schedule. Whoever paces knows its stripe, and nobody coordinates.

use serde::{Deserialize, Serialize};

/// One of several equal shares of a schedule: this one of so many.
///
/// A share can be shared again, over the agents first and over the cores of each then:
///
/// ```
/// use nepho_common::plan::Stripe;
/// let agent = Stripe::new(1, 3)?;
/// let core = agent.split(0, 2)?;
/// assert_eq!((core.index(), core.of()), (1, 6));
/// assert!((0..100).all(|n| agent.has(n) == (core.has(n) || agent.split(1, 2).unwrap().has(n))));
/// # Ok::<(), nepho_common::plan::BadStripe>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Written", into = "Written")]
pub struct Stripe {
    index: u32,
    of: u32,
}

/// As it is written down.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Written {
    /// Which, from 0 on.
    index: u32,
    /// Of how many.
    of: u32,
}

/// Why two numbers are not a share of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadStripe {
    /// Shares of nothing.
    #[error("a schedule has at least one stripe")]
    None,
    /// They are counted from zero.
    #[error("there is no stripe {index} of {of}: the first is 0")]
    Beyond {
        /// Which.
        index: u32,
        /// Of how many.
        of: u32,
    },
    /// More than [`Stripe::MOST`].
    #[error("a schedule has at most {} stripes", Stripe::MOST)]
    Many,
}

impl Stripe {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// The most stripes: two thousand agents with hundreds of cores each. From one arrival of a
    /// stripe to its next there are so few of the whole that their parts fit into 64 bits.
    pub const MOST: u32 = 1_000_000;

    /// This stripe of so many, counted from 0.
    ///
    /// # Errors
    /// There is no such stripe.
    pub const fn new(index: u32, of: u32) -> Result<Self, BadStripe> {
        if of == 0 {
            Err(BadStripe::None)
        } else if of > Self::MOST {
            Err(BadStripe::Many)
        } else if index >= of {
            Err(BadStripe::Beyond { index, of })
        } else {
            Ok(Self { index, of })
        }
    }

    /// A share of this share.
    ///
    /// # Errors
    /// There is no such share, or the whole would have too many.
    pub const fn split(self, index: u32, of: u32) -> Result<Self, BadStripe> {
        let share = match Self::new(index, of) {
            Ok(share) => share,
            Err(why) => return Err(why),
        };
        match self.of.checked_mul(share.of) {
            // x = self.index mod self.of, and of the quotients every so many: no product is larger
            // than the whole.
            Some(of) => Self::new(self.index + self.of * share.index, of),
            None => Err(BadStripe::Many),
        }
    }

    /// Which one it is, from 0 on.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// How many there are.
    #[must_use]
    pub const fn of(self) -> u32 {
        self.of
    }

    /// Whether this number falls to it.
    #[must_use]
    pub const fn has(self, number: u64) -> bool {
        number % self.of as u64 == self.index as u64
    }

    /// The first number from `number` on that falls to it; `None` beyond the last number there is.
    #[must_use]
    pub const fn next(self, number: u64) -> Option<u64> {
        let (of, index) = (self.of as u64, self.index as u64);
        number.checked_add((index + of - number % of) % of)
    }
}

impl TryFrom<Written> for Stripe {
    type Error = BadStripe;

    fn try_from(written: Written) -> Result<Self, BadStripe> {
        Self::new(written.index, written.of)
    }
}

impl From<Stripe> for Written {
    fn from(Stripe { index, of }: Stripe) -> Self {
        Self { index, of }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stripe_is_written_as_two_numbers_and_checked_when_read() {
        let json = serde_json::to_string(&Stripe::new(1, 3).unwrap()).unwrap();
        assert_eq!(json, r#"{"index":1,"of":3}"#);
        let read = |json: &str| serde_json::from_str::<Stripe>(json);
        assert_eq!(read(&json).unwrap(), Stripe::new(1, 3).unwrap());
        let why = |json: &str| read(json).unwrap_err().to_string();
        assert!(why(r#"{"index":0,"of":0}"#).starts_with("a schedule has at least one stripe"));
        assert!(why(r#"{"index":3,"of":3}"#).starts_with("there is no stripe 3 of 3"));
        assert!(why(r#"{"index":0,"of":1000001}"#).starts_with("a schedule has at most 1000000"));
        assert!(why(r#"{"index":0,"of":1,"x":0}"#).starts_with("unknown field `x`"));
    }

    #[test]
    fn shares_of_shares_have_a_limit_too() {
        let many = Stripe::new(999, 1_000).unwrap();
        assert_eq!(many.split(999, 1_000), Stripe::new(999_999, 1_000_000));
        assert_eq!(many.split(0, 1_001), Err(BadStripe::Many));
        assert_eq!(many.split(0, 5_000_000), Err(BadStripe::Many));
        assert_eq!(many.split(0, 0), Err(BadStripe::None));
        let last = Stripe::new(0, Stripe::MOST).unwrap();
        assert_eq!(last.split(999_999, 1_000_000), Err(BadStripe::Many));
        assert_eq!(last.next(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn every_number_falls_to_exactly_one_share_of_one_share(
            number: u64, agents in 1u32..1_000, cores in 1u32..1_000,
        ) {
            let stripe = |index, of| Stripe::new(index, of).unwrap();
            let mine: Vec<_> = (0..agents).filter(|a| stripe(*a, agents).has(number)).collect();
            prop_assert_eq!(mine.len(), 1);
            let agent = stripe(mine[0], agents);
            let share = |core| agent.split(core, cores).unwrap();
            prop_assert_eq!((0..cores).filter(|core| share(*core).has(number)).count(), 1);
            let other = stripe((mine[0] + 1) % agents, agents);
            let elsewhere = (0..cores).any(|core| other.split(core, cores).unwrap().has(number));
            prop_assert_eq!(elsewhere, agents == 1);
        }

        #[test]
        fn the_next_number_is_the_first_that_falls_to_it(
            number in 0u64..1 << 60, of in 1u32..2_000, index: u32,
        ) {
            let stripe = Stripe::new(index % of, of).unwrap();
            let next = stripe.next(number).unwrap();
            prop_assert!(stripe.has(next));
            prop_assert!((number..next).all(|before| !stripe.has(before)));
        }
    }
}
