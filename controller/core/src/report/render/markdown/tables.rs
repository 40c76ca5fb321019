//! What was measured and judged: matrices, and every expectation in a line.

use std::collections::BTreeSet;

use super::{
    super::{
        super::model::{Counts, Finding, Matrix, Report},
        catalogue::Say,
        words,
    },
    Page, safe,
};

impl Page {
    pub(super) fn matrices(&mut self, report: &Report) {
        let stages = report.stages.iter();
        let tables: Vec<_> = stages
            .flat_map(|stage| stage.matrix.iter().map(move |matrix| (&stage.name, matrix)))
            .filter(|(_, matrix)| !matrix.cells.is_empty())
            .collect();
        if tables.is_empty() {
            return;
        }
        self.heading(&Say::Matrix);
        self.line(self.say(&Say::MatrixNote));
        let (wide, single): (Vec<_>, Vec<_>) = tables
            .into_iter()
            .partition(|(_, matrix)| matrix.cells.len() > 1);
        for (stage, matrix) in wide {
            self.line("");
            self.line(format!(
                "### {} / {}",
                safe(stage.as_str()),
                safe(matrix.step.as_str())
            ));
            self.line("");
            self.environments(matrix);
            self.services(matrix);
        }
        if single.is_empty() {
            return;
        }
        self.line("");
        self.line(format!("### {}", self.say(&Say::OnePair)));
        self.line("");
        let lang = self.lang;
        let rows = single.iter().flat_map(|(stage, matrix)| {
            matrix.cells.iter().map(move |cell| {
                let step = format!("{stage} / {}", matrix.step);
                let pair = Say::FromToOf(cell.from.as_str(), cell.to.as_str());
                vec![step, lang.say(&pair), words::cell(lang, &cell.figures)]
            })
        });
        let rows: Vec<_> = rows.collect();
        self.table(&[Say::StageStep, Say::Pair, Say::Seen], rows);
        single.iter().for_each(|(_, matrix)| self.services(matrix));
    }

    /// Every finding, those of one expectation in one line: what was expected, how many samples it
    /// rests on, who measured. The evidence of each is in the JSON report.
    pub(super) fn judged(&mut self, report: &Report) {
        let all = words::expectations(report);
        if all.is_empty() {
            return;
        }
        self.heading(&Say::Judged);
        let lang = self.lang;
        let rows = all.iter().map(|findings| {
            let mut counts = Counts::default();
            findings
                .iter()
                .for_each(|finding| counts.add(finding.verdict));
            let samples = |figure: fn(&Finding) -> u64| {
                findings
                    .iter()
                    .fold(0u64, |sum, finding| sum.saturating_add(figure(finding)))
            };
            let (observed, planned) = (
                samples(|f| f.samples.observed),
                samples(|f| f.samples.planned),
            );
            let (place, expected) = match findings.first() {
                None => (String::new(), String::new()),
                Some(first) => (
                    format!("{} / {}", first.stage, first.step),
                    lang.labelled(&first.kind, &first.expected.text),
                ),
            };
            vec![
                place,
                expected,
                words::counts(lang, &counts),
                words::seen(lang, findings),
                lang.say(&Say::SamplesOf(observed, planned)),
                lang.list(&words::measurers(findings)),
            ]
        });
        let rows: Vec<_> = rows.collect();
        let head = [
            Say::StageStep,
            Say::Expected,
            Say::VerdictHead,
            Say::Seen,
            Say::SamplesHead,
            Say::MeasuredBy,
        ];
        self.table(&head, rows);
    }

    fn environments(&mut self, matrix: &Matrix) {
        let to: BTreeSet<_> = matrix.cells.iter().map(|cell| &cell.to).collect();
        let from: BTreeSet<_> = matrix.cells.iter().map(|cell| &cell.from).collect();
        let mut head = vec![self.say(&Say::FromTo)];
        head.extend(to.iter().map(|name| name.to_string()));
        let rows = from.iter().map(|from| {
            let cell = |to: &&_| {
                let mut cells = matrix.cells.iter();
                let found = cells.find(|cell| cell.from == **from && cell.to == **to);
                found.map_or(String::new(), |cell| words::cell(self.lang, &cell.figures))
            };
            let mut row = vec![from.to_string()];
            row.extend(to.iter().map(cell));
            row
        });
        let rows: Vec<_> = rows.collect();
        self.table_with(&head, rows);
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
        self.line(self.say(&Say::OutOfLine));
        self.line("");
        let lang = self.lang;
        let rows = odd.into_iter().map(|row| {
            let group = row
                .group
                .as_ref()
                .map_or(String::new(), |group| group.to_string());
            vec![
                row.from.to_string(),
                format!("{}/{}", row.environment, row.service),
                group,
                words::cell(lang, &row.figures),
            ]
        });
        self.table(&[Say::From, Say::Service, Say::Group, Say::Seen], rows);
    }
}
