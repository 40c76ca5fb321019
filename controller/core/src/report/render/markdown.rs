//! The report to forward: the verdict first, then what to do, then the figures behind it.

mod basis;
mod tables;

use super::{
    super::model::{Change, Finding, Report},
    catalogue::Say,
    escape::markdown as safe,
    lang::Lang,
    stairs, words,
};

/// How many findings that share their reason are named; a skipped stage has hundreds.
const ALIKE_MAX: usize = 10;

/// The whole report as GitHub-flavoured Markdown.
#[must_use]
pub fn render(report: &Report, lang: Lang) -> String {
    let mut page = Page {
        text: String::new(),
        lang,
    };
    page.head(report);
    page.changes(report);
    page.mend(report);
    page.open_findings(report);
    page.matrices(report);
    page.loads(report);
    page.judged(report);
    page.stages(report);
    page.agents(report);
    page.conditions(report);
    page.doubts(report);
    page.evidence(report);
    page.text
}

/// The page under way.
pub(super) struct Page {
    text: String,
    lang: Lang,
}

impl Page {
    fn say(&self, what: &Say<'_>) -> String {
        self.lang.say(what)
    }

    /// A line that is already Markdown.
    fn line(&mut self, text: impl AsRef<str>) {
        self.text.push_str(text.as_ref());
        self.text.push('\n');
    }

    fn heading(&mut self, title: &Say<'_>) {
        if !self.text.ends_with("\n\n") {
            self.line("");
        }
        self.line(format!("## {}", self.say(title)));
        self.line("");
    }

    /// `- **Remedy**: …`
    fn fact(&mut self, what: &Say<'_>, text: &str) {
        let what = capital(&self.say(what));
        let said = self.lang.labelled(&format!("**{what}**"), text);
        self.line(format!("- {said}"));
    }

