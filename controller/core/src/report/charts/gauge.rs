//! Gauges over time, thinned so that nothing that stands out is lost: the run is divided into
//! stretches, and of each the smallest and the largest value are kept.

use std::collections::BTreeMap;

use nepho_common::{
    id::{AgentId, InstanceId, StepName, ThingName},
    plan::Plan,
    recording::{Gauge, Unit},
    time::{Nanos, RunTime},
};

use super::{
    super::{
        doubts::{Code, Doubts},
        fold::Folded,
        said::said,
        things,
    },
    GaugePoint, GaugeSeries, stretch,
};

/// How many series one agent may have, so that none crowds the others out.
const OF_AGENT_MAX: usize = 60;
/// How many there are in all: two of each of 40 services in 3 environments.
const SERIES_MAX: usize = 240;
/// How many points a series has at most.
const POINTS_MAX: u64 = 60;
/// Gauges are not read more often.
const STRETCH_MIN: Nanos = Nanos::from_secs(1);

/// What a series is told apart by.
type Key<'a> = (
    &'a str,
    Unit,
    &'a AgentId,
    (Option<&'a InstanceId>, Option<&'a ThingName>),
);

/// Of each stretch, by its number, the smallest and the largest value.
type Extremes = BTreeMap<u64, (i64, i64)>;

pub(super) fn series(folded: &Folded, plan: &Plan, doubts: &mut Doubts) -> (Vec<GaugeSeries>, u64) {
    let (start, every) = stretches(folded, plan);
    let mut all: BTreeMap<Key<'_>, (u64, Extremes)> = BTreeMap::new();
    for (key, gauges) in &folded.gauges {
        for gauge in gauges {
            if !may_say(plan, &key.agent, gauge) {
                let (agent, name) = (&key.agent, &gauge.name);
                let (stage, step) = (&gauge.stage, &gauge.step);
                let text = said!(
                    "{agent} reported {name} of {stage}/{step}, and it was left out: the plan does \
                     not ask that of it",
                    "{agent} 上报了 {stage}/{step} 的 {name}，未计入：计划没有要求它上报"
                );
                doubts.add(Code::NotPlanned, agent, text);
                continue;
            }
            let of = (
                gauge.name.as_str(),
                gauge.unit,
                &key.agent,
                (gauge.of.as_ref(), gauge.thing.as_ref()),
            );
            let (values, points) = all.entry(of).or_default();
            *values = values.saturating_add(1);
            let number = (gauge.at.since(start).0 / every.0.max(1)).min(POINTS_MAX - 1);
            let value = fixed(gauge.value, gauge.unit);
            let point = points.entry(number).or_insert((value, value));
            *point = (value.min(point.0), value.max(point.1));
        }
    }
    let found = all.len();
    let mut each: BTreeMap<&AgentId, usize> = BTreeMap::new();
    let mut kept = Vec::new();
    for ((name, unit, agent, (of, thing)), (values, points)) in all {
        let mine = each.entry(agent).or_default();
        *mine += 1;
        let planned = plan.agents.get(agent);
        let Some(planned) = planned.filter(|_| *mine <= OF_AGENT_MAX && kept.len() < SERIES_MAX)
        else {
            continue;
        };
        let point = |(number, (min, max)): (u64, (i64, i64))| GaugePoint {
            at_ns: start.plus(Nanos(every.0.saturating_mul(number))),
            min,
            max,
        };
        kept.push(GaugeSeries {
            name: name.to_owned(),
            unit,
            agent: agent.clone(),
            from: planned.environment.clone(),
            of: of.cloned(),
            thing: thing.cloned(),
            values,
            every_ns: every,
            points: points.into_iter().map(point).collect(),
        });
    }
    let more = (found - kept.len()) as u64;
    (kept, more)
}

/// An agent of the plan speaks of a step of the plan, and of an instance that is measured.
fn may_say(plan: &Plan, author: &AgentId, gauge: &Gauge) -> bool {
    let stage = plan.stages.iter().find(|stage| stage.name == gauge.stage);
    let has_step = |step: &StepName| {
        stage.is_some_and(|stage| stage.steps.iter().any(|one| one.name == *step))
    };
    let of = gauge.of.as_ref();
    plan.agents.contains_key(author)
        && has_step(&gauge.step)
        && of.is_none_or(|of| plan.instances.contains_key(of))
        && gauge
            .thing
            .as_ref()
            .is_none_or(|thing| things::is_planned(plan, &gauge.stage, &gauge.step, author, thing))
}

