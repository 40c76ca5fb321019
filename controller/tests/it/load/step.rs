//! A load of a scenario, sent by several agents: what they send together is the schedule, and what
//! they measured together is what one of them would have.

use std::collections::BTreeMap;

use nepho_agent_core::{pace::Pace, recorder::Recorder};
use nepho_common::{
    event::What,
    histogram::Histogram,
    id::{Attempt, Fence, RunKey},
    journal::{Body, Entry},
    load::{Counted, Counts, Timed},
    plan::{
        Act, AssignedStage, AssignedStep, Call, Carried, Check, HttpCheck, Load, Model, Plan, Rate,
        Schedule, Share, Stripe, Target,
    },
    recording::{Metric, Outcome},
    time::{Mono, Nanos, RunTime},
};
use nepho_controller_core::report::Verdict;

use super::Light;
use crate::{
    found::{events, journal, report},
    process::took,
    site::{Place, Site},
};

const AGENTS: [(&str, &str); 3] = [("a-1", "a"), ("b-1", "b"), ("c-1", "c")];

fn fleet(targets: &[(&str, &Light)]) -> String {
    let mut text = "api: nepho/v1\nenvironments: {a: {}, b: {}, c: {}}\nservices:\n".to_owned();
    for (name, light) in targets {
        let address = light.url.trim_end_matches('/');
        text.push_str(&format!(
            "  - {{name: {name}, environment: a, http: {{health: /}}, address: {{default: \"{address}\"}}}}\n"
        ));
    }
    text
}

const SCENARIO: &str = "api: nepho/v1
name: union
fleet: fleet.yaml
stages:
  - name: one
    lasts: 10s
    steps:
      even: {load: {open: {rate: 300/s, arrivals: constant}, to: {service: [even]}, requests: [{get: /}]}}
      chance: {load: {open: {rate: 300/s, warm-up: 2s}, to: {service: [chance]}, requests: [{get: /}]}}
    expect:
      - {on: even, failures: {max: 0}}
      - {on: even, latency: {p90: {max: 1s}}, by: [from]}
      - {on: chance, latency: {p90: {max: 1s}}, during: baseline}
";

/// Lets an agent send load.
pub(super) fn allow(site: &Site, agent: &str) {
    let path = site.data(agent).join("policy.yaml");
    let policy = std::fs::read_to_string(&path).unwrap();
    assert!(policy.contains("probe.http"), "{policy}");
    let policy = policy.replacen("probe.http", "load.http, probe.http", 1);
    std::fs::write(&path, policy).unwrap();
}

/// The plan of a run, and when its only stage began on this host's clock.
pub(super) fn planned(journal: &[Entry]) -> (Plan, Mono) {
    let bodies = journal.iter().map(|entry| &entry.body);
    let mut exhibits = bodies.filter_map(|body| match body {
        Body::Exhibits(all) => all.iter().find(|one| one.name.as_str() == "plan"),
        _ => None,
    });
    let plan = serde_json::from_slice(&exhibits.next().unwrap().content).unwrap();
    let ordered = events(journal, "controller").into_iter();
    let mut ordered = ordered.filter_map(|event| match event {
        What::StageOrdered { at, .. } => Some(*at),
        _ => None,
    });
    (plan, ordered.next().unwrap())
}

/// The instants of a step's whole schedule, on this host's clock.
fn due(plan: &Plan, step: &str, began: Mono) -> Vec<u64> {
    let mut steps = plan.stages[0].steps.iter();
    let step = steps.find(|one| one.name.as_str() == step).unwrap();
    let Model::Open { schedule, seed } = &step.act.load().unwrap().model else {
        panic!("an open load");
    };
    let pace = Pace::new(schedule, *seed, Stripe::WHOLE).unwrap();
    pace.map(|arrival| began.0 + arrival.at.0).collect()
}

/// By how much each request came after it was due: the nth one that came was the nth one due.
fn late(came: &[u64], due: &[u64]) -> Vec<i64> {
    let pairs = came.iter().zip(due);
    pairs
        .map(|(came, due)| *came as i64 - *due as i64)
        .collect()
}

