//! From where to where: environment by environment, and service by service from everywhere.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::id::{EnvironmentName, GroupName, ServiceName};

use super::{
    super::{
        super::model::{Figures, Matrix, Report, ServiceRow},
        catalogue::Say,
        words,
    },
    page::{Cell, Page},
};

/// How many services a table of one step shows.
const SERVICES_MAX: usize = 1_000;

/// Where a service is, its group, its name.
type Service<'a> = (&'a EnvironmentName, Option<&'a GroupName>, &'a ServiceName);

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
        self.section("matrix", &Say::Matrix, |page| {
            page.remark(&Say::MatrixNote);
            // Those of many pairs say most.
            let (wide, single): (Vec<_>, Vec<_>) = tables
                .into_iter()
                .partition(|(_, matrix)| matrix.cells.len() > 1);
            for (stage, matrix) in wide.into_iter().chain(single) {
                page.element("h3", "", &format!("{stage} / {}", matrix.step));
                page.environments(matrix);
                page.services(matrix);
            }
        });
    }

    fn environments(&mut self, matrix: &Matrix) {
        let lang = self.lang;
        let to: BTreeSet<_> = matrix.cells.iter().map(|cell| &cell.to).collect();
        let from: BTreeSet<_> = matrix.cells.iter().map(|cell| &cell.from).collect();
        let mut head = vec![lang.say(&Say::FromTo)];
        head.extend(to.iter().map(|name| name.to_string()));
        let rows = from.iter().map(|from| {
            let cell = |to: &&EnvironmentName| {
                let mut cells = matrix.cells.iter();
                let found = cells.find(|cell| cell.from == **from && cell.to == **to);
                found.map_or_else(
                    || Cell::new("none", ""),
                    |cell| {
                        figures(
                            lang.say(&Say::NoRequest),
                            words::cell(lang, &cell.figures),
                            &cell.figures,
                        )
                    },
                )
            };
            let mut row = vec![Cell::from(from.as_str())];
            row.extend(to.iter().map(cell));
            row
        });
        self.table(matrix.step.as_str(), &head, rows);
    }

    /// A row for each service, a column for each environment that asks. What is out of line stands
    /// open; the rest is folded away.
    fn services(&mut self, matrix: &Matrix) {
        let mut rows: BTreeMap<Service<'_>, BTreeMap<&EnvironmentName, &ServiceRow>> =
            BTreeMap::new();
        for row in &matrix.services {
            let service = (&row.environment, row.group.as_ref(), &row.service);
            rows.entry(service).or_default().insert(&row.from, row);
        }
        let is_odd = |from: &BTreeMap<&EnvironmentName, &ServiceRow>| {
            from.values().any(|row| !words::is_clean(&row.figures))
        };
        let odd: Vec<_> = rows.iter().filter(|(_, from)| is_odd(from)).collect();
        let all: Vec<_> = rows.iter().collect();
        if !odd.is_empty() {
            self.remark(&Say::OutOfLine);
            let label = self.lang.say(&Say::OutOfLine);
            self.service_table(&label, matrix, &odd);
        }
        if odd.len() < all.len() {
            let title = Say::AllServices(all.len());
            self.folded(&title, |page| {
                let label = page.lang.say(&title);
                page.service_table(&label, matrix, &all);
            });
        }
    }

    fn service_table(
        &mut self,
        label: &str,
        matrix: &Matrix,
        rows: &[(&Service<'_>, &BTreeMap<&EnvironmentName, &ServiceRow>)],
    ) {
        let lang = self.lang;
        let from: BTreeSet<_> = matrix.services.iter().map(|row| &row.from).collect();
        let mut head = self.heads(&[Say::Service, Say::Group]);
        head.extend(
            from.iter()
                .map(|from| lang.say(&Say::FromWhere(from.as_str()))),
        );
        let lines = rows
            .iter()
            .take(SERVICES_MAX)
            .map(|((environment, group, service), by)| {
                let cell = |from: &&EnvironmentName| {
                    by.get(*from).map_or_else(
                        || Cell::new("none", ""),
                        |row| {
                            figures(
                                lang.say(&Say::NoRequest),
                                words::cell(lang, &row.figures),
                                &row.figures,
                            )
                        },
                    )
                };
                let mut line = vec![
                    Cell::from(format!("{environment}/{service}")),
                    Cell::from(group.map_or("", |group| group.as_str())),
                ];
                line.extend(from.iter().map(cell));
                line
            });
        self.table(label, &head, lines);
        if rows.len() > SERVICES_MAX {
            self.remark(&Say::LeftOut(rows.len() - SERVICES_MAX));
        }
    }
}

/// The tint says what the words say.
fn figures(nothing: String, text: String, figures: &Figures) -> Cell {
    let class = if figures.failures > 0 {
        "bad"
    } else if figures.planned == 0 {
        "none"
    } else if !words::is_clean(figures) {
        "odd"
    } else {
        "clean"
    };
    Cell::new(class, if text.is_empty() { nothing } else { text })
}
