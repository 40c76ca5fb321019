//! A plan of three environments and a journal of it, for tests. What targets answer is an argument.

pub(super) mod load;

use std::{collections::BTreeMap, sync::Arc};

use nepho_common::{
    control::Host,
    event::{Event, RunEnd, StageEnd, StartOrder, What},
    histogram::Histogram,
    id::{AgentId, Attempt, InstanceId, Operation, Seq, SpoolId, StageName},
    journal::{Body, Entry, RecordKey, RecordKind, Seal},
    plan::{
        Act, Check, Dimension, Expectation, HttpCheck, Judge, Plan, PlannedAgent, PlannedInstance,
        PlannedPath, PlannedStage, PlannedStep, Probe, Quantile, Ratio, Route, TcpCheck, Window,
    },
    recording::{Exhibit, Metric, Outcome, Recording, Series},
    time::{ClockEpoch, ClockOffset, Interval, Mono, Nanos, RunTime, WallMillis},
};

use super::{
    Unread, chinese,
    model::{Code, Finding, Report},
    render::Lang,
    report, report_in,
};

pub(super) const ENVIRONMENTS: [&str; 3] = ["local", "tencent", "aliyun"];
/// Address, group, instance.
const SERVICES: [(&str, Option<&str>, &str); 6] = [
    ("127.0.1.1:8303", Some("blockchain"), "local/dao-api/1"),
    ("127.0.1.1:9091", Some("cluster-manager"), "local/gateway/1"),
    ("127.0.1.1:3307", None, "local/mysql/1"),
    ("127.0.2.1:8303", Some("blockchain"), "tencent/dao-api/1"),
    ("127.0.2.1:7500", Some("loomacrm"), "tencent/crm/1"),
    ("127.0.3.1:8303", Some("blockchain"), "aliyun/dao-api/1"),
];

pub(super) fn text(text: &str) -> Operation {
    text.to_owned().try_into().unwrap()
}

pub(super) fn agent(environment: &str) -> AgentId {
    format!("agent-{environment}").parse().unwrap()
}

fn expectation(judge: Judge, by: &[Dimension]) -> Expectation {
    Expectation {
        on: "reach".parse().unwrap(),
        judge,
        by: by.to_vec(),
        during: Window::Baseline,
        gate: true,
    }
}

fn path(from: &str, place: u64, service: (&str, Option<&str>, &str)) -> PlannedPath {
    let (address, _, to) = service;
    let tcp = to.contains("mysql");
    let check = if tcp {
        let (host, port) = address.split_once(':').unwrap();
        Check::Tcp(TcpCheck {
            host: host.to_owned(),
            port: port.parse().unwrap(),
            ..TcpCheck::default()
        })
    } else {
        Check::Http(HttpCheck {
            url: format!("http://{address}/health"),
            method: "GET".to_owned(),
            headers: Vec::new(),
            status: [200].into(),
            ..HttpCheck::default()
        })
    };
    let route = if tcp && from != "local" {
        Route::NoPath
    } else {
        let offset = Nanos::from_millis(100 * place);
        Route::Ask { check, offset }
    };
    PlannedPath {
        agent: agent(from),
        to: to.parse().unwrap(),
        operation: text(if tcp { "connect" } else { "GET /health" }),
        route,
    }
}

fn stage(name: &str, secs: u64, from: &[&str], expectations: Vec<Expectation>) -> PlannedStage {
    let near = |to: &str| from.len() > 1 || to.starts_with(from[0]);
    let services: Vec<_> = SERVICES
        .into_iter()
        .filter(|service| near(service.2))
        .collect();
    let paths = |from: &&str| {
        let from = (*from).to_owned();
        let numbered = (0..).zip(services.clone());
        numbered.map(move |(place, service)| path(&from, place, service))
    };
    PlannedStage {
        name: name.parse().unwrap(),
        after: Vec::new(),
        lasts: Nanos::from_secs(secs),
        steps: vec![PlannedStep {
            name: "reach".parse().unwrap(),
            act: Act::Probe(Probe {
                every: Nanos::from_secs(1),
                timeout: Nanos::from_secs(2),
                to: from.iter().flat_map(paths).collect(),
            }),
        }],
        expectations,
        abort_if: Vec::new(),
    }
}

