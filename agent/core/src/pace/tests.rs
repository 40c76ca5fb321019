//! What holds of every schedule exactly: order, counts, stripes, tails.

use nepho_common::plan::{Leg, Rate};
use proptest::prelude::*;

use super::*;

const SECOND: Nanos = Nanos::from_secs(1);
const DAY: Nanos = Schedule::LASTS_MAX;

fn whole(schedule: &Schedule, seed: u64) -> Pace {
    Pace::new(schedule, seed, Stripe::WHOLE).unwrap()
}

fn flat(arrivals: Arrivals, rate: &str, lasts: Nanos) -> Schedule {
    Schedule::constant(arrivals, rate.parse().unwrap(), lasts).unwrap()
}

fn ramp(from: &str, to: &str, lasts: Nanos) -> Schedule {
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    Schedule::ramp(Arrivals::Constant, from, to, lasts).unwrap()
}

fn instants(schedule: &Schedule) -> Vec<u64> {
    whole(schedule, 0).map(|arrival| arrival.at.0).collect()
}

#[test]
fn evenly_spaced_arrivals_begin_at_the_start_and_end_before_the_end() {
    let four = flat(Arrivals::Constant, "4/s", SECOND);
    assert_eq!(instants(&four), [0, 250_000_000, 500_000_000, 750_000_000]);
    let three = flat(Arrivals::Constant, "3/s", SECOND);
    assert_eq!(instants(&three), [0, 333_333_333, 666_666_666]);
    let slow = flat(Arrivals::Constant, "0.001/s", Nanos::from_secs(1_001));
    assert_eq!(instants(&slow), [0, 1_000_000_000_000]);
}

#[test]
fn a_ramp_sends_where_its_count_is_whole() {
    // From 0 to 8/s in a second: 4t² are due, so arrival n is at √n / 2.
    let roots = [0, 500_000_000, 707_106_781, 866_025_403];
    assert_eq!(instants(&ramp("0/s", "8/s", SECOND)), roots);
    // Down again: 8t - 4t², arrival n at 1 - √(1 - n/4).
    let down = [0, 133_974_596, 292_893_218, 500_000_000];
    assert_eq!(instants(&ramp("8/s", "0/s", SECOND)), down);
}

#[test]
fn nothing_is_sent_in_a_pause_and_what_is_left_of_an_arrival_is_kept() {
    let leg = |rate: &str, millis| Leg::flat(rate.parse().unwrap(), Nanos::from_millis(millis));
    let legs = vec![
        leg("0/s", 100),
        leg("1/s", 500),
        leg("0/s", 100),
        leg("1/s", 1_500),
        leg("0/s", 100),
        leg("2/s", 500),
    ];
    let schedule = Schedule::legs(Arrivals::Constant, legs).unwrap();
    // The first after a pause, the second half an arrival later, the third as the last leg begins.
    assert_eq!(
        instants(&schedule),
        [100_000_000, 1_200_000_000, 2_300_000_000]
    );
}

#[test]
fn a_billion_arrivals_later_nothing_has_drifted() {
    // 1/7 of a nanosecond is lost each time if instants are rounded and added up.
    let seven = flat(Arrivals::Constant, "70000/s", DAY);
    let billion = whole(&seven, 0).nth(1_000_000_000).unwrap();
    assert_eq!(billion.number, 1_000_000_000);
    assert_eq!(
        billion.at,
        Nanos(14_285_714_285_714),
        "10^18 / 70,000, rounded down"
    );
    let mut near = whole(&seven, 0);
    near.skip_to(Nanos(billion.at.0 - 1_000_000_000));
    assert_eq!(near.clone().next().unwrap().number, 1_000_000_000 - 70_000);
    assert_eq!(
        near.nth(70_000),
        Some(billion),
        "one after the other, the same"
    );
    // The fastest for a day, and all ramps of it: the last arrival is the last that was expected.
    let top = "10000000/s";
    let (bottom, almost) = ("0/s", "9999999.999/s");
    for (schedule, last) in [
        (flat(Arrivals::Constant, top, DAY), DAY.0 - 100),
        (ramp(bottom, top, DAY), DAY.0 - 101),
        (ramp(top, bottom, DAY), DAY.0 - 131_453_414),
        (ramp(almost, top, DAY), DAY.0 - 81),
    ] {
        let count = schedule.count(Nanos(0), DAY).unwrap();
        let at = whole(&schedule, 0).nth(usize::try_from(count - 1).unwrap());
        assert_eq!(at.unwrap().number, count - 1);
        assert_eq!(at.unwrap().at, Nanos(last));
        assert_eq!(
            whole(&schedule, 0).nth(usize::try_from(count).unwrap()),
            None
        );
    }
    let mut over = Pace::new(&seven, 0, Stripe::new(2, 3).unwrap()).unwrap();
    assert_eq!((over.nth(usize::MAX), over.next()), (None, None));
}

