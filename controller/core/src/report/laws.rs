//! What must hold of every report, whatever the journal.

use nepho_common::{
    control::StopMode,
    event::{RunEnd, StageEnd, Subject, What},
    id::{AgentId, Attempt, Seq},
    journal::{Body, Entry},
    recording::{Exhibit, Outcome, Trace},
    symptom::{Listener, Symptom},
    time::RunTime,
};
use proptest::prelude::*;

use super::{
    exit_code,
    fixture::{
        Ask, Author, agent, controller, ended, eventful, find, good, has, is_recording, journal,
        of, plan, text, told, told_by, unread,
    },
    model::{Code, Report, Verdict},
    render::{Lang, json, markdown, terminal},
    report,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn neither_order_nor_repetition_changes_a_byte(
        order in Just(eventful()).prop_shuffle(), again in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let expected = json::render(&of(eventful()));
        let mut entries = order;
        for index in again {
            entries.push(index.get(&entries).clone());
        }
        prop_assert_eq!(json::render(&of(entries)), expected);
    }

    #[test]
    fn what_was_witnessed_is_told_alike_in_any_order(
        order in Just(evident()).prop_shuffle(), again in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let expected = json::render(&of(evident()));
        let mut entries = order;
        for index in again {
            entries.push(index.get(&entries).clone());
        }
        prop_assert_eq!(json::render(&of(entries)), expected);
    }

    #[test]
    fn a_conflict_is_settled_alike_in_any_order(order in Just(contested()).prop_shuffle()) {
        let expected = of(contested());
        prop_assert!(has(&expected, Code::Conflict));
        prop_assert_eq!(json::render(&of(order)), json::render(&expected));
    }

    #[test]
    fn with_any_records_lost_no_finding_turns_into_a_pass_and_everything_renders(
        keep in prop::collection::vec(any::<bool>(), 64),
    ) {
        let all = eventful();
        let whole = of(all.clone());
        let some = all.into_iter().zip(keep.into_iter().chain(std::iter::repeat(true)));
        let part = of(some.filter(|(_, keep)| *keep).map(|(entry, _)| entry).collect());
        for finding in part.findings.iter().filter(|finding| finding.verdict == Verdict::Pass) {
            let before = whole.findings.iter().find(|before| before.id == finding.id).unwrap();
            prop_assert_eq!(before.verdict, Verdict::Pass, "{}", finding.id);
        }
        render_all(&part);
    }
}

/// [`eventful`] with what two processes of an agent saw of a target that fails: each its own first
/// symptom, what the target said of itself, and traces that overlap.
fn evident() -> Vec<Entry> {
    let subject = || Subject {
        stage: "hybrid".parse().unwrap(),
        step: "reach".parse().unwrap(),
        to: "tencent/dao-api/1".parse().unwrap(),
    };
    let mut entries = eventful();
    for (process, at) in [(98, 3_000), (99, 5_000)] {
        let mut author = Author::new(agent("local"), process);
        for program in ["shop", "mysqld"] {
            let listener = Listener {
                port: 3307,
                program: Some(program.to_owned()),
            };
            author.say(What::SymptomSeen {
                of: subject(),
                at: RunTime(at),
                outcome: Outcome::Refused,
                symptom: Symptom {
                    address: Some("127.0.2.1:8303".parse().unwrap()),
                    listeners: Some(vec![listener]),
                    ..Symptom::default()
                },
            });
            author.say(What::FactSeen {
                of: subject(),
                at: RunTime(at),
                name: text("version"),
                value: text(program),
            });
        }
        let Subject { stage, step, to } = subject();
        let mut trace = Trace {
            stage,
            step,
            operation: text("GET /health"),
            to,
            back_end: None,
            runs: Vec::new(),
            connections: 0,
            truncated: 0,
        };
        for n in 0..6 {
            trace.push(RunTime(at + n * 1_000), Outcome::Refused);
        }
        author.write(Body::Traces(vec![trace]));
        entries.extend(author.entries);
    }
    entries
}

#[test]
fn what_was_witnessed_changes_what_is_said_and_no_verdict() {
    let (with, without) = (of(evident()), of(eventful()));
    let verdicts = |report: &Report| -> Vec<_> {
        let all = report.findings.iter();
        all.map(|one| (one.id.clone(), one.verdict)).collect()
    };
    assert_eq!(verdicts(&with), verdicts(&without));
    assert_ne!(
        with.findings, without.findings,
        "or the law above holds of nothing"
    );
}

/// A journal in which a record of each author exists with two contents.
fn contested() -> Vec<Entry> {
    let mut entries = eventful();
    let mut forged: Vec<_> = entries
        .iter()
        .filter(|entry| entry.key.seq.0 == 2)
        .cloned()
        .collect();
    forged
        .iter_mut()
        .for_each(|entry| entry.body = Body::Gauges(Vec::new()));
    entries.append(&mut forged);
    entries
}

