//! A run asked for in Chinese: people read Chinese, programs what they always read.

use std::net::TcpListener;

use nepho_controller_core::report::Report;

use crate::{
    fleet::{Service, scenario, write_fleet},
    found,
    process::{command, said, took},
    site::{Place, Site},
};

/// The sentences of a report.
fn sentences(report: &Report) -> Vec<&str> {
    let findings = report.findings.iter();
    let all = findings.flat_map(|one| [one.cause.as_deref(), one.remedy.as_deref()]);
    let all = all
        .flatten()
        .chain(report.doubts.iter().map(|doubt| doubt.text.as_str()));
    // The first words alone: how it goes on is wrapped and escaped.
    all.map(|text| text.split([':', '.', ',']).next().unwrap_or(text))
        .collect()
}

#[test]
fn a_run_in_chinese_is_told_in_chinese_and_kept_in_english() {
    let _took = took("languages");
    let site = Site::start();
    let dir = site.dir();
    let answers = Service::start(dir, "a", "svc-a");
    // Bound and given back: nobody listens there.
    let dead = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    write_fleet(
        dir,
        &[("a", "svc-a", answers.address), ("b", "svc-dead", dead)],
    );
    std::fs::write(dir.join("s.yaml"), scenario("s", &["one"], "2s", "200ms")).unwrap();
    let _agents =
        [("a-1", "a"), ("b-1", "b")].map(|(agent, at)| site.agent(&Place::new(agent, at)));
    let told = site
        .ask(&[
            "--lang",
            "zh-CN",
            "run",
            "s.yaml",
            "--out",
            "out",
            "--summary",
            "full",
        ])
        .with(10);
    let out = dir.join("out");
    let written = |file: &str| std::fs::read_to_string(out.join(file)).unwrap();
    let report = found::report(&out);
    let sentences = sentences(&report);
    let dead = sentences
        .iter()
        .find(|one| one.starts_with("Nothing listens at http"));
    assert!(dead.is_some(), "{sentences:?}");
    for (form, text) in [
        ("text", &told),
        ("md", &written("report.md")),
        ("html", &written("report.html")),
    ] {
        assert!(text.contains("无人监听"), "{form}: {text}");
        for one in &sentences {
            assert!(!text.contains(one), "{form} has {one:?}");
        }
    }

    // Asked of the controller or of the run directory, it is the same.
    let run = report.run.clone().unwrap();
    let of_controller = |lang: &str, format: &str| {
        let asked = ["--lang", lang, "report", run.as_str(), "--format", format];
        site.ask(&asked).with(10)
    };
    let of_folder = |lang: &str, format: &str| {
        let mut asked = command("nepho");
        asked.args(["--lang", lang, "report", "--format", format, "--from"]);
        said(asked.arg(&out)).with(10)
    };
    for (format, file) in [
        ("md", "report.md"),
        ("html", "report.html"),
        ("json", "report.json"),
    ] {
        assert_eq!(of_controller("zh-CN", format), written(file), "{format}");
        assert_eq!(of_folder("zh-CN", format), written(file), "{format}");
    }
    // What is looked for would be found.
    let english = of_controller("en", "md");
    for one in &sentences {
        assert!(english.contains(one), "{one:?} in {english}");
    }
}
