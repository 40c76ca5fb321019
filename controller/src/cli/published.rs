//! The forms of everything that `-o json` and `-o ndjson` print, as JSON Schemas (draft-07).
//!
//! They are made from the types that are printed, so they can't say anything else. A later release
//! may add keys, and a reader has to pass over those that it does not know; so none is forbidden.

use nepho_common::doctor::{Check, Examination};
use nepho_controller_core::{
    load::{Summary, calibration::Calibration},
    log::Line,
    planner::{self, Planned},
    report::Report,
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{explain::Explanation, init::Written};
use crate::{
    export::{self, Manifest},
    view::{AgentDetail, AgentView, RunView},
    web::{
        document::{Agents, Body, Enrolment, Log, Revoked, RunStarted, Runs, Stopping, Version},
        refusal::{self, Refusal},
    },
};

/// What `nepho validate` says of files with mistakes: [`nepho_controller_core::diagnose`] writes it.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "it is the form of a value that others make")]
struct Diagnostics {
    /// Each mistake, in order of its place.
    diagnostics: Vec<Mistake>,
    /// How many more there are than are listed.
    hidden: usize,
}

/// One mistake of a file.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "it is the form of a value that others make")]
struct Mistake {
    /// The file, as it was named.
    file: String,
    /// From 1.
    line: usize,
    /// From 1, in characters.
    column: usize,
    /// What kind of mistake it is: `nepho explain CODE` says more.
    code: String,
    /// What is wrong.
    message: String,
    /// What stands beside the caret; may be empty.
    label: String,
    /// What to do; may be empty.
    hint: String,
}

/// One format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Published {
    /// `nepho.NAME/v1`
    schema: &'static str,
    make: fn(&'static str) -> Value,
}

impl Published {
    /// NAME in `nepho.NAME/v1`.
    pub(super) fn name(self) -> &'static str {
        let name = self.schema.strip_prefix("nepho.");
        let name = name.and_then(|name| name.strip_suffix("/v1"));
        name.expect("all of ours are called so, by test")
    }

    /// Its schema.
    pub(super) fn form(self) -> Value {
        (self.make)(self.schema)
    }
}

/// Each format, in the order of their names.
pub(super) fn all() -> [Published; 23] {
    let mut all = [
        body::<AgentView>(),
        body::<AgentDetail>(),
        body::<Agents>(),
        body::<Check>(),
        of::<Diagnostics>("nepho.diagnostics/v1"),
        of::<Examination>(Examination::SCHEMA),
        body::<Enrolment>(),
        of::<Refusal>(refusal::SCHEMA),
        body::<Explanation>(),
        of::<Manifest>(export::SCHEMA),
        body::<Written>(),
        body::<Line>(),
        of::<Calibration>(Calibration::SCHEMA),
        of::<Summary>(Summary::SCHEMA),
        body::<Log>(),
        of::<Planned>(planner::SCHEMA),
        of::<Report>(Report::SCHEMA),
        body::<Revoked>(),
        of::<RunView>(RunView::SCHEMA),
        body::<RunStarted>(),
        body::<Runs>(),
        body::<Stopping>(),
        body::<Version>(),
    ];
    all.sort_by_key(|one| one.schema);
    all
}

fn body<T: Body + JsonSchema>() -> Published {
    of::<T>(T::SCHEMA)
}

const fn of<T: JsonSchema>(schema: &'static str) -> Published {
    let make = form::<T>;
    Published { schema, make }
}

fn form<T: JsonSchema>(schema: &'static str) -> Value {
    let settings = SchemaSettings::draft07().for_serialize();
    let mut form = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    plain(&mut form);
    if let Value::Object(form) = &mut form {
        form.insert("title".to_owned(), Value::from(schema));
        named(form, schema);
    }
    form
}

/// Every document says first what it is.
fn named(form: &mut Map<String, Value>, schema: &str) {
    let properties = form.entry("properties").or_insert_with(|| json!({}));
    properties["schema"] = json!({"description": "Names this format.", "const": schema});
    let required = form.entry("required").or_insert_with(|| json!([]));
    if let Value::Array(required) = required {
        required.retain(|key| key != "schema");
        required.insert(0, Value::from("schema"));
    }
}

/// Without what is of our own reading (no other keys), of Rust (`uint64`), or of our line ends.
fn plain(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.remove("format");
            if map.get("additionalProperties") == Some(&Value::Bool(false)) {
                map.remove("additionalProperties");
            }
            if let Some(Value::String(text)) = map.get_mut("description") {
                let paragraphs = text.split("\n\n").map(|one| one.replace('\n', " "));
                *text = paragraphs.collect::<Vec<_>>().join("\n\n");
            }
            map.values_mut().for_each(plain);
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    #[test]
    fn what_is_published_is_what_is_printed_now() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema");
        for one in all() {
            let (name, form) = (one.name(), one.form());
            let path = folder.join(format!("{name}.schema.json"));
            let published = std::fs::read_to_string(&path).unwrap_or_default();
            let how = format!("nepho schema {name} > docs/schema/{name}.schema.json");
            assert!(published == format!("{form:#}\n"), "it is stale: {how}");
        }
    }

    #[test]
    fn every_form_is_a_schema_of_its_own_with_words_for_each_key() {
        let mut names = BTreeSet::new();
        for one in all() {
            let (name, form) = (one.name(), one.form());
            assert!(names.insert(name), "{name} twice");
            assert!(jsonschema::draft7::meta::is_valid(&form), "{name}");
            assert_eq!(form["required"][0], "schema", "{name}");
            let text = form.to_string();
            assert!(!text.contains("\"format\""), "{name}");
            let Value::Object(properties) = &form["properties"] else {
                panic!("{name}")
            };
            for (key, property) in properties {
                let said = property.get("description").is_some();
                assert!(said, "{name}: {key} has no description: {property}");
            }
        }
    }

    #[test]
    fn mistakes_have_the_form_that_is_published() {
        let source = nepho_controller_core::scenario::Source {
            name: "s.yaml".to_owned(),
            text: "api: nepho/v1\nnam: s\n".to_owned(),
        };
        let found = nepho_controller_core::scenario::references(&source).unwrap_err();
        let form = form::<Diagnostics>("nepho.diagnostics/v1");
        let mut json = found.json();
        assert!(jsonschema::draft7::is_valid(&form, &json), "{json:#}");
        json["diagnostics"][0]["line"] = Value::from("2");
        assert!(
            !jsonschema::draft7::is_valid(&form, &json),
            "and nothing else"
        );
    }
}
