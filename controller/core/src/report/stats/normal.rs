//! The normal distribution by sums and fractions of exactly rounded operations: the machine's own
//! exponential and error functions are not the same everywhere.

/// `sqrt(2 pi)`.
const ROOT: f64 = 2.506_628_274_631_000_5;
/// Below it the middle is summed, from it on the tail is a continued fraction: both have twelve
/// digits there.
const TAIL_FROM: f64 = 3.0;
/// At 3 the fraction has settled after some eighty steps.
const STEPS: u32 = 200;
/// Beyond it the tail is smaller than any doubt that can be written in parts per million and
/// divided by the back ends of a fleet.
const FARTHEST: f64 = 12.0;

/// `P(Z > x)` for `x >= 0`.
pub(super) fn tail(x: f64) -> f64 {
    let density = falling(x * x / 2.0) / ROOT;
    if x < TAIL_FROM {
        // x + x^3/3 + x^5/(3*5) + ...: nothing is taken away, so nothing cancels.
        let (mut term, mut sum, mut odd) = (x, x, 1.0);
        while term > sum * f64::EPSILON / 4.0 {
            odd += 2.0;
            term *= x * x / odd;
            sum += term;
        }
        return 0.5 - density * sum;
    }
    // 1/(x + 1/(x + 2/(x + 3/...))), from the inside out.
    let below = (1..=STEPS)
        .rev()
        .fold(x, |below, step| x + f64::from(step) / below);
    density / below
}

/// The `x` with `P(Z > x) = chance`, for a chance of at most a half; 12 when it lies farther out.
pub(super) fn beyond(chance: f64) -> f64 {
    let (mut low, mut high) = (0.0, FARTHEST);
    // Each step halves it: 64 leave nothing of 12.
    for _ in 0..64 {
        let middle = f64::midpoint(low, high);
        if tail(middle) > chance {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// `e^-y` for `y >= 0`: halved until a short sum is exact, then squared as often.
fn falling(y: f64) -> f64 {
    let (mut part, mut halvings) = (y, 0);
    while part > 0.25 {
        part /= 2.0;
        halvings += 1;
    }
    // The fourteenth term of the sum at 1/4 is below 1e-19.
    let small = (1..=14)
        .rev()
        .fold(1.0, |sum, n| 1.0 - part / f64::from(n) * sum);
    (0..halvings).fold(small, |value, _| value * value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::stats::Z;

    #[test]
    fn the_published_quantiles() {
        for (chance, expected) in [
            (0.5, 0.0),
            (0.1, 1.281_551_565_544_600_5),
            (0.025, Z),
            (0.05 / 6.0, 2.393_979_799_818_510_4),
            (0.005, 2.575_829_303_548_900_4),
            (0.000_5, 3.290_526_731_491_894_5),
            (0.000_01, 4.264_890_793_922_602),
        ] {
            let found = beyond(chance);
            assert!((found - expected).abs() < 1e-9, "{chance}: {found}");
        }
    }

    #[test]
    fn the_two_ways_meet() {
        let (sum, fraction) = (tail(TAIL_FROM - 1e-12), tail(TAIL_FROM));
        assert!((sum / fraction - 1.0).abs() < 1e-10, "{sum} {fraction}");
    }

    #[test]
    fn what_can_not_be_reached_is_as_far_as_it_goes() {
        assert!(beyond(0.0) >= FARTHEST);
        assert!(tail(40.0) >= 0.0 && tail(40.0) < 1e-300);
    }
}
