//! Between which bounds a share lies.

use super::Z;

/// Wilson's interval for a share of `successes` in `n`, in parts per million, rounded outwards.
///
/// E. B. Wilson (1927). Unlike the plain normal interval it stays inside 0 and 1 and has a width
/// when nothing or everything succeeded.
pub(crate) fn wilson_ppm(successes: u64, n: u64) -> Option<(u32, u32)> {
    let (low, high) = wilson(successes, n)?;
    Some((ppm(low, false), ppm(high, true)))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts above 2^53 change the interval by less than it is rounded by"
)]
fn wilson(successes: u64, n: u64) -> Option<(f64, f64)> {
    if n == 0 || successes > n {
        return None;
    }
    let total = n as f64;
    let share = successes as f64 / total;
    let z2 = Z * Z;
    let middle = share + z2 / (2.0 * total);
    let half = Z * (share * (1.0 - share) / total + z2 / (4.0 * total * total)).sqrt();
    let scale = 1.0 + z2 / total;
    let low = if successes == 0 {
        0.0
    } else {
        (middle - half) / scale
    };
    let high = if successes == n {
        1.0
    } else {
        (middle + half) / scale
    };
    Some((low.clamp(0.0, 1.0), high.clamp(0.0, 1.0)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_follows_the_published_vector() {
        let (low, high) = wilson(3, 100).unwrap();
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
}
