//! The chi-square distribution of whole degrees of freedom. Its tails are sums of neighbours that
//! differ by one factor, as those of the binomial distribution are, so they are summed alike: from
//! the largest outwards, measured by it.

use super::normal;

/// Terms that are smaller than this, measured by the largest one, are left out.
const NOTHING: f64 = 1e-30;

/// `P(X <= x)` and `P(X >= x)` of a chi-square with `degrees` (at least one) of freedom.
pub(super) fn tails(degrees: u32, x: f64) -> (f64, f64) {
    if x <= 0.0 {
        return (0.0, 1.0);
    }
    // So far out nothing is left of it, and a sum would be long: half of 10,000 more than a hundred
    // times the mean is an exponent of -5,000.
    if x > 100.0 * f64::from(degrees) + 10_000.0 {
        return (1.0, 0.0);
    }
    let half = x / 2.0;
    // The terms are y^j / j! for j = 0, 1, 2, ... if the degrees are even, and y^j / gamma(j + 1)
    // for j = 1/2, 3/2, ... if they are odd; then those together are not all.
    let (start, all) = if degrees.is_multiple_of(2) {
        (0.0, 1.0)
    } else {
        (0.5, 1.0 - 2.0 * normal::tail(x.sqrt()))
    };
    let upper_terms = degrees / 2;
    let (below, above) = split(start, upper_terms, half);
    let whole = below + above;
    (all * above / whole, 1.0 - all + all * below / whole)
}

/// The sum of the first `first` terms from `start` on, and that of all others.
fn split(start: f64, first: u32, y: f64) -> (f64, f64) {
    // The largest is the last one that is not smaller than the one before it.
    let mut mode = 0u32;
    while start + f64::from(mode) + 1.0 <= y {
        mode += 1;
    }
    let (mut below, mut above) = (0.0, 0.0);
    let mut add = |place: u32, term: f64| {
        if place < first {
            below += term;
        } else {
            above += term;
        }
    };
    add(mode, 1.0);
    let (mut term, mut place) = (1.0, mode);
    while place > 0 && term > NOTHING {
        term *= (start + f64::from(place)) / y;
        place -= 1;
        add(place, term);
    }
    (term, place) = (1.0, mode);
    while term > NOTHING {
        place += 1;
        term *= y / (start + f64::from(place));
        add(place, term);
    }
    (below, above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_tails() {
        for (degrees, x, above) in [
            (1, 3.841_458_820_694_124, 0.05),
            (1, 0.000_982_069_117_175_255, 0.975),
            (2, 7.377_758_908_227_871, 0.025),
            (2, 0.050_635_615_968_579_8, 0.975),
            (9, 16.918_977_604_620_448, 0.05),
            (10, 18.307_038_053_275_146, 0.05),
            (10, 3.940_299_136_119, 0.95),
            (99, 123.225_221_452_722_4, 0.05),
        ] {
            let (below, found) = tails(degrees, x);
            assert!((found - above).abs() < 1e-8, "{degrees}: {found}");
            assert!((below + found - 1.0).abs() < 1e-12, "{degrees}: {below}");
        }
    }

    #[test]
    fn the_example_of_the_index_of_dispersion() {
        // [10, 12, 8, 11, 9, 10, 13, 7, 10, 10] has 2.8 and nine degrees of freedom.
        assert!((tails(9, 2.8).1 - 0.971_7).abs() < 5e-5);
    }

    #[test]
    fn the_ends() {
        assert_eq!(tails(4, 0.0), (0.0, 1.0));
        assert_eq!(tails(4, 1e18), (1.0, 0.0));
        let (below, above) = tails(4, 10_000.0);
        assert!(below > 1.0 - 1e-12 && above < 1e-30, "{below} {above}");
        let (below, above) = tails(1_000, 1.0);
        assert!(below < 1e-30 && above > 1.0 - 1e-12, "{below} {above}");
    }
}
