//! What the host's owner allows, and where that is written.

use std::{collections::BTreeMap, path::PathBuf};

use nepho_common::{
    control::PolicyReport,
    plan::Assignment,
    policy::{Endpoint, Policy, references},
    secret::SecretRef,
};

use crate::{
    chain::Chain,
    policy,
    work::{guard::Guard, secret},
};

/// What the host's owner allows, and where that is written.
#[derive(Debug)]
pub struct Allowed {
    /// `None` without a policy: the engine takes nothing on then.
    pub guard: Option<Guard>,
    /// Of our own controller.
    pub doors: Vec<Endpoint>,
    /// Where it is read anew.
    pub file: PathBuf,
    /// What the controller is told.
    pub report: PolicyReport,
}

impl Allowed {
    /// The policy that holds from now on, unless the file allows nothing: then everything stays as
    /// it was. An owner who mistypes must not stop what runs; one who wants that stops the agent.
    pub(super) fn read_anew(&mut self) -> Option<Policy> {
        let policy = match policy::read(&self.file) {
            Ok(policy) => policy,
            Err(error) => {
                tracing::error!(error = %Chain(&error), "the policy stays as it was");
                return None;
            }
        };
        tracing::info!(
            policy = policy::summary(&policy),
            "the policy was read anew"
        );
        match &self.guard {
            Some(guard) => guard.replace(policy.clone()),
            None => self.guard = Some(Guard::new(policy.clone(), self.doors.clone())),
        }
        self.report = PolicyReport::of(&policy, self.doors.clone());
        Some(policy)
    }

    /// Which secrets of an assignment this host can't give now, and why. Only those that the
    /// policy names are looked at: others are refused unseen.
    pub(super) fn unreadable(&self, assignment: &Assignment) -> BTreeMap<SecretRef, String> {
        let Some(guard) = &self.guard else {
            return BTreeMap::new();
        };
        let policy = guard.policy();
        let named = |secret: &SecretRef| policy.secrets.contains_key(secret);
        let needed = references(assignment).into_iter().filter(named);
        let lacking = needed.filter_map(|reference| {
            let why = secret::read(&reference).err()?.to_string();
            Some((reference, why))
        });
        lacking.collect()
    }
}
