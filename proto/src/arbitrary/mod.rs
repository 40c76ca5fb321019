//! Strategies for the nouns of a journal; a round trip for each of them lies beside its
//! conversion. Those of a session are in [`session`].

pub(crate) mod event;
pub(crate) mod session;

use std::{fmt::Debug, sync::Arc};

use nepho_common::{
    histogram::{HIGHEST, Histogram},
    id::{AgentId, Attempt, Digest, InstanceId, Operation, RunId, Seq, SpoolId},
    journal::{Body, Entry, FORMAT, Record, RecordKey, RecordKind, Seal},
    recording::{Exhibit, Gauge, Metric, Outcome, Recording, Series, Trace, TraceRun, Unit},
    time::{Interval, Nanos, RunTime},
};
use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
    sample::select,
};

use crate::{bad::BadMessage, journal, limits::SPAN_MAX};

pub(crate) fn name<T>() -> impl Strategy<Value = T>
where
    T: std::str::FromStr<Err: Debug> + Debug,
{
    "[a-z0-9][a-z0-9._-]{0,62}".prop_map(|text| text.parse().expect("the grammar of names"))
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    "[ -~äπ题🌩]{1,120}".prop_map(|text| text.try_into().expect("printable"))
}

pub(crate) fn instance() -> impl Strategy<Value = InstanceId> {
    (name(), name(), name()).prop_map(|(environment, service, instance)| InstanceId {
        environment,
        service,
        instance,
    })
}

/// A text for people as it looks after it was sent once.
pub(crate) fn text() -> impl Strategy<Value = String> {
    "[ -~äπ题🌩]{0,80}"
}

pub(crate) fn span() -> impl Strategy<Value = Nanos> {
    (0..=SPAN_MAX).prop_map(Nanos)
}

pub(crate) fn run_time() -> impl Strategy<Value = RunTime> {
    let end = SPAN_MAX.cast_signed();
    (-end..=end).prop_map(RunTime)
}

pub(crate) fn seq() -> impl Strategy<Value = Seq> {
    (1..u64::MAX).prop_map(Seq)
}

pub(crate) fn attempt() -> impl Strategy<Value = Attempt> {
    (1..=u32::MAX).prop_map(Attempt)
}

pub(crate) fn spool() -> impl Strategy<Value = SpoolId> {
    any::<[u8; 16]>().prop_map(SpoolId::new)
}

pub(crate) fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::new)
}

pub(crate) fn outcome() -> impl Strategy<Value = Outcome> {
    select(Outcome::ALL.as_slice())
}

prop_compose! {
    pub(crate) fn series()(
        (run, attempt, stage, step) in (name(), attempt(), name(), name()),
        (operation, from, agent, to) in (operation(), name(), name(), instance()),
        outcome in outcome(),
        metric in select(Metric::ALL.as_slice()),
    ) -> Series {
        Series { run, attempt, stage, step, operation, from, agent, to, outcome, metric }
    }
}

prop_compose! {
    pub(crate) fn interval()(a in run_time(), b in run_time()) -> Interval {
        Interval { from: a.min(b), to: a.max(b) }
    }
}

pub(crate) fn histogram() -> impl Strategy<Value = Histogram> {
    let value = (0u32..43, any::<u64>()).prop_map(|(bits, v)| v & ((1 << bits) - 1));
    let value = prop_oneof![9 => value, 1 => HIGHEST..u64::MAX];
    vec(value, 0..40).prop_map(|values| {
        let mut histogram = Histogram::default();
        values
            .into_iter()
            .for_each(|value| histogram.record(Nanos(value)));
        histogram
    })
}

prop_compose! {
    pub(crate) fn recording()(
        series in series(), interval in interval(), histogram in histogram(),
    ) -> Recording {
        Recording { series: Arc::new(series), interval, histogram }
    }
}

prop_compose! {
    pub(crate) fn gauge()(
        (name, stage, step) in (operation(), name(), name()),
        (of, thing) in (option::of(instance()), option::of(name())),
        at in run_time(),
        value in prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL,
        unit in select(Unit::ALL.as_slice()),
    ) -> Gauge {
        Gauge { name, stage, step, of, thing, at, value, unit }
    }
}

