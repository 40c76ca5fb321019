//! Whether what chance decides has the distribution that it claims. Seeds are fixed, so each test
//! either always passes or never; its bound says for how many other choices of seeds a right
//! generator would have failed it. Each has a control that fails: something almost right.

use nepho_common::plan::{Leg, Rate};

use super::*;

const SEEDS: std::ops::Range<u64> = 0..20;
const SECOND: Nanos = Nanos::from_secs(1);

fn flat(arrivals: Arrivals, rate: &str, secs: u64) -> Schedule {
    Schedule::constant(arrivals, rate.parse().unwrap(), Nanos::from_secs(secs)).unwrap()
}

fn instants(schedule: &Schedule, seed: u64, stripe: Stripe) -> Vec<u64> {
    let pace = Pace::new(schedule, seed, stripe).unwrap();
    pace.map(|arrival| arrival.at.0).collect()
}

/// In seconds.
fn gaps(instants: &[u64]) -> Vec<f64> {
    let gap = |pair: &[u64]| (pair[1] - pair[0]) as f64 / SECOND.0 as f64;
    instants.windows(2).map(gap).collect()
}

/// How many there are in each of so many windows of this length.
fn counts(instants: &[u64], windows: usize, length: Nanos) -> Vec<f64> {
    let mut counts = vec![0.0; windows];
    for at in instants {
        counts[usize::try_from(at / length.0).unwrap()] += 1.0;
    }
    counts
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Kolmogorov and Smirnov's distance from the exponential distribution of this rate, in multiples of
/// the bound that a right sample exceeds once in 100,000 (P. Massart, "The tight constant in the
/// Dvoretzky-Kiefer-Wolfowitz inequality", 1990: for samples of any size).
fn from_exponential(mut gaps: Vec<f64>, rate: f64) -> f64 {
    gaps.sort_unstable_by(f64::total_cmp);
    let many = gaps.len() as f64;
    let apart = |(nth, gap): (usize, &f64)| {
        let claimed = 1.0 - (-rate * gap).exp();
        (claimed - nth as f64 / many).max((nth + 1) as f64 / many - claimed)
    };
    let distance = gaps.iter().enumerate().map(apart).fold(0.0, f64::max);
    distance / (f64::ln(2.0 / 1e-5) / (2.0 * many)).sqrt()
}

/// Variance over mean, which is 1 for counts of a Poisson process, as a distance from that in
/// standard deviations: √(2 / (windows - 1)), for it has a χ² distribution.
fn dispersion(counts: &[f64]) -> f64 {
    let (mean, free) = (mean(counts), (counts.len() - 1) as f64);
    let square = |count: &f64| (count - mean) * (count - mean);
    let index = counts.iter().map(square).sum::<f64>() / free / mean;
    (index - 1.0) / (2.0 / free).sqrt()
}

/// The correlation of two rows, in standard deviations of one that is only chance.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let sum = |a: &[f64], b: &[f64]| {
        let (mean_a, mean_b) = (mean(a), mean(b));
        let product = |(a, b): (&f64, &f64)| (a - mean_a) * (b - mean_b);
        a.iter().zip(b).map(product).sum::<f64>()
    };
    sum(a, b) / (sum(a, a) * sum(b, b)).sqrt() * (a.len() as f64).sqrt()
}

/// Five standard deviations: passed by chance once in a million.
const FAR: f64 = 5.0;

/// A right generator fails for one choice of the twenty seeds in 5,000.
#[test]
fn gaps_are_exponential_and_know_nothing_of_each_other() {
    let schedule = flat(Arrivals::Poisson, "1000/s", 50);
    for seed in SEEDS {
        let gaps = gaps(&instants(&schedule, seed, Stripe::WHOLE));
        let distance = from_exponential(gaps.clone(), 1_000.0);
        assert!(distance < 1.0, "seed {seed}: {distance}");
        let distance = from_exponential(gaps.clone(), 1_050.0);
        assert!(
            distance > 1.0,
            "a rate that is 5 % off, seed {seed}: {distance}"
        );
        let next = correlation(&gaps[1..], &gaps[..gaps.len() - 1]);
        assert!(next.abs() < FAR, "seed {seed}: {next}");
        let means: Vec<_> = gaps.windows(2).map(mean).collect();
        let next = correlation(&means[1..], &means[..means.len() - 1]);
        assert!(next.abs() > FAR, "smoothed, seed {seed}: {next}");
    }
    let even = instants(&flat(Arrivals::Constant, "1000/s", 50), 0, Stripe::WHOLE);
    assert!(from_exponential(gaps(&even), 1_000.0) > 1.0);
}

