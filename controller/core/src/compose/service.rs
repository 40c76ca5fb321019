//! One service of a Compose file.

use std::collections::BTreeMap;

use nepho_common::id::ServiceName;
use serde_json::{Map, Value};

use super::{
    health::{self, Asked},
    notes::Notes,
    port::{Port, ports},
    variable::expand,
};
use crate::{
    diagnose::{Pointer, quoted},
    fleet::{LabelName, label_value},
};

/// A service that can be measured from its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Drafted {
    /// As fleets call it.
    pub(super) name: String,
    /// HOST:PORT, or https://HOST:PORT.
    pub(super) address: String,
    /// The path of its health check; `None` when its port is all there is to check.
    pub(super) health: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    /// What it waits for, by name.
    pub(super) needs: Vec<String>,
}

/// A service that can't, and why.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) why: String,
    /// What it would be, for a person to go on with.
    pub(super) draft: Option<Box<Drafted>>,
}

/// Reads one service.
pub(super) fn service(
    written: &str,
    value: &Value,
    at: &Pointer,
    notes: &mut Notes<'_>,
) -> Result<Drafted, Left> {
    let left = |why: &str| Left {
        why: why.to_owned(),
        draft: None,
    };
    let Value::Object(map) = value else {
        return Err(left("it is no map"));
    };
    let name = name(written).ok_or_else(|| left("its name has no letter or digit"))?;
    for key in ["extends", "<<"] {
        if map.contains_key(key) {
            let text = format!("{}: what `{key}` brings is not read", quoted(written));
            notes.at(&at.key(key), text);
        }
    }
    let draft = |address: String, health: Option<String>, notes: &mut Notes<'_>| Drafted {
        name: name.clone(),
        address,
        health,
        labels: labels(written, map, at, notes),
        needs: needs(map),
    };
    let published = published(written, map, at, notes);
    let check = check(written, map, at, notes);
    let Some((port, asked)) = chosen(&published, check.as_ref()) else {
        let Some(inner) = exposed(map) else {
            return Err(left("it publishes no port"));
        };
        let path = check.map(|asked| asked.path);
        return Err(Left {
            why: format!("its port {inner} is reached within its own network only"),
            draft: Some(Box::new(draft(format!("{name}:{inner}"), path, notes))),
        });
    };
    tell(
        written,
        at,
        notes,
        &published,
        (port, check.as_ref(), asked),
    );
    let scheme = if asked.is_some_and(|asked| asked.https) {
        "https://"
    } else {
        ""
    };
    let address = format!("{scheme}{}:{}", port.host, port.published);
    let drafted = draft(address, asked.map(|asked| asked.path.clone()), notes);
    match profiles(map) {
        None => Ok(drafted),
        Some(profiles) => Err(Left {
            why: format!("it starts with the profile {profiles} only"),
            draft: Some(Box::new(drafted)),
        }),
    }
}

fn check(
    written: &str,
    map: &Map<String, Value>,
    at: &Pointer,
    notes: &mut Notes<'_>,
) -> Option<Asked> {
    let check = map.get("healthcheck")?.as_object()?;
    let names = names(written, map);
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    health::asked(check, &names).unwrap_or_else(|why| {
        let text = format!("{}: its health check is not used: {why}", quoted(written));
        notes.at(&at.key("healthcheck"), text);
        None
    })
}

/// The port that the health check asks, and the check; else the first one without any.
fn chosen<'a>(
    published: &'a [Port],
    check: Option<&'a Asked>,
) -> Option<(&'a Port, Option<&'a Asked>)> {
    let matching = check.and_then(|asked| {
        let port = published.iter().find(|port| port.target == asked.port)?;
        Some((port, Some(asked)))
    });
    matching.or_else(|| Some((published.first()?, None)))
}

/// What of a service that can be measured is left out or only guessed.
fn tell(
    written: &str,
    at: &Pointer,
    notes: &mut Notes<'_>,
    published: &[Port],
    (port, check, asked): (&Port, Option<&Asked>, Option<&Asked>),
) {
    let name = quoted(written);
    let number = port.published;
    let mut others = published.iter().filter(|other| *other != port);
    if let Some(other) = others.next() {
        let other = match others.count() {
            0 => format!("port {}", other.published),
            more => format!("each of {} more ports, as {},", more + 1, other.published),
        };
        let text = format!(
            "{name}: port {number} is measured; {other} is a service of its own if that matters"
        );
        notes.at(&at.key("ports"), text);
    }
    let at_check = at.key("healthcheck");
    if let (Some(check), None) = (check, asked) {
        let inner = check.port;
        let text = format!("{name}: its health check asks port {inner}, which is not published");
        notes.at(&at_check, text);
    }
    match asked {
        Some(asked) if asked.dropped => {
            let what = "headers, users and cookies of its health check are not taken over";
            notes.at(&at_check, format!("{name}: {what}"));
        }
        Some(_) => {}
        None => {
            let text = format!(
                "{name}: its port {number} is checked by connecting to it; write \
                 `http: {{health: /PATH}}` in place of `tcp: {{}}` if it answers HTTP"
            );
            notes.at(at, text);
        }
    }
}

