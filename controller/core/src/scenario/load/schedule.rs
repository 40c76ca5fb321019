//! When the requests of an open load are due.

use nepho_common::{
    plan::{Arrivals, BadSchedule, Leg, Rate, Schedule},
    time::Nanos,
};

use super::super::{
    asked,
    duration::{duration, print_duration},
    raw::{RawOpen, RawSpike},
};
use crate::diagnose::{Checker, Code, Pointer, Problem, quoted};

/// Parses the schedule at `at`, for a stage that is so long.
pub(super) fn schedule(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawOpen,
    lasts: Nanos,
) -> Option<Schedule> {
    let arrivals = raw.arrivals.as_deref().unwrap_or("poisson");
    let arrivals = checker.text(&at.key("arrivals"), Some(arrivals), |text| {
        let known = [
            ("poisson", Arrivals::Poisson),
            ("constant", Arrivals::Constant),
        ];
        asked::word(text, "kind of arrivals", &known)
    });
    let given = [
        raw.rate.is_some(),
        raw.ramp.is_some(),
        raw.stairs.is_some(),
        raw.spike.is_some(),
        raw.list.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        if !checker.is_incomplete(at) {
            let what = "an open load has one schedule";
            let problem = Problem::new(Code::ExactlyOne, what)
                .label("exactly one of `rate`, `ramp`, `stairs`, `spike` and `list`");
            checker.at_key(at, problem);
        }
        return None;
    }
    let arrivals = arrivals?;
    let rate = |checker: &mut Checker, at: &Pointer, text: &Option<String>| {
        checker.text(at, text.as_deref(), |text| {
            text.parse::<Rate>().map_err(|why| {
                Problem::new(Code::BadSchedule, format!("{} is not a rate", quoted(text)))
                    .label(why.to_string())
                    .help("requests per second or minute: 800/s, 30/m")
            })
        })
    };
    let (place, made) = if raw.rate.is_some() {
        let at = at.key("rate");
        let rate = rate(checker, &at, &raw.rate)?;
        (at, Schedule::constant(arrivals, rate, lasts))
    } else if let Some(ramp) = &raw.ramp {
        let at = at.key("ramp");
        let from = rate(checker, &at.key("from"), &ramp.from);
        let to = rate(checker, &at.key("to"), &ramp.to)?;
        (at, Schedule::ramp(arrivals, from?, to, lasts))
    } else if let Some(stairs) = &raw.stairs {
        let at = at.key("stairs");
        let from = rate(checker, &at.key("from"), &stairs.from);
        let to = rate(checker, &at.key("to"), &stairs.to)?;
        let count = usize::try_from(stairs.count?).ok()?;
        let each = Nanos(lasts.0 / count.max(1) as u64);
        (at, Schedule::steps(arrivals, (from?, to), count, each))
    } else if let Some(spike) = &raw.spike {
        let at = at.key("spike");
        let base = rate(checker, &at.key("base"), &spike.base);
        let peak = rate(checker, &at.key("peak"), &spike.peak)?;
        let legs = spiked(checker, &at, spike, (base?, peak), lasts)?;
        (at, Schedule::legs(arrivals, legs))
    } else {
        let at = at.key("list");
        let mut instants = Vec::new();
        for (index, text) in raw.list.iter().flatten().enumerate() {
            let last = Nanos(lasts.0.saturating_sub(1));
            let at = at.index(index);
            instants.push(duration(checker, &at, text.as_deref(), Nanos(0), last)?);
        }
        (at, Schedule::list(instants))
    };
    made.map_err(|why: BadSchedule| {
        let problem = Problem::new(Code::BadSchedule, "nobody can send by this");
        checker.at_value(&place, problem.label(why.to_string()));
    })
    .ok()
}

/// Legs of no length are left out: a spike may begin with the stage, and end with it.
fn spiked(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawSpike,
    (base, peak): (Rate, Rate),
    lasts: Nanos,
) -> Option<Vec<Leg>> {
    let begin = duration(checker, &at.key("at"), raw.at.as_deref(), Nanos(0), lasts)?;
    let for_at = at.key("for");
    let long = duration(checker, &for_at, raw.lasts.as_deref(), Nanos(1), lasts)?;
    let Some(after) = lasts.0.checked_sub(begin.0.saturating_add(long.0)) else {
        let most = print_duration(Nanos(lasts.0.saturating_sub(begin.0)));
        let what = "the spike is longer than the stage";
        let problem = Problem::new(Code::OutOfRange, what).label(format!("at most {most}"));
        checker.at_value(&for_at, problem);
        return None;
    };
    let legs = [(base, begin), (peak, long), (base, Nanos(after))];
    let legs = legs.map(|(rate, lasts)| Leg::flat(rate, lasts));
    Some(
        legs.into_iter()
            .filter(|leg| leg.lasts > Nanos(0))
            .collect(),
    )
}
