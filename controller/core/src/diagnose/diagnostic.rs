//! One mistake, and all mistakes of all files.

use std::{collections::BTreeMap, fmt, ops::Range};

use serde_json::json;

use super::{Code, render};

/// One mistake: what, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of mistake.
    pub code: Code,
    /// What is wrong, in one line; free of control characters.
    pub message: String,
    /// The file, by the name it was given.
    pub file: String,
    /// Where, in bytes of the file's text.
    pub span: Range<usize>,
    /// What stands beside the caret; may be empty.
    pub label: String,
    /// What to do.
    pub help: Vec<String>,
}

/// The mistakes of all files that were read together, in order of position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    found: Vec<Diagnostic>,
    texts: BTreeMap<String, String>,
    hidden: usize,
}

/// The most mistakes that one file reports. A file with more was not written by hand, and each
/// costs a few hundred bytes of output.
const MOST: usize = 100;

impl Diagnostics {
    /// The mistakes of one file, sorted by position; two of one code on one place are one.
    pub(crate) fn new(file: &str, text: &str, mut found: Vec<Diagnostic>) -> Self {
        found.sort_by(|a, b| {
            (a.span.start, a.span.end, a.code).cmp(&(b.span.start, b.span.end, b.code))
        });
        found.dedup_by(|a, b| a.code == b.code && a.span == b.span && a.message == b.message);
        let hidden = found.len().saturating_sub(MOST);
        let text = without_secrets(text, &found);
        found.truncate(MOST);
        Self {
            found,
            texts: BTreeMap::from([(file.to_owned(), text)]),
            hidden,
        }
    }

    /// The mistakes of another file, after these.
    pub(crate) fn extend(&mut self, more: Self) {
        self.found.extend(more.found);
        self.texts.extend(more.texts);
        self.hidden += more.hidden;
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many are shown.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Each, in order of position.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.found.iter()
    }

    /// For people: each with its line and caret. `color` for terminals.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let mut text: Vec<_> = self
            .found
            .iter()
            .map(|one| render::render(one, self.text(&one.file), color))
            .collect();
        if self.hidden > 0 {
            text.push(format!("… and {} more", self.hidden));
        }
        text.join("\n\n")
    }

    /// For programs: `nepho.diagnostics/v1`.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let found: Vec<_> = self
            .found
            .iter()
            .map(|one| {
                let (line, column) = line_and_column(self.text(&one.file), one.span.start);
                json!({
                    "file": one.file,
                    "line": line,
                    "column": column,
                    "code": one.code.as_str(),
                    "message": one.message,
                    "label": one.label,
                    "hint": one.help.join("\n"),
                })
            })
            .collect();
        json!({"schema": "nepho.diagnostics/v1", "diagnostics": found, "hidden": self.hidden})
    }

    fn text(&self, file: &str) -> &str {
        self.texts.get(file).map_or("", String::as_str)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// `text` as it may be shown: a secret that stands in it is starred out, byte for byte, so that
/// every span still fits. Output of `validate` ends in the logs of build servers.
fn without_secrets(text: &str, found: &[Diagnostic]) -> String {
    let mut shown = text.to_owned();
    for secret in found.iter().filter(|one| one.code == Code::LiteralSecret) {
        if let Some(written) = shown.get(secret.span.clone()) {
            let stars: String = written
                .bytes()
                .map(|byte| if byte == b'\n' { '\n' } else { '*' })
                .collect();
            shown.replace_range(secret.span.clone(), &stars);
        }
    }
    shown
}

/// Both from 1; the column counts characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}
