//! One finding for each tuple of each expectation of the plan, whatever was seen.

mod same;
mod used;
mod why;

use std::collections::BTreeMap;

use nepho_common::{
    event::{RunEnd, Skip},
    plan::{Act, Expectation, Judge, Plan, PlannedStage, PlannedStep, Window},
    time::Nanos,
};

use super::{
    cause::Cause,
    doubts::{Code, Doubts},
    fold::Folded,
    measured::Measurements,
    missing,
    model::{Finding, Observed, Priority, Steady, Verdict},
    readings::Limits,
    sample::Sample,
    tuple::{Tuple, from, tuples},
    verdict,
};

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
        let not_begun = not_begun(self.folded, self.stage);
        if let (Act::Watch(watch), Judge::Resource { name, max, min }) =
            (&step.act, &self.expectation.judge)
        {
            let limits = Limits {
                name: name.as_str(),
                max: *max,
                min: *min,
            };
            return self.judge_hosts(step, watch, limits, not_begun.as_ref());
        }
        let tuples = tuples(self.plan, step, &self.expectation.by);
        if let Some(cause) = not_begun {
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
        if let Judge::Same { fact } = &self.expectation.judge {
            return self.judge_same(fact, step, tuple, &sample);
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
            Judge::Resource { name, .. } => format!("resource.{name}"),
            Judge::Same { fact } => format!("same.{fact}"),
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

fn put(finding: &mut Finding, cause: Option<Cause>) {
    finding.priority = cause.as_ref().map(|cause| cause.priority);
    finding.remedy = cause.as_ref().map(|cause| cause.remedy.clone());
    finding.cause = cause.map(|cause| cause.cause);
}
