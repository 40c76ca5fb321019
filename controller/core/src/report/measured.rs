//! Counts and latencies per planned path. An agent may report only what the plan asked of it.

use std::{collections::BTreeMap, sync::Arc};

use nepho_common::{
    histogram::Histogram,
    id::{AgentId, Attempt, InstanceId, Operation, RunId, SpoolId, StageName, StepName},
    journal::RecordKey,
    plan::{Expectation, Judge, Plan, PlannedPath, PlannedStage, Quantile, Route},
    recording::{Gauge, Metric, Outcome, Series, Unit},
    time::{Interval, Nanos},
};

use super::{
    doubts::{Code, Doubts},
    loads::Loads,
    recorded::{OfSeries, Piece, Recorded},
    said::{Said, said},
    seqs::{self, Seqs},
    stats::blocks::{self, Slots},
};

/// What agents call the gauge of a certificate's time left.
pub(super) const CERTIFICATE_LEFT: &str = "certificate.left";

/// One path of one step of one stage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PathKey {
    stage: StageName,
    step: StepName,
    agent: AgentId,
    to: InstanceId,
    operation: Operation,
}

impl PathKey {
    pub(super) fn new(stage: &StageName, step: &StepName, path: &PlannedPath) -> Self {
        Self {
            stage: stage.clone(),
            step: step.clone(),
            agent: path.agent.clone(),
            to: path.to.clone(),
            operation: path.operation.clone(),
        }
    }

    fn is_of(&self, author: &AgentId, gauge: &Gauge) -> bool {
        (&self.stage, &self.step, &self.agent) == (&gauge.stage, &gauge.step, author)
            && gauge.of.as_ref() == Some(&self.to)
    }

    fn of(series: &Series) -> Self {
        Self {
            stage: series.stage.clone(),
            step: series.step.clone(),
            agent: series.agent.clone(),
            to: series.to.clone(),
            operation: series.operation.clone(),
        }
    }
}

/// What was measured on one path.
#[derive(Debug, Default)]
pub(super) struct OnPath {
    /// How many requests ended how, our own failures among them.
    pub(super) outcomes: BTreeMap<Outcome, u64>,
    /// Response times of successes.
    pub(super) response: Histogram,
    /// Service times of successes.
    pub(super) service: Histogram,
    /// What it took to open the connections of successes that needed one.
    pub(super) connect: Histogram,
    /// From the sending of a success to the first byte of its answer.
    pub(super) first_byte: Histogram,
    /// Response times of successes by time, where a quantile of them is judged.
    pub(super) slots: Slots,
    /// How late requests were sent, whatever became of them.
    pub(super) lag: Histogram,
    /// How long requests waited for a connection, whatever became of them.
    pub(super) wait: Histogram,
    /// The least time that the target's certificate was seen to be valid for, in nanoseconds;
    /// negative when it had ended.
    pub(super) certificate: Option<i64>,
    /// The records that say so.
    pub(super) records: BTreeMap<SpoolId, Seqs>,
}

/// What was measured, by path. A path of which nothing is known is not in it.
#[derive(Debug, Default)]
pub(super) struct Measurements {
    paths: BTreeMap<PathKey, OnPath>,
    /// What generators said of themselves, of all of each stage.
    pub(super) loads: Arc<Loads>,
}

impl Measurements {
    /// Merges what the plan asked for of the recordings that are to be looked at, and doubts the
    /// rest of them.
    pub(super) fn gather(
        plan: &Plan,
        identity: Option<(&RunId, Attempt)>,
        recorded: &Recorded,
        look_at: impl Fn(&Series, Interval) -> bool,
        gauges: &[(RecordKey, Vec<Gauge>)],
        loads: &Arc<Loads>,
        doubts: &mut Doubts,
    ) -> Self {
        let asked = Asked::of(plan, identity);
        let mut all: BTreeMap<PathKey, OnPath> = BTreeMap::new();
        for OfSeries {
            author,
            series,
            pieces,
        } in recorded.each()
        {
            let mut pieces = pieces
                .iter()
                .filter(|piece| look_at(series, piece.interval))
                .peekable();
            if pieces.peek().is_none() {
                continue;
            }
            match asked.check(author, series) {
                Ok(slot) => {
                    let on_path = all.entry(PathKey::of(series)).or_default();
                    pieces.for_each(|piece| on_path.take(series, piece, slot));
                }
                Err(misfit) => {
                    let (to, why) = (&series.to, misfit.why());
                    let (stage, step) = (&series.stage, &series.step);
                    let text = said!(
                        "{author} reported {stage}/{step} to {to}, and it was left out: {why}",
                        "{author} 上报了 {stage}/{step} 到 {to} 的结果，未计入：{why}";
                        why
                    );
                    pieces.for_each(|_| doubts.add(misfit.code(), author, text.clone()));
                }
            }
        }
        let certificates = gauges.iter().flat_map(|(key, gauges)| {
            let of_record = move |gauge| (key, gauge);
            gauges.iter().map(of_record)
        });
        let certificates =
            certificates.filter(|(_, gauge)| gauge.name.as_str() == CERTIFICATE_LEFT);
        for (key, gauge) in certificates {
            let path = asked
                .paths
                .keys()
                .find(|path| path.is_of(&key.agent, gauge));
            let Some(path) = path.filter(|_| gauge.unit == Unit::Nanoseconds) else {
                let (agent, stage, step) = (&key.agent, &gauge.stage, &gauge.step);
                let text = said!(
                    "{agent} told of a certificate in {stage}/{step} that the plan does not ask for",
                    "{agent} 在 {stage}/{step} 中上报了计划没有要求的证书"
                );
                doubts.add(Code::NotPlanned, agent, text);
                continue;
            };
            let on_path = all.entry(path.clone()).or_default();
            let (block, bits) = seqs::place(key.seq);
            on_path
                .records
                .entry(key.spool)
                .or_default()
                .add(block, bits);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "as near as a time can be: 292 years are enough"
            )]
            let left = gauge.value as i64;
            let least = on_path.certificate.map_or(left, |least| least.min(left));
            on_path.certificate = Some(least);
        }
        Self {
            paths: all,
            loads: Arc::clone(loads),
        }
    }

    pub(super) fn on(&self, key: &PathKey) -> Option<&OnPath> {
        self.paths.get(key)
    }

    /// Whether anything of `stage` was measured.
    pub(super) fn knows(&self, stage: &StageName) -> bool {
        self.paths.keys().any(|key| key.stage == *stage)
    }

    /// How many requests `agent` reported.
    pub(super) fn requests_of(&self, agent: &AgentId) -> u64 {
        let mine = self.paths.iter().filter(|(key, _)| key.agent == *agent);
        mine.flat_map(|(_, on)| on.outcomes.values())
            .fold(0, |sum, n| sum.saturating_add(*n))
    }
}

