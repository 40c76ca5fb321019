//! Where a schedule of legs stands: so much is due, and that is the case at this instant.
//!
//! Integers only decide. What is due is counted in parts of an arrival, legs begin at whole
//! nanoseconds, and an instant is the last nanosecond at which no more is due than was asked for.
//! The float that guesses a ramp's instant is off by one at most and put right by integers, so
//! there is no drift and no difference between machines.

use nepho_common::{
    plan::{Leg, Parts},
    time::Nanos,
};

/// A leg and what lies before it.
#[derive(Debug, Clone, Copy)]
struct Laid {
    leg: Leg,
    /// When it begins.
    starts: u64,
    /// What is due before it.
    before: u128,
    /// What is due in it.
    all: u128,
}

/// How much is due, and where in the legs that is.
#[derive(Debug, Clone)]
pub(super) struct Line {
    legs: Vec<Laid>,
    /// In which leg; beyond the last one when everything is over.
    nth: usize,
    /// Due since this leg began; less than all of it.
    into: u128,
    /// In a flat leg, an instant and what is due in the leg up to it: the next instant is a
    /// division of 64 bits away.
    known: (u64, u128),
}

impl Line {
    /// At the beginning of legs that are a schedule.
    pub(super) fn new(legs: &[Leg]) -> Self {
        let (mut starts, mut before) = (0u64, 0u128);
        let lay = |leg: &Leg| {
            let all = leg.due(leg.lasts).0;
            let laid = Laid {
                leg: *leg,
                starts,
                before,
                all,
            };
            starts += leg.lasts.0;
            before += all;
            laid
        };
        let mut line = Self {
            legs: legs.iter().map(lay).collect(),
            nth: 0,
            into: 0,
            known: (0, 0),
        };
        line.seek(Parts(0));
        line
    }

    /// How much is due here; all of it when everything is over.
    pub(super) fn due(&self) -> Parts {
        Parts(match self.legs.get(self.nth) {
            Some(laid) => laid.before + self.into,
            None => self.legs.last().map_or(0, |laid| laid.before + laid.all),
        })
    }

    /// How much is due before an instant, rounded up to a whole part.
    pub(super) fn due_by(&self, at: Nanos) -> Parts {
        let is_before = |laid: &Laid| laid.starts + laid.leg.lasts.0 <= at.0;
        let nth = self.legs.partition_point(is_before);
        // Beyond the last leg, all of that.
        let laid = self.legs.get(nth).or(self.legs.last());
        Parts(laid.map_or(0, |laid| {
            laid.before + laid.leg.due(Nanos(at.0 - laid.starts)).0
        }))
    }

    /// Whether everything was due before here.
    pub(super) const fn is_over(&self) -> bool {
        self.nth >= self.legs.len()
    }

    /// Goes to where this much is due: the latest such instant, for nothing arrives in a pause.
    pub(super) fn seek(&mut self, due: Parts) {
        let is_before = |laid: &Laid| laid.before + laid.all <= due.0;
        self.nth = self.legs.partition_point(is_before);
        if let Some(laid) = self.legs.get(self.nth) {
            self.into = due.0 - laid.before;
            self.known = (laid.starts, 0);
        }
    }

    /// Goes on by so much.
    pub(super) fn advance(&mut self, parts: u64) {
        if let Some(laid) = self.legs.get(self.nth) {
            self.into += u128::from(parts);
            if self.into >= laid.all {
                self.seek(Parts(laid.before + self.into));
            }
        }
    }

    /// The instant at which so much is due, from the schedule's start; `None` when everything is
    /// over.
    pub(super) fn at(&mut self) -> Option<Nanos> {
        let laid = self.legs.get(self.nth)?;
        if laid.leg.from != laid.leg.to {
            return Some(Nanos(laid.starts + laid.ramped(self.into)));
        }
        let slope = 2 * laid.leg.from.0;
        let (instant, due) = self.known;
        let more = self.into - due;
        let nanos = match u64::try_from(more) {
            Ok(more) => more / slope,
            // Only after a jump. No leg is longer than 2^64 ns.
            Err(_) => u64::try_from(more / u128::from(slope)).unwrap_or(u64::MAX),
        };
        let instant = instant + nanos;
        self.known = (instant, due + u128::from(nanos) * u128::from(slope));
        Some(Nanos(instant))
    }
}

impl Laid {
    /// The last whole nanosecond of a ramp by which no more than `into` is due, for `into < all`.
    ///
    /// With rates a and b over L, `2at + (b - a)t²/L` is due at t. Solved for t that is
    /// `into / (a + √(a² + (b - a)·into/L))`, where nothing is lost if a and b are close. What is
    /// under the root is the square of the rate there. Counted from the slower end it is a sum,
    /// `slower² + |b - a|·(what is due between that end and here)/L`: nothing is lost where the rate
    /// falls to zero either.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a guess, between zero and the leg's length"
    )]
    fn ramped(&self, into: u128) -> u64 {
        let Leg { from, to, lasts } = self.leg;
        let (from, to, lasts) = (from.0.cast_signed(), to.0.cast_signed(), lasts.0);
        let (slower, away) = if from < to {
            (from as f64, into)
        } else {
            (to as f64, self.all - into)
        };
        let steep = from.abs_diff(to) as f64 / lasts as f64;
        let rate = (slower * slower + steep * float(away)).sqrt();
        // 0 / 0, where a ramp begins at a rate of zero, becomes zero. Beyond the end a fall to zero
        // would rise again.
        let guess = (float(into) / (from as f64 + rate)) as i64;
        let mut t = guess.min(lasts.cast_signed() - 1);
        // In L-ths of a part: what is due at t. Below 2^127 for a day at `Rate::MAX`, as in
        // `Leg::due`.
        let (from, lasts, bend) = (i128::from(from), i128::from(lasts), i128::from(to - from));
        let flat = 2 * from * lasts;
        let due = |t: i64| (flat + bend * i128::from(t)) * i128::from(t);
        let target = into.cast_signed() * lasts;
        while due(t) > target {
            t -= 1;
        }
        while due(t + 1) <= target {
            t += 1;
        }
        t as u64
    }
}

/// Within a part in 2⁵². What the language does rounds to the nearest, and takes longer.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "as said"
)]
fn float(value: u128) -> f64 {
    (value >> 64) as u64 as f64 * TWO_64 + value as u64 as f64
}

const TWO_64: f64 = 18_446_744_073_709_551_616.0;
