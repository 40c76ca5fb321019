//! When to send what: a schedule as an iterator of intended instants.
//!
//! A [`Pace`] is a pure value: same schedule, seed and stripe, same arrivals, on every machine. It
//! knows no clock; whoever sends compares its instants with the time since the stage's start, and
//! what is late stays late, for the response is timed from the instant that was intended.
//!
//! - Evenly spaced: the first arrival is at 0 and arrival n where n are due, which in a ramp is
//!   closer and closer. A stripe has every so many of them, so that agents never send in bursts.
//! - Poisson: the gaps between arrivals are drawn at a rate of one and laid along what is due, which
//!   makes every rate and every ramp of it. Each arrival falls to a stripe by a draw of its own: so
//!   each stripe is a Poisson process too, and its gaps say nothing of those of the others.
//! - A list: as it is, every so many of it.
//!
//! All stripes of a seed are, together, the schedule itself, number by number. So each stripe of a
//! Poisson schedule draws all of it, at about 10 ns an arrival, and keeps its own: a hundredth of a
//! core for a million a second, however many stripes there are.
//!
//! - [`lindley`]: how long a schedule waits at a queue, to know what a measurement has to show.

mod chance;
pub mod lindley;
mod line;
#[cfg(test)]
mod statistics;
#[cfg(test)]
mod tests;

use nepho_common::{
    plan::{Arrivals, BadSchedule, Parts, Schedule, Stripe},
    time::Nanos,
};

use self::{chance::Chance, line::Line};

/// One request that is meant to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When, from the schedule's start.
    pub at: Nanos,
    /// Which of the whole schedule it is, from 0 on, whatever stripes there are.
    pub number: u64,
}

/// The arrivals of one stripe of a schedule, in order.
///
/// ```
/// use nepho_agent_core::pace::Pace;
/// use nepho_common::{plan::{Arrivals, Schedule, Stripe}, time::Nanos};
/// let schedule = Schedule::constant(Arrivals::Constant, "3/s".parse()?, Nanos::from_secs(1))?;
/// let second = Pace::new(&schedule, 0, Stripe::new(1, 2)?)?;
/// let arrivals: Vec<_> = second.map(|arrival| (arrival.number, arrival.at.0)).collect();
/// assert_eq!(arrivals, [(1, 333_333_333)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pace {
    stripe: Stripe,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// The line is where `number`, a number of the stripe, is due.
    Constant { line: Line, number: u64 },
    /// The line is at the arrival before `number`, or at the start.
    Poisson {
        line: Line,
        number: u64,
        chance: Chance,
    },
    /// What the stripe has of it, and which of that comes next.
    List { own: Vec<Nanos>, nth: usize },
}

impl Pace {
    /// The arrivals of one stripe of a schedule. The seed decides what chance decides; two steps
    /// with one seed would send in step.
    ///
    /// # Errors
    /// Nobody can pace by this schedule.
    pub fn new(schedule: &Schedule, seed: u64, stripe: Stripe) -> Result<Self, BadSchedule> {
        schedule.validate()?;
        let kind = match schedule {
            Schedule::Legs { arrivals, legs } => {
                let mut line = Line::new(legs);
                match arrivals {
                    Arrivals::Constant => {
                        let number = u64::from(stripe.index());
                        line.seek(due(number));
                        Kind::Constant { line, number }
                    }
                    Arrivals::Poisson => Kind::Poisson {
                        line,
                        number: 0,
                        chance: Chance::new(seed),
                    },
                }
            }
            Schedule::List(instants) => {
                let own = instants.iter().skip(stripe.index() as usize);
                Kind::List {
                    own: own.step_by(stripe.of() as usize).copied().collect(),
                    nth: 0,
                }
            }
        };
        Ok(Self { stripe, kind })
    }

    /// Leaves out what is due before `at`, as if it had been taken; never goes back.
    ///
    /// What remains is exactly the tail of the whole. It costs next to nothing for an evenly spaced
    /// schedule and for a list. A Poisson schedule is drawn up to there, at about 10 ns for each
    /// arrival of the whole: two seconds for an hour of 50,000/s.
    pub fn skip_to(&mut self, at: Nanos) {
        match &mut self.kind {
            Kind::Constant { line, number } => {
                let first = self.stripe.next(line.due_by(at).begun());
                if let Some(first) = first.filter(|first| first > number) {
                    *number = first;
                    line.seek(due(first));
                }
            }
            Kind::Poisson {
                line,
                number,
                chance,
            } => {
                // An arrival comes before `at` if it comes before what is due at `at`.
                let target = line.due_by(at).0;
                let mut here = line.due().0;
                loop {
                    let next = here + u128::from(chance.gap(*number));
                    if next >= target {
                        break;
                    }
                    here = next;
                    *number += 1;
                }
                line.seek(Parts(here));
            }
            Kind::List { own, nth } => {
                *nth = own.partition_point(|instant| *instant < at).max(*nth);
            }
        }
    }
}

/// What is due where an evenly spaced arrival is: as many as came before it.
fn due(number: u64) -> Parts {
    Parts(u128::from(number) * u128::from(Parts::ARRIVAL))
}

impl Iterator for Pace {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        match &mut self.kind {
            Kind::Constant { line, number } => {
                let at = line.at()?;
                let arrival = Arrival {
                    at,
                    number: *number,
                };
                let of = u64::from(self.stripe.of());
                // `Stripe::MOST` arrivals are 2·10¹⁸ parts.
                line.advance(of * Parts::ARRIVAL);
                *number += of;
                Some(arrival)
            }
            Kind::Poisson {
                line,
                number,
                chance,
            } => loop {
                line.advance(chance.gap(*number));
                if line.is_over() {
                    return None;
                }
                let drawn = *number;
                *number += 1;
                if self.stripe == Stripe::WHOLE || self.stripe.has(chance.owner(drawn)) {
                    let at = line.at()?;
                    return Some(Arrival { at, number: drawn });
                }
            },
            Kind::List { own, nth } => {
                let at = *own.get(*nth)?;
                let (index, of) = (self.stripe.index(), self.stripe.of());
                let number = u64::from(index) + u64::from(of) * *nth as u64;
                *nth += 1;
                Some(Arrival { at, number })
            }
        }
    }

    /// Costs as much as [`Self::next`], but for a Poisson schedule, which has to be drawn.
    fn nth(&mut self, n: usize) -> Option<Arrival> {
        match &mut self.kind {
            Kind::Constant { line, number } => {
                if n > 0 {
                    let skipped = (n as u64).saturating_mul(u64::from(self.stripe.of()));
                    *number = number.saturating_add(skipped);
                    line.seek(due(*number));
                }
            }
            Kind::Poisson { .. } => {
                for _ in 0..n {
                    self.next()?;
                }
            }
            Kind::List { nth, .. } => *nth = nth.saturating_add(n),
        }
        self.next()
    }
}
