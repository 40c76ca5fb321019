//! How every verb speaks: data on stdout, talk on stderr, no colour off a terminal, no complaint
//! when nobody reads.

use std::{
    collections::BTreeMap,
    io::Read as _,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    fleet::{Service, scenario, write_fleet_of},
    process::{Running, clean, exists, program, said, skip, took},
    site::{Place, Site},
};

/// A controller with one agent and one run that is over.
struct Scene {
    site: Site,
    run: String,
    _agent: Running,
    _service: Service,
}

impl Scene {
    fn new() -> Self {
        let site = Site::start();
        let service = Service::start(site.dir(), "a", "svc");
        write_fleet_of(site.dir(), std::slice::from_ref(&service));
        let text = scenario("s", &["one"], "2s", "200ms");
        std::fs::write(site.dir().join("s.yaml"), text).unwrap();
        let agent = site.agent(&Place::new("a-1", "a"));
        let ran = site.ask(&["run", "s.yaml", "--out", "out", "-o", "json"]);
        let report: Value = serde_json::from_str(&ran.with(0)).unwrap();
        Self {
            run: report["run"].as_str().unwrap().to_owned(),
            site,
            _agent: agent,
            _service: service,
        }
    }

    /// Every verb that ends by itself, and whether it takes `-o`. What it makes, it makes anew each
    /// time: `nth` is part of the names.
    fn verbs(&self, nth: usize) -> Vec<(Vec<String>, Takes)> {
        let run = &self.run;
        let lines = [
            ("agents ls", Takes::Formats),
            ("agents show a-1", Takes::Formats),
            ("runs", Takes::Formats),
            ("status", Takes::Formats),
            ("status RUN", Takes::Formats),
            ("status RUN --wait", Takes::Formats),
            ("status RUN --watch", Takes::Formats),
            ("logs RUN", Takes::Formats),
            ("logs RUN -f", Takes::Formats),
            ("logs --from out", Takes::Formats),
            ("report RUN", Takes::Formats),
            ("report RUN --summary full", Takes::Formats),
            ("report --from out", Takes::Formats),
            ("export RUN --out export-NTH", Takes::Formats),
            ("validate s.yaml", Takes::Formats),
            ("plan s.yaml", Takes::Formats),
            ("run s.yaml --out run-NTH", Takes::Formats),
            ("run s.yaml --detach", Takes::Formats),
            ("enroll --environment a", Takes::Formats),
            ("init init-NTH", Takes::Formats),
            ("doctor --data-dir controller", Takes::Formats),
            ("explain codes", Takes::Formats),
            ("explain exit-codes", Takes::Formats),
            ("schema fleet", Takes::Nothing),
            ("schema scenario", Takes::Nothing),
            ("schema", Takes::Nothing),
            ("schema report", Takes::Nothing),
            ("completion bash", Takes::Nothing),
            ("completion zsh", Takes::Nothing),
            ("completion fish", Takes::Nothing),
            ("names runs", Takes::Nothing),
            ("help", Takes::Nothing),
            ("run --help", Takes::Nothing),
            ("--version", Takes::Nothing),
        ];
        let words = |line: &str| {
            let line = line.replace("RUN", run).replace("NTH", &nth.to_string());
            line.split(' ').map(str::to_owned).collect()
        };
        lines
            .into_iter()
            .map(|(line, takes)| (words(line), takes))
            .collect()
    }

