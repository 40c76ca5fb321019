//! How fast: requests per time, without a float in the plan.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How many requests arrive in a second, in thousandths. Zero is a pause.
///
/// It is written `800/s`, `0.5/s` or `30/m`, and printed per second. What is no whole number of
/// thousandths is refused, not rounded: `1/m` as 0.017/s would be 2 % too fast.
///
/// ```
/// use nepho_common::plan::Rate;
/// let rate: Rate = "30/m".parse().unwrap();
/// assert_eq!(rate, Rate(500));
/// assert_eq!(rate.to_string(), "0.5/s");
/// ```
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rate(pub u64);

/// Why a text is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRate {
    /// `800`: in which time?
    #[error("a rate ends with `/s` or `/m`")]
    NoTime,
    /// `-1/s`
    #[error("a rate is never negative")]
    Negative,
    /// More than [`Rate::MAX`].
    #[error("a rate is at most {}", Rate::MAX)]
    TooFast,
    /// `1/m`, `0.0001/s`
    #[error("it is no whole number of thousandths per second: {below} and {above} are")]
    TooFine {
        /// The next one that is slower.
        below: Rate,
        /// The next one that is faster.
        above: Rate,
    },
    /// Anything else.
    #[error("a rate is written 800/s, 0.5/s or 30/m")]
    Form,
}

impl Rate {
    /// Ten million a second: more than a host sends over one network card, and few enough that the
    /// sums of a day stay exact in 128 bits ([`Leg::due`](super::Leg::due)).
    pub const MAX: Self = Self::per_second(10_000_000);

    /// Whole requests per second.
    #[must_use]
    pub const fn per_second(requests: u64) -> Self {
        Self(requests * 1_000)
    }
}

/// So many decimals say whether a text is a whole number of thousandths per second: per minute two
/// are enough, because 0.06/m is one thousandth per second.
const DECIMALS: usize = 6;

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        if text.starts_with(['-', '−']) {
            return Err(BadRate::Negative);
        }
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (number, seconds) = match text.split_once('/') {
            Some((number, "s")) => (number, 1),
            Some((number, "m")) => (number, 60),
            Some(_) => return Err(BadRate::Form),
            None if digits(text) => return Err(BadRate::NoTime),
            None => return Err(BadRate::Form),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if !digits(whole) || !digits(fraction) {
            return Err(BadRate::Form);
        }
        // A whole number of many digits is of the right form, and too much.
        let whole: u64 = whole.parse().map_err(|_| BadRate::TooFast)?;
        let fraction = fraction.trim_end_matches('0');
        let is_cut = fraction.len() > DECIMALS;
        let fraction = format!("{fraction:0<DECIMALS$.DECIMALS$}");
        let fraction: u64 = fraction.parse().map_err(|_| BadRate::Form)?;
        let millionths = u128::from(whole) * 1_000_000 + u128::from(fraction);
        let (unit, rest) = (1_000 * seconds, millionths % (1_000 * seconds));
        let below = u64::try_from(millionths / unit).map_err(|_| BadRate::TooFast)?;
        let is_exact = rest == 0 && !is_cut;
        if below > Self::MAX.0 || below == Self::MAX.0 && !is_exact {
            return Err(BadRate::TooFast);
        }
        if is_exact {
            return Ok(Self(below));
        }
        Err(BadRate::TooFine {
            below: Self(below),
            above: Self(below + 1),
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000, self.0 % 1_000);
        if rest == 0 {
            return f.pad(&format!("{whole}/s"));
        }
        let decimals = format!("{rest:03}");
        f.pad(&format!("{whole}.{}/s", decimals.trim_end_matches('0')))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, thousandths) in [
            ("800/s", 800_000),
            ("0.5/s", 500),
            ("30/m", 500),
            ("0.06/m", 1),
            ("0/s", 0),
            ("007.500000000/s", 7_500),
            ("10000000/s", 10_000_000_000),
            ("600000000/m", 10_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Rate(thousandths)), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_says_why() {
        let fine = |below, above| BadRate::TooFine {
            below: Rate(below),
            above: Rate(above),
        };
        for (text, why) in [
            ("", BadRate::Form),
            ("/s", BadRate::Form),
            ("1/h", BadRate::Form),
            ("1 /s", BadRate::Form),
            ("1/s ", BadRate::Form),
            ("+1/s", BadRate::Form),
            (".5/s", BadRate::Form),
            ("5./s", BadRate::Form),
            ("1e3/s", BadRate::Form),
            ("1.2.3/s", BadRate::Form),
            ("1/s/s", BadRate::Form),
            ("١/s", BadRate::Form),
            ("fast", BadRate::Form),
            ("800", BadRate::NoTime),
            ("-1/s", BadRate::Negative),
            ("−1/s", BadRate::Negative),
            ("1/m", fine(16, 17)),
            ("0.0001/s", fine(0, 1)),
            ("0.0010000001/s", fine(1, 2)),
            ("10000000.0001/s", BadRate::TooFast),
            ("10000000.001/s", BadRate::TooFast),
            ("600000000.0000001/m", BadRate::TooFast),
            ("99999999999999999999999999/s", BadRate::TooFast),
            ("18446744073709551615/s", BadRate::TooFast),
        ] {
            assert_eq!(text.parse::<Rate>(), Err(why), "{text}");
        }
        let said = "1/m".parse::<Rate>().unwrap_err().to_string();
        let hint = "it is no whole number of thousandths per second: 0.016/s and 0.017/s are";
        assert_eq!(said, hint);
        assert!(BadRate::TooFast.to_string().ends_with("10000000/s"));
    }

    proptest! {
        #[test]
        fn a_rate_reads_back_as_it_is_printed(rate in 0..=Rate::MAX.0) {
            prop_assert_eq!(Rate(rate).to_string().parse(), Ok(Rate(rate)));
        }

        #[test]
        fn any_text_is_a_rate_or_refused(text in "[-0-9./sm]{0,24}") {
            if let Ok(rate) = text.parse::<Rate>() {
                prop_assert!(rate <= Rate::MAX);
            }
        }

        /// The neighbours that a refusal names lie on both sides of what was written.
        #[test]
        fn the_named_neighbours_are_the_nearest(tenths in 0u64..1_000_000) {
            let text = format!("{}.{}/m", tenths / 10, tenths % 10);
            match text.parse::<Rate>() {
                Ok(rate) => prop_assert_eq!(rate.0 * 60, tenths * 100),
                Err(BadRate::TooFine { below, above }) => {
                    prop_assert_eq!(above.0, below.0 + 1);
                    prop_assert!(below.0 * 60 < tenths * 100 && tenths * 100 < above.0 * 60);
                }
                Err(other) => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
