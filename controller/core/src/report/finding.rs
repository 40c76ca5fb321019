//! One finding for each tuple of each expectation of the plan, whatever was seen.

use std::collections::BTreeMap;

use nepho_common::{
    event::{RunEnd, Skip},
    id::{AgentId, InstanceId},
    plan::{Expectation, Judge, Plan, PlannedStage, PlannedStep, Window},
    time::Nanos,
};

use super::{
    cause::{Cause, Failures, slowest},
    coverage::Proof,
    doubts::{Code, Doubts},
    fold::Folded,
    measured::Measurements,
    missing,
    model::{Finding, Observed, Priority, Steady, Verdict},
    sample::Sample,
    tuple::{Tuple, from, tuples},
    verdict::{self, Ground, Judged, ends_before},
};
use crate::scenario::LASTS;

/// A finding, and whether it holds later stages back.
#[derive(Debug)]
pub(super) struct JudgedFinding {
    pub(super) finding: Finding,
    pub(super) gate: bool,
}

/// Everything the plan expects, judged, in the order of the plan.
pub(super) fn findings(folded: &Folded, doubts: &mut Doubts) -> Vec<JudgedFinding> {
    let Some(plan) = &folded.plan else {
        return Vec::new();
    };
    let mut all: Vec<JudgedFinding> = Vec::new();
    let mut ids: BTreeMap<String, u64> = BTreeMap::new();
    for stage in &plan.stages {
        for expectation in &stage.expectations {
            let place = Place {
                folded,
                plan,
                stage,
                expectation,
            };
            for mut finding in place.judge(doubts) {
                // Two expectations of one kind on one step, for example a soft and a hard bound.
                let times = ids.entry(finding.id.clone()).or_default();
                *times += 1;
                if *times > 1 {
                    finding.id.push_str(&format!("#{times}"));
                }
                let gate = expectation.gate;
                all.push(JudgedFinding { finding, gate });
            }
        }
    }
    all
}

/// Why a stage was not begun, and how soon to look into it. `None` when it was begun.
pub(super) fn not_begun(folded: &Folded, stage: &PlannedStage) -> Option<Cause> {
    let (low, medium) = (Priority::Low, Priority::Medium);
    let again = "Run it again.";
    Some(match folded.story.skipped.get(&stage.name) {
        Some(Skip::After(before)) => Cause::new(
            low,
            format!("The stage was skipped, because stage {before} did not pass."),
            format!("Mend stage {before} first, or run with --keep-going."),
        ),
        Some(Skip::Stopped) => {
            Cause::new(low, "The run was stopped before the stage began.", again)
        }
        Some(Skip::NotReady(why)) => Cause::new(
            medium,
            format!("The agents of the stage could not be made ready: {why}."),
            "Look at the agents with nepho agents ls, then run it again.",
        ),
        None if folded.story.ordered.contains_key(&stage.name) => return None,
        // The journal may have lost the order but not the results.
        None if folded.measurements.knows(&stage.name) => return None,
        None => {
            let why = match &folded.story.ended {
                Some((RunEnd::Completed, _)) => "The run ended without this stage.",
                Some((RunEnd::Stopped(_), _)) => "The run was stopped before the stage began.",
                Some((RunEnd::Failed(_), _)) => "The run broke before the stage began.",
                None => "The journal ends before the stage began.",
            };
            Cause::new(low, why, again)
        }
    })
}

/// Where in the plan we are.
struct Place<'a> {
    folded: &'a Folded,
    plan: &'a Plan,
    stage: &'a PlannedStage,
    expectation: &'a Expectation,
}

