//! The fleet file that is written: for a person to go on with.

use std::collections::BTreeMap;

use serde_json::Value;

use super::service::{Drafted, Left};
use crate::diagnose::quoted;

/// `cluster-config.yaml`, from `name`.
pub(super) fn fleet(
    name: &str,
    drafted: &BTreeMap<String, Drafted>,
    left: &BTreeMap<String, Left>,
) -> String {
    // Only how it is called: where it lay is of this machine.
    let name = name.rsplit('/').next().unwrap_or(name);
    let mut text = format!(
        "# yaml-language-server: $schema=.nepho/fleet.schema.json\n\
         # The fleet, from {}: what is measured, and how it is reached from this host.\n\
         api: nepho/v1\n\
         \n\
         # Places that services live in. An agent runs in each (with `--local`: on this machine).\n\
         environments:\n\
         \x20 local: {{title: this host}}\n\
         \n\
         services:\n",
        quoted(name)
    );
    for one in drafted.values() {
        text.push_str(&service(one, |need| drafted.contains_key(need)));
        text.push('\n');
    }
    for (name, left) in left {
        text.push_str(&format!("  # {name} is left out: {}.\n", left.why));
        let draft = left.draft.as_ref();
        let draft = draft.map(|draft| service(draft, |need| drafted.contains_key(need)));
        for line in draft.iter().flat_map(|draft| draft.lines()) {
            text.push_str(&format!("  #{}\n", line.strip_prefix(' ').unwrap_or(line)));
        }
        text.push('\n');
    }
    format!("{}\n", text.trim_end())
}

fn service(one: &Drafted, is_there: impl Fn(&str) -> bool) -> String {
    let mut text = format!("  - name: {}\n    environment: local\n", plain(&one.name));
    let needs: Vec<_> = one
        .needs
        .iter()
        .filter(|need| is_there(need) && **need != one.name)
        .collect();
    if !needs.is_empty() {
        let needs: Vec<_> = needs.into_iter().map(|need| plain(need)).collect();
        text.push_str(&format!("    depends-on: [{}]\n", needs.join(", ")));
    }
    if !one.labels.is_empty() {
        let label =
            |(name, value): (&String, &String)| format!("{}: {}", plain(name), quotes(value));
        let labels: Vec<_> = one.labels.iter().map(label).collect();
        text.push_str(&format!("    labels: {{{}}}\n", labels.join(", ")));
    }
    text.push_str(&match &one.health {
        Some(path) => format!("    http: {{health: {}}}\n", quotes(path)),
        None => "    tcp: {}\n".to_owned(),
    });
    text.push_str(&format!(
        "    address: {{inside: {}}}\n",
        quotes(&one.address)
    ));
    text
}

/// A name, in quotes where YAML would take it for something else than text.
fn plain(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && !matches!(name, "true" | "false" | "null");
    if is_plain {
        name.to_owned()
    } else {
        quotes(name)
    }
}

/// A JSON string is a YAML string, whatever it holds.
fn quotes(text: &str) -> String {
    Value::from(text).to_string()
}
