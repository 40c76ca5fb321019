//! When requests of a load are meant to be sent: a schedule, as data.
//!
//! A schedule says how many arrivals are due up to each instant; [`Leg::due`] counts them in integer
//! [`Parts`] of an arrival, so two programs never disagree about a count. Which instants that makes
//! is the business of the agent that sends them (`nepho_agent_core::pace`).

mod carried;
mod pool;
mod rate;
mod rise;
mod step;
mod stripe;

use serde::{Deserialize, Serialize};

pub use self::{
    carried::{Carried, Pool},
    pool::{DecidesOn, Member, ToldBy},
    rate::{BadRate, Rate},
    rise::{BadRise, Rise},
    step::{Call, Feed, Load, Model, Share, Take},
    stripe::{BadStripe, Stripe},
};
use crate::time::Nanos;

/// How arrivals follow each other at a given rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Arrivals {
    /// Each without regard to the others, as those of many independent people.
    #[default]
    Poisson,
    /// Evenly spaced.
    Constant,
}

/// A piece of a schedule. The rate goes straight from one to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Leg {
    /// The rate at its begin.
    pub from: Rate,
    /// The rate at its end.
    pub to: Rate,
    /// How long it is.
    pub lasts: Nanos,
}

/// When requests are meant to be sent, from its own start on.
///
/// ```
/// use nepho_common::{plan::{Arrivals, Rate, Schedule}, time::Nanos};
/// let ramp = Schedule::ramp(Arrivals::Constant, Rate(0), "800/s".parse()?, Nanos::from_secs(10))?;
/// let (start, half, end) = (Nanos(0), Nanos::from_secs(5), Nanos::from_secs(10));
/// assert_eq!(ramp.count(start, half), Some(1_000));
/// assert_eq!(ramp.count(half, end), Some(3_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Schedule {
    /// At rates that somebody chose.
    Legs {
        /// How arrivals follow each other.
        arrivals: Arrivals,
        /// One after the other.
        legs: Vec<Leg>,
    },
    /// At these instants and no others, in ascending order; several may be the same.
    List(Vec<Nanos>),
}

/// Why something is not a schedule. Legs and instants are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    /// It has no beginning.
    #[error("a schedule has at least one leg")]
    NoLegs,
    /// More than [`Schedule::LEGS_MAX`].
    #[error("{0} legs are too many: {most} is the most", most = Schedule::LEGS_MAX)]
    ManyLegs(usize),
    /// A jump needs no leg: the next one just begins at another rate.
    #[error("leg {0} has no length")]
    NoLength(usize),
    /// More than [`Rate::MAX`].
    #[error("leg {leg} goes up to {rate}: {} is the most", Rate::MAX)]
    TooFast {
        /// Which.
        leg: usize,
        /// Its higher rate.
        rate: Rate,
    },
    /// All legs are pauses.
    #[error("nothing is ever sent: the rate is zero all the time")]
    Nothing,
    /// More than [`Schedule::LASTS_MAX`].
    #[error("a schedule of {0} is too long: 24 h is the most")]
    TooLong(Nanos),
    /// No instants.
    #[error("the list of instants is empty")]
    NoInstants,
    /// More than [`Schedule::LIST_MAX`].
    #[error(
        "a list of {0} instants is too long: {most} is the most", most = Schedule::LIST_MAX)]
    ManyInstants(usize),
    /// Time goes on.
    #[error("instant {0} of the list is earlier than the one before it")]
    Descending(usize),
}

/// So much of an arrival, in parts of which [`Parts::ARRIVAL`] make a whole one. Integers, so that
/// nothing is lost when a day of them is added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Parts(pub u128);

impl Parts {
    /// One arrival. A thousandth per second makes 10⁻¹² arrivals in a nanosecond, and the mean of
    /// two rates may have a half of it.
    pub const ARRIVAL: u64 = 2_000_000_000_000;

    /// How many arrivals have begun: the first one has, as soon as there is anything.
    #[must_use]
    pub fn begun(self) -> u64 {
        let begun = self.0.div_ceil(u128::from(Self::ARRIVAL));
        u64::try_from(begun).unwrap_or(u64::MAX)
    }
}

