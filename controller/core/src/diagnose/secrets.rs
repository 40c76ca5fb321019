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
        Value::String(text) if text.contains("${") && !is_header(at) && !is_filled(at) => {
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

/// `…/http/headers/NAME`, and the password or token of an event's channel.
fn is_header(at: &Pointer) -> bool {
    let last = at.last();
    let room = at.parent();
    let within = room.as_ref().and_then(Pointer::last);
    let whose = room.as_ref().and_then(Pointer::parent);
    let whose = whose.and_then(|at| at.last());
    matches!(
        (whose.as_deref(), within.as_deref(), last.as_deref()),
        (Some("http" | "prometheus" | "webhook"), Some("headers"), _)
            | (Some("event"), Some("redis"), Some("password"))
            | (Some("event"), Some("nats"), Some("token"))
    )
}

/// What a load sends is filled in: `…/load/requests/0/get`, `…/requests/0/flow/1/json/name`. Whoever
/// parses it says what may stand there.
fn is_filled(at: &Pointer) -> bool {
    let up = std::iter::successors(Some(at.clone()), Pointer::parent);
    let mut keys: Vec<_> = up.filter_map(|at| at.last()).collect();
    keys.reverse();
    let mut keys = keys
        .iter()
        .map(AsRef::as_ref)
        .skip_while(|key| *key != "load");
    if (keys.next(), keys.next(), keys.next().is_some()) != (Some("load"), Some("requests"), true) {
        return false;
    }
    let sent = [
        "get", "head", "post", "put", "patch", "delete", "body", "json", "headers",
    ];
    match keys.next() {
        Some("flow") => keys.nth(1).is_some_and(|key| sent.contains(&key)),
        key => key.is_some_and(|key| sent.contains(&key)),
    }
}

fn misplaced(text: &str) -> Problem {
    Problem::new(
        Code::Reference,
        format!("{} is not replaced here", quoted(text)),
    )
    .label("a reference is read in the values of `headers` only")
    .help("names, labels and expectations end in reports, where no secret may stand")
}
