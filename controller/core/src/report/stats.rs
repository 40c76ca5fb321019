//! Intervals that hold the true figure with 95 % confidence. Only operations that IEEE 754 rounds
//! exactly (no logarithm, no power), so that every machine prints the same report.

/// The 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Up to here the binomial distribution is summed exactly; `0.5^1000` is still a normal number.
const EXACT: u64 = 1_000;

/// Wilson's interval for a share of `successes` in `n`, in parts per million, rounded outwards.
///
/// E. B. Wilson (1927). Unlike the plain normal interval it stays inside 0 and 1 and has a width
/// when nothing or everything succeeded.
pub(super) fn wilson_ppm(successes: u64, n: u64) -> Option<(u32, u32)> {
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

/// The ranks between which the true median lies, if the `n` values are independent: with
/// `B ~ Bin(n, 1/2)`, the largest `l` with `P(B < l) <= 2.5 %` and the smallest `u` with
/// `P(B < u) >= 97.5 %` (J.-Y. Le Boudec, "Performance Evaluation", ch. 2). `None` below 6 values.
pub(super) fn median_ranks(n: u64) -> Option<(u64, u64)> {
    if n > EXACT {
        return Some(normal_ranks(n));
    }
    // P(B = k), from k = 0 upwards.
    let mut chance = 1.0;
    (0..n).for_each(|_| chance *= 0.5);
    let mut below = 0.0;
    let (mut lower, mut upper) = (0, None);
    for rank in 1..=n {
        // Invariant: `chance` is P(B = rank - 1).
        below += chance;
        if below <= 0.025 {
            lower = rank;
        }
        if below >= 0.975 && upper.is_none() {
            upper = Some(rank);
        }
        let (k, left) = (as_float(rank), as_float(n - rank + 1));
        chance = chance * left / k;
    }
    (lower > 0).then_some((lower, upper?))
}

#[expect(clippy::cast_precision_loss, reason = "at most 1,000")]
const fn as_float(count: u64) -> f64 {
    count as f64
}

/// The same for many values, by the normal approximation of the binomial distribution.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 1 and n by the clamp; above 2^53 values a rank is nothing"
)]
fn normal_ranks(n: u64) -> (u64, u64) {
    let middle = n as f64 / 2.0;
    let half = Z * (n as f64).sqrt() / 2.0;
    let lower = (middle - half).floor() as u64;
    let upper = (middle + half).ceil() as u64 + 1;
    (lower.clamp(1, n), upper.clamp(1, n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_ranks_follow_the_published_table() {
        for (n, ranks) in [
            (6, (1, 6)),
            (10, (2, 9)),
            (20, (6, 15)),
            (100, (40, 61)),
            (1_000, (469, 532)),
        ] {
            assert_eq!(median_ranks(n), Some(ranks), "{n}");
        }
        assert_eq!(
            median_ranks(5),
            None,
            "not even the extremes hold it with 95 %"
        );
        assert_eq!(median_ranks(0), None);
    }

    #[test]
    fn the_approximation_continues_the_exact_sum() {
        assert_eq!(normal_ranks(1_000), (469, 532));
        assert_eq!(median_ranks(1_001), Some((469, 533)));
        let (low, high) = median_ranks(u64::MAX).unwrap();
        assert!(low < high);
    }

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
