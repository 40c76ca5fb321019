//! The report of an hour: forty services in each of three environments, each asked once a second from
//! all three, and gauges every ten seconds. From records to a page.

use std::{collections::BTreeMap, time::Instant};

use nepho_common::{
    control::Host,
    event::{Event, RunEnd, StageEnd, StartOrder, What},
    histogram::Histogram,
    id::{AgentId, Attempt, InstanceId, Operation, RunId, Seq, SpoolId},
    journal::{Body, FORMAT, Record, RecordKey, RecordKind, Seal},
    plan::{
        Act, Check, Dimension, Expectation, Judge, Plan, PlannedAgent, PlannedInstance,
        PlannedPath, PlannedStage, PlannedStep, Probe, Quantile, Route, TcpCheck, Window,
    },
    recording::{Exhibit, Gauge, Metric, Outcome, Recording, Series, Unit},
    time::{ClockEpoch, ClockOffset, Interval, Mono, Nanos, RunTime, WallMillis},
};
use nepho_controller::scribe;
use nepho_controller_core::report::render::{Lang, html, json, markdown};
use nepho_proto::journal;

use crate::table::{Table, kept, spread};

const ENVIRONMENTS: [&str; 3] = ["local", "tencent", "aliyun"];
const SERVICES: u64 = 40;
const HOUR: Nanos = Nanos::from_secs(3_600);
/// As agents close their recordings.
const EVERY: u64 = 10;
/// What the promise says of the page.
const PAGE_MAX: usize = 3_000_000;

pub(crate) fn measure(repetitions: usize) {
    let mut table = Table::new();
    let records = records();
    let bytes: usize = records.iter().map(|record| record.payload.len()).sum();
    let samples = SERVICES * 3 * 3 * 3_600;
    let (mut folds, mut pages) = (Vec::new(), Vec::new());
    let mut sizes = (0, 0, 0, 0);
    for _ in 0..repetitions {
        let again = records.clone();
        let begin = Instant::now();
        let report = scribe::refold(again);
        folds.push(begin.elapsed().as_secs_f64());
        let seen: u64 = report.agents.iter().map(|agent| agent.samples).sum();
        assert_eq!(seen, samples, "nothing is lost in folding");
        let charts = report.charts.as_ref().unwrap();
        assert_eq!(charts.plots.len(), 9);
        assert!(!charts.gauges.is_empty());
        let begin = Instant::now();
        let page = html::render(&report, Lang::En);
        pages.push(begin.elapsed().as_secs_f64());
        let chinese = html::render(&report, Lang::ZhCn);
        let text = markdown::render(&report, Lang::En);
        sizes = (
            page.len(),
            chinese.len(),
            text.len(),
            json::render(&report).len(),
        );
    }
    let what = format!(
        "full refold of {} records ({:.1} MiB), {samples} samples",
        records.len(),
        bytes as f64 / f64::from(1 << 20)
    );
    let promise = "≤ 1 s from roll-ups, which there are none of yet";
    table.row(&what, promise, spread(&folds, "s", 2));
    table.row("the page from the report", "", spread(&pages, "s", 3));
    let largest = sizes.0.max(sizes.1);
    let figure = format!(
        "{:.2} MB in English, {:.2} MB in Chinese: {}",
        sizes.0 as f64 / 1e6,
        sizes.1 as f64 / 1e6,
        kept(largest <= PAGE_MAX)
    );
    table.row("size of the HTML", "≤ 3 MB", figure);
    let figure = format!(
        "{:.2} MB and {:.2} MB",
        sizes.2 as f64 / 1e6,
        sizes.3 as f64 / 1e6
    );
    table.row("size of Markdown and JSON", "", figure);
    table.print(
        "The report of 40 services in each of 3 environments, asked from all three for 1 h \
         (`scripts/bench report`)",
    );
}

fn agent(environment: &str) -> AgentId {
    format!("agent-{environment}").parse().unwrap()
}

fn text(text: &str) -> Operation {
    text.to_owned().try_into().unwrap()
}

