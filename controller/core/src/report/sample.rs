//! The figures of one tuple: what was planned, what was seen, what is missing.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    histogram::Histogram,
    id::{AgentId, SpoolId, StageName, StepName},
    plan::{Load, PlannedPath, PlannedStage, PlannedStep, Rate, Route},
    recording::Outcome,
    time::Nanos,
};

use super::{
    loads::{self, Compared, Second},
    measured::{self, Measurements, PathKey},
    model::{Evidence, Figures, Samples},
    sending::{self, Sending},
    seqs::Seqs,
    stats::blocks::Slots,
};

/// Everything that is known of some paths of a step.
#[derive(Debug, Default)]
pub(super) struct Sample<'a> {
    /// Paths with a request.
    pub(super) paths: Vec<PathSample<'a>>,
    /// Paths for which the fleet declares no address.
    pub(super) no_path: Vec<&'a PlannedPath>,
    /// How many requests ended how, our own failures among them.
    pub(super) outcomes: BTreeMap<Outcome, u64>,
    /// Response times of successes.
    pub(super) response: Histogram,
    /// The same by time; with how long the slots are, where it is kept.
    pub(super) slots: Slots,
    pub(super) slot: Option<Nanos>,
    /// Service times of successes.
    pub(super) service: Histogram,
    /// How late requests were sent.
    pub(super) lag: Histogram,
    /// How long requests waited for a connection, whatever became of them.
    pub(super) wait: Histogram,
    /// Of a load: what is planned of it.
    pub(super) sending: Option<Sending>,
    /// Of a load: what its generators said.
    pub(super) generator: Second,
    /// Of the share whose lanes saw most more than its reference lane, if any has one.
    pub(super) compared: Option<Compared>,
    /// Of a load: whose generators said nothing of a part of the time, in which nobody knows what
    /// was sent.
    pub(super) silent: BTreeSet<AgentId>,
    pub(super) records: BTreeMap<(AgentId, SpoolId), Seqs>,
}

/// What is known of one path.
#[derive(Debug)]
pub(super) struct PathSample<'a> {
    pub(super) path: &'a PlannedPath,
    pub(super) planned: u64,
    pub(super) outcomes: BTreeMap<Outcome, u64>,
    /// The least time that its certificate was seen to be valid for, in nanoseconds.
    pub(super) certificate: Option<i64>,
}

impl<'a> Sample<'a> {
    pub(super) fn of(
        measurements: &Measurements,
        stage: &PlannedStage,
        step: &PlannedStep,
        paths: impl IntoIterator<Item = &'a PlannedPath>,
    ) -> Self {
        Self::within(measurements, stage, step, (Nanos(0), stage.lasts), paths)
    }

    /// Of a part of the stage; `measurements` holds nothing else of it.
    pub(super) fn within(
        measurements: &Measurements,
        stage: &PlannedStage,
        step: &PlannedStep,
        span: (Nanos, Nanos),
        paths: impl IntoIterator<Item = &'a PlannedPath>,
    ) -> Self {
        let mut sample = Self {
            slot: measured::slot(stage, &step.name),
            ..Self::default()
        };
        for path in paths {
            let offset = match &path.route {
                Route::Ask { offset, .. } => *offset,
                Route::NoPath => {
                    sample.no_path.push(path);
                    continue;
                }
            };
            let key = PathKey::new(&stage.name, &step.name, path);
            let mut outcomes = BTreeMap::new();
            let mut certificate = None;
            if let Some(on) = measurements.on(&key) {
                outcomes.clone_from(&on.outcomes);
                certificate = on.certificate;
                for (&outcome, &n) in &on.outcomes {
                    let sum = sample.outcomes.entry(outcome).or_default();
                    *sum = sum.saturating_add(n);
                }
                sample.response.merge(&on.response);
                sample.slots.merge(&on.slots);
                sample.service.merge(&on.service);
                sample.lag.merge(&on.lag);
                sample.wait.merge(&on.wait);
                for (&spool, seqs) in &on.records {
                    let of_spool = (path.agent.clone(), spool);
                    sample.records.entry(of_spool).or_default().extend(seqs);
                }
            }
            sample.paths.push(PathSample {
                path,
                planned: step
                    .act
                    .probe()
                    .map_or(0, |probe| probe.requests_within(offset, span)),
                outcomes,
                certificate,
            });
        }
        if let Some(load) = step.act.load() {
            sample.loaded(measurements, (&stage.name, &step.name), load, span);
        }
        sample
    }