/// At two parts a nanosecond half of all gaps end where a nanosecond does, to the part.
#[test]
fn what_is_due_to_the_part_is_not_skipped() {
    let slow = flat(Arrivals::Poisson, "0.001/s", DAY);
    let mut exactly = 0;
    for seed in 0..10 {
        let due = due_at_arrivals(&slow, seed);
        for (arrival, due) in whole(&slow, seed).zip(due) {
            let mut pace = whole(&slow, seed);
            pace.skip_to(arrival.at);
            assert_eq!(pace.next(), Some(arrival));
            exactly += u32::from(slow.due(arrival.at) == Parts(due));
        }
    }
    assert!(exactly > 100, "{exactly} of some 864");
}

/// Two of the few ramps in which the float is a nanosecond early: one in 7,000 at random.
#[test]
fn a_guess_that_is_early_is_put_right() {
    for (from, to, lasts, number) in [
        (
            1_502_317_915,
            5_292_815_142,
            76_828_260_097_339,
            261_020_772_017,
        ),
        (
            8_772_160_347,
            1_533_203_800,
            61_988_430_726_916,
            319_406_675_770,
        ),
    ] {
        let (from, to, lasts) = (Rate(from), Rate(to), Nanos(lasts));
        let leg = Leg { from, to, lasts };
        let ramp = Schedule::legs(Arrivals::Constant, vec![leg]).unwrap();
        let at = whole(&ramp, 0).nth(number).unwrap().at;
        let due = due(number as u64);
        assert!(leg.due(at) <= due && due < leg.due(Nanos(at.0 + 1)));
    }
}

#[test]
fn a_list_is_sent_as_it_is() {
    let list = Schedule::list([0, 5, 5, 9].map(Nanos).into()).unwrap();
    assert_eq!(instants(&list), [0, 5, 5, 9]);
    let mut odd = Pace::new(&list, 0, Stripe::new(1, 2).unwrap()).unwrap();
    odd.skip_to(Nanos(6));
    let last = Arrival {
        at: Nanos(9),
        number: 3,
    };
    assert_eq!((odd.next(), odd.next()), (Some(last), None));
    let beyond = Pace::new(&list, 0, Stripe::new(4, 5).unwrap()).unwrap();
    assert_eq!(beyond.count(), 0);
}

#[test]
fn nobody_paces_by_what_is_no_schedule() {
    let late_then_early = Schedule::List(vec![Nanos(1), Nanos(0)]);
    let why = Pace::new(&late_then_early, 0, Stripe::WHOLE).unwrap_err();
    assert_eq!(why, BadSchedule::Descending(2));
}

/// Every machine draws these. A program in another language found the same sums; with logarithms of
/// 50 digits 79 of the gaps are another part long, by one.
#[test]
fn a_seed_draws_the_same_everywhere_and_for_ever() {
    let legs = vec![
        Leg::flat("1000/s".parse().unwrap(), Nanos::from_secs(100)),
        Leg {
            from: "1000/s".parse().unwrap(),
            to: "3000/s".parse().unwrap(),
            lasts: Nanos::from_secs(100),
        },
    ];
    let schedule = Schedule::legs(Arrivals::Poisson, legs).unwrap();
    let first: Vec<_> = whole(&schedule, 7).take(4).map(|a| a.at.0).collect();
    assert_eq!(first, [716_684, 3_368_593, 3_998_278, 5_433_626]);
    // FNV-1a over whole numbers.
    let fold = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    let sum = |pace: Pace| {
        let basis = 0xcbf2_9ce4_8422_2325;
        pace.fold((basis, 0), |(sum, n), a| {
            (fold(fold(sum, a.at.0), a.number), n + 1)
        })
    };
    let all = (15_636_537_871_394_197_336, 299_945);
    assert_eq!(sum(whole(&schedule, 7)), all);
    let third = Pace::new(&schedule, 7, Stripe::new(2, 3).unwrap()).unwrap();
    assert_eq!(sum(third), (1_421_906_042_704_586_211, 99_635));
}

