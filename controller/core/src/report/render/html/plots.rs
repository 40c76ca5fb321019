//! The plots, each with its table, and what happened when.

use std::collections::BTreeMap;

use nepho_common::{id::EnvironmentName, recording::Unit, time::Nanos};

use super::{
    super::{
        super::{
            charts::{Charts, Column, GaugeSeries, Happening, Mark, Plot, band_edges},
            model::Report,
        },
        catalogue::Say,
        svg::{self, Flag, LINE_CLASSES, LINES, Span},
        words,
    },
    page::{Cell, Page},
};

/// How many charts of gauges there are.
const GAUGES_MAX: usize = 40;

impl Page {
    pub(super) fn plots(&mut self, report: &Report, charts: &Charts) {
        if charts.plots.is_empty() {
            return;
        }
        self.section("latency", &Say::Latencies, |page| {
            page.remark(&Say::PercentilesNote);
            let mut of: BTreeMap<_, Vec<&Plot>> = BTreeMap::new();
            for plot in &charts.plots {
                let place = report
                    .stages
                    .iter()
                    .position(|stage| stage.name == plot.stage);
                of.entry((place, &plot.stage, &plot.step))
                    .or_default()
                    .push(plot);
            }
            for ((place, stage, step), plots) in of {
                page.element("h3", "", &format!("{stage} / {step}"));
                page.percentiles(&plots);
                let span = place.and_then(|place| {
                    let stage = report.stages.get(place)?;
                    let (from, lasts) = (stage.began_ns?, stage.planned_ns);
                    Some(Span { from, lasts })
                });
                if let Some(span) = span {
                    page.over_time(&plots, span, &charts.marks);
                }
            }
            if charts.more_plots > 0 {
                page.remark(&Say::MorePlots(charts.more_plots));
            }
            page.marks(charts);
        });
    }

    /// A chart for each environment that asks, a line for each that is asked.
    fn percentiles(&mut self, plots: &[&Plot]) {
        let mut by_from: BTreeMap<&EnvironmentName, Vec<&Plot>> = BTreeMap::new();
        for plot in plots {
            by_from.entry(&plot.from).or_default().push(plot);
        }
        self.markup("<div class=\"plots\">\n");
        for (from, plots) in by_from {
            for plots in plots.chunks(LINES) {
                let label = self.lang.say(&Say::PercentilesFrom(from.as_str()));
                self.markup("<figure>\n");
                self.element("figcaption", "", &label);
                self.picture(svg::percentile(&label, plots));
                let names: Vec<_> = plots.iter().map(|plot| self.line_name(plot)).collect();
                self.key(&names);
                self.percentile_table(&label, plots);
                self.close("figure");
            }
        }
        self.close("div");
    }

    /// Where to, how many values, how many are not among them.
    fn line_name(&self, plot: &Plot) -> String {
        let n = self.lang.say(&Say::Successes(plot.successes));
        let mut said = vec![n];
        if plot.failures > 0 {
            said.push(self.lang.say(&Say::FailuresLeftOut(plot.failures)));
        }
        if plot.our_side > 0 {
            said.push(self.lang.say(&Say::OurSideLeftOut(plot.our_side)));
        }
        let to = self.lang.say(&Say::ToWhere(plot.to.as_str()));
        self.lang.labelled(&to, &self.lang.phrases(&said))
    }

    fn percentile_table(&mut self, label: &str, plots: &[&Plot]) {
        self.folded(&Say::AsTable, |page| {
            let mut rows: BTreeMap<(u64, u64), BTreeMap<usize, String>> = BTreeMap::new();
            for (number, plot) in plots.iter().enumerate() {
                for one in &plot.curve {
                    let interval = match (one.low_ns, one.high_ns) {
                        (Some(low), Some(high)) => format!(" [{low}, {high}]"),
                        (Some(low), None) => format!(" [{low}, ∞)"),
                        (None, _) => String::new(),
                    };
                    // In the order of the share: parts per million are enough for six nines.
                    let share = one.num.saturating_mul(1_000_000) / one.den.max(1);
                    let row = rows.entry((share, one.den)).or_default();
                    row.insert(number, format!("{}{interval}", one.at_ns));
                }
                if let Some(max) = plot.max_ns {
                    let row = rows.entry((u64::MAX, 1)).or_default();
                    row.insert(number, max.to_string());
                }
            }
            let mut head = vec![page.lang.say(&Say::PercentileHead)];
            head.extend(
                plots
                    .iter()
                    .map(|plot| page.lang.say(&Say::ToWhere(plot.to.as_str()))),
            );
            let lang = page.lang;
            let lines = rows.into_iter().map(|((share, _), row)| {
                let name = match share {
                    0 => "min".to_owned(),
                    u64::MAX => "max".to_owned(),
                    _ => format!("p{}", percent(share)),
                };
                let missing = lang.say(&Say::TooFewValues);
                let cell = |number| {
                    let found = row.get(&number);
                    Cell::number(found.unwrap_or(&missing))
                };
                let mut line = vec![Cell::from(name)];
                line.extend((0..plots.len()).map(cell));
                line
            });
            page.table(label, &head, lines);
        });
    }

