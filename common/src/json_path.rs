//! Paths into a JSON document: `$.a.b[0].c` and nothing more. Wildcards, filters and slices are
//! deliberately absent: a check asks for one scalar.

use std::{fmt, str::FromStr};

use serde_json::Value;

/// The longest path, in steps. Documents are nested by a handful.
const STEPS_MAX: usize = 32;

/// Where in a document a scalar stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Place(usize),
}

/// Why a text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a path is written like $.a.b[0].c, with at most {STEPS_MAX} steps")]
pub struct BadJsonPath;

impl FromStr for JsonPath {
    type Err = BadJsonPath;

    fn from_str(text: &str) -> Result<Self, BadJsonPath> {
        let mut rest = text.strip_prefix('$').ok_or(BadJsonPath)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let step;
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                let (key, left) = after.split_at(end);
                let legal =
                    |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ':' | '/' | '@');
                if key.is_empty() || !key.chars().all(legal) {
                    return Err(BadJsonPath);
                }
                (step, rest) = (Step::Key(key.to_owned()), left);
            } else {
                let after = rest.strip_prefix('[').ok_or(BadJsonPath)?;
                let (place, left) = after.split_once(']').ok_or(BadJsonPath)?;
                let digits = !place.is_empty() && place.bytes().all(|b| b.is_ascii_digit());
                let place = place.parse().ok().filter(|_| digits);
                (step, rest) = (Step::Place(place.ok_or(BadJsonPath)?), left);
            }
            steps.push(step);
        }
        if steps.len() > STEPS_MAX {
            return Err(BadJsonPath);
        }
        Ok(Self(steps))
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for step in &self.0 {
            match step {
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Place(place) => write!(f, "[{place}]")?,
            }
        }
        Ok(())
    }
}

impl JsonPath {
    /// What stands there.
    #[must_use]
    pub fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        let mut at = document;
        for step in &self.0 {
            at = match step {
                Step::Key(key) => at.as_object()?.get(key)?,
                Step::Place(place) => at.as_array()?.get(*place)?,
            };
        }
        Some(at)
    }

    /// The scalar that stands there, as text: `ok`, `3`, `true`, `null`. Objects and lists are none.
    #[must_use]
    pub fn scalar(&self, document: &Value) -> Option<String> {
        match self.find(document)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(answer) => Some(answer.to_string()),
            Value::Null => Some("null".to_owned()),
            Value::Array(_) | Value::Object(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_one_scalar_or_nowhere() {
        let document: Value =
            serde_json::from_str(r#"{"a":{"b":[{"c":"x"},3]},"t":true,"n":null}"#).unwrap();
        for (path, found) in [
            ("$.a.b[0].c", Some("x")),
            ("$.a.b[1]", Some("3")),
            ("$.t", Some("true")),
            ("$.n", Some("null")),
            ("$.a.b[2]", None),
            ("$.a.c", None),
            ("$.a", None),
            ("$", None),
            ("$[0]", None),
            ("$.t.x", None),
        ] {
            let parsed: JsonPath = path.parse().unwrap();
            assert_eq!(parsed.scalar(&document).as_deref(), found, "{path}");
            assert_eq!(parsed.to_string(), path);
        }
        let list: JsonPath = "$[0]".parse().unwrap();
        assert_eq!(list.scalar(&serde_json::json!([7])).unwrap(), "7");
    }

    #[test]
    fn what_is_more_than_a_path_is_refused() {
        let deep = format!("${}", ".a".repeat(33));
        for bad in [
            "",
            "a",
            "$a",
            "$.",
            "$..a",
            "$.a.",
            "$[",
            "$[]",
            "$[-1]",
            "$[a]",
            "$.a[0",
            "$.*",
            "$[?(@.a)]",
            "$.a b",
            "$[0]x",
            "$[99999999999999999999999]",
            &deep,
        ] {
            assert_eq!(bad.parse::<JsonPath>(), Err(BadJsonPath), "{bad}");
        }
    }
}
