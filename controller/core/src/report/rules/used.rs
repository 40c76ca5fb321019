//! What hosts use.

use std::collections::BTreeSet;

use nepho_common::{
    journal::{Body, Entry},
    plan::{Act, Amount, Dimension, Judge, Plan, PlannedStep, Ratio, Watch},
    recording::{Gauge, Unit},
    time::{Nanos, RunTime},
};

use crate::report::{
    fixture::{Author, agent, find, good, has, journal, of, plan, text},
    model::{Code, Finding, Report, Verdict},
};

/// Stage `local` of 30 s, in which the hosts of two agents are read every five.
fn watched() -> Plan {
    let mut plan = plan();
    let stage = &mut plan.stages[0];
    stage.lasts = Nanos::from_secs(30);
    let hosts: BTreeSet<_> = ["local", "tencent"].map(agent).into();
    let every = Nanos::from_secs(5);
    stage.steps.push(PlannedStep {
        name: "hosts".parse().unwrap(),
        act: Act::Watch(Watch { every, hosts }),
    });
    let mut one = stage.expectations[0].clone();
    one.on = "hosts".parse().unwrap();
    one.by = vec![Dimension::From];
    one.judge = Judge::Resource {
        name: text("host.cpu"),
        max: Some(Amount::Share(Ratio(800_000))),
        min: None,
    };
    stage.expectations = vec![one];
    plan.stages.truncate(1);
    plan
}

fn gauge(at: u64, value: f64, unit: Unit) -> Gauge {
    Gauge {
        name: text("host.cpu"),
        stage: "local".parse().unwrap(),
        step: "hosts".parse().unwrap(),
        of: None,
        at: RunTime(0).plus(Nanos::from_secs(at)),
        value,
        unit,
    }
}

fn told(environment: &str, gauges: Vec<Gauge>) -> Vec<Entry> {
    let mut author = Author::new(agent(environment), 9);
    author.write(Body::Gauges(gauges));
    author.entries
}

/// The host of tencent is always half idle; that of local said this, from the second reading on.
fn report(local: &[f64]) -> Report {
    let mut entries = journal(&watched(), good);
    let said = |values: &[f64]| {
        let numbered = (1u64..).zip(values);
        numbered
            .map(|(n, value)| gauge(n * 5, *value, Unit::Ratio))
            .collect()
    };
    entries.extend(told("local", said(local)));
    entries.extend(told("tencent", said(&[0.5; 5])));
    of(entries)
}

fn local(report: &Report) -> &Finding {
    find(report, "local/hosts/resource.host.cpu/local")
}

#[test]
fn every_reading_of_every_host_must_lie_within() {
    let within = report(&[0.1, 0.8, 0.3, 0.2, 0.1]);
    let found = local(&within);
    assert_eq!(found.verdict, Verdict::Pass, "{found:?}");
    assert_eq!(found.expected.text, "host.cpu at most 80%");
    assert_eq!(
        found.observed.text,
        "host.cpu from 10% to 80% in 5 readings of 1 host"
    );
    assert!(!found.evidence.is_empty());
    let beyond = report(&[0.1, 0.81, 0.3, 0.93, 0.1]);
    let found = local(&beyond);
    assert_eq!(found.verdict, Verdict::Fail);
    assert_eq!(
        found.cause.as_ref().unwrap(),
        "host.cpu of the host of agent-local was 93%, 20s into the run."
    );
    let other = find(&beyond, "local/hosts/resource.host.cpu/tencent");
    assert_eq!(other.verdict, Verdict::Pass, "it is not its host");
}

#[test]
fn a_host_that_was_hardly_heard_is_no_pass_but_may_fail() {
    // Six readings were due: rates begin with the second, and one may have come too late.
    assert_eq!(local(&report(&[0.1; 4])).verdict, Verdict::Pass);
    let few = report(&[0.1; 3]);
    let found = local(&few);
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert_eq!(
        found.cause.as_ref().unwrap(),
        "The host of agent-local told host.cpu 3 times, too seldom to judge by."
    );
    let none = report(&[]);
    assert_eq!(local(&none).verdict, Verdict::Inconclusive);
    assert_eq!(local(&none).samples.observed, 0);
    assert_eq!(local(&report(&[0.9])).verdict, Verdict::Fail);
}

#[test]
fn readings_that_nobody_asked_for_are_doubted_and_left_out() {
    let strangers = |environment, gauge: Gauge| {
        let mut entries = journal(&watched(), good);
        for host in ["local", "tencent"] {
            let fine = (1..=5).map(|n| super::used::gauge(n * 5, 0.1, Unit::Ratio));
            entries.extend(told(host, fine.collect()));
        }
        let mut author = Author::new(agent(environment), 8);
        author.write(Body::Gauges(vec![gauge]));
        entries.extend(author.entries);
        let report = of(entries);
        (has(&report, Code::NotPlanned), local(&report).verdict)
    };
    let full = |unit| gauge(7, 1.0, unit);
    // The control: the same from whom it was asked, in its unit, counts.
    assert_eq!(
        strangers("local", full(Unit::Ratio)),
        (false, Verdict::Fail)
    );
    assert_eq!(
        strangers("aliyun", full(Unit::Ratio)),
        (true, Verdict::Pass)
    );
    assert_eq!(strangers("local", full(Unit::Bytes)), (true, Verdict::Pass));
    let mut elsewhere = full(Unit::Ratio);
    elsewhere.step = "hots".parse().unwrap();
    assert_eq!(strangers("local", elsewhere), (true, Verdict::Pass));
}
