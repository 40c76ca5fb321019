//! A watch: read regularly what hosts use and have left, and what some things on them use.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    id::{EnvironmentName, ThingName},
    plan::{BadPick, ContainerPick, PickText, ProcessPick},
    recording::Scope,
    time::Nanos,
};

use super::{
    Agents,
    duration::duration,
    probe::agents,
    raw::{RawContainer, RawProcess, RawWatch},
    selector::environments,
};
use crate::{
    diagnose::{Checker, Code, Pointer, Problem, quoted},
    fleet::Names,
};

/// Read regularly what the hosts of agents use and have left, and what some things on them use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Whether the hosts themselves are looked at.
    pub host: bool,
    /// Processes, by the name that findings have for them.
    pub processes: BTreeMap<ThingName, ProcessPick>,
    /// Containers, by the name that findings have for them.
    pub containers: BTreeMap<ThingName, ContainerPick>,
    /// The time from one reading to the next.
    pub every: Nanos,
    /// The environments whose agents look at their hosts; empty for all.
    pub from: BTreeSet<EnvironmentName>,
    /// How many agents of each environment look.
    pub agents: Agents,
}

impl Watch {
    /// Whether it looks at anything of this kind.
    #[must_use]
    pub fn tells(&self, scope: Scope) -> bool {
        match scope {
            Scope::Host => self.host,
            Scope::Process => !self.processes.is_empty(),
            Scope::Container => !self.containers.is_empty(),
        }
    }
}

/// A reading takes a millisecond or two; below a second the kernel's own figures hardly move.
const EVERY: (Nanos, Nanos) = (Nanos::from_secs(1), Nanos::from_secs(3600));

/// Parses the watch at `at`.
pub(crate) fn watch(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawWatch,
    names: Option<&Names>,
) -> Option<Watch> {
    let looks = raw.host.is_some() || raw.processes.is_some() || raw.containers.is_some();
    if !looks && !checker.is_incomplete(at) {
        let problem = Problem::new(Code::ExactlyOne, "this watch doesn't say what to look at")
            .label("at least one of `host`, `processes` and `containers`")
            .help("for example `watch: {host: {}}`");
        checker.at_key(at, problem);
    }
    let every = raw.every.as_deref().unwrap_or("5s");
    let every = duration(checker, &at.key("every"), Some(every), EVERY.0, EVERY.1);
    let from = environments(checker, &at.key("from"), raw.from.as_ref(), names);
    let agents = checker.text(
        &at.key("agents"),
        Some(raw.agents.as_deref().unwrap_or("all")),
        agents,
    );
    let processes = things(checker, &at.key("processes"), &raw.processes, process);
    let containers = things(checker, &at.key("containers"), &raw.containers, container);
    for name in containers
        .keys()
        .filter(|name| processes.contains_key(name))
    {
        let what = format!(
            "{} is a process of this watch already",
            quoted(name.as_str())
        );
        let problem = Problem::new(Code::DuplicateName, what).label("the same name again");
        checker.at_key(&at.key("containers").key(name.as_str()), problem);
    }
    Some(Watch {
        host: raw.host.is_some(),
        processes,
        containers,
        every: every?,
        from,
        agents: agents?,
    })
    .filter(|_| looks)
}

fn things<R, T>(
    checker: &mut Checker,
    at: &Pointer,
    raw: &Option<BTreeMap<String, Option<R>>>,
    thing: impl Fn(&mut Checker, &Pointer, &R) -> Option<T>,
) -> BTreeMap<ThingName, T> {
    let mut found = BTreeMap::new();
    for (text, raw) in raw.iter().flatten() {
        let at = at.key(text);
        let name = checker.key_name::<ThingName>(&at, text);
        let pick = raw.as_ref().and_then(|raw| thing(checker, &at, raw));
        if let (Some(name), Some(pick)) = (name, pick) {
            found.insert(name, pick);
        }
    }
    found
}

fn process(checker: &mut Checker, at: &Pointer, raw: &RawProcess) -> Option<ProcessPick> {
    let make = |key| move |text| (key, text);
    let all = [
        raw.name.as_deref().map(make("name")),
        raw.pid_file.as_deref().map(make("pid-file")),
        raw.unit.as_deref().map(make("unit")),
    ];
    let (key, text) = one_of(
        checker,
        at,
        &all,
        "exactly one of `name`, `pid-file` and `unit`",
    )?;
    let door = |text| match key {
        "name" => ProcessPick::Name(text),
        "unit" => ProcessPick::Unit(text),
        _ => ProcessPick::PidFile(text),
    };
    let pick =
        |text: &str| PickText::try_from(text.to_owned()).and_then(|text| door(text).checked());
    checker.text(&at.key(key), Some(text), |text| {
        pick(text).map_err(|why| bad(text, why))
    })
}

fn container(checker: &mut Checker, at: &Pointer, raw: &RawContainer) -> Option<ContainerPick> {
    let make = |key| move |text| (key, text);
    let all = [
        raw.name.as_deref().map(make("name")),
        raw.label.as_deref().map(make("label")),
    ];
    let (key, text) = one_of(checker, at, &all, "exactly one of `name` and `label`")?;
    let door = |text| match key {
        "name" => ContainerPick::Name(text),
        _ => ContainerPick::Label(text),
    };
    let pick =
        |text: &str| PickText::try_from(text.to_owned()).and_then(|text| door(text).checked());
    checker.text(&at.key(key), Some(text), |text| {
        pick(text).map_err(|why| bad(text, why))
    })
}

fn bad(text: &str, why: BadPick) -> Problem {
    let what = format!("{} picks nothing", quoted(text));
    Problem::new(Code::BadText, what).label(why.to_string())
}

fn one_of<'a>(
    checker: &mut Checker,
    at: &Pointer,
    all: &[Option<(&'static str, &'a str)>],
    label: &str,
) -> Option<(&'static str, &'a str)> {
    let mut given = all.iter().flatten();
    match (given.next(), given.next()) {
        (Some(one), None) => Some(*one),
        (first, _) => {
            if !checker.is_incomplete(at) {
                let what = match first {
                    Some(_) => "this is picked in more than one way",
                    None => "this doesn't say what is meant",
                };
                let problem = Problem::new(Code::ExactlyOne, what).label(label);
                checker.at_key(at, problem);
            }
            None
        }
    }
}