impl Place<'_> {
    fn judge(&self, doubts: &mut Doubts) -> Vec<Finding> {
        let step = self
            .stage
            .steps
            .iter()
            .find(|step| step.name == self.expectation.on);
        let Some(step) = step else {
            let text = format!(
                "The plan judges step {}, but has none.",
                self.expectation.on
            );
            let cause = Cause::new(
                Priority::High,
                text,
                "This is a mistake of ours: report it.",
            );
            let nobody = Tuple {
                values: Vec::new(),
                paths: Vec::new(),
            };
            return vec![self.unmeasured(&nobody, Verdict::Error, Some(cause))];
        };
        let tuples = tuples(self.plan, step, &self.expectation.by);
        if let Some(cause) = not_begun(self.folded, self.stage) {
            let not_run = |tuple| self.unmeasured(tuple, Verdict::NotRun, Some(cause.clone()));
            return tuples.iter().map(not_run).collect();
        }
        tuples
            .iter()
            .map(|tuple| self.judge_tuple(step, tuple, doubts))
            .collect()
    }

    fn judge_tuple(&self, step: &PlannedStep, tuple: &Tuple<'_>, doubts: &mut Doubts) -> Finding {
        let (mut measurements, sound) = self.measured();
        let span = self.expectation.during.span(self.stage.lasts);
        let sample_of = |from| {
            let paths = tuple.paths.iter().copied();
            Sample::within(from, self.stage, step, span, paths)
        };
        let mut sample = sample_of(measurements);
        if sample.samples().planned == 0 {
            return self.unmeasured(tuple, Verdict::NotRun, Some(self.nothing_planned(&sample)));
        }
        let mut judged = verdict::judge(&self.expectation.judge, &sample);
        let spoiled = self.spoiled(&sample);
        let disturbed = self.disturbed(&sample);
        let mut finding = self.unmeasured(tuple, judged.verdict, None);
        if let Some(sound) = sound.filter(|_| disturbed.is_some()) {
            // What was over before is enough to fail, however good the rest may have been.
            let before = sample_of(sound);
            let again = verdict::judge(&self.expectation.judge, &before);
            if again.verdict == Verdict::Fail {
                (measurements, sample, judged) = (sound, before, again);
            } else {
                judged.verdict = Verdict::Inconclusive;
            }
        }
        if judged.verdict == Verdict::Inconclusive && disturbed.is_some() {
            put(&mut finding, disturbed);
        } else if judged.verdict == Verdict::Pass && !spoiled.is_empty() {
            judged.verdict = Verdict::Inconclusive;
            let remedy = "Look at the journal of that agent, then run it again.";
            put(
                &mut finding,
                Some(Cause::new(Priority::Medium, spoiled, remedy)),
            );
        } else {
            put(
                &mut finding,
                self.cause(measurements, step, &sample, &judged),
            );
        }
        finding.verdict = judged.verdict;
        finding.samples = sample.samples();
        finding.observed = judged.observed;
        finding.uncertainty = judged.uncertainty;
        finding.agents = sample.agents();
        finding.evidence = sample.evidence();
        self.doubt(&finding, step, &sample, doubts);
        finding
    }

    /// What was measured in the part of the stage that is judged, and what of it is sound.
    fn measured(&self) -> (&Measurements, Option<&Measurements>) {
        let folded = self.folded;
        let key = (self.stage.name.clone(), self.expectation.during);
        match folded.parts.get(&key) {
            Some(part) => (&part.measurements, part.sound.as_ref()),
            None => (&folded.measurements, folded.sound.as_ref()),
        }
    }

    fn unmeasured(&self, tuple: &Tuple<'_>, verdict: Verdict, cause: Option<Cause>) -> Finding {
        let kind = match &self.expectation.judge {
            Judge::Latency { quantile, .. } => format!("latency.{}", quantile.word()),
            judge @ (Judge::Failures { .. }
            | Judge::SuccessRate { .. }
            | Judge::Certificate { .. }) => judge.kind().to_owned(),
        };
        let during = self.expectation.during;
        let (kind, steady) = match during {
            Window::Stage | Window::Baseline => (kind, None),
            Window::Before(_) => (format!("before.{kind}"), Some(Steady::Before)),
            Window::After(_) => (format!("after.{kind}"), Some(Steady::After)),
        };
        let mut expected = verdict::expected(&self.expectation.judge);
        let (from, to) = during.span(self.stage.lasts);
        match steady {
            Some(Steady::Before) => expected.text += &format!(" in the first {to}"),
            Some(Steady::After) => {
                let last = Nanos(to.0.saturating_sub(from.0));
                expected.text += &format!(" in the last {last}");
            }
            None => {}
        }
        let (stage, step) = (&self.stage.name, &self.expectation.on);
        let mut id = format!("{stage}/{step}/{kind}");
        for (_, value) in &tuple.values {
            id.push('/');
            id.push_str(value);
        }
        let mut finding = Finding {
            id,
            stage: stage.clone(),
            step: step.clone(),
            kind,
            on: tuple.values.iter().cloned().collect(),
            verdict,
            expected,
            steady,
            observed: Observed {
                text: "nothing was measured".to_owned(),
                ..Observed::default()
            },
            uncertainty: None,
            samples: Sample::default().samples(),
            agents: Vec::new(),
            cause: None,
            remedy: None,
            priority: None,
            evidence: Vec::new(),
        };
        put(&mut finding, cause);
        finding
    }

    fn nothing_planned(&self, sample: &Sample<'_>) -> Cause {
        let Some(first) = sample.no_path.first() else {
            let text = "The plan holds no request for it.";
            return Cause::new(Priority::Low, text, "Let the stage last longer.");
        };
        let mut here: Vec<_> = sample
            .no_path
            .iter()
            .map(|path| from(self.plan, &path.agent))
            .collect();
        here.sort();
        here.dedup();
        let here = here.join(", ");
        Cause::new(
            Priority::Low,
            format!(
                "No path from {here}: the fleet declares no address of {} for it.",
                first.to
            ),
            format!("Declare an address for {here} in the fleet file, if there is one."),
        )
    }

    /// What takes away the right to a pass: somebody's records can't be believed.
    fn spoiled(&self, sample: &Sample<'_>) -> String {
        let mut why = Vec::new();
        for agent in sample.agents() {
            if self.folded.contested.contains(&agent) {
                why.push(format!("One record of {agent} exists with two contents."));
            }
            match self.folded.proofs.of(&agent, &self.stage.name) {
                Proof::Differs(how) => {
                    why.push(format!(
                        "What is stored of {agent} is not what it sealed: {how}."
                    ));
                }
                Proof::Complete | Proof::NoSeal => {}
            }
        }
        if let Some(path) = sample.surplus().next() {
            let (agent, to) = (&path.path.agent, &path.path.to);
            why.push(format!(
                "{agent} reported more requests to {to} than were planned."
            ));
        }
        why.join(" ")
    }

    /// Whose clock stood still while the stage ran: what it saw from then on is nothing to judge by.
    fn disturbed(&self, sample: &Sample<'_>) -> Option<Cause> {
        let story = &self.folded.story;
        let of = |agent: &AgentId| {
            let spoilt = story.disturbed.spoilt(story, self.stage, agent)?;
            Some((agent.to_string(), spoilt.why))
        };
        let found: Vec<_> = sample.agents().iter().filter_map(of).collect();
        let (first, _) = found.first()?;
        let remedy = format!(
            "Keep the host of {first} from sleeping or being paused while it measures, then run it \
             again."
        );
        let why = found.iter().map(|(agent, why)| format!("{agent}: {why}."));
        let text = format!(
            "What was measured can't be judged by. {}",
            why.collect::<Vec<_>>().join(" ")
        );
        Some(Cause::new(Priority::Medium, text, remedy))
    }

    fn cause(
        &self,
        measurements: &Measurements,
        step: &PlannedStep,
        sample: &Sample<'_>,
        judged: &Judged,
    ) -> Option<Cause> {
        let folded = self.folded;
        let medium = Priority::Medium;
        Some(match judged.ground {
            Ground::Met => return None,
            Ground::Failures | Ground::NothingSucceeded => {
                let mut cause = Failures {
                    plan: self.plan,
                    measurements,
                    witnessed: &folded.story.witnessed,
                    stage: self.stage,
                    step,
                }
                .cause(sample);
                if judged.ground == Ground::NothingSucceeded {
                    cause.cause = format!("No request succeeded. {}", cause.cause);
                }
                cause
            }
            Ground::Slow | Ground::Fast => {
                let word = if judged.ground == Ground::Slow {
                    "slower"
                } else {
                    "faster"
                };
                let slowest = slowest(self.plan, measurements, self.stage, step, sample);
                Cause::new(
                    medium,
                    format!("It is {word} than expected. {slowest}."),
                    "Compare with the distance between the environments in the matrix: if only one \
                     service is out of line look there, if all are, look at the network.",
                )
            }
            Ground::Missing => Cause::new(
                medium,
                missing::sentence(folded, self.stage, &step.name, sample),
                format!(
                    "Find out what became of {}, then run it again.",
                    missing::whose(sample).join(" and ")
                ),
            ),
            Ground::TooFew { had, needed } => Cause::new(
                medium,
                format!(
                    "{had} successes say too little: {} is judged from {needed} on.",
                    figure(&self.expectation.judge)
                ),
                longer(self.expectation.during, step, sample, needed),
            ),
            Ground::Unsure { enough } => Cause::new(
                medium,
                format!(
                    "{}: that shows neither that it is as expected nor that it is not.",
                    judged.observed.text
                ),
                match enough {
                    Some(enough) => longer(self.expectation.during, step, sample, enough),
                    None => "It lies too close to the bound: move the bound, or judge what was \
                             observed, without `confidence`."
                        .to_owned(),
                },
            ),
            Ground::Ending => ending(&self.expectation.judge, sample),
            Ground::NoCertificate => unseen(sample),
            Ground::LateSender { lag } => Cause::new(
                medium,
                format!(
                    "The measuring side was late: p99 of its send lag is {lag}. From the actual \
                     sending on, the answers came in time."
                ),
                "Give the agent's host more room, then run it again.",
            ),
            Ground::LagHidesMin { lag } => Cause::new(
                medium,
                format!(
                    "The measuring side was late: p99 of its send lag is {lag}, which makes \
                     answers look slower than they are."
                ),
                "Give the agent's host more room, then run it again.",
            ),
        })
    }

    fn doubt(
        &self,
        finding: &Finding,
        step: &PlannedStep,
        sample: &Sample<'_>,
        doubts: &mut Doubts,
    ) {
        if let Some(path) = sample.no_path.first() {
            let text = format!(
                "{} of {} paths were left out, because the fleet declares no address of {} for {}",
                sample.no_path.len(),
                sample.no_path.len() + sample.paths.len(),
                path.to,
                from(self.plan, &path.agent)
            );
            doubts.add(Code::NoPath, &finding.id, text);
        }
        if finding.verdict == Verdict::Pass && finding.samples.missing > 0 {
            let why = missing::sentence(self.folded, self.stage, &step.name, sample);
            let text = format!("it would pass even if all that is missing were bad. {why}");
            doubts.add(Code::PassedWithout, &finding.id, text);
        }
    }
}

