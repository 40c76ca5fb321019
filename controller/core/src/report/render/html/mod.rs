//! The report as one page to forward: no outside reference, no script, light and dark, on paper, on a
//! telephone, by the keyboard.
//!
//! - `page`: what it is written with; text goes in escaped.
//! - `findings`, `matrix`, `basis`: its sections, the verdict first.
//! - `style.css`: how it looks. The page's own policy forbids everything else.

mod basis;
mod findings;
mod matrix;
mod page;

use self::page::Page;
use super::{super::model::Report, catalogue::Say, lang::Lang, words};

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
    page.findings(report);
    page.matrices(report);
    page.stages(report);
    page.judged(report);
    page.agents(report);
    page.conditions(report);
    page.doubts(report);
    page.evidence(report);
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
        let sections = [
            ("findings", Say::DidNotPass, true),
            ("matrix", Say::Matrix, !report.stages.is_empty()),
            ("stages", Say::Stages, !report.stages.is_empty()),
            ("judged", Say::Judged, !report.findings.is_empty()),
            ("agents", Say::Agents, !report.agents.is_empty()),
            ("conditions", Say::Conditions, true),
            ("doubts", Say::Doubts, true),
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
    use super::{
        super::super::{
            fixture::{eventful, good, journal, plan, unread},
            report,
        },
        *,
    };

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
        let report = report(journal(&plan, good), Vec::new());
        insta::assert_snapshot!(body(&report, Lang::ZhCn));
    }

    #[test]
    fn nothing_at_all() {
        let report = report(Vec::new(), Vec::new());
        insta::assert_snapshot!(render(&report, Lang::En));
    }
}