    /// What was due of a load is known of a share. What is missing of it is put to its first path.
    fn loaded(
        &mut self,
        measurements: &Measurements,
        of: (&StageName, &StepName),
        load: &Load<PlannedPath>,
        span: (Nanos, Nanos),
    ) {
        let sending = self.sending.insert(Sending {
            timeout: load.timeout,
            lasts: Nanos(span.1.0.saturating_sub(span.0.0)),
            places: 0,
            unread: 0,
        });
        for share in &load.shares {
            let is_mine = |one: &&mut PathSample<'_>| {
                one.path.agent == share.agent && one.path.to == share.to
            };
            let mut mine: Vec<_> = self.paths.iter_mut().filter(is_mine).collect();
            let Some((first, rest)) = mine.split_first_mut() else {
                continue;
            };
            let places = sending::places(load, share);
            sending.places = sending.places.saturating_add(places);
            let long = sending::lag_max(load.timeout);
            let stalls = measurements.loads.stalls(of, share, span, long);
            let unread = places.min(share.in_flight_max).saturating_mul(stalls);
            sending.unread = sending.unread.saturating_add(unread);
            let told = measurements.loads.sum(of, share, span);
            let offered = told.map(|told| told.offered);
            let mut planned = loads::planned(load, share, span, offered);
            for one in rest {
                one.planned = one.total().min(planned);
                planned -= one.planned;
            }
            first.planned = planned;
            self.generator.add(&told.unwrap_or_default());
            let compared = measurements.loads.compared(of, share, span);
            self.compared = [self.compared, compared]
                .into_iter()
                .flatten()
                .max_by_key(Compared::more);
            if !measurements.loads.is_whole(of, share, span) {
                self.silent.insert(share.agent.clone());
            }
        }
    }

    pub(super) fn samples(&self) -> Samples {
        let sum = |figure: fn(&PathSample<'a>) -> u64| {
            self.paths.iter().map(figure).fold(0, u64::saturating_add)
        };
        Samples {
            planned: sum(|path| path.planned),
            observed: sum(PathSample::observed),
            missing: sum(PathSample::missing),
        }
    }

    pub(super) fn successes(&self) -> u64 {
        let successes = self.outcomes.get(&Outcome::Success);
        successes.copied().unwrap_or_default()
    }

    pub(super) fn failures(&self) -> u64 {
        count(&self.outcomes, is_failure)
    }

    /// Successes of a load in a second, by when they were due.
    pub(super) fn rate(&self) -> Rate {
        let lasts = self.sending.map_or(0, |sending| sending.lasts.0);
        let wide = u128::from(self.successes()) * 1_000 * 1_000_000_000;
        let rate = wide.checked_div(u128::from(lasts)).unwrap_or(0);
        Rate(u64::try_from(rate).unwrap_or(u64::MAX))
    }

    /// Paths on which more was reported than planned.
    pub(super) fn surplus(&self) -> impl Iterator<Item = &PathSample<'a>> {
        self.paths.iter().filter(|path| path.total() > path.planned)
    }

    /// Who was to measure.
    pub(super) fn agents(&self) -> Vec<AgentId> {
        let asking = self.paths.iter().map(|path| path.path.agent.clone());
        asking.collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub(super) fn evidence(&self) -> Vec<Evidence> {
        let evidence = |((agent, spool), seqs): (&(AgentId, SpoolId), &Seqs)| {
            Some(Evidence {
                agent: agent.clone(),
                spool: *spool,
                from: seqs.first()?,
                to: seqs.last()?,
                records: seqs.count(),
            })
        };
        self.records.iter().filter_map(evidence).collect()
    }

    pub(super) fn figures(&self) -> Figures {
        let Samples {
            planned, observed, ..
        } = self.samples();
        Figures {
            planned,
            requests: observed,
            failures: self.failures(),
            p50_ns: self.response.quantile(1, 2),
            max_ns: self.response.max(),
            no_path: self.no_path.len() as u64,
        }
    }
}

impl PathSample<'_> {
    /// Whether whoever asks there is shown a certificate.
    pub(super) fn shows_certificate(&self) -> bool {
        match &self.path.route {
            Route::Ask { check, .. } => check.shows_certificate(),
            Route::NoPath => false,
        }
    }

    /// How many requests say something of the target.
    pub(super) fn observed(&self) -> u64 {
        count(&self.outcomes, |outcome| outcome != Outcome::OurSide)
    }

    /// How many of those failed.
    pub(super) fn failures(&self) -> u64 {
        count(&self.outcomes, is_failure)
    }

    /// How many were planned and say nothing of the target.
    pub(super) fn missing(&self) -> u64 {
        self.planned.saturating_sub(self.observed())
    }

    /// How many failed on our side.
    pub(super) fn our_side(&self) -> u64 {
        count(&self.outcomes, |outcome| outcome == Outcome::OurSide)
    }

    fn total(&self) -> u64 {
        count(&self.outcomes, |_| true)
    }
}

/// Whether an outcome is the target's failure.
pub(super) const fn is_failure(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Success | Outcome::OurSide => false,
        Outcome::Status
        | Outcome::Content
        | Outcome::Refused
        | Outcome::Reset
        | Outcome::Timeout
        | Outcome::Unreachable
        | Outcome::Resolve
        | Outcome::Tls
        | Outcome::Protocol => true,
    }
}

fn count(outcomes: &BTreeMap<Outcome, u64>, which: impl Fn(Outcome) -> bool) -> u64 {
    let counted = outcomes.iter().filter(|(outcome, _)| which(**outcome));
    counted.fold(0, |sum, (_, n)| sum.saturating_add(*n))
}