fn plan() -> Plan {
    let instances: Vec<InstanceId> = ENVIRONMENTS
        .iter()
        .flat_map(|there| {
            (0..SERVICES).map(move |n| format!("{there}/service-{n:02}/1").parse().unwrap())
        })
        .collect();
    let path = |from: &str, to: &InstanceId, n: u64| PlannedPath {
        agent: agent(from),
        to: to.clone(),
        operation: text("connect"),
        route: Route::Ask {
            check: Check::Tcp(TcpCheck {
                host: "127.0.0.1".to_owned(),
                port: 1_024,
                ..TcpCheck::default()
            }),
            offset: Nanos(n * 1_000_000),
        },
    };
    let paths = ENVIRONMENTS.iter().flat_map(|from| {
        let numbered = instances.iter().zip(0..);
        numbered.map(move |(to, n)| path(from, to, n))
    });
    let expectation = |judge, by: &[Dimension]| Expectation {
        on: "reach".parse().unwrap(),
        judge,
        by: by.to_vec(),
        during: Window::Stage,
        gate: true,
    };
    let by = [Dimension::From, Dimension::Environment, Dimension::Service];
    let latency = Judge::Latency {
        quantile: Quantile::P50,
        max: Some(Nanos::from_millis(60)),
        min: None,
    };
    let planned = |name: &&str| PlannedAgent {
        environment: name.parse().unwrap(),
        features: ["probe.tcp".parse().unwrap()].into(),
    };
    Plan {
        schema: Plan::SCHEMA.to_owned(),
        scenario: "an-hour".parse().unwrap(),
        title: "an hour".to_owned(),
        seed: 1,
        keep_going: false,
        lost_agent: nepho_common::plan::LostAgent::default(),
        files: BTreeMap::new(),
        agents: ENVIRONMENTS
            .iter()
            .map(|name| (agent(name), planned(name)))
            .collect(),
        stages: vec![PlannedStage {
            name: "steady".parse().unwrap(),
            after: Vec::new(),
            lasts: HOUR,
            steps: vec![PlannedStep {
                name: "reach".parse().unwrap(),
                act: Act::Probe(Probe {
                    every: Nanos::from_secs(1),
                    timeout: Nanos::from_secs(2),
                    to: paths.collect(),
                }),
            }],
            expectations: vec![
                expectation(
                    Judge::Failures {
                        max: 0,
                        confidence: None,
                    },
                    &by,
                ),
                expectation(latency, &by[..2]),
            ],
        }],
        instances: instances
            .iter()
            .map(|to| (to.clone(), PlannedInstance { group: None }))
            .collect(),
    }
}

/// Who writes.
struct Author {
    agent: AgentId,
    seq: u64,
    records: Vec<Record>,
}

impl Author {
    fn new(agent: AgentId) -> Self {
        Self {
            agent,
            seq: 0,
            records: Vec::new(),
        }
    }

    fn write(&mut self, body: &Body) {
        let run: RunId = "20261123-000000-0000".parse().unwrap();
        self.seq += 1;
        self.records.push(Record {
            format: FORMAT,
            kind: body.kind(),
            version: journal::version(body.kind()),
            key: RecordKey {
                agent: self.agent.clone(),
                spool: SpoolId::new([7; 16]),
                seq: Seq(self.seq),
            },
            payload: journal::payload(&run, Attempt(1), body),
            run,
        });
    }

    fn say(&mut self, at: Mono, what: What) {
        self.write(&Body::Events(vec![Event {
            at,
            epoch: ClockEpoch(0),
            wall: WallMillis(1_795_393_620_000),
            what,
        }]));
    }
}

