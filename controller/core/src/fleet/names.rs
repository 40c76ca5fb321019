//! Every name that a fleet file gives, even when the file has mistakes: so that a scenario is
//! checked against it all the same.

use std::collections::{BTreeMap, BTreeSet};

use super::RawFleet;

/// The names that a scenario may use.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) environments: BTreeSet<String>,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) services: BTreeSet<String>,
    /// `environment/service`.
    pub(crate) service_ids: BTreeSet<String>,
    pub(crate) instances: BTreeSet<String>,
    pub(crate) labels: BTreeMap<String, BTreeSet<String>>,
}

impl Names {
    /// The names in a fleet file.
    pub(crate) fn of(raw: &RawFleet) -> Self {
        let mut names = Self {
            environments: raw
                .environments
                .iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect(),
            groups: raw
                .groups
                .iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect(),
            ..Self::default()
        };
        for service in raw.services.iter().flatten().flatten() {
            names.services.extend(service.name.clone());
            if let (Some(environment), Some(name)) = (&service.environment, &service.name) {
                names.service_ids.insert(format!("{environment}/{name}"));
            }
            names.groups.extend(service.group.clone());
            names.add_labels(service.labels.as_ref());
            for instance in service.instances.iter().flatten().flatten() {
                names.instances.extend(instance.name.clone());
                names.add_labels(instance.labels.as_ref());
            }
            if service.instances.is_none() {
                names.instances.insert("1".to_owned());
            }
        }
        names
    }

    fn add_labels(&mut self, labels: Option<&BTreeMap<String, Option<String>>>) {
        for (name, value) in labels.into_iter().flatten() {
            self.labels
                .entry(name.clone())
                .or_default()
                .extend(value.clone());
        }
    }
}
