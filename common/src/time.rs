//! Time: instants on a host's own monotonic clock, time since a run's start, and how far two
//! clocks are apart, which is never a number but an interval.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A duration in nanoseconds; at most 584 years.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Nanos(pub u64);

impl Nanos {
    /// Whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000_000)
    }

    /// Whole milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// As the standard library's duration.
    #[must_use]
    pub const fn duration(self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0)
    }

    /// Half of it, rounded up: an uncertainty must not shrink by rounding.
    #[must_use]
    pub const fn half(self) -> Self {
        Self(self.0.div_ceil(2))
    }
}

impl fmt::Display for Nanos {
    /// Three significant digits and a unit: `850ns`, `1.2ms`, `30s`, `2m05s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0;
        let text = match ns {
            0..1_000 => format!("{ns}ns"),
            1_000..1_000_000 => scaled(ns, 1_000, "µs"),
            1_000_000..1_000_000_000 => scaled(ns, 1_000_000, "ms"),
            1_000_000_000..60_000_000_000 => scaled(ns, 1_000_000_000, "s"),
            _ => {
                let secs = ns.saturating_add(500_000_000) / 1_000_000_000;
                if secs.is_multiple_of(60) {
                    format!("{}m", secs / 60)
                } else {
                    format!("{}m{:02}s", secs / 60, secs % 60)
                }
            }
        };
        f.pad(&text)
    }
}

/// Integer arithmetic only, so that the same figure prints alike everywhere.
fn scaled(value: u64, unit: u64, name: &str) -> String {
    let whole = value / unit;
    let (digits, step) = match whole {
        0..10 => (2, unit / 100),
        10..100 => (1, unit / 10),
        _ => (0, unit),
    };
    let rounded = (value + step / 2) / step;
    let per_whole = unit / step;
    if digits == 0 || rounded.is_multiple_of(per_whole) {
        return format!("{}{name}", rounded / per_whole);
    }
    let fraction = format!("{:0digits$}", rounded % per_whole);
    format!(
        "{}.{}{name}",
        rounded / per_whole,
        fraction.trim_end_matches('0')
    )
}

/// An instant on one host's `CLOCK_MONOTONIC`, in nanoseconds. Comparable on that host only.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Mono(pub u64);

impl Mono {
    /// This instant moved by `by`; saturates at both ends.
    #[must_use]
    pub const fn plus(self, by: Nanos) -> Self {
        Self(self.0.saturating_add(by.0))
    }

    /// How long after `earlier` this is; zero when it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }

    /// `self - other`, negative when `self` is earlier. Saturates.
    #[must_use]
    pub const fn minus(self, other: Self) -> i64 {
        if self.0 >= other.0 {
            clamp_i64(self.0 - other.0)
        } else {
            -clamp_i64(other.0 - self.0)
        }
    }

    /// This instant moved by a signed number of nanoseconds; saturates.
    #[must_use]
    pub const fn shifted(self, by: i64) -> Self {
        Self(self.0.saturating_add_signed(by))
    }
}

const fn clamp_i64(value: u64) -> i64 {
    if value > i64::MAX as u64 {
        i64::MAX
    } else {
        value.cast_signed()
    }
}

/// Nanoseconds since a run's common start, on the agent's own clock. Negative before it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunTime(pub i64);

impl RunTime {
    /// This time moved by `by`; saturates.
    #[must_use]
    pub const fn plus(self, by: Nanos) -> Self {
        Self(self.0.saturating_add_unsigned(by.0))
    }

    /// How long after `earlier` this is; zero when it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Nanos {
        if self.0 <= earlier.0 {
            Nanos(0)
        } else {
            Nanos(self.0.abs_diff(earlier.0))
        }
    }
}

impl fmt::Display for RunTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        f.pad(&format!("{sign}{}", Nanos(self.0.unsigned_abs())))
    }
}

/// `[from, to)` in run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Interval {
    /// First instant inside.
    pub from: RunTime,
    /// First instant after.
    pub to: RunTime,
}

/// Wall time in milliseconds since 1970, UTC. For display only, never for arithmetic.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WallMillis(pub i64);

