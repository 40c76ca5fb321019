//! A Compose file, read for what can be measured from its host: services, published ports, health
//! checks that ask a URL. `nepho init --from-compose` writes a fleet from it.
//!
//! ```text
//! text --diagnose::Document--> value --service--> Drafted (address, check) or the reason why not
//!                                                 --text--> cluster-config.yaml
//! ```
//! - `service`: one service. `port`, `health`, `variable`: what stands in it.
//! - `text`: the fleet file. `notes`: what could not be used, with its line.
//!
//! A Compose file is believed in nothing: whatever is not understood is left out and said. What is
//! written goes through the same door as a fleet that a person wrote. Deliberately absent: starting
//! anything; files that it includes or extends; the environment and `.env`.

mod health;
mod notes;
mod port;
mod service;
mod text;
mod variable;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

pub use self::notes::Note;
use self::{
    notes::Notes,
    service::{Drafted, Left, service},
};
use crate::{
    diagnose::{Checker, Code, Diagnostics, Document, Pointer, Problem, quoted},
    scenario::{self, Bundle, Source},
};

/// What a Compose file gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The fleet: the text of `cluster-config.yaml`. It is valid.
    pub fleet: String,
    /// How many of its services can be measured.
    pub services: usize,
    /// How many stand in it as comments, because they can't.
    pub left_out: usize,
    /// What could not be used, in the order of its lines.
    pub notes: Vec<Note>,
    /// How many notes more there would be.
    pub hidden: usize,
}

/// The scenario that goes with an imported fleet.
pub const SCENARIO: &str = include_str!("reach.yaml");

/// What the scenario calls its fleet.
const FLEET: &str = "cluster-config.yaml";

/// Reads a Compose file.
///
/// # Errors
/// When it is no YAML, too large, no Compose file, or holds nothing that can be measured.
pub fn import(source: &Source) -> Result<Imported, Diagnostics> {
    let document = Document::read(&source.text);
    let Some(value) = &document.value else {
        return Err(Checker::open(&source.name, &source.text).finish());
    };
    let refuse = |(at, problem): (Pointer, Problem)| {
        // Anchors and the like are no mistakes in a Compose file, so a checker without them.
        let mut checker = Checker::at(&source.name, &source.text, document.places.clone());
        checker.at_value(&at, problem);
        checker.finish()
    };
    let services = services(value).map_err(refuse)?;
    let mut notes = Notes::new(&source.text, &document.places);
    for (span, problem) in &document.problems {
        let text = format!("{}: what it stands for is missing here", problem.message);
        notes.at_byte(span.start, text);
    }
    if value.get("include").is_some() {
        let at = Pointer::root().key("include");
        notes.at(
            &at,
            "other files are not read: what they say is missing here",
        );
    }
    let mut found = Found::default();
    for (name, value) in services {
        found.take(name, value, &mut notes);
    }
    if found.drafted.is_empty() {
        return Err(refuse(nothing(&notes)));
    }
    let mut fleet = text::fleet(&source.name, &found.drafted, &found.left);
    if check(&fleet).is_err() {
        // Compose refuses services that wait for each other in a circle; we only get a text.
        let drafted = found.drafted.values_mut();
        drafted.for_each(|one| one.needs.clear());
        let text = "`depends_on` is left out: services wait for each other in a circle";
        notes.at(&at_services(), text);
        fleet = text::fleet(&source.name, &found.drafted, &found.left);
        check(&fleet)?;
    }
    let (notes, hidden) = notes.finish();
    Ok(Imported {
        fleet,
        services: found.drafted.len(),
        left_out: found.left.len(),
        notes,
        hidden,
    })
}

fn at_services() -> Pointer {
    Pointer::root().key("services")
}

fn services(value: &Value) -> Result<&Map<String, Value>, (Pointer, Problem)> {
    match value.get("services") {
        Some(Value::Object(services)) if !services.is_empty() => Ok(services),
        Some(_) => {
            let problem = Problem::new(Code::WrongType, "`services` is no map of services");
            let problem = problem.label("at least one service is needed");
            Err((at_services(), problem))
        }
        None => {
            let message = "this is no Compose file: `services` is missing";
            let problem = Problem::new(Code::MissingKey, message)
                .help("Compose files of version 1, without `services`, are not read");
            Err((Pointer::root(), problem))
        }
    }
}

/// Nothing is left to measure; the first note says why.
fn nothing(notes: &Notes<'_>) -> (Pointer, Problem) {
    let message = "no service publishes a port that can be measured";
    let problem = Problem::new(Code::MissingKey, message).label("none of these has a usable port");
    let problem = match notes.first() {
        Some(first) => problem.help(first),
        None => problem,
    };
    let problem = problem.help(
        "publish one, for example `ports: [\"8080:80\"]`, or write the fleet by hand: nepho init",
    );
    (at_services(), problem)
}

/// The services so far.
#[derive(Debug, Default)]
struct Found {
    drafted: BTreeMap<String, Drafted>,
    left: BTreeMap<String, Left>,
    /// The addresses of those that can be measured.
    taken: BTreeSet<String>,
}

impl Found {
    fn take(&mut self, written: &str, value: &Value, notes: &mut Notes<'_>) {
        let at = at_services().key(written);
        let left = match service(written, value, &at, notes) {
            Ok(one) if self.drafted.contains_key(&one.name) => {
                let why = format!("another service is called {} already", quoted(&one.name));
                Left { why, draft: None }
            }
            Ok(one) if self.taken.contains(&one.address) => {
                let why = format!("another service has {} already", one.address);
                let draft = Some(Box::new(one));
                Left { why, draft }
            }
            Ok(one) => {
                self.taken.insert(one.address.clone());
                self.drafted.insert(one.name.clone(), one);
                return;
            }
            Err(left) => left,
        };
        notes.at(
            &at,
            format!("{} is left out: {}", quoted(written), left.why),
        );
        self.left.insert(quoted(written), left);
    }
}

/// The same door as for a fleet that a person wrote.
fn check(fleet: &str) -> Result<(), Diagnostics> {
    let source = |name: &str, text: &str| Source {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let bundle = Bundle {
        scenario: source("first.yaml", SCENARIO),
        files: BTreeMap::from([(FLEET.to_owned(), source(FLEET, fleet))]),
    };
    scenario::load(&bundle).map(drop)
}

#[cfg(test)]
mod tests;