/// What a fleet calls it: Compose takes capitals, and a name may begin with a dash.
pub(super) fn name(written: &str) -> Option<String> {
    let lower = written.to_lowercase();
    let known = lower.chars().map(|c| match c {
        'a'..='z' | '0'..='9' | '.' | '_' | '-' => c,
        _ => '-',
    });
    let known: String = known.collect();
    let name: String = known
        .trim_start_matches(['.', '_', '-'])
        .chars()
        .take(63)
        .collect();
    name.parse::<ServiceName>().ok().map(|_| name)
}

/// What its container calls itself.
fn names(written: &str, map: &Map<String, Value>) -> Vec<String> {
    let keys = ["container_name", "hostname"];
    let more = keys.iter().filter_map(|key| map.get(*key)?.as_str());
    std::iter::once(written)
        .chain(more)
        .map(ToOwned::to_owned)
        .collect()
}

fn published(
    written: &str,
    map: &Map<String, Value>,
    at: &Pointer,
    notes: &mut Notes<'_>,
) -> Vec<Port> {
    let at = at.key("ports");
    let mut found: Vec<Port> = Vec::new();
    match map.get("ports") {
        Some(Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                match ports(item) {
                    Ok(more) => found.extend(more),
                    Err(why) => notes.at(&at.index(index), format!("{}: {why}", quoted(written))),
                }
            }
        }
        Some(Value::Null) | None => {}
        Some(_) => notes.at(&at, format!("{}: its `ports` are no list", quoted(written))),
    }
    // Without a network of its own, its ports are the host's.
    if found.is_empty()
        && map.get("network_mode").and_then(Value::as_str) == Some("host")
        && let Some(port) = exposed(map)
    {
        found.push(Port {
            host: "127.0.0.1".to_owned(),
            published: port,
            target: port,
        });
    }
    found
}

/// The first port that other containers reach it at.
fn exposed(map: &Map<String, Value>) -> Option<u16> {
    let first = map.get("expose")?.as_array()?.first()?;
    let text = match first {
        Value::Number(number) => number.to_string(),
        Value::String(text) => expand(text).ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let number = text.split(['/', '-']).next().unwrap_or_default();
    number.parse().ok().filter(|port| *port > 0)
}

fn profiles(map: &Map<String, Value>) -> Option<String> {
    let profiles = map.get("profiles")?.as_array()?;
    let names: Vec<_> = profiles
        .iter()
        .filter_map(Value::as_str)
        .map(quoted)
        .take(3)
        .collect();
    (!names.is_empty()).then(|| names.join(" or "))
}

/// A map's keys and values, or a list of `key=value`.
fn labels(
    written: &str,
    map: &Map<String, Value>,
    at: &Pointer,
    notes: &mut Notes<'_>,
) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => expand(text).unwrap_or_default(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let pairs: Vec<(String, String)> = match map.get("labels") {
        Some(Value::Object(labels)) => labels
            .iter()
            .map(|(key, value)| (key.clone(), text(value)))
            .collect(),
        Some(Value::Array(labels)) => labels
            .iter()
            .filter_map(Value::as_str)
            .map(|label| label.split_once('=').unwrap_or((label, "")))
            .map(|(key, value)| (key.to_owned(), text(&Value::from(value))))
            .collect(),
        Some(_) | None => return BTreeMap::new(),
    };
    let all = pairs.len();
    let taken: BTreeMap<_, _> = pairs
        .into_iter()
        // By custom, a key with a dot belongs to a program: Docker, a proxy. It may hold secrets.
        .filter(|(key, value)| {
            !key.contains('.')
                && key.parse::<LabelName>().is_ok()
                && !value.contains("${")
                && label_value(value).is_ok()
        })
        .collect();
    if taken.len() < all {
        let text = format!(
            "{}: {} of its {all} labels are left out: they are of other programs, or no labels here",
            quoted(written),
            all - taken.len()
        );
        notes.at(&at.key("labels"), text);
    }
    taken
}

/// A list of names, or a map by name.
fn needs(map: &Map<String, Value>) -> Vec<String> {
    let names: Vec<&str> = match map.get("depends_on") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(Value::Object(names)) => names.keys().map(String::as_str).collect(),
        Some(_) | None => Vec::new(),
    };
    let mut needs: Vec<_> = names.into_iter().filter_map(name).collect();
    needs.sort();
    needs.dedup();
    needs
}
