//! What did not pass, by priority; what late results changed; every expectation in a line.

use nepho_common::id::StageName;

use super::{
    super::{
        super::model::{Counts, Finding, Priority, Report},
        catalogue::Say,
        stairs, words,
    },
    page::{Cell, Page},
};

/// How many findings are shown in full, those that share their reason counted once.
const SHOWN: usize = 200;
/// How many findings that share their reason are named; a skipped stage has hundreds.
const ALIKE_MAX: usize = 40;
/// How many expectations have a line.
const JUDGED_MAX: usize = 500;

impl Page {
    pub(super) fn changes(&mut self, report: &Report) {
        let Some(revision) = &report.revision else {
            return;
        };
        if revision.changes.is_empty() {
            return;
        }
        let lang = self.lang;
        self.section("changes", &Say::LateChanges, |page| {
            let rows = revision.changes.iter().map(|change| {
                vec![
                    Cell::from(change.finding.clone()),
                    Cell::from(lang.say(&Say::Verdict(change.was))),
                    Cell::from(lang.say(&Say::Verdict(change.is))),
                ]
            });
            let head = page.heads(&[Say::Finding, Say::Was, Say::Is]);
            page.table(&lang.say(&Say::LateChanges), &head, rows);
            if revision.more_changes > 0 {
                page.remark(&Say::MoreChanged(revision.more_changes));
            }
        });
    }

    pub(super) fn mend(&mut self, report: &Report) {
        let all = words::to_mend(report);
        if all.is_empty() {
            return;
        }
        self.section("mend", &Say::ToMend, |page| {
            page.markup("<ol>\n");
            for one in all.iter().take(words::MEND_MAX) {
                let of = page.lang.say(&Say::MendOf(one.priority, one.findings));
                let of = page.lang.aside(&of);
                page.markup("<li>");
                page.text(one.remedy);
                page.element("span", "soft", &of);
                page.markup("</li>\n");
            }
            page.markup("</ol>\n");
            if all.len() > words::MEND_MAX {
                page.remark(&Say::LeftOut(all.len() - words::MEND_MAX));
            }
        });
    }

    pub(super) fn findings(&mut self, report: &Report) {
        let told = words::alike(words::urgent(report));
        self.section("findings", &Say::DidNotPass, |page| {
            if told.is_empty() {
                page.remark(if report.findings.is_empty() {
                    &Say::NothingJudged
                } else {
                    &Say::AllPassed
                });
            }
            let mut last: Option<Option<Priority>> = None;
            for (finding, more) in told.iter().take(SHOWN) {
                if last != Some(finding.priority) {
                    last = Some(finding.priority);
                    let title = page.lang.say(&Say::TitleOfPriority(finding.priority));
                    page.element("h3", "", &title);
                }
                page.finding(finding, more);
            }
            if told.len() > SHOWN {
                page.remark(&Say::LeftOut(told.len() - SHOWN));
            }
        });
    }

    fn finding(&mut self, finding: &Finding, more: &[&Finding]) {
        let lang = self.lang;
        self.open("article", finding.verdict.word());
        self.open("h3", "");
        let verdict = lang.say(&Say::Verdict(finding.verdict));
        let word = format!("{} {verdict}", words::mark(finding.verdict));
        self.element("span", "word", &word);
        self.markup(" <bdi>");
        self.text(&finding.id);
        self.markup("</bdi>");
        self.close("h3");
        self.markup("<dl>\n");
        self.fact(&Say::Expected, &finding.expected.text);
        self.fact(&Say::Observed, &finding.observed.text);
        if let Some(uncertainty) = &finding.uncertainty {
            self.fact(&Say::Uncertainty, &uncertainty.text);
        }
        if let Some(cause) = &finding.cause {
            self.fact(&Say::Cause, cause);
        }
        if let Some(remedy) = &finding.remedy {
            self.fact(&Say::Remedy, remedy);
        }
        if finding.samples.planned > 0 {
            let who: Vec<_> = finding.agents.iter().map(|agent| agent.as_str()).collect();
            let samples = &finding.samples;
            let said = [
                lang.list(&who),
                lang.say(&Say::OfPlanned(samples.observed, samples.planned)),
            ];
            self.fact(&Say::MeasuredBy, &lang.clauses(&said));
        }
        self.close("dl");
        self.stairs(finding);
        self.same(more);
        self.close("article");
    }

    fn stairs(&mut self, finding: &Finding) {
        let heads = stairs::heads(finding);
        if heads.is_empty() {
            return;
        }
        let rows = stairs::rows(self.lang, finding).into_iter();
        let rows = rows.map(|row| row.into_iter().map(Cell::number).collect());
        let heads = self.heads(&heads);
        self.table(&finding.id, &heads, rows);
    }

