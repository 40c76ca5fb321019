//! Identities. A checked type has one door: its `FromStr` (or `new`).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The longest name that any identity may have, in bytes.
///
/// 63 is the limit of a DNS label, so every name can be a host name, a container name and a file.
pub const NAME_MAX: usize = 63;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} is not a name: {why}")]
pub struct BadName {
    /// Which identity it was to be: "environment", "service"…
    pub what: &'static str,
    /// The text, cut to 80 characters.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

fn check_name(what: &'static str, text: &str) -> Result<(), BadName> {
    let why = if text.is_empty() {
        "it is empty"
    } else if text.len() > NAME_MAX {
        "it is longer than 63 characters"
    } else if !text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) {
        "it must start with a lower-case letter or a digit"
    } else if !text
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'))
    {
        "only lower-case letters, digits, '.', '_' and '-' are allowed"
    } else {
        return Ok(());
    };
    let text = text.chars().take(80).collect();
    Err(BadName { what, text, why })
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        ///
        /// Grammar: `[a-z0-9][a-z0-9._-]{0,62}`.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                check_name($what, text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $type {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                check_name($what, &text)?;
                Ok(Self(text))
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(/// A place that services and agents live in.
    EnvironmentName, "environment");
name!(/// Services that belong together, for example one pool behind a balancer.
    GroupName, "group");
name!(/// A service; the same name may live in several environments.
    ServiceName, "service");
name!(/// One running copy of a service.
    InstanceName, "instance");
name!(/// A scenario.
    ScenarioName, "scenario");
name!(/// A stage of a scenario.
    StageName, "stage");
name!(/// A step of a stage.
    StepName, "step");
name!(/// A process or a container that a step watches.
    ThingName, "thing");
name!(/// An agent, unique in its controller. Its certificate carries this name and nothing else.
    AgentId, "agent");
name!(/// One execution of a plan.
    RunId, "run");
name!(/// Something that an agent can do, for example `probe.http`.
    Feature, "feature");

impl AgentId {
    /// The name under which the controller writes its own journal records. No agent may have it.
    pub const CONTROLLER: &'static str = "controller";

    /// The controller as an author of journal records.
    #[must_use]
    pub fn controller() -> Self {
        Self(Self::CONTROLLER.to_owned())
    }

    /// Whether this is the controller itself.
    #[must_use]
    pub fn is_controller(&self) -> bool {
        self.0 == Self::CONTROLLER
    }
}

/// What is asked of a target, for example `GET /health`. Printable, at most 120 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Operation(String);

impl Operation {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Operation {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        let why = if text.is_empty() {
            "it is empty"
        } else if text.chars().count() > 120 {
            "it is longer than 120 characters"
        } else if text.chars().any(char::is_control) {
            "it holds a control character"
        } else {
            return Ok(Self(text));
        };
        let text = text.chars().take(80).collect();
        Err(BadName {
            what: "operation",
            text,
            why,
        })
    }
}

impl From<Operation> for String {
    fn from(operation: Operation) -> Self {
        operation.0
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// `environment/service/instance`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InstanceId {
    /// Where it runs.
    pub environment: EnvironmentName,
    /// What it is a copy of.
    pub service: ServiceName,
    /// Which copy.
    pub instance: InstanceName,
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.environment, self.service, self.instance)
    }
}

impl FromStr for InstanceId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(environment), Some(service), Some(instance), None) => Ok(Self {
                environment: environment.parse()?,
                service: service.parse()?,
                instance: instance.parse()?,
            }),
            _ => Err(BadName {
                what: "instance",
                text: text.chars().take(80).collect(),
                why: "it must be environment/service/instance",
            }),
        }
    }
}

impl TryFrom<String> for InstanceId {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> Self {
        id.to_string()
    }
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $type:ident, $bytes:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct $type([u8; $bytes]);

        impl $type {
            /// From raw bytes.
            #[must_use]
            pub const fn new(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            #[must_use]
            pub const fn bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $type {
            type Error = BadName;

            fn try_from(bytes: &[u8]) -> Result<Self, BadName> {
                bytes.try_into().map(Self).map_err(|_| BadName {
                    what: $what,
                    text: format!("({} bytes)", bytes.len()),
                    why: concat!("it must have ", $bytes, " bytes"),
                })
            }
        }

        impl FromStr for $type {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                let mut bytes = [0; $bytes];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| BadName {
                    what: $what,
                    text: text.chars().take(80).collect(),
                    why: concat!("it must be ", $bytes, " bytes in hexadecimal"),
                })?;
                Ok(Self(bytes))
            }
        }

        impl TryFrom<String> for $type {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(id: $type) -> Self {
                id.to_string()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($type), hex::encode(self.0))
            }
        }
    };
}

hex_id!(/// One spool directory, random, made when the directory is created. A new one starts a new
    /// space of sequence numbers.
    SpoolId, 16, "spool");
hex_id!(/// One start of an agent process, random.
    BootId, 16, "boot");
hex_id!(/// SHA-256 of some content.
    Digest, 32, "digest");

impl Digest {
    /// SHA-256 of `content`.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// The first eight hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        hex::encode(&self.0[..4])
    }
}

/// Hashes everything that a plan decides: the digest of its canonical JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlanId(pub Digest);

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Counts an agent's records in one spool, from 1, without gaps.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Seq(pub u64);

impl Seq {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which try of a run this is, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

/// Rises with each controller that takes a run over; an agent refuses commands with a lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub u64);

/// What every command and every result carries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunKey {
    /// The run.
    pub run: RunId,
    /// The try.
    pub attempt: Attempt,
    /// The right to command it.
    pub fence: Fence,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_are_what_the_grammar_says(text in "[a-z0-9][a-z0-9._-]{0,62}") {
            let name: ServiceName = text.parse().unwrap();
            prop_assert_eq!(name.to_string(), text);
        }

        #[test]
        fn anything_else_is_refused(text in "\\PC{0,80}") {
            let legal = text.len() <= NAME_MAX
                && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
            prop_assert_eq!(text.parse::<AgentId>().is_ok(), legal);
        }
    }

    #[test]
    fn path_tricks_are_not_names() {
        for bad in [
            "../x", "a/b", "", ".hidden", "-rf", "A", "a b", "a\0", "é", "a%2e",
        ] {
            assert!(bad.parse::<AgentId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_instance_reads_back_what_it_printed() {
        let id: InstanceId = "local/crm-api/1".parse().unwrap();
        assert_eq!(id.to_string().parse::<InstanceId>().unwrap(), id);
        assert!("local/crm-api".parse::<InstanceId>().is_err());
        assert!("a/b/c/d".parse::<InstanceId>().is_err());
    }

    #[test]
    fn digests_follow_the_published_vector() {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), expected);
    }
}
