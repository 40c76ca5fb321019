mod journals;

use nepho_common::plan::Ratio;
use proptest::prelude::*;

use super::{dispersion::Evenness, *};

const FIVE: Ratio = Ratio(50_000);
const SURE: Ratio = Ratio(950_000);

/// Back ends of these weights that got so many requests, each on a connection of its own.
fn got(counts: &[(u32, u64)]) -> Vec<Backend> {
    let one = |(place, &(weight, n)): (usize, &(u32, u64))| Backend {
        name: format!("b{place}"),
        weight: Some(weight),
        requests: n,
        connections: n,
    };
    counts.iter().enumerate().map(one).collect()
}

fn judged(counts: &[(u32, u64)]) -> Distribution {
    distribution(&got(counts), DecidesOn::Request, FIVE, SURE)
}

fn founds(of: &Distribution) -> Vec<Found> {
    of.shares.iter().map(|share| share.found).collect()
}

#[test]
fn a_round_robin_is_as_configured_and_more_even_than_chance() {
    let even = judged(&[(1, 1_000), (1, 1_000), (1, 1_000)]);
    assert_eq!(even.verdict, Verdict::Pass);
    assert_eq!((even.distance_ppm, even.enough), (Some(0), None));
    let one = &even.shares[0];
    assert_eq!(
        (one.expected_ppm, one.observed_ppm),
        (333_333, Some(333_333))
    );
    // z of 0.05/6 is 2.3939798, and its square 5.7311393: (1/3 + 5.73/6000 -+ 2.39 * sqrt(2/27000 +
    // 5.73/36e6)) / (1 + 5.73/3000) is 0.3130642 and 0.3542380.
    assert_eq!(one.interval_ppm, Some((313_064, 354_239)));
    let dispersion = even.dispersion.unwrap();
    assert_eq!(dispersion.evenness, Evenness::RoundRobin);
    assert_eq!((dispersion.statistic_milli, dispersion.off_by), (0, 0));
}

#[test]
fn what_chance_does_is_as_configured_too() {
    // chi-square = (18^2 + 9^2 + 9^2) / 1000 = 0.486, over two degrees of freedom.
    let fair = judged(&[(1, 1_018), (1, 991), (1, 991)]);
    assert_eq!(fair.verdict, Verdict::Pass);
    assert_eq!(fair.distance_ppm, Some(6_000));
    let expected = Dispersion {
        statistic_milli: 243,
        degrees: 2,
        off_by: 18,
        evenness: Evenness::Random,
    };
    assert_eq!(fair.dispersion, Some(expected));
}

#[test]
fn a_share_beyond_the_tolerance_fails_whichever_side_it_is_on() {
    let skewed = judged(&[(1, 1_600), (1, 1_000), (1, 400)]);
    assert_eq!(skewed.verdict, Verdict::Fail);
    let expected = [Found::TooMuch, Found::AsConfigured, Found::TooLittle];
    assert_eq!(founds(&skewed), expected);
    assert_eq!(skewed.distance_ppm, Some(200_000));
    assert_eq!(skewed.dispersion.unwrap().evenness, Evenness::Uneven);
}

#[test]
fn weights_say_what_is_expected() {
    let weighted = [(5, 5_000), (1, 1_000), (1, 1_000)];
    assert_eq!(judged(&weighted).verdict, Verdict::Pass);
    let equal = weighted.map(|(_, n)| (1, n));
    assert_eq!(judged(&equal).verdict, Verdict::Fail);
}

#[test]
fn too_few_decisions_say_nothing_and_it_is_said_how_many_would() {
    let few = judged(&[(1, 10), (1, 10), (1, 10)]);
    assert_eq!(few.verdict, Verdict::Inconclusive);
    // The bound of Wilson's interval is p with (p - 1/3)^2 = z^2 p (1 - p) / n: the upper one, 1/3 +
    // 0.05, is the last to come inside. 5.7311393 * 0.3833333 * 0.6166667 / 0.0025 = 541.9.
    assert_eq!(few.enough, Some(542));
    assert_eq!(
        judged(&[(1, 180), (1, 180), (1, 180)]).verdict,
        Verdict::Inconclusive
    );
    assert_eq!(
        judged(&[(1, 181), (1, 181), (1, 181)]).verdict,
        Verdict::Pass
    );
}

