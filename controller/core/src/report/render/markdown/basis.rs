//! What the verdicts rest on: agents, conditions, doubts, evidence.

use super::{
    super::{
        super::model::{Report, Verdict},
        catalogue::Say,
        words,
    },
    Page, safe,
};

impl Page {
    pub(super) fn agents(&mut self, report: &Report) {
        if report.agents.is_empty() {
            return;
        }
        self.heading(&Say::Agents);
        let rows = report.agents.iter().map(|agent| {
            let environment = agent
                .environment
                .as_ref()
                .map_or("?".to_owned(), |name| name.to_string());
            let sealed: Vec<_> = agent.sealed.iter().map(|stage| stage.as_str()).collect();
            let gaps = words::gaps(self.lang, agent);
            vec![
                agent.agent.to_string(),
                environment,
                agent.samples.to_string(),
                agent.records.values().sum::<u64>().to_string(),
                self.lang.list(&sealed),
                if gaps.is_empty() {
                    self.say(&Say::Nothing)
                } else {
                    self.lang.clauses(&gaps)
                },
            ]
        });
        let rows: Vec<_> = rows.collect();
        let head = [
            Say::Agent,
            Say::Environment,
            Say::RequestsHead,
            Say::RecordsHead,
            Say::Complete,
            Say::MissingHead,
        ];
        self.table(&head, rows);
    }

    pub(super) fn conditions(&mut self, report: &Report) {
        self.heading(&Say::Conditions);
        for said in words::conditions(self.lang, &report.conditions) {
            self.line(format!("- {}", safe(&said)));
        }
        let rows = words::hosts(self.lang, &report.conditions);
        if rows.is_empty() {
            self.line(format!("- {}", self.say(&Say::NoHosts)));
            return;
        }
        self.line("");
        let head = [Say::Who, Say::Host, Say::System, Say::Size, Say::Version];
        self.table(&head, rows);
    }

    pub(super) fn doubts(&mut self, report: &Report) {
        if report.doubts.is_empty() {
            return;
        }
        self.heading(&Say::Doubts);
        for doubt in &report.doubts {
            let about = self.lang.aside(&safe(&words::about(self.lang, doubt)));
            let kind = self.say(&Say::Doubt(doubt.code)) + &about;
            let said = self.lang.labelled(&kind, &safe(&doubt.text));
            self.line(format!("- {said}"));
        }
    }

    pub(super) fn evidence(&mut self, report: &Report) {
        let open = report
            .findings
            .iter()
            .filter(|finding| finding.verdict != Verdict::Pass);
        let rows: Vec<_> = open
            .flat_map(|finding| finding.evidence.iter().map(move |one| (finding, one)))
            .map(|(finding, one)| {
                let place = words::place(self.lang, one);
                vec![finding.id.clone(), one.agent.to_string(), place]
            })
            .collect();
        if rows.is_empty() {
            return;
        }
        self.heading(&Say::Evidence);
        self.line(self.say(&Say::EvidenceNote));
        self.line("");
        let head = [Say::Finding, Say::Agent, Say::RecordsHead];
        self.table(&head, rows);
    }
}
