//! Observations of one stage in; recordings, and the seal that proves them complete, out.
//!
//! Raw points are kept until they are sealed: a probe makes a point a second, and a dense
//! histogram per series would cost 197 kB each.

mod loads;

use std::{collections::BTreeMap, sync::Arc};

use nepho_common::{
    event::What,
    histogram::Histogram,
    id::{AgentId, EnvironmentName, RunKey, Seq},
    journal::{RecordKind, Seal},
    plan::AssignedStage,
    recording::{Gauge, Metric, Outcome, Recording, Series, Trace, Unit},
    time::{Interval, Nanos, RunTime},
};

pub use self::loads::LOAD_EVERY;
use self::loads::Loads;

/// How often the recordings of probes are sealed: a second each would be 650 MB an hour for 600
/// series.
pub const SEAL_EVERY: Nanos = Nanos::from_secs(10);

/// The most targets of a stage whose phases are recorded. A seal names each series and may name
/// 10,000 of them: with four phases more for what succeeds and three series for each of five ways to
/// fail, a target has 22.
pub const PHASED_TARGETS_MAX: usize = 400;

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Place of the step in the assigned stage.
    pub step: usize,
    /// Place of the target in the step.
    pub target: usize,
    /// When it was due.
    pub intended: RunTime,
    /// When it was sent.
    pub sent: RunTime,
    /// When the answer was complete, or the failure known.
    pub done: RunTime,
    /// How it ended.
    pub outcome: Outcome,
    /// What it was made of.
    pub phases: Phases,
    /// The certificate that the target showed.
    pub certificate: Option<Certificate>,
}

/// The parts of a request that took place, each with how long it took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Phases {
    /// Resolving the name; an address needs none.
    pub resolve: Option<Nanos>,
    /// Opening the connection.
    pub connect: Option<Nanos>,
    /// The TLS handshake.
    pub handshake: Option<Nanos>,
    /// From sending the request to the first byte of the answer.
    pub first_byte: Option<Nanos>,
}

impl Phases {
    fn each(self) -> impl Iterator<Item = (Metric, Nanos)> {
        let Self {
            resolve,
            connect,
            handshake,
            first_byte,
        } = self;
        let all = [
            (Metric::Resolve, resolve),
            (Metric::Connect, connect),
            (Metric::Handshake, handshake),
            (Metric::FirstByte, first_byte),
        ];
        all.into_iter()
            .filter_map(|(metric, took)| Some((metric, took?)))
    }
}

/// What is noted of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate {
    /// Its end, in seconds since 1970: tells one certificate from the next.
    pub ends: i64,
    /// How much longer it is good, in nanoseconds; negative behind its end.
    pub left: i64,
}

/// The gauge that says how much longer a certificate is good, in nanoseconds.
pub const CERTIFICATE_LEFT: &str = "certificate.left";

/// Collects one stage.
#[derive(Debug)]
pub struct Recorder {
    key: RunKey,
    agent: AgentId,
    environment: EnvironmentName,
    stage: AssignedStage,
    began: RunTime,
    /// Where what this process writes of a resumed stage begins.
    from: Option<Seq>,
    points: Vec<Observation>,
    loads: Loads,
    /// The end of the certificate that each target showed last.
    certificates: BTreeMap<(usize, usize), i64>,
    gauges: Vec<Gauge>,
    traces: Vec<Trace>,
    is_phased: bool,
    missed: BTreeMap<usize, (u64, Nanos)>,
    records: BTreeMap<RecordKind, u64>,
    samples: BTreeMap<Series, u64>,
}

impl Recorder {
    /// A recorder of `stage`, which begins at `began` in run time.
    #[must_use]
    pub fn new(
        key: RunKey,
        agent: AgentId,
        environment: EnvironmentName,
        stage: AssignedStage,
        began: RunTime,
    ) -> Self {
        let probes = stage.steps.iter().filter_map(|step| step.act.probe());
        let targets: usize = probes.map(|probe| probe.to.len()).sum();
        let is_phased = targets <= PHASED_TARGETS_MAX;
        Self {
            is_phased,
            key,
            agent,
            environment,
            stage,
            began,
            from: None,
            points: Vec::new(),
            loads: Loads::default(),
            certificates: BTreeMap::new(),
            gauges: Vec::new(),
            traces: Vec::new(),
            missed: BTreeMap::new(),
            records: BTreeMap::new(),
            samples: BTreeMap::new(),
        }
    }

    /// The same for a stage that an earlier process began: the seal counts what the spool has from
    /// `from` on.
    #[must_use]
    pub fn resumed(mut self, from: Seq) -> Self {
        self.from = Some(from);
        self
    }

