use proptest::prelude::*;

use super::*;

const MINUTE: Nanos = Nanos::from_secs(60);

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

fn leg(from: &str, to: &str, lasts: Nanos) -> Leg {
    Leg {
        from: rate(from),
        to: rate(to),
        lasts,
    }
}

#[test]
fn a_schedule_is_written_with_every_word_of_it() {
    let ramp = Schedule::ramp(Arrivals::Poisson, Rate(0), rate("2/s"), MINUTE).unwrap();
    let json = serde_json::to_string(&ramp).unwrap();
    assert_eq!(
        json,
        r#"{"legs":{"arrivals":"poisson","legs":[{"from":0,"to":2000,"lasts":60000000000}]}}"#
    );
    assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), ramp);
    let list = Schedule::list(vec![Nanos(0), Nanos(5)]).unwrap();
    let json = serde_json::to_string(&list).unwrap();
    assert_eq!(json, r#"{"list":[0,5]}"#);
    assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), list);
    for unknown in [
        r#"{"legs":{"arrivals":"poisson","legs":[],"x":1}}"#,
        r#"{"legs":{"arrivals":"poisson","legs":[{"from":0,"to":1,"lasts":1,"x":1}]}}"#,
        r#"{"legs":{"arrivals":"pareto","legs":[]}}"#,
        r#"{"legs":{"legs":[]}}"#,
    ] {
        assert!(serde_json::from_str::<Schedule>(unknown).is_err());
    }
}

#[test]
fn stairs_and_spikes_are_legs() {
    let stairs = |first, last, stairs| {
        let ends = (Rate(first), Rate(last));
        let schedule = Schedule::steps(Arrivals::Constant, ends, stairs, MINUTE).unwrap();
        let Schedule::Legs { legs, .. } = schedule else {
            panic!("a list")
        };
        assert!(
            legs.iter()
                .all(|leg| leg.from == leg.to && leg.lasts == MINUTE)
        );
        legs.iter().map(|leg| leg.from.0).collect::<Vec<_>>()
    };
    assert_eq!(stairs(100, 400, 4), [100, 200, 300, 400]);
    assert_eq!(stairs(400, 0, 3), [400, 200, 0]);
    assert_eq!(stairs(0, 10, 4), [0, 3, 7, 10], "to the nearest thousandth");
    assert_eq!(stairs(7, 9, 1), [7]);
    let spike = Schedule::spike(
        Arrivals::Constant,
        (Rate(1), MINUTE),
        (Rate(9), Nanos(1)),
        Nanos(2),
    );
    let legs = vec![
        leg("0.001/s", "0.001/s", MINUTE),
        leg("0.009/s", "0.009/s", Nanos(1)),
        leg("0.001/s", "0.001/s", Nanos(2)),
    ];
    assert_eq!(spike, Schedule::legs(Arrivals::Constant, legs));
}

#[test]
fn what_nobody_can_pace_by_is_refused_with_its_place() {
    let legs = |legs: &[Leg]| Schedule::legs(Arrivals::Constant, legs.to_vec()).unwrap_err();
    let good = leg("1/s", "2/s", MINUTE);
    assert_eq!(legs(&[]), BadSchedule::NoLegs);
    assert_eq!(legs(&[good; 1_001]), BadSchedule::ManyLegs(1_001));
    let none = leg("1/s", "2/s", Nanos(0));
    assert_eq!(legs(&[good, none]), BadSchedule::NoLength(2));
    let fast = Leg {
        to: Rate(Rate::MAX.0 + 1),
        ..good
    };
    let (leg_2, rate) = (2, fast.to);
    assert_eq!(
        legs(&[good, fast]),
        BadSchedule::TooFast { leg: leg_2, rate }
    );
    let pause = leg("0/s", "0/s", MINUTE);
    assert_eq!(legs(&[pause, pause]), BadSchedule::Nothing);
    let day = leg("1/s", "1/s", Schedule::LASTS_MAX);
    assert!(Schedule::legs(Arrivals::Constant, vec![day]).is_ok());
    let longer = Nanos(Schedule::LASTS_MAX.0 + MINUTE.0);
    assert_eq!(legs(&[day, pause]), BadSchedule::TooLong(longer));
    let ever = leg("1/s", "1/s", Nanos(u64::MAX));
    assert_eq!(legs(&[ever, ever]), BadSchedule::TooLong(Nanos(u64::MAX)));

    let list = |instants: &[u64]| Schedule::list(instants.iter().copied().map(Nanos).collect());
    assert_eq!(list(&[]), Err(BadSchedule::NoInstants));
    assert_eq!(list(&[0, 3, 3, 2]), Err(BadSchedule::Descending(4)));
    assert!(list(&[0, 3, 3]).is_ok(), "two at once are a burst");
    let end = Schedule::LASTS_MAX.0;
    assert!(list(&[end - 1]).is_ok());
    assert_eq!(list(&[end]), Err(BadSchedule::TooLong(Nanos(end + 1))));
    assert_eq!(
        list(&vec![0; Schedule::LIST_MAX + 1]),
        Err(BadSchedule::ManyInstants(100_001))
    );
    assert!(list(&vec![0; Schedule::LIST_MAX]).is_ok());
    let stairs = |stairs| {
        let ends = (Rate(1), Rate(2));
        Schedule::steps(Arrivals::Constant, ends, stairs, MINUTE).unwrap_err()
    };
    assert_eq!(stairs(0), BadSchedule::NoLegs);
    assert_eq!(stairs(usize::MAX), BadSchedule::ManyLegs(usize::MAX));

    assert_eq!(
        BadSchedule::TooFast { leg: 2, rate }.to_string(),
        "leg 2 goes up to 10000000.001/s: 10000000/s is the most"
    );
    assert_eq!(
        BadSchedule::ManyInstants(100_001).to_string(),
        "a list of 100001 instants is too long: 100000 is the most"
    );
}

