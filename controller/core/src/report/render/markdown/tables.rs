//! What was measured and judged: matrices, and every expectation in a line.

use std::collections::BTreeSet;

use super::{
    super::super::model::{Counts, Finding, Matrix, Report},
    Page, safe, words,
};

/// Stage, step, kind and bound: what findings of one expectation share.
type Expectation<'a> = (&'a str, &'a str, &'a str, &'a str);

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
        self.heading("From where to where");
        self.line(
            "Median response time of successful requests; failed and missing ones are named.",
        );
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

    /// Every finding, those of one expectation in one line: what was expected, how many samples it
    /// rests on, who measured. The evidence of each is in the JSON report.
    pub(super) fn judged(&mut self, report: &Report) {
        let mut all: Vec<(Expectation<'_>, Vec<&Finding>)> = Vec::new();
        for finding in &report.findings {
            let Finding {
                stage,
                step,
                kind,
                expected,
                ..
            } = finding;
            let of = (
                stage.as_str(),
                step.as_str(),
                kind.as_str(),
                expected.text.as_str(),
            );
            match all.last_mut().filter(|(last, _)| *last == of) {
                Some((_, same)) => same.push(finding),
                None => all.push((of, vec![finding])),
            }
        }
        if all.is_empty() {
            return;
        }
        self.heading("What was judged");
        let rows = all.iter().map(|((stage, step, kind, expected), findings)| {
            let mut counts = Counts::default();
            findings
                .iter()
                .for_each(|finding| counts.add(finding.verdict));
            let samples = |figure: fn(&Finding) -> u64| {
                findings
                    .iter()
                    .fold(0u64, |sum, finding| sum.saturating_add(figure(finding)))
            };
            let agents: BTreeSet<_> = findings.iter().flat_map(|f| &f.agents).collect();
            let agents: Vec<_> = agents.iter().map(|agent| agent.as_str()).collect();
            let (observed, planned) = (
                samples(|f| f.samples.observed),
                samples(|f| f.samples.planned),
            );
            let seen = match findings.as_slice() {
                [only] => only.observed.text.clone(),
                several => format!("{} findings", several.len()),
            };
            vec![
                format!("{stage} / {step}"),
                format!("{kind}: {expected}"),
                words::counts(&counts),
                seen,
                format!("{observed} of {planned}"),
                agents.join(", "),
            ]
        });
        let rows: Vec<_> = rows.collect();
        let head = [
            "stage / step",
            "expected",
            "verdict",
            "seen",
            "samples",
            "measured by",
        ];
        self.table(&head, rows);
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
}
