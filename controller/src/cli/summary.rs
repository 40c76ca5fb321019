//! How much of what a run found is printed: `--summary`.

use clap::{Args, ValueEnum};
use nepho_controller_core::report::{
    Report,
    render::{Lang, terminal, terminal::Colour},
};

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
            Summary::Full => {
                let every = terminal::findings(report, lang);
                let apart = if every.is_empty() { "" } else { "\n" };
                Some(terminal::render(report, lang, colour) + apart + &every)
            }
            Summary::None => None,
        }
    }
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
    }
}