    /// Notes what became of a request. One for a step or target that the stage does not have is
    /// dropped: only a bug of the body could make it.
    pub fn observe(&mut self, observation: Observation) {
        debug_assert!(self.series(&observation, Metric::ResponseTime).is_some());
        if let Some(certificate) = observation.certificate {
            self.certificate(&observation, certificate);
        }
        self.points.push(observation);
    }

    /// Notes what was read.
    pub fn read(&mut self, gauges: Vec<Gauge>) {
        self.gauges.extend(gauges);
    }

    /// Its time left is told when it is first seen in the stage, and when another one takes its
    /// place.
    fn certificate(&mut self, of: &Observation, certificate: Certificate) {
        let Certificate { ends, left } = certificate;
        let before = self.certificates.insert((of.step, of.target), ends);
        let step = self.stage.steps.get(of.step);
        let target = step.and_then(|step| step.act.probe()?.to.get(of.target));
        let (Some(step), Some(target), true) = (step, target, before != Some(ends)) else {
            return;
        };
        let name = CERTIFICATE_LEFT.to_owned();
        self.gauges.push(Gauge {
            thing: None,
            name: name.try_into().expect("these two are words"),
            stage: self.stage.name.clone(),
            step: step.name.clone(),
            of: Some(target.to.clone()),
            at: of.done,
            #[expect(
                clippy::cast_precision_loss,
                reason = "a gauge is a float; 53 bits of nanoseconds are exact for 104 days, and \
                          beyond that the rest is nobody's concern"
            )]
            value: left as f64,
            unit: Unit::Nanoseconds,
        });
    }

    /// Everything read since the last call, in the order in which it was read.
    pub fn gauges(&mut self) -> Vec<Gauge> {
        std::mem::take(&mut self.gauges)
    }

    /// Notes that a request that was due was not sent, when it was already late by `late`.
    pub fn missed(&mut self, step: usize, late: Nanos) {
        let (count, longest) = self.missed.entry(step).or_default();
        *count += 1;
        *longest = (*longest).max(late);
    }

    /// Everything observed since the last call, as recordings in order of series and interval.
    ///
    /// An answer that comes after its interval was sealed makes another recording of the same
    /// interval; merging is addition, so nothing is lost.
    pub fn flush(&mut self) -> Vec<Recording> {
        let mut sealed: BTreeMap<(Series, RunTime), Histogram> = BTreeMap::new();
        let points = std::mem::take(&mut self.points);
        self.trace(&points);
        for point in points {
            let from = self.interval_start(point.intended);
            // What a failed request was made of says little beside how it failed.
            let is_phased = self.is_phased && point.outcome == Outcome::Success;
            let phases = if is_phased {
                point.phases
            } else {
                Phases::default()
            };
            let whole = [
                (Metric::ResponseTime, point.done.since(point.intended)),
                (Metric::ServiceTime, point.done.since(point.sent)),
                (Metric::SendLag, point.sent.since(point.intended)),
            ];
            for (metric, value) in whole.into_iter().chain(phases.each()) {
                let Some(series) = self.series(&point, metric) else {
                    continue;
                };
                sealed.entry((series, from)).or_default().record(value);
            }
        }
        let recording = |((series, from), histogram)| Recording {
            series: Arc::new(series),
            interval: Interval {
                from,
                to: from.plus(SEAL_EVERY),
            },
            histogram,
        };
        let sealed: Vec<_> = sealed.into_iter().map(recording).collect();
        self.sum(&sealed);
        sealed
    }

    fn sum(&mut self, sealed: &[Recording]) {
        for one in sealed {
            let known = self.samples.entry(one.series.as_ref().clone()).or_default();
            *known += one.histogram.count();
        }
    }

    /// How requests ended one after the other, of each target that failed between two flushes. One
    /// that did not is told by its recordings: all of them succeeded.
    pub fn traces(&mut self) -> Vec<Trace> {
        std::mem::take(&mut self.traces)
    }

    fn trace(&mut self, points: &[Observation]) {
        let mut by_target: BTreeMap<(usize, usize), Vec<&Observation>> = BTreeMap::new();
        for point in points {
            let target = (point.step, point.target);
            by_target.entry(target).or_default().push(point);
        }
        for mut points in by_target.into_values() {
            if points.iter().all(|one| one.outcome == Outcome::Success) {
                continue;
            }
            // Answers come in an order of their own.
            points.sort_by_key(|one| one.intended);
            let Some(series) = points
                .first()
                .and_then(|one| self.series(one, Metric::ResponseTime))
            else {
                continue;
            };
            let mut trace = Trace {
                stage: series.stage,
                step: series.step,
                operation: series.operation,
                to: series.to,
                back_end: None,
                runs: Vec::new(),
                connections: 0,
                truncated: 0,
            };
            for one in points {
                trace.push(one.intended, one.outcome);
            }
            self.traces.push(trace);
        }
    }

    /// The events of requests that were due and not sent, one for each step; each once.
    pub fn misses(&mut self) -> Vec<What> {
        let what = |(step, (count, longest)): (usize, (u64, Nanos))| {
            let step = self.stage.steps.get(step)?.name.clone();
            Some(What::Missed {
                stage: self.stage.name.clone(),
                step,
                count,
                longest,
            })
        };
        std::mem::take(&mut self.missed)
            .into_iter()
            .filter_map(what)
            .collect()
    }

    /// A record of this kind was written to the spool for this stage.
    pub fn wrote(&mut self, kind: RecordKind) {
        *self.records.entry(kind).or_default() += 1;
    }

    /// What the stage amounts to. After the last [`Self::flush`] and [`Self::wrote`].
    #[must_use]
    pub fn seal(&self) -> Seal {
        debug_assert!(
            self.points.is_empty()
                && self.loads.is_empty()
                && self.gauges.is_empty()
                && self.traces.is_empty(),
            "what was observed is written before the seal"
        );
        Seal {
            stage: self.stage.name.clone(),
            records: self.records.clone(),
            samples: self.samples.clone(),
            from: self.from,
        }
    }

    fn interval_start(&self, at: RunTime) -> RunTime {
        let into = at.since(self.began);
        self.began.plus(Nanos(into.0 - into.0 % SEAL_EVERY.0))
    }

    fn series(&self, point: &Observation, metric: Metric) -> Option<Series> {
        self.of((point.step, point.target), (point.outcome, metric))
    }

    fn of(
        &self,
        (step, target): (usize, usize),
        (outcome, metric): (Outcome, Metric),
    ) -> Option<Series> {
        let step = self.stage.steps.get(step)?;
        let target = step.act.to().get(target)?;
        Some(Series {
            run: self.key.run.clone(),
            attempt: self.key.attempt,
            stage: self.stage.name.clone(),
            step: step.name.clone(),
            operation: target.operation.clone(),
            from: self.environment.clone(),
            agent: self.agent.clone(),
            to: target.to.clone(),
            outcome,
            metric,
        })
    }
}