fn trace_runs() -> impl Strategy<Value = Vec<TraceRun>> {
    // 20 runs of at most 2 × 2^50 ns from wherever stay inside ten years.
    let run = (0i64..1 << 50, 0u64..1 << 50, 1u32.., outcome());
    (-(1i64 << 50)..1 << 50, vec(run, 0..20)).prop_map(|(start, rows)| {
        let mut at = RunTime(start);
        let mut run = |(gap, length, count, outcome): (i64, u64, u32, Outcome)| {
            let first = RunTime(at.0 + gap);
            let last = if count == 1 {
                first
            } else {
                first.plus(Nanos(length))
            };
            at = last;
            TraceRun {
                first,
                last,
                count,
                outcome,
            }
        };
        rows.into_iter().map(&mut run).collect()
    })
}

prop_compose! {
    pub(crate) fn trace()(
        (stage, step, operation, to) in (name(), name(), operation(), instance()),
        back_end in option::of(operation()),
        runs in trace_runs(),
        truncated in 0u64..1 << 60, connections in any::<u64>(),
    ) -> Trace {
        Trace { stage, step, operation, to, back_end, runs, connections, truncated }
    }
}

prop_compose! {
    pub(crate) fn exhibit()(name in operation(), content in vec(any::<u8>(), 0..200)) -> Exhibit {
        Exhibit::new(name, content).expect("it is short")
    }
}

prop_compose! {
    pub(crate) fn seal()(
        stage in name(),
        records in btree_map(select(RecordKind::ALL.as_slice()), any::<u64>(), 0..7),
        samples in btree_map(series(), any::<u64>(), 0..5),
        from in option::of(any::<u64>()),
    ) -> Seal {
        Seal { stage, records, samples, from: from.map(Seq) }
    }
}

/// Any body, not yet anybody's.
pub(crate) fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        vec(event::event(), 0..4).prop_map(Body::Events),
        vec(recording(), 0..4).prop_map(Body::Recordings),
        vec(gauge(), 0..4).prop_map(Body::Gauges),
        vec(trace(), 0..4).prop_map(Body::Traces),
        vec(exhibit(), 0..4).prop_map(Body::Exhibits),
        seal().prop_map(Body::Seal),
    ]
}

/// Out, through bytes, and in again.
pub(crate) fn through<W, N>(noun: &N) -> Result<N, BadMessage>
where
    W: prost::Message + Default + for<'a> From<&'a N>,
    N: TryFrom<W, Error = BadMessage>,
{
    let bytes = W::from(noun).encode_to_vec();
    W::decode(bytes.as_slice())
        .expect("what was encoded")
        .try_into()
}

/// An entry whose author may say what it says.
pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    let by = prop_oneof![Just(AgentId::controller()), name()];
    let key = (by, spool(), seq()).prop_map(|(agent, spool, seq)| RecordKey { agent, spool, seq });
    let inputs = (
        (key, name::<RunId>(), attempt(), body()),
        vec(event::said(event::of_agent().boxed()), 0..4),
        vec(event::said(event::of_controller().boxed()), 0..4),
    );
    inputs.prop_map(|((key, run, attempt, body), by_agent, by_controller)| {
        let own = |mut series: Series| {
            (series.run, series.attempt) = (run.clone(), attempt);
            series.agent = key.agent.clone();
            series
        };
        let body = match body {
            Body::Events(_) if key.agent.is_controller() => Body::Events(by_controller),
            Body::Events(_) => Body::Events(by_agent),
            Body::Recordings(all) => {
                let own = |one: Recording| Recording {
                    series: Arc::new(own(Arc::unwrap_or_clone(one.series))),
                    ..one
                };
                Body::Recordings(all.into_iter().map(own).collect())
            }
            Body::Seal(mut seal) => {
                let stage = &seal.stage;
                let own = |(series, count): (Series, u64)| {
                    (
                        Series {
                            stage: stage.clone(),
                            ..own(series)
                        },
                        count,
                    )
                };
                seal.samples = seal.samples.into_iter().map(own).collect();
                Body::Seal(seal)
            }
            other @ (Body::Gauges(_) | Body::Traces(_) | Body::Exhibits(_)) => other,
        };
        Entry {
            key,
            run,
            attempt,
            body,
        }
    })
}

/// The record that holds an entry.
pub(crate) fn record_of(entry: &Entry) -> Record {
    let kind = entry.body.kind();
    Record {
        format: FORMAT,
        kind,
        version: journal::version(kind),
        key: entry.key.clone(),
        payload: journal::payload(&entry.run, entry.attempt, &entry.body),
        run: entry.run.clone(),
    }
}