    fn nepho(&self, words: &[String]) -> Command {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        self.site.nepho(&words)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// It prints data in each format.
    Formats,
    /// What it prints has a format of its own.
    Nothing,
}

/// Where the doctor looks is taken by the controller that answers, so it may find ports in use.
fn is_doctor(words: &[String]) -> bool {
    words.iter().any(|word| word == "doctor")
}

#[test]
fn a_reader_that_went_away_is_no_error_of_any_verb() {
    let _took = took("closed pipes");
    let scene = Scene::new();
    for (words, _) in scene.verbs(1) {
        // One that reads one line and goes, and one that was never there.
        let expected = said(&mut scene.nepho(&with(&words, "0"))).code;
        for lines in [1, 0] {
            let words = with(&words, &format!("{lines}x"));
            let mut nepho = scene.nepho(&words);
            nepho.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = nepho.spawn().unwrap();
            let mut stdout = child.stdout.take().unwrap();
            if lines == 1 {
                assert!(stdout.read(&mut [0]).unwrap() <= 1);
            }
            drop(stdout);
            let ended = child.wait_with_output().unwrap();
            let stderr = String::from_utf8(ended.stderr).unwrap();
            assert_eq!(ended.status.code(), expected, "{words:?}: {stderr}");
            let complains = stderr.contains("panicked") || stderr.contains("error:");
            assert!(!complains, "{words:?}: {stderr}");
        }
    }
}

/// With names of their own for what they make.
fn with(words: &[String], suffix: &str) -> Vec<String> {
    let makes = |word: &String| {
        let made = ["run-", "init-", "export-"];
        made.iter().any(|prefix| word.starts_with(prefix))
    };
    let renamed = words.iter().map(|word| {
        if makes(word) {
            format!("{word}-{suffix}")
        } else {
            word.clone()
        }
    });
    renamed.collect()
}

#[test]
fn off_a_terminal_no_verb_uses_colour_whatever_the_environment_asks_for() {
    let _took = took("colour off a terminal");
    let scene = Scene::new();
    for (words, _) in scene.verbs(2) {
        let mut nepho = scene.nepho(&words);
        for name in ["CLICOLOR_FORCE", "CLICOLOR", "FORCE_COLOR"] {
            nepho.env(name, "1");
        }
        let said = said(nepho.arg("-v"));
        let all = said.stdout + &said.stderr;
        assert!(!all.contains('\u{1b}'), "{words:?}: {all}");
    }
    // What is wrong is not coloured either, and neither is what clap says.
    for words in [
        &["validate", "nowhere.yaml"][..],
        &["runs", "--nonsense"],
        &["explain", "N9999"],
    ] {
        let said = said(scene.site.nepho(words).env("CLICOLOR_FORCE", "1"));
        assert!(said.stderr.contains("error:"), "{words:?}: {}", said.stderr);
        assert!(
            !said.stderr.contains('\u{1b}'),
            "{words:?}: {}",
            said.stderr
        );
    }
    // Who asks for it gets it: this test can fail.
    let report = scene.site.ask(&["report", &scene.run, "--color", "always"]);
    assert!(report.stdout.contains('\u{1b}'));
    let help = scene.site.ask(&["--help", "--color", "always"]);
    assert!(help.stdout.contains('\u{1b}'));
}

#[test]
fn on_a_terminal_no_color_is_honoured() {
    let _took = took("NO_COLOR");
    let Some(script) = exists("script") else {
        skip(
            "on_a_terminal_no_color_is_honoured",
            "there is no `script` to make a terminal",
        );
        return;
    };
    let scene = Scene::new();
    let seen = |words: &str, environment: &[(&str, &str)]| {
        let line = format!("{} {words}", program("nepho").display());
        let mut command = clean(Command::new(&script));
        command
            .args(["-qec", &line, "/dev/null"])
            .current_dir(scene.site.dir());
        command.env_remove("NO_COLOR").env("TERM", "xterm");
        command.envs(environment.iter().copied());
        said(&mut command).stdout
    };
    for words in ["report --from out", "help", "validate nowhere.yaml"] {
        assert!(
            seen(words, &[]).contains("\u{1b}["),
            "{words} has colour on a terminal"
        );
        assert!(
            seen(words, &[("NO_COLOR", "")]).contains("\u{1b}["),
            "an empty one says nothing"
        );
        for none in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let text = seen(words, &[none]);
            assert!(!text.contains("\u{1b}["), "{words} {none:?}: {text:?}");
        }
        let text = seen(&format!("{words} --color never"), &[]);
        assert!(!text.contains("\u{1b}["), "{words} --color never: {text:?}");
    }
}

