//! What is likely behind a verdict that is not a pass, and what to do about it. Simple rules over
//! how requests ended and who else reached the same instance.

mod answer;
mod pattern;
mod slow;
mod symptoms;
#[cfg(test)]
mod twins;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use nepho_common::{
    event::Subject,
    id::InstanceId,
    plan::{Plan, PlannedStage, PlannedStep, Route},
    recording::Outcome,
    time::{Nanos, RunTime},
};
use pattern::{Pattern, pattern};
use slow::Views;
use symptoms::Scene;

use super::{
    measured::Measurements,
    model::Priority,
    sample::{PathSample, Sample, is_failure},
    tuple::from,
    verdict::how,
    witnessed::Witnessed,
};

/// Why, what to do, how soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) cause: String,
    pub(super) remedy: String,
    pub(super) priority: Priority,
}

impl Cause {
    pub(super) fn new(
        priority: Priority,
        cause: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            cause: cause.into(),
            remedy: remedy.into(),
            priority,
        }
    }
}

/// A cause that is told by evidence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) cause: String,
    pub(super) remedy: String,
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
            let text = "No request failed, and yet too few succeeded.";
            return Cause::new(Priority::Medium, text, "Look at the journal.");
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
        let mut text = match (kinds.first(), &told) {
            (Some(_), Some(told)) if kinds.len() == 1 => told.cause.clone(),
            (Some(&only), None) if kinds.len() == 1 => sentence(only, &target),
            (_, told) => {
                let how = how(&sample.outcomes);
                let mut text = format!("Requests to {target} failed in several ways{how}.");
                if let Some(told) = told {
                    text.push_str(&format!(
                        " Most of those to {}: {}",
                        first.path.to, told.cause
                    ));
                }
                text
            }
        };
        let timed = self.pattern(first).map(|found| timed(&found, first));
        if let Some(timed) = &timed {
            text = format!("{} {text}", timed.cause);
        }
        text.push_str(&format!(" {}.", self.offenders(&worst)));
        text.push_str(&elsewhere.sentence(first));
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
    fn offenders(&self, worst: &[&PathSample<'_>]) -> String {
        let one = |path: &&PathSample<'_>| {
            format!(
                "{} → {}: {} of {} failed",
                from(self.plan, &path.path.agent),
                path.path.to,
                path.failures(),
                path.observed()
            )
        };
        let mut named: Vec<_> = worst.iter().take(NAMED).map(one).collect();
        if worst.len() > NAMED {
            named.push(format!("and {} more", worst.len() - NAMED));
        }
        named.join("; ")
    }

    fn target(&self, first: &PathSample<'_>, worst: &[&PathSample<'_>]) -> String {
        let addresses: BTreeSet<_> = worst.iter().map(|path| address(path)).collect();
        match addresses.len() {
            1 => address(first),
            n => format!("{} and {} more", address(first), n - 1),
        }
    }

    fn remedy(
        &self,
        kind: Option<Outcome>,
        first: &PathSample<'_>,
        elsewhere: &Elsewhere,
    ) -> String {
        let (to, here) = (&first.path.to, from(self.plan, &first.path.agent));
        if elsewhere.is_reachable() && kind.is_some_and(is_about_the_way) {
            return format!(
                "Compare the address of {to} that the fleet file declares for {here} with the one \
                 for {}, and look at firewalls and security groups in between.",
                list(&elsewhere.reached)
            );
        }
        match kind {
            Some(Outcome::Refused) => {
                format!("Start {to}, or correct its address in the fleet file.")
            }
            Some(Outcome::Timeout) => format!(
                "Look whether {to} is stuck or overloaded, and whether a firewall drops packets \
                 from {here}."
            ),
            Some(Outcome::Unreachable) => {
                format!("Check routes and addresses between {here} and {to}.")
            }
            Some(Outcome::Resolve) => format!(
                "Correct the host name of {to} in the fleet file, or the name servers of {here}."
            ),
            Some(Outcome::Tls) => {
                format!("Check the certificate of {to}: its names, its dates, and who signed it.")
            }
            Some(Outcome::Reset) => {
                format!("Read the log of {to} and of any proxy before it: it cuts connections.")
            }
            Some(Outcome::Status) => format!(
                "Read the log of {to}, and compare the path and the expected status in the fleet \
                 file with what the service offers."
            ),
            Some(Outcome::Content) => {
                format!("Compare the version of {to} with the one that is expected.")
            }
            Some(Outcome::Protocol) => {
                format!("Check that the port of {to} is the one that speaks this protocol.")
            }
            Some(Outcome::Success | Outcome::OurSide) | None => {
                format!("Begin with the log of {to}: it has the most failures.")
            }
        }
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

/// What it means that failures lie like this in time.
fn timed(found: &Pattern, of: &PathSample<'_>) -> Told {
    let to = &of.path.to;
    match found {
        Pattern::Once(down) => Told {
            cause: format!(
                "{to} was down once, from {} to {}, and came back.",
                Nanos(down.from.since(RunTime(0)).0),
                Nanos(down.to.since(RunTime(0)).0)
            ),
            remedy: format!(
                "Read the log of {to} of that time: what took it away, and for how long."
            ),
        },
        Pattern::Flaps {
            times,
            first,
            shortest,
            longest,
        } => {
            let lasted = if shortest == longest {
                format!("{longest}")
            } else {
                format!("{shortest} to {longest}")
            };
            Told {
                cause: format!(
                    "{to} flaps: it went down {times} times, for {lasted} each, and came back in between."
                ),
                remedy: format!(
                    "Read the log of {to}, and of whoever starts it and watches its health, from {} on: a \
                     crash loop, memory that runs out, or a health check that is too strict.",
                    Nanos(first.since(RunTime(0)).0)
                ),
            }
        }
        Pattern::Scattered { longest } => Told {
            cause: format!(
                "Failures of {to} are scattered, never more than {longest} in a row: single requests \
                 fail, not {to} for a time."
            ),
            remedy: format!(
                "Look whether {to} is several behind one address, of which one is broken, or whether it \
                 runs out of something under load, such as connections."
            ),
        },
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

    fn sentence(&self, first: &PathSample<'_>) -> String {
        let to: &InstanceId = &first.path.to;
        if self.is_reachable() {
            let (there, here) = (list(&self.reached), &self.here);
            return if first.failures() == first.observed() {
                format!(" {to} is reachable from {there} but not from {here}.")
            } else {
                format!(" From {there} {to} never failed.")
            };
        }
        if self.failed.is_empty() {
            return String::new();
        }
        format!(" {to} fails from {} as well.", list(&self.failed))
    }
}

fn list(names: &BTreeSet<String>) -> String {
    names
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Failures that may lie on the way rather than in the service.
const fn is_about_the_way(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Refused
        | Outcome::Timeout
        | Outcome::Unreachable
        | Outcome::Resolve
        | Outcome::Tls
        | Outcome::Reset => true,
        Outcome::Success
        | Outcome::Status
        | Outcome::Content
        | Outcome::Protocol
        | Outcome::OurSide => false,
    }
}

fn sentence(outcome: Outcome, target: &str) -> String {
    match outcome {
        Outcome::Refused => format!("Nothing listens at {target}."),
        Outcome::Timeout => format!("Nothing came back in time from {target}."),
        Outcome::Unreachable => format!("The network knows no way to {target}."),
        Outcome::Resolve => format!("The host name of {target} could not be resolved."),
        Outcome::Tls => format!("The TLS handshake with {target} failed."),
        Outcome::Reset => format!("The connection to {target} was cut."),
        Outcome::Status => format!("{target} answered with a status that was not asked for."),
        Outcome::Content => format!("{target} answered with content that was not asked for."),
        Outcome::Protocol => format!("What {target} answered does not follow the protocol."),
        Outcome::Success | Outcome::OurSide => format!("Requests to {target} failed."),
    }
}

fn address(path: &PathSample<'_>) -> String {
    match &path.path.route {
        Route::Ask { check, .. } => check.address(),
        Route::NoPath => path.path.to.to_string(),
    }
}

/// What makes the slowest path slow, if the evidence tells.
pub(super) fn slow(
    plan: &Plan,
    measurements: &Measurements,
    stage: &PlannedStage,
    step: &PlannedStep,
    sample: &Sample<'_>,
) -> Option<Told> {
    let seen = sample.paths.iter().map(|one| {
        let response = Sample::of(measurements, stage, step, [one.path]).response;
        let by = (
            response.quantile(1, 2),
            Reverse((&one.path.to, &one.path.agent)),
        );
        (by, one.path)
    });
    let (_, slowest) = seen.max_by_key(|(by, _)| *by)?;
    Views::of(plan, measurements, stage, slowest).cause(slowest)
}

/// Which paths are slowest, for a latency that is too high.
pub(super) fn slowest(
    plan: &Plan,
    measurements: &Measurements,
    stage: &PlannedStage,
    step: &PlannedStep,
    sample: &Sample<'_>,
) -> String {
    let mut by_path: BTreeMap<(Reverse<u64>, &InstanceId), String> = BTreeMap::new();
    for path in &sample.paths {
        let one = Sample::of(measurements, stage, step, [path.path]);
        if let (Some(p50), Some(max)) = (one.response.quantile(1, 2), one.response.max()) {
            let text = format!(
                "{} → {}: p50 {p50}, max {max}",
                from(plan, &path.path.agent),
                path.path.to
            );
            by_path.insert((Reverse(max.0), &path.path.to), text);
        }
    }
    let more = by_path.len().saturating_sub(NAMED);
    let mut named: Vec<_> = by_path.into_values().take(NAMED).collect();
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    named.join("; ")
}
