//! The report as one page to forward: no outside reference, no script, light and dark, on paper, on a
//! telephone, by the keyboard.
//!
//! - `page`: what it is written with; text goes in escaped.
//! - `findings`, `matrix`, `plots`, `basis`: its sections, the verdict first.
//! - `style.css`: how it looks. The page's own policy forbids everything else.

mod basis;
mod findings;
mod matrix;
mod page;
mod plots;

use self::page::Page;
use super::{
    super::{charts::Charts, model::Report},
    catalogue::Say,
    lang::Lang,
    words,
};

/// A browser that reads this runs nothing and asks nobody for anything.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const STYLE: &str = include_str!("style.css");

/// The whole report as one HTML page.
#[must_use]
pub fn render(report: &Report, lang: Lang) -> String {
    let mut page = Page {
        out: String::new(),
        lang,
    };
    page.begin(report);
    page.head(report);
    page.contents(report);
    page.markup("<main id=\"main\">\n");
    page.changes(report);
    page.mend(report);
    page.findings(report);
    page.matrices(report);
    page.loads(report);
    if let Some(charts) = &report.charts {
        page.plots(report, charts);
        page.gauges(report, charts);
    }
    page.stages(report);
    page.judged(report);
    page.agents(report);
    page.conditions(report);
    page.doubts(report);
    page.evidence(report);
    page.scenario(report);
    page.markup("</main>\n");
    page.end(report);
    page.out
}

impl Page {
    fn begin(&mut self, report: &Report) {
        self.markup("<!doctype html>\n<html lang=\"");
        self.markup(self.lang.tag());
        self.markup("\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"");
        self.markup(POLICY);
        self.markup(
            "\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n",
        );
        self.element("title", "", &self.title(report));
        self.markup("<style>\n");
        self.markup(STYLE);
        self.markup("</style>\n</head>\n<body>\n");
    }

    fn title(&self, report: &Report) -> String {
        let word = self.lang.say(&Say::Verdict(report.verdict)).to_uppercase();
        let name = words::name(self.lang, report);
        format!(
            "{} {}",
            words::mark(report.verdict),
            self.lang.labelled(&word, &name)
        )
    }

    fn head(&mut self, report: &Report) {
        let lang = self.lang;
        self.markup("<a class=\"skip\" href=\"#main\">");
        self.text(&lang.say(&Say::SkipToContent));
        self.markup("</a>\n<header>\n");
        self.markup("<div class=\"");
        self.markup(report.verdict.word());
        self.markup("\">");
        let verdict = lang.say(&Say::Verdict(report.verdict)).to_uppercase();
        let badge = format!("{} {verdict}", words::mark(report.verdict));
        self.element("span", "badge", &badge);
        self.close("div");
        self.element("h1", "", &words::name(lang, report));
        let counts = words::counts(lang, &report.counts);
        self.element("p", "", &lang.sentence(&counts));
        self.bar(report);
        for doubt in words::deciding(report) {
            let said = lang.say(&Say::CantPass(&doubt.text));
            self.element("p", "alarm", &said);
        }
        if let Some(revised) = words::revised(lang, report) {
            self.element("p", "", &lang.sentence(&revised));
        }
        let facts = words::facts(lang, report).join(" · ");
        self.element("p", "soft", &facts);
        self.close("header");
    }

    /// The shares of the verdicts; the sentence above says the same in words.
    fn bar(&mut self, report: &Report) {
        if report.counts.total() == 0 {
            return;
        }
        self.markup("<div class=\"bar\" aria-hidden=\"true\">");
        for (n, verdict) in words::by_verdict(&report.counts) {
            if n > 0 {
                self.markup("<i class=\"");
                self.markup(verdict.word());
                self.out.push_str(&format!("\" style=\"flex:{n}\"></i>"));
            }
        }
        self.close("div");
    }

    fn contents(&mut self, report: &Report) {
        let has = |what: fn(&Charts) -> bool| report.charts.as_ref().is_some_and(what);
        let sections = [
            ("mend", Say::ToMend, !words::to_mend(report).is_empty()),
            ("findings", Say::DidNotPass, true),
            ("matrix", Say::Matrix, !report.stages.is_empty()),
            ("loads", Say::Loads, !report.loads.is_empty()),
            (
                "latency",
                Say::Latencies,
                has(|charts| !charts.plots.is_empty()),
            ),
            (
                "resources",
                Say::Resources,
                has(|charts| !charts.gauges.is_empty()),
            ),
            ("stages", Say::Stages, !report.stages.is_empty()),
            ("judged", Say::Judged, !report.findings.is_empty()),
            ("agents", Say::Agents, !report.agents.is_empty()),
            ("conditions", Say::Conditions, true),
            ("doubts", Say::Doubts, true),
            (
                "scenario",
                Say::TheScenario,
                has(|charts| charts.scenario.is_some()),
            ),
        ];
        self.markup("<nav aria-label=\"");
        self.text(&self.lang.say(&Say::Contents));
        self.markup("\"><ul>\n");
        for (id, title, _) in sections.iter().filter(|(_, _, there)| *there) {
            self.markup("<li><a href=\"#");
            self.markup(id);
            self.markup("\">");
            self.text(&self.lang.say(title));
            self.markup("</a></li>\n");
        }
        self.markup("</ul></nav>\n");
    }

    fn end(&mut self, report: &Report) {
        let version = report.conditions.controller.as_ref();
        let version = version.map_or("", |host| host.version.as_str());
        let said = self.lang.say(&Say::MadeBy(version));
        self.element("footer", "", &said);
        self.markup("</body>\n</html>\n");
    }
}

#[cfg(test)]
mod tests {
    use nepho_common::{
        recording::Unit,
        time::{Nanos, RunTime},
    };

