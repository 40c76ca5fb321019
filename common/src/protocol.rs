//! The versions of the session protocol: what two sides agree on, and who has to be upgraded when
//! they can't.

use std::fmt;

/// The versions that this release speaks.
pub const OURS: Speaks = Speaks {
    lowest: 1,
    highest: 1,
};

/// The release that first spoke each version, lowest first. A refusal names it, so that a person
/// knows how far to upgrade.
const SINCE: [(u32, &str); 1] = [(1, "0.1.0")];

/// A range of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speaks {
    /// The lowest.
    pub lowest: u32,
    /// The highest.
    pub highest: u32,
}

impl Speaks {
    /// Whether this version is one of them.
    #[must_use]
    pub const fn has(self, version: u32) -> bool {
        self.lowest <= version && version <= self.highest
    }
}

impl fmt::Display for Speaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lowest == self.highest {
            return write!(f, "{}", self.lowest);
        }
        write!(f, "{} to {}", self.lowest, self.highest)
    }
}

/// One side of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// What it speaks.
    pub speaks: Speaks,
    /// The version of its program.
    pub version: String,
}

/// Why there is no session, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "agent {agent_version} speaks protocol {agent}, controller {controller_version} speaks \
     {controller}: upgrade the {older} to {to} or later"
)]
pub struct Disagreement {
    agent: Speaks,
    agent_version: String,
    controller: Speaks,
    controller_version: String,
    older: &'static str,
    to: String,
}

/// The version that both will speak: the highest that both know.
///
/// # Errors
/// There is none.
pub fn agree(agent: &Side, controller: &Side) -> Result<u32, Disagreement> {
    let highest = agent.speaks.highest.min(controller.speaks.highest);
    if agent.speaks.has(highest) && controller.speaks.has(highest) {
        return Ok(highest);
    }
    let agent_is_older = agent.speaks.highest < controller.speaks.lowest;
    let (older, newer) = if agent_is_older {
        ("agent", controller)
    } else {
        ("controller", agent)
    };
    // Of versions that are newer than this release we know only who speaks them.
    let since = SINCE.iter().find(|(v, _)| *v == newer.speaks.lowest);
    Err(Disagreement {
        agent: agent.speaks,
        agent_version: agent.version.clone(),
        controller: controller.speaks,
        controller_version: controller.version.clone(),
        older,
        to: since.map_or_else(
            || newer.version.clone(),
            |(_, release)| (*release).to_owned(),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(lowest: u32, highest: u32, version: &str) -> Side {
        Side {
            speaks: Speaks { lowest, highest },
            version: version.to_owned(),
        }
    }

    #[test]
    fn two_sides_speak_the_highest_version_that_both_know() {
        let agreed = |agent, controller| agree(&agent, &controller).ok();
        let ours = || side(2, 4, "0.4.0");
        assert_eq!(agreed(side(1, 3, "0.3.0"), ours()), Some(3));
        assert_eq!(agreed(side(4, 5, "0.5.0"), ours()), Some(4));
        assert_eq!(agreed(ours(), ours()), Some(4));
        assert_eq!(agreed(side(1, 1, "0.1.0"), ours()), None);
    }

    #[test]
    fn a_refusal_says_which_side_to_upgrade_and_to_what() {
        let refused = |agent, controller| agree(&agent, &controller).unwrap_err().to_string();
        assert_eq!(
            refused(side(7, 9, "0.9.0"), side(1, 1, "0.1.0")),
            "agent 0.9.0 speaks protocol 7 to 9, controller 0.1.0 speaks 1: upgrade the \
             controller to 0.9.0 or later"
        );
        let old = refused(side(0, 0, "0.0.9"), side(1, 2, "0.2.0"));
        assert!(
            old.ends_with("upgrade the agent to 0.1.0 or later"),
            "{old}"
        );
    }

    #[test]
    fn every_version_that_we_speak_has_its_release() {
        for version in OURS.lowest..=OURS.highest {
            assert!(SINCE.iter().any(|(known, _)| *known == version));
        }
    }
}