    fn same(&mut self, more: &[&Finding]) {
        if more.is_empty() {
            return;
        }
        self.markup("<details><summary>");
        let title = self.lang.say(&Say::SameForSome(more.len()));
        self.text(&title);
        self.markup("</summary><ul>\n");
        for finding in more.iter().take(ALIKE_MAX) {
            self.element("li", "", &finding.id);
        }
        if more.len() > ALIKE_MAX {
            let rest = self.lang.say(&Say::AndMoreInJson(more.len() - ALIKE_MAX));
            self.element("li", "soft", &rest);
        }
        self.markup("</ul></details>\n");
    }

    pub(super) fn loads(&mut self, report: &Report) {
        if report.loads.is_empty() {
            return;
        }
        let lang = self.lang;
        self.section("loads", &Say::Loads, |page| {
            page.element("p", "soft", &lang.say(&Say::LoadsNote));
            let rows = words::loads(lang, report).into_iter().map(|row| {
                let cell = |(nth, text): (usize, String)| match nth {
                    0 => Cell::from(text),
                    _ => Cell::number(text),
                };
                row.into_iter().enumerate().map(cell).collect()
            });
            let head = page.heads(&words::LOAD_HEADS);
            page.table(&lang.say(&Say::Loads), &head, rows);
        });
    }

    pub(super) fn stages(&mut self, report: &Report) {
        if report.stages.is_empty() {
            return;
        }
        let lang = self.lang;
        self.section("stages", &Say::Stages, |page| {
            let rows = report.stages.iter().map(|stage| {
                let began = stage.began_ns.map_or("–".to_owned(), words::at);
                let lasted = stage.lasted_ns;
                let lasted = lasted.map_or("–".to_owned(), |lasted| lasted.to_string());
                let verdict = lang.say(&Say::Verdict(stage.verdict));
                vec![
                    Cell::from(stage.name.as_str()),
                    Cell::new(
                        tint(stage.verdict),
                        format!("{} {verdict}", words::mark(stage.verdict)),
                    ),
                    Cell::from(words::counts(lang, &stage.counts)),
                    Cell::number(began),
                    Cell::number(lang.say(&Say::LastedOf(&lasted, stage.planned_ns))),
                    Cell::new("long", stage.skipped.clone().unwrap_or_default()),
                ]
            });
            let head = page.heads(&[
                Say::Stage,
                Say::VerdictHead,
                Say::Findings,
                Say::Began,
                Say::Lasted,
                Say::Remark,
            ]);
            page.table(&lang.say(&Say::Stages), &head, rows);
        });
    }

    /// Every finding, those of one expectation in one line.
    pub(super) fn judged(&mut self, report: &Report) {
        let all = words::expectations(report);
        if all.is_empty() {
            return;
        }
        let lang = self.lang;
        self.section("judged", &Say::Judged, |page| {
            let rows = all.iter().take(JUDGED_MAX).map(|findings| {
                let mut counts = Counts::default();
                findings.iter().for_each(|one| counts.add(one.verdict));
                let worst = findings.iter().map(|one| one.verdict).max();
                let samples = |figure: fn(&Finding) -> u64| {
                    let figures = findings.iter().map(|one| figure(one));
                    figures.fold(0, u64::saturating_add)
                };
                let (place, expected, seen) = match findings.as_slice() {
                    [] => (String::new(), String::new(), String::new()),
                    [first, ..] => (
                        place(&first.stage, first),
                        lang.labelled(&first.kind, &first.expected.text),
                        words::seen(lang, findings),
                    ),
                };
                let (observed, planned) = (
                    samples(|one| one.samples.observed),
                    samples(|one| one.samples.planned),
                );
                vec![
                    Cell::from(place),
                    Cell::new("long", expected),
                    Cell::new(worst.map_or("", tint), words::counts(lang, &counts)),
                    Cell::from(seen),
                    Cell::number(lang.say(&Say::SamplesOf(observed, planned))),
                    Cell::from(lang.list(&words::measurers(findings))),
                ]
            });
            let head = page.heads(&[
                Say::StageStep,
                Say::Expected,
                Say::VerdictHead,
                Say::Seen,
                Say::SamplesHead,
                Say::MeasuredBy,
            ]);
            page.table(&lang.say(&Say::Judged), &head, rows);
            if all.len() > JUDGED_MAX {
                page.remark(&Say::LeftOut(all.len() - JUDGED_MAX));
            }
        });
    }
}

fn place(stage: &StageName, finding: &Finding) -> String {
    format!("{stage} / {}", finding.step)
}

/// The tint of a cell; the word in it says the same.
const fn tint(verdict: super::super::super::model::Verdict) -> &'static str {
    use super::super::super::model::Verdict;
    match verdict {
        Verdict::Pass => "clean",
        Verdict::Fail | Verdict::Error => "bad",
        Verdict::Inconclusive => "odd",
        Verdict::NotRun => "none",
    }
}