#[test]
fn three_agents_together_send_the_schedule_and_none_alone_does() {
    let _took = took("three agents");
    let site = Site::start();
    let dir = site.dir();
    let lights = ["even", "chance"].map(|name| {
        let own = dir.join(name);
        std::fs::create_dir(&own).unwrap();
        Light::start(&own, &[])
    });
    let [even, chance] = &lights;
    std::fs::write(
        dir.join("fleet.yaml"),
        fleet(&[("even", even), ("chance", chance)]),
    )
    .unwrap();
    std::fs::write(dir.join("s.yaml"), SCENARIO).unwrap();
    let mut agents = Vec::new();
    for (agent, environment) in AGENTS {
        let place = Place::new(agent, environment);
        site.enrol(&place);
        if agent == "c-1" {
            // The control: one whose policy has no load refuses the whole run.
            agents.push(site.run_enrolled(agent));
            continue;
        }
        allow(&site, agent);
        agents.push(site.run_enrolled(agent));
    }
    let refused = site.ask(&["run", "s.yaml", "--out", "refused"]);
    let why = refused.stderr.clone();
    refused.with(7);
    assert!(
        why.contains("action load.http is not in `actions`"),
        "{why}"
    );
    agents.pop();
    allow(&site, "c-1");
    agents.push(site.run_enrolled("c-1"));
    site.ask(&["run", "s.yaml", "--out", "run"]).with(0);

    let journal = journal(&dir.join("run"));
    let (plan, began) = planned(&journal);
    for (name, light) in ["even", "chance"].into_iter().zip(lights) {
        let (came, due) = (light.came(), due(&plan, name, began));
        assert_eq!(came.len(), due.len(), "{name}: as many as the schedule has");
        let mut late = late(&came, &due);
        late.sort_unstable();
        let [p1, p50, p99] = [1, 50, 99].map(|share| late[late.len() * share / 100]);
        println!(
            "{name}: {} requests, late by p1 {p1} p50 {p50} p99 {p99} ns",
            due.len()
        );
        // Half a millisecond is what starts may differ by, and what loopback takes.
        assert!(p50.abs() < 1_500_000, "{name}: {p50}");
        // The control: the third part of the agents sends another schedule.
        let third: Vec<_> = due.iter().copied().step_by(3).collect();
        let mut wrong = self::late(&came[..third.len()], &third);
        wrong.sort_unstable();
        assert!(wrong[wrong.len() / 2].abs() > 100_000_000);
    }
    let report = report(&dir.join("run"));
    assert_eq!(report.verdict, Verdict::Pass);
    let figures: Vec<_> = report
        .findings
        .iter()
        .map(|one| (one.id.as_str(), one.samples.planned, one.samples.missing))
        .collect();
    println!("{figures:?}");
    let of = |id: &str| figures.iter().find(|(known, ..)| *known == id).unwrap();
    assert_eq!(*of("one/even/failures"), ("one/even/failures", 3_000, 0));
    assert_eq!(of("one/even/latency.p90/b").1, 1_000);
    let warm = due(&plan, "chance", Mono(0)).into_iter();
    let warm = warm.filter(|at| *at >= 2_000_000_000).count() as u64;
    assert_eq!(
        of("one/chance/latency.p90").1,
        warm,
        "the warm-up is left out"
    );
}

fn recorder(agent: &str, stripe: Stripe) -> Recorder {
    recorder_of(agent, stripe, None)
}

fn recorder_of(agent: &str, stripe: Stripe, reference: Option<Rate>) -> Recorder {
    let operation = || "GET /".to_owned().try_into().unwrap();
    let to = Target {
        to: "a/web/1".parse().unwrap(),
        operation: operation(),
        check: Check::Http(HttpCheck::default()),
        offset: Nanos(0),
    };
    let load = Load {
        model: Model::Open {
            schedule: Schedule::list(vec![Nanos(0)]).unwrap(),
            seed: 1,
        },
        timeout: Nanos::from_secs(1),
        warm_up: Nanos(0),
        calls: vec![Call::plain(operation(), 1)],
        feeds: Vec::new(),
        seed: 0,
        carried: Carried::default(),
        told_by: None,
        shares: vec![Share {
            agent: agent.parse().unwrap(),
            to: to.to.clone(),
            stripe,
            connections: 1,
            lanes: 1,
            reference,
            in_flight_max: 1,
        }],
        to: vec![to],
    };
    let stage = AssignedStage {
        name: "one".parse().unwrap(),
        lasts: Nanos::from_secs(10),
        steps: vec![AssignedStep {
            name: "even".parse().unwrap(),
            act: Act::Load(load),
        }],
    };
    let key = RunKey {
        run: "r".parse().unwrap(),
        attempt: Attempt(1),
        fence: Fence(1),
    };
    let [agent, environment] = [agent, "a"];
    Recorder::new(
        key,
        agent.parse().unwrap(),
        environment.parse().unwrap(),
        stage,
        RunTime(0),
    )
}

