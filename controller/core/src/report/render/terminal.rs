//! The short summary at the end of a run: what failed in full, what passed in one line.

mod table;

use std::collections::{BTreeMap, BTreeSet};

use self::table::aligned;
use super::{
    super::model::{Code, Doubt, Finding, Matrix, Report, Verdict},
    catalogue::Say,
    escape::plain as safe,
    lang::Lang,
    stairs, words,
};

/// Whether the summary may use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// ANSI colours.
    Ansi,
    /// Text only; it says the same.
    None,
}

/// The most findings that are shown in full; the rest is counted.
const SHOWN: usize = 20;

/// How many findings that are alike are named.
const NAMED: usize = 3;

/// The summary.
#[must_use]
pub fn render(report: &Report, lang: Lang, colour: Colour) -> String {
    let mut out = Summary {
        text: String::new(),
        lang,
        colour,
    };
    out.head(report);
    out.mend(report);
    out.open_findings(report);
    for stage in &report.stages {
        for matrix in widest(&stage.matrix) {
            out.line("");
            let of = Say::MedianOf(stage.name.as_str(), matrix.step.as_str());
            out.line(out.say(&of));
            out.table(matrix);
        }
    }
    out.remarks(report);
    out.text
}

/// Every finding on a line, in the report's order.
#[must_use]
pub fn findings(report: &Report, lang: Lang) -> String {
    let head = [Say::VerdictHead, Say::Finding, Say::Expected, Say::Observed];
    let mut rows = vec![head.map(|one| lang.say(&one).to_uppercase()).to_vec()];
    rows.extend(report.findings.iter().map(|one| {
        let verdict = lang.say(&Say::Verdict(one.verdict));
        let texts = [&one.id, &one.expected.text, &one.observed.text].map(|text| safe(text));
        std::iter::once(verdict).chain(texts).collect()
    }));
    if report.findings.is_empty() {
        return String::new();
    }
    aligned(&rows).map(|line| line + "\n").collect()
}

/// The matrices that say most: those of one pair say little beside one of many.
fn widest(all: &[Matrix]) -> Vec<&Matrix> {
    let several = |matrix: &&Matrix| matrix.cells.len() > 1;
    let wide: Vec<_> = all.iter().filter(several).collect();
    let any = || all.iter().filter(|matrix| !matrix.cells.is_empty()).take(1);
    if wide.is_empty() {
        any().collect()
    } else {
        wide
    }
}

struct Summary {
    text: String,
    lang: Lang,
    colour: Colour,
}

impl Summary {
    fn say(&self, what: &Say<'_>) -> String {
        self.lang.say(what)
    }

    fn line(&mut self, text: impl AsRef<str>) {
        self.text.push_str(text.as_ref());
        self.text.push('\n');
    }

    fn painted(&self, verdict: Verdict, text: &str) -> String {
        let code = match verdict {
            Verdict::Pass => "32",
            Verdict::Fail | Verdict::Error => "31",
            Verdict::Inconclusive => "33",
            Verdict::NotRun => "2",
        };
        match self.colour {
            Colour::Ansi => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Colour::None => text.to_owned(),
        }
    }

    fn head(&mut self, report: &Report) {
        let lang = self.lang;
        let verdict = report.verdict;
        let word = format!(
            "{} {}",
            words::mark(verdict),
            self.say(&Say::Verdict(verdict)).to_uppercase()
        );
        let word = self.painted(verdict, &word);
        self.line(format!(
            "{word}  {}",
            lang.labelled(
                &safe(&words::name(lang, report)),
                &words::counts(lang, &report.counts)
            )
        ));
        for doubt in words::deciding(report) {
            self.line(format!("  {}", safe(&doubt.text)));
        }
        if let Some(revised) = words::revised(lang, report) {
            self.line(format!("  {}", safe(&revised)));
        }
        for stage in &report.stages {
            let mark = self.painted(stage.verdict, words::mark(stage.verdict));
            let remark = match &stage.skipped {
                Some(why) => safe(why),
                None => words::counts(lang, &stage.counts),
            };
            let said = lang.labelled(stage.name.as_str(), &remark);
            self.line(format!("  {mark} {said}"));
        }
    }

    fn mend(&mut self, report: &Report) {
        let all = words::to_mend(report);
        if all.is_empty() {
            return;
        }
        self.line("");
        self.line(self.say(&Say::ToMend));
        for (place, one) in (1..).zip(all.iter().take(words::MEND_MAX)) {
            let of = self.say(&Say::MendOf(one.priority, one.findings));
            let of = self.lang.aside(&of);
            self.line(format!("  {place}. {}{of}", safe(one.remedy)));
        }
        if all.len() > words::MEND_MAX {
            self.line(self.say(&Say::LeftOut(all.len() - words::MEND_MAX)));
        }
    }

    fn open_findings(&mut self, report: &Report) {
        // Findings of a stage that was not begun are told by the stage.
        let begun = |finding: &&Finding| {
            let stage = report
                .stages
                .iter()
                .find(|stage| stage.name == finding.stage);
            stage.is_none_or(|stage| stage.skipped.is_none())
        };
        let open = words::urgent(report);
        let open = words::alike(open.into_iter().filter(begun));
        for (finding, more) in open.iter().take(SHOWN) {
            self.finding(finding, more);
        }
        if open.len() > SHOWN {
            self.line("");
            self.line(self.say(&Say::MoreNotPassed(open.len() - SHOWN)));
        }
    }