/// Legs of all kinds, with at most a few hundred arrivals each.
fn any_leg() -> impl Strategy<Value = Leg> {
    let rate = || prop_oneof![Just(0), 1..=Rate::MAX.0, 1..1_000_000u64, 1..1_000u64];
    let both = prop_oneof![rate().prop_map(|rate| (rate, rate)), (rate(), rate())];
    let halves = prop_oneof![Just(1), Just(40), Just(800)];
    (both, 0..1_000u64, halves).prop_map(|((from, to), thousandths, halves)| {
        // A sum of rates of two thousandths makes half an arrival in 500 s.
        let most = halves * 1_000_000_000_000 / (from + to).max(1);
        let lasts = 1 + most.min(DAY.0 / 6) / 1_000 * thousandths;
        let (from, to, lasts) = (Rate(from), Rate(to), Nanos(lasts));
        Leg { from, to, lasts }
    })
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let legs = (any::<bool>(), prop::collection::vec(any_leg(), 1..5));
    let legs = legs.prop_map(|(is_poisson, legs)| {
        let arrivals = [Arrivals::Constant, Arrivals::Poisson][usize::from(is_poisson)];
        Schedule::Legs { arrivals, legs }
    });
    let list = prop::collection::vec(0..1_000u64, 1..200).prop_map(|mut list| {
        list.sort_unstable();
        Schedule::List(list.into_iter().map(Nanos).collect())
    });
    let any = prop_oneof![4 => legs, 1 => list];
    any.prop_filter("a schedule of pauses is none", |any| any.validate().is_ok())
}

/// What is due where each arrival is, added up without a line.
fn due_at_arrivals(schedule: &Schedule, seed: u64) -> Vec<u128> {
    let all = schedule.due(schedule.lasts()).0;
    let chance = Chance::new(seed);
    let poisson = |so_far: &mut u128, number: u64| {
        *so_far += u128::from(chance.gap(number));
        Some(*so_far)
    };
    let one = u128::from(Parts::ARRIVAL);
    let each: Box<dyn Iterator<Item = u128>> = match schedule {
        Schedule::List(_) => unreachable!("a list has no rate"),
        Schedule::Legs { arrivals, .. } => match arrivals {
            Arrivals::Constant => Box::new((0u64..).map(move |n| u128::from(n) * one)),
            Arrivals::Poisson => Box::new((0u64..).scan(0, poisson)),
        },
    };
    each.take_while(|due| *due < all).collect()
}

