//! The published JSON Schemas, for editors.

use super::raw::RawScenario;
use crate::{diagnose::schema_of, fleet::RawFleet};

/// The two kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A scenario.
    Scenario,
    /// A fleet: `cluster-config.yaml`.
    Fleet,
}

/// The JSON Schema (draft 7) of a kind of file, pretty and always the same.
#[must_use]
pub fn schema_json(kind: FileKind) -> String {
    let schema = match kind {
        FileKind::Scenario => schema_of::<RawScenario>(),
        FileKind::Fleet => schema_of::<RawFleet>(),
    };
    format!("{schema:#}\n")
}