/// Stage `local` of 6 s within one environment, stage `hybrid` of 10 s from everywhere.
pub(super) fn plan() -> Plan {
    let failures = Judge::Failures {
        max: 0,
        confidence: None,
    };
    let rate = Judge::SuccessRate {
        min: Ratio(900_000),
        confidence: None,
    };
    let latency = Judge::Latency {
        quantile: Quantile::P50,
        max: Some(Nanos::from_millis(50)),
        min: None,
    };
    let by = [Dimension::From, Dimension::Environment, Dimension::Service];
    let stages = vec![
        stage(
            "local",
            6,
            &["local"],
            vec![expectation(failures.clone(), &[Dimension::Service])],
        ),
        stage(
            "hybrid",
            10,
            &ENVIRONMENTS,
            vec![
                expectation(failures, &by),
                expectation(rate, &[]),
                expectation(latency, &by[..2]),
            ],
        ),
    ];
    let planned = |environment: &str| PlannedAgent {
        environment: environment.parse().unwrap(),
        features: ["probe.http".parse().unwrap()].into(),
    };
    Plan {
        schema: Plan::SCHEMA.to_owned(),
        scenario: "three-environments".parse().unwrap(),
        title: "三环境集群测试".to_owned(),
        seed: 7,
        keep_going: false,
        lost_agent: nepho_common::plan::LostAgent::default(),
        files: BTreeMap::new(),
        agents: ENVIRONMENTS.map(|name| (agent(name), planned(name))).into(),
        instances: SERVICES
            .map(|(_, group, to)| {
                let group = group.map(|group| group.parse().unwrap());
                (to.parse().unwrap(), PlannedInstance { group })
            })
            .into(),
        stages,
    }
}

/// One request.
pub(super) struct Ask<'a> {
    pub(super) stage: &'a str,
    pub(super) from: &'a str,
    pub(super) to: &'a InstanceId,
    /// Which of its path, from 0.
    pub(super) n: u64,
}

impl Ask<'_> {
    pub(super) fn is(&self, from: &str, to: &str) -> bool {
        self.from == from && self.to.to_string() == to
    }
}

/// How one request ended.
#[derive(Clone, Copy)]
pub(super) struct Reply {
    pub(super) outcome: Outcome,
    pub(super) service: Nanos,
    pub(super) lag: Nanos,
}

pub(super) fn ended(outcome: Outcome, millis: u64) -> Option<Reply> {
    Some(Reply {
        outcome,
        service: Nanos::from_millis(millis),
        lag: Nanos(50_000),
    })
}

/// A success after as long as the distance takes.
pub(super) fn good(ask: &Ask<'_>) -> Option<Reply> {
    let there = ask.to.environment.as_str();
    let far = match (ask.from, there) {
        (a, b) if a == b => 1,
        ("aliyun", _) | (_, "aliyun") => 30,
        _ => 15,
    };
    ended(Outcome::Success, far + ask.n % 3)
}

/// Who writes records.
pub(super) struct Author {
    agent: AgentId,
    spool: SpoolId,
    seq: Seq,
    pub(super) entries: Vec<Entry>,
}