fn render_all(report: &Report) {
    let text = json::render(report);
    let back: Report = serde_json::from_str(&text).unwrap();
    assert_eq!(back, *report);
    assert!(!markdown::render(report, Lang::En).is_empty());
    assert!(!terminal::render(report, Lang::En, terminal::Colour::None).is_empty());
}

#[test]
fn an_empty_journal_is_an_error_in_every_format() {
    let empty = of(Vec::new());
    assert_eq!((empty.verdict, exit_code(&empty)), (Verdict::Error, 1));
    assert!(has(&empty, Code::NoStart));
    render_all(&empty);
}

#[test]
fn a_run_in_which_all_is_well_passes_without_a_doubt_but_the_missing_path() {
    let report = of(journal(&plan(), good));
    assert!(report.doubts.iter().all(|doubt| doubt.code == Code::NoPath));
    // mysql has no declared address from the clouds.
    let not_run: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.verdict != Verdict::Pass)
        .map(|finding| (finding.id.as_str(), finding.verdict))
        .collect();
    assert_eq!(
        not_run,
        [
            ("hybrid/reach/failures/aliyun/local/mysql", Verdict::NotRun),
            ("hybrid/reach/failures/tencent/local/mysql", Verdict::NotRun),
        ]
    );
    assert_eq!(exit_code(&report), 11);
}

#[test]
fn no_data_is_never_a_pass() {
    let silent = of(journal(&plan(), |_| None));
    assert!(
        silent
            .findings
            .iter()
            .all(|finding| finding.verdict != Verdict::Pass)
    );
    let nobody = of(controller(&plan(), Some(RunEnd::Completed)));
    assert!(
        nobody
            .findings
            .iter()
            .all(|finding| finding.verdict != Verdict::Pass)
    );
    assert_eq!(nobody.findings.len(), silent.findings.len());
}

#[test]
fn every_finding_that_is_not_a_pass_says_why_and_what_to_do() {
    for report in [
        of(eventful()),
        of(journal(&plan(), |_| None)),
        of(controller(&plan(), None)),
    ] {
        for finding in &report.findings {
            let open = finding.verdict != Verdict::Pass;
            assert_eq!(finding.cause.is_some(), open, "{}", finding.id);
            assert_eq!(finding.remedy.is_some(), open, "{}", finding.id);
            assert_eq!(finding.priority.is_some(), open, "{}", finding.id);
        }
    }
}

#[test]
fn a_plan_that_is_missing_or_forged_is_our_error() {
    let mut without = journal(&plan(), good);
    without.retain(|entry| !matches!(entry.body, Body::Exhibits(_)));
    let mut forged = without.clone();
    let mut author = Author::new(agent("local"), 50);
    let exhibit = Exhibit::new(text("plan"), plan().canonical()).unwrap();
    author.write(Body::Exhibits(vec![exhibit.clone()]));
    forged.extend(author.entries);
    let mut broken = without.clone();
    let mut author = Author::new(AgentId::controller(), 51);
    author.write(Body::Exhibits(vec![Exhibit {
        content: b"{}".to_vec(),
        ..exhibit
    }]));
    broken.extend(author.entries);
    for entries in [without, forged, broken] {
        let report = of(entries);
        assert_eq!(report.verdict, Verdict::Error);
        assert!(has(&report, Code::NoPlan));
        render_all(&report);
    }
}

#[test]
fn an_agent_speaks_for_itself_only() {
    let planned = plan();
    let refused = |ask: &Ask<'_>| match ask.from {
        "tencent" => ended(Outcome::Refused, 1),
        _ => good(ask),
    };
    let honest = of(journal(&planned, refused));
    let mut entries = journal(&planned, refused);
    // The agent of aliyun writes successes in the name of tencent, and of steps that are not its.
    let mut forger = Author::new(agent("aliyun"), 3);
    for entry in journal(&planned, good) {
        let tencent = is_recording(&entry, "tencent", "hybrid");
        if tencent || is_recording(&entry, "local", "local") {
            forger.write(entry.body);
        }
    }
    forger
        .entries
        .iter_mut()
        .for_each(|entry| entry.key.seq.0 += 1_000);
    forger.say(What::RunEnded {
        how: RunEnd::Completed,
    });
    entries.extend(forger.entries);
    let report = of(entries);
    assert!(has(&report, Code::NotItsOwn));
    for finding in &honest.findings {
        let now = find(&report, &finding.id);
        assert!(now.verdict >= finding.verdict, "{}", finding.id);
        assert_eq!(now.observed, finding.observed, "{}", finding.id);
    }
}

#[test]
fn what_contradicts_its_seal_does_not_pass() {
    let mut entries = journal(&plan(), good);
    for entry in &mut entries {
        if let Body::Seal(seal) = &mut entry.body
            && entry.key.agent == agent("local")
        {
            seal.samples.values_mut().take(1).for_each(|n| *n += 1);
        }
    }
    let report = of(entries);
    let found = find(&report, "local/reach/failures/gateway");
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(found.cause.as_ref().unwrap().contains("not what it sealed"));
    assert!(has(&report, Code::SealDiffers));
}

