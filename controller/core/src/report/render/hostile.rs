//! Whatever a target, an agent or a file says is harmless in every format.

use nepho_common::{
    recording::Unit,
    time::{Nanos, RunTime},
};

use super::{
    super::{
        charts::{GaugePoint, GaugeSeries, Happening, Mark, Source},
        fixture::{agent, eventful, find, of},
        model::{Code, Doubt, Report},
    },
    Lang, github, html, json, junit, markdown, terminal,
};

/// Markup, a terminal escape, a bell, a mark that reorders, an end of a workflow command, a table's
/// bar, a link.
const HOSTILE: &str = "<script>alert(1)</script>\u{1b}]0;x\u{7}\u{1b}[2J\u{202e}gpj\u{2066}\r\n::error::x|`a`[b](javascript:c)\"'--><img src=http://e.example/x onerror=y>";

fn everywhere() -> Report {
    let mut report = of(eventful());
    let bad = || HOSTILE.to_owned();
    let id = find(&report, "hybrid/reach/failures/local/tencent/dao-api")
        .id
        .clone();
    let finding = report.findings.iter_mut().find(|one| one.id == id).unwrap();
    finding.id = bad();
    finding.kind = bad();
    finding.expected.text = bad();
    finding.observed.text = bad();
    finding.observed.outcomes.insert(bad(), 3);
    finding.cause = Some(bad());
    finding.remedy = Some(bad());
    finding.uncertainty.as_mut().unwrap().text = bad();
    report.stages[0].skipped = Some(bad());
    report.agents[0].refused = Some(bad());
    for agent in &mut report.agents {
        agent
            .missing
            .iter_mut()
            .for_each(|missing| missing.why = bad());
    }
    let conditions = &mut report.conditions;
    conditions.title = Some(bad());
    conditions.end = Some(bad());
    conditions.files.insert(bad(), conditions.plan.unwrap().0);
    for host in conditions.hosts.values_mut() {
        (host.name, host.os, host.kernel) = (bad(), bad(), bad());
        host.version = bad();
    }
    conditions.controller.as_mut().unwrap().version = bad();
    for code in [Code::Unfinished, Code::Versions] {
        let (text, about) = (bad(), bad());
        report.doubts.push(Doubt { code, text, about });
    }
    let charts = report.charts.as_mut().unwrap();
    charts.marks.push(Mark {
        at_ns: RunTime(12_000_000_000),
        what: Happening::AgentLost,
        about: bad(),
    });
    charts.gauges.push(GaugeSeries {
        name: bad(),
        unit: Unit::Count,
        agent: agent("local"),
        from: "local".parse().unwrap(),
        of: None,
        thing: None,
        values: 1,
        every_ns: Nanos::from_secs(1),
        points: vec![GaugePoint {
            at_ns: RunTime(0),
            min: i64::MIN,
            max: i64::MAX,
        }],
    });
    charts.scenario = Some(Source {
        text: bad(),
        more_bytes: 0,
    });
    report
}

fn steers(text: &str) -> bool {
    let steering = |c: char| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().any(steering)
}

#[test]
fn the_text_would_do_harm_if_it_came_through() {
    assert!(steers(HOSTILE));
    assert!(HOSTILE.contains("<script") && HOSTILE.contains("<img"));
}

#[test]
fn on_a_terminal_it_is_text() {
    for lang in Lang::ALL {
        let text = terminal::render(&everywhere(), lang, terminal::Colour::None);
        assert!(text.contains("<script>"), "it is shown");
        assert!(!steers(&text), "{text}");
    }
}

#[test]
fn in_markdown_and_in_a_summary_it_is_text() {
    for lang in Lang::ALL {
        for text in [
            markdown::render(&everywhere(), lang),
            github::summary(&everywhere(), lang),
        ] {
            assert!(text.contains("&lt;script&gt;"), "it is shown");
            assert!(
                !text.contains("<script") && !text.contains("<img"),
                "{text}"
            );
            assert!(
                !text.replace("\\]", "").contains("](") && !steers(&text),
                "{text}"
            );
        }
    }
}

#[test]
fn in_html_it_is_text() {
    for lang in Lang::ALL {
        let text = html::render(&everywhere(), lang);
        assert!(text.contains("&lt;script&gt;"), "it is shown");
        let text = text.to_ascii_lowercase();
        assert!(
            !text.contains("<script") && !text.contains("<img"),
            "{text}"
        );
        assert!(!steers(&text.replace('\t', "")));
        // Outside of the text there are no quotes but our own: each tag has an even number.
        for tag in text.split('<').skip(1) {
            let tag = tag.split('>').next().unwrap_or_default();
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            assert!(!tag.contains("onerror") || tag.contains("&lt;"), "{tag}");
        }
    }
}

#[test]
fn in_xml_it_is_text() {
    let text = junit::render(&everywhere(), Lang::En);
    assert!(text.contains("&lt;script&gt;"), "it is shown");
    assert!(
        !text.contains("<script") && !text.contains("<img"),
        "{text}"
    );
    assert!(!steers(&text));
}

#[test]
fn in_annotations_it_ends_no_command() {
    let report = everywhere();
    let text = github::annotations(&report, Lang::En);
    assert!(!steers(&text), "{text}");
    for line in text.lines() {
        let own = ["::error title=", "::warning title=", "::notice title="];
        assert!(own.iter().any(|start| line.starts_with(start)), "{line}");
    }
}

#[test]
fn in_json_it_is_the_same_value_and_steers_nothing() {
    let report = everywhere();
    let text = json::render(&report);
    assert!(!steers(&text));
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}