/// Where the run begins, and how long a stretch of it is.
fn stretches(folded: &Folded, plan: &Plan) -> (RunTime, Nanos) {
    let spans = plan.stages.iter().filter_map(|stage| {
        let ordered = folded.story.ordered.get(&stage.name)?;
        Some((ordered.at_run, ordered.at_run.plus(stage.lasts)))
    });
    let whole = spans.reduce(|(from, to), (begun, ended)| (from.min(begun), to.max(ended)));
    let (from, to) = whole.unwrap_or_default();
    (from, stretch(to.since(from), STRETCH_MIN, POINTS_MAX))
}

/// See [`GaugePoint`]: what is beyond an `i64` saturates, and nothing that is no number comes here.
#[expect(
    clippy::cast_possible_truncation,
    reason = "casts from floats saturate"
)]
fn fixed(value: f64, unit: Unit) -> i64 {
    let scale = match unit {
        Unit::Ratio => 1e6,
        Unit::Count | Unit::PerSecond => 1e3,
        Unit::Bytes | Unit::Nanoseconds | Unit::BytesPerSecond => 1.0,
    };
    (value * scale).round() as i64
}

#[cfg(test)]
mod tests {
    use nepho_common::journal::{Body, Entry};

    use super::{
        super::super::{
            fixture::{Author, agent, good, has, journal, of, plan, text},
            model::Report,
        },
        *,
    };

    fn gauge(name: &str, at: i64, value: f64) -> Gauge {
        Gauge {
            name: text(name),
            stage: "hybrid".parse().unwrap(),
            step: "reach".parse().unwrap(),
            of: None,
            thing: None,
            at: RunTime(at * 1_000_000_000),
            value,
            unit: Unit::Ratio,
        }
    }

    fn with(gauges: Vec<Gauge>) -> Report {
        let mut entries: Vec<Entry> = journal(&plan(), good);
        let mut author = Author::new(agent("local"), 77);
        author.write(Body::Gauges(gauges));
        entries.extend(author.entries);
        of(entries)
    }

    #[test]
    fn of_each_stretch_the_smallest_and_the_largest_value_are_kept() {
        let report = with(vec![
            gauge("host.cpu", 12, 0.5),
            gauge("host.cpu", 12, 0.25),
            gauge("host.cpu", 12, 0.75),
            gauge("host.cpu", 13, 1.0),
        ]);
        let charts = report.charts.unwrap();
        let [series] = charts.gauges.as_slice() else {
            panic!("{:?}", charts.gauges);
        };
        assert_eq!((series.values, series.every_ns), (4, Nanos::from_secs(1)));
        let found: Vec<_> = series
            .points
            .iter()
            .map(|p| (p.at_ns.0, p.min, p.max))
            .collect();
        assert_eq!(
            found,
            [
                (12_000_000_000, 250_000, 750_000),
                (13_000_000_000, 1_000_000, 1_000_000)
            ]
        );
    }

    #[test]
    fn what_the_plan_does_not_ask_for_is_left_out_and_doubted() {
        let mut strange = gauge("host.cpu", 12, 0.5);
        strange.step = "other".parse().unwrap();
        let report = with(vec![strange]);
        assert!(report.charts.as_ref().unwrap().gauges.is_empty());
        assert!(has(&report, Code::NotPlanned));
        assert!(!has(
            &with(vec![gauge("host.cpu", 12, 0.5)]),
            Code::NotPlanned
        ));
    }

    #[test]
    fn a_flood_of_names_is_counted_and_not_kept() {
        let all = (0..1_000).map(|n| gauge(&format!("g{n}"), 12, 1.0));
        let charts = with(all.collect()).charts.unwrap();
        assert_eq!(charts.gauges.len(), OF_AGENT_MAX);
        assert_eq!(charts.more_gauges, 1_000 - OF_AGENT_MAX as u64);
    }
}
