//! The report: a pure fold over the set of a run's records.
//!
//! ```text
//! entries --fold--> Folded --judge--> findings --summary--> Report --render--> json, markdown, terminal
//! ```
//!
//! Neither the order of the records nor how often one arrives changes a byte of it, and nothing is
//! in it that is not in the journal: the report of a live run and the one refolded from an export
//! years later are the same. Everything that comes from an agent is taken as said by a stranger:
//! what it may not say is left out and becomes a [`model::Doubt`].
//!
//! - [`model`]: what a report holds, `nepho.report/v1`.
//! - `fold`: the set of records, the run they belong to, and its plan.
//! - `story`: what controller and agents say happened.
//! - `recorded`: recordings by author and series. [`rollup`]: those that need not be told apart.
//! - `measured`: counts and latencies per planned path; what nobody was asked for is left out.
//! - `coverage`: seals against what is stored; `missing`: how much is missing, from whom, why.
//! - `tuple` and `sample`: which findings the plan asks for, and the figures of each.
//! - `verdict` and `stats`: the rules; `cause`: what is likely behind a verdict that is not a pass.
//! - [`charts`]: what the plots are made of.
//! - `said`: a sentence in every language; what is chosen last is which.
//! - `finding`, `matrix`, `summary`: everything put together. `revision`: what late results change.
//! - [`render`]: for machines, for managers, for the terminal. Total: an empty report renders.
//!
//! Deliberately absent: decoding (nepho-proto's), clocks, files.

use nepho_common::{
    id::StageName,
    journal::{Entry, RecordKey},
};

mod cause;
pub mod charts;
#[cfg(test)]
mod chinese;
mod clocks;
mod coverage;
mod disturbed;
#[cfg(test)]
mod doubted;
mod doubts;
mod finding;
#[cfg(test)]
mod fixture;
mod fold;
mod generator;
#[cfg(test)]
mod laws;
mod loads;
mod matrix;
mod measured;
mod missing;
pub mod model;
mod readings;
mod recorded;
pub mod render;
mod revision;
pub mod rollup;
#[cfg(test)]
mod rules;
mod said;
mod sample;
mod sending;
mod sent;
mod seqs;
pub(crate) mod stats;
mod story;
mod summary;
mod things;
pub(crate) mod tuple;
mod verdict;
mod witnessed;

pub use model::{Report, Verdict};
use render::Lang;
pub use revision::{Revisions, known};
pub use rollup::Rolled;

/// A record that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// Which.
    pub key: RecordKey,
    /// What is wrong with it.
    pub why: String,
}

/// The report of one run, as everything that is known of it says: its latest revision. In English,
/// as it is stored.
#[must_use]
pub fn report(
    entries: impl IntoIterator<Item = Entry>,
    unread: impl IntoIterator<Item = Unread>,
) -> Report {
    report_in(Lang::En, entries, unread)
}

/// The same with its texts in this language; nothing else differs.
#[must_use]
pub fn report_in(
    lang: Lang,
    entries: impl IntoIterator<Item = Entry>,
    unread: impl IntoIterator<Item = Unread>,
) -> Report {
    revision::latest(fold::gather(entries, unread), lang)
}

/// The report of one run of which some records of recordings were rolled up; these are not among the
/// entries. `None` when they have to be: it asks for more than is in the roll-ups, or something does
/// not add up.
#[must_use]
pub fn report_rolled(
    lang: Lang,
    entries: impl IntoIterator<Item = Entry>,
    unread: impl IntoIterator<Item = Unread>,
    rolled: Vec<Rolled>,
) -> Option<Report> {
    revision::latest_rolled(fold::gather(entries, unread).with(rolled), lang)
}

/// The report as it was in this revision; `None` when the journal has no such one.
#[must_use]
pub fn report_as_of(
    lang: Lang,
    revision: u32,
    entries: impl IntoIterator<Item = Entry>,
    unread: impl IntoIterator<Item = Unread>,
) -> Option<Report> {
    revision::as_of(revision, fold::gather(entries, unread), lang)
}

/// The gate: the verdict over the findings of one stage whose expectation gates.
///
/// What can't be run from where no path is declared holds nothing back while anything else was
/// judged; it would hold for ever. A stage in which nothing gates passes, for there is nothing to
/// wait for. Without a readable plan, or if the plan has no such stage, it is [`Verdict::Error`].
#[must_use]
pub fn judge_stage(entries: impl IntoIterator<Item = Entry>, stage: &StageName) -> Verdict {
    let folded = fold::fold(fold::gather(entries, []), Lang::En);
    let planned = folded
        .plan
        .as_ref()
        .is_some_and(|plan| plan.stages.iter().any(|planned| planned.name == *stage));
    if !planned {
        return Verdict::Error;
    }
    let judged = finding::findings(&folded, &mut doubts::Doubts::default());
    let gating = judged
        .iter()
        .filter(|judged| judged.gate && judged.finding.stage == *stage)
        .map(|judged| judged.finding.verdict);
    let (not_run, run): (Vec<_>, Vec<_>) = gating.partition(|one| *one == Verdict::NotRun);
    let worst = run.into_iter().max().or(not_run.into_iter().max());
    worst.unwrap_or(Verdict::Pass)
}

/// The exit code that a run's report ends a command with. A steady state that was not met before the
/// first disturbance comes before everything, and what aborted it after that; then the worst verdict wins.
#[must_use]
pub fn exit_code(report: &Report) -> u8 {
    if report.was_unsteady() {
        return 13;
    }
    if report.was_aborted() {
        return 12;
    }
    exit_code_of(report.verdict)
}

/// The exit code that goes with a run's verdict.
#[must_use]
pub const fn exit_code_of(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::Error => 1,
        Verdict::Fail => 10,
        Verdict::Inconclusive | Verdict::NotRun => 11,
    }
}