    fn table(&mut self, head: &[Say<'_>], rows: impl IntoIterator<Item = Vec<String>>) {
        let head: Vec<_> = head.iter().map(|say| self.say(say)).collect();
        self.table_with(&head, rows);
    }

    fn table_with(&mut self, head: &[String], rows: impl IntoIterator<Item = Vec<String>>) {
        self.line(format!("| {} |", head.join(" | ")));
        self.line(format!("|{}", "---|".repeat(head.len())));
        for row in rows {
            let row: Vec<_> = row.iter().map(|cell| safe(cell)).collect();
            self.line(format!("| {} |", row.join(" | ")));
        }
    }

    fn head(&mut self, report: &Report) {
        let verdict = report.verdict;
        let word = self.say(&Say::Verdict(verdict)).to_uppercase();
        let name = safe(&words::name(self.lang, report));
        self.line(format!(
            "# {} {}",
            words::mark(verdict),
            self.lang.labelled(&word, &name)
        ));
        self.line("");
        let counts = words::counts(self.lang, &report.counts);
        self.line(self.lang.sentence(&counts));
        if words::deciding(report).next().is_some() {
            self.line("");
        }
        for doubt in words::deciding(report) {
            let said = self.say(&Say::CantPass(&doubt.text));
            self.line(format!("- {}", safe(&said)));
        }
        if let Some(revised) = words::revised(self.lang, report) {
            self.line("");
            self.line(self.lang.sentence(&safe(&revised)));
        }
        self.line("");
        let facts = words::facts(self.lang, report);
        let facts: Vec<_> = facts.iter().map(|fact| safe(fact)).collect();
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
        self.heading(&Say::LateChanges);
        let row = |change: &Change| {
            let (was, is) = (Say::Verdict(change.was), Say::Verdict(change.is));
            vec![change.finding.clone(), self.say(&was), self.say(&is)]
        };
        let rows: Vec<_> = revision.changes.iter().map(row).collect();
        self.table(&[Say::Finding, Say::Was, Say::Is], rows);
        if revision.more_changes > 0 {
            self.line("");
            self.line(self.say(&Say::MoreChanged(revision.more_changes)));
        }
    }

    fn mend(&mut self, report: &Report) {
        let all = words::to_mend(report);
        if all.is_empty() {
            return;
        }
        self.heading(&Say::ToMend);
        for (place, one) in (1..).zip(all.iter().take(words::MEND_MAX)) {
            let of = self.say(&Say::MendOf(one.priority, one.findings));
            let of = self.lang.aside(&of);
            self.line(format!("{place}. {}{of}", safe(one.remedy)));
        }
        if all.len() > words::MEND_MAX {
            self.line("");
            self.line(self.say(&Say::LeftOut(all.len() - words::MEND_MAX)));
        }
    }

    fn open_findings(&mut self, report: &Report) {
        let open = words::urgent(report);
        if open.is_empty() {
            return;
        }
        self.heading(&Say::DidNotPass);
        for (finding, more) in words::alike(open) {
            self.finding(finding, &more);
        }
    }

    fn finding(&mut self, finding: &Finding, more: &[&Finding]) {
        let lang = self.lang;
        self.line(format!(
            "### {} {}{}",
            words::mark(finding.verdict),
            safe(&finding.id),
            lang.aside(&self.say(&Say::OfPriority(finding.priority)))
        ));
        self.line("");
        let verdict = self.say(&Say::Verdict(finding.verdict));
        let (expected, observed) = (&finding.expected.text, &finding.observed.text);
        let said = self.say(&Say::ExpectedObserved(expected, observed));
        let verdict = format!("**{verdict}**");
        let said = lang.labelled(&verdict, &lang.sentence(&safe(&said)));
        self.line(format!("- {said}"));
        if let Some(uncertainty) = &finding.uncertainty {
            self.fact(&Say::Uncertainty, &lang.sentence(&safe(&uncertainty.text)));
        }
        if let Some(cause) = &finding.cause {
            self.fact(&Say::Cause, &safe(cause));
        }
        if let Some(remedy) = &finding.remedy {
            self.fact(&Say::Remedy, &safe(remedy));
        }
        if finding.samples.planned > 0 {
            let who: Vec<_> = finding.agents.iter().map(|agent| agent.as_str()).collect();
            let samples = &finding.samples;
            let said = [
                lang.list(&who),
                self.say(&Say::OfPlanned(samples.observed, samples.planned)),
            ];
            let said = lang.clauses(&said);
            self.fact(&Say::MeasuredBy, &lang.sentence(&safe(&said)));
        }
        if !more.is_empty() {
            let ids = more.iter().take(ALIKE_MAX).map(|finding| safe(&finding.id));
            let mut ids: Vec<_> = ids.collect();
            if more.len() > ALIKE_MAX {
                ids.push(self.say(&Say::AndMoreInJson(more.len() - ALIKE_MAX)));
            }
            self.fact(&Say::SameFor, &lang.sentence(&lang.list(&ids)));
        }
        self.line("");
        let heads = stairs::heads(finding);
        if !heads.is_empty() {
            self.table(&heads, stairs::rows(lang, finding));
            self.line("");
        }
    }

    fn loads(&mut self, report: &Report) {
        if report.loads.is_empty() {
            return;
        }
        self.heading(&Say::Loads);
        let note = self.say(&Say::LoadsNote);
        self.line(note);
        self.line("");
        self.table(&words::LOAD_HEADS, words::loads(self.lang, report));
    }

    fn stages(&mut self, report: &Report) {
        if report.stages.is_empty() {
            return;
        }
        self.heading(&Say::Stages);
        let rows = report.stages.iter().map(|stage| {
            let began = stage.began_ns.map_or("–".to_owned(), words::at);
            let lasted = stage
                .lasted_ns
                .map_or("–".to_owned(), |lasted| lasted.to_string());
            let remark = stage.skipped.clone().unwrap_or_default();
            let verdict = self.say(&Say::Verdict(stage.verdict));
            vec![
                stage.name.to_string(),
                format!("{} {verdict}", words::mark(stage.verdict)),
                words::counts(self.lang, &stage.counts),
                began,
                self.say(&Say::LastedOf(&lasted, stage.planned_ns)),
                remark,
            ]
        });
        let rows: Vec<_> = rows.collect();
        let head = [
            Say::Stage,
            Say::VerdictHead,
            Say::Findings,
            Say::Began,
            Say::Lasted,
            Say::Remark,
        ];
        self.table(&head, rows);
    }
}

/// With a capital letter, where there are any.
fn capital(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    first.chain(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{
            fixture::{eventful, good, journal, plan, unread},
            report, report_in,
        },
        *,
    };

    #[test]
    fn a_run_with_something_of_everything() {
        let report = report(eventful(), [unread("kind: 12 is unknown")]);
        insta::assert_snapshot!(render(&report, Lang::En));
    }

    #[test]
    fn a_run_with_something_of_everything_in_chinese() {
        let report = report_in(Lang::ZhCn, eventful(), [unread("kind: 12 is unknown")]);
        insta::assert_snapshot!(render(&report, Lang::ZhCn));
    }

    #[test]
    fn a_run_in_which_all_is_well() {
        let mut plan = plan();
        // Leaves out what has no path, so that everything can pass.
        plan.stages.truncate(1);
        let report = report(journal(&plan, good), Vec::new());
        insta::assert_snapshot!(render(&report, Lang::En));
    }

    #[test]
    fn nothing_at_all() {
        let report = report(Vec::new(), Vec::new());
        insta::assert_snapshot!(render(&report, Lang::En));
    }
}
