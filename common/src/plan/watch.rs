//! What a watch looks at: hosts, and on them processes and containers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{
    id::{AgentId, Feature, ThingName},
    recording::Scope,
    time::Nanos,
};

/// Reads every so often what the hosts of agents use and have left, and what some of the processes
/// and containers there use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// From one reading to the next.
    pub every: Nanos,
    /// Who looks, each at its own host. In an assignment, only the agent itself.
    pub hosts: BTreeSet<AgentId>,
    /// Nothing is told of the hosts themselves, only of what runs there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_host: bool,
    /// Processes, by the name that findings have for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub processes: BTreeMap<ThingName, ProcessPick>,
    /// Containers, by the name that findings have for them; no process has the same one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub containers: BTreeMap<ThingName, ContainerPick>,
}

impl Watch {
    /// So many readings say something of a host: one to begin with, because rates lie between two;
    /// one that may come too late; and one.
    pub const READINGS_MIN: u64 = 3;

    /// The most processes or containers of one watch: each costs a dozen series of each agent.
    pub const THINGS_MAX: usize = 20;

    /// What an agent must be able to do for it.
    #[must_use]
    pub fn features(&self) -> BTreeSet<Feature> {
        let scopes = Scope::ALL.into_iter().filter(|scope| self.tells(*scope));
        scopes.map(Scope::action).collect()
    }

    /// Whether it tells anything of this.
    #[must_use]
    pub fn tells(&self, scope: Scope) -> bool {
        match scope {
            Scope::Host => !self.without_host,
            Scope::Process => !self.processes.is_empty(),
            Scope::Container => !self.containers.is_empty(),
        }
    }

    /// What it looks at of this kind; a host is one thing without a name.
    pub fn things(&self, scope: Scope) -> impl Iterator<Item = Option<&ThingName>> {
        let host = (scope == Scope::Host && !self.without_host).then_some(None);
        let processes = (scope == Scope::Process).then(|| self.processes.keys());
        let containers = (scope == Scope::Container).then(|| self.containers.keys());
        let named = processes.into_iter().flatten();
        let named = named.chain(containers.into_iter().flatten());
        host.into_iter().chain(named.map(Some))
    }

    /// How many readings a stage of this length has.
    #[must_use]
    pub fn readings(&self, lasts: Nanos) -> u64 {
        lasts.0.div_ceil(self.every.0.max(1))
    }
}

/// Which processes of a host are meant. All that fit are one thing, and what they use is added up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ProcessPick {
    /// Those of exactly this name: the one that the kernel shows, or the last part of the path of
    /// their executable. Children count if they have it too.
    Name(PickText),
    /// The one whose number stands in this file, without its children.
    PidFile(PickText),
    /// All in the control group of this systemd unit, children too.
    Unit(PickText),
}

/// Which containers of a host are meant. All that fit are one thing, and what they use is added up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ContainerPick {
    /// The one of exactly this name.
    Name(PickText),
    /// Those with this label: `key`, or `key=value`.
    Label(PickText),
}

/// A text that picks something: printable, from 1 to 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct PickText(String);

/// Why a text picks nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPick {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// No file name is longer.
    #[error("it is longer than 255 bytes")]
    Long,
    /// It could steer a terminal.
    #[error("it holds a control character")]
    Control,
    /// The agent's own folder is nobody's business.
    #[error("the path of a pid file begins with `/`")]
    NotAbsolute,
    /// A process has the name of its executable, not its path.
    #[error("a name holds no `/`")]
    Slash,
}

impl PickText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PickText {
    type Error = BadPick;

    fn try_from(text: String) -> Result<Self, BadPick> {
        if text.is_empty() {
            Err(BadPick::Empty)
        } else if text.len() > 255 {
            Err(BadPick::Long)
        } else if text.chars().any(char::is_control) {
            Err(BadPick::Control)
        } else {
            Ok(Self(text))
        }
    }
}