#[cfg(test)]
mod tests {
    use nepho_common::{
        id::{Attempt, Fence},
        plan::{Act, AssignedStep, Check, Probe, Target, TcpCheck},
    };

    use super::*;

    fn recorder(began: i64) -> Recorder {
        let target = Target {
            to: "local/a/1".parse().unwrap(),
            operation: "connect".to_owned().try_into().unwrap(),
            check: Check::Tcp(TcpCheck {
                host: "h".to_owned(),
                port: 1,
                ..TcpCheck::default()
            }),
            offset: Nanos(0),
        };
        let probe = Probe {
            every: Nanos(1),
            timeout: Nanos(1),
            to: vec![target],
        };
        let step = AssignedStep {
            name: "p".parse().unwrap(),
            act: Act::Probe(probe),
        };
        let stage = AssignedStage {
            name: "s".parse().unwrap(),
            lasts: Nanos::from_secs(30),
            steps: vec![step],
        };
        let key = RunKey {
            run: "r".parse().unwrap(),
            attempt: Attempt(1),
            fence: Fence(1),
        };
        let [agent, environment] = ["a", "local"];
        Recorder::new(
            key,
            agent.parse().unwrap(),
            environment.parse().unwrap(),
            stage,
            RunTime(began),
        )
    }

    fn point(intended: i64, outcome: Outcome) -> Observation {
        let [intended, sent, done] = [intended, intended + 10, intended + 1000].map(RunTime);
        Observation {
            step: 0,
            target: 0,
            intended,
            sent,
            done,
            outcome,
            phases: Phases::default(),
            certificate: None,
        }
    }

    #[test]
    fn a_trace_is_made_of_a_target_that_failed_in_the_order_of_sending() {
        let mut recorder = recorder(0);
        for at in [1, 2] {
            recorder.observe(point(at, Outcome::Success));
        }
        recorder.flush();
        assert_eq!(recorder.traces(), [], "nothing failed");
        let failed = Outcome::Status;
        for (at, outcome) in [(5, failed), (3, Outcome::Success), (4, failed)] {
            recorder.observe(point(at, outcome));
        }
        recorder.flush();
        let [trace] = &recorder.traces()[..] else {
            panic!("one target, one trace");
        };
        let runs: Vec<_> = trace.runs.iter().collect();
        let runs = runs.iter().map(|one| (one.first.0, one.last.0, one.count));
        assert_eq!(runs.collect::<Vec<_>>(), [(3, 3, 1), (4, 5, 2)]);
        assert_eq!(recorder.traces(), [], "each is told once");
    }

