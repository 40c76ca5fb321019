//! Chooses instances.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::id::{EnvironmentName, GroupName, InstanceId, InstanceName, ServiceName};

use super::raw::RawSelector;
use crate::{
    diagnose::{Checker, Code, Pointer, Problem, quoted},
    fleet::{Instance, LabelName, LabelValue, Names, label_value, unknown_environment},
};

/// Chooses instances: keys are ANDed, the names of a key are ORed, an empty key means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// In one of these environments.
    pub environments: BTreeSet<EnvironmentName>,
    /// In one of these groups.
    pub groups: BTreeSet<GroupName>,
    /// A copy of one of these services.
    pub services: BTreeSet<ServiceName>,
    /// One of these copies.
    pub instances: BTreeSet<InstanceName>,
    /// With each of these labels, at one of its values.
    pub labels: BTreeMap<LabelName, BTreeSet<LabelValue>>,
}

impl Selector {
    /// Whether `instance`, which is called `id`, is chosen.
    #[must_use]
    pub fn matches(&self, id: &InstanceId, instance: &Instance) -> bool {
        let Self {
            environments,
            groups,
            services,
            instances,
            labels,
        } = self;
        let group_fits = groups.is_empty()
            || instance
                .group
                .as_ref()
                .is_some_and(|group| groups.contains(group));
        let any = |names_empty: bool, contained: bool| names_empty || contained;
        any(
            environments.is_empty(),
            environments.contains(&id.environment),
        ) && any(services.is_empty(), services.contains(&id.service))
            && any(instances.is_empty(), instances.contains(&id.instance))
            && group_fits
            && labels.iter().all(|(name, values)| {
                instance
                    .labels
                    .get(name)
                    .is_some_and(|value| values.contains(value))
            })
    }
}

/// Parses the selector at `at`; everything when there is none.
pub(crate) fn selector(
    checker: &mut Checker,
    at: &Pointer,
    raw: Option<&RawSelector>,
    names: Option<&Names>,
) -> Selector {
    let Some(raw) = raw else {
        return Selector::default();
    };
    Selector {
        environments: environments(
            checker,
            &at.key("environment"),
            raw.environment.as_ref(),
            names,
        ),
        groups: chosen(
            checker,
            &at.key("group"),
            raw.group.as_ref(),
            names.map(|names| &names.groups),
            |text, known| unknown(Code::UnknownGroup, "group", text, known),
        ),
        services: chosen(
            checker,
            &at.key("service"),
            raw.service.as_ref(),
            names.map(|names| &names.services),
            |text, known| unknown(Code::UnknownService, "service", text, known),
        ),
        instances: chosen(
            checker,
            &at.key("instance"),
            raw.instance.as_ref(),
            names.map(|names| &names.instances),
            |text, known| unknown(Code::UnknownInstance, "instance", text, known),
        ),
        labels: labels(checker, &at.key("label"), raw, names),
    }
}

/// Parses the list of environments at `at`.
pub(crate) fn environments(
    checker: &mut Checker,
    at: &Pointer,
    raw: Option<&Vec<Option<String>>>,
    names: Option<&Names>,
) -> BTreeSet<EnvironmentName> {
    chosen(
        checker,
        at,
        raw,
        names.map(|names| &names.environments),
        |text, known| {
            names.map_or_else(
                || unknown(Code::UnknownEnvironment, "environment", text, known),
                |names| unknown_environment(text, names),
            )
        },
    )
}

fn chosen<T>(
    checker: &mut Checker,
    at: &Pointer,
    raw: Option<&Vec<Option<String>>>,
    known: Option<&BTreeSet<String>>,
    refuse: impl Fn(&str, &BTreeSet<String>) -> Problem,
) -> BTreeSet<T>
where
    T: std::str::FromStr<Err = nepho_common::id::BadName> + Ord,
{
    let mut found = BTreeSet::new();
    for (index, text) in raw.into_iter().flatten().enumerate() {
        let at = at.index(index);
        let Some(text) = text else { continue };
        match known {
            Some(_) if checker.is_hopeless() => break,
            Some(known) if !known.contains(text) => {
                let problem = refuse(text, known);
                checker.at_value(&at, problem);
            }
            // What the fleet file calls so is refused there, when it is no name.
            Some(_) => found.extend(text.parse::<T>().ok()),
            None => found.extend(checker.name::<T>(&at, Some(text))),
        }
    }
    found
}

fn labels(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawSelector,
    names: Option<&Names>,
) -> BTreeMap<LabelName, BTreeSet<LabelValue>> {
    let mut found = BTreeMap::new();
    for (name, values) in raw.label.iter().flatten() {
        let at = at.key(name);
        let known = names.map(|names| names.labels.get(name));
        if let (Some(None), Some(names)) = (known, names) {
            let message = format!("no instance has a label {}", quoted(name));
            let problem = Problem::new(Code::UnknownLabel, message)
                .label("unknown label")
                .meant(name, names.labels.keys().map(String::as_str));
            checker.at_key(&at, problem);
            continue;
        }
        let mut chosen = BTreeSet::new();
        for (index, value) in values.iter().flat_map(|values| &values.0).enumerate() {
            let parsed = checker.text(&at.index(index), value.as_deref(), |text| {
                if let Some(Some(known)) = known
                    && !known.contains(text)
                {
                    let message = format!(
                        "no instance has the label {}",
                        quoted(&format!("{name}: {text}"))
                    );
                    return Err(Problem::new(Code::UnknownLabel, message)
                        .label("unknown value")
                        .meant(text, known.iter().map(String::as_str)));
                }
                label_value(text)
            });
            chosen.extend(parsed);
        }
        if let Some(name) = checker.key_name::<LabelName>(&at, name) {
            found.insert(name, chosen);
        }
    }
    found
}

fn unknown(code: Code, what: &str, text: &str, known: &BTreeSet<String>) -> Problem {
    Problem::new(
        code,
        format!("there is no {what} {} in the fleet", quoted(text)),
    )
    .label(format!("unknown {what}"))
    .meant(text, known.iter().map(String::as_str))
}
