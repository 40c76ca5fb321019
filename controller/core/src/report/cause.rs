//! What is likely behind a verdict that is not a pass, and what to do about it. Simple rules over
//! how requests ended and who else reached the same instance.

mod answer;
mod outcome;
mod pattern;
mod slow;
mod slowest;
mod symptoms;
#[cfg(test)]
mod twins;

use std::{cmp::Reverse, collections::BTreeSet};

use nepho_common::{
    event::Subject,
    id::InstanceId,
    plan::{Plan, PlannedStage, PlannedStep, Route},
    recording::Outcome,
};
use outcome::{is_about_the_way, remedy, sentence};
use pattern::{Pattern, pattern};
pub(super) use slowest::{slow, slowest};
use symptoms::Scene;

use super::{
    measured::Measurements,
    model::Priority,
    said::{Said, said},
    sample::{PathSample, Sample, is_failure},
    tuple::from,
    verdict::how,
    witnessed::Witnessed,
};

/// Why, what to do, how soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) cause: Said,
    pub(super) remedy: Said,
    pub(super) priority: Priority,
}

impl Cause {
    pub(super) const fn new(priority: Priority, cause: Said, remedy: Said) -> Self {
        Self {
            cause,
            remedy,
            priority,
        }
    }
}

/// A cause that is told by evidence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) cause: Said,
    pub(super) remedy: Said,
}

const fn told(cause: Said, remedy: Said) -> Told {
    Told { cause, remedy }
}

/// How many offenders are named; the rest is counted.
const NAMED: usize = 5;

/// What lies behind failures.
pub(super) struct Failures<'a> {
    pub(super) plan: &'a Plan,
    pub(super) measurements: &'a Measurements,
    pub(super) witnessed: &'a Witnessed,
    pub(super) stage: &'a PlannedStage,
    pub(super) step: &'a PlannedStep,
}

