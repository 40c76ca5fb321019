//! The report to forward: the verdict first, then what to do, then the figures behind it.

mod basis;
mod tables;

use super::{
    super::model::{Change, Finding, Report},
    escape::markdown as safe,
    words,
};

/// How many findings that share their reason are named; a skipped stage has hundreds.
const ALIKE_MAX: usize = 10;

/// The whole report as GitHub-flavoured Markdown.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut page = Page::default();
    page.head(report);
    page.changes(report);
    page.open_findings(report);
    page.matrices(report);
    page.judged(report);
    page.stages(report);
    page.agents(report);
    page.conditions(report);
    page.doubts(report);
    page.evidence(report);
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    /// A line that is already Markdown.
    fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }

    fn heading(&mut self, text: &str) {
        if !self.0.ends_with("\n\n") {
            self.line("");
        }
        self.line(format!("## {text}"));
        self.line("");
    }

    fn table(&mut self, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        self.line(format!("| {} |", head.join(" | ")));
        self.line(format!("|{}", "---|".repeat(head.len())));
        for row in rows {
            let row: Vec<_> = row.iter().map(|cell| safe(cell)).collect();
            self.line(format!("| {} |", row.join(" | ")));
        }
    }

    fn head(&mut self, report: &Report) {
        let title = report.conditions.title.as_deref();
        let scenario = report.scenario.as_ref().map(|name| name.as_str());
        let name = title
            .or(scenario)
            .unwrap_or("a run without a readable plan");
        let verdict = report.verdict;
        self.line(format!(
            "# {} {}: {}",
            words::mark(verdict),
            verdict.word().to_uppercase(),
            safe(name)
        ));
        self.line("");
        self.line(format!("{}.", words::counts(&report.counts)));
        if words::deciding(report).next().is_some() {
            self.line("");
        }
        for doubt in words::deciding(report) {
            self.line(format!("- The run can't pass: {}.", safe(&doubt.text)));
        }
        if let Some(revised) = words::revised(report) {
            self.line("");
            self.line(format!("{}.", safe(&revised)));
        }
        self.line("");
        let run = report.run.as_ref().map_or("unknown", |run| run.as_str());
        let mut facts = vec![format!("run {}", safe(run))];
        facts.extend(scenario.map(|name| format!("scenario {}", safe(name))));
        let conditions = &report.conditions;
        facts.extend(
            conditions
                .began
                .as_ref()
                .map(|at| format!("began {}", safe(at))),
        );
        facts.extend(
            conditions
                .ended
                .as_ref()
                .map(|at| format!("ended {}", safe(at))),
        );
        self.line(facts.join(" · "));
    }

    fn changes(&mut self, report: &Report) {
        let Some(revision) = report
            .revision
            .as_ref()
            .filter(|one| !one.changes.is_empty())
        else {
            return;
        };
        self.heading("What late results changed");
        let row = |change: &Change| {
            let (was, is) = (change.was.word(), change.is.word());
            vec![change.finding.clone(), was.to_owned(), is.to_owned()]
        };
        let rows: Vec<_> = revision.changes.iter().map(row).collect();
        self.table(&["finding", "was", "is"], rows);
        if revision.more_changes > 0 {
            self.line("");
            self.line(format!("{} more changed.", revision.more_changes));
        }
    }

    fn open_findings(&mut self, report: &Report) {
        let open = words::urgent(report);
        if open.is_empty() {
            return;
        }
        self.heading("What did not pass");
        for (finding, more) in words::alike(open) {
            self.finding(finding, &more);
        }
    }

    fn finding(&mut self, finding: &Finding, more: &[&Finding]) {
        let priority = finding.priority.map_or("none", |priority| priority.word());
        self.line(format!(
            "### {} {} (priority {priority})",
            words::mark(finding.verdict),
            safe(&finding.id)
        ));
        self.line("");
        let verdict = finding.verdict.word();
        self.line(format!(
            "- **{verdict}**: expected {}; observed {}.",
            safe(&finding.expected.text),
            safe(&finding.observed.text)
        ));
        if let Some(uncertainty) = &finding.uncertainty {
            self.line(format!("- **Uncertainty**: {}.", safe(&uncertainty.text)));
        }
        if let Some(cause) = &finding.cause {
            self.line(format!("- **Likely cause**: {}", safe(cause)));
        }
        if let Some(remedy) = &finding.remedy {
            self.line(format!("- **Remedy**: {}", safe(remedy)));
        }
        if finding.samples.planned > 0 {
            let who: Vec<_> = finding
                .agents
                .iter()
                .map(|agent| safe(agent.as_str()))
                .collect();
            self.line(format!(
                "- **Measured by**: {}; {} of {} planned requests.",
                who.join(", "),
                finding.samples.observed,
                finding.samples.planned
            ));
        }
        if !more.is_empty() {
            let ids = more.iter().take(ALIKE_MAX).map(|finding| safe(&finding.id));
            let mut ids: Vec<_> = ids.collect();
            if more.len() > ALIKE_MAX {
                let rest = more.len() - ALIKE_MAX;
                ids.push(format!("and {rest} more, listed in the JSON report"));
            }
            self.line(format!("- **The same holds for**: {}.", ids.join(", ")));
        }
        self.line("");
    }

    fn stages(&mut self, report: &Report) {
        if report.stages.is_empty() {
            return;
        }
        self.heading("Stages");
        let rows = report.stages.iter().map(|stage| {
            let began = stage.began_ns.map_or("–".to_owned(), words::at);
            let lasted = stage
                .lasted_ns
                .map_or("–".to_owned(), |lasted| lasted.to_string());
            let remark = stage.skipped.clone().unwrap_or_default();
            vec![
                stage.name.to_string(),
                format!("{} {}", words::mark(stage.verdict), stage.verdict.word()),
                words::counts(&stage.counts),
                began,
                format!("{lasted} of {}", stage.planned_ns),
                remark,
            ]
        });
        self.table(
            &[
                "stage", "verdict", "findings", "began at", "lasted", "remark",
            ],
            rows,
        );
    }
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
    fn a_run_with_something_of_everything() {
        let report = report(eventful(), [unread("kind: 12 is unknown")]);
        insta::assert_snapshot!(render(&report));
    }

    #[test]
    fn a_run_in_which_all_is_well() {
        let mut plan = plan();
        // Leaves out what has no path, so that everything can pass.
        plan.stages.truncate(1);
        let report = report(journal(&plan, good), Vec::new());
        insta::assert_snapshot!(render(&report));
    }

    #[test]
    fn nothing_at_all() {
        let report = report(Vec::new(), Vec::new());
        insta::assert_snapshot!(render(&report));
    }
}
