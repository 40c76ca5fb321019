//! Between which of the values a quantile lies, if they are independent: with `B ~ Bin(n, q)`, from
//! the largest rank `l` with `P(B < l) <= 2.5 %` to the smallest `u` with `P(B < u) >= 97.5 %`
//! (J.-Y. Le Boudec, "Performance Evaluation", ch. 2). It holds whatever the distribution is, and
//! not at all for values that follow each other's lead: see [`super::blocks`].

use super::{
    Z,
    binomial::{Binomial, SUMMED},
};

/// The two ranks, counted from 1. `None` when one of them lies beyond the `n` values, as both do
/// below 6 values for the median.
pub(crate) fn quantile_ranks(n: u64, quantile: (u64, u64)) -> Option<(u64, u64)> {
    if n > SUMMED {
        return Some(normal_ranks(n, quantile));
    }
    let below = Binomial::new(n, quantile);
    // `P(B < rank)` is `P(B <= rank - 1)`.
    let lower = below.first_above(0.025);
    let upper = below.first_reaching(0.975) + 1;
    (lower >= 1 && upper <= n).then_some((lower, upper))
}

/// The same for very many values, by the normal approximation of the binomial distribution.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 1 and n by the clamp; above 2^53 values a rank is nothing"
)]
fn normal_ranks(n: u64, (num, den): (u64, u64)) -> (u64, u64) {
    let share = num as f64 / den as f64;
    let middle = n as f64 * share;
    let half = Z * (n as f64 * share * (1.0 - share)).sqrt();
    let lower = (middle - half).floor() as u64;
    let upper = (middle + half).ceil() as u64 + 1;
    (lower.clamp(1, n), upper.clamp(1, n))
}

#[cfg(test)]
mod tests {
    use nepho_common::{histogram::Histogram, time::Nanos};

    use super::*;
    use crate::report::stats::draws::Draws;

    /// The chance that the interval holds the true quantile.
    fn coverage(n: u64, quantile: (u64, u64), (lower, upper): (u64, u64)) -> f64 {
        let below = Binomial::new(n, quantile);
        below.at_most(upper - 1) - below.at_most(lower - 1)
    }

    #[test]
    fn the_published_table() {
        let half = (1, 2);
        let (p90, p99, p999, p9999) = ((9, 10), (99, 100), (999, 1_000), (9_999, 10_000));
        for (quantile, n, ranks, covered) in [
            (half, 6, (1, 6), 0.968_750),
            (half, 10, (2, 9), 0.978_516),
            (half, 20, (6, 15), 0.958_611),
            (half, 100, (40, 61), 0.964_800),
            (half, 1_000, (469, 532), 0.953_709),
            (p90, 1_000, (881, 919), 0.954_907),
            (p99, 368, (360, 368), 0.962_416),
            (p99, 1_000, (983, 997), 0.976_095),
            (p99, 10_000, (9_880, 9_920), 0.955_755),
            (p99, 100_000, (98_938, 99_062), 0.951_234),
            (p999, 3_688, (3_680, 3_688), 0.961_624),
            (p999, 10_000, (9_983, 9_997), 0.975_457),
            (p999, 100_000, (99_880, 99_920), 0.954_789),
            (p9999, 1_000_000, (999_880, 999_920), 0.954_692),
        ] {
            assert_eq!(
                quantile_ranks(n, quantile),
                Some(ranks),
                "{quantile:?} of {n}"
            );
            let found = coverage(n, quantile, ranks);
            assert!(
                (found - covered).abs() < 6e-7,
                "{quantile:?} of {n}: {found}"
            );
        }
    }

    #[test]
    fn the_published_interval() {
        let mut values = Histogram::default();
        (1..=10_000).for_each(|n| values.record(Nanos(n * 100)));
        let (lower, upper) = quantile_ranks(values.count(), (99, 100)).unwrap();
        let (low, high) = (
            values.at_rank(lower).unwrap(),
            values.at_rank(upper).unwrap(),
        );
        assert_eq!((low.0, high.1), (Nanos(987_648), Nanos(992_255)));
    }

    #[test]
    fn the_least_number_of_values_with_two_ends() {
        // One fewer and the upper end is beyond the largest value.
        for (quantile, least) in [
            ((1, 2), 6),
            ((9, 10), 36),
            ((19, 20), 72),
            ((99, 100), 368),
            ((999, 1_000), 3_688),
            ((9_999, 10_000), 36_887),
        ] {
            assert!(quantile_ranks(least, quantile).is_some(), "{quantile:?}");
            assert_eq!(quantile_ranks(least - 1, quantile), None, "{quantile:?}");
        }
        assert_eq!(quantile_ranks(0, (1, 2)), None);
    }

    #[test]
    fn the_approximation_continues_the_sum() {
        let (low, high) = quantile_ranks(SUMMED, (99, 100)).unwrap();
        let (next_low, next_high) = quantile_ranks(SUMMED + 1, (99, 100)).unwrap();
        assert!(low.abs_diff(next_low) <= 2 && high.abs_diff(next_high) <= 2);
        let (low, high) = quantile_ranks(u64::MAX, (1, 2)).unwrap();
        assert!(low < high);
    }

    /// How many of 1,000 runs of `n` independent values have the true quantile between the ranks.
    fn held(seed: u64, n: u64, (num, den): (u64, u64), (lower, upper): (u64, u64)) -> u64 {
        let mut draws = Draws::new(seed);
        let truth = u64::MAX / den * num;
        let run = |_: &u64| {
            let below = (0..n).filter(|_| draws.next() < truth).count() as u64;
            // The true quantile lies between the values of these two ranks.
            below >= lower && below < upper
        };
        (0..1_000).filter(run).count() as u64
    }

    /// The counts of 1,000 runs that are within the exact bounds at 99.9 % of a coverage.
    fn expected_of(covered: (u64, u64)) -> (u64, u64) {
        let runs = Binomial::new(1_000, covered);
        (runs.first_above(0.000_5), runs.first_reaching(0.999_5))
    }

    #[test]
    fn as_many_of_1_000_runs_hold_the_truth_as_is_said() {
        for (n, quantile) in [
            (10, (1, 2)),
            (100, (1, 2)),
            (400, (3, 4)),
            (1_000, (9, 10)),
            (1_000, (99, 100)),
            (2_000, (19, 20)),
            (10_000, (99, 100)),
        ] {
            let ranks = quantile_ranks(n, quantile).unwrap();
            let found = held(n, n, quantile, ranks);
            // Ranks are whole, so the true coverage is known and somewhat above 95 %.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and 1,000,000"
            )]
            let exact = (coverage(n, quantile, ranks) * 1e6) as u64;
            let (least, most) = expected_of((exact, 1_000_000));
            assert!(
                (least..=most).contains(&found) && found >= expected_of((95, 100)).0,
                "{found} of 1,000 for {quantile:?} of {n} with seed {n}, not {least} to {most}"
            );
        }
    }

    #[test]
    fn an_interval_that_is_one_rank_too_narrow_is_found_out() {
        for n in [6, 10, 20] {
            let (lower, upper) = quantile_ranks(n, (1, 2)).unwrap();
            let found = held(n, n, (1, 2), (lower + 1, upper - 1));
            assert!(found < expected_of((95, 100)).0, "{found} of 1,000 for {n}");
        }
    }
}