#[test]
fn data_is_on_stdout_in_every_format_and_talk_is_on_stderr() {
    let _took = took("data and talk");
    let scene = Scene::new();
    let mut forms = Forms::default();
    for (nth, format) in ["json", "ndjson"].into_iter().enumerate() {
        for (words, takes) in scene.verbs(3 + nth) {
            if takes == Takes::Nothing {
                continue;
            }
            let mut nepho = scene.nepho(&words);
            let said = said(nepho.args(["-o", format, "--quiet"]));
            let code = said.code;
            assert!(
                code == Some(0) || is_doctor(&words),
                "{words:?}: {code:?} {}",
                said.stderr
            );
            assert_eq!(said.stderr, "", "{words:?}: it is to be quiet");
            let documents: Vec<Value> = match format {
                "json" => vec![parse(&words, &said.stdout)],
                _ => said
                    .stdout
                    .lines()
                    .map(|line| parse(&words, line))
                    .collect(),
            };
            let none_is_fine = words == ["status"];
            assert!(
                !documents.is_empty() || none_is_fine,
                "{words:?} says nothing"
            );
            for document in documents {
                let schema = document["schema"].as_str().unwrap_or_default();
                let name = schema
                    .strip_prefix("nepho.")
                    .and_then(|name| name.strip_suffix("/v1"));
                let name = name.unwrap_or_else(|| panic!("{words:?} -o {format}: {document}"));
                forms.hold(&scene.site, name, &document);
            }
        }
    }
}

#[test]
fn what_changes_something_answers_in_a_published_form_too() {
    let _took = took("answers of verbs that change something");
    let scene = Scene::new();
    let mut forms = Forms::default();
    let begun = || scene.site.ask(&["run", "s.yaml", "--detach"]).with(0);
    let broken = scene.site.dir().join("broken.yaml");
    std::fs::write(broken, "api: nepho/v1\nnam: s\n").unwrap();
    for (format, end) in [("json", "stop"), ("ndjson", "abort")] {
        let run = begun();
        for (name, code, words) in [
            ("stopping", 0, [end, run.trim()].as_slice()),
            ("diagnostics", 3, &["validate", "broken.yaml"]),
        ] {
            let words: Vec<_> = words.iter().copied().chain(["-o", format]).collect();
            let answer = scene.site.ask(&words).with(code);
            forms.hold(&scene.site, name, &parse(&[name.to_owned()], &answer));
        }
        let ended = scene.site.ask(&["status", run.trim(), "--wait", "--quiet"]);
        assert_ne!(ended.code, Some(0), "what was ended early did not pass");
    }
    for format in ["json", "ndjson"] {
        let answer = scene
            .site
            .ask(&["agents", "revoke", "a-1", "-o", format])
            .with(0);
        forms.hold(&scene.site, "revoked", &parse(&[], &answer));
    }
}

/// The published schemas, made strict: a key that they don't name is a difference too.
#[derive(Default)]
struct Forms(BTreeMap<String, Value>);

impl Forms {
    fn hold(&mut self, site: &Site, name: &str, document: &Value) {
        let form = self.0.entry(name.to_owned()).or_insert_with(|| {
            let printed = site.ask(&["schema", name]).with(0);
            strict(serde_json::from_str(&printed).unwrap())
        });
        let validator = jsonschema::draft7::new(form).unwrap();
        let wrong = |document: &Value| -> Vec<String> {
            let errors = validator.iter_errors(document);
            errors
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect()
        };
        assert_eq!(wrong(document), [""; 0], "nepho.{name}/v1: {document:#}");
        // A form that holds anything would show nothing.
        for key in document.as_object().unwrap().keys() {
            let mut other = document.clone();
            other[key] = serde_json::json!({"no": ["such", "thing"]});
            assert!(
                !wrong(&other).is_empty(),
                "nepho.{name}/v1 takes anything for {key}"
            );
        }
    }
}

fn strict(mut form: Value) -> Value {
    match &mut form {
        Value::Object(map) => {
            for (_, inner) in map.iter_mut() {
                *inner = strict(inner.take());
            }
            if map.contains_key("properties") && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| *item = strict(item.take())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    form
}

fn parse(words: &[String], text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{words:?}: {error}: {text}"))
}
