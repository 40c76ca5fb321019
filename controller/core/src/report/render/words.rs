//! What all renderers say alike. Everything returned is raw: the caller escapes it.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    control::Host,
    id::AgentId,
    recording::Outcome,
    time::{Nanos, RunTime},
};

use super::{
    super::{
        model::{
            AgentReport, Conditions, Counts, Doubt, Evidence, Figures, Finding, LoadReport,
            LostSpan, Priority, Report, Spread, StartQuality, Verdict,
        },
        said::Said,
    },
    catalogue::Say,
    lang::Lang,
};

/// How a request ended, in every language.
pub(in crate::report) fn outcome(outcome: Outcome) -> Said {
    let word = |lang: Lang| lang.say(&Say::Outcome(outcome));
    Said::new(word(Lang::En), word(Lang::ZhCn))
}

/// The heads of a table of loads.
pub(super) const LOAD_HEADS: [Say<'static>; 8] = [
    Say::StageStep,
    Say::SentHead,
    Say::PerSecondHead,
    Say::ResponseHead,
    Say::WithFailuresHead,
    Say::ServiceHead,
    Say::LagHead,
    Say::GeneratorHead,
];

/// The rows below them.
pub(super) fn loads(lang: Lang, report: &Report) -> Vec<Vec<String>> {
    let time = |time: Option<Nanos>| time.map_or_else(|| "–".to_owned(), |time| time.to_string());
    let row = |load: &LoadReport| {
        let Spread { p50, p99, max, .. } = load.response_ns;
        let service = [load.service_ns.p50, load.service_ns.p99].map(time);
        let with_failures = match load.with_failures_ns.p99 {
            None if load.failed > 0 => lang.say(&Say::Never),
            time_of => time(time_of),
        };
        let core = Say::CoreAndGap(load.busiest_core_ppm / 10_000, load.longest_gap_ns);
        let compared = load.lanes_ns.zip(load.reference_ns);
        let compared = compared.map(|(lanes, reference)| Say::LanesAndReference(lanes, reference));
        let spin = load.spin_ns.map(Say::SpinsFor);
        let generator: Vec<_> = [core].into_iter().chain(spin).chain(compared).collect();
        let generator: Vec<_> = generator.iter().map(|one| lang.say(one)).collect();
        vec![
            format!("{} / {}", load.stage, load.step),
            lang.say(&Say::SentOf(load.sent, load.offered)),
            load.per_second().to_string(),
            lang.phrases(&[p50, p99, max].map(time)),
            with_failures,
            lang.phrases(&service),
            time(load.send_lag_ns.p99),
            lang.phrases(&generator),
        ]
    };
    report.loads.iter().map(row).collect()
}

/// `PASS`, with the mark that goes before it.
pub(super) const fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Fail => "✗",
        Verdict::Inconclusive => "?",
        Verdict::NotRun => "–",
        Verdict::Error => "!",
    }
}

/// `12 passed, 1 failed, 2 not run`.
pub(super) fn counts(lang: Lang, counts: &Counts) -> String {
    let said: Vec<_> = by_verdict(counts)
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, verdict)| lang.say(&Say::Count(n, verdict)))
        .collect();
    if said.is_empty() {
        lang.say(&Say::NoFindings)
    } else {
        lang.phrases(&said)
    }
}

/// The worst first.
pub(super) const fn by_verdict(counts: &Counts) -> [(u64, Verdict); 5] {
    [
        (counts.error, Verdict::Error),
        (counts.fail, Verdict::Fail),
        (counts.inconclusive, Verdict::Inconclusive),
        (counts.not_run, Verdict::NotRun),
        (counts.pass, Verdict::Pass),
    ]
}

/// What the run is called.
pub(super) fn name(lang: Lang, report: &Report) -> String {
    let title = report.conditions.title.as_deref();
    let scenario = report.scenario.as_ref().map(|name| name.as_str());
    let name = title.or(scenario).map(ToOwned::to_owned);
    name.unwrap_or_else(|| lang.say(&Say::NoPlan))
}

/// `run r-1`, `scenario x`, when it began and ended.
pub(super) fn facts(lang: Lang, report: &Report) -> Vec<String> {
    let Report {
        run,
        scenario,
        conditions,
        ..
    } = report;
    let all = [
        Some(match run {
            Some(run) => Say::Run(run.as_str()),
            None => Say::UnknownRun,
        }),
        scenario.as_ref().map(|name| Say::Scenario(name.as_str())),
        conditions.began.as_deref().map(Say::BeganAt),
        conditions.ended.as_deref().map(Say::EndedAt),
    ];
    all.iter().flatten().map(|one| lang.say(one)).collect()
}

/// What late results made of the report; nothing of its first revision.
pub(super) fn revised(lang: Lang, report: &Report) -> Option<String> {
    let revision = report.revision.as_ref().filter(|one| one.number > 1)?;
    Some(lang.say(&Say::Revised {
        number: revision.number,
        late: &late(lang, &revision.late),
        said: revision.was,
        closed: revision.closed,
    }))
}

