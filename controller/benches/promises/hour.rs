//! The journal of a run in which every service of three environments is asked from all three once a
//! second, and gauges are read every ten seconds.

use std::{collections::BTreeMap, sync::Arc};

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
use nepho_proto::journal;

const ENVIRONMENTS: [&str; 3] = ["local", "tencent", "aliyun"];
/// As agents close their recordings.
const EVERY: u64 = 10;

/// The run.
pub(crate) fn run() -> RunId {
    "20261123-000000-0000".parse().unwrap()
}

/// Every record of it, the controller's first.
pub(crate) fn records(services: u64, lasts: Nanos) -> Vec<Record> {
    let plan = plan(services, lasts);
    let mut all = controller(&plan);
    for environment in ENVIRONMENTS {
        all.extend(hour(&plan, environment));
    }
    all
}

fn agent(environment: &str) -> AgentId {
    format!("agent-{environment}").parse().unwrap()
}

fn text(text: &str) -> Operation {
    text.to_owned().try_into().unwrap()
}

fn plan(services: u64, lasts: Nanos) -> Plan {
    let instances: Vec<InstanceId> = ENVIRONMENTS
        .iter()
        .flat_map(|there| {
            (0..services).map(move |n| format!("{there}/service-{n:02}/1").parse().unwrap())
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
            lasts,
            steps: vec![PlannedStep {
                name: "reach".parse().unwrap(),
                act: Act::Probe(Probe {
                    every: Nanos::from_secs(1),
                    timeout: Nanos::from_secs(2),
                    to: paths.collect(),
                }),
            }],
            abort_if: Vec::new(),
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
        let run = run();
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
    author.say(START.plus(plan.stages[0].lasts), What::RunEnded { how });
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
    for part in 0..stage.lasts.0 / 1_000_000_000 / EVERY {
        let recordings = recordings(plan, environment, part);
        for recording in &recordings {
            *samples
                .entry(recording.series.as_ref().clone())
                .or_default() += recording.histogram.count();
        }
        for some in journal::fit(recordings) {
            author.write(&Body::Recordings(some));
        }
        author.write(&Body::Gauges(gauges(plan, environment, part)));
    }
    let end = START.plus(plan.stages[0].lasts);
    let ended = What::StageEnded {
        stage: stage.name.clone(),
        at: RunTime(0).plus(stage.lasts),
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
    let services = plan.instances.len() as u64 / 3;
    let mut all = Vec::new();
    for (path, number) in mine.zip(0u64..) {
        let near = path.to.environment.as_str() == environment;
        let base = if near {
            1e6
        } else {
            15e6 + (number % 3) as f64 * 10e6
        };
        let refuses = (50..70).contains(&part) && number % services == services / 2;
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
                run: run(),
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
                series: Arc::new(series),
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