    use super::{
        super::super::{
            charts::{
                Column, GaugePoint, GaugeSeries, Happening, Mark, Percentile, Plot, Source, band_of,
            },
            fixture::{agent, eventful, good, journal, plan, unread},
            report, report_in,
        },
        *,
    };

    /// A run with figures in every chart: 20 minutes, three environments, an agent lost, gauges.
    fn vivid() -> Report {
        let mut report = report(eventful(), Vec::new());
        let stage = report
            .stages
            .iter_mut()
            .find(|stage| stage.name.as_str() == "hybrid");
        stage.unwrap().planned_ns = Nanos::from_secs(1_200);
        let environments = ["local", "tencent", "aliyun"];
        let start = RunTime(10_000_000_000);
        let pairs = (0u64..).zip(
            environments
                .iter()
                .flat_map(|from| environments.iter().map(move |to| (from, to))),
        );
        let plot = |(number, (from, to)): (u64, (&&str, &&str))| {
            let far = if from == to {
                1_000_000
            } else {
                15_000_000 + number * 3_000_000
            };
            let column = |n: u64| {
                let slow = if (60..75).contains(&n) { 4 } else { 1 };
                let band = band_of(Nanos(far * slow));
                let spread = [(0, 900), (1, 700), (2, 80), (3, 9), (5, n % 3)];
                let there = spread.into_iter().filter(|(_, n)| *n > 0);
                Column {
                    at_ns: start.plus(Nanos::from_secs(10 * n)),
                    bands: there.map(|(above, n)| (band + above, n)).collect(),
                    failures: if slow > 1 && from != to { n } else { 0 },
                }
            };
            let ticks: [(u64, u64); 10] = [
                (0, 1),
                (1, 4),
                (1, 2),
                (3, 4),
                (9, 10),
                (19, 20),
                (99, 100),
                (199, 200),
                (999, 1_000),
                (9_999, 10_000),
            ];
            let percentile = |(num, den): (u64, u64)| {
                let at = far + far * u64::from((den / (den - num)).ilog2()) / 3;
                let off = at / 400 * u64::from((den / (den - num)).ilog2());
                Percentile {
                    num,
                    den,
                    at_ns: Nanos(at),
                    low_ns: (num > 0).then_some(Nanos(at - off)),
                    high_ns: (num > 0).then_some(Nanos(at + off)),
                }
            };
            let columns: Vec<_> = (0..120)
                .filter(|n| *from != "aliyun" || *n < 90)
                .map(column)
                .collect();
            Plot {
                stage: "hybrid".parse().unwrap(),
                step: "reach".parse().unwrap(),
                from: from.parse().unwrap(),
                to: to.parse().unwrap(),
                successes: 200_000,
                failures: columns.iter().map(|column| column.failures).sum(),
                our_side: 0,
                max_ns: Some(Nanos(far * 9)),
                curve: ticks.into_iter().map(percentile).collect(),
                every_ns: Nanos::from_secs(10),
                columns,
                coarse: 0,
            }
        };
        let gauge = |name: &str, unit, from: &str, of: Option<&str>, scale: i64| GaugeSeries {
            name: name.to_owned(),
            unit,
            agent: agent(from),
            from: from.parse().unwrap(),
            thing: None,
            of: of.map(|of| of.parse().unwrap()),
            values: 1_200,
            every_ns: Nanos::from_secs(30),
            points: (0..40i64)
                .map(|n| GaugePoint {
                    at_ns: start.plus(Nanos::from_secs(30 * n.unsigned_abs())),
                    min: scale * (20 + n % 7),
                    max: scale * (24 + n % 7 + if (20..25).contains(&n) { 40 } else { 0 }),
                })
                .collect(),
        };
        let charts = report.charts.as_mut().unwrap();
        charts.plots = pairs.map(plot).collect();
        charts.marks.push(Mark {
            at_ns: RunTime(910_000_000_000),
            what: Happening::AgentLost,
            about: "agent-aliyun".to_owned(),
        });
        charts.gauges = vec![
            gauge("host.cpu", Unit::Ratio, "local", None, 10_000),
            gauge("host.memory", Unit::Bytes, "local", None, 50 << 20),
            gauge(
                "process.rss",
                Unit::Bytes,
                "local",
                Some("local/dao-api/1"),
                1 << 20,
            ),
            gauge(
                "process.rss",
                Unit::Bytes,
                "local",
                Some("local/gateway/1"),
                2 << 20,
            ),
        ];
        charts.scenario = Some(Source {
            text: "api: nepho/v1\nname: three-environments\ntitle: 三环境集群测试 # <script>\n"
                .to_owned(),
            more_bytes: 7,
        });
        report
    }

    #[test]
    fn every_chart() {
        insta::assert_snapshot!(render(&vivid(), Lang::En));
    }

    /// Without the style sheet, which nobody reads as prose.
    fn body(report: &Report, lang: Lang) -> String {
        let page = render(report, lang);
        let at = page.find("<body>").unwrap();
        page.split_at(at).1.to_owned()
    }

    #[test]
    fn a_run_with_something_of_everything() {
        let report = report(eventful(), [unread("kind: 12 is unknown")]);
        insta::assert_snapshot!(body(&report, Lang::En));
    }

    #[test]
    fn a_run_in_which_all_is_well_in_chinese() {
        let mut plan = plan();
        // Leaves out what has no path, so that everything can pass.
        plan.stages.truncate(1);
        let report = report_in(Lang::ZhCn, journal(&plan, good), Vec::new());
        insta::assert_snapshot!(body(&report, Lang::ZhCn));
    }

    #[test]
    fn nothing_at_all() {
        let report = report(Vec::new(), Vec::new());
        insta::assert_snapshot!(render(&report, Lang::En));
    }
}
