//! Rows that requests are filled with, from files that were sent with the scenario.

use std::collections::BTreeMap;

use nepho_common::{
    id::Operation,
    plan::{Feed, Load, PlannedPath},
    template::is_name,
};
use serde_json::Value;

use super::{
    super::{Source, raw::RawFeed},
    Files,
};
use crate::diagnose::{Checker, Code, Pointer, Problem, quoted};

type L = Load<PlannedPath>;

/// Columns and rows.
type Table = (Vec<String>, Vec<Vec<String>>);
type Reads = fn(&str) -> Result<Table, String>;

/// Parses the feeds at `at`. One whose file is not there has none of its rows.
pub(super) fn feeds(
    checker: &mut Checker,
    at: &Pointer,
    raw: Option<&BTreeMap<String, Option<RawFeed>>>,
    files: Option<&Files>,
) -> Vec<Feed> {
    let named = raw.into_iter().flatten();
    let named = named.filter_map(|(name, raw)| Some((name, raw.as_ref()?)));
    let all: Vec<_> = named
        .filter_map(|(name, raw)| feed(checker, &at.key(name), (name, raw), files))
        .collect();
    let rows = all.iter().flat_map(|feed| &feed.rows).flatten();
    let bytes: usize = rows.map(String::len).sum();
    if bytes > L::BODIES_MAX {
        let message = format!("the feeds have {bytes} bytes in all");
        let problem = Problem::new(Code::OutOfRange, message);
        checker.at_key(at, problem.label(format!("at most {}", L::BODIES_MAX)));
    }
    all
}

fn feed(
    checker: &mut Checker,
    at: &Pointer,
    (name, raw): (&str, &RawFeed),
    files: Option<&Files>,
) -> Option<Feed> {
    if !is_name(name) {
        let message = format!("{} is no name of a feed", quoted(name));
        let problem = Problem::new(Code::BadName, message);
        checker.at_key(
            at,
            problem.label("letters, digits, `-` and `_`, 63 at most"),
        );
        return None;
    }
    let (key, reference, read): (_, _, Reads) = match (&raw.csv, &raw.json) {
        (Some(csv), None) => ("csv", csv, table_of_csv),
        (None, Some(json)) => ("json", json, table_of_json),
        _ => {
            let problem = Problem::new(Code::ExactlyOne, "a feed has one file")
                .label("one of `csv` and `json`");
            checker.at_key(at, problem);
            return None;
        }
    };
    let file = file(checker, &at.key(key), reference, files)??;
    let table = read(&file.text).and_then(checked);
    let (columns, rows) = table
        .map_err(|why| {
            let message = format!("no rows can be read from {}", quoted(reference));
            let problem = Problem::new(Code::BadText, message).label(why);
            checker.at_value(&at.key(key), problem);
        })
        .ok()?;
    Some(Feed {
        name: Operation::try_from(name.to_owned()).ok()?,
        is_drawn: raw.pick.as_deref() == Some("random"),
        columns,
        rows,
    })
}

/// The file of this reference: `None` inside when nobody has sent files, `None` when this one was
/// not among them, which is said.
pub(super) fn file<'a>(
    checker: &mut Checker,
    at: &Pointer,
    reference: &str,
    files: Option<&'a Files>,
) -> Option<Option<&'a Source>> {
    let Some(files) = files else {
        return Some(None);
    };
    let found = files.get(reference);
    if found.is_none() {
        let name = quoted(reference);
        let message = format!("the file {name} was not sent with the scenario");
        let problem = Problem::new(Code::UnknownFile, message).label("this file is missing");
        checker.at_value(at, problem);
        return None;
    }
    Some(found)
}

fn checked((columns, rows): Table) -> Result<(Vec<Operation>, Vec<Vec<String>>), String> {
    if rows.is_empty() {
        return Err("it has no rows".to_owned());
    }
    if rows.len() > L::ROWS_MAX {
        let (rows, most) = (rows.len(), L::ROWS_MAX);
        return Err(format!("it has {rows} rows, and {most} are the most"));
    }
    if columns.is_empty() || columns.len() > L::COLUMNS_MAX {
        let (columns, most) = (columns.len(), L::COLUMNS_MAX);
        return Err(format!(
            "it has {columns} columns, and there may be 1 to {most}"
        ));
    }
    if let Some(bad) = columns.iter().find(|name| !is_name(name)) {
        let bad = quoted(bad);
        return Err(format!(
            "{bad} is no name of a column: letters, digits, `-` and `_`"
        ));
    }
    let mut sorted: Vec<_> = columns.iter().collect();
    sorted.sort();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("it has two columns {}", quoted(twice[0])));
    }
    let columns = columns.into_iter().map(Operation::try_from);
    let columns = columns
        .collect::<Result<_, _>>()
        .map_err(|why| why.to_string())?;
    Ok((columns, rows))
}

fn table_of_csv(text: &str) -> Result<Table, String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers().map_err(|why| why.to_string())?;
    let columns = columns.iter().map(|name| name.trim().to_owned()).collect();
    let rows = reader.records().map(|row| {
        let row = row.map_err(|why| why.to_string())?;
        Ok(row.iter().map(str::to_owned).collect())
    });
    Ok((columns, rows.collect::<Result<_, String>>()?))
}

fn table_of_json(text: &str) -> Result<Table, String> {
    let list: Vec<BTreeMap<String, Value>> = serde_json::from_str(text)
        .map_err(|why| format!("it is no JSON list of objects: {why}"))?;
    let columns: Vec<String> = list
        .first()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.clone())
        .collect();
    let mut rows = Vec::new();
    for (place, object) in list.into_iter().enumerate() {
        if !object.keys().eq(columns.iter()) {
            let first = columns.join(", ");
            return Err(format!(
                "object {place} (from 0) has other keys than the first: {first}"
            ));
        }
        let cell = |(key, value): (String, Value)| match value {
            Value::String(text) => Ok(text),
            Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => Err(format!(
                "{key} of object {place} (from 0) is no text, number or truth value"
            )),
        };
        rows.push(object.into_iter().map(cell).collect::<Result<_, _>>()?);
    }
    Ok((columns, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_stand_and_what_is_none_says_where() {
        let (columns, rows) = table_of_csv("\u{feff}name, age\n\"Li, Wei\",7\nb,\n").unwrap();
        assert_eq!(columns, ["name", "age"]);
        assert_eq!(rows, [["Li, Wei", "7"], ["b", ""]]);
        let (columns, rows) =
            table_of_json(r#"[{"b": 1.5, "a": "x"}, {"a": "y", "b": true}]"#).unwrap();
        assert_eq!(columns, ["a", "b"]);
        assert_eq!(rows, [["x", "1.5"], ["y", "true"]]);
        for (found, why) in [
            (table_of_csv("a,b\n1\n").and_then(checked), "line: 2"),
            (table_of_csv("a,b\n").and_then(checked), "no rows"),
            (table_of_csv("a,a\n1,2\n").and_then(checked), "two columns"),
            (
                table_of_csv("a b\n1\n").and_then(checked),
                "no name of a column",
            ),
            (table_of_json("{}").and_then(checked), "no JSON list"),
            (table_of_json("[]").and_then(checked), "no rows"),
            (
                table_of_json(r#"[{"a": 1}, {"b": 1}]"#).and_then(checked),
                "other keys",
            ),
            (
                table_of_json(r#"[{"a": null}]"#).and_then(checked),
                "no text",
            ),
        ] {
            let found = found.unwrap_err();
            assert!(found.contains(why), "{why}: {found}");
        }
    }
}
