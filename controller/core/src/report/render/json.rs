//! `nepho.report/v1` as JSON: the one form that holds everything.

use std::fmt::Write as _;

use super::{super::model::Report, escape::is_invisible};

/// Pretty, with a newline at the end; equal reports give equal bytes.
///
/// Characters that steer a terminal or reorder text are written as `\uXXXX`: the value is the same,
/// and printing it does no harm.
#[must_use]
pub fn render(report: &Report) -> String {
    let plain =
        serde_json::to_string_pretty(report).expect("a report has only string keys and integers");
    let mut safe = String::with_capacity(plain.len() + 1);
    for c in plain.chars() {
        // Newlines are the printer's own; those of strings are already escaped.
        if c == '\n' || !is_invisible(c) {
            safe.push(c);
            continue;
        }
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            write!(safe, "\\u{unit:04x}").expect("a string takes everything");
        }
    }
    safe.push('\n');
    safe
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{
            fixture::{eventful, good, journal, plan, unread},
            report,
        },
        *,
    };

    #[test]
    fn one_stage_in_full() {
        let mut plan = plan();
        plan.stages.truncate(1);
        insta::assert_snapshot!(render(&report(journal(&plan, good), Vec::new())));
    }

    #[test]
    fn it_reads_back_as_it_was_even_with_text_that_steers() {
        let before = report(
            eventful(),
            [unread("\u{1b}]0;x\u{7}\u{202e}\u{e0041}\u{9b}")],
        );
        let text = render(&before);
        assert!(text.chars().all(|c| c == '\n' || !is_invisible(c)));
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), before);
    }
}
