//! The report to forward: the verdict first, then what to do, then the figures behind it.

use std::collections::BTreeSet;

use super::{
    super::model::{Evidence, Finding, Matrix, Report, Verdict},
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
    page.open_findings(report);
    page.matrices(report);
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

    fn matrices(&mut self, report: &Report) {
        let stages = report.stages.iter();
        let tables: Vec<_> = stages
            .flat_map(|stage| stage.matrix.iter().map(move |matrix| (&stage.name, matrix)))
            .filter(|(_, matrix)| !matrix.cells.is_empty())
            .collect();
        if tables.is_empty() {
            return;
        }
        self.heading("From where to where");
        self.line(
            "Median response time of successful requests; failed and missing ones are named.",
        );
        let (wide, single): (Vec<_>, Vec<_>) =
            tables.into_iter().partition(|(_, matrix)| matrix.cells.len() > 1);
        for (stage, matrix) in wide {
            self.line("");
            self.line(format!("### {} / {}", safe(stage.as_str()), safe(matrix.step.as_str())));
            self.line("");
            self.environments(matrix);
            self.services(matrix);
        }
        if single.is_empty() {
            return;
        }
        self.line("");
        self.line("### Steps between one pair of environments");
        self.line("");
        let rows = single.iter().flat_map(|(stage, matrix)| {
            matrix.cells.iter().map(move |cell| {
                let step = format!("{stage} / {}", matrix.step);
                let pair = format!("{} to {}", cell.from, cell.to);
                vec![step, pair, words::cell(&cell.figures)]
            })
        });
        let rows: Vec<_> = rows.collect();
        self.table(&["stage / step", "from, to", "seen"], rows);
        single.iter().for_each(|(_, matrix)| self.services(matrix));
    }

    fn environments(&mut self, matrix: &Matrix) {
        let to: BTreeSet<_> = matrix.cells.iter().map(|cell| &cell.to).collect();
        let from: BTreeSet<_> = matrix.cells.iter().map(|cell| &cell.from).collect();
        let mut head = vec!["from \\ to"];
        head.extend(to.iter().map(|name| name.as_str()));
        let rows = from.iter().map(|from| {
            let cell = |to: &&_| {
                let mut cells = matrix.cells.iter();
                let found = cells.find(|cell| cell.from == **from && cell.to == **to);
                found.map_or(String::new(), |cell| words::cell(&cell.figures))
            };
            let mut row = vec![from.to_string()];
            row.extend(to.iter().map(cell));
            row
        });
        self.table(&head, rows);
    }

    fn services(&mut self, matrix: &Matrix) {
        let odd: Vec<_> = matrix
            .services
            .iter()
            .filter(|row| !words::is_clean(&row.figures))
            .collect();
        if odd.is_empty() {
            return;
        }
        self.line("");
        self.line("Services that are out of line:");
        self.line("");
        let rows = odd.into_iter().map(|row| {
            let group = row
                .group
                .as_ref()
                .map_or(String::new(), |group| group.to_string());
            vec![
                row.from.to_string(),
                format!("{}/{}", row.environment, row.service),
                group,
                words::cell(&row.figures),
            ]
        });
        self.table(&["from", "service", "group", "seen"], rows);
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

    fn agents(&mut self, report: &Report) {
        if report.agents.is_empty() {
            return;
        }
        self.heading("Agents");
        let rows = report.agents.iter().map(|agent| {
            let environment = agent
                .environment
                .as_ref()
                .map_or("?".to_owned(), |name| name.to_string());
            let sealed: Vec<_> = agent.sealed.iter().map(|stage| stage.as_str()).collect();
            let gaps = words::gaps(agent);
            vec![
                agent.agent.to_string(),
                environment,
                agent.samples.to_string(),
                agent.records.values().sum::<u64>().to_string(),
                sealed.join(", "),
                if gaps.is_empty() {
                    "nothing".to_owned()
                } else {
                    gaps.join("; ")
                },
            ]
        });
        let head = [
            "agent",
            "environment",
            "requests",
            "records",
            "proven complete",
            "missing",
        ];
        self.table(&head, rows);
    }

    fn conditions(&mut self, report: &Report) {
        let conditions = &report.conditions;
        self.heading("Conditions");
        if let Some(plan) = conditions.plan {
            self.line(format!("- plan {}", plan.0.short()));
        }
        if let Some(end) = &conditions.end {
            self.line(format!("- the run {}", safe(end)));
        }
        if let Some(worst) = &conditions.worst_start {
            self.line(format!(
                "- worst start: {} in {}, {}",
                safe(worst.agent.as_str()),
                safe(worst.stage.as_str()),
                words::start(worst)
            ));
        }
        for (name, digest) in &conditions.files {
            self.line(format!("- file {}: sha256 {}", safe(name), digest.short()));
        }
        let hosts = conditions
            .hosts
            .iter()
            .map(|(agent, host)| (agent.as_str(), host));
        let controller = conditions
            .controller
            .iter()
            .map(|host| ("controller", host));
        let rows: Vec<_> = controller
            .chain(hosts)
            .map(|(who, host)| {
                vec![
                    who.to_owned(),
                    host.name.clone(),
                    format!("{}, {}, {}", host.os, host.kernel, host.arch),
                    format!("{} cpus, {} MiB", host.cpus, host.memory >> 20),
                    host.version.clone(),
                ]
            })
            .collect();
        if rows.is_empty() {
            self.line("- nothing is known of the hosts");
            return;
        }
        self.line("");
        self.table(&["who", "host", "system", "size", "version"], rows);
    }

    fn doubts(&mut self, report: &Report) {
        if report.doubts.is_empty() {
            return;
        }
        self.heading("Doubts");
        for doubt in &report.doubts {
            let about = if doubt.about.is_empty() {
                "the run"
            } else {
                &doubt.about
            };
            self.line(format!(
                "- {} ({}): {}",
                doubt.code.word(),
                safe(about),
                safe(&doubt.text)
            ));
        }
    }

    fn evidence(&mut self, report: &Report) {
        let open = report
            .findings
            .iter()
            .filter(|finding| finding.verdict != Verdict::Pass);
        let rows: Vec<_> = open
            .flat_map(|finding| finding.evidence.iter().map(move |one| (finding, one)))
            .map(|(finding, one)| vec![finding.id.clone(), one.agent.to_string(), place(one)])
            .collect();
        if rows.is_empty() {
            return;
        }
        self.heading("Evidence");
        self.line("Records of the journal behind what did not pass; the JSON report has those of every finding.");
        self.line("");
        self.table(&["finding", "agent", "records"], rows);
    }
}

/// `3 to 9 in spool 01010101 (4)`.
fn place(evidence: &Evidence) -> String {
    let spool: String = evidence.spool.to_string().chars().take(8).collect();
    let Evidence {
        from, to, records, ..
    } = evidence;
    if from == to {
        return format!("{from} in spool {spool}");
    }
    format!("{from} to {to} in spool {spool} ({records} of them)")
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{
            fixture::{eventful, good, journal, plan},
            report,
        },
        *,
    };

    #[test]
    fn a_run_with_something_of_everything() {
        let report = report(eventful(), vec!["record 9: unknown kind 12".to_owned()]);
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
