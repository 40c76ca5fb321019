//! Findings of how many users are carried: each stair of a closed load is judged by itself, by the
//! rules of latency and success rate.

mod knee;
mod words;

use nepho_common::{
    plan::{Expectation, Judge, LatencyMax, PlannedStep, Rate, Ratio, Window},
    time::Nanos,
};

use self::knee::knee;
use super::{Place, distrusted};
use crate::report::{
    doubts::Doubts,
    measured::Measurements,
    model::{Finding, Observed, Samples, StairFigures, Verdict},
    sample::Sample,
    tuple::Tuple,
    verdict::{self, Ground, Judged},
};

/// What an expectation says of users.
#[derive(Debug, Clone, Copy)]
pub(super) struct Climb {
    pub(super) min: u32,
    pub(super) latency: Option<LatencyMax>,
    pub(super) success_rate: Option<Ratio>,
}

/// A stair, judged.
#[derive(Debug)]
struct Stair<'a> {
    users: u32,
    /// The limit that decided, as an expectation of this stair alone.
    expectation: Expectation,
    judged: Judged,
    measurements: &'a Measurements,
    sample: Sample<'a>,
    /// Successes in a second.
    rate: Rate,
}

impl Climb {
    fn limits(self) -> impl Iterator<Item = Judge> {
        let latency = self.latency.map(|limit| Judge::Latency {
            quantile: limit.quantile,
            max: Some(limit.max),
            min: None,
        });
        let share = self.success_rate.map(|min| Judge::SuccessRate {
            min,
            confidence: None,
        });
        latency.into_iter().chain(share)
    }

    /// Carried is what holds with all below it. What fails up to the least that is expected is enough
    /// to fail, and so is the first stair, below which nobody looked.
    fn verdict(self, stairs: &[Stair<'_>]) -> Verdict {
        let fails = |stair: &Stair<'_>| stair.verdict() == Verdict::Fail;
        let first = stairs.first().is_some_and(fails);
        if carried(stairs).is_some_and(|stair| stair.users >= self.min) {
            Verdict::Pass
        } else if first || stairs.iter().any(|one| one.users <= self.min && fails(one)) {
            Verdict::Fail
        } else {
            Verdict::Inconclusive
        }
    }
}

/// The highest stair that holds with all below it.
fn carried<'a, 'b>(stairs: &'b [Stair<'a>]) -> Option<&'b Stair<'a>> {
    let held = |stair: &&Stair<'_>| stair.verdict() == Verdict::Pass;
    stairs.iter().take_while(held).last()
}

/// The first one that does not hold.
fn broken<'a, 'b>(stairs: &'b [Stair<'a>]) -> Option<&'b Stair<'a>> {
    stairs.iter().find(|stair| stair.verdict() != Verdict::Pass)
}

