//! What a run found: its report, and its journal read back from a run directory.

use std::{collections::BTreeSet, path::Path};

use nepho_common::{
    event::What,
    journal::{Body, Entry},
};
use nepho_controller::export::{JOURNAL, read_run_dir};
use nepho_controller_core::report::{Report, model::Finding};
use serde_json::Value;

/// The report of a run directory.
pub(crate) fn report(dir: &Path) -> Report {
    parsed(&std::fs::read_to_string(dir.join("report.json")).unwrap())
}

/// A report as it was printed.
pub(crate) fn parsed(text: &str) -> Report {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The findings whose dimensions say this.
pub(crate) fn findings(report: &Report, is: impl Fn(&Finding) -> bool) -> Vec<&Finding> {
    report
        .findings
        .iter()
        .filter(|finding| is(finding))
        .collect()
}

/// What a finding says of one dimension.
pub(crate) fn dimension<'a>(finding: &'a Finding, word: &str) -> &'a str {
    let found = finding
        .on
        .iter()
        .find(|(dimension, _)| serde_json::to_value(dimension).unwrap() == word);
    found.map_or("", |(_, value)| value)
}

/// Every record of a run directory, decoded.
pub(crate) fn journal(dir: &Path) -> Vec<Entry> {
    let (_, records) = read_run_dir(dir).unwrap();
    let decode = |record| nepho_proto::journal::decode(record).unwrap();
    records.iter().map(decode).collect()
}

/// Everything that one author says happened.
pub(crate) fn events<'a>(journal: &'a [Entry], author: &str) -> Vec<&'a What> {
    let of_author = journal
        .iter()
        .filter(|entry| entry.key.agent.as_str() == author);
    let events = of_author.flat_map(|entry| match &entry.body {
        Body::Events(events) => events.as_slice(),
        Body::Recordings(_)
        | Body::Gauges(_)
        | Body::Traces(_)
        | Body::Exhibits(_)
        | Body::Seal(_) => &[],
    });
    events.map(|event| &event.what).collect()
}

/// The numbers of one author's records, as the lines of the export have them; each may be there
/// once.
pub(crate) fn numbers(dir: &Path, author: &str) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    let mut spools = BTreeSet::new();
    for line in std::fs::read_to_string(dir.join(JOURNAL)).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["agent"] == author {
            spools.insert(line["spool"].as_str().unwrap().to_owned());
            let seq = line["seq"].as_u64().unwrap();
            assert!(
                numbers.insert(seq),
                "record {seq} of {author} is there twice"
            );
        }
    }
    assert!(spools.len() <= 1, "{author} has several spools: {spools:?}");
    numbers
}
