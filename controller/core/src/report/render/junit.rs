//! JUnit XML, for whatever counts tests: a suite for each stage, a case for each finding.

use super::{
    super::model::{Finding, Report, StageReport, Verdict},
    catalogue::Say,
    escape::html as safe,
    lang::Lang,
    words,
};

/// The report as JUnit XML.
///
/// What failed is a failure. What could not be decided and what broke is an error, and what was
/// never tried is skipped, each with its reason: nothing counts as passed that did not. A run that
/// can't pass for another reason than a finding has a suite of its own that says so.
#[must_use]
pub fn render(report: &Report, lang: Lang) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let open = cases_of_the_run(report, lang);
    let of_run = open.len() as u64;
    let counts = &report.counts;
    out.push_str(&format!(
        "<testsuites name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n",
        safe(&words::name(lang, report)),
        counts.total() + of_run,
        counts.fail,
        counts.inconclusive + counts.error + of_run,
        counts.not_run
    ));
    if of_run > 0 {
        let run = report.run.as_ref().map_or("run", |run| run.as_str());
        out.push_str(&format!(
            " <testsuite name=\"{}\" tests=\"{of_run}\" failures=\"0\" errors=\"{of_run}\" skipped=\"0\">\n",
            safe(run)
        ));
        open.iter().for_each(|case| out.push_str(case));
        out.push_str(" </testsuite>\n");
    }
    for stage in &report.stages {
        suite(&mut out, report, stage, lang);
    }
    out.push_str("</testsuites>\n");
    out
}

/// What keeps the run from passing beside its findings.
fn cases_of_the_run(report: &Report, lang: Lang) -> Vec<String> {
    let case = |doubt| {
        let doubt: &super::super::model::Doubt = doubt;
        format!(
            "  <testcase classname=\"run\" name=\"{}\">\n   <error message=\"{}\"/>\n  </testcase>\n",
            safe(doubt.code.word()),
            safe(&lang.say(&Say::CantPass(&doubt.text)))
        )
    };
    words::deciding(report).map(case).collect()
}

fn suite(out: &mut String, report: &Report, stage: &StageReport, lang: Lang) {
    let counts = &stage.counts;
    let time = stage.lasted_ns.map_or(0, |lasted| lasted.0 / 1_000_000);
    out.push_str(&format!(
        " <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}.{:03}\">\n",
        safe(stage.name.as_str()),
        counts.total(),
        counts.fail,
        counts.inconclusive + counts.error,
        counts.not_run,
        time / 1_000,
        time % 1_000
    ));
    let mine = report.findings.iter().filter(|one| one.stage == stage.name);
    mine.for_each(|finding| case(out, finding, lang));
    out.push_str(" </testsuite>\n");
}

fn case(out: &mut String, finding: &Finding, lang: Lang) {
    let class = format!("{}.{}.{}", finding.stage, finding.step, finding.kind);
    out.push_str(&format!(
        "  <testcase classname=\"{}\" name=\"{}\"",
        safe(&class),
        safe(&finding.id)
    ));
    let element = match finding.verdict {
        Verdict::Pass => {
            out.push_str("/>\n");
            return;
        }
        Verdict::Fail => "failure",
        Verdict::Inconclusive | Verdict::Error => "error",
        Verdict::NotRun => "skipped",
    };
    let (expected, observed) = (&finding.expected.text, &finding.observed.text);
    let verdict = lang.say(&Say::Verdict(finding.verdict));
    let said = lang.say(&Say::ExpectedObserved(expected, observed));
    let message = safe(&lang.labelled(&verdict, &said));
    let reasons = [(Say::Cause, &finding.cause), (Say::Remedy, &finding.remedy)];
    let reasons = reasons.into_iter().filter_map(|(what, text)| {
        let text = text.as_ref()?;
        Some(safe(&lang.labelled(&lang.say(&what), text)))
    });
    let reasons: Vec<_> = reasons.collect();
    out.push_str(&format!(
        ">\n   <{element} message=\"{message}\">{}</{element}>\n  </testcase>\n",
        reasons.join("\n")
    ));
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
        insta::assert_snapshot!(render(&report, Lang::En));
    }

    #[test]
    fn a_journal_without_a_run_is_an_error_and_not_an_empty_success() {
        insta::assert_snapshot!(render(&report(Vec::new(), Vec::new()), Lang::En));
    }
}
