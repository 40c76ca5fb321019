//! The form of a file: which keys there are, and what kind of value each takes.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::error::{TypeKind, ValidationError, ValidationErrorKind};
use serde_json::Value;

use super::{Checker, Code, Pointer, Problem, nearest, quoted, scalar};

/// Holds `value` against `schema`, reports every difference, and takes out of `value` what the raw
/// types could not decode.
pub(crate) fn check(schema: &Value, value: &mut Value, checker: &mut Checker) {
    let validator = jsonschema::draft7::new(schema).expect("our own schemas are valid, by test");
    let differences = differences(schema, &validator, value, checker);
    for (at, difference) in differences {
        match difference {
            Difference::Key(key, problem) => {
                checker.at_key(&at.key(&key), problem);
                checker.refuse(&at.key(&key));
                if let Some(Value::Object(map)) = value.pointer_mut(at.as_str()) {
                    map.remove(&key);
                }
            }
            Difference::Value(problem) => {
                checker.at_value(&at, problem);
                checker.refuse(&at);
                if let Some(place) = value.pointer_mut(at.as_str()) {
                    *place = Value::Null;
                }
            }
            Difference::Unquoted(text) => {
                if let Some(place) = value.pointer_mut(at.as_str()) {
                    *place = Value::String(text);
                }
            }
            Difference::Missing(key, problem) => {
                checker.at_key(&at, problem);
                checker.refuse(&at.key(&key));
            }
        }
    }
}

enum Difference {
    /// A key that should not be there.
    Key(String, Problem),
    /// A value of the wrong form.
    Value(Problem),
    /// A number where a text of some form is due, and this is not of that form: `10` for `10s`.
    /// Its own door says best what is wrong with it.
    Unquoted(String),
    /// A key that should be there.
    Missing(String, Problem),
}

fn differences(
    schema: &Value,
    validator: &jsonschema::Validator,
    value: &Value,
    checker: &Checker,
) -> Vec<(Pointer, Difference)> {
    let mut found = Vec::new();
    let mut unknown: BTreeMap<Pointer, Vec<String>> = BTreeMap::new();
    let mut missing: Vec<(Pointer, String)> = Vec::new();
    let mut wrong = BTreeSet::new();
    for error in validator.iter_errors(value) {
        let at = Pointer::from(error.instance_path().as_str());
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let keys = Keys::of(schema, error.schema_path().as_str());
                for key in unexpected {
                    unknown.entry(at.clone()).or_default().push(key.clone());
                    found.push((at.clone(), Difference::Key(key.clone(), keys.refuse(key))));
                }
            }
            ValidationErrorKind::Required { property } => {
                let property = property.as_str().unwrap_or_default().to_owned();
                missing.push((at, property));
            }
            // The checked types' own doors say it better; patterns are for editors.
            ValidationErrorKind::Pattern { .. } | ValidationErrorKind::PropertyNames { .. } => {}
            _ if checker.is_refused(&at) || !wrong.insert(at.clone()) => {}
            _ => {
                let written = checker.written(&at);
                let difference = if is_formless_number(schema, &error, written) {
                    Difference::Unquoted(written.to_owned())
                } else {
                    let problem = wrong_value(&error, written);
                    Difference::Value(with_description(problem, schema, &error))
                };
                found.push((at, difference));
            }
        }
    }
    for (at, key) in missing {
        let misspelt = unknown.get(&at).is_some_and(|keys| {
            keys.iter()
                .any(|written| nearest(written, [key.as_str()]).is_some())
        });
        if !misspelt && !checker.is_refused(&at.key(&key)) {
            let problem = Problem::new(Code::MissingKey, format!("`{key}` is missing"))
                .label(format!("this needs `{key}`"));
            found.push((at, Difference::Missing(key, problem)));
        }
    }
    found
}

/// What a map may hold, by its schema.
struct Keys {
    known: Vec<String>,
    later: Vec<String>,
}

impl Keys {
    /// `path` leads to the `additionalProperties` that refused.
    fn of(schema: &Value, path: &str) -> Self {
        let map = Pointer::from(path).parent().unwrap_or_default();
        let map = schema.pointer(map.as_str()).unwrap_or(&Value::Null);
        let known = map.get("properties").and_then(Value::as_object);
        let later = map.get("x-later").and_then(Value::as_array);
        Self {
            known: known
                .into_iter()
                .flat_map(|map| map.keys().cloned())
                .collect(),
            later: later
                .into_iter()
                .flatten()
                .filter_map(|key| key.as_str().map(str::to_owned))
                .collect(),
        }
    }