#[test]
fn nothing_at_all_is_planned_for() {
    let none = judged(&[(1, 0), (1, 0), (1, 0)]);
    assert_eq!(none.verdict, Verdict::Inconclusive);
    assert_eq!((none.enough, none.distance_ppm), (Some(542), None));
    assert_eq!(none.shares[0].interval_ppm, None);
    assert_eq!(judged(&[]).verdict, Verdict::Inconclusive);
}

#[test]
fn the_number_of_decisions_is_about_that_of_the_textbook() {
    // z^2 (1 - w) / (w e^2) for a share of w give or take e of it: made with the plain normal
    // interval at w, so Wilson's, which asks at the bound, needs a little more.
    for (weights, margin, textbook) in [
        ([1, 2], Ratio(16_667), 3_074),
        ([1, 2], Ratio(6_667), 19_208),
        ([1, 9], Ratio(10_000), 3_458),
    ] {
        let none = got(&weights.map(|weight| (weight, 0)));
        // A tenth of doubt over two ends of two back ends is a fortieth: z is 1.96.
        let found = distribution(&none, DecidesOn::Request, margin, Ratio(900_000));
        let enough = found.enough.unwrap();
        assert!(
            (textbook..textbook * 110 / 100).contains(&enough),
            "{enough} for {textbook}"
        );
    }
}

#[test]
fn a_connection_counts_once_however_many_requests_it_carries() {
    let mut back_ends = got(&[(1, 3), (1, 2), (1, 1)]);
    for (one, requests) in back_ends.iter_mut().zip([5_000, 3_000, 2_000]) {
        one.requests = requests;
    }
    let by = |on| distribution(&back_ends, on, FIVE, SURE);
    let (request, connection) = (by(DecidesOn::Request), by(DecidesOn::Connection));
    assert_eq!(
        (request.verdict, request.decisions),
        (Verdict::Fail, 10_000)
    );
    assert_eq!(
        (connection.verdict, connection.decisions),
        (Verdict::Inconclusive, 6)
    );
    assert_eq!(connection.shares[0].observed_ppm, Some(500_000));
    assert_eq!(connection.dispersion, None);
}

#[test]
fn a_stranger_fails_it_and_one_that_is_configured_away_too() {
    let mut back_ends = got(&[(1, 1_000), (1, 1_000), (0, 0)]);
    let by = |back_ends: &[Backend]| distribution(back_ends, DecidesOn::Request, FIVE, SURE);
    assert_eq!(by(&back_ends).verdict, Verdict::Pass);
    back_ends[2].requests = 1;
    assert_eq!(by(&back_ends).verdict, Verdict::Fail);
    assert_eq!(by(&back_ends).shares[2].found, Found::Drained);
    back_ends[2].weight = None;
    assert_eq!(by(&back_ends).verdict, Verdict::Fail);
    assert_eq!(by(&back_ends).shares[2].found, Found::Unknown);
}

#[test]
fn who_got_nothing_is_starved_as_soon_as_chance_hardly_does_that() {
    // A fiftieth lies within the tolerance of nothing. 0.98^n is at most 0.05/4 from 217 on.
    let starved = |n| judged(&[(49, n), (1, 0)]);
    assert_eq!(founds(&starved(216)), [Found::AsConfigured, Found::Unsure]);
    assert_eq!(starved(216).verdict, Verdict::Inconclusive);
    assert_eq!(starved(216).enough, Some(217));
    assert_eq!(founds(&starved(217)), [Found::AsConfigured, Found::Starved]);
    assert_eq!(starved(217).verdict, Verdict::Fail);
}

#[test]
fn a_share_just_on_the_bound_is_never_decided() {
    let on = [(1, 550), (1, 450)];
    assert_eq!(judged(&on).verdict, Verdict::Inconclusive);
    assert_eq!(judged(&on).enough, None);
}