#[test]
fn a_seal_that_is_missing_is_doubted_but_complete_counts_stand() {
    let mut entries = journal(&plan(), good);
    entries.retain(|entry| !matches!(entry.body, Body::Seal(_)));
    let report = of(entries);
    assert!(has(&report, Code::NoSeal));
    assert!(report.agents.iter().all(|agent| agent.sealed.is_empty()));
    assert_eq!(
        find(&report, "local/reach/failures/gateway").verdict,
        Verdict::Pass
    );
}

#[test]
fn more_than_was_planned_is_nothing_to_trust() {
    let mut entries = journal(&plan(), good);
    let mut twice = Author::new(agent("local"), 77);
    for entry in entries
        .iter()
        .filter(|entry| is_recording(entry, "local", "local"))
    {
        twice.write(entry.body.clone());
    }
    entries.extend(twice.entries);
    let report = of(entries);
    assert!(has(&report, Code::TooMany));
    assert_eq!(
        find(&report, "local/reach/failures/gateway").verdict,
        Verdict::Inconclusive
    );
}

#[test]
fn one_unreadable_record_held_twice_is_one_doubt() {
    let refused = |times: usize| vec![unread("bad kind"); times];
    assert_eq!(
        report(eventful(), refused(1)),
        report(eventful(), refused(3))
    );
}

#[test]
fn what_an_agent_says_after_its_seal_does_not_contradict_it() {
    let mut entries = journal(&plan(), good);
    let mut late = Author::new(agent("local"), 1);
    late.say(What::StageEnded {
        stage: "local".parse().unwrap(),
        at: RunTime(6_000_000_000),
        how: StageEnd::Completed,
    });
    late.entries[0].key.seq.0 = 900;
    entries.extend(late.entries);
    assert!(!has(&of(entries), Code::SealDiffers));
}

#[test]
fn colour_changes_nothing_but_colour() {
    let report = of(eventful());
    let plain = terminal::render(&report, Lang::En, terminal::Colour::None);
    let mut coloured = terminal::render(&report, Lang::En, terminal::Colour::Ansi);
    assert_ne!(coloured, plain);
    for code in ["32", "31", "33", "2", "0"] {
        coloured = coloured.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(coloured, plain);
}

#[test]
fn records_of_another_try_are_left_out() {
    let mut entries = journal(&plan(), good);
    let mut earlier: Vec<_> = journal(&plan(), |_| ended(Outcome::Refused, 1))
        .into_iter()
        .filter(|entry| !entry.key.agent.is_controller())
        .collect();
    for entry in &mut earlier {
        entry.attempt = Attempt(7);
        entry.key.seq.0 += 500;
    }
    let before = of(entries.clone());
    entries.extend(earlier);
    let report = of(entries);
    assert!(has(&report, Code::OtherRun));
    assert_eq!(report.findings, before.findings);
}

#[test]
fn records_that_an_agent_lost_are_told_with_who_and_which() {
    let mut entries = eventful();
    assert!(!has(&of(entries.clone()), Code::Gap));
    // One record stands in the place of each.
    for (seq, lost) in [(99, 7), (100, 8), (101, 9), (102, 20)] {
        let (from, to) = (Seq(lost), Seq(lost));
        let mut told = told_by(agent("local"), What::Gap { from, to });
        told.iter_mut().for_each(|entry| entry.key.seq = Seq(seq));
        entries.extend(told);
    }
    let report = of(entries);
    let doubt = report
        .doubts
        .iter()
        .find(|doubt| doubt.code == Code::Gap)
        .unwrap();
    assert_eq!(doubt.about, agent("local").as_str());
    let ranges = "records 7 to 9, 20 to 20:";
    assert!(doubt.text.contains(ranges), "{}", doubt.text);
    assert!(markdown::render(&report, Lang::En).contains("records 7 to 9"));
}

#[test]
fn hostile_text_is_harmless_in_every_format() {
    let mut entries = eventful();
    let evil = "<script>|`[x](javascript:1)\u{1b}]52;c;x\u{7}\r\n# owned\u{202e}\u{9b}31m";
    entries.extend(told(What::StopRequested {
        mode: StopMode::Stop,
        by: evil.to_owned(),
    }));
    let report = report(entries, [unread(&evil.repeat(10_000))]);
    let page = markdown::render(&report, Lang::En);
    assert!(!page.contains("<script>") && !page.contains("\n# owned") && !page.contains("[x](j"));
    let json = json::render(&report);
    let screen = terminal::render(&report, Lang::En, terminal::Colour::None);
    for text in [&page, &json, &screen] {
        assert!(!text.chars().any(|c| c != '\n' && steers(c)));
    }
    assert!(page.len() < 100_000 && screen.len() < 50_000);
    render_all(&report);
}

fn steers(c: char) -> bool {
    c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)
}