/// What a recorder makes of these response times, told second by second.
fn recorded(agent: &str, stripe: Stripe, times: &[(u64, u64)]) -> Histogram {
    let mut recorder = recorder(agent, stripe);
    let mut all = Histogram::default();
    for second in 0..10 {
        let mine = times
            .iter()
            .zip(0..)
            .filter(|((at, _), number)| *at / 1_000_000_000 == second && stripe.has(*number));
        let mut histogram = Histogram::default();
        mine.for_each(|((_, took), _)| histogram.record(Nanos(*took)));
        let timed = Timed::new(Outcome::Success, Metric::ResponseTime, &histogram);
        let counted = Counted {
            second,
            counts: Counts {
                offered: histogram.count(),
                ..Counts::default()
            },
            times: vec![timed],
            ..Counted::default()
        };
        recorder.load(0, 0, &counted).unwrap();
        for recording in recorder.flush_loads() {
            assert_eq!(
                recording.interval.from,
                RunTime(second as i64 * 1_000_000_000)
            );
            all.merge(&recording.histogram);
        }
    }
    all
}

#[test]
fn percentiles_of_three_agents_are_those_of_one_recorder_that_was_fed_with_everything() {
    let mut state = 7_u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state >> 33
    };
    let times: Vec<_> = (0..10_000_u64)
        .map(|number| {
            (
                number * 1_000_000,
                50_000 + random() % 3_000_000 * (1 + random() % 40),
            )
        })
        .collect();
    let whole = recorded("a-1", Stripe::WHOLE, &times);
    let mut merged = Histogram::default();
    let mut alone = BTreeMap::new();
    for index in 0..3 {
        let stripe = Stripe::new(index, 3).unwrap();
        let one = recorded("a-1", stripe, &times);
        alone.insert(index, one.quantile(99, 100).unwrap());
        merged.merge(&one);
    }
    assert_eq!(merged, whole, "every percentile at once");
    // The control: the mean of percentiles is another figure.
    let mean = alone.values().map(|at| at.0).sum::<u64>() / 3;
    assert_ne!(Some(Nanos(mean)), whole.quantile(99, 100));
}

#[test]
fn medians_of_the_reference_lane_and_of_the_others_are_told_and_its_requests_are_not() {
    let of = |is_reference, millis| {
        let mut histogram = Histogram::default();
        (0..9).for_each(|_| histogram.record(Nanos::from_millis(millis)));
        let timed = |outcome| Timed::new(outcome, Metric::ServiceTime, &histogram);
        Counted {
            is_reference,
            counts: Counts {
                offered: 9,
                ..Counts::default()
            },
            times: vec![timed(Outcome::Success)],
            ..Counted::default()
        }
    };
    for rate in [Some("50/s".parse().unwrap()), None] {
        let mut recorder = recorder_of("a-1", Stripe::WHOLE, rate);
        recorder.load(0, 0, &of(false, 8)).unwrap();
        recorder.load(0, 0, &of(true, 2)).unwrap();
        let counted: u64 = recorder
            .flush_loads()
            .iter()
            .map(|one| one.histogram.count())
            .sum();
        assert_eq!(counted, 9);
        let gauges: BTreeMap<_, _> = recorder
            .gauges()
            .into_iter()
            .map(|gauge| (gauge.name.to_string(), gauge.value))
            .collect();
        assert_eq!(gauges["load.offered"], 9.0);
        let told = ["load.lanes", "load.reference"].map(|name| gauges.get(name).copied());
        if rate.is_some() {
            let [lanes, reference] = told.map(Option::unwrap);
            assert!((lanes / 8e6 - 1.0).abs() < 0.01, "{lanes}");
            assert!((reference / 2e6 - 1.0).abs() < 0.01, "{reference}");
        } else {
            assert_eq!(told, [None, None]);
        }
    }
}
