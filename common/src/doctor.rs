//! What a doctor says, on both sides: checks, each with what was seen, and the command that mends it.
//!
//! Facts are gathered by the bodies and judged by the pure packages; [`host`] judges what controller
//! and agent ask of any host alike.

pub mod host;

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// It does not work, or will not for long.
    Fail,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Check {
    /// What: a few lower-case words, the same in every release.
    pub check: String,
    /// How it came out.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// The command that mends it; always there for a failure.
    pub mend: Option<String>,
}

impl Check {
    /// As it should be.
    #[must_use]
    pub fn ok(check: &str, seen: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            state: State::Ok,
            seen: seen.into(),
            mend: None,
        }
    }

    /// Somebody should look at it, with this.
    #[must_use]
    pub fn warn(check: &str, seen: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            state: State::Warn,
            mend: Some(mend.into()),
            ..Self::ok(check, seen)
        }
    }

    /// It does not work; this mends it.
    #[must_use]
    pub fn fail(check: &str, seen: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            state: State::Fail,
            ..Self::warn(check, seen, mend)
        }
    }
}

/// All checks of one side: `nepho.doctor/v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Examination {
    /// Always [`Examination::SCHEMA`].
    pub schema: String,
    /// `controller` or `agent`.
    pub of: String,
    /// How many checks came out each way.
    pub ok: usize,
    /// Warnings.
    pub warn: usize,
    /// Failures.
    pub fail: usize,
    /// In the order in which they build on each other.
    pub checks: Vec<Check>,
}

impl Examination {
    /// Names this format.
    pub const SCHEMA: &'static str = "nepho.doctor/v1";

    /// Of these checks.
    #[must_use]
    pub fn new(of: &str, checks: Vec<Check>) -> Self {
        let count = |state| checks.iter().filter(|check| check.state == state).count();
        Self {
            schema: Self::SCHEMA.to_owned(),
            of: of.to_owned(),
            ok: count(State::Ok),
            warn: count(State::Warn),
            fail: count(State::Fail),
            checks,
        }
    }
}

impl fmt::Display for Examination {
    /// For people: a line for each check, the remedy below it, the count at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self.checks.iter().map(|check| check.check.len()).max();
        let width = widest.unwrap_or(0);
        for check in &self.checks {
            let Check {
                check,
                state,
                seen,
                mend,
            } = check;
            writeln!(f, "{:<4}  {check:<width$}  {seen}", state.word())?;
            if let Some(mend) = mend {
                writeln!(f, "{:<4}  {:<width$}  mend: {mend}", "", "")?;
            }
        }
        writeln!(
            f,
            "{} ok, {} to look at, {} failed",
            self.ok, self.warn, self.fail
        )
    }
}
