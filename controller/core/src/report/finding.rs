//! One finding for each tuple of each expectation of the plan, whatever was seen.

mod climb;
mod crowded;
mod hog;
mod same;
mod spread;
mod used;
mod why;

use std::collections::BTreeMap;

use nepho_common::{
    event::{RunEnd, Skip},
    plan::{Act, Expectation, Judge, Plan, PlannedStage, PlannedStep, Window},
    time::Nanos,
};

use self::{climb::Climb, spread::Spread};
use super::{
    cause::Cause,
    doubts::{Code, Doubts},
    fold::Folded,
    measured::Measurements,
    missing,
    model::{Expected, Finding, Observed, Priority, Steady, Uncertainty, Verdict},
    readings::Limits,
    said::{Said, said},
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
    let again = said!("Run it again.", "请重新运行。");
    let stopped = || {
        said!(
            "The run was stopped before the stage began.",
            "运行在该阶段开始之前被停止。"
        )
    };
    Some(match folded.story.skipped.get(&stage.name) {
        Some(Skip::After(before)) => Cause::new(
            low,
            said!(
                "The stage was skipped, because stage {before} did not pass.",
                "该阶段被跳过，因为阶段 {before} 没有通过。"
            ),
            said!(
                "Mend stage {before} first, or run with --keep-going.",
                "请先解决阶段 {before} 的问题，或加上 --keep-going 运行。"
            ),
        ),
        Some(Skip::Stopped) => Cause::new(low, stopped(), again),
        Some(Skip::NotReady(why)) => Cause::new(
            medium,
            said!(
                "The agents of the stage could not be made ready: {why}.",
                "该阶段的探针未能就绪：“{why}”。"
            ),
            said!(
                "Look at the agents with nepho agents ls, then run it again.",
                "请用 `nepho agents ls` 查看探针，然后重新运行。"
            ),
        ),
        None if folded.story.ordered.contains_key(&stage.name) => return None,
        // The journal may have lost the order but not the results.
        None if folded.measurements.knows(&stage.name) => return None,
        None => {
            let why = match &folded.story.ended {
                Some((RunEnd::Completed, _)) => said!(
                    "The run ended without this stage.",
                    "运行结束时没有执行该阶段。"
                ),
                Some((RunEnd::Stopped(_), _)) => stopped(),
                Some((RunEnd::Failed(_), _)) => said!(
                    "The run broke before the stage began.",
                    "运行在该阶段开始之前中断。"
                ),
                None => said!(
                    "The journal ends before the stage began.",
                    "运行日志在该阶段开始之前就结束了。"
                ),
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
            let on = &self.expectation.on;
            let cause = Cause::new(
                Priority::High,
                said!(
                    "The plan judges step {on}, but has none.",
                    "计划要判定步骤 {on}，但其中没有这个步骤。"
                ),
                said!(
                    "This is a mistake of ours: report it.",
                    "这是 Nephoscope 的错误，请报告给我们。"
                ),
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
        let (mut measurements, sound) = self.measured(self.expectation.during);
        let span = self.expectation.during.span(self.stage.lasts);
        let sample_of = |from| {
            let paths = tuple.paths.iter().copied();
            Sample::within(from, self.stage, step, span, paths)
        };
        let mut sample = sample_of(measurements);
        if sample.samples().planned == 0 {
            return self.unmeasured(tuple, Verdict::NotRun, Some(self.nothing_planned(&sample)));
        }
        if let Judge::Distribution {
            over,
            decides_on,
            members,
            tolerance,
            confidence,
        } = &self.expectation.judge
        {
            let spread = Spread {
                over,
                decides_on: *decides_on,
                members,
                tolerance: *tolerance,
                confidence: *confidence,
            };
            return self.judge_spread(spread, step, tuple, &sample);
        }
        if let Judge::Same { fact } = &self.expectation.judge {
            return self.judge_same(fact, step, tuple, &sample);
        }
        if let Judge::Concurrency {
            min,
            latency,
            success_rate,
        } = &self.expectation.judge
        {
            let limits = Climb {
                min: *min,
                latency: *latency,
                success_rate: *success_rate,
            };
            return self.judge_climb(limits, step, tuple, &sample, doubts);
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
            self.put(&mut finding, disturbed);
        } else if judged.verdict == Verdict::Pass && !spoiled.is_empty() {
            judged.verdict = Verdict::Inconclusive;
            self.put(&mut finding, Some(distrusted(spoiled)));
        } else {
            let cause = self.cause(measurements, step, &sample, &judged);
            self.put(&mut finding, cause);
        }
        finding.verdict = judged.verdict;
        finding.samples = sample.samples();
        let lang = self.folded.lang;
        let (text, observed) = judged.observed;
        finding.observed = Observed {
            text: text.into_text(lang),
            ..observed
        };
        finding.uncertainty = judged.uncertainty.map(|(text, known)| Uncertainty {
            text: text.into_text(lang),
            ..known
        });
        finding.agents = sample.agents();
        finding.evidence = sample.evidence();
        self.doubt(&finding, step, &sample, doubts);
        finding
    }

    /// What was measured in a part of the stage that is judged, and what of it is sound.
    fn measured(&self, during: Window) -> (&Measurements, Option<&Measurements>) {
        let folded = self.folded;
        let key = (self.stage.name.clone(), during);
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
            | Judge::Certificate { .. }
            | Judge::Concurrency { .. }
            | Judge::Throughput { .. }) => judge.kind().to_owned(),
            Judge::Resource { name, .. } => format!("resource.{name}"),
            Judge::Distribution { over, .. } => format!("distribution.{over}"),
            Judge::Same { fact } => format!("same.{fact}"),
        };
        let during = self.expectation.during;
        let (kind, steady) = match during {
            Window::Stage | Window::Baseline | Window::Warm(_) | Window::Stair { .. } => {
                (kind, None)
            }
            Window::Before(_) => (format!("before.{kind}"), Some(Steady::Before)),
            Window::After(_) => (format!("after.{kind}"), Some(Steady::After)),
        };
        let (text, expected) = verdict::expected(&self.expectation.judge);
        let (from, to) = during.span(self.stage.lasts);
        let text = match steady {
            Some(Steady::Before) => said!("{text} in the first {to}", "前 {to} 内{text}"; text),
            Some(Steady::After) => {
                let last = Nanos(to.0.saturating_sub(from.0));
                said!("{text} in the last {last}", "最后 {last} 内{text}"; text)
            }
            None => text,
        };
        let lang = self.folded.lang;
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
            expected: Expected {
                text: text.into_text(lang),
                ..expected
            },
            steady,
            observed: Observed {
                text: said!("nothing was measured", "没有任何测量结果").into_text(lang),
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
        self.put(&mut finding, cause);
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
            let (none, to) = (sample.no_path.len(), &path.to);
            let all = none + sample.paths.len();
            let here = from(self.plan, &path.agent);
            let text = said!(
                "{none} of {all} paths were left out, because the fleet declares no address of {to} \
                 for {here}",
                "{all} 条路径中有 {none} 条未计入，因为服务清单没有为 {here} 声明 {to} 的地址"
            );
            doubts.add(Code::NoPath, &finding.id, text);
        }
        if finding.verdict == Verdict::Pass && finding.samples.missing > 0 {
            let why = missing::sentence(self.folded, self.stage, &step.name, sample);
            let text = said!(
                "it would pass even if all that is missing were bad. {why}",
                "即使缺失的全部失败，它仍会通过。{why}";
                why
            );
            doubts.add(Code::PassedWithout, &finding.id, text);
        }
    }

    fn put(&self, finding: &mut Finding, cause: Option<Cause>) {
        let lang = self.folded.lang;
        finding.priority = cause.as_ref().map(|cause| cause.priority);
        finding.remedy = cause.as_ref().map(|cause| cause.remedy.of(lang).to_owned());
        finding.cause = cause.map(|cause| cause.cause.into_text(lang));
    }
}

/// Why a pass is none: somebody's records can't be believed.
fn distrusted(why: Said) -> Cause {
    let remedy = said!(
        "Look at the journal of that agent, then run it again.",
        "请查看该探针的运行日志，然后重新运行。"
    );
    Cause::new(Priority::Medium, why, remedy)
}
