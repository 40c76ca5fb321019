//! One file being checked: what it says, what was refused in it, and why.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    str::FromStr,
};

use nepho_common::id::BadName;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Code, Diagnostic, Diagnostics, Pointer,
    document::{Document, Place},
    escape::shown,
    list, nearest, quoted, schema_of, secrets, shape,
};

/// A mistake before its place is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) label: String,
    pub(crate) help: Vec<String>,
}

impl Problem {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            label: String::new(),
            help: Vec::new(),
        }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// `written` is not among `known`: names the nearest, else lists them all.
    pub(crate) fn meant<'a>(
        self,
        written: &str,
        known: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Self {
        if let Some(word) = nearest(written, known.clone()) {
            let label = format!("did you mean {}?", quoted(word));
            self.label(label)
                .help(format!("known: {}", shown_list(known)))
        } else if known.clone().into_iter().next().is_some() {
            self.help(format!("known: {}", shown_list(known)))
        } else {
            self
        }
    }
}

fn shown_list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().map(shown).collect();
    list(words.iter().map(String::as_str))
}

/// One file being checked.
///
/// Whatever is refused becomes null in the value; the raw types read null as "absent", and who
/// parses them says nothing about what is absent. So each mistake is reported once.
#[derive(Debug)]
pub(crate) struct Checker {
    name: String,
    text: String,
    value: Option<Value>,
    places: BTreeMap<Pointer, Place>,
    refused: BTreeSet<Pointer>,
    /// What was refused, and what it stood in.
    incomplete: BTreeSet<Pointer>,
    found: Vec<Diagnostic>,
}

/// Twice as many mistakes as are shown. Each search for the nearest name looks at every name of
/// the fleet, so a file of 256 KiB full of slips would take a minute.
const HOPELESS: usize = 200;

impl Checker {
    /// Reads `text`, which people know as `name`.
    pub(crate) fn open(name: &str, text: &str) -> Self {
        let Document {
            value,
            places,
            refused,
            problems,
        } = Document::read(text);
        let mut checker = Self {
            name: name.to_owned(),
            text: text.to_owned(),
            value,
            places,
            refused: BTreeSet::new(),
            incomplete: BTreeSet::new(),
            found: Vec::new(),
        };
        for at in &refused {
            checker.refuse(at);
        }
        for (span, problem) in problems {
            checker.push(span, problem);
        }
        checker
    }

    /// On a text that was read already, with nothing found yet.
    pub(crate) fn at(name: &str, text: &str, places: BTreeMap<Pointer, Place>) -> Self {
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
            value: None,
            places,
            refused: BTreeSet::new(),
            incomplete: BTreeSet::new(),
            found: Vec::new(),
        }
    }

    /// The raw form of the file, without what had to be refused; `None` when nothing is left.
    pub(crate) fn decode<T: JsonSchema + DeserializeOwned>(&mut self) -> Option<T> {
        let mut value = self.value.take()?;
        shape::check(&schema_of::<T>(), &mut value, self);
        secrets::check(&mut value, self);
        match serde_json::from_value(value) {
            Ok(raw) => Some(raw),
            Err(error) => {
                // Only a file whose very root is refused, or a gap between schema and raw types.
                if self.found.is_empty() {
                    let message = format!("this file can't be read: {}", shown(&error.to_string()));
                    self.at_value(&Pointer::root(), Problem::new(Code::WrongType, message));
                }
                None
            }
        }
    }

    /// Reports `problem` at the value at `at`.
    pub(crate) fn at_value(&mut self, at: &Pointer, problem: Problem) {
        let span = match self.places.get(at) {
            None => 0..0,
            Some(Place {
                key: Some(key),
                value,
            }) if value.is_empty() || self.is_block(value) => key.clone(),
            Some(Place { value, .. }) => value.clone(),
        };
        self.push(span, problem);
    }

    /// Reports `problem` at the key of the value at `at`.
    pub(crate) fn at_key(&mut self, at: &Pointer, problem: Problem) {
        match self.places.get(at).and_then(|place| place.key.clone()) {
            Some(key) => self.push(key, problem),
            None => self.at_value(at, problem),
        }
    }

    /// Whether something at `at`, or directly in it, was refused already.
    pub(crate) fn is_incomplete(&self, at: &Pointer) -> bool {
        self.incomplete.contains(at)
    }

    /// Whether so much is wrong that looking for what was meant is not worth its time.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.found.len() > HOPELESS
    }

    /// Whether the value at `at` was refused already.
    pub(crate) fn is_refused(&self, at: &Pointer) -> bool {
        self.refused.contains(at)
    }

    /// Notes that the value at `at` is gone from the value.
    pub(crate) fn refuse(&mut self, at: &Pointer) {
        self.incomplete.extend(at.parent());
        self.incomplete.insert(at.clone());
        self.refused.insert(at.clone());
    }

    /// The text of the value at `at`.
    pub(crate) fn written(&self, at: &Pointer) -> &str {
        let place = self.places.get(at);
        place
            .and_then(|place| self.text.get(place.value.clone()))
            .unwrap_or("")
            .trim()
    }

    /// Parses the text at `at` as a name.
    pub(crate) fn name<T>(&mut self, at: &Pointer, text: Option<&str>) -> Option<T>
    where
        T: FromStr<Err = BadName>,
    {
        self.text(at, text, |text| {
            text.parse::<T>().map_err(|bad| bad_name(&bad))
        })
    }

    /// Parses the key at `at` as a name.
    pub(crate) fn key_name<T>(&mut self, at: &Pointer, text: &str) -> Option<T>
    where
        T: FromStr<Err = BadName>,
    {
        match text.parse() {
            Ok(name) => Some(name),
            Err(bad) => {
                self.at_key(at, bad_name(&bad));
                None
            }
        }
    }

    /// Sends the text at `at` through a door and reports what the door refuses.
    pub(crate) fn text<T>(
        &mut self,
        at: &Pointer,
        text: Option<&str>,
        door: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        match door(text?) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.at_value(at, problem);
                None
            }
        }
    }

    /// Everything that is wrong.
    pub(crate) fn finish(self) -> Diagnostics {
        Diagnostics::new(&self.name, &self.text, self.found)
    }

    fn is_block(&self, value: &Range<usize>) -> bool {
        self.text
            .get(value.clone())
            .is_some_and(|text| text.contains('\n') && !text.starts_with(['"', '\'']))
    }

    fn push(&mut self, span: Range<usize>, problem: Problem) {
        let Problem {
            code,
            message,
            label,
            help,
        } = problem;
        self.found.push(Diagnostic {
            code,
            message,
            file: self.name.clone(),
            span,
            label,
            help,
        });
    }
}

fn bad_name(bad: &BadName) -> Problem {
    let what = bad.what;
    let problem = Problem::new(
        Code::BadName,
        format!(
            "{} is not a name of {} {what}",
            quoted(&bad.text),
            article(what)
        ),
    )
    .label(bad.why);
    let better: String = bad
        .text
        .to_lowercase()
        .chars()
        .map(|c| if c == ' ' { '-' } else { c })
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'))
        .collect();
    let better = better.trim_start_matches(['.', '_', '-']);
    if better.is_empty() || better.len() < bad.text.chars().count() / 2 {
        problem.help("`title` takes any language")
    } else {
        problem.help(format!(
            "for example {}; `title` takes any language",
            quoted(better)
        ))
    }
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}
