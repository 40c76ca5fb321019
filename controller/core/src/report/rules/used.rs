//! What hosts use.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    event::{Presence, What},
    journal::{Body, Entry},
    plan::{Act, Amount, Dimension, Judge, Plan, PlannedStep, ProcessPick, Ratio, Watch},
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
        act: Act::Watch(Watch {
            every,
            hosts,
            without_host: false,
            processes: BTreeMap::new(),
            containers: BTreeMap::new(),
        }),
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
        thing: None,
        at: RunTime(0).plus(Nanos::from_secs(at)),
        value,
        unit,
    }
}

fn told(environment: &str, gauges: Vec<Gauge>) -> Vec<Entry> {
    told_by(9, environment, gauges)
}

/// From another spool.
fn told_by(spool: u8, environment: &str, gauges: Vec<Gauge>) -> Vec<Entry> {
    let mut author = Author::new(agent(environment), spool);
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

/// What is said of a busy host on which a watched process uses so many of its processors.
fn hog(cores: f64) -> Finding {
    let mut plan = watched();
    let mut things = plan.stages[0].steps.last().unwrap().clone();
    things.name = "things".parse().unwrap();
    let Act::Watch(watch) = &mut things.act else {
        unreachable!("it is one");
    };
    watch.without_host = true;
    let pick = ProcessPick::Name("shop".to_owned().try_into().unwrap());
    watch.processes.insert("shop".parse().unwrap(), pick);
    plan.stages[0].steps.push(things);
    let mut entries = journal(&plan, good);
    let busy = (1..6).map(|n| gauge(n * 5, 0.9, Unit::Ratio)).collect();
    entries.extend(told("local", busy));
    let shop = |n: u64| Gauge {
        name: text("process.cpu"),
        step: "things".parse().unwrap(),
        thing: Some("shop".parse().unwrap()),
        ..gauge(n * 5, cores, Unit::Ratio)
    };
    entries.extend(told_by(10, "local", (1..6).map(shop).collect()));
    local(&of(entries)).clone()
}

#[test]
fn a_hog_that_is_watched_is_told_from_one_that_is_not() {
    // The host has two processors.
    let processors = 2.0;
    let named = hog(0.8 * processors);
    let cause = named.cause.unwrap();
    assert!(
        cause.contains("Most of that is shop, with 160% of one processor."),
        "{cause}"
    );
    assert!(
        named
            .remedy
            .unwrap()
            .starts_with("Look what shop does then")
    );
    let other = hog(0.1);
    let cause = other.cause.unwrap();
    assert!(
        cause.contains("something else keeps the host busy"),
        "{cause}"
    );
    assert!(
        other
            .remedy
            .unwrap()
            .starts_with("Look what else runs on that host")
    );
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

/// The same, in which both hosts are asked for two processes in place of themselves.
fn processes(by: &[Dimension]) -> Plan {
    let mut plan = watched();
    let stage = &mut plan.stages[0];
    let Some(Act::Watch(watch)) = stage.steps.last_mut().map(|step| &mut step.act) else {
        panic!("the last step watches")
    };
    watch.without_host = true;
    let pick = |name: &str| ProcessPick::Name(name.to_owned().try_into().unwrap());
    let named = |name: &str| (name.parse().unwrap(), pick(name));
    watch.processes = ["db", "front"].map(named).into();
    stage.expectations[0].by = by.to_vec();
    stage.expectations[0].judge = Judge::Resource {
        name: text("process.cpu"),
        // One core and a half.
        max: Some(Amount::Share(Ratio(1_500_000))),
        min: None,
    };
    plan
}

/// A process of the host of `environment` that used so much from the second reading on.
fn process(thing: &str, values: &[f64]) -> Vec<Gauge> {
    let numbered = (1u64..).zip(values);
    let gauge = |(n, value): (u64, &f64)| Gauge {
        name: text("process.cpu"),
        thing: Some(thing.parse().unwrap()),
        ..gauge(n * 5, *value, Unit::Ratio)
    };
    numbered.map(gauge).collect()
}

#[test]
fn processes_are_told_apart_by_their_name_and_may_use_more_than_a_core() {
    let mut entries = journal(&processes(&[Dimension::From, Dimension::Process]), good);
    entries.extend(told("local", process("db", &[1.2, 1.4, 1.5, 1.2])));
    entries.extend(told_by(8, "local", process("front", &[0.1, 1.6, 0.1, 0.1])));
    entries.extend(told("tencent", process("db", &[0.1; 4])));
    let report = of(entries);
    let finding = |tuple: &str| {
        find(
            &report,
            &format!("local/hosts/resource.process.cpu/{tuple}"),
        )
    };
    let pass = finding("local/db");
    assert_eq!(pass.verdict, Verdict::Pass, "{pass:?}");
    assert_eq!(
        pass.observed.text,
        "process.cpu from 120% to 150% in 4 readings of 1 process"
    );
    let fail = finding("local/front");
    assert_eq!(fail.verdict, Verdict::Fail);
    assert_eq!(
        fail.cause.as_ref().unwrap(),
        "process.cpu of front on the host of agent-local was 160%, 10s into the run."
    );
    assert_eq!(finding("tencent/db").verdict, Verdict::Pass);
    let silent = finding("tencent/front");
    assert_eq!(silent.verdict, Verdict::Inconclusive, "no data is no pass");
}

#[test]
fn what_was_gone_is_said_where_it_matters_and_among_the_doubts() {
    let mut entries = journal(&processes(&[Dimension::Process]), good);
    for host in ["local", "tencent"] {
        let mut all = process("db", &[0.1; 4]);
        all.extend(process(
            "front",
            if host == "local" { &[0.1] } else { &[0.1; 4] },
        ));
        entries.extend(told(host, all));
    }
    let seen = |thing: &str, how| What::ThingSeen {
        stage: "local".parse().unwrap(),
        step: "hosts".parse().unwrap(),
        thing: thing.parse().unwrap(),
        at: RunTime(0).plus(Nanos::from_secs(10)),
        how,
    };
    let mut author = Author::new(agent("local"), 8);
    author.say(seen("front", Presence::Gone));
    author.say(seen("stranger", Presence::Gone));
    entries.extend(author.entries);
    let report = of(entries);
    let front = find(&report, "local/hosts/resource.process.cpu/front");
    assert_eq!(front.verdict, Verdict::Inconclusive);
    assert_eq!(
        front.cause.as_ref().unwrap(),
        "agent-local told process.cpu of front 1 time, too seldom to judge by. It is gone 10s into \
         the run."
    );
    let db = find(&report, "local/hosts/resource.process.cpu/db");
    assert_eq!(db.verdict, Verdict::Pass, "the other one was there");
    let doubts = report.doubts.iter();
    let said: Vec<_> = doubts
        .filter(|doubt| doubt.code == Code::Watched)
        .map(|doubt| doubt.text.as_str())
        .collect();
    assert_eq!(
        said,
        ["front, watched by agent-local in local/hosts, is gone 10s into the run"]
    );
    assert!(
        has(&report, Code::NotPlanned),
        "nobody asked for the stranger"
    );
}

#[test]
fn figures_of_a_process_that_nobody_asked_for_are_doubted() {
    let with = |gauges: Vec<Gauge>| {
        let mut entries = journal(&processes(&[Dimension::Process]), good);
        entries.extend(told("local", gauges));
        has(&of(entries), Code::NotPlanned)
    };
    assert!(!with(process("db", &[0.1; 4])), "the control");
    assert!(with(process("stranger", &[0.1; 4])));
    let nameless = |one| Gauge { thing: None, ..one };
    assert!(with(
        process("db", &[0.1]).into_iter().map(nameless).collect()
    ));
    let hosts = |one| Gauge {
        name: text("host.cpu"),
        ..one
    };
    assert!(with(process("db", &[0.1]).into_iter().map(hosts).collect()));
}
