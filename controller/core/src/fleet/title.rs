//! A name for people, in any language.

use std::fmt;

use crate::diagnose::{Checker, Code, Pointer, Problem, is_unsafe};

/// The longest title, in characters: it must fit on a line of a report.
const LONGEST: usize = 120;

/// A name for people, in any language: one line, at most 120 characters, nothing invisible.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Title(String);

impl Title {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Parses the title at `at`.
pub(crate) fn title(checker: &mut Checker, at: &Pointer, text: Option<&str>) -> Option<Title> {
    checker.text(at, text, |text| {
        let why = if text.trim().is_empty() {
            "it is empty"
        } else if text.chars().count() > LONGEST {
            "it has more than 120 characters"
        } else if text.chars().any(is_unsafe) {
            "it holds line breaks or characters that can't be seen"
        } else {
            return Ok(Title(text.to_owned()));
        };
        Err(Problem::new(Code::BadText, "this can't be shown as a title").label(why))
    })
}
