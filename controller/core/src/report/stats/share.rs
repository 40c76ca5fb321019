//! Between which bounds a share lies.

use super::{
    Z,
    binomial::{Binomial, SUMMED},
};

/// Wilson's interval for a share of `successes` in `n`, in parts per million, rounded outwards.
///
/// E. B. Wilson (1927). Unlike the plain normal interval it stays inside 0 and 1 and has a width
/// when nothing or everything succeeded.
pub(crate) fn wilson_ppm(successes: u64, n: u64) -> Option<(u32, u32)> {
    wilson_ppm_at(Z, successes, n)
}

/// The same, so many standard deviations wide to each side.
pub(super) fn wilson_ppm_at(z: f64, successes: u64, n: u64) -> Option<(u32, u32)> {
    let (low, high) = wilson(z, successes, n)?;
    Some((ppm(low, false), ppm(high, true)))
}

/// The same for a share that nobody counted yet, of so many.
pub(super) fn wilson_like(z: f64, share: f64, n: u64) -> (u32, u32) {
    let (low, high) = around(z, share, float(n));
    (ppm(low, false), ppm(high, true))
}

fn wilson(z: f64, successes: u64, n: u64) -> Option<(f64, f64)> {
    if n == 0 || successes > n {
        return None;
    }
    let (low, high) = around(z, float(successes) / float(n), float(n));
    let low = if successes == 0 { 0.0 } else { low };
    let high = if successes == n { 1.0 } else { high };
    Some((low, high))
}

fn around(z: f64, share: f64, total: f64) -> (f64, f64) {
    let z2 = z * z;
    let middle = share + z2 / (2.0 * total);
    let half = z * (share * (1.0 - share) / total + z2 / (4.0 * total * total)).sqrt();
    let scale = 1.0 + z2 / total;
    let (low, high) = ((middle - half) / scale, (middle + half) / scale);
    (low.clamp(0.0, 1.0), high.clamp(0.0, 1.0))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts above 2^53 change the interval by less than it is rounded by"
)]
const fn float(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and 1,000,000 by the clamp"
)]
fn ppm(share: f64, up: bool) -> u32 {
    let scaled = share * 1_000_000.0;
    let rounded = if up { scaled.ceil() } else { scaled.floor() };
    rounded.clamp(0.0, 1_000_000.0) as u32
}

/// A share of a whole, as a fraction.
type Share = (u64, u64);

/// Whether `good` of `all` show, with this confidence in parts per million, that at least `share` of
/// whatever might have been asked is good: whether so few bad ones are unlikely enough if it were
/// just `share`. That is the lower bound of Clopper and Pearson (1934), one-sided.
pub(crate) fn shows_at_least(good: u64, all: u64, (num, den): Share, confidence: u32) -> bool {
    let (good, all) = summed(good, all);
    let bad = all.saturating_sub(good);
    num == 0 || Binomial::new(all, (den.saturating_sub(num), den)).at_most(bad) <= doubt(confidence)
}

/// Whether they show that less than `share` is good: the upper bound.
pub(crate) fn shows_less(good: u64, all: u64, share: Share, confidence: u32) -> bool {
    let (good, all) = summed(good, all);
    Binomial::new(all, share).at_most(good) <= doubt(confidence)
}

/// The least and the most share that `good` of `all` leave possible, each with this confidence, in
/// parts per million and rounded outwards.
pub(crate) fn clopper_pearson_ppm(good: u64, all: u64, confidence: u32) -> (u32, u32) {
    let share = |ppm: u32| (u64::from(ppm), 1_000_000);
    let low = first(|ppm| !shows_at_least(good, all, share(ppm), confidence)).saturating_sub(1);
    let high = first(|ppm| shows_less(good, all, share(ppm), confidence));
    (low, high)
}