fn host(name: &str) -> Host {
    Host {
        name: name.to_owned(),
        os: "Linux".to_owned(),
        kernel: "6".to_owned(),
        arch: "x86_64".to_owned(),
        cpus: 2,
        memory: 4 << 30,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

const START: Mono = Mono(10_000_000_000);

fn records() -> Vec<Record> {
    let plan = plan();
    let mut all = controller(&plan);
    for environment in ENVIRONMENTS {
        all.extend(hour(&plan, environment));
    }
    all
}

fn controller(plan: &Plan) -> Vec<Record> {
    let mut author = Author::new(AgentId::controller());
    let exhibit = Exhibit::new(text("plan"), plan.canonical()).unwrap();
    author.write(&Body::Exhibits(vec![exhibit]));
    let started = What::RunStarted {
        plan: plan.id(),
        host: host("control"),
    };
    author.say(Mono(1), started);
    for environment in ENVIRONMENTS {
        let joined = What::AgentJoined {
            agent: agent(environment),
            environment: environment.parse().unwrap(),
            host: host(environment),
            features: vec!["probe.tcp".parse().unwrap()],
        };
        author.say(Mono(2), joined);
    }
    let order = StartOrder {
        at: START,
        offset: ClockOffset {
            lo: -40_000,
            hi: 40_000,
        },
        round_trip: Nanos(80_000),
        measured: None,
    };
    let ordered = What::StageOrdered {
        stage: "steady".parse().unwrap(),
        at_run: RunTime(0),
        at: START,
        agents: ENVIRONMENTS.map(|name| (agent(name), order)).into(),
    };
    author.say(Mono(START.0 - 1_000_000_000), ordered);
    let how = RunEnd::Completed;
    author.say(START.plus(HOUR), What::RunEnded { how });
    author.records
}

/// Everything that one agent writes.
fn hour(plan: &Plan, environment: &str) -> Vec<Record> {
    let mut author = Author::new(agent(environment));
    let stage = &plan.stages[0];
    let started = What::StageStarted {
        stage: stage.name.clone(),
        planned: START,
        actual: START.plus(Nanos(100_000)),
    };
    author.say(START, started);
    let mut samples: BTreeMap<Series, u64> = BTreeMap::new();
    for part in 0..HOUR.0 / 1_000_000_000 / EVERY {
        let recordings = recordings(plan, environment, part);
        for recording in &recordings {
            *samples.entry(recording.series.clone()).or_default() += recording.histogram.count();
        }
        for some in journal::fit(recordings) {
            author.write(&Body::Recordings(some));
        }
        author.write(&Body::Gauges(gauges(plan, environment, part)));
    }
    let end = START.plus(HOUR);
    let ended = What::StageEnded {
        stage: stage.name.clone(),
        at: RunTime(0).plus(HOUR),
        how: StageEnd::Completed,
    };
    author.say(end, ended);
    let mut counts: BTreeMap<RecordKind, u64> = BTreeMap::new();
    for record in &author.records {
        *counts.entry(record.kind).or_default() += 1;
    }
    author.write(&Body::Seal(Seal {
        stage: stage.name.clone(),
        records: counts,
        samples,
        from: None,
    }));
    author.records
}

/// Ten seconds: near ones take 1 to 2 ms, far ones 15 to 45, with a tail of ten times as much; in the
/// middle of the hour one service of each environment refuses for a while.
fn recordings(plan: &Plan, environment: &str, part: u64) -> Vec<Recording> {
    let stage = &plan.stages[0];
    let mine = stage.steps[0]
        .act
        .to()
        .iter()
        .filter(|path| path.agent == agent(environment));
    let interval = Interval {
        from: RunTime(0).plus(Nanos::from_secs(EVERY * part)),
        to: RunTime(0).plus(Nanos::from_secs(EVERY * (part + 1))),
    };
    let mut all = Vec::new();
    for (path, number) in mine.zip(0u64..) {
        let near = path.to.environment.as_str() == environment;
        let base = if near {
            1e6
        } else {
            15e6 + (number % 3) as f64 * 10e6
        };
        let refuses = (150..170).contains(&part) && number % SERVICES == 7;
        let outcome = if refuses {
            Outcome::Refused
        } else {
            Outcome::Success
        };
        let metrics = [
            (Metric::ResponseTime, 1.0),
            (Metric::ServiceTime, 0.99),
            (Metric::SendLag, 0.005),
        ];
        for (metric, share) in metrics {
            let mut histogram = Histogram::default();
            for n in 0..EVERY {
                // Golden-ratio steps: evenly spread without randomness.
                let step = (part * EVERY + n) * 7 + number + 1;
                let at = (step as f64 * 0.618_033_988_749_895).fract();
                let tail = if at > 0.99 { 10.0 } else { 1.0 };
                histogram.record(Nanos((base * (1.0 + at) * tail * share) as u64));
            }
            let series = Series {
                run: "20261123-000000-0000".parse().unwrap(),
                attempt: Attempt(1),
                stage: stage.name.clone(),
                step: stage.steps[0].name.clone(),
                operation: path.operation.clone(),
                from: environment.parse().unwrap(),
                agent: path.agent.clone(),
                to: path.to.clone(),
                outcome,
                metric,
            };
            all.push(Recording {
                series,
                interval,
                histogram,
            });
        }
    }
    all
}

/// Two of the host, and one of each service in its environment.
fn gauges(plan: &Plan, environment: &str, part: u64) -> Vec<Gauge> {
    let stage = &plan.stages[0];
    let gauge = |name: &str, of: Option<&InstanceId>, value: f64, unit| Gauge {
        name: text(name),
        stage: stage.name.clone(),
        step: stage.steps[0].name.clone(),
        of: of.cloned(),
        thing: None,
        at: RunTime(0).plus(Nanos::from_secs(EVERY * part)),
        value,
        unit,
    };
    let wave = (part % 30) as f64 / 30.0;
    let here = plan
        .instances
        .keys()
        .filter(|to| to.environment.as_str() == environment);
    let rss = here.map(|to| gauge("process.rss", Some(to), 5e7 * (1.0 + wave), Unit::Bytes));
    let own = [
        gauge("host.cpu", None, wave, Unit::Ratio),
        gauge("host.memory", None, 2e9 + 1e9 * wave, Unit::Bytes),
    ];
    own.into_iter().chain(rss).collect()
}