impl Place<'_> {
    pub(super) fn judge_climb(
        &self,
        climb: Climb,
        step: &PlannedStep,
        tuple: &Tuple<'_>,
        whole: &Sample<'_>,
        doubts: &mut Doubts,
    ) -> Finding {
        let (disturbed, spoiled) = (self.disturbed(whole), self.spoiled(whole));
        let stairs = self.stage.stairs(self.expectation).into_iter();
        let stair = |stair| self.judge_stair(climb, step, tuple, stair, disturbed.is_some());
        let stairs: Vec<_> = stairs.filter_map(stair).collect();
        let mut verdict = climb.verdict(&stairs);
        let cause = match verdict {
            // What was over before a clock stood still is enough to fail.
            Verdict::Pass | Verdict::Inconclusive if disturbed.is_some() => {
                verdict = Verdict::Inconclusive;
                disturbed
            }
            Verdict::Pass if !spoiled.is_empty() => {
                verdict = Verdict::Inconclusive;
                Some(distrusted(spoiled))
            }
            Verdict::Fail => self.broke(climb, step, &stairs),
            Verdict::Inconclusive => self.undecided(climb, step, &stairs),
            Verdict::Pass | Verdict::NotRun | Verdict::Error => None,
        };
        let mut finding = self.unmeasured(tuple, verdict, None);
        self.put(&mut finding, cause);
        finding.observed = Observed {
            text: words::observed(climb, &stairs).into_text(self.folded.lang),
            carried_users: carried(&stairs).map(|stair| stair.users),
            knee_users: knee(&stairs).flatten().map(|stair| stair.users),
            stairs: stairs.iter().map(|stair| stair.figures(climb)).collect(),
            ..Observed::default()
        };
        let samples = stairs.iter().map(|stair| stair.sample.samples());
        finding.samples = samples.fold(Samples::default(), |sum, more| Samples {
            planned: sum.planned.saturating_add(more.planned),
            observed: sum.observed.saturating_add(more.observed),
            missing: sum.missing.saturating_add(more.missing),
        });
        finding.agents = whole.agents();
        finding.evidence = whole.evidence();
        self.doubt(&finding, step, whole, doubts);
        finding
    }

    /// A stair by each limit; the worse of them decides. Where a clock stood still, what is sound of it
    /// counts. `None` without a limit.
    fn judge_stair<'a>(
        &'a self,
        climb: Climb,
        step: &PlannedStep,
        tuple: &Tuple<'a>,
        (users, during): (u32, Window),
        is_disturbed: bool,
    ) -> Option<Stair<'a>> {
        let (all, sound) = self.measured(during);
        let measurements = sound.filter(|_| is_disturbed).unwrap_or(all);
        let span = during.span(self.stage.lasts);
        let paths = tuple.paths.iter().copied();
        let sample = Sample::within(measurements, self.stage, step, span, paths);
        let judged = climb.limits().map(|judge| {
            let judged = verdict::judge(&judge, &sample);
            (judge, judged)
        });
        let worse = |one: (Judge, Judged), other: (Judge, Judged)| {
            let is_worse = other.1.verdict > one.1.verdict;
            if is_worse { other } else { one }
        };
        let (judge, mut judged) = judged.reduce(worse)?;
        (judged.verdict, judged.ground) = believed(judged.verdict, judged.ground, &sample);
        Some(Stair {
            users,
            expectation: Expectation {
                judge,
                during,
                ..self.expectation.clone()
            },
            judged,
            measurements,
            rate: sample.rate(),
            sample,
        })
    }
}

/// What stands of a verdict: as many users as there should be must have asked, and a generator that
/// has no time for them makes a target look slow.
fn believed(verdict: Verdict, ground: Ground, sample: &Sample<'_>) -> (Verdict, Ground) {
    let (had, needed) = (sample.samples().observed, 1);
    match verdict {
        Verdict::Pass | Verdict::Inconclusive if !sample.silent.is_empty() => {
            (Verdict::Inconclusive, Ground::Silent)
        }
        Verdict::Pass if had == 0 => (Verdict::Inconclusive, Ground::TooFew { had, needed }),
        Verdict::Fail => match sample.busy() {
            Some(busy) => (Verdict::Inconclusive, busy),
            None => (verdict, ground),
        },
        Verdict::Pass | Verdict::Inconclusive | Verdict::NotRun | Verdict::Error => {
            (verdict, ground)
        }
    }
}

impl Stair<'_> {
    const fn verdict(&self) -> Verdict {
        self.judged.verdict
    }

    fn median(&self) -> Option<Nanos> {
        self.sample.response.quantile(1, 2)
    }

    /// The quantile that is judged, if there are enough successes to show it.
    fn quantile(&self, climb: Climb) -> Option<Nanos> {
        let LatencyMax { quantile, .. } = climb.latency?;
        let (num, den) = quantile.fraction();
        let response = &self.sample.response;
        let is_shown = response.count() >= quantile.samples_to_show();
        response.quantile(num, den).filter(|_| is_shown)
    }

    fn figures(&self, climb: Climb) -> StairFigures {
        StairFigures {
            users: self.users,
            rate: self.rate,
            p50_ns: self.median(),
            quantile_ns: self.quantile(climb),
            failures: self.sample.failures(),
            samples: self.sample.samples().observed,
            verdict: self.verdict(),
        }
    }
}