impl Leg {
    /// At one rate.
    #[must_use]
    pub const fn flat(rate: Rate, lasts: Nanos) -> Self {
        Self {
            from: rate,
            to: rate,
            lasts,
        }
    }

    /// How much is due in the leg up to an instant of it, counted from its begin; rounded up to a
    /// whole part. Exact at its end.
    ///
    /// In 128 bits nothing overflows for a day at [`Rate::MAX`]: the largest product is a rate in
    /// thousandths times the square of a day in nanoseconds, 7.5·10³⁷. Beyond what
    /// [`Schedule::validate`] lets pass it saturates.
    #[must_use]
    pub fn due(self, by: Nanos) -> Parts {
        let (from, to) = (u128::from(self.from.0), u128::from(self.to.0));
        let (by, lasts) = (by.min(self.lasts), u128::from(self.lasts.0.max(1)));
        let by = u128::from(by.0);
        let flat = (2 * from).saturating_mul(by);
        let bent = from.abs_diff(to).saturating_mul(by).saturating_mul(by);
        Parts(if to >= from {
            flat.saturating_add(bent.div_ceil(lasts))
        } else {
            flat.saturating_sub(bent / lasts)
        })
    }
}

impl Schedule {
    /// The longest: a stage lasts no longer.
    pub const LASTS_MAX: Nanos = Nanos::from_secs(24 * 3_600);

    /// The most legs: one for every minute and a half of a day. A staircase of a person has ten.
    pub const LEGS_MAX: usize = 1_000;

    /// The most instants of a list: as varints of seven bytes at most they are 700 kB, and a command
    /// to an agent, which may hold several schedules, has 4 MiB. More than that is a rate.
    pub const LIST_MAX: usize = 100_000;

