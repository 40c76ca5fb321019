//! From the raw file to the scenario: the only door.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    id::{ScenarioName, StageName, StepName},
    plan::{Dimension, LostAgent},
    recording::Scope,
    time::Nanos,
};

use super::{
    Expectation, Judge, Scenario, Stage, Steady, Step,
    duration::{duration, print_duration},
    expectation::{expectation, has_users, is_of_load, steady},
    load::{Files, load},
    probe::probe,
    raw::{RawLostAgent, RawScenario, RawSelector, RawStage, RawStep},
    safety::safety,
    watch::watch,
};
use crate::{
    diagnose::{Checker, Code, Pointer, Problem, quoted},
    fleet::{Names, api, title},
};

/// A stage shorter than a second has no time to start; one longer than a day is a schedule.
pub(crate) const LASTS: (Nanos, Nanos) = (Nanos::from_secs(1), Nanos::from_secs(24 * 3600));

/// Parses a scenario against the names of its fleet. Without names (the fleet can't be read)
/// nothing is said about them.
pub(crate) fn parse(
    checker: &mut Checker,
    raw: &RawScenario,
    (names, files): (Option<&Names>, Option<&Files>),
) -> Option<Scenario> {
    let root = Pointer::root();
    api(checker, raw.api.as_deref());
    let name = checker.name::<ScenarioName>(&root.key("name"), raw.name.as_deref());
    let title = title(checker, &root.key("title"), raw.title.as_deref());
    let lost_agent = lost_agent(checker, raw);
    let at = root.key("stages");
    let mut earlier: Vec<&str> = Vec::new();
    let mut stages = Vec::new();
    for (index, raw) in raw.stages.iter().flatten().enumerate() {
        let at = at.index(index);
        let Some(raw) = raw else { continue };
        stages.extend(stage(checker, &at, raw, (names, files), &earlier));
        earlier.extend(raw.name.as_deref());
    }
    let steps = steps(raw);
    let steady_state = steady_state(checker, raw, &steps, &stages);
    let abort_if = safety(checker, raw.safety.as_ref(), &steps, &stages);
    Some(Scenario {
        name: name?,
        title,
        lost_agent: lost_agent?,
        steady_state,
        abort_if,
        stages,
    })
}

/// The names of all steps.
fn steps(raw: &RawScenario) -> BTreeSet<&str> {
    let all = raw.stages.iter().flatten().flatten();
    let steps = all.flat_map(|stage| stage.steps.iter().flatten());
    steps.map(|(name, _)| name.as_str()).collect()
}

fn steady_state(
    checker: &mut Checker,
    raw: &RawScenario,
    steps: &BTreeSet<&str>,
    stages: &[Stage],
) -> Vec<Steady> {
    let mut found = Vec::new();
    for (index, raw) in raw.steady_state.iter().flatten().enumerate() {
        let at = Pointer::root().key("steady-state").index(index);
        let Some(one) = raw
            .as_ref()
            .and_then(|raw| steady(checker, &at, raw, Some(steps)))
        else {
            continue;
        };
        let is_watch = stages
            .iter()
            .any(|stage| matches!(stage.steps.get(&one.on), Some(Step::Watch(_))));
        if is_watch {
            let problem = Problem::new(Code::NotOneOf, "a watch is no steady state")
                .label("judge a step that is a `probe`");
            checker.at_value(&at.key("on"), problem);
        }
        let mut having = stages
            .iter()
            .filter(|stage| stage.steps.contains_key(&one.on));
        let ends = [having.next(), having.next_back()];
        let short = ends.iter().flatten().find(|stage| stage.lasts < one.over);
        if let Some(stage) = short {
            let message = format!("stage {} does not last so long", stage.name);
            let problem = Problem::new(Code::OutOfRange, message)
                .label(format!("at most {}", print_duration(stage.lasts)));
            checker.at_value(&at.key("over"), problem);
        }
        found.push(one);
    }
    found
}

/// How long a lost agent is waited for when nothing is said: a host that restarts is back by then.
const WAITED: Nanos = Nanos::from_secs(120);