    /// A picture for each pair.
    fn over_time(&mut self, plots: &[&Plot], span: Span, marks: &[Mark]) {
        let lang = self.lang;
        let flags: Vec<Flag> = marks
            .iter()
            .enumerate()
            .filter(|(_, mark)| is_flagged(mark.what))
            .map(|(number, mark)| Flag {
                at: mark.at_ns,
                number: number + 1,
                text: lang.labelled(
                    &words::at(mark.at_ns),
                    &lang.say(&Say::Happened(mark.what, &mark.about)),
                ),
            })
            .collect();
        self.remark(&Say::OverTimeNote);
        self.markup("<div class=\"plots\">\n");
        for plot in plots {
            let label = lang.say(&Say::OverTime(plot.from.as_str(), plot.to.as_str()));
            self.markup("<figure>\n");
            self.element("figcaption", "", &label);
            self.picture(svg::heat(&label, plot, span, &flags));
            if plot.coarse > 0 {
                self.remark(&Say::CoarseNote(plot.coarse, plot.every_ns));
            }
            self.folded(&Say::AsTable, |page| page.time_table(&label, plot, span));
            self.close("figure");
        }
        self.close("div");
    }

    fn time_table(&mut self, label: &str, plot: &Plot, span: Span) {
        let head = self.heads(&[
            Say::SinceStage,
            Say::SuccessesHead,
            Say::FailuresHead,
            Say::FastestHead,
            Say::MedianHead,
            Say::SlowestHead,
        ]);
        let rows = plot.columns.iter().map(|column| {
            let successes: u64 = column
                .bands
                .values()
                .fold(0, |sum, n| sum.saturating_add(*n));
            let edge =
                |at: Option<Nanos>| Cell::number(at.map_or("–".to_owned(), |at| at.to_string()));
            let lowest = column.bands.first_key_value();
            let highest = column.bands.last_key_value();
            let since = column.at_ns.since(span.from);
            vec![
                Cell::from(if since == Nanos(0) {
                    "0s".to_owned()
                } else {
                    since.to_string()
                }),
                Cell::number(successes),
                Cell::new(
                    if column.failures > 0 { "n bad" } else { "n" },
                    column.failures.to_string(),
                ),
                edge(lowest.map(|(band, _)| band_edges(*band).0)),
                edge(median(column, successes).map(|band| band_edges(band).1)),
                edge(highest.map(|(band, _)| band_edges(*band).1)),
            ]
        });
        self.table(label, &head, rows);
    }

    fn marks(&mut self, charts: &Charts) {
        if charts.marks.is_empty() {
            return;
        }
        let lang = self.lang;
        self.element("h3", "", &lang.say(&Say::Events));
        let rows = charts.marks.iter().enumerate().map(|(number, mark)| {
            vec![
                Cell::from((number + 1).to_string()),
                Cell::number(words::at(mark.at_ns)),
                Cell::from(lang.say(&Say::Happened(mark.what, &mark.about))),
            ]
        });
        let head = self.heads(&[Say::Number, Say::InRun, Say::What]);
        self.table(&lang.say(&Say::Events), &head, rows);
        if charts.more_marks > 0 {
            self.remark(&Say::MoreMarks(charts.more_marks));
        }
    }

    /// A chart for each gauge and environment.
    pub(super) fn gauges(&mut self, report: &Report, charts: &Charts) {
        if charts.gauges.is_empty() {
            return;
        }
        let spans: Vec<_> = report
            .stages
            .iter()
            .filter_map(|stage| {
                let (from, lasts) = (stage.began_ns?, stage.planned_ns);
                Some(Span { from, lasts })
            })
            .collect();
        let mut of: BTreeMap<(&str, Unit, bool, &EnvironmentName), Vec<&GaugeSeries>> =
            BTreeMap::new();
        for one in &charts.gauges {
            let key = (one.name.as_str(), one.unit, one.of.is_some(), &one.from);
            of.entry(key).or_default().push(one);
        }
        let all: Vec<_> = of
            .iter()
            .flat_map(|(key, series)| series.chunks(LINES).map(move |some| (*key, some)))
            .collect();
        self.section("resources", &Say::Resources, |page| {
            page.remark(&Say::ResourcesNote);
            page.markup("<div class=\"plots\">\n");
            for ((name, unit, _, from), series) in all.iter().take(GAUGES_MAX) {
                page.gauge(name, *unit, from, series, &spans);
            }
            page.close("div");
            let more = charts.more_gauges;
            let undrawn = all
                .iter()
                .skip(GAUGES_MAX)
                .map(|(_, some)| some.len() as u64);
            let more = undrawn.fold(more, u64::saturating_add);
            if more > 0 {
                page.remark(&Say::MoreGauges(more));
            }
        });
    }

