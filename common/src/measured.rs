//! A value, or the reason why there is none. No zero stands for "unknown".

use serde::{Deserialize, Serialize};

/// A figure that may be missing, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measured<T> {
    /// It was measured.
    Value(T),
    /// It was not, and this is why.
    Missing(Why),
}

/// Why a figure is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Nothing was recorded.
    #[error("no samples")]
    NoSamples,
    /// The kernel or platform doesn't tell.
    #[error("not available on this host")]
    NotAvailable,
    /// Somebody who should have measured it was lost.
    #[error("the agent was lost")]
    AgentLost,
    /// It was never to be measured in this run.
    #[error("not measured in this run")]
    NotMeasured,
}

impl<T> Measured<T> {
    /// The value, if there is one.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Missing(_) => None,
        }
    }

    /// The same absence, or another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Measured<U> {
        match self {
            Self::Value(value) => Measured::Value(f(value)),
            Self::Missing(why) => Measured::Missing(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_keeps_its_reason() {
        let missing: Measured<u64> = Measured::Missing(Why::AgentLost);
        assert_eq!(
            missing.clone().map(|n| n + 1),
            Measured::Missing(Why::AgentLost)
        );
        assert_eq!(missing.value(), None);
        assert_eq!(Measured::Value(1).map(|n| n + 1), Measured::Value(2));
    }
}
