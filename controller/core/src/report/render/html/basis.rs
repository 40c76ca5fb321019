//! What the verdicts rest on: agents, clocks and conditions, doubts, evidence.

use super::{
    super::{
        super::model::{Report, Verdict},
        catalogue::Say,
        words,
    },
    page::{Cell, Page},
};

/// How many rows each of these tables has at most.
const ROWS_MAX: usize = 500;

impl Page {
    pub(super) fn agents(&mut self, report: &Report) {
        if report.agents.is_empty() {
            return;
        }
        let lang = self.lang;
        self.section("agents", &Say::Agents, |page| {
            let rows = report.agents.iter().take(ROWS_MAX).map(|agent| {
                let environment = agent.environment.as_ref();
                let sealed: Vec<_> = agent.sealed.iter().map(|stage| stage.as_str()).collect();
                let gaps = words::gaps(lang, agent);
                let records = agent.records.values().sum::<u64>();
                vec![
                    Cell::from(agent.agent.as_str()),
                    Cell::from(environment.map_or("?", |name| name.as_str())),
                    Cell::number(agent.samples),
                    Cell::number(records),
                    Cell::from(lang.list(&sealed)),
                    if gaps.is_empty() {
                        Cell::from(lang.say(&Say::Nothing))
                    } else {
                        Cell::new("long odd", lang.clauses(&gaps))
                    },
                ]
            });
            let head = page.heads(&[
                Say::Agent,
                Say::Environment,
                Say::RequestsHead,
                Say::RecordsHead,
                Say::Complete,
                Say::MissingHead,
            ]);
            page.table(&lang.say(&Say::Agents), &head, rows);
            page.left_out(report.agents.len());
            page.starts(report);
        });
    }

    /// How well each agent kept the common start of each stage.
    fn starts(&mut self, report: &Report) {
        let starts: Vec<_> = report
            .stages
            .iter()
            .flat_map(|stage| &stage.starts)
            .collect();
        if starts.is_empty() {
            return;
        }
        let lang = self.lang;
        self.folded(&Say::Starts, |page| {
            let rows = starts.iter().take(ROWS_MAX).map(|start| {
                let trip = start.round_trip_ns;
                vec![
                    Cell::from(start.agent.as_str()),
                    Cell::from(start.stage.as_str()),
                    Cell::from(words::start(lang, start)),
                    Cell::number(trip.map_or("–".to_owned(), |trip| trip.to_string())),
                ]
            });
            let head = page.heads(&[Say::Agent, Say::Stage, Say::StartError, Say::RoundTrip]);
            page.table(&lang.say(&Say::Starts), &head, rows);
            page.left_out(starts.len());
        });
    }

    pub(super) fn conditions(&mut self, report: &Report) {
        let lang = self.lang;
        self.section("conditions", &Say::Conditions, |page| {
            page.markup("<ul>\n");
            for said in words::conditions(lang, &report.conditions) {
                page.element("li", "", &said);
            }
            page.markup("</ul>\n");
            let rows = words::hosts(lang, &report.conditions);
            if rows.is_empty() {
                page.remark(&Say::NoHosts);
                return;
            }
            let all = rows.len();
            let rows = rows.into_iter().take(ROWS_MAX);
            let rows = rows.map(|row| row.into_iter().map(Cell::from).collect());
            let head = page.heads(&[Say::Who, Say::Host, Say::System, Say::Size, Say::Version]);
            page.table(&lang.say(&Say::Hosts), &head, rows);
            page.left_out(all);
        });
    }

    pub(super) fn doubts(&mut self, report: &Report) {
        let lang = self.lang;
        self.section("doubts", &Say::Doubts, |page| {
            if report.doubts.is_empty() {
                page.remark(&Say::NoDoubts);
                return;
            }
            let rows = report.doubts.iter().take(ROWS_MAX).map(|doubt| {
                vec![
                    Cell::from(lang.say(&Say::Doubt(doubt.code))),
                    Cell::from(words::about(lang, doubt)),
                    Cell::new("long", doubt.text.clone()),
                ]
            });
            let head = page.heads(&[Say::Kind, Say::About, Say::Text]);
            page.table(&lang.say(&Say::Doubts), &head, rows);
            page.left_out(report.doubts.len());
        });
    }

    pub(super) fn evidence(&mut self, report: &Report) {
        let open = report
            .findings
            .iter()
            .filter(|finding| finding.verdict != Verdict::Pass);
        let all: Vec<_> = open
            .flat_map(|finding| finding.evidence.iter().map(move |one| (finding, one)))
            .collect();
        if all.is_empty() {
            return;
        }
        let lang = self.lang;
        self.section("evidence", &Say::Evidence, |page| {
            page.remark(&Say::EvidenceNote);
            page.folded(&Say::Evidence, |page| {
                let rows = all.iter().take(ROWS_MAX).map(|(finding, one)| {
                    vec![
                        Cell::from(finding.id.clone()),
                        Cell::from(one.agent.as_str()),
                        Cell::from(words::place(lang, one)),
                    ]
                });
                let head = page.heads(&[Say::Finding, Say::Agent, Say::RecordsHead]);
                page.table(&lang.say(&Say::Evidence), &head, rows);
                page.left_out(all.len());
            });
        });
    }

    /// The scenario file as it was run.
    pub(super) fn scenario(&mut self, report: &Report) {
        let source = report
            .charts
            .as_ref()
            .and_then(|charts| charts.scenario.as_ref());
        let Some(source) = source else {
            return;
        };
        self.section("scenario", &Say::TheScenario, |page| {
            page.folded(&Say::AsItWasRun, |page| {
                page.markup("<pre tabindex=\"0\">");
                page.lines(&source.text);
                page.close("pre");
                if source.more_bytes > 0 {
                    page.remark(&Say::MoreBytes(source.more_bytes));
                }
            });
        });
    }

    /// Says of a table of [`ROWS_MAX`] rows how many it has not.
    fn left_out(&mut self, all: usize) {
        if all > ROWS_MAX {
            self.remark(&Say::LeftOut(all - ROWS_MAX));
        }
    }
}
