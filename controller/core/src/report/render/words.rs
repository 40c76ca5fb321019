//! What Markdown and terminal say alike. Everything returned is raw: the caller escapes it.

use std::collections::BTreeMap;

use nepho_common::{
    id::AgentId,
    time::{Nanos, RunTime},
};

use super::super::model::{
    AgentReport, Counts, Doubt, Figures, Finding, LostSpan, Report, StartQuality, Verdict,
};

/// `PASS`, with the mark that goes before it.
pub(super) const fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Fail => "✗",
        Verdict::Inconclusive => "?",
        Verdict::NotRun => "–",
        Verdict::Error => "!",
    }
}

/// `12 passed, 1 failed, 2 not run`.
pub(super) fn counts(counts: &Counts) -> String {
    let all = [
        (counts.error, "broken"),
        (counts.fail, "failed"),
        (counts.inconclusive, "inconclusive"),
        (counts.not_run, "not run"),
        (counts.pass, "passed"),
    ];
    let said: Vec<_> = all
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    if said.is_empty() {
        "no findings".to_owned()
    } else {
        said.join(", ")
    }
}

/// What late results made of the report; nothing of its first revision.
pub(super) fn revised(report: &Report) -> Option<String> {
    let revision = report.revision.as_ref().filter(|one| one.number > 1)?;
    let before = revision.number.saturating_sub(1);
    let late = late(&revision.late);
    let said = revision.was.map_or("nothing", Verdict::word);
    let open = if revision.closed {
        ""
    } else {
        "; more may still arrive"
    };
    Some(format!(
        "Revision {}: {late} came after revision {before}, which said {said}{open}",
        revision.number
    ))
}

/// Agents with late records that are named; a whole fleet may come back at once.
const LATE_NAMED: usize = 8;

/// `3 records of a`, or `5 records (3 of a, 2 of b)`.
fn late(late: &BTreeMap<AgentId, u64>) -> String {
    let all: u64 = late.values().sum();
    let records = if all == 1 { "record" } else { "records" };
    if let [(agent, _)] = late.iter().collect::<Vec<_>>()[..] {
        return format!("{all} {records} of {agent}");
    }
    let named = late.iter().take(LATE_NAMED);
    let mut named: Vec<_> = named.map(|(agent, n)| format!("{n} of {agent}")).collect();
    if late.len() > LATE_NAMED {
        named.push(format!("others of {} agents", late.len() - LATE_NAMED));
    }
    format!("{all} {records} ({})", named.join(", "))
}

/// The doubts that alone keep the run from passing.
pub(super) fn deciding(report: &Report) -> impl Iterator<Item = &Doubt> {
    let decides = |doubt: &&Doubt| doubt.code.at_best() > Verdict::Pass;
    report.doubts.iter().filter(decides)
}

/// Findings that did not pass, the most urgent first.
pub(super) fn urgent(report: &Report) -> Vec<&Finding> {
    let open = report
        .findings
        .iter()
        .filter(|finding| finding.verdict != Verdict::Pass);
    let mut open: Vec<_> = open.collect();
    open.sort_by_key(|finding| (finding.priority, std::cmp::Reverse(finding.verdict)));
    open
}

/// Findings that differ in nothing but where, as all of a skipped stage: the first, and the others.
pub(super) fn alike<'a>(
    findings: impl IntoIterator<Item = &'a Finding>,
) -> Vec<(&'a Finding, Vec<&'a Finding>)> {
    let mut told: Vec<(&Finding, Vec<&Finding>)> = Vec::new();
    for finding in findings {
        let same = told.iter_mut().find(|(first, _)| {
            (&first.stage, first.verdict, &first.cause)
                == (&finding.stage, finding.verdict, &finding.cause)
        });
        match same {
            Some((_, more)) => more.push(finding),
            None => told.push((finding, Vec::new())),
        }
    }
    told
}

/// Run time, with `0s` for the start.
pub(super) fn at(time: RunTime) -> String {
    if time == RunTime(0) {
        "0s".to_owned()
    } else {
        time.to_string()
    }
}

/// `15ms`, `no path`, `3 of 40 failed, 15ms`: a cell of the matrix.
pub(super) fn cell(figures: &Figures) -> String {
    if figures.planned == 0 {
        return if figures.no_path > 0 { "no path" } else { "" }.to_owned();
    }
    let mut said = Vec::new();
    if figures.failures > 0 {
        said.push(format!(
            "{} of {} failed",
            figures.failures, figures.requests
        ));
    }
    let missing = figures.planned.saturating_sub(figures.requests);
    if missing > 0 {
        said.push(format!("{missing} missing"));
    }
    if let Some(p50) = figures.p50_ns {
        said.push(p50.to_string());
    }
    said.join(", ")
}

/// Whether everything went well there.
pub(super) const fn is_clean(figures: &Figures) -> bool {
    figures.failures == 0 && figures.no_path == 0 && figures.requests >= figures.planned
}

/// `+120µs ± 40µs`.
pub(super) fn start(start: &StartQuality) -> String {
    let sign = if start.late_ns < 0 { "-" } else { "+" };
    let late = Nanos(start.late_ns.unsigned_abs());
    match start.bound_ns {
        Some(bound) => match start.exchanged_ns {
            Some(alone) => format!(
                "{sign}{late} ± {bound} (by the hosts' own clocks; by exchanges alone ± {alone})"
            ),
            None => format!("{sign}{late} ± {bound}"),
        },
        None => format!("{sign}{late}, clock bound unknown"),
    }
}

/// `12s to 27s (15s)`.
pub(super) fn lost(span: &LostSpan) -> String {
    match span.to_ns {
        Some(to) => {
            let restarted = if span.restarted { ", restarted" } else { "" };
            format!(
                "{} to {to} ({}{restarted})",
                span.from_ns,
                to.since(span.from_ns)
            )
        }
        None => format!("{} to the end", span.from_ns),
    }
}

/// What is missing of an agent, for how long; empty when nothing is.
pub(super) fn gaps(agent: &AgentReport) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(why) = &agent.refused {
        said.push(format!("refused: {why}"));
    }
    said.extend(agent.lost.iter().map(|span| format!("lost {}", lost(span))));
    for missing in &agent.missing {
        said.push(format!(
            "{} of {} requests of {} missing: {}",
            missing.requests, missing.planned, missing.stage, missing.why
        ));
    }
    said
}