/// What has to be enough of.
const fn figure(judge: &Judge) -> &'static str {
    match judge {
        Judge::Latency { quantile, .. } => quantile.word(),
        Judge::Failures { .. } | Judge::SuccessRate { .. } | Judge::Certificate { .. } => {
            judge.kind()
        }
    }
}

/// Whose certificates end too soon, the first to end before the others.
fn ending(judge: &Judge, sample: &Sample<'_>) -> Cause {
    let min = match judge {
        Judge::Certificate { min } => *min,
        Judge::Failures { .. } | Judge::SuccessRate { .. } | Judge::Latency { .. } => Nanos(0),
    };
    let mut soon: BTreeMap<&InstanceId, i64> = BTreeMap::new();
    for path in &sample.paths {
        if let Some(left) = path.certificate.filter(|left| ends_before(*left, min)) {
            let least = soon.entry(&path.path.to).or_insert(left);
            *least = left.min(*least);
        }
    }
    let mut soon: Vec<_> = soon.into_iter().collect();
    soon.sort_by_key(|(to, left)| (*left, *to));
    let ended = soon.first().is_some_and(|(_, left)| *left < 0);
    let more = soon.len().saturating_sub(NAMED);
    let more = if more > 0 {
        format!(", and {more} more end too soon")
    } else {
        String::new()
    };
    let told = soon.iter().take(NAMED);
    let told: Vec<_> = told
        .map(|(to, left)| format!("that of {to} {}", verdict::ending(*left)))
        .collect();
    Cause::new(
        if ended {
            Priority::High
        } else {
            Priority::Medium
        },
        format!("Certificates end: {}{more}.", told.join(", ")),
        "Renew them, and look why that was not done in time.",
    )
}

