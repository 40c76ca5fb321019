//! For GitHub Actions: a summary that fits a step's, and annotations that fit a job's.

use super::{
    super::model::{Finding, Report, Verdict},
    catalogue::Say,
    escape::plain,
    lang::Lang,
    markdown, words,
};

/// A step's summary may have 1 MiB; a little is left for what else the step writes.
const SUMMARY_MAX: usize = 1_000_000;
/// GitHub shows ten annotations of each kind in a step and drops the rest without a word.
const ANNOTATIONS_MAX: usize = 10;

/// The Markdown report, cut where a step's summary ends; it says so when it is.
#[must_use]
pub fn summary(report: &Report, lang: Lang) -> String {
    cut(markdown::render(report, lang), lang)
}

fn cut(whole: String, lang: Lang) -> String {
    if whole.len() <= SUMMARY_MAX {
        return whole;
    }
    let mut kept = String::with_capacity(SUMMARY_MAX);
    let note = format!("\n{}\n", lang.say(&Say::SummaryCut));
    for line in whole.split_inclusive('\n') {
        if kept.len() + line.len() + note.len() > SUMMARY_MAX {
            break;
        }
        kept.push_str(line);
    }
    kept.push_str(&note);
    kept
}

/// What did not pass as workflow commands, a line each, the worst first: at most ten, of which the
/// last one says how many more there are.
#[must_use]
pub fn annotations(report: &Report, lang: Lang) -> String {
    let mut all: Vec<(Verdict, String)> = words::deciding(report)
        .map(|doubt| {
            let said = lang.say(&Say::CantPass(&doubt.text));
            (
                doubt.code.at_best(),
                command(doubt.code.at_best(), doubt.code.word(), &said),
            )
        })
        .collect();
    let told = words::alike(words::urgent(report));
    all.extend(told.iter().map(|(finding, more)| {
        let said = message(finding, more.len(), lang);
        (
            finding.verdict,
            command(finding.verdict, &finding.id, &said),
        )
    }));
    // Stable: within a verdict the most urgent stays first.
    all.sort_by_key(|(verdict, _)| std::cmp::Reverse(*verdict));
    let more = all.len().saturating_sub(ANNOTATIONS_MAX);
    if more > 0 {
        let rest = all.split_off(ANNOTATIONS_MAX - 1);
        let worst = rest.iter().map(|(verdict, _)| *verdict).max();
        let worst = worst.unwrap_or(report.verdict);
        let said = lang.say(&Say::MoreNotPassed(rest.len()));
        all.push((worst, command(worst, "nepho", &said)));
    }
    all.into_iter().map(|(_, line)| line).collect()
}

fn message(finding: &Finding, alike: usize, lang: Lang) -> String {
    let (expected, observed) = (&finding.expected.text, &finding.observed.text);
    let mut said = vec![lang.labelled(
        &lang.say(&Say::Verdict(finding.verdict)),
        &lang.say(&Say::ExpectedObserved(expected, observed)),
    )];
    said.extend(finding.cause.clone());
    said.extend(finding.remedy.clone());
    if alike > 0 {
        said.push(lang.sentence(&lang.say(&Say::SameForSome(alike))));
    }
    said.join("\n")
}

fn command(verdict: Verdict, title: &str, message: &str) -> String {
    let kind = match verdict {
        Verdict::Fail | Verdict::Error => "error",
        Verdict::Inconclusive => "warning",
        Verdict::NotRun | Verdict::Pass => "notice",
    };
    let title = property(&plain(title));
    let lines: Vec<_> = message.split('\n').map(plain).collect();
    format!("::{kind} title={title}::{}\n", data(&lines.join("\n")))
}

/// What ends a command is written as the runner reads it back.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{
            fixture::{eventful, unread},
            report,
        },
        *,
    };

    #[test]
    fn a_run_with_something_of_everything() {
        let report = report(eventful(), [unread("kind: 12 is unknown")]);
        insta::assert_snapshot!(annotations(&report, Lang::En));
    }

    #[test]
    fn many_are_counted_and_the_worst_stand_first() {
        let mut report = report(eventful(), Vec::new());
        let one = report
            .findings
            .iter()
            .find(|one| one.verdict == Verdict::Inconclusive);
        let one = one.unwrap().clone();
        for n in 0..40 {
            let cause = Some(format!("reason {n}"));
            report.findings.insert(
                0,
                Finding {
                    cause,
                    ..one.clone()
                },
            );
        }
        let said = annotations(&report, Lang::En);
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), ANNOTATIONS_MAX);
        assert!(lines[0].starts_with("::error "), "{said}");
        assert!(
            lines[9].ends_with("::and 37 more that did not pass"),
            "{said}"
        );
    }

    #[test]
    fn a_message_can_not_end_its_command_or_begin_another() {
        let said = command(
            Verdict::Fail,
            "a:b,c::d",
            "100%\n::stop-commands::x\r\u{1b}[2J",
        );
        assert_eq!(said.lines().count(), 1);
        assert_eq!(
            said,
            "::error title=a%3Ab%2Cc%3A%3Ad::100%25%0A::stop-commands::x\\u{d}\\u{1b}[2J\n"
        );
    }

    #[test]
    fn a_summary_that_is_too_long_is_cut_at_a_line_and_says_so() {
        let whole = "三环境\n".repeat(200_000);
        let kept = cut(whole, Lang::En);
        assert!(kept.len() <= SUMMARY_MAX);
        let [.., before, last] = kept.lines().collect::<Vec<_>>()[..] else {
            panic!("it has lines");
        };
        assert_eq!(
            (before, last),
            (
                "",
                "The report goes on; report.md and report.json hold all of it."
            )
        );
        assert_eq!(cut("short\n".to_owned(), Lang::En), "short\n");
    }
}
