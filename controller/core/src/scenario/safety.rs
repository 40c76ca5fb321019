//! What ends a run at once.

use std::collections::BTreeSet;

use nepho_common::{id::StepName, plan::Window, time::Nanos};

use super::{
    Judge, Stage, Step,
    duration::{duration, print_duration},
    expectation::{RawJudge, judge, on},
    raw::{RawAbort, RawSafety},
};
use crate::diagnose::{Checker, Code, Pointer, Problem};

/// The shortest and the longest past that is looked at together.
const OVER: (Nanos, Nanos) = (Nanos::from_secs(1), Nanos::from_secs(3_600));

/// What must hold while a run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbortIf {
    /// The step that is looked at.
    pub on: StepName,
    /// What must hold.
    pub judge: Judge,
    /// How much of the past is looked at together.
    pub over: Nanos,
}

/// Parses what ends a run. `steps` are all that the file has.
pub(super) fn safety(
    checker: &mut Checker,
    raw: Option<&RawSafety>,
    steps: &BTreeSet<&str>,
    stages: &[Stage],
) -> Vec<AbortIf> {
    let all = raw.and_then(|raw| raw.abort_if.as_ref());
    let at = Pointer::root().key("safety").key("abort-if");
    let each = all.into_iter().flatten().enumerate();
    let each = each.filter_map(|(index, raw)| Some((at.index(index), raw.as_ref()?)));
    each.filter_map(|(at, raw)| abort(checker, &at, raw, steps, stages))
        .collect()
}

fn abort(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawAbort,
    steps: &BTreeSet<&str>,
    stages: &[Stage],
) -> Option<AbortIf> {
    let on = on(checker, &at.key("on"), raw.on.as_deref(), Some(steps));
    let judge = judge(checker, at, &RawJudge::from(raw));
    let over_at = at.key("over");
    let over = duration(checker, &over_at, raw.over.as_deref(), OVER.0, OVER.1);
    let (on, judge, over) = (on?, judge?, over?);
    let having = || stages.iter().filter_map(|stage| stage.steps.get(&on));
    if having().any(|step| matches!(step, Step::Watch(_))) {
        let problem = Problem::new(Code::NotOneOf, "a watch ends no run")
            .label("name a step that is a `load` or a `probe`");
        checker.at_value(&at.key("on"), problem);
        return None;
    }
    // What is looked at is what agents have told: so finely is it divided.
    let (edge, whose) = if having().any(|step| matches!(step, Step::Probe(_))) {
        (Window::EDGE, "agents record what probes see")
    } else {
        (OVER.0, "agents record what loads see")
    };
    if over.0 % edge.0 > 0 {
        let spans = print_duration(edge);
        let message = format!("{} is no multiple of {spans}", print_duration(over));
        let problem = Problem::new(Code::BadDuration, message)
            .label(format!("a multiple of {spans}"))
            .help(format!("{whose} in spans of {spans}"));
        checker.at_value(&over_at, problem);
        return None;
    }
    Some(AbortIf { on, judge, over })
}