#[test]
fn the_peak_is_the_highest_rate_or_the_busiest_second() {
    let up_down = vec![leg("1/s", "9/s", MINUTE), leg("9/s", "0/s", MINUTE)];
    let up_down = Schedule::legs(Arrivals::Poisson, up_down).unwrap();
    assert_eq!(
        (up_down.peak(), up_down.lasts()),
        (rate("9/s"), Nanos(2 * MINUTE.0))
    );
    let list = |instants: &[u64]| {
        let instants = instants.iter().map(|ms| Nanos::from_millis(*ms));
        Schedule::list(instants.collect()).unwrap().peak()
    };
    assert_eq!(list(&[5]), rate("1/s"));
    assert_eq!(list(&[0, 999, 1_000, 1_500, 1_998]), rate("4/s"));
    assert_eq!(
        list(&[0, 1_000, 2_000]),
        rate("1/s"),
        "a second is half open"
    );
    assert_eq!(list(&[7, 7, 7]), rate("3/s"));
}

#[test]
fn counts_are_exact_at_the_edges_of_legs_and_of_days() {
    let constant = |legs| Schedule::legs(Arrivals::Constant, legs).unwrap();
    let flat = constant(vec![leg("800/s", "800/s", Nanos::from_secs(65))]);
    assert_eq!(flat.count(Nanos(0), flat.lasts()), Some(52_000));
    assert_eq!(flat.count(Nanos(0), Nanos(1)), Some(1), "the first is at 0");
    assert_eq!(flat.count(Nanos(1), Nanos(1_250_000)), Some(0));
    assert_eq!(flat.count(Nanos(1), Nanos(1_250_001)), Some(1));
    assert_eq!(
        flat.count(Nanos(5), Nanos(4)),
        Some(0),
        "nothing is in no time"
    );
    let beyond = Nanos(u64::MAX);
    assert_eq!(flat.count(Nanos(0), beyond), Some(52_000));
    let day = constant(vec![Leg::flat(Rate::MAX, Schedule::LASTS_MAX)]);
    assert_eq!(day.count(Nanos(0), beyond), Some(864_000_000_000));
    // A third of an arrival in the first leg, two in the second: nothing is lost between them.
    let thirds = constant(vec![
        leg("1/s", "1/s", Nanos(333_333_333)),
        leg("1/s", "1/s", Nanos(666_666_667)),
        leg("0/s", "0/s", MINUTE),
        leg("1/s", "1/s", MINUTE),
    ]);
    assert_eq!(thirds.count(Nanos(0), Nanos::from_secs(61)), Some(1));
    assert_eq!(thirds.count(Nanos(0), Nanos(61_000_000_001)), Some(2));
    let (start, end) = (Nanos(0), Nanos::from_secs(30));
    let poisson = Schedule::ramp(Arrivals::Poisson, Rate(0), rate("1/s"), MINUTE).unwrap();
    assert_eq!(poisson.count(start, end), None);
    assert!((poisson.expected(start, end) - 7.5).abs() < 1e-12);
    let list = Schedule::list(vec![Nanos(0), Nanos(3), Nanos(3), Nanos(9)]).unwrap();
    assert_eq!(list.count(Nanos(0), Nanos(3)), Some(1));
    assert_eq!(list.count(Nanos(3), Nanos(9)), Some(2));
    assert!((list.expected(start, end) - 4.0).abs() < 1e-12);
}