#[test]
fn chance_is_not_judged_by_fewer_than_five_expected_decisions() {
    // The lighter one is due 303/101 = 3, and 606/101 = 6.
    for few in [[(100, 300), (1, 3)], [(1, 3), (100, 300)]] {
        assert_eq!(judged(&few).dispersion, None);
        assert!(
            judged(&few.map(|(weight, n)| (weight, 2 * n)))
                .dispersion
                .is_some()
        );
    }
    assert_eq!(judged(&[(1, 1_000), (0, 0)]).dispersion, None);
}

#[test]
fn counts_that_no_run_reaches_are_judged_too() {
    let many = judged(&[(u32::MAX, u64::MAX), (u32::MAX, 0)]);
    assert_eq!(many.verdict, Verdict::Fail);
    assert_eq!(many.distance_ppm, Some(500_000));
    let half = u64::MAX / 2;
    assert_eq!(judged(&[(1, half), (1, half)]).verdict, Verdict::Pass);
    // More than can be counted: nothing to go by, and nothing to break by.
    assert_eq!(judged(&[(1, u64::MAX), (1, u64::MAX)]).decisions, u64::MAX);
}

prop_compose! {
    fn back_ends()(
        all in prop::collection::vec((prop::option::weighted(0.95, 0u32..20), 0u64..5_000), 1..7),
    ) -> Vec<Backend> {
        let one = |(place, (weight, n)): (usize, (Option<u32>, u64))| Backend {
            name: format!("b{place}"),
            weight,
            requests: n,
            connections: n / 10,
        };
        all.into_iter().enumerate().map(one).collect()
    }
}

fn on(back_ends: &[Backend], tolerance: u32, confidence: u32) -> Distribution {
    let (tolerance, confidence) = (Ratio(tolerance), Ratio(confidence));
    distribution(back_ends, DecidesOn::Request, tolerance, confidence)
}

proptest! {
    #[test]
    fn the_order_of_back_ends_changes_nothing(
        (given, shuffled) in back_ends().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        tolerance in 0u32..200_000, confidence in 500_000u32..999_999,
    ) {
        let (one, mut other) = (on(&given, tolerance, confidence), on(&shuffled, tolerance, confidence));
        other.shares.sort_by(|a, b| a.name.cmp(&b.name));
        prop_assert_eq!(one, other);
    }

    #[test]
    fn the_scale_of_weights_changes_nothing(
        given in back_ends(), times in 1u32..1_000_000,
        tolerance in 0u32..200_000, confidence in 500_000u32..999_999,
    ) {
        let mut scaled = given.clone();
        scaled.iter_mut().for_each(|one| one.weight = one.weight.map(|weight| weight * times));
        prop_assert_eq!(on(&given, tolerance, confidence), on(&scaled, tolerance, confidence));
    }

    #[test]
    fn so_many_alike_do_decide_it(
        given in back_ends(), tolerance in 1_000u32..200_000, confidence in 500_000u32..999_999,
    ) {
        let found = on(&given, tolerance, confidence);
        prop_assert!(found.enough.is_none() || found.verdict == Verdict::Inconclusive);
        if let Some(enough) = found.enough.filter(|_| found.decisions > 0) {
            prop_assert!(enough > found.decisions, "{} of {}", enough, found.decisions);
            let times = enough.div_ceil(found.decisions);
            let mut more = given;
            more.iter_mut().for_each(|one| one.requests *= times);
            prop_assert_ne!(on(&more, tolerance, confidence).verdict, Verdict::Inconclusive);
        }
    }

    #[test]
    fn more_tolerance_never_accuses_and_less_never_acquits(
        given in back_ends(), tolerance in 0u32..200_000, more in 0u32..200_000,
        confidence in 500_000u32..999_999,
    ) {
        let (strict, lax) = (on(&given, tolerance, confidence), on(&given, tolerance + more, confidence));
        prop_assert!(strict.verdict != Verdict::Pass || lax.verdict == Verdict::Pass);
        prop_assert!(lax.verdict != Verdict::Fail || strict.verdict == Verdict::Fail);
        prop_assert_eq!(strict.distance_ppm, lax.distance_ppm);
    }
}