proptest! {
    /// The law of instants, from the integers of the schedule alone.
    #[test]
    fn an_arrival_is_the_last_nanosecond_at_which_no_more_is_due(
        schedule in any_schedule(), seed: u64,
    ) {
        let arrivals: Vec<_> = whole(&schedule, seed).collect();
        if let Schedule::List(list) = &schedule {
            let found: Vec<_> = arrivals.iter().map(|arrival| arrival.at).collect();
            prop_assert_eq!(&found, list);
            return Ok(());
        }
        let due = due_at_arrivals(&schedule, seed);
        prop_assert_eq!(arrivals.len(), due.len());
        for (Arrival { at, number }, due) in arrivals.into_iter().zip(due) {
            prop_assert!(schedule.due(at).0 <= due, "{number} at {at:?} is early");
            let later = Nanos(at.0 + 1);
            prop_assert!(due < schedule.due(later).0, "{number} at {at:?} is late");
        }
    }

    /// The same law in ramps of up to a day with up to a million million arrivals.
    #[test]
    fn long_ramps_are_exact_from_end_to_end(
        ends in (0..=Rate::MAX.0, prop_oneof![Just(0), Just(1), 0..=Rate::MAX.0]), rises: bool,
        lasts in 1..=DAY.0, millionths in prop_oneof![Just(0), Just(1_000_000), 999_000..1_000_000u64, 0..1_000_000u64],
    ) {
        let (from, to) = if rises { (ends.1, ends.0) } else { ends };
        let leg = Leg { from: Rate(from), to: Rate(to), lasts: Nanos(lasts) };
        prop_assume!(from + to > 0);
        let schedule = Schedule::legs(Arrivals::Constant, vec![leg]).unwrap();
        let last = schedule.count(Nanos(0), leg.lasts).unwrap() - 1;
        let number = last * millionths / 1_000_000;
        let found = whole(&schedule, 0).nth(usize::try_from(number).unwrap()).unwrap();
        prop_assert_eq!(found.number, number);
        prop_assert!(leg.due(found.at) <= due(number), "early");
        prop_assert!(due(number) < leg.due(Nanos(found.at.0 + 1)), "late");
    }

    #[test]
    fn arrivals_are_in_order_numbered_and_before_the_end(schedule in any_schedule(), seed: u64) {
        let mut pace = whole(&schedule, seed);
        let (mut before, mut count) = (Nanos(0), 0);
        for arrival in pace.by_ref() {
            prop_assert!(before <= arrival.at && arrival.at < schedule.lasts());
            prop_assert_eq!(arrival.number, count);
            (before, count) = (arrival.at, count + 1);
        }
        prop_assert_eq!(pace.next(), None, "it is over for good");
        prop_assert_eq!(pace.nth(3), None);
    }

    #[test]
    fn a_window_has_as_many_as_are_due_in_it(
        schedule in any_schedule(), seed: u64, cuts: [u64; 2],
    ) {
        let [a, b] = cuts.map(|at| Nanos(at % (schedule.lasts().0 + 2)));
        let (from, to) = (a.min(b), a.max(b));
        let inside = |arrival: &Arrival| from <= arrival.at && arrival.at < to;
        let found = whole(&schedule, seed).filter(inside).count() as u64;
        if let Some(count) = schedule.count(from, to) {
            prop_assert_eq!(found, count);
        }
    }

    /// Over agents, and over the cores of each.
    #[test]
    fn all_stripes_together_are_the_schedule(
        schedule in any_schedule(), seed: u64, agents in 1u32..6, cores in prop::array::uniform5(1u32..5),
    ) {
        let mut all = Vec::new();
        for (agent, cores) in (0..agents).zip(cores) {
            let agent = Stripe::new(agent, agents).unwrap();
            let mut of_cores = Vec::new();
            for core in 0..cores {
                let core = agent.split(core, cores).unwrap();
                let arrivals: Vec<_> = Pace::new(&schedule, seed, core).unwrap().collect();
                prop_assert!(arrivals.is_sorted_by(|a, b| a.at <= b.at && a.number < b.number));
                of_cores.extend(arrivals);
            }
            of_cores.sort_unstable_by_key(|arrival| arrival.number);
            let of_agent: Vec<_> = Pace::new(&schedule, seed, agent).unwrap().collect();
            prop_assert_eq!(&of_cores, &of_agent);
            all.extend(of_agent);
        }
        all.sort_unstable_by_key(|arrival| arrival.number);
        prop_assert_eq!(all, whole(&schedule, seed).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_skipped_to_is_the_tail(
        schedule in any_schedule(), seed: u64, of in 1u32..4, index: u32,
        taken in 0usize..50, places: [u64; 2],
    ) {
        let stripe = Stripe::new(index % of, of).unwrap();
        let mut pace = Pace::new(&schedule, seed, stripe).unwrap();
        let mut tail: Vec<_> = pace.clone().collect();
        tail.drain(..taken.min(tail.len()));
        pace.by_ref().take(taken).for_each(drop);
        // Anywhere, or where an arrival is; back or forth.
        let [anywhere, nth] = places;
        let anywhere = Nanos(anywhere % (schedule.lasts().0 + 2));
        let arrival = whole(&schedule, seed).nth(usize::try_from(nth % 500).unwrap());
        for at in [anywhere, arrival.map_or(anywhere, |arrival| arrival.at)] {
            pace.skip_to(at);
            tail.retain(|arrival| at <= arrival.at);
            prop_assert_eq!(&pace.clone().collect::<Vec<_>>(), &tail);
        }
    }

    #[test]
    fn the_nth_is_the_one_that_comes_nth(
        schedule in any_schedule(), seed: u64, of in 1u32..4, taken in 0usize..5, nth in 0usize..600,
    ) {
        let mut pace = Pace::new(&schedule, seed, Stripe::new(of - 1, of).unwrap()).unwrap();
        pace.by_ref().take(taken).for_each(drop);
        let mut plain = pace.clone();
        let expected = (0..=nth).map(|_| plain.next()).last().flatten();
        prop_assert_eq!(pace.nth(nth), expected);
        prop_assert_eq!(pace.next(), plain.next());
    }
}