/// Agents with late records that are named; a whole fleet may come back at once.
const LATE_NAMED: usize = 8;

/// `3 records of a`, or `5 records (3 of a, 2 of b)`.
fn late(lang: Lang, late: &BTreeMap<AgentId, u64>) -> String {
    let all: u64 = late.values().sum();
    if let [(agent, _)] = late.iter().collect::<Vec<_>>()[..] {
        return lang.say(&Say::LateRecordsOf(all, agent.as_str()));
    }
    let named = late.iter().take(LATE_NAMED);
    let of = |(agent, n): (&AgentId, &u64)| lang.say(&Say::LateOf(*n, agent.as_str()));
    let mut named: Vec<_> = named.map(of).collect();
    if late.len() > LATE_NAMED {
        named.push(lang.say(&Say::LateOthers(late.len() - LATE_NAMED)));
    }
    lang.say(&Say::LateRecords(all, &lang.list(&named)))
}

/// The doubts that alone keep the run from passing.
pub(super) fn deciding(report: &Report) -> impl Iterator<Item = &Doubt> {
    let decides = |doubt: &&Doubt| doubt.code.at_best() > Verdict::Pass;
    report.doubts.iter().filter(decides)
}

/// Findings that did not pass, the most urgent first.
pub(super) fn urgent(report: &Report) -> Vec<&Finding> {
    let open = report
        .findings
        .iter()
        .filter(|finding| finding.verdict != Verdict::Pass);
    let mut open: Vec<_> = open.collect();
    open.sort_by_key(|finding| (finding.priority, std::cmp::Reverse(finding.verdict)));
    open
}

/// Findings that differ in nothing but where, as all of a skipped stage: the first, and the others.
pub(super) fn alike<'a>(
    findings: impl IntoIterator<Item = &'a Finding>,
) -> Vec<(&'a Finding, Vec<&'a Finding>)> {
    let mut told: Vec<(&Finding, Vec<&Finding>)> = Vec::new();
    for finding in findings {
        let same = told.iter_mut().find(|(first, _)| {
            (&first.stage, first.verdict, &first.cause)
                == (&finding.stage, finding.verdict, &finding.cause)
        });
        match same {
            Some((_, more)) => more.push(finding),
            None => told.push((finding, Vec::new())),
        }
    }
    told
}

/// With no more findings than this that did not pass, a reader sees at once what to do.
const SEEN_AT_ONCE: usize = 5;

/// So many things to do are listed.
pub(super) const MEND_MAX: usize = 20;

/// One thing to do about findings that did not pass.
#[derive(Debug)]
pub(super) struct ToMend<'a> {
    pub(super) remedy: &'a str,
    pub(super) priority: Option<Priority>,
    /// How many findings it is the remedy of.
    pub(super) findings: usize,
}

/// What is to be done, the most urgent first, when there are fewer things to do than findings that
/// say so: one fault is found from many places.
pub(super) fn to_mend(report: &Report) -> Vec<ToMend<'_>> {
    let open = urgent(report);
    let mut all: Vec<ToMend<'_>> = Vec::new();
    for finding in &open {
        let Some(remedy) = finding.remedy.as_deref() else {
            continue;
        };
        match all.iter_mut().find(|one| one.remedy == remedy) {
            Some(one) => one.findings += 1,
            None => all.push(ToMend {
                remedy,
                priority: finding.priority,
                findings: 1,
            }),
        }
    }
    all.sort_by_key(|one| (one.priority, std::cmp::Reverse(one.findings)));
    if open.len() <= SEEN_AT_ONCE || all.len() == open.len() {
        all.clear();
    }
    all
}

/// Run time, with `0s` for the start.
pub(super) fn at(time: RunTime) -> String {
    if time == RunTime(0) {
        "0s".to_owned()
    } else {
        time.to_string()
    }
}

/// `15ms`, `no path`, `3 of 40 failed, 15ms`: a cell of the matrix.
pub(super) fn cell(lang: Lang, figures: &Figures) -> String {
    if figures.planned == 0 {
        return match figures.no_path {
            0 => String::new(),
            _ => lang.say(&Say::NoPath),
        };
    }
    let mut said = Vec::new();
    if figures.failures > 0 {
        said.push(lang.say(&Say::FailedOf(figures.failures, figures.requests)));
    }
    let missing = figures.planned.saturating_sub(figures.requests);
    if missing > 0 {
        said.push(lang.say(&Say::MissingOf(missing)));
    }
    if let Some(p50) = figures.p50_ns {
        said.push(p50.to_string());
    }
    lang.phrases(&said)
}

/// Whether everything went well there.
pub(super) const fn is_clean(figures: &Figures) -> bool {
    figures.failures == 0 && figures.no_path == 0 && figures.requests >= figures.planned
}