#[test]
fn what_was_never_checked_saturates() {
    let ever = Nanos(u64::MAX);
    let wild = |from, to| Leg {
        from: Rate(from),
        to: Rate(to),
        lasts: ever,
    };
    let legs = [(u64::MAX, u64::MAX), (0, u64::MAX), (u64::MAX, 0)];
    let legs = legs.map(|(from, to)| wild(from, to));
    let schedule = Schedule::Legs {
        arrivals: Arrivals::Constant,
        legs: legs.into(),
    };
    assert_eq!(schedule.count(Nanos(0), ever), Some(u64::MAX));
    assert_eq!(schedule.lasts(), ever);
    assert!(schedule.validate().is_err());
    assert_eq!(leg("1/s", "1/s", Nanos(0)).due(ever), Parts(0));
}

fn any_leg() -> impl Strategy<Value = Leg> {
    let rate = || prop_oneof![Just(0), 0..=Rate::MAX.0, 0..10_000u64];
    let lasts = prop_oneof![1..=Schedule::LASTS_MAX.0 / 4, 1..1_000u64];
    (rate(), rate(), lasts).prop_map(|(from, to, lasts)| Leg {
        from: Rate(from),
        to: Rate(to),
        lasts: Nanos(lasts),
    })
}

proptest! {
    #[test]
    fn what_is_due_never_falls_and_is_the_mean_rate_at_the_end(leg in any_leg(), at: [u64; 2]) {
        let [a, b] = at.map(|at| at % (leg.lasts.0 + 1));
        let (a, b) = (a.min(b), a.max(b));
        prop_assert!(leg.due(Nanos(a)) <= leg.due(Nanos(b)));
        let all = u128::from(leg.from.0 + leg.to.0) * u128::from(leg.lasts.0);
        prop_assert_eq!(leg.due(leg.lasts), Parts(all));
        prop_assert_eq!(leg.due(Nanos(u64::MAX)), Parts(all));
    }

    /// Up and down again is the same from both ends.
    #[test]
    fn a_ramp_and_its_mirror_make_one_leg(leg in any_leg(), at: u64) {
        let mirror = Leg { from: leg.to, to: leg.from, lasts: leg.lasts };
        let at = at % (leg.lasts.0 + 1);
        let (head, tail) = (leg.due(Nanos(at)), mirror.due(Nanos(leg.lasts.0 - at)));
        let both = head.0 + tail.0;
        let all = leg.due(leg.lasts).0;
        prop_assert!(all <= both && both <= all + 1, "each is rounded up: {both}, {all}");
    }

    #[test]
    fn windows_add_up(
        legs in prop::collection::vec(any_leg(), 1..4), constant: bool, cuts: [u64; 3],
    ) {
        let arrivals = if constant { Arrivals::Constant } else { Arrivals::Poisson };
        let schedule = Schedule::Legs { arrivals, legs };
        let mut cuts = cuts.map(|at| Nanos(at % (schedule.lasts().0 + 2)));
        cuts.sort_unstable();
        let [a, b, c] = cuts;
        if let Some(whole) = schedule.count(a, c) {
            let parts = schedule.count(a, b).unwrap() + schedule.count(b, c).unwrap();
            prop_assert_eq!(whole, parts);
            prop_assert!(constant);
        } else {
            let parts = schedule.expected(a, b) + schedule.expected(b, c);
            prop_assert!((schedule.expected(a, c) - parts).abs() <= 1e-9 + 1e-12 * parts);
        }
    }
}

#[test]
fn a_reference_lane_sends_the_first_call_that_stands_alone_and_is_the_same_each_time() {
    let call = |name: &str| Call::plain(name.to_owned().try_into().unwrap(), 1);
    let filled = Call {
        is_template: true,
        ..call("filled")
    };
    let follows = Call {
        follows: true,
        ..call("follows")
    };
    let of = |calls: &[&Call]| {
        let load = Load::<()> {
            model: Model::Closed {
                think: Nanos(0),
                rise: None,
            },
            timeout: Nanos(1),
            warm_up: Nanos(0),
            calls: calls.iter().map(|call| (*call).clone()).collect(),
            feeds: Vec::new(),
            seed: 0,
            carried: Carried::default(),
            told_by: None,
            shares: Vec::new(),
            to: Vec::new(),
        };
        load.reference_call()
    };
    let (plain, other) = (call("plain"), call("other"));
    assert_eq!(of(&[&plain, &other]), Some(0));
    assert_eq!(of(&[&filled, &plain]), Some(1));
    assert_eq!(of(&[&plain, &follows, &other]), Some(2));
    assert_eq!(of(&[&plain, &follows]), None);
    assert_eq!(of(&[&filled]), None);
}