impl fmt::Display for WallMillis {
    /// RFC 3339 in UTC, to the second: `2026-11-23T01:07:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.div_euclid(1000);
        let (days, of_day) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
        // Days to a civil date: H. Hinnant, "chrono-compatible low-level date algorithms".
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        f.pad(&format!(
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        ))
    }
}

/// Counts the spans in which an agent's monotonic clock ran undisturbed. A suspend opens a new one.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ClockEpoch(pub u32);

/// The interval that holds `agent clock - controller clock`, in nanoseconds.
///
/// ```
/// use nepho_common::time::{Exchange, Mono};
/// // The agent is 1000 ns ahead; 60 ns there, none back.
/// let exchange = Exchange { t1: Mono(0), t2: Mono(1060), t3: Mono(1060), t4: Mono(60) };
/// let offset = exchange.offset().unwrap();
/// assert!(offset.lo <= 1000 && 1000 <= offset.hi);
/// assert_eq!(offset.width().0, 60);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClockOffset {
    /// The offset is at least this.
    pub lo: i64,
    /// The offset is at most this.
    pub hi: i64,
}

impl ClockOffset {
    /// The middle of the interval: wrong by at most half its width.
    #[must_use]
    pub fn middle(self) -> i64 {
        self.lo.midpoint(self.hi)
    }

    /// How wide the interval is.
    #[must_use]
    pub const fn width(self) -> Nanos {
        Nanos(self.hi.abs_diff(self.lo))
    }

    /// What both say; `None` when they contradict each other.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        let (lo, hi) = (self.lo.max(other.lo), self.hi.min(other.hi));
        (lo <= hi).then_some(Self { lo, hi })
    }

    /// The interval after `age` has passed, if the clocks drift apart by at most [`DRIFT_PPM`].
    #[must_use]
    pub fn aged(self, age: Nanos) -> Self {
        let by = age
            .0
            .div_ceil(1_000_000)
            .saturating_mul(DRIFT_PPM)
            .saturating_add(1);
        Self {
            lo: self.lo.saturating_sub_unsigned(by),
            hi: self.hi.saturating_add_unsigned(by),
        }
    }
}

/// How fast two undisciplined quartz clocks drift apart at worst, in parts per million.
///
/// Twice 15 ppm, the allowance that `ntpd` makes for one clock (RFC 5905, constant PHI). A clock that
/// is being slewed may run faster; the exchanges then contradict each other, and that is noticed.
pub const DRIFT_PPM: u64 = 30;

/// What a host's kernel says of its wall clock (`adjtimex`, kept by chrony or ntpd).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostClock {
    /// Somebody keeps it.
    pub synchronised: bool,
    /// It is off by at most this.
    pub max_error: Nanos,
    /// It is probably off by this.
    pub estimated_error: Nanos,
}

impl HostClock {
    /// The worse of both, part by part.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        Self {
            synchronised: self.synchronised && other.synchronised,
            max_error: self.max_error.max(other.max_error),
            estimated_error: self.estimated_error.max(other.estimated_error),
        }
    }
}

/// A host's wall clock, and how far its kernel thinks that it may be off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostWall {
    /// What the kernel says.
    pub clock: HostClock,
    /// Wall clock - monotonic clock, in nanoseconds. It changes only when the wall clock is set: the
    /// kernel slews both alike.
    pub ahead: i64,
}

impl HostWall {
    /// Where `self's monotonic clock - other's` lies if both hosts know how far off they are. `None`
    /// if one of them is not synchronised: then its bound means nothing.
    ///
    /// Both wall clocks show the same instant, each within its own error, and each monotonic clock
    /// is its wall clock less a constant. So the difference is that of the constants, within the sum
    /// of both errors.
    ///
    /// ```
    /// use nepho_common::time::{HostClock, HostWall, Nanos};
    /// let clock = HostClock { synchronised: true, max_error: Nanos(30), estimated_error: Nanos(1) };
    /// // The agent's host was booted 500 ns after the controller's.
    /// let (agent, controller) = (HostWall { clock, ahead: 1_500 }, HostWall { clock, ahead: 1_000 });
    /// let offset = agent.offset_from(controller).unwrap();
    /// assert_eq!((offset.lo, offset.hi), (-560, -440));
    /// ```
    #[must_use]
    pub fn offset_from(self, other: Self) -> Option<ClockOffset> {
        if !self.clock.synchronised || !other.clock.synchronised {
            return None;
        }
        let middle = other.ahead.saturating_sub(self.ahead);
        let error = self
            .clock
            .max_error
            .0
            .saturating_add(other.clock.max_error.0);
        Some(ClockOffset {
            lo: middle.saturating_sub_unsigned(error),
            hi: middle.saturating_add_unsigned(error),
        })
    }
}

