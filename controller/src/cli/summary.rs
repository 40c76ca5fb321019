//! How much of what a run found is printed: `--summary`.

use clap::{Args, ValueEnum};
use nepho_controller_core::report::{
    Report, Verdict,
    render::{Lang, terminal, terminal::Colour},
};

use super::table::table;

/// How much is printed at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Summary {
    /// What did not pass in full, what passed in figures.
    #[default]
    Compact,
    /// And each finding with what was expected and observed.
    Full,
    /// Nothing: the exit code and the files say it.
    None,
}

/// As an option of a verb.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct SummaryArgument {
    /// How much of the result is printed as text.
    #[arg(long, value_enum, value_name = "HOW", default_value = "compact")]
    summary: Summary,
}

impl SummaryArgument {
    /// The text; `None` when there is to be none.
    pub(super) fn render(self, report: &Report, lang: Lang, colour: Colour) -> Option<String> {
        match self.summary {
            Summary::Compact => Some(terminal::render(report, lang, colour)),
            Summary::Full => Some(terminal::render(report, lang, colour) + &findings(report)),
            Summary::None => None,
        }
    }
}

/// Every finding on a line, in the report's order.
fn findings(report: &Report) -> String {
    if report.findings.is_empty() {
        return String::new();
    }
    let row = |verdict: Verdict, id: &str, texts: [&str; 2]| {
        let mut row = vec![verdict.word().to_owned(), plain(id)];
        row.extend(texts.map(plain));
        row
    };
    let rows: Vec<_> = report
        .findings
        .iter()
        .map(|one| {
            row(
                one.verdict,
                &one.id,
                [&one.expected.text, &one.observed.text],
            )
        })
        .collect();
    format!(
        "\n{}",
        table(&["VERDICT", "FINDING", "EXPECTED", "OBSERVED"], &rows)
    )
}

/// Names and texts of a report come from scenarios and agents: nothing in them steers a terminal.
fn plain(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let shown = text.chars().map(|c| if steers(c) { ' ' } else { c });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use nepho_controller_core::report;

    use super::*;

    #[test]
    fn none_prints_nothing_and_full_adds_to_compact() {
        let report = report::report([], Vec::new());
        let text = |summary| SummaryArgument { summary }.render(&report, Lang::En, Colour::None);
        assert_eq!(text(Summary::None), None);
        let (compact, full) = (
            text(Summary::Compact).unwrap(),
            text(Summary::Full).unwrap(),
        );
        assert!(full.starts_with(&compact));
        assert_eq!(plain("a\u{1b}[31m\nb"), "a [31m b");
    }
}