impl From<PickText> for String {
    fn from(text: PickText) -> Self {
        text.0
    }
}

impl fmt::Display for PickText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl ProcessPick {
    /// Checks what its text alone does not say.
    ///
    /// # Errors
    /// It picks nothing.
    pub fn checked(self) -> Result<Self, BadPick> {
        match &self {
            Self::PidFile(path) if !path.as_str().starts_with('/') => Err(BadPick::NotAbsolute),
            Self::Name(name) | Self::Unit(name) if name.as_str().contains('/') => {
                Err(BadPick::Slash)
            }
            Self::Name(_) | Self::PidFile(_) | Self::Unit(_) => Ok(self),
        }
    }
}

impl fmt::Display for ProcessPick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "name {name}"),
            Self::PidFile(path) => write!(f, "pid-file {path}"),
            Self::Unit(unit) => write!(f, "unit {unit}"),
        }
    }
}

impl ContainerPick {
    /// Checks what its text alone does not say.
    ///
    /// # Errors
    /// It picks nothing.
    pub fn checked(self) -> Result<Self, BadPick> {
        match &self {
            Self::Name(name) if name.as_str().contains('/') => Err(BadPick::Slash),
            Self::Name(_) | Self::Label(_) => Ok(self),
        }
    }
}

impl fmt::Display for ContainerPick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "name {name}"),
            Self::Label(label) => write!(f, "label {label}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> PickText {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn a_watch_of_hosts_alone_is_written_as_ever() {
        let watch = Watch {
            every: Nanos::from_secs(5),
            hosts: ["a".parse().unwrap()].into(),
            without_host: false,
            processes: BTreeMap::new(),
            containers: BTreeMap::new(),
        };
        let json = serde_json::to_string(&watch).unwrap();
        assert_eq!(json, r#"{"every":5000000000,"hosts":["a"]}"#);
        assert_eq!(serde_json::from_str::<Watch>(&json).unwrap(), watch);
        assert_eq!(watch.features(), ["watch.host".parse().unwrap()].into());
    }

    #[test]
    fn what_is_looked_at_says_what_the_agent_must_be_able_to_do() {
        let name = |name: &str| name.parse::<ThingName>().unwrap();
        let watch = Watch {
            every: Nanos::from_secs(5),
            hosts: BTreeSet::new(),
            without_host: true,
            processes: [(name("db"), ProcessPick::Name(text("postgres")))].into(),
            containers: [(name("web"), ContainerPick::Label(text("role=web")))].into(),
        };
        let features: Vec<_> = watch.features().iter().map(ToString::to_string).collect();
        assert_eq!(features, ["watch.container", "watch.process"]);
        let things = |scope| {
            watch
                .things(scope)
                .map(Option::<&ThingName>::cloned)
                .collect::<Vec<_>>()
        };
        assert!(things(Scope::Host).is_empty());
        assert_eq!(things(Scope::Process), [Some(name("db"))]);
        assert_eq!(things(Scope::Container), [Some(name("web"))]);
    }

    #[test]
    fn what_picks_nothing_is_refused() {
        let bad = |text: &str| PickText::try_from(text.to_owned()).unwrap_err();
        assert_eq!(bad(""), BadPick::Empty);
        assert_eq!(bad(&"x".repeat(256)), BadPick::Long);
        assert_eq!(bad("a\u{1b}[2J"), BadPick::Control);
        let relative = ProcessPick::PidFile(text("run/a.pid"));
        assert_eq!(relative.checked(), Err(BadPick::NotAbsolute));
        assert_eq!(
            ProcessPick::Name(text("/bin/a")).checked(),
            Err(BadPick::Slash)
        );
        assert_eq!(
            ContainerPick::Name(text("a/b")).checked(),
            Err(BadPick::Slash)
        );
        assert!(ProcessPick::PidFile(text("/run/a.pid")).checked().is_ok());
    }
}