    fn finding(&mut self, finding: &Finding, more: &[&Finding]) {
        let mark = self.painted(finding.verdict, words::mark(finding.verdict));
        let lang = self.lang;
        self.line("");
        self.line(format!(
            "{mark} {}{}",
            safe(&finding.id),
            lang.aside(&self.say(&Say::OfPriority(finding.priority)))
        ));
        let (expected, observed) = (&finding.expected.text, &finding.observed.text);
        let said = self.say(&Say::ExpectedObserved(&safe(expected), &safe(observed)));
        let verdict = self.say(&Say::Verdict(finding.verdict));
        self.line(format!("  {}", lang.labelled(&verdict, &said)));
        let facts = [
            (Say::CauseShort, &finding.cause),
            (Say::Remedy, &finding.remedy),
        ];
        for (word, text) in facts {
            if let Some(text) = text {
                let said = lang.labelled(&self.say(&word), &safe(text));
                self.line(format!("  {said}"));
            }
        }
        let heads = stairs::heads(finding);
        let heads: Vec<_> = heads.iter().map(|head| self.say(head)).collect();
        if !heads.is_empty() {
            let mut rows = vec![heads];
            rows.extend(stairs::rows(lang, finding));
            for line in aligned(&rows) {
                self.line(format!("    {line}"));
            }
        }
        let named = more.iter().take(NAMED).map(|finding| safe(&finding.id));
        let mut named: Vec<_> = named.collect();
        if more.len() > NAMED {
            named.push(self.say(&Say::AndMore(more.len() - NAMED)));
        }
        if !named.is_empty() {
            let same = self.say(&Say::TheSame);
            self.line(format!("  {}", lang.labelled(&same, &lang.list(&named))));
        }
    }

    fn table(&mut self, matrix: &Matrix) {
        let to: BTreeSet<_> = matrix.cells.iter().map(|cell| &cell.to).collect();
        let from: BTreeSet<_> = matrix.cells.iter().map(|cell| &cell.from).collect();
        let mut rows = vec![vec![self.say(&Say::FromTo)]];
        rows[0].extend(to.iter().map(|name| name.to_string()));
        for from in from {
            let cell = |to: &&_| {
                let mut cells = matrix.cells.iter();
                let found = cells.find(|cell| cell.from == *from && cell.to == **to);
                found.map_or(String::new(), |cell| words::cell(self.lang, &cell.figures))
            };
            let mut row = vec![from.to_string()];
            row.extend(to.iter().map(cell));
            rows.push(row);
        }
        for line in aligned(&rows) {
            self.line(format!("  {line}"));
        }
    }

    fn remarks(&mut self, report: &Report) {
        let lang = self.lang;
        let gaps: Vec<_> = report
            .agents
            .iter()
            .flat_map(|agent| {
                words::gaps(lang, agent)
                    .into_iter()
                    .map(move |gap| (&agent.agent, gap))
            })
            .collect();
        if !gaps.is_empty() {
            self.line("");
        }
        for (agent, gap) in gaps {
            self.line(self.say(&Say::AgentGap(agent.as_str(), &safe(&gap))));
        }
        // One line for each kind: the first of it, and how many more there are.
        let mut doubts: BTreeMap<Code, (&Doubt, usize)> = BTreeMap::new();
        for doubt in &report.doubts {
            if doubt.code.at_best() == Verdict::Pass {
                doubts.entry(doubt.code).or_insert((doubt, 0)).1 += 1;
            }
        }
        if !doubts.is_empty() {
            self.line("");
        }
        for (doubt, times) in doubts.into_values() {
            let more = match times {
                1 => String::new(),
                _ => self.say(&Say::DoubtsOfKind(times - 1)),
            };
            let kind = self.say(&Say::Doubt(doubt.code));
            let said = self.say(&Say::DoubtOf(&kind, &safe(&doubt.text)));
            self.line(format!("{said}{more}"));
        }
    }
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
        insta::assert_snapshot!(render(&report, Lang::En, Colour::None));
    }

    #[test]
    fn a_run_with_something_of_everything_in_chinese() {
        let report = report_in(Lang::ZhCn, eventful(), [unread("kind: 12 is unknown")]);
        insta::assert_snapshot!(render(&report, Lang::ZhCn, Colour::None));
    }

    #[test]
    fn a_run_in_which_all_is_well() {
        let mut plan = plan();
        // Leaves out what has no path, so that everything can pass.
        plan.stages.truncate(1);
        let report = report(journal(&plan, good), Vec::new());
        insta::assert_snapshot!(render(&report, Lang::En, Colour::None));
    }

    #[test]
    fn every_finding_on_a_line_in_each_language() {
        let told = |lang| {
            let told = findings(&report_in(lang, eventful(), []), lang);
            assert_eq!(told.lines().count(), 32, "a head, and each finding");
            told.lines().take(5).collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(Lang::ALL.map(told).join("\n\n"));
        assert_eq!(findings(&report([], []), Lang::En), "");
    }

    #[test]
    fn nothing_at_all() {
        let report = report(Vec::new(), Vec::new());
        insta::assert_snapshot!(render(&report, Lang::En, Colour::None));
    }
}