    /// At one rate.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn constant(arrivals: Arrivals, rate: Rate, lasts: Nanos) -> Result<Self, BadSchedule> {
        Self::legs(arrivals, vec![Leg::flat(rate, lasts)])
    }

    /// Straight from one rate to another.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn ramp(
        arrivals: Arrivals,
        from: Rate,
        to: Rate,
        lasts: Nanos,
    ) -> Result<Self, BadSchedule> {
        Self::legs(arrivals, vec![Leg { from, to, lasts }])
    }

    /// Up or down a staircase: so many stairs from the first rate to the last, equally high but for
    /// the rounding of rates, each `each` long. One stair is at the first rate.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn steps(
        arrivals: Arrivals,
        (first, last): (Rate, Rate),
        stairs: usize,
        each: Nanos,
    ) -> Result<Self, BadSchedule> {
        if stairs > Self::LEGS_MAX {
            return Err(BadSchedule::ManyLegs(stairs));
        }
        let top = (stairs as u128).saturating_sub(1).max(1);
        let rate = |stair: usize| {
            let done = stair as u128;
            let sum = u128::from(first.0) * (top - done) + u128::from(last.0) * done;
            Rate(u64::try_from((2 * sum + top) / (2 * top)).unwrap_or(u64::MAX))
        };
        let legs = (0..stairs).map(|stair| Leg::flat(rate(stair), each));
        Self::legs(arrivals, legs.collect())
    }

    /// At `base` for `before`, at `peak` for `lasts`, and at `base` again for `after`.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn spike(
        arrivals: Arrivals,
        (base, before): (Rate, Nanos),
        (peak, lasts): (Rate, Nanos),
        after: Nanos,
    ) -> Result<Self, BadSchedule> {
        let legs = [(base, before), (peak, lasts), (base, after)];
        let legs = legs.map(|(rate, lasts)| Leg::flat(rate, lasts));
        Self::legs(arrivals, legs.into())
    }

    /// One leg after the other.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn legs(arrivals: Arrivals, legs: Vec<Leg>) -> Result<Self, BadSchedule> {
        let schedule = Self::Legs { arrivals, legs };
        schedule.validate().map(|()| schedule)
    }

    /// At these instants.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn list(instants: Vec<Nanos>) -> Result<Self, BadSchedule> {
        let schedule = Self::List(instants);
        schedule.validate().map(|()| schedule)
    }

    /// Whether anybody can pace by it. One that was read from a plan may be anything.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn validate(&self) -> Result<(), BadSchedule> {
        match self {
            Self::Legs { legs, .. } => {
                if legs.is_empty() {
                    return Err(BadSchedule::NoLegs);
                }
                if legs.len() > Self::LEGS_MAX {
                    return Err(BadSchedule::ManyLegs(legs.len()));
                }
                for (leg, nth) in legs.iter().zip(1..) {
                    let rate = leg.from.max(leg.to);
                    if leg.lasts == Nanos(0) {
                        return Err(BadSchedule::NoLength(nth));
                    }
                    if rate > Rate::MAX {
                        return Err(BadSchedule::TooFast { leg: nth, rate });
                    }
                }
                if self.peak() == Rate(0) {
                    return Err(BadSchedule::Nothing);
                }
            }
            Self::List(instants) => {
                if instants.is_empty() {
                    return Err(BadSchedule::NoInstants);
                }
                if instants.len() > Self::LIST_MAX {
                    return Err(BadSchedule::ManyInstants(instants.len()));
                }
                if let Some(at) = instants.windows(2).position(|pair| pair[1] < pair[0]) {
                    return Err(BadSchedule::Descending(at + 2));
                }
            }
        }
        if self.lasts() > Self::LASTS_MAX {
            return Err(BadSchedule::TooLong(self.lasts()));
        }
        Ok(())
    }

    /// Everything is due before this instant. A list ends just after its last one.
    #[must_use]
    pub fn lasts(&self) -> Nanos {
        match self {
            Self::Legs { legs, .. } => {
                let each = legs.iter().map(|leg| leg.lasts.0);
                Nanos(each.fold(0, u64::saturating_add))
            }
            Self::List(instants) => instants
                .last()
                .map_or(Nanos(0), |last| Nanos(last.0.saturating_add(1))),
        }
    }

    /// The highest rate: of a leg, where it is highest; of a list, the most instants in any second.
    #[must_use]
    pub fn peak(&self) -> Rate {
        match self {
            Self::Legs { legs, .. } => {
                let each = legs.iter().map(|leg| leg.from.max(leg.to));
                each.max().unwrap_or_default()
            }
            Self::List(instants) => {
                let mut begin = 0;
                let mut most = 0;
                for (end, last) in instants.iter().enumerate() {
                    // The second ends with this instant; what is a full second older is outside.
                    let is_old = |first: &&Nanos| last.0.saturating_sub(first.0) >= SECOND.0;
                    begin += instants[begin..=end].iter().take_while(is_old).count();
                    most = most.max(end + 1 - begin);
                }
                Rate::per_second(most as u64)
            }
        }
    }

    /// How much is due before an instant; all of it from [`Self::lasts`] on.
    #[must_use]
    pub fn due(&self, by: Nanos) -> Parts {
        match self {
            Self::Legs { legs, .. } => {
                let mut left = by;
                let mut due = 0u128;
                for leg in legs {
                    due = due.saturating_add(leg.due(left).0);
                    left = Nanos(left.0.saturating_sub(leg.lasts.0));
                }
                Parts(due)
            }
            Self::List(instants) => {
                let begun = instants.partition_point(|instant| *instant < by);
                Parts(begun as u128 * u128::from(Parts::ARRIVAL))
            }
        }
    }

    /// How many arrivals are due in `[from, to)`; `None` if chance decides it.
    #[must_use]
    pub fn count(&self, from: Nanos, to: Nanos) -> Option<u64> {
        match self {
            Self::Legs {
                arrivals: Arrivals::Poisson,
                ..
            } => None,
            Self::Legs {
                arrivals: Arrivals::Constant,
                ..
            }
            | Self::List(_) => {
                let (before, by) = (self.due(from).begun(), self.due(to).begun());
                Some(by.saturating_sub(before))
            }
        }
    }

    /// How many arrivals are expected in `[from, to)`: the count if it is certain, and the mean of
    /// the Poisson distribution that it has if chance decides it.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "no schedule has 2^53 arrivals, and a mean to 53 bits is a mean"
    )]
    pub fn expected(&self, from: Nanos, to: Nanos) -> f64 {
        if let Some(count) = self.count(from, to) {
            return count as f64;
        }
        let parts = self.due(to).0.saturating_sub(self.due(from).0);
        parts as f64 / Parts::ARRIVAL as f64
    }
}

const SECOND: Nanos = Nanos::from_secs(1);

#[cfg(test)]
mod tests;
