//! All mistakes of a file at once: line, caret, what was probably meant, and a stable code.
//!
//! ```text
//! text --Document::read--> values and where each stands --shape--> form of every key and value
//!      --serde--> raw types --parse (fleet, scenario)--> checked types
//! ```
//! Each stage puts what it refuses into one [`Diagnostics`] and replaces it by "nothing" in the
//! value, so the next stage still sees the rest of the file and never reports a mistake twice.
//! Deliberately absent: expansion of `${…}` (the agent that needs a secret reads it), anchors,
//! aliases, tags and several documents in one file.

mod checker;
mod code;
mod diagnostic;
mod document;
mod escape;
mod explain;
mod pointer;
mod render;
mod scalar;
mod schema;
mod secrets;
mod shape;
mod suggest;

pub(crate) use checker::{Checker, Problem};
pub use code::{Code, codes};
pub use diagnostic::{Diagnostic, Diagnostics};
pub(crate) use document::{Document, Place};
pub(crate) use escape::{is_unsafe, quoted};
pub use explain::explain;
pub(crate) use pointer::Pointer;
pub(crate) use schema::schema_of;
pub(crate) use suggest::{list, nearest};

/// A YAML text as JSON.
#[cfg(test)]
pub(crate) fn as_json(text: &str) -> String {
    Document::read(text)
        .value
        .map(|value| format!("{value:#}"))
        .unwrap_or_default()
}
