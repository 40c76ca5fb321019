//! What 200 runs say of a balancer of which it is known how it spreads.

use nepho_common::plan::Ratio;

use super::{FIVE, SURE, got};
use crate::{
    fleet::DecidesOn,
    report::{
        model::Verdict,
        stats::{
            binomial::Binomial,
            distribution::{Distribution, Found, dispersion::Evenness, distribution},
            draws::Draws,
        },
    },
};

const RUNS: u64 = 200;
const DECISIONS: u64 = 2_000;

/// One run of a balancer that draws by these weights.
fn drawn(weights: &[u32], seed: u64) -> Vec<u64> {
    let mut draws = Draws::new(seed);
    let all = weights.iter().copied().map(u64::from).sum();
    let mut counts = vec![0; weights.len()];
    for _ in 0..DECISIONS {
        let mut left = draws.below(all);
        let chosen = weights.iter().position(|&weight| {
            let is_here = left < u64::from(weight);
            left = left.saturating_sub(u64::from(weight));
            is_here
        });
        counts[chosen.unwrap()] += 1;
    }
    counts
}

/// What 200 runs are found to be, of a balancer that does one thing and says another.
fn runs(says: &[u32], does: &[u32], tolerance: Ratio) -> Vec<Distribution> {
    let run = |seed| {
        let counts = drawn(does, seed);
        let counts: Vec<_> = says.iter().copied().zip(counts).collect();
        distribution(&got(&counts), DecidesOn::Request, tolerance, SURE)
    };
    (0..RUNS).map(run).collect()
}

fn accused(of: &[Distribution]) -> u64 {
    of.iter().filter(|run| run.verdict == Verdict::Fail).count() as u64
}

fn fair() -> [Vec<u32>; 4] {
    [vec![1, 1, 1], vec![5, 1, 1], vec![3, 2, 2, 1], vec![1; 12]]
}

/// The most of 200 that are accused if each is with a chance of a twentieth: a right test shows more
/// than these once in 2,000 times.
fn most_by_chance() -> u64 {
    Binomial::new(RUNS, (1, 20)).first_reaching(0.999_5)
}

#[test]
fn a_fair_balancer_is_accused_no_more_often_than_is_said() {
    let mut all = 0;
    for weights in fair() {
        // Without tolerance each miss of an interval is an accusation: the whole of the doubt.
        let exact = accused(&runs(&weights, &weights, Ratio(0)));
        println!(
            "{weights:?}: {exact} of {RUNS} accused, may be {}",
            most_by_chance()
        );
        assert!(exact <= most_by_chance(), "{exact} for {weights:?}");
        all += exact;
        // With one hardly any is, for the truth lies that far from the bound.
        let tolerant = runs(&weights, &weights, Ratio(50_000));
        assert_eq!(accused(&tolerant), 0, "{weights:?}");
        let passed = tolerant.iter().filter(|run| run.verdict == Verdict::Pass);
        assert!(passed.count() > 190, "{weights:?}");
    }
    // The intervals are not so wide that none could ever miss.
    let least = Binomial::new(4 * RUNS, (2, 100)).first_above(0.000_5);
    assert!(all >= least, "{all} in all, not {least}");
}

/// The chance that the first back end, with this true share, is found to have too much: exact, by
/// the first count of which that is said.
fn power(share: (u64, u64), says: &[u32; 3]) -> f64 {
    let found = |n: u64| {
        // How the others share the rest is nothing to the first one.
        let counts = [(says[0], n), (says[1], DECISIONS - n), (says[2], 0)];
        distribution(&got(&counts), DecidesOn::Request, FIVE, SURE).shares[0].found
    };
    let least = (0..=DECISIONS)
        .find(|&n| found(n) == Found::TooMuch)
        .unwrap();
    1.0 - Binomial::new(DECISIONS, share).at_most(least - 1)
}

#[test]
fn a_skew_of_twice_the_tolerance_is_found_as_often_as_it_can_be() {
    // Ten percentage points more than is said: 13/30 of 10/30, and 12/20 of 10/20.
    for (says, does) in [([10, 10, 10], [13, 9, 8]), ([10, 5, 5], [12, 4, 4])] {
        let all: u32 = does.iter().sum();
        let power = power((does[0].into(), all.into()), &says);
        assert!(power > 0.95, "{power}");
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 1,000,000"
        )]
        let ppm = (power * 1e6) as u64;
        let least = Binomial::new(RUNS, (ppm, 1_000_000)).first_above(0.000_5);
        let found = accused(&runs(&says, &does, FIVE));
        println!("{does:?}: {found} of {RUNS} accused, at least {least} of a chance of {power:.4}");
        assert!(
            found >= least,
            "{found} of {RUNS}, not {least}, for {does:?}"
        );
    }
}

#[test]
fn with_shuffled_weights_a_fair_balancer_is_accused_every_time() {
    // So the bound of the first test is missed by far.
    let found = accused(&runs(&[1, 5, 1], &[5, 1, 1], FIVE));
    assert_eq!(found, RUNS);
    assert!(found > most_by_chance());
}

#[test]
fn a_skew_that_is_within_the_tolerance_is_none() {
    assert_eq!(accused(&runs(&[50, 50], &[52, 48], FIVE)), 0);
}

#[test]
fn dice_are_told_from_turns_as_often_as_is_said() {
    let dice = runs(&[1, 1, 1], &[1, 1, 1], FIVE);
    let said = |evenness| {
        let of = dice.iter().filter_map(|run| run.dispersion);
        of.filter(|one| one.evenness == evenness).count() as u64
    };
    let (turns, uneven) = (said(Evenness::RoundRobin), said(Evenness::Uneven));
    let most = Binomial::new(RUNS, (25, 1_000)).first_reaching(0.999_5);
    assert!(
        turns <= most && uneven <= most,
        "{turns} and {uneven} of {RUNS}, not {most}"
    );
    assert_eq!(said(Evenness::Random), RUNS - turns - uneven);
    // Four balancers that take turns, each from a place of its own, are off by at most four.
    let counts = got(&[(1, 667), (1, 664), (1, 669)]);
    let turns = distribution(&counts, DecidesOn::Request, FIVE, SURE).dispersion;
    let turns = turns.unwrap();
    assert_eq!((turns.evenness, turns.off_by), (Evenness::RoundRobin, 3));
}
