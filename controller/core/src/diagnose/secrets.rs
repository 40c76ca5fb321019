//! `${…}` is read in header values alone. Anywhere else it would stay as it is written, in names
//! and reports; so it is refused there.

use serde_json::Value;

use super::{Checker, Code, Pointer, Problem, quoted};

/// Refuses every `${…}` outside of header values and takes it out of `value`.
pub(crate) fn check(value: &mut Value, checker: &mut Checker) {
    walk(value, &Pointer::root(), checker);
}

fn walk(value: &mut Value, at: &Pointer, checker: &mut Checker) {
    match value {
        Value::String(text) if text.contains("${") && !is_header(at) => {
            checker.at_value(at, misplaced(text));
            checker.refuse(at);
            *value = Value::Null;
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, &at.index(index), checker);
            }
        }
        Value::Object(map) => {
            let bad: Vec<_> = map
                .keys()
                .filter(|key| key.contains("${"))
                .cloned()
                .collect();
            for key in bad {
                map.remove(&key);
                checker.at_key(&at.key(&key), misplaced(&key));
                checker.refuse(&at.key(&key));
            }
            for (key, item) in map.iter_mut() {
                walk(item, &at.key(key), checker);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `…/http/headers/NAME`
fn is_header(at: &Pointer) -> bool {
    let headers = at.parent();
    let http = headers.as_ref().and_then(Pointer::parent);
    headers.and_then(|at| at.last()).as_deref() == Some("headers")
        && http.and_then(|at| at.last()).as_deref() == Some("http")
}

fn misplaced(text: &str) -> Problem {
    Problem::new(
        Code::Reference,
        format!("{} is not replaced here", quoted(text)),
    )
    .label("a reference is read in the values of `headers` only")
    .help("names, labels and expectations end in reports, where no secret may stand")
}