impl OnPath {
    fn take(&mut self, series: &Series, piece: &Piece, slot: Option<Nanos>) {
        let &Series {
            outcome, metric, ..
        } = series;
        let histogram = &piece.histogram;
        let records = self.records.entry(piece.spool).or_default();
        records.add(piece.block, piece.records);
        match metric {
            Metric::ResponseTime => {
                let count = self.outcomes.entry(outcome).or_default();
                *count = count.saturating_add(histogram.count());
                if outcome == Outcome::Success {
                    self.response.merge(histogram);
                    if let Some(slot) = slot {
                        self.slots.add(slot, piece.interval, histogram);
                    }
                }
            }
            Metric::ServiceTime if outcome == Outcome::Success => self.service.merge(histogram),
            Metric::SendLag => self.lag.merge(histogram),
            Metric::PoolWait => self.wait.merge(histogram),
            // Parts of the whole: for diagnosis, not for verdicts.
            Metric::Connect => self.connect.merge(histogram),
            Metric::FirstByte => self.first_byte.merge(histogram),
            Metric::ServiceTime | Metric::Resolve | Metric::Handshake | Metric::Send => {}
        }
    }
}

/// What the plan asks of whom.
pub(super) struct Asked<'a> {
    plan: &'a Plan,
    identity: Option<(&'a RunId, Attempt)>,
    paths: BTreeMap<PathKey, Option<Nanos>>,
}

impl<'a> Asked<'a> {
    /// Every path that has a request, and the slots of time in which its latency is wanted.
    pub(super) fn of(plan: &'a Plan, identity: Option<(&'a RunId, Attempt)>) -> Self {
        let mut paths = BTreeMap::new();
        for stage in &plan.stages {
            for step in &stage.steps {
                let slot = slot(stage, &step.name);
                for path in step.act.to() {
                    match path.route {
                        Route::Ask { .. } => {
                            paths.insert(PathKey::new(&stage.name, &step.name, path), slot);
                        }
                        Route::NoPath => {}
                    }
                }
            }
        }
        Self {
            plan,
            identity,
            paths,
        }
    }

    /// The slots in which the latency is wanted of what `author` reports; if it may not report
    /// this, why.
    pub(super) fn check(&self, author: &AgentId, series: &Series) -> Result<Option<Nanos>, Misfit> {
        if series.agent != *author {
            return Err(Misfit::AnotherAgent);
        }
        if Some((&series.run, series.attempt)) != self.identity {
            return Err(Misfit::AnotherRun);
        }
        let Some(planned) = self.plan.agents.get(author) else {
            return Err(Misfit::NoPart);
        };
        if planned.environment != series.from {
            return Err(Misfit::AnotherEnvironment);
        }
        let slot = self.paths.get(&PathKey::of(series)).copied();
        slot.ok_or(Misfit::NotAsked)
    }
}

/// Why somebody may not report something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    AnotherAgent,
    AnotherRun,
    AnotherEnvironment,
    NoPart,
    NotAsked,
}

impl Misfit {
    const fn code(self) -> Code {
        match self {
            Self::AnotherAgent | Self::AnotherRun | Self::AnotherEnvironment => Code::NotItsOwn,
            Self::NoPart | Self::NotAsked => Code::NotPlanned,
        }
    }

    fn why(self) -> Said {
        match self {
            Self::AnotherAgent => said!("it speaks for another agent", "它替别的探针说话"),
            Self::AnotherRun => said!("it speaks of another run", "它说的是另一次运行"),
            Self::AnotherEnvironment => {
                said!("it speaks for another environment", "它替别的环境说话")
            }
            Self::NoPart => said!("the agent has no part in the plan", "该探针不在计划之中"),
            Self::NotAsked => said!("the plan does not ask that of it", "计划没有要求它上报"),
        }
    }
}

/// Latency is kept by time only where an interval is made from it: it takes room.
pub(super) fn slot(stage: &PlannedStage, step: &StepName) -> Option<Nanos> {
    let wanted = |expectation: &Expectation| match &expectation.judge {
        Judge::Latency { quantile, .. } => *quantile != Quantile::Max && expectation.on == *step,
        Judge::Failures { .. }
        | Judge::SuccessRate { .. }
        | Judge::Certificate { .. }
        | Judge::Resource { .. }
        | Judge::Distribution { .. }
        | Judge::Concurrency { .. }
        | Judge::Throughput { .. }
        | Judge::Same { .. } => false,
    };
    let wanted = stage.expectations.iter().any(wanted);
    wanted.then(|| blocks::slot(stage.lasts)).flatten()
}
