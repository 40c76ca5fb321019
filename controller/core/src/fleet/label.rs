//! Free labels, which selectors choose by.

use std::{collections::BTreeMap, fmt, str::FromStr};

use nepho_common::id::{BadName, ServiceName};

use crate::diagnose::{Checker, Code, Pointer, Problem, is_unsafe, quoted};

/// The name of a label, of the same grammar as all names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelName(String);

impl LabelName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LabelName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        // The grammar lives in one place, with the names of `nepho_common`.
        match text.parse::<ServiceName>() {
            Ok(name) => Ok(Self(name.into())),
            Err(bad) => Err(BadName {
                what: "label",
                ..bad
            }),
        }
    }
}

impl fmt::Display for LabelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The value of a label: one line of at most 63 visible characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelValue(String);

impl LabelValue {
    /// The value as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LabelValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Labels by name.
pub type Labels = BTreeMap<LabelName, LabelValue>;

/// Parses one label value.
pub(crate) fn label_value(text: &str) -> Result<LabelValue, Problem> {
    if text.is_empty() || text.chars().count() > 63 || text.chars().any(is_unsafe) {
        return Err(
            Problem::new(Code::BadText, format!("{} can't be a label", quoted(text)))
                .label("1 to 63 visible characters"),
        );
    }
    Ok(LabelValue(text.to_owned()))
}

/// Parses the labels at `at`.
pub(crate) fn labels(
    checker: &mut Checker,
    at: &Pointer,
    raw: Option<&BTreeMap<String, Option<String>>>,
) -> Labels {
    let mut labels = Labels::new();
    for (name, value) in raw.into_iter().flatten() {
        let at = at.key(name);
        let name = checker.key_name::<LabelName>(&at, name);
        let value = checker.text(&at, value.as_deref(), label_value);
        if let (Some(name), Some(value)) = (name, value) {
            labels.insert(name, value);
        }
    }
    labels
}