/// A right generator fails for one choice of the twenty seeds in 10,000.
#[test]
fn counts_scatter_as_those_of_independent_people() {
    let schedule = flat(Arrivals::Poisson, "1000/s", 100);
    for seed in SEEDS {
        let instants = instants(&schedule, seed, Stripe::WHOLE);
        for (windows, millis) in [(10_000, 10), (1_000, 100), (100, 1_000)] {
            let counts = counts(&instants, windows, Nanos::from_millis(millis));
            let scatter = dispersion(&counts);
            assert!(scatter.abs() < FAR, "seed {seed}, {millis} ms: {scatter}");
        }
        let all = (instants.len() as f64 - 1e5) / 1e5f64.sqrt();
        assert!(all.abs() < FAR, "seed {seed}: {all}");
        // Every third of them has the right rate, and the wrong process.
        let third: Vec<_> = instants.into_iter().step_by(3).collect();
        assert!(dispersion(&counts(&third, 1_000, Nanos::from_millis(100))) < -FAR);
    }
}

/// A right generator fails for one choice of the twenty seeds in 1,000.
#[test]
fn each_stripe_is_a_poisson_process_of_its_own() {
    let schedule = flat(Arrivals::Poisson, "3000/s", 30);
    for seed in SEEDS {
        let stripes = [0, 1, 2].map(|index| {
            let stripe = Stripe::new(index, 3).unwrap();
            instants(&schedule, seed, stripe)
        });
        let each = stripes
            .each_ref()
            .map(|stripe| counts(stripe, 1_000, Nanos::from_millis(30)));
        for (stripe, counts) in stripes.iter().zip(&each) {
            let distance = from_exponential(gaps(stripe), 1_000.0);
            assert!(distance < 1.0, "seed {seed}: {distance}");
            let scatter = dispersion(counts);
            assert!(scatter.abs() < FAR, "seed {seed}: {scatter}");
            let all = (stripe.len() as f64 - 3e4) / 3e4f64.sqrt();
            assert!(all.abs() < FAR, "seed {seed}: {all}");
        }
        for (a, b) in [(0, 1), (1, 2), (2, 0)] {
            let together = correlation(&each[a], &each[b]);
            assert!(together.abs() < FAR, "seed {seed}, {a} and {b}: {together}");
        }
        // Dealt out in turns, each has the right rate and is too even, and they go together.
        let whole = instants(&schedule, seed, Stripe::WHOLE);
        let turns = [0, 1].map(|first| {
            let turns: Vec<_> = whole.iter().copied().skip(first).step_by(3).collect();
            assert!(from_exponential(gaps(&turns), 1_000.0) > 1.0);
            counts(&turns, 1_000, Nanos::from_millis(30))
        });
        assert!(correlation(&turns[0], &turns[1]) > FAR);
    }
}

/// A right generator fails for one choice of the twenty seeds in 50,000.
#[test]
fn neighbouring_seeds_have_nothing_in_common() {
    let schedule = flat(Arrivals::Poisson, "1000/s", 30);
    let counts = |seed| {
        counts(
            &instants(&schedule, seed, Stripe::WHOLE),
            1_000,
            Nanos::from_millis(30),
        )
    };
    for seed in SEEDS {
        let together = correlation(&counts(seed), &counts(seed + 1));
        assert!(together.abs() < FAR, "seed {seed}: {together}");
    }
    assert!(correlation(&counts(0), &counts(0)) > FAR);
}

/// A right generator fails for one choice of the twenty seeds in 5,000.
#[test]
fn a_ramp_has_in_each_second_what_is_expected_of_it() {
    let leg = |from: &str, to: &str, secs| Leg {
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        lasts: Nanos::from_secs(secs),
    };
    let legs = vec![
        leg("100/s", "2000/s", 60),
        leg("50/s", "50/s", 20),
        leg("2000/s", "0/s", 60),
    ];
    let schedule = Schedule::legs(Arrivals::Poisson, legs).unwrap();
    let windows = 140;
    let expected = |window| {
        let from = Nanos::from_secs(window);
        schedule.expected(from, Nanos(from.0 + SECOND.0))
    };
    let right: Vec<_> = (0..windows).map(expected).collect();
    // As if the first ramp had begun two seconds late.
    let late: Vec<_> = right.iter().map(|expected| expected - 63.0).collect();
    let far = |counts: &[f64], expected: &[f64]| {
        let square = |(count, expected): (&f64, &f64)| (count - expected).powi(2) / expected;
        let sum: f64 = counts.iter().zip(expected).map(square).sum();
        // χ² with a degree for each window: its variance is twice that.
        let degrees = counts.len() as f64;
        (sum - degrees) / (2.0 * degrees).sqrt()
    };
    for seed in SEEDS {
        let counts = counts(&instants(&schedule, seed, Stripe::WHOLE), 140, SECOND);
        assert!(far(&counts, &right).abs() < FAR, "seed {seed}");
        let up = 0..60;
        assert!(
            far(&counts[up.clone()], &late[up]) > FAR,
            "late, seed {seed}"
        );
    }
    let rates: Vec<_> = [0, 60, 139].map(|window| right[window].round()).into();
    assert_eq!(rates, [116.0, 50.0, 17.0]);
    assert_eq!(schedule.peak(), Rate::per_second(2_000));
}
