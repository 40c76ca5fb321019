//! A scenario with every file that it names, as texts: what the command line sends. Neither
//! controller nor agents ever read the operator's paths.

use std::collections::BTreeMap;

use nepho_common::id::Digest;
use serde::{Deserialize, Serialize};

use super::{Scenario, load::files, parse, raw::RawScenario};
use crate::{
    diagnose::{Checker, Code, Diagnostics, Pointer, Problem, quoted},
    fleet::{self, Fleet},
};

/// A text and what people call it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// What diagnostics call it: usually the path as the operator typed it.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A scenario with every file that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The scenario file.
    pub scenario: Source,
    /// The other files, by the reference that stands in the scenario.
    pub files: BTreeMap<String, Source>,
}

/// How [`Bundle::digests`] calls the scenario file itself. No reference may be empty, so none is
/// mistaken for it; and the path that the operator happened to type does not count.
pub const SCENARIO: &str = "";

impl Bundle {
    /// The digest of each file, by reference; the scenario's own is under [`SCENARIO`].
    #[must_use]
    pub fn digests(&self) -> BTreeMap<String, Digest> {
        let files = self
            .files
            .iter()
            .map(|(reference, source)| (reference.as_str(), source));
        std::iter::once((SCENARIO, &self.scenario))
            .chain(files)
            .map(|(reference, source)| (reference.to_owned(), Digest::of(source.text.as_bytes())))
            .collect()
    }
}

/// A bundle that holds no mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// What is to be done.
    pub scenario: Scenario,
    /// The services that it is done to.
    pub fleet: Fleet,
}

/// The files that a scenario names, its fleet first, so that whoever may read files can read them.
///
/// # Errors
/// What is wrong with the scenario, when it names no fleet.
pub fn references(source: &Source) -> Result<Vec<String>, Diagnostics> {
    let mut checker = Checker::open(&source.name, &source.text);
    let raw = checker.decode::<RawScenario>();
    let fleet = raw.as_ref().and_then(|raw| reference(&mut checker, raw));
    match (raw, fleet) {
        (Some(raw), Some(fleet)) => {
            let stages = raw.stages.iter().flatten().flatten();
            let steps = stages.flat_map(|stage| stage.steps.iter().flatten());
            let loads = steps.filter_map(|(_, step)| step.as_ref()?.load.as_deref());
            let mut named: Vec<_> = loads.flat_map(files).collect();
            named.sort();
            named.dedup();
            // What is too many is said where they are counted.
            named.truncate(FILES_MAX);
            named.insert(0, fleet);
            Ok(named)
        }
        (raw, _) => {
            if let Some(raw) = &raw {
                // The rest of the file is checked too: whatever is wrong is said at once.
                drop(parse::parse(&mut checker, raw, (None, None)));
            }
            Err(checker.finish())
        }
    }
}

/// The most files beside scenario and fleet.
const FILES_MAX: usize = 100;

/// Reads a bundle.
///
/// # Errors
/// Everything that is wrong with any of its files.
pub fn load(bundle: &Bundle) -> Result<Loaded, Diagnostics> {
    let mut checker = Checker::open(&bundle.scenario.name, &bundle.scenario.text);
    let raw = checker.decode::<RawScenario>();
    let reference = raw.as_ref().and_then(|raw| reference(&mut checker, raw));
    let source = reference
        .as_ref()
        .and_then(|reference| bundle.files.get(reference));
    if let (Some(reference), None) = (&reference, source) {
        let message = format!(
            "the file {} was not sent with the scenario",
            quoted(reference)
        );
        let problem = Problem::new(Code::UnknownFile, message).label("this file is missing");
        checker.at_value(&Pointer::root().key("fleet"), problem);
    }
    let mut fleet_checker = source.map(|source| Checker::open(&source.name, &source.text));
    let (fleet, names) = fleet_checker.as_mut().map_or((None, None), fleet::parse);
    let known = (names.as_ref(), Some(&bundle.files));
    let scenario = raw.and_then(|raw| parse::parse(&mut checker, &raw, known));
    let mut found = checker.finish();
    if let Some(fleet_checker) = fleet_checker {
        found.extend(fleet_checker.finish());
    }
    match (scenario, fleet) {
        (Some(scenario), Some(fleet)) if found.is_empty() => Ok(Loaded { scenario, fleet }),
        _ => Err(found),
    }
}

fn reference(checker: &mut Checker, raw: &RawScenario) -> Option<String> {
    let at = Pointer::root().key("fleet");
    checker.text(&at, raw.fleet.as_deref(), |text| {
        if text.is_empty() || text.len() > 4096 || text.chars().any(char::is_control) {
            let problem = Problem::new(Code::BadText, "this is not the name of a file");
            return Err(problem.label("a path, relative to this file"));
        }
        Ok(text.to_owned())
    })
}