/// Of whom no certificate was seen.
fn unseen(sample: &Sample<'_>) -> Cause {
    let mut paths = sample
        .paths
        .iter()
        .filter(|path| path.shows_certificate() && path.certificate.is_none());
    let Some(first) = paths.next() else {
        return Cause::new(
            Priority::Medium,
            "Nothing that is asked here shows a certificate.",
            "Judge certificates of a step that asks over HTTPS.",
        );
    };
    let (agent, to) = (&first.path.agent, &first.path.to);
    let more = match paths.count() {
        0 => String::new(),
        more => format!(", nor on {more} more paths"),
    };
    Cause::new(
        Priority::Medium,
        format!("{agent} saw no certificate of {to}{more}."),
        "Look whether it answers at all; what fails before the handshake shows none.",
    )
}

/// How many are named; the rest is counted.
const NAMED: usize = 5;

/// What would give so many samples.
fn longer(during: Window, step: &PlannedStep, sample: &Sample<'_>, needed: u64) -> String {
    let every = step.act.probe().map_or(Nanos(0), |probe| probe.every);
    let rounds = needed.div_ceil((sample.paths.len() as u64).max(1));
    let lasts = Nanos(rounds.saturating_mul(every.0));
    if lasts > LASTS.1 {
        return format!(
            "It would take {lasts}, longer than a stage may last: ask more often, more targets or \
             from more agents, or expect less."
        );
    }
    if during.is_part() {
        return format!("Let `over` be {lasts} at least, or ask more often.");
    }
    format!("Let the stage last {lasts} at least, or ask more often.")
}

fn put(finding: &mut Finding, cause: Option<Cause>) {
    finding.priority = cause.as_ref().map(|cause| cause.priority);
    finding.remedy = cause.as_ref().map(|cause| cause.remedy.clone());
    finding.cause = cause.map(|cause| cause.cause);
}