/// The first part per million for which it holds; the whole when it holds for none.
fn first(holds: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, 1_000_000);
    while low < high {
        let middle = (low + high) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// How many must all be good to show at least this share; `None` when no number is enough.
pub(crate) fn samples_for(share: u32, confidence: u32) -> Option<u64> {
    let good = f64::from(share) / 1_000_000.0;
    let shows = |n: u64| power(good, n) <= doubt(confidence);
    let mut enough = 1;
    while !shows(enough) {
        enough = (enough * 2 <= SUMMED).then_some(enough * 2)?;
    }
    let (mut low, mut high) = (enough / 2 + 1, enough);
    while low < high {
        let middle = u64::midpoint(low, high);
        if shows(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(high)
}

/// About how many with the same share of good ones would show either; `None` when none will.
pub(crate) fn samples_like(good: u64, all: u64, share: Share, confidence: u32) -> Option<u64> {
    if all == 0 {
        return None;
    }
    let mut times = 1u64;
    loop {
        times *= 2;
        let (good, all) = (good.checked_mul(times)?, all.checked_mul(times)?);
        if all > SUMMED {
            return None;
        }
        if shows_at_least(good, all, share, confidence) || shows_less(good, all, share, confidence)
        {
            return Some(all);
        }
    }
}

/// The chance of being wrong that a confidence leaves.
pub(super) fn doubt(confidence: u32) -> f64 {
    f64::from(1_000_000u32.saturating_sub(confidence)) / 1_000_000.0
}

/// The same share of fewer, which shows less, when there are too many to sum.
fn summed(good: u64, all: u64) -> (u64, u64) {
    if all <= SUMMED {
        return (good.min(all), all);
    }
    let good = u128::from(good.min(all)) * u128::from(SUMMED) / u128::from(all);
    (u64::try_from(good).unwrap_or(SUMMED), SUMMED)
}

/// By squaring: the machine's own power function is not the same everywhere.
pub(super) fn power(base: f64, mut exponent: u64) -> f64 {
    let (mut result, mut square) = (1.0, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_follows_the_published_vector() {
        let (low, high) = wilson(Z, 3, 100).unwrap();
        assert!((low - 0.010_254_5).abs() < 5e-8, "{low}");
        assert!((high - 0.084_519_4).abs() < 5e-8, "{high}");
        assert_eq!(wilson_ppm(3, 100), Some((10_254, 84_520)));
    }

    #[test]
    fn all_or_nothing_still_has_a_width() {
        assert_eq!(wilson_ppm(0, 10).unwrap().0, 0);
        assert!(wilson_ppm(0, 10).unwrap().1 > 250_000);
        assert_eq!(wilson_ppm(10, 10).unwrap().1, 1_000_000);
        assert_eq!(wilson_ppm(0, 0), None);
    }

    #[test]
    fn clopper_and_pearson_follow_the_published_vectors() {
        // Two-sided at 95 %: 2.5 % at each end.
        assert_eq!(clopper_pearson_ppm(3, 100, 975_000), (6_229, 85_177));
        assert_eq!(clopper_pearson_ppm(0, 10_000, 975_000), (0, 369));
        assert_eq!(clopper_pearson_ppm(10_000, 10_000, 975_000).1, 1_000_000);
        assert_eq!(clopper_pearson_ppm(0, 0, 950_000), (0, 1_000_000));
    }

    #[test]
    fn so_many_that_are_all_good_show_it_and_one_fewer_does_not() {
        for (share, samples) in [
            (900_000, 29),
            (950_000, 59),
            (990_000, 299),
            (999_000, 2_995),
            (999_900, 29_956),
        ] {
            assert_eq!(samples_for(share, 950_000), Some(samples), "{share}");
            let of = (u64::from(share), 1_000_000);
            assert!(shows_at_least(samples, samples, of, 950_000));
            assert!(!shows_at_least(samples - 1, samples - 1, of, 950_000));
            assert!(!shows_at_least(samples - 1, samples, of, 950_000));
        }
        assert_eq!(samples_for(1_000_000, 950_000), None);
        assert_eq!(samples_for(0, 950_000), Some(1));
    }

    #[test]
    fn what_is_shown_is_false_no_more_often_than_is_said() {
        // Of a target that is good just as often as asked for, one run in twenty may show it.
        let mut draws = crate::report::stats::draws::Draws::new(1);
        let mut shown = [0u32; 3];
        for _ in 0..1_000 {
            let good = (0..500).filter(|_| draws.below(100) < 90).count() as u64;
            shown[0] += u32::from(shows_at_least(good, 500, (90, 100), 950_000));
            shown[1] += u32::from(shows_less(good, 500, (90, 100), 950_000));
            // The control: what was observed alone is above in about half of the runs.
            shown[2] += u32::from(good > 450);
        }
        let most = Binomial::new(1_000, (5, 100)).first_reaching(0.999_5);
        assert!(
            u64::from(shown[0]) <= most && u64::from(shown[1]) <= most,
            "{shown:?}"
        );
        assert!(shown[0] > 20 && shown[1] > 20, "but not never: {shown:?}");
        assert!(shown[2] > 400, "{shown:?}");
    }

    #[test]
    fn more_of_the_same_decides_unless_it_lies_just_on_the_bound() {
        let like = samples_like(98, 100, (95, 100), 950_000).unwrap();
        assert_eq!(like, 200);
        assert_eq!(samples_like(95, 100, (95, 100), 950_000), None);
        assert_eq!(samples_like(0, 0, (95, 100), 950_000), None);
    }

    #[test]
    fn counts_that_no_run_reaches_are_judged_too() {
        let many = u64::MAX;
        assert!(shows_at_least(many, many, (999, 1_000), 950_000));
        assert!(!shows_less(many, many, (1, 1), 950_000));
        assert!(shows_less(many / 2, many, (999, 1_000), 950_000));
    }
}