fn lost_agent(checker: &mut Checker, raw: &RawScenario) -> Option<LostAgent> {
    let at = Pointer::root().key("lost-agent-within");
    let within = raw.lost_agent_within.as_deref();
    let waits = raw.lost_agent == Some(RawLostAgent::Wait);
    if within.is_some() && !waits {
        let message = "lost-agent-within has a meaning only with lost-agent: wait";
        let problem = Problem::new(Code::NotOneOf, message).label("nothing waits");
        checker.at_value(&at, problem);
        return None;
    }
    Some(match raw.lost_agent {
        None | Some(RawLostAgent::Continue) => LostAgent::Continue,
        Some(RawLostAgent::Fail) => LostAgent::Fail,
        Some(RawLostAgent::Wait) if within.is_none() => LostAgent::Wait(WAITED),
        Some(RawLostAgent::Wait) => {
            let most = Nanos::from_secs(3600);
            LostAgent::Wait(duration(checker, &at, within, Nanos::from_secs(1), most)?)
        }
    })
}

fn stage(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawStage,
    known: (Option<&Names>, Option<&Files>),
    earlier: &[&str],
) -> Option<Stage> {
    let name = checker.name::<StageName>(&at.key("name"), raw.name.as_deref());
    if let Some(name) = raw.name.as_deref().filter(|name| earlier.contains(name)) {
        let message = format!("there is a stage {} already", quoted(name));
        let problem = Problem::new(Code::DuplicateName, message).label("the same name again");
        checker.at_value(&at.key("name"), problem);
    }
    let title = title(checker, &at.key("title"), raw.title.as_deref());
    let after = after(checker, at, raw, earlier);
    let lasts = duration(
        checker,
        &at.key("lasts"),
        raw.lasts.as_deref(),
        LASTS.0,
        LASTS.1,
    );
    let steps_at = at.key("steps");
    let mut steps = BTreeMap::new();
    for (text, raw) in raw.steps.iter().flatten() {
        let at = steps_at.key(text);
        let name = checker.key_name::<StepName>(&at, text);
        let step = raw
            .as_ref()
            .and_then(|raw| step(checker, &at, raw, known, lasts));
        if let (Some(name), Some(step)) = (name, step) {
            steps.insert(name, step);
        }
    }
    let known = raw
        .steps
        .as_ref()
        .map(|steps| steps.keys().map(String::as_str).collect());
    let of = (known.as_ref(), &steps, lasts);
    let expect = expectations(checker, &at.key("expect"), raw, of);
    Some(Stage {
        name: name?,
        title,
        after: after?,
        lasts: lasts?,
        steps,
        expect,
    })
}

fn after(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawStage,
    earlier: &[&str],
) -> Option<Vec<StageName>> {
    let at = at.key("after");
    let Some(list) = &raw.after else {
        return earlier.last().map_or(Some(Vec::new()), |before| {
            // A name that is no name is refused where it stands.
            before.parse().ok().map(|before| vec![before])
        });
    };
    let mut found: Vec<StageName> = Vec::new();
    for (index, text) in list.iter().enumerate() {
        let at = at.index(index);
        let Some(text) = text.as_deref() else {
            continue;
        };
        if !earlier.contains(&text) {
            let own = raw.name.as_deref() == Some(text);
            let label = if own {
                "this is the stage itself"
            } else {
                "only earlier stages count"
            };
            let message = format!("there is no earlier stage {}", quoted(text));
            let problem = Problem::new(Code::UnknownStage, message)
                .label(label)
                .meant(text, earlier.iter().copied());
            checker.at_value(&at, problem);
            continue;
        }
        if let Ok(name) = text.parse()
            && !found.contains(&name)
        {
            found.push(name);
        }
    }
    Some(found)
}

fn step(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawStep,
    (names, files): (Option<&Names>, Option<&Files>),
    lasts: Option<Nanos>,
) -> Option<Step> {
    match (&raw.probe, &raw.watch, &raw.load) {
        (Some(raw), None, None) => {
            no_via(checker, &at.key("probe").key("to"), raw.to.as_ref());
            probe(checker, &at.key("probe"), raw, names).map(|probe| Step::Probe(Box::new(probe)))
        }
        (None, Some(raw), None) => watch(checker, &at.key("watch"), raw, names).map(Step::Watch),
        (None, None, Some(raw)) => load(checker, &at.key("load"), raw, (names, files), lasts)
            .map(|load| Step::Load(Box::new(load))),
        (first, second, third) => {
            if !checker.is_incomplete(at) {
                let any = first.is_some() || second.is_some() || third.is_some();
                let (what, label) = if any {
                    (
                        "this step does more than one thing",
                        "exactly one of `probe`, `watch` and `load`",
                    )
                } else {
                    ("this step does nothing", "its kind is missing")
                };
                let problem = Problem::new(Code::ExactlyOne, what)
                    .label(label)
                    .help("for example `probe: {health: {}}`");
                checker.at_key(at, problem);
            }
            None
        }
    }
}

