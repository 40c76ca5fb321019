//! A Chinese report has no sentence in English, and says the same as the English one.

use super::{
    fixture::{eventful, unread},
    model::Report,
    render::{Lang, github, html, junit, markdown, terminal},
    report, report_in,
};

/// As many words one after another are a sentence; fewer may be names.
const SENTENCE: usize = 3;

/// English words of ours one after another. What stands between quotes was said by somebody else, and
/// what stands between backticks is code.
fn english(text: &str) -> Option<String> {
    let ours = without(&without(text, '“', '”'), '`', '`');
    let mut run: Vec<&str> = Vec::new();
    // Whatever is not ASCII ends a run, and words need no space before it.
    let apart = ours.replace(|c: char| !c.is_ascii(), " / ");
    for word in apart.split([' ', '\n']) {
        let bare = word.trim_matches(['.', ',', ';', ':', '(', ')']);
        // What has a digit, a dash or a slash is an id.
        if !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_alphabetic() || b == b'\'') {
            run.push(word);
        } else {
            run.clear();
        }
        if run.len() >= SENTENCE {
            return Some(run.join(" "));
        }
    }
    None
}

/// The text without what stands between these two.
fn without(text: &str, opens: char, closes: char) -> String {
    let mut left = String::new();
    let mut rest = text;
    while let Some((before, quoted)) = rest.split_once(opens) {
        left.push_str(before);
        left.push('…');
        rest = quoted.split_once(closes).map_or("", |(_, after)| after);
    }
    left + rest
}

/// What is said in words in a report of the model.
fn words(report: &mut Report) -> Vec<&mut String> {
    let mut all = Vec::new();
    for finding in &mut report.findings {
        all.extend([&mut finding.expected.text, &mut finding.observed.text]);
        all.extend(finding.uncertainty.as_mut().map(|known| &mut known.text));
        all.extend(finding.cause.as_mut());
        all.extend(finding.remedy.as_mut());
    }
    all.extend(report.doubts.iter_mut().map(|doubt| &mut doubt.text));
    all.extend(
        report
            .stages
            .iter_mut()
            .filter_map(|stage| stage.skipped.as_mut()),
    );
    for agent in &mut report.agents {
        all.extend(agent.refused.as_mut());
        all.extend(agent.missing.iter_mut().map(|missing| &mut missing.why));
    }
    all.extend(report.conditions.end.as_mut());
    all
}

/// Asked of every report that a test makes.
pub(super) fn says_the_same(english_one: &Report, chinese_one: &Report) {
    let (mut ours, mut theirs) = (english_one.clone(), chinese_one.clone());
    for text in words(&mut theirs) {
        assert_eq!(english(text), None, "in a Chinese report: {text}");
        text.clear();
    }
    words(&mut ours).into_iter().for_each(String::clear);
    assert_eq!(ours, theirs, "languages differ in words alone");
}

/// A page without its markup: each tag, attribute and text by itself.
fn shown(page: &str) -> String {
    let mut page = page.to_owned();
    for (opens, closes) in [("<style", "</style>"), ("<pre", "</pre>")] {
        while let Some((before, rest)) = page.split_once(opens) {
            let after = rest.split_once(closes).map_or("", |(_, after)| after);
            page = format!("{before}{after}");
        }
    }
    page.replace(['<', '>', '"', '='], " | ")
}

#[test]
fn a_chinese_report_holds_no_sentence_in_english_in_any_form() {
    let lang = Lang::ZhCn;
    let report = report_in(lang, eventful(), [unread("kind: 12 is unknown")]);
    for (form, text) in [
        (
            "text",
            terminal::render(&report, lang, terminal::Colour::None),
        ),
        ("md", markdown::render(&report, lang)),
        ("github", github::summary(&report, lang)),
        ("annotations", github::annotations(&report, lang)),
        ("junit", shown(&junit::render(&report, lang))),
        ("html", shown(&html::render(&report, lang))),
    ] {
        assert_eq!(english(&text), None, "in {form}");
    }
}

#[test]
fn a_sentence_in_english_is_found() {
    for planted in [
        "原因：Nothing listens at http://127.0.2.1:8303/health。",
        "探针 a 失联，and it was restarted",
        "lost from 12s on and never heard of again",
    ] {
        assert!(english(planted).is_some(), "{planted}");
    }
    for fine in [
        "http://127.0.2.1:8303/health 无人监听。local → tencent/dao-api/1：10 次中失败 10 次",
        "对 GET /health 应答 404，它的说法是：“the db is down”。",
        "请用 `nepho agents ls` 查看",
        "TLS 握手失败",
    ] {
        assert_eq!(english(fine), None);
    }
    // Through a whole report, in each of its forms.
    let lang = Lang::ZhCn;
    let mut planted = report_in(lang, eventful(), []);
    let open = planted.findings.iter_mut().find(|one| one.cause.is_some());
    open.unwrap().cause = Some("Nothing listens there at all.".to_owned());
    assert!(english(&markdown::render(&planted, lang)).is_some());
    assert!(english(&shown(&html::render(&planted, lang))).is_some());
    assert!(english(&shown(&junit::render(&planted, lang))).is_some());
    // And what was folded in English is found when it is written in Chinese.
    let english_one = report(eventful(), []);
    assert!(english(&markdown::render(&english_one, lang)).is_some());
}
