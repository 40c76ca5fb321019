//! How many users a closed load must carry.

use nepho_common::{
    plan::{LatencyMax, Quantile},
    time::Nanos,
};

use super::{
    super::{
        LoadModel, Step,
        duration::print_duration,
        raw::{RawConcurrency, RawExpectation, RawLatency},
    },
    Expectation, Judge, durations, ratio,
};
use crate::diagnose::{Checker, Code, Pointer, Problem, quoted};

/// The most stairs that are judged: each is a part of the stage of its own, and a line of the report.
const STAIRS_MAX: u32 = 100;

/// Parses it at `at`.
pub(super) fn parse(checker: &mut Checker, at: &Pointer, raw: &RawConcurrency) -> Option<Judge> {
    let latency = match &raw.latency {
        None => None,
        Some(raw) => Some(latency(checker, &at.key("latency"), raw)?),
    };
    let success_rate = match &raw.success_rate {
        None => None,
        Some(raw) => {
            let at = at.key("success-rate").key("min");
            Some(ratio(checker, &at, raw.min.as_deref())?)
        }
    };
    if latency.is_none() && success_rate.is_none() {
        if !checker.is_incomplete(at) {
            let what = "nothing says within which limits users are carried";
            let problem = Problem::new(Code::MissingKey, what)
                .label("`latency` or `success-rate` is missing")
                .help("for example `latency: {p95: {max: 300ms}}`");
            checker.at_key(at, problem);
        }
        return None;
    }
    Some(Judge::Concurrency {
        min: raw.min?,
        latency,
        success_rate,
    })
}

fn latency(checker: &mut Checker, at: &Pointer, raw: &RawLatency) -> Option<LatencyMax> {
    let given = |quantile| Some((quantile, raw.bounds(quantile)?));
    let mut given = Quantile::ALL.into_iter().filter_map(given);
    let (Some((quantile, bounds)), None) = (given.next(), given.next()) else {
        if !checker.is_incomplete(at) {
            let what = "users are carried within one figure of the latency";
            let problem = Problem::new(Code::ExactlyOne, what)
                .label("exactly one of `p50`, `p75`, `p90`, `p95`, `p99`, `p99.9` and `max`")
                .help("write one entry for each");
            checker.at_key(at, problem);
        }
        return None;
    };
    let at = at.key(quantile.word());
    let bounds = durations(checker, &at, bounds)?;
    let (None, Some(max)) = (bounds.min, bounds.max) else {
        let what = "with more users answers get slower, and only the most is a limit";
        let problem = Problem::new(Code::BadBounds, what).label("`max`, without `min`");
        checker.at_key(&at, problem);
        return None;
    };
    Some(LatencyMax { quantile, max })
}

/// Notes that it is told apart, or judged in a part of the stage: users are those of all agents
/// together, and each stair is a part of its own.
pub(super) fn is_of_all(checker: &mut Checker, at: &Pointer, raw: &RawExpectation) {
    let by = (raw.by.is_some(), "users are of all agents together");
    let during = (raw.during.is_some(), "each stair is judged by itself");
    for (key, (is_there, why)) in [("by", by), ("during", during)] {
        if is_there {
            let what = format!("`concurrency` has no `{key}`");
            let problem = Problem::new(Code::NotOneOf, what).label("leave it out");
            checker.at_key(&at.key(key), problem.help(why));
        }
    }
}

/// Notes that a step of a stage that is so long has no such users.
pub(in crate::scenario) fn has_users(
    checker: &mut Checker,
    at: &Pointer,
    (one, min): (&Expectation, u32),
    step: &Step,
    lasts: Option<Nanos>,
) {
    let on = at.key("on");
    let stairs = match step {
        Step::Load(load) => match &load.model {
            LoadModel::Closed {
                rise: Some(rise), ..
            } => Some((load.warm_up, *rise)),
            LoadModel::Closed { rise: None, .. } | LoadModel::Open { .. } => None,
        },
        Step::Probe(_) => None,
        // It is told that it has nothing of the kind.
        Step::Watch(_) => return,
    };
    let Some((warm_up, rise)) = stairs else {
        let what = format!("{} has no stairs of users", quoted(one.on.as_str()));
        let problem = Problem::new(Code::NotOneOf, what)
            .label("name a closed load with stairs")
            .help("for example `closed: {stairs: {from: 10, to: 100, count: 10}}`");
        return checker.at_value(&on, problem);
    };
    let first = lasts.map(|lasts| rise.span(0, lasts).1);
    if min > rise.to() {
        let problem = Problem::new(Code::OutOfRange, format!("there are never {min} users"))
            .label(format!("the last stair has {}", rise.to()));
        checker.at_value(&at.key("concurrency").key("min"), problem);
    } else if rise.count() > STAIRS_MAX {
        let what = format!("{} stairs are too many to be judged", rise.count());
        let problem = Problem::new(Code::OutOfRange, what);
        checker.at_value(&on, problem.label(format!("{STAIRS_MAX} at most")));
    } else if let Some(first) = first.filter(|first| warm_up >= *first) {
        let what = "its warm-up leaves nothing of the first stair";
        let lasts = print_duration(first);
        let problem = Problem::new(Code::OutOfRange, what)
            .label(format!("the first stair lasts {lasts}"))
            .help("leave out `warm-up`: the first second of each stair never counts");
        checker.at_value(&on, problem);
    }
}
