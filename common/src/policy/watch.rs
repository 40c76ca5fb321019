//! Processes and containers that may be looked at.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Denied, Policy};
use crate::{
    plan::{ContainerPick, PickText, ProcessPick, Watch},
    recording::Scope,
};

/// Which processes and containers may be looked at, written as a scenario writes them. Where there
/// is no list, all; where there is an empty one, none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchRules {
    /// Processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<BTreeSet<ProcessPick>>,
    /// Containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<BTreeSet<ContainerPick>>,
    /// The Unix socket of the container engine, if it is not [`WatchRules::ENGINE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<PickText>,
}

impl WatchRules {
    /// Where container engines listen, Docker and those that do as it does.
    pub const ENGINE: &'static str = "/var/run/docker.sock";

    /// The Unix socket of the container engine.
    #[must_use]
    pub fn engine(&self) -> &str {
        self.engine.as_ref().map_or(Self::ENGINE, PickText::as_str)
    }

    /// Whether nothing is said, so that everything may be looked at.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.processes.is_none() && self.containers.is_none() && self.engine.is_none()
    }
}

impl Policy {
    /// Whether this process may be looked at.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn admits_process(&self, pick: &ProcessPick) -> Result<(), Denied> {
        self.admits_action(&Scope::Process.action())?;
        match &self.watch.processes {
            Some(listed) if !listed.contains(pick) => Err(Denied::Process(pick.to_string())),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether this container may be looked at.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn admits_container(&self, pick: &ContainerPick) -> Result<(), Denied> {
        self.admits_action(&Scope::Container.action())?;
        match &self.watch.containers {
            Some(listed) if !listed.contains(pick) => Err(Denied::Container(pick.to_string())),
            Some(_) | None => Ok(()),
        }
    }

    /// What of a watch is forbidden.
    pub(super) fn against_watch<'a>(
        &'a self,
        watch: &'a Watch,
    ) -> impl Iterator<Item = Denied> + 'a {
        let host = (!watch.without_host).then(|| self.admits_action(&Scope::Host.action()));
        let processes = watch.processes.values();
        let processes = processes.map(|pick| self.admits_process(pick));
        let containers = watch.containers.values();
        let containers = containers.map(|pick| self.admits_container(pick));
        let all = host.into_iter().chain(processes).chain(containers);
        all.filter_map(Result::err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ProcessPick {
        ProcessPick::Name(text.to_owned().try_into().unwrap())
    }

    #[test]
    fn without_a_list_all_may_be_looked_at_and_with_one_only_what_is_on_it() {
        let mut policy = Policy::careful();
        assert_eq!(policy.admits_process(&name("nginx")), Ok(()));
        policy.watch.processes = Some([name("nginx")].into());
        assert_eq!(policy.admits_process(&name("nginx")), Ok(()));
        let denied = policy.admits_process(&name("postgres")).unwrap_err();
        assert_eq!(
            denied.to_string(),
            "process (name postgres) is not in `watch.processes`"
        );
        policy.watch.processes = Some(BTreeSet::new());
        assert!(policy.admits_process(&name("nginx")).is_err());
        let label = ContainerPick::Label("role=web".to_owned().try_into().unwrap());
        assert_eq!(policy.admits_container(&label), Ok(()));
        policy.watch.containers = Some(BTreeSet::new());
        assert!(policy.admits_container(&label).is_err());
        let read = Policy::read(&policy.canonical());
        assert_eq!(read, Some(policy));
    }

    #[test]
    fn what_the_actions_do_not_list_is_forbidden_whatever_the_lists_say() {
        let mut policy = Policy::careful();
        policy.actions.remove(&Scope::Process.action());
        policy.watch.processes = Some([name("nginx")].into());
        assert_eq!(
            policy.admits_process(&name("nginx")),
            Err(Denied::Action(Scope::Process.action()))
        );
    }
}