/// `+120µs ± 40µs`.
pub(super) fn start(lang: Lang, start: &StartQuality) -> String {
    let sign = if start.late_ns < 0 { "-" } else { "+" };
    let late = format!("{sign}{}", Nanos(start.late_ns.unsigned_abs()));
    lang.say(&match (start.bound_ns, start.exchanged_ns) {
        (Some(bound), Some(alone)) => Say::StartNarrowed(&late, bound, alone),
        (Some(bound), None) => Say::StartWithin(&late, bound),
        (None, _) => Say::StartUnbound(&late),
    })
}

/// `12s to 27s (15s)`.
pub(super) fn lost(lang: Lang, span: &LostSpan) -> String {
    lang.say(&match span.to_ns {
        Some(to) => Say::LostBetween {
            from: span.from_ns,
            to,
            restarted: span.restarted,
        },
        None => Say::LostToTheEnd(span.from_ns),
    })
}

/// What is missing of an agent, for how long; empty when nothing is.
pub(super) fn gaps(lang: Lang, agent: &AgentReport) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(why) = &agent.refused {
        said.push(lang.say(&Say::Refused(why)));
    }
    let spans = agent.lost.iter();
    said.extend(spans.map(|span| lang.say(&Say::Lost(&lost(lang, span)))));
    for missing in &agent.missing {
        said.push(lang.say(&Say::RequestsMissing {
            missing: missing.requests,
            planned: missing.planned,
            stage: missing.stage.as_str(),
            why: &missing.why,
        }));
    }
    said
}

/// What a doubt concerns.
pub(super) fn about(lang: Lang, doubt: &Doubt) -> String {
    if doubt.about.is_empty() {
        lang.say(&Say::AboutTheRun)
    } else {
        doubt.about.clone()
    }
}

/// `3 to 9 in spool 01010101 (4 of them)`.
pub(super) fn place(lang: Lang, evidence: &Evidence) -> String {
    let spool: String = evidence.spool.to_string().chars().take(8).collect();
    let (from, to) = (evidence.from.0, evidence.to.0);
    lang.say(&if from == to {
        Say::RecordIn(from, &spool)
    } else {
        Say::RecordsIn(from, to, &spool, evidence.records)
    })
}

/// Plan, end, clocks and files, a sentence each.
pub(super) fn conditions(lang: Lang, conditions: &Conditions) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(plan) = conditions.plan {
        said.push(lang.say(&Say::Plan(&plan.0.short())));
    }
    if let Some(end) = &conditions.end {
        said.push(lang.say(&Say::TheRun(end)));
    }
    if let Some(worst) = &conditions.worst_start {
        said.push(lang.say(&Say::WorstStart {
            agent: worst.agent.as_str(),
            stage: worst.stage.as_str(),
            start: &start(lang, worst),
        }));
    }
    for (agent, clock) in &conditions.clocks {
        said.push(lang.say(&Say::WallClock {
            agent: agent.as_str(),
            kept: clock.synchronised,
            within: clock.max_error,
        }));
    }
    for (name, digest) in &conditions.files {
        let scenario = lang.say(&Say::ScenarioFile);
        let name = if name.is_empty() { &scenario } else { name };
        said.push(lang.say(&Say::File(name, &digest.short())));
    }
    said
}

/// Who, host, system, size, version.
pub(super) fn hosts(lang: Lang, conditions: &Conditions) -> Vec<Vec<String>> {
    let hosts = conditions.hosts.iter();
    let hosts = hosts.map(|(agent, host)| (agent.to_string(), host));
    let controller = conditions.controller.iter();
    let controller = controller.map(|host| (lang.say(&Say::Controller), host));
    let row = |(who, host): (String, &Host)| {
        let system = [&host.os, &host.kernel, &host.arch];
        vec![
            who,
            host.name.clone(),
            lang.list(&system),
            lang.say(&Say::HostSize(host.cpus, host.memory >> 20)),
            host.version.clone(),
        ]
    };
    controller.chain(hosts).map(row).collect()
}

/// The findings, those of one expectation together.
pub(super) fn expectations(report: &Report) -> Vec<Vec<&Finding>> {
    let mut all: Vec<Vec<&Finding>> = Vec::new();
    for finding in &report.findings {
        let same = |of: &&mut Vec<&Finding>| {
            of.first().is_some_and(|first| {
                (&first.stage, &first.step, &first.kind, &first.expected.text)
                    == (
                        &finding.stage,
                        &finding.step,
                        &finding.kind,
                        &finding.expected.text,
                    )
            })
        };
        match all.last_mut().filter(same) {
            Some(of) => of.push(finding),
            None => all.push(vec![finding]),
        }
    }
    all
}

/// What was seen of one expectation, in a few words.
pub(super) fn seen(lang: Lang, findings: &[&Finding]) -> String {
    match findings {
        [only] => only.observed.text.clone(),
        several => lang.say(&Say::SeveralFindings(several.len())),
    }
}

/// Who measured for any of these.
pub(super) fn measurers<'a>(findings: &[&'a Finding]) -> Vec<&'a str> {
    let all = findings.iter().flat_map(|finding| &finding.agents);
    let all: BTreeSet<_> = all.map(|agent| agent.as_str()).collect();
    all.into_iter().collect()
}