impl Failures<'_> {
    /// The likely cause of the failures in `sample`.
    pub(super) fn cause(&self, sample: &Sample<'_>) -> Cause {
        let mut worst: Vec<_> = sample
            .paths
            .iter()
            .filter(|path| path.failures() > 0)
            .collect();
        worst.sort_by_key(|path| (Reverse(path.failures()), &path.path.to, &path.path.agent));
        let Some(first) = worst.first() else {
            return Cause::new(
                Priority::Medium,
                said!(
                    "No request failed, and yet too few succeeded.",
                    "没有请求失败，但成功的仍然太少。"
                ),
                said!("Look at the journal.", "请查看运行日志。"),
            );
        };
        let kinds: BTreeSet<Outcome> = sample
            .outcomes
            .iter()
            .filter(|(outcome, n)| is_failure(**outcome) && **n > 0)
            .map(|(outcome, _)| *outcome)
            .collect();
        let elsewhere = self.elsewhere(first);
        let target = self.target(first, &worst);
        let told = self.told(first, &address(first));
        let text = match (kinds.first(), &told) {
            (Some(_), Some(told)) if kinds.len() == 1 => told.cause.clone(),
            (Some(&only), None) if kinds.len() == 1 => sentence(only, &target),
            (_, told) => {
                let how = how(&sample.outcomes);
                let several = said!(
                    "Requests to {target} failed in several ways{how}.",
                    "发往 {target} 的请求以多种方式失败{how}。";
                    target, how
                );
                let most = told.as_ref().map_or_else(Said::default, |told| {
                    let (to, why) = (&first.path.to, &told.cause);
                    said!("Most of those to {to}: {why}", "其中发往 {to} 的大多是：{why}"; why)
                });
                Said::sentences([several, most])
            }
        };
        let timed = self.pattern(first).map(|found| found.told(&first.path.to));
        let pattern = timed.as_ref().map(|timed| timed.cause.clone());
        let offenders = self.offenders(&worst);
        let offenders = said!("{offenders}.", "{offenders}。"; offenders);
        let text = [pattern.unwrap_or_default(), text, offenders];
        let text = Said::sentences(text.into_iter().chain([elsewhere.sentence(first)]));
        let kind = kinds.first().filter(|_| kinds.len() == 1);
        let down = worst.iter().any(|path| path.failures() == path.observed());
        Cause {
            cause: text,
            remedy: timed.or(told).map_or_else(
                || self.remedy(kind.copied(), first, &elsewhere),
                |told| told.remedy,
            ),
            priority: if down {
                Priority::High
            } else {
                Priority::Medium
            },
        }
    }

    /// What the evidence says of the path that failed most.
    fn told(&self, first: &PathSample<'_>, target: &str) -> Option<Told> {
        let failed = first.outcomes.iter().filter(|(one, _)| is_failure(**one));
        let (outcome, _) = failed.max_by_key(|(one, n)| (**n, Reverse(**one)))?;
        symptoms::cause(&Scene {
            plan: self.plan,
            witnessed: self.witnessed,
            measurements: self.measurements,
            stage: self.stage,
            step: self.step,
            path: first.path,
            outcome: *outcome,
            target,
        })
    }

    /// How the failures of a path lie in time.
    fn pattern(&self, of: &PathSample<'_>) -> Option<Pattern> {
        let subject = Subject {
            stage: self.stage.name.clone(),
            step: self.step.name.clone(),
            to: of.path.to.clone(),
        };
        let every = self.step.act.probe()?.every;
        let succeeded = of.outcomes.get(&Outcome::Success).copied();
        let counts = (of.failures(), succeeded.unwrap_or_default());
        let runs = self.witnessed.runs_of(&of.path.agent, &subject);
        pattern(runs, every, counts)
    }

    /// `local → tencent/dao-api/1 failed 10 of 10, …, and 3 more`.
    fn offenders(&self, worst: &[&PathSample<'_>]) -> Said {
        let one = |path: &&PathSample<'_>| {
            let (here, to) = (from(self.plan, &path.path.agent), &path.path.to);
            let (failed, n) = (path.failures(), path.observed());
            said!(
                "{here} → {to}: {failed} of {n} failed",
                "{here} → {to}：{n} 次中失败 {failed} 次"
            )
        };
        let mut named: Vec<_> = worst.iter().take(NAMED).map(one).collect();
        named.extend(more(worst.len().saturating_sub(NAMED)));
        Said::clauses(named)
    }

    fn target(&self, first: &PathSample<'_>, worst: &[&PathSample<'_>]) -> Said {
        let addresses: BTreeSet<_> = worst.iter().map(|path| address(path)).collect();
        let address = address(first);
        match addresses.len() {
            1 => Said::as_is(address),
            n => {
                let more = n - 1;
                said!("{address} and {more} more", "{address} 等 {n} 处")
            }
        }
    }

    fn remedy(&self, kind: Option<Outcome>, first: &PathSample<'_>, elsewhere: &Elsewhere) -> Said {
        let (to, here) = (&first.path.to, from(self.plan, &first.path.agent));
        if elsewhere.is_reachable() && kind.is_some_and(is_about_the_way) {
            let there = list(&elsewhere.reached);
            return said!(
                "Compare the address of {to} that the fleet file declares for {here} with the one \
                 for {there}, and look at firewalls and security groups in between.",
                "请比较服务清单中 {to} 供 {here} 使用的地址与供 {there} 使用的地址，\
                 并检查沿途的防火墙和安全组。";
                there
            );
        }
        remedy(kind, to, &here)
    }

    /// How the same instance fares from other environments.
    fn elsewhere(&self, first: &PathSample<'_>) -> Elsewhere {
        let here = from(self.plan, &first.path.agent);
        let others = self
            .step
            .act
            .to()
            .iter()
            .filter(|path| path.to == first.path.to && from(self.plan, &path.agent) != here);
        let all = Sample::of(self.measurements, self.stage, self.step, others);
        let mut elsewhere = Elsewhere {
            here,
            ..Elsewhere::default()
        };
        for path in &all.paths {
            let there = from(self.plan, &path.path.agent);
            if path.observed() == 0 {
                continue;
            } else if path.failures() == 0 {
                elsewhere.reached.insert(there);
            } else if path.failures() == path.observed() {
                elsewhere.failed.insert(there);
            }
        }
        elsewhere
    }
}

#[derive(Default)]
struct Elsewhere {
    here: String,
    reached: BTreeSet<String>,
    failed: BTreeSet<String>,
}

impl Elsewhere {
    fn is_reachable(&self) -> bool {
        !self.reached.is_empty()
    }

    fn sentence(&self, first: &PathSample<'_>) -> Said {
        let (to, here): (&InstanceId, _) = (&first.path.to, &self.here);
        if self.is_reachable() {
            let there = list(&self.reached);
            return if first.failures() == first.observed() {
                said!(
                    "{to} is reachable from {there} but not from {here}.",
                    "从 {there} 可以到达 {to}，从 {here} 却不能。";
                    there
                )
            } else {
                said!("From {there} {to} never failed.", "从 {there} 访问 {to} 从未失败。"; there)
            };
        }
        if self.failed.is_empty() {
            return Said::default();
        }
        let there = list(&self.failed);
        said!("{to} fails from {there} as well.", "从 {there} 访问 {to} 同样失败。"; there)
    }
}

fn list(names: &BTreeSet<String>) -> Said {
    Said::list(names.iter().map(Said::as_is))
}

/// How many more there are than are named.
fn more(n: usize) -> Option<Said> {
    (n > 0).then(|| said!("and {n} more", "另有 {n} 处"))
}

fn address(path: &PathSample<'_>) -> String {
    match &path.path.route {
        Route::Ask { check, .. } => check.address(),
        Route::NoPath => path.path.to.to_string(),
    }
}