/// Four time stamps of one exchange: controller sends `t1`, agent receives `t2`, agent sends `t3`,
/// controller receives `t4` (RFC 5905 §8, with the controller as client).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// Controller's clock at sending.
    pub t1: Mono,
    /// Agent's clock at receiving.
    pub t2: Mono,
    /// Agent's clock at answering.
    pub t3: Mono,
    /// Controller's clock at receiving the answer.
    pub t4: Mono,
}

impl Exchange {
    /// Round trip on the network, the agent's own delay taken out. `None` when the stamps lie.
    #[must_use]
    pub fn round_trip(self) -> Option<Nanos> {
        let outer = self.t4.minus(self.t1);
        let inner = self.t3.minus(self.t2);
        u64::try_from(outer.checked_sub(inner)?)
            .ok()
            .filter(|_| inner >= 0)
            .map(Nanos)
    }

    /// Where the agent's offset must lie, whatever the asymmetry of the path: a message can't
    /// arrive before it was sent. `None` when the stamps lie.
    #[must_use]
    pub fn offset(self) -> Option<ClockOffset> {
        self.round_trip()?;
        Some(ClockOffset {
            lo: self.t3.minus(self.t4),
            hi: self.t2.minus(self.t1),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_print_for_people() {
        for (ns, text) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_500, "1.5µs"),
            (1_234_567, "1.23ms"),
            (15_040_000, "15ms"),
            (99_960_000, "100ms"),
            (250_000_000, "250ms"),
            (1_000_000_000, "1s"),
            (18_500_000_000, "18.5s"),
            (60_000_000_000, "1m"),
            (125_000_000_000, "2m05s"),
        ] {
            assert_eq!(Nanos(ns).to_string(), text);
        }
    }

    #[test]
    fn wall_time_prints_known_dates() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_795_393_620_999, "2026-11-23T00:27:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(WallMillis(ms).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn the_true_offset_is_inside_whatever_the_asymmetry(
            start in 0u64..1 << 60, offset in -(1i64 << 50)..1i64 << 50,
            there in 0u64..1 << 40, think in 0u64..1 << 40, back in 0u64..1 << 40,
        ) {
            let t1 = Mono(start + (1 << 52));
            let t2 = t1.plus(Nanos(there)).shifted(offset);
            let t3 = t2.plus(Nanos(think));
            let t4 = t3.shifted(-offset).plus(Nanos(back));
            let exchange = Exchange { t1, t2, t3, t4 };
            let found = exchange.offset().unwrap();
            prop_assert!(found.lo <= offset && offset <= found.hi);
            prop_assert_eq!(found.width(), Nanos(there + back));
            prop_assert_eq!(exchange.round_trip(), Some(Nanos(there + back)));
            prop_assert!(found.middle().abs_diff(offset) <= found.width().half().0);
        }

        #[test]
        fn intersection_is_commutative_and_never_wider(
            a in -1000i64..1000, b in 0i64..1000, c in -1000i64..1000, d in 0i64..1000,
        ) {
            let (x, y) = (ClockOffset { lo: a, hi: a + b }, ClockOffset { lo: c, hi: c + d });
            prop_assert_eq!(x.intersect(y), y.intersect(x));
            if let Some(both) = x.intersect(y) {
                prop_assert!(both.width() <= x.width().min(y.width()));
            }
        }
    }

    #[test]
    fn stamps_that_lie_give_no_offset() {
        let lie = Exchange {
            t1: Mono(100),
            t2: Mono(0),
            t3: Mono(50),
            t4: Mono(110),
        };
        assert_eq!(lie.offset(), None);
        let backwards = Exchange {
            t1: Mono(100),
            t2: Mono(50),
            t3: Mono(0),
            t4: Mono(110),
        };
        assert_eq!(backwards.offset(), None);
    }
}
