//! How many requests of a load must succeed in a second.

use nepho_common::plan::Rate;

use super::{
    super::{Step, raw::RawThroughput},
    Expectation, Judge, bounds,
};
use crate::diagnose::{Checker, Code, Pointer, Problem, quoted};

/// Parses it at `at`.
pub(super) fn parse(checker: &mut Checker, at: &Pointer, raw: &RawThroughput) -> Option<Judge> {
    let min = rate(checker, &at.key("min"), raw.min.as_deref());
    let max = rate(checker, &at.key("max"), raw.max.as_deref());
    if (raw.min.is_some() && min.is_none()) || (raw.max.is_some() && max.is_none()) {
        return None;
    }
    if min == Some(Rate(0)) {
        let problem = Problem::new(Code::BadBounds, "there are always as many as none")
            .label("above 0/s, or leave it out");
        checker.at_value(&at.key("min"), problem);
        return None;
    }
    bounds(checker, at, min, max).map(|bounds| Judge::Throughput { bounds })
}

fn rate(checker: &mut Checker, at: &Pointer, text: Option<&str>) -> Option<Rate> {
    checker.text(at, text, |text| {
        text.parse::<Rate>().map_err(|why| {
            Problem::new(Code::BadSchedule, format!("{} is not a rate", quoted(text)))
                .label(why.to_string())
                .help("requests per second or minute: 800/s, 30/m")
        })
    })
}

/// Notes that it is expected of a probe, which asks as often as it is told to.
pub(in crate::scenario) fn is_of_load(
    checker: &mut Checker,
    at: &Pointer,
    one: &Expectation,
    step: &Step,
) {
    match (&one.judge, step) {
        (Judge::Throughput { .. }, Step::Probe(_)) => {
            let what = "a probe asks as often as it is told to";
            let problem = Problem::new(Code::NotOneOf, what).label("judge a step that is a `load`");
            checker.at_value(&at.key("on"), problem);
        }
        // A watch is told that it has nothing of the kind.
        (_, Step::Probe(_) | Step::Load(_) | Step::Watch(_)) => {}
    }
}
