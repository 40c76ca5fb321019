//! Recordings of a thousand agents, sixty series each, from bytes to merged: on one core.

use std::{collections::BTreeMap, fs, sync::Arc, time::Instant};

use nepho_common::{
    histogram::Histogram,
    id::{AgentId, Attempt, InstanceId, RunId, Seq, SpoolId},
    journal::{Body, FORMAT, Record, RecordKey, RecordKind},
    recording::{Metric, Outcome, Recording, Series},
    time::{Interval, Nanos, RunTime},
};
use nepho_proto::journal;

use crate::{
    table::{Table, kept, spread},
    usage::Usage,
};

const AGENTS: u64 = 1000;
const SERIES: u64 = 60;
/// The most that the promise speaks of.
const SAMPLES: u64 = 20_000;

pub(crate) fn measure(repetitions: usize) {
    let mut table = Table::new();
    for (name, promise, wide) in [("narrow", 0.5, false), ("wide", 2.0, true)] {
        let records = records(wide);
        let bytes: usize = records.iter().map(Vec::len).sum();
        forget_peak();
        let before = Usage::of(std::process::id());
        let (mut times, mut bins) = (Vec::new(), 0);
        for _ in 0..repetitions {
            let begin = Instant::now();
            let merged = merged(&records);
            times.push(begin.elapsed().as_secs_f64());
            let all: u64 = merged.values().map(Histogram::count).sum();
            assert_eq!(all, AGENTS * SERIES * SAMPLES, "nothing is lost in merging");
            bins = merged.values().map(|one| one.bins().count()).max().unwrap();
        }
        let peak = Usage::of(std::process::id()).peak - before.resident;
        let worst = times.iter().copied().fold(0.0, f64::max);
        let what = format!(
            "{AGENTS} agents × {SERIES} series × {SAMPLES} samples, {name} (up to {bins} bins merged)"
        );
        let word = kept(worst <= promise);
        table.row(
            &what,
            &format!("≤ {promise} s"),
            format!("{}: {word}", spread(&times, "s", 3)),
        );
        let figure = format!(
            "{:.1} MiB encoded, {:.1} MiB more while merging",
            bytes as f64 / f64::from(1 << 20),
            peak / 1024.0
        );
        table.row(&format!("its bytes, {name}"), "", figure);
    }
    table.print("Recordings decoded, checked and merged on one core (`scripts/bench merge`)");
}

/// What a report does: read each record, check it, add each recording to the view over agents.
fn merged(records: &[Vec<u8>]) -> BTreeMap<(InstanceId, Metric), Histogram> {
    let mut merged: BTreeMap<_, Histogram> = BTreeMap::new();
    for bytes in records {
        let record = journal::from_bytes(bytes).unwrap();
        let Body::Recordings(recordings) = journal::decode(&record).unwrap().body else {
            panic!("recordings went in");
        };
        for Recording {
            series, histogram, ..
        } in recordings
        {
            merged
                .entry((series.to.clone(), series.metric))
                .or_default()
                .merge(&histogram);
        }
    }
    merged
}

/// Each agent's records as its spool holds them.
fn records(wide: bool) -> Vec<Vec<u8>> {
    let run: RunId = "20261123-000000-0000".parse().unwrap();
    let histograms: Vec<_> = (0..SERIES).map(|series| histogram(series, wide)).collect();
    let mut records = Vec::new();
    for n in 1..=AGENTS {
        let agent: AgentId = format!("crowd-{n}").parse().unwrap();
        let all = histograms
            .iter()
            .zip(0..)
            .map(|(histogram, n)| recording(&run, &agent, n, histogram));
        for (recordings, seq) in journal::fit(all.collect()).into_iter().zip(1..) {
            let record = Record {
                format: FORMAT,
                kind: RecordKind::Recordings,
                version: journal::version(RecordKind::Recordings),
                key: RecordKey {
                    agent: agent.clone(),
                    spool: SpoolId::new([7; 16]),
                    seq: Seq(seq),
                },
                payload: journal::payload(&run, Attempt(1), &Body::Recordings(recordings)),
                run: run.clone(),
            };
            records.push(journal::to_bytes(&record));
        }
    }
    records
}

fn recording(run: &RunId, agent: &AgentId, n: u64, histogram: &Histogram) -> Recording {
    let metric = [Metric::ResponseTime, Metric::ServiceTime, Metric::SendLag][n as usize % 3];
    Recording {
        series: Arc::new(Series {
            run: run.clone(),
            attempt: Attempt(1),
            stage: "steady".parse().unwrap(),
            step: "browse".parse().unwrap(),
            operation: "GET /api/contacts".to_owned().try_into().unwrap(),
            from: "crowd".parse().unwrap(),
            agent: agent.clone(),
            to: format!("crowd/service-{}/1", n / 3).parse().unwrap(),
            outcome: Outcome::Success,
            metric,
        }),
        interval: Interval {
            from: RunTime(0),
            to: RunTime(1_000_000_000),
        },
        histogram: histogram.clone(),
    }
}

/// Narrow: evenly from 3 to 7 ms, a thousand bins and 2.4 kB. Wide: evenly over the orders of magnitude
/// from 1 to 60 ms, six thousand bins and 12 kB.
fn histogram(series: u64, wide: bool) -> Histogram {
    let mut histogram = Histogram::default();
    for sample in 0..SAMPLES {
        // Golden-ratio steps: evenly spread without randomness.
        let share = ((sample * 7 + series + 1) as f64 * 0.618_033_988_749_895).fract();
        let value = if wide {
            1e6 * 60f64.powf(share)
        } else {
            5e6 + 4e6 * (share - 0.5)
        };
        histogram.record(Nanos(value as u64));
    }
    histogram
}

/// Lets the peak of our memory begin anew, where the kernel allows it.
pub(crate) fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").ok();
}