    fn refuse(&self, key: &str) -> Problem {
        if self.later.iter().any(|later| later == key) {
            return Problem::new(
                Code::ComesLater,
                format!("{} comes with a later version of nepho", quoted(key)),
            )
            .label("not in this version")
            .help(format!("this version knows: {}", self.known.join(", ")));
        }
        Problem::new(
            Code::UnknownKey,
            format!("there is no key {} here", quoted(key)),
        )
        .label("unknown key")
        .meant(key, self.known.iter().map(String::as_str))
    }
}

fn is_formless_number(schema: &Value, error: &ValidationError<'_>, written: &str) -> bool {
    if !matches!(error.kind(), ValidationErrorKind::Type { .. }) || !error.instance().is_number() {
        return false;
    }
    let due = Pointer::from(error.schema_path().as_str())
        .parent()
        .unwrap_or_default();
    let pattern = schema
        .pointer(due.as_str())
        .and_then(|due| due.get("pattern"));
    pattern.is_some_and(|pattern| {
        let form = serde_json::json!({ "pattern": pattern });
        !jsonschema::draft7::is_valid(&form, &Value::from(written))
    })
}

/// What the schema says about the place, when there is no better help.
fn with_description(problem: Problem, schema: &Value, error: &ValidationError<'_>) -> Problem {
    let due = Pointer::from(error.schema_path().as_str())
        .parent()
        .unwrap_or_default();
    let text = schema
        .pointer(due.as_str())
        .and_then(|due| due.get("description"));
    match text.and_then(Value::as_str) {
        Some(text) if problem.help.is_empty() => problem.help(text),
        Some(_) | None => problem,
    }
}

fn wrong_value(error: &ValidationError<'_>, written: &str) -> Problem {
    match error.kind() {
        ValidationErrorKind::Type { kind } => wrong_type(kind, error.instance(), written),
        ValidationErrorKind::Enum { options } => {
            let options: Vec<_> = options
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let text = error.instance().as_str().unwrap_or(written);
            Problem::new(
                Code::NotOneOf,
                format!("{} is not known here", quoted(text)),
            )
            .meant(text, options)
        }
        ValidationErrorKind::Minimum { limit } => Problem::new(
            Code::OutOfRange,
            format!("{} is less than {limit}", quoted(written)),
        )
        .label(format!("at least {limit}")),
        ValidationErrorKind::Maximum { limit } => Problem::new(
            Code::OutOfRange,
            format!("{} is more than {limit}", quoted(written)),
        )
        .label(format!("at most {limit}")),
        ValidationErrorKind::MinItems { .. } => {
            Problem::new(Code::OutOfRange, "this list is empty").label("at least one is needed")
        }
        ValidationErrorKind::MinProperties { .. } => {
            Problem::new(Code::OutOfRange, "this map is empty").label("at least one key is needed")
        }
        ValidationErrorKind::MaxItems { limit } => Problem::new(
            Code::OutOfRange,
            format!("this list has more than {limit} items"),
        ),
        ValidationErrorKind::MaxProperties { limit } => Problem::new(
            Code::OutOfRange,
            format!("this map has more than {limit} keys"),
        ),
        // Our schemas use no other keyword.
        _ => Problem::new(Code::WrongType, error.masked().to_string()),
    }
}

fn wrong_type(expected: &TypeKind, found: &Value, written: &str) -> Problem {
    let expected = match expected {
        TypeKind::Single(one) => one.to_string(),
        TypeKind::Multiple(_) => "string".to_owned(),
    };
    let due = match expected.as_str() {
        "object" => "a map",
        "array" => "a list",
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "something else",
    };
    let is = match found {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    };
    let problem = Problem::new(Code::WrongType, format!("{due} is expected here, not {is}"))
        .label(format!("expected {due}"));
    match (expected.as_str(), found) {
        ("string", Value::Number(_) | Value::Bool(_)) => problem.help(format!(
            "in quotes it is text: \"{}\"",
            quoted(written).replace('`', "")
        )),
        ("object", Value::Null) => problem.help("a map with nothing in it is written `{}`"),
        ("array", Value::String(text)) if !text.is_empty() => {
            problem.help(format!("a list of one: {}", quoted(&format!("[{text}]"))))
        }
        ("integer" | "boolean", Value::String(text))
            if written.starts_with(['"', '\'']) && !scalar::resolve(text).is_string() =>
        {
            problem.help("without quotes it is one")
        }
        _ => problem,
    }
}