    #[test]
    fn phases_are_recorded_of_what_succeeded_and_only_where_they_took_place() {
        let mut recorder = recorder(0);
        let phases = Phases {
            connect: Some(Nanos(20_000)),
            first_byte: Some(Nanos(40_000)),
            ..Phases::default()
        };
        for outcome in [Outcome::Success, Outcome::Status] {
            recorder.observe(Observation {
                phases,
                ..point(0, outcome)
            });
        }
        let recordings = recorder.flush();
        let metrics = |outcome| -> Vec<Metric> {
            let all = recordings.iter();
            all.filter(|one| one.series.outcome == outcome)
                .map(|one| one.series.metric)
                .collect()
        };
        let whole = [Metric::ResponseTime, Metric::ServiceTime, Metric::SendLag];
        let parts = [Metric::Connect, Metric::FirstByte];
        assert_eq!(metrics(Outcome::Success), [&whole[..], &parts].concat());
        assert_eq!(metrics(Outcome::Status), whole);
        recorder.traces();
        assert_eq!(recorder.seal().samples.len(), recordings.len());
    }

    #[test]
    fn a_stage_of_many_targets_records_no_phases_so_that_its_seal_can_name_every_series() {
        let mut recorder = recorder(0);
        recorder.is_phased = false;
        let phases = Phases {
            connect: Some(Nanos(20_000)),
            ..Phases::default()
        };
        recorder.observe(Observation {
            phases,
            ..point(0, Outcome::Success)
        });
        assert_eq!(recorder.flush().len(), 3);
    }

    #[test]
    fn a_certificate_is_told_when_it_is_first_seen_and_when_it_is_another_one() {
        let mut recorder = recorder(0);
        for (at, ends, left) in [(1, 500, 50), (2, 500, 49), (3, 900, 90), (4, 900, 89)] {
            recorder.observe(Observation {
                certificate: Some(Certificate { ends, left }),
                ..point(at, Outcome::Success)
            });
        }
        let gauges = recorder.gauges();
        let told: Vec<_> = gauges.iter().map(|one| (one.at.0, one.value)).collect();
        assert_eq!(told, [(1001, 50.0), (1003, 90.0)]);
        assert_eq!(gauges[0].of, Some("local/a/1".parse().unwrap()));
        assert!(recorder.gauges().is_empty(), "each once");
    }

    #[test]
    fn edges_are_aligned_to_the_start_and_late_answers_join_their_interval() {
        let second = 1_000_000_000;
        let mut recorder = recorder(5 * second);
        recorder.observe(point(5 * second, Outcome::Success));
        recorder.observe(point(16 * second, Outcome::Success));
        let first = recorder.flush();
        let starts: Vec<_> = first.iter().map(|r| r.interval.from.0 / second).collect();
        assert_eq!(
            starts,
            [5, 15, 5, 15, 5, 15],
            "three metrics, two intervals"
        );
        recorder.observe(point(6 * second, Outcome::Success));
        let late = recorder.flush();
        assert_eq!((late.len(), late[0].interval), (3, first[0].interval));
    }

    #[test]
    fn the_seal_counts_what_was_flushed_and_written() {
        let mut recorder = recorder(0);
        for i in 0..25 {
            let outcome = if i < 5 {
                Outcome::Refused
            } else {
                Outcome::Success
            };
            recorder.observe(point(i * 1_000_000_000, outcome));
        }
        let counted: u64 = recorder.flush().iter().map(|r| r.histogram.count()).sum();
        recorder.wrote(RecordKind::Recordings);
        recorder.traces();
        let seal = recorder.seal();
        assert_eq!(seal.samples.values().sum::<u64>(), counted);
        assert_eq!(seal.records, [(RecordKind::Recordings, 1)].into());
        let refused = seal
            .samples
            .iter()
            .find(|(s, _)| s.outcome == Outcome::Refused);
        assert_eq!(refused.map(|(_, &n)| n), Some(5));
    }

    #[test]
    fn response_is_lag_plus_service() {
        let mut recorder = recorder(0);
        recorder.observe(point(0, Outcome::Success));
        let sums: BTreeMap<_, _> = recorder
            .flush()
            .iter()
            .map(|r| (r.series.metric, r.histogram.sum()))
            .collect();
        assert_eq!(
            sums[&Metric::ResponseTime],
            sums[&Metric::ServiceTime] + sums[&Metric::SendLag]
        );
    }

    #[test]
    fn what_was_not_sent_is_said_once_with_the_longest_delay() {
        let mut recorder = recorder(0);
        recorder.missed(0, Nanos(5));
        recorder.missed(0, Nanos(3));
        let said = recorder.misses();
        assert!(matches!(
            said[..],
            [What::Missed {
                count: 2,
                longest: Nanos(5),
                ..
            }]
        ));
        assert!(recorder.misses().is_empty());
    }
}
