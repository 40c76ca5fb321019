//! Percentages as exact integers, in parts per million: no float, so no NaN and no rounding.

use std::{fmt, str::FromStr};

/// For editors: what [`Ratio`] reads.
pub(crate) const PATTERN: &str = r"^[0-9]+(\.[0-9]{1,4})?%$";

/// A share of a whole, from 0 % to 100 %, in steps of 0.0001 %.
///
/// ```
/// use nepho_controller_core::scenario::Ratio;
/// let ratio: Ratio = "99.9%".parse().unwrap();
/// assert_eq!(ratio.ppm(), 999_000);
/// assert_eq!(ratio.to_string(), "99.9%");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ratio(u32);

/// Why a text is not a percentage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRatio {
    /// `0.99`, `99`: which of the two is meant?
    #[error("the `%` is missing")]
    NoSign,
    /// `-1%`
    #[error("a share is never negative")]
    Negative,
    /// `101%`
    #[error("a share is at most 100%")]
    TooMuch,
    /// More than four decimals.
    #[error("at most four decimals are kept")]
    TooFine,
    /// Anything else.
    #[error("a percentage is written 99% or 99.9%")]
    Form,
}

impl Ratio {
    /// The whole: 100 %.
    pub const WHOLE: Self = Self(1_000_000);

    /// Parts per million, at most 1,000,000.
    #[must_use]
    pub const fn ppm(self) -> u32 {
        self.0
    }
}

impl FromStr for Ratio {
    type Err = BadRatio;

    fn from_str(text: &str) -> Result<Self, BadRatio> {
        if text.starts_with(['-', '−']) {
            return Err(BadRatio::Negative);
        }
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let Some(number) = text.strip_suffix('%') else {
            let bare = !text.is_empty() && is_number(text);
            return Err(if bare {
                BadRatio::NoSign
            } else {
                BadRatio::Form
            });
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(BadRatio::Form);
        }
        if fraction.len() > 4 {
            return Err(BadRatio::TooFine);
        }
        let whole: u32 = whole
            .parse()
            .ok()
            .filter(|it| *it <= 100)
            .ok_or(BadRatio::TooMuch)?;
        let fraction: u32 = format!("{fraction:0<4}")
            .parse()
            .map_err(|_| BadRatio::Form)?;
        let ppm = whole * 10_000 + fraction;
        if ppm > Self::WHOLE.0 {
            Err(BadRatio::TooMuch)
        } else {
            Ok(Self(ppm))
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 10_000, self.0 % 10_000);
        if fraction == 0 {
            return f.pad(&format!("{whole}%"));
        }
        let fraction = format!("{fraction:04}");
        f.pad(&format!("{whole}.{}%", fraction.trim_end_matches('0')))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_ratio_reads_back_what_it_printed(ppm in 0u32..=1_000_000) {
            prop_assert_eq!(Ratio(ppm).to_string().parse(), Ok(Ratio(ppm)));
        }
    }

    #[test]
    fn slips_are_told_apart() {
        for (text, why) in [
            ("99", BadRatio::NoSign),
            ("0.99", BadRatio::NoSign),
            ("-1%", BadRatio::Negative),
            ("101%", BadRatio::TooMuch),
            ("100.0001%", BadRatio::TooMuch),
            ("NaN%", BadRatio::Form),
            ("99999999999%", BadRatio::TooMuch),
            ("1.00001%", BadRatio::TooFine),
            ("%", BadRatio::Form),
            (".5%", BadRatio::Form),
            ("5.%", BadRatio::Form),
            ("1e2%", BadRatio::Form),
            ("inf%", BadRatio::Form),
            ("", BadRatio::Form),
            ("99 %", BadRatio::Form),
        ] {
            assert_eq!(text.parse::<Ratio>(), Err(why), "{text:?}");
        }
    }
}