impl Author {
    pub(super) fn new(agent: AgentId, spool: u8) -> Self {
        Self {
            agent,
            spool: SpoolId::new([spool; 16]),
            seq: Seq(0),
            entries: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, body: Body) {
        self.seq = self.seq.next();
        self.entries.push(Entry {
            key: RecordKey {
                agent: self.agent.clone(),
                spool: self.spool,
                seq: self.seq,
            },
            run: "r-1".parse().unwrap(),
            attempt: Attempt(1),
            body,
        });
    }

    pub(super) fn say(&mut self, what: What) {
        self.say_at(Mono(self.seq.0), what);
    }

    pub(super) fn say_at(&mut self, at: Mono, what: What) {
        let passed = i64::try_from(at.0 / 1_000_000).unwrap();
        self.write(Body::Events(vec![Event {
            at,
            epoch: ClockEpoch(0),
            wall: WallMillis(1_795_393_620_000 + passed),
            what,
        }]));
    }
}

pub(super) fn host(name: &str) -> Host {
    Host {
        name: name.to_owned(),
        os: "Debian 13".to_owned(),
        kernel: "6.12.1".to_owned(),
        arch: "x86_64".to_owned(),
        cpus: 2,
        memory: 4 << 30,
        version: "0.1.0".to_owned(),
    }
}

/// An instant of the run on everybody's clock, which began long before.
pub(super) fn on_clocks(at: RunTime) -> Mono {
    Mono(10_000_000_000).shifted(at.0)
}

/// When a stage of the fixture starts, in run time.
fn start_of(plan: &Plan, stage: &StageName) -> RunTime {
    let mut at = RunTime(0);
    for planned in plan
        .stages
        .iter()
        .take_while(|planned| planned.name != *stage)
    {
        at = at.plus(planned.lasts).plus(Nanos::from_secs(4));
    }
    at
}

/// A whole run in which targets answer so; `None` is a request of which nothing was recorded.
pub(super) fn journal(plan: &Plan, answer: impl Fn(&Ask<'_>) -> Option<Reply>) -> Vec<Entry> {
    let mut entries = controller(plan, Some(RunEnd::Completed));
    for (number, environment) in (1..).zip(ENVIRONMENTS) {
        let mut author = Author::new(agent(environment), number);
        for stage in &plan.stages {
            measure(plan, stage, environment, &mut author, &answer);
        }
        entries.extend(author.entries);
    }
    entries
}

/// What the controller writes of a run in which every stage was begun.
pub(super) fn controller(plan: &Plan, end: Option<RunEnd>) -> Vec<Entry> {
    let mut author = Author::new(AgentId::controller(), 0);
    let exhibit = Exhibit::new(text("plan"), plan.canonical()).unwrap();
    author.write(Body::Exhibits(vec![exhibit]));
    author.say(What::RunStarted {
        plan: plan.id(),
        host: host("control"),
    });
    for environment in ENVIRONMENTS {
        author.say(What::AgentJoined {
            agent: agent(environment),
            environment: environment.parse().unwrap(),
            host: host(environment),
            features: vec!["probe.http".parse().unwrap()],
        });
    }
    for stage in &plan.stages {
        let at_run = start_of(plan, &stage.name);
        let at = on_clocks(at_run);
        let order = StartOrder {
            at,
            offset: ClockOffset {
                lo: -40_000,
                hi: 40_000,
            },
            round_trip: Nanos(80_000),
            measured: None,
        };
        let ordered = What::StageOrdered {
            stage: stage.name.clone(),
            at_run,
            at,
            agents: ENVIRONMENTS.map(|name| (agent(name), order)).into(),
        };
        author.say_at(at.shifted(-1_000_000_000), ordered);
        author.say(What::StageCollected {
            stage: stage.name.clone(),
            missing: Vec::new(),
        });
    }
    if let Some(how) = end {
        author.say(What::RunEnded { how });
    }
    author.entries
}

fn measure(
    plan: &Plan,
    stage: &PlannedStage,
    environment: &str,
    author: &mut Author,
    answer: &impl Fn(&Ask<'_>) -> Option<Reply>,
) {
    let began = author.entries.len();
    let start = start_of(plan, &stage.name);
    let planned = on_clocks(start);
    let actual = planned.plus(Nanos(120_000));
    let started = What::StageStarted {
        stage: stage.name.clone(),
        planned,
        actual,
    };
    author.say_at(actual, started);
    let probe = stage.steps[0].act.probe().unwrap();
    // As agents do, but never less than two recordings.
    let parts = (stage.lasts.0 / Nanos::from_secs(10).0).max(2);
    let length = Nanos(stage.lasts.0 / parts);
    let mut samples: BTreeMap<Series, u64> = BTreeMap::new();
    for part in 0..parts {
        let mut series: BTreeMap<Series, Histogram> = BTreeMap::new();
        for path in probe
            .to
            .iter()
            .filter(|path| path.agent == agent(environment))
        {
            let Route::Ask { offset, .. } = &path.route else {
                continue;
            };
            for n in 0..probe.requests(*offset, stage.lasts) {
                let at = offset.0 + n * probe.every.0;
                let here = (at / length.0).min(parts - 1) == part;
                let ask = Ask {
                    stage: stage.name.as_str(),
                    from: environment,
                    to: &path.to,
                    n,
                };
                let Some(reply) = answer(&ask).filter(|_| here) else {
                    continue;
                };
                let values = [
                    (Metric::ResponseTime, Nanos(reply.service.0 + reply.lag.0)),
                    (Metric::ServiceTime, reply.service),
                    (Metric::SendLag, reply.lag),
                ];
                for (metric, value) in values {
                    let series_of = series_of(stage, environment, path, reply.outcome, metric);
                    series.entry(series_of).or_default().record(value);
                }
            }
        }
        let interval = Interval {
            from: start.plus(Nanos(length.0 * part)),
            to: start.plus(Nanos(length.0 * (part + 1))),
        };
        for (series, histogram) in &series {
            *samples.entry(series.clone()).or_default() += histogram.count();
        }
        let recording = |(series, histogram)| Recording {
            series: Arc::new(series),
            interval,
            histogram,
        };
        author.write(Body::Recordings(
            series.into_iter().map(recording).collect(),
        ));
    }
    let end = start.plus(stage.lasts);
    let ended = What::StageEnded {
        stage: stage.name.clone(),
        at: end,
        how: StageEnd::Completed,
    };
    author.say_at(on_clocks(end), ended);
    seal(author, stage, began, samples);
}

/// What an author wrote of a stage from its nth record on.
fn seal(author: &mut Author, stage: &PlannedStage, began: usize, samples: BTreeMap<Series, u64>) {
    let mut records: BTreeMap<RecordKind, u64> = BTreeMap::new();
    for entry in &author.entries[began..] {
        let speaks = match &entry.body {
            Body::Recordings(all) => !all.is_empty(),
            _ => true,
        };
        *records.entry(entry.body.kind()).or_default() += u64::from(speaks);
    }
    author.write(Body::Seal(Seal {
        stage: stage.name.clone(),
        records,
        samples,
        from: None,
    }));
}

fn series_of(
    stage: &PlannedStage,
    environment: &str,
    path: &PlannedPath,
    outcome: Outcome,
    metric: Metric,
) -> Series {
    Series {
        run: "r-1".parse().unwrap(),
        attempt: Attempt(1),
        stage: stage.name.clone(),
        step: stage.steps[0].name.clone(),
        operation: path.operation.clone(),
        from: environment.parse().unwrap(),
        agent: path.agent.clone(),
        to: path.to.clone(),
        outcome,
        metric,
    }
}

/// Recordings of one author, by its environment, in a stage.
pub(super) fn is_recording(entry: &Entry, environment: &str, stage: &str) -> bool {
    entry.key.agent == agent(environment)
        && match &entry.body {
            Body::Recordings(all) => all.iter().any(|one| one.series.stage.as_str() == stage),
            _ => false,
        }
}

/// The last record of the agent that is lost: the first half of its second stage.
const LAST_HEARD: u64 = 7;

/// A run with something of everything: a target that refuses, missing answers, a lost agent.
pub(super) fn eventful() -> Vec<Entry> {
    let mut entries = whole();
    entries.retain(|entry| !is_late(entry));
    entries
}

/// Of [`eventful`] with everything that the lost agent wrote after it was last heard of.
pub(super) fn whole() -> Vec<Entry> {
    let mut entries = journal(&plan(), |ask| {
        if ask.is("local", "tencent/dao-api/1") {
            return ended(Outcome::Refused, 1);
        }
        if ask.is("tencent", "aliyun/dao-api/1") && ask.n > 6 {
            return None;
        }
        good(ask)
    });
    let mut author = Author::new(AgentId::controller(), 99);
    author.say(What::AgentLost {
        agent: agent("aliyun"),
        last_heard: RunTime(12_000_000_000),
        at: RunTime(27_000_000_000),
    });
    entries.extend(author.entries);
    entries
}

/// A record of `agent-local` that could not be read.
pub(super) fn unread(why: &str) -> Unread {
    let key = RecordKey {
        agent: agent("local"),
        spool: SpoolId::new([9; 16]),
        seq: Seq(9),
    };
    let why = why.to_owned();
    Unread { key, why }
}

pub(super) fn is_late(entry: &Entry) -> bool {
    entry.key.agent == agent("aliyun") && entry.key.seq.0 > LAST_HEARD
}

pub(super) fn of(entries: Vec<Entry>) -> Report {
    let report = report(entries.clone(), Vec::new());
    chinese::says_the_same(&report, &report_in(Lang::ZhCn, entries, Vec::new()));
    report
}

pub(super) fn find<'a>(report: &'a Report, id: &str) -> &'a Finding {
    let found = report.findings.iter().find(|finding| finding.id == id);
    found.unwrap_or_else(|| panic!("no finding {id} in {:#?}", ids(report)))
}

pub(super) fn ids(report: &Report) -> Vec<&str> {
    report
        .findings
        .iter()
        .map(|finding| finding.id.as_str())
        .collect()
}

pub(super) fn has(report: &Report, code: Code) -> bool {
    report.doubts.iter().any(|doubt| doubt.code == code)
}

pub(super) fn told(what: What) -> Vec<Entry> {
    told_by(AgentId::controller(), what)
}

pub(super) fn told_by(author: AgentId, what: What) -> Vec<Entry> {
    let mut author = Author::new(author, 99);
    author.say(what);
    author.entries
}