    fn gauge(
        &mut self,
        name: &str,
        unit: Unit,
        from: &EnvironmentName,
        series: &[&GaugeSeries],
        spans: &[Span],
    ) {
        let lang = self.lang;
        let label = lang.say(&Say::GaugeIn(name, from.as_str()));
        self.markup("<figure>\n");
        self.element("figcaption", "", &label);
        self.picture(svg::series(&label, unit, series, spans));
        let names: Vec<_> = series.iter().map(|one| of_what(one)).collect();
        self.key(&names);
        self.folded(&Say::AsTable, |page| {
            let head = page.heads(&[Say::Of, Say::ValuesHead, Say::Least, Say::Most]);
            let rows = series.iter().map(|one| {
                let least = one.points.iter().map(|point| point.min).min().unwrap_or(0);
                let most = one.points.iter().map(|point| point.max).max().unwrap_or(0);
                vec![
                    Cell::from(of_what(one)),
                    Cell::number(one.values),
                    Cell::number(svg::amount(least, unit)),
                    Cell::number(svg::amount(most, unit)),
                ]
            });
            page.table(&label, &head, rows);
            page.points(&label, unit, series, &names);
        });
        self.close("figure");
    }

    /// Every point of the picture.
    fn points(&mut self, label: &str, unit: Unit, series: &[&GaugeSeries], names: &[String]) {
        let mut rows: BTreeMap<_, BTreeMap<usize, String>> = BTreeMap::new();
        for (number, one) in series.iter().enumerate() {
            for point in &one.points {
                let (min, max) = (svg::amount(point.min, unit), svg::amount(point.max, unit));
                let text = if min == max {
                    max
                } else {
                    format!("{min} – {max}")
                };
                rows.entry(point.at_ns).or_default().insert(number, text);
            }
        }
        let mut head = vec![self.lang.say(&Say::InRun)];
        head.extend(names.iter().cloned());
        let lines = rows.into_iter().map(|(at, row)| {
            let mut line = vec![Cell::from(words::at(at))];
            let cell = |number| Cell::number(row.get(&number).map_or("–", String::as_str));
            line.extend((0..series.len()).map(cell));
            line
        });
        self.table(label, &head, lines);
    }

    /// Which line is whose.
    fn key(&mut self, names: &[String]) {
        self.markup("<ul class=\"key\">\n");
        for (name, class) in names.iter().zip(LINE_CLASSES) {
            self.markup("<li><svg viewBox=\"0 0 26 8\" aria-hidden=\"true\"><path class=\"l ");
            self.markup(class);
            self.markup("\" d=\"M0 4H26\"/></svg>");
            self.text(name);
            self.markup("</li>\n");
        }
        self.markup("</ul>\n");
    }

    /// Whoever draws escapes.
    fn picture(&mut self, svg: String) {
        self.out.push_str(&svg);
    }
}

/// Stages have axes of their own; the rest is flagged in the pictures.
const fn is_flagged(what: Happening) -> bool {
    match what {
        Happening::StageBegan | Happening::StageEnded => false,
        Happening::AgentLost
        | Happening::AgentReturned
        | Happening::AgentRestarted
        | Happening::ClockDisturbed => true,
    }
}

/// The band that holds the median of a column.
fn median(column: &Column, successes: u64) -> Option<u32> {
    let rank = successes.div_ceil(2);
    let mut seen = 0u64;
    let mut bands = column.bands.iter();
    let found = bands.find(|(_, n)| {
        seen = seen.saturating_add(**n);
        seen >= rank
    });
    found.map(|(band, _)| *band)
}

fn of_what(series: &GaugeSeries) -> String {
    match (&series.of, &series.thing) {
        (Some(of), None) => of.to_string(),
        (Some(of), Some(thing)) => format!("{thing} ({of})"),
        (None, Some(thing)) => format!("{thing} ({})", series.agent),
        (None, None) => series.agent.to_string(),
    }
}

/// `99.9` of parts per million.
fn percent(ppm: u64) -> String {
    let (whole, rest) = (ppm / 10_000, ppm % 10_000);
    if rest == 0 {
        return whole.to_string();
    }
    let text = format!("{whole}.{rest:04}");
    text.trim_end_matches('0').to_owned()
}