/// Only a load goes through a balancer.
fn no_via(checker: &mut Checker, at: &Pointer, raw: Option<&RawSelector>) {
    if raw.is_some_and(|to| to.via.is_some()) {
        let problem = Problem::new(Code::NotOneOf, "a probe asks each instance itself")
            .label("only a load has `via`")
            .help("to probe a balancer, select its own service");
        checker.at_key(&at.key("via"), problem);
    }
}

fn expectations(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawStage,
    (known, steps, lasts): (
        Option<&BTreeSet<&str>>,
        &BTreeMap<StepName, Step>,
        Option<Nanos>,
    ),
) -> Vec<Expectation> {
    let mut found: Vec<Expectation> = Vec::new();
    for (index, raw) in raw.expect.iter().flatten().enumerate() {
        let at = at.index(index);
        let Some(raw) = raw else { continue };
        let Some(one) = expectation(checker, &at, raw, known) else {
            continue;
        };
        let step = steps.get(&one.on);
        fits(checker, &at, &one, step);
        if let Some(step) = step {
            is_of_load(checker, &at, &one, step);
        }
        if let (Judge::Concurrency { min, .. }, Some(step)) = (&one.judge, step) {
            has_users(checker, &at, (&one, *min), step, lasts);
        }
        let again = found.iter().any(|other| {
            (&other.on, other.judge.subject(), &other.by, other.during)
                == (&one.on, one.judge.subject(), &one.by, one.during)
        });
        if again {
            let what = format!(
                "{} of {} is judged twice in the same way",
                one.judge.subject(),
                quoted(one.on.as_str())
            );
            let problem = Problem::new(Code::DuplicateName, what)
                .label("the same step, `by` and `during` again")
                .help("put both bounds into one entry");
            checker.at_value(&at.key("on"), problem);
        }
        found.push(one);
    }
    found
}

/// Whether figures of this scope can be told apart by it.
const fn tells_apart(scope: Option<Scope>, by: Dimension) -> bool {
    match by {
        Dimension::From => true,
        Dimension::Process => matches!(scope, Some(Scope::Process)),
        Dimension::Container => matches!(scope, Some(Scope::Container)),
        Dimension::Environment | Dimension::Group | Dimension::Service | Dimension::Instance => {
            false
        }
    }
}

/// A host has no answers to judge, and a target no processor.
fn fits(checker: &mut Checker, at: &Pointer, one: &Expectation, step: Option<&Step>) {
    let scope = one.judge.scope();
    let problem = |what: String| Problem::new(Code::NotOneOf, what);
    let (key, problem) = match step {
        Some(Step::Watch(_)) if scope.is_none() => {
            let what = format!("a watch has no {} to judge", one.judge.as_str());
            ("on", problem(what).label("judge it by `resource`"))
        }
        Some(Step::Probe(_) | Step::Load(_)) if scope.is_some() => {
            let what = "this step knows nothing of what hosts use".to_owned();
            ("on", problem(what).label("judge a step that is a `watch`"))
        }
        Some(Step::Watch(watch)) if scope.is_some_and(|scope| !watch.tells(scope)) => {
            let what = format!("{} does not look at that", quoted(one.on.as_str()));
            let key = match scope {
                Some(Scope::Process) => "add `processes` to that watch",
                Some(Scope::Container) => "add `containers` to that watch",
                Some(Scope::Host) | None => "add `host: {}` to that watch",
            };
            ("on", problem(what).label(key))
        }
        Some(Step::Watch(_)) if one.by.iter().any(|by| !tells_apart(scope, *by)) => {
            let (what, label) = match scope {
                Some(Scope::Process) => ("processes", "only `from` and `process`"),
                Some(Scope::Container) => ("containers", "only `from` and `container`"),
                Some(Scope::Host) | None => ("hosts", "only `from`"),
            };
            let what = format!("{what} are not told apart by that");
            ("by", problem(what).label(label))
        }
        Some(Step::Load(_)) if !one.judge.is_of_requests() => {
            let what = format!("a load has no {} to judge", one.judge.as_str());
            ("on", problem(what).label("judge a step that is a `probe`"))
        }
        Some(Step::Watch(_) | Step::Probe(_) | Step::Load(_)) | None => return,
    };
    checker.at_value(&at.key(key), problem);
}
