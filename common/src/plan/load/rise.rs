//! How the users of a closed load rise: in equal stairs over the whole stage.

use serde::{Deserialize, Serialize};

use crate::time::Nanos;

/// Users of a closed load in stairs that are equally long; numbers are of all agents together.
///
/// ```
/// # use nepho_common::{plan::Rise, time::Nanos};
/// let rise = Rise::new(10, 100, 10)?;
/// assert_eq!((rise.users(0), rise.users(1), rise.users(9)), (10, 20, 100));
/// // The eleventh user comes with the second stair.
/// let lasts = Nanos::from_secs(60);
/// assert_eq!(rise.begins(10, lasts), Some(Nanos::from_secs(6)));
/// # Ok::<(), nepho_common::plan::BadRise>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Written", into = "Written")]
pub struct Rise {
    from: u32,
    to: u32,
    count: u32,
}

/// As it is written down.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Written {
    /// Users of the first stair.
    from: u32,
    /// Users of the last.
    to: u32,
    /// How many stairs.
    count: u32,
}

/// Why three numbers are no stairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRise {
    /// Nobody asks in the first stair.
    #[error("the first stair has one user at least")]
    Nobody,
    /// They fall.
    #[error("it falls from {from} to {to} users: the last stair has the most")]
    Falls {
        /// Users of the first stair.
        from: u32,
        /// Users of the last.
        to: u32,
    },
    /// One is no rise, and more than [`Rise::COUNT_MAX`] nobody can tell apart.
    #[error("{0} stairs; there are from 2 to {max}", max = Rise::COUNT_MAX)]
    Count(u32),
}

impl Rise {
    /// So long a stair belongs to those who come with it, who connect and ask all at once: a load is
    /// recorded by whole seconds.
    pub const CLIMB: Nanos = Nanos::from_secs(1);

    /// The most stairs.
    pub const COUNT_MAX: u32 = 1_000;

    /// So many stairs, from so many users to so many.
    ///
    /// # Errors
    /// There is nobody, they fall, or there are fewer than two stairs.
    pub const fn new(from: u32, to: u32, count: u32) -> Result<Self, BadRise> {
        if from == 0 {
            Err(BadRise::Nobody)
        } else if from > to {
            Err(BadRise::Falls { from, to })
        } else if count < 2 || count > Self::COUNT_MAX {
            Err(BadRise::Count(count))
        } else {
            Ok(Self { from, to, count })
        }
    }

    /// Users of the first stair.
    #[must_use]
    pub const fn from(self) -> u32 {
        self.from
    }

    /// Users of the last stair.
    #[must_use]
    pub const fn to(self) -> u32 {
        self.to
    }

    /// How many stairs there are.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// How many users ask in a stair, counted from 0: as many more in each as in the one before, to
    /// the whole user below. Beyond the last there are as many as in it.
    #[must_use]
    pub fn users(self, stair: u32) -> u32 {
        let last = u64::from(self.count - 1);
        let more = u64::from(self.to - self.from) * u64::from(stair).min(last) / last;
        self.from + u32::try_from(more).unwrap_or(u32::MAX)
    }

    /// The part of a stage of this length that a stair is, from the start of the stage.
    #[must_use]
    pub fn span(self, stair: u32, lasts: Nanos) -> (Nanos, Nanos) {
        let at = |stair: u32| {
            let whole = u128::from(lasts.0) * u128::from(stair) / u128::from(self.count);
            Nanos(u64::try_from(whole).unwrap_or(u64::MAX))
        };
        (at(stair), at(stair + 1))
    }

    /// The part of a stair that is judged: all of it but [`Self::CLIMB`].
    #[must_use]
    pub fn steady(self, stair: u32, lasts: Nanos) -> (Nanos, Nanos) {
        let (from, to) = self.span(stair, lasts);
        (Nanos(from.0.saturating_add(Self::CLIMB.0)).min(to), to)
    }

    /// When a user begins to ask in a stage of this length: with the first stair that has more users
    /// than his number, counted from 0. `None` for one whom no stair has.
    #[must_use]
    pub fn begins(self, number: u64, lasts: Nanos) -> Option<Nanos> {
        let stair = (0..self.count).find(|stair| u64::from(self.users(*stair)) > number)?;
        Some(self.span(stair, lasts).0)
    }
}

impl TryFrom<Written> for Rise {
    type Error = BadRise;

    fn try_from(Written { from, to, count }: Written) -> Result<Self, BadRise> {
        Self::new(from, to, count)
    }
}

impl From<Rise> for Written {
    fn from(Rise { from, to, count }: Rise) -> Self {
        Self { from, to, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(from: u32, to: u32, count: u32) -> Vec<u32> {
        let rise = Rise::new(from, to, count).unwrap();
        (0..count).map(|stair| rise.users(stair)).collect()
    }

    #[test]
    fn stairs_rise_evenly_from_the_first_to_the_last() {
        assert_eq!(users(10, 50, 5), [10, 20, 30, 40, 50]);
        assert_eq!(users(1, 10, 4), [1, 4, 7, 10]);
        assert_eq!(users(1, 4, 3), [1, 2, 4], "whole users");
        assert_eq!(users(7, 7, 2), [7, 7]);
        let rise = Rise::new(1, u32::MAX, Rise::COUNT_MAX).unwrap();
        assert_eq!(rise.users(Rise::COUNT_MAX), u32::MAX, "and stay there");
    }

    #[test]
    fn as_many_users_have_begun_in_each_stair_as_it_has() {
        let lasts = Nanos::from_secs(21);
        for (from, to, count) in [(3, 17, 7), (1, 2, 3), (5, 5, 3)] {
            let rise = Rise::new(from, to, count).unwrap();
            for stair in 0..count {
                let (at, until) = rise.span(stair, lasts);
                assert_eq!(until.0 - at.0, lasts.0 / u64::from(count));
                let steady = (Nanos(at.0 + 1_000_000_000), until);
                assert_eq!(rise.steady(stair, lasts), steady);
                let begun = (0..100).filter(|number| {
                    let begins = rise.begins(*number, lasts);
                    begins.is_some_and(|begins| begins <= at)
                });
                assert_eq!(begun.count() as u64, u64::from(rise.users(stair)));
            }
        }
    }

    #[test]
    fn what_is_no_stairs_is_refused_wherever_it_comes_from() {
        assert_eq!(Rise::new(0, 2, 2), Err(BadRise::Nobody));
        assert_eq!(Rise::new(3, 2, 2), Err(BadRise::Falls { from: 3, to: 2 }));
        assert_eq!(Rise::new(1, 2, 1), Err(BadRise::Count(1)));
        assert_eq!(Rise::new(1, 2, 1_001), Err(BadRise::Count(1_001)));
        let read = |count: u32| {
            let text = format!(r#"{{"from": 1, "to": 9, "count": {count}}}"#);
            serde_json::from_str::<Rise>(&text)
        };
        assert_eq!(read(3).unwrap(), Rise::new(1, 9, 3).unwrap());
        assert!(read(1).is_err());
    }
}
