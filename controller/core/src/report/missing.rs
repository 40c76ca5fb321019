//! How much is missing, from whom, and why.

use std::collections::BTreeMap;

use nepho_common::{
    control::StopMode,
    event::StageEnd,
    id::{AgentId, StepName},
    plan::PlannedStage,
    time::{Interval, Nanos, RunTime},
};

use super::{
    coverage::Proof,
    fold::Folded,
    model::LostSpan,
    sample::{PathSample, Sample},
    story::span_text,
};

/// How much of an agent's part is missing.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Gap {
    pub(super) planned: u64,
    pub(super) missing: u64,
    pub(super) our_side: u64,
}

/// The gaps of a sample, by agent; agents without one are left out.
pub(super) fn gaps(sample: &Sample<'_>) -> BTreeMap<AgentId, Gap> {
    let mut gaps: BTreeMap<AgentId, Gap> = BTreeMap::new();
    for path in &sample.paths {
        gaps.entry(path.path.agent.clone()).or_default().add(path);
    }
    gaps.retain(|_, gap| gap.missing > 0);
    gaps
}

impl Gap {
    fn add(&mut self, path: &PathSample<'_>) {
        self.planned = self.planned.saturating_add(path.planned);
        self.missing = self.missing.saturating_add(path.missing());
        self.our_side = self.our_side.saturating_add(path.our_side());
    }
}

/// Of whom something is missing.
pub(super) fn whose(sample: &Sample<'_>) -> Vec<String> {
    gaps(sample).keys().map(ToString::to_string).collect()
}

/// One sentence: how many are missing, from whom, why.
pub(super) fn sentence(
    folded: &Folded,
    stage: &PlannedStage,
    step: &StepName,
    sample: &Sample<'_>,
) -> String {
    let samples = sample.samples();
    let by_agent = gaps(sample).into_iter().map(|(agent, gap)| {
        let why = reasons(folded, stage, Some(step), &agent, gap);
        format!("{} from {agent} ({why})", gap.missing)
    });
    let are = if samples.missing == 1 {
        "request is"
    } else {
        "requests are"
    };
    format!(
        "{} of {} planned {are} missing: {}.",
        samples.missing,
        samples.planned,
        by_agent.collect::<Vec<_>>().join(", ")
    )
}

/// Why something of `agent` is missing in `stage`; in all of its steps when `step` is `None`.
pub(super) fn reasons(
    folded: &Folded,
    stage: &PlannedStage,
    step: Option<&StepName>,
    agent: &AgentId,
    gap: Gap,
) -> String {
    let mut why = Vec::new();
    if let Some(refused) = folded.story.refused.get(agent) {
        why.push(format!("it refused: {refused}"));
    } else if folded.plan.is_some() && !folded.story.joined.contains_key(agent) {
        why.push("it never joined".to_owned());
    }
    if gap.our_side > 0 {
        why.push(format!("{} failed on the measuring side", gap.our_side));
    }
    let told = folded.story.told.get(&(agent.clone(), stage.name.clone()));
    if let Some(told) = told {
        let missed = told
            .missed
            .iter()
            .filter(|(name, _)| step.is_none_or(|step| step == *name));
        let (count, longest) = missed.fold((0u64, Nanos(0)), |sum, (_, missed)| {
            (sum.0.saturating_add(missed.0), sum.1.max(missed.1))
        });
        if count > 0 {
            why.push(format!(
                "{count} were due and not sent, the latest {longest} late"
            ));
        }
        match told.ended {
            Some((at, StageEnd::Stopped(mode))) => {
                let word = match mode {
                    StopMode::Stop => "stopped",
                    StopMode::Abort => "aborted",
                };
                why.push(format!("the stage was {word} at {at}"));
            }
            Some((_, StageEnd::Completed)) | None => {}
        }
    }
    let during = span(folded, stage);
    let lost = folded.story.lost(agent);
    // An agent may be lost after the stage's time was up and before its seal.
    let unsealed = folded.proofs.of(agent, &stage.name) == Proof::NoSeal;
    let late = |span: &LostSpan, during: Interval| unsealed && span.from_ns >= during.from;
    let overlapping = lost
        .iter()
        .filter(|span| during.is_none_or(|during| overlaps(span, during) || late(span, during)));
    why.extend(overlapping.map(span_text));
    if why.is_empty() {
        let proof = folded.proofs.of(agent, &stage.name);
        why.push(match proof {
            Proof::Complete => "the agent sealed the stage without them".to_owned(),
            Proof::NoSeal => "its results did not arrive, and nothing says why".to_owned(),
            Proof::Differs(how) => how,
        });
    }
    why.join("; ")
}

/// When the stage was, in run time.
fn span(folded: &Folded, stage: &PlannedStage) -> Option<Interval> {
    let from = folded.story.ordered.get(&stage.name)?.at_run;
    Some(Interval {
        from,
        to: from.plus(stage.lasts),
    })
}

fn overlaps(lost: &LostSpan, during: Interval) -> bool {
    lost.from_ns < during.to && lost.to_ns.unwrap_or(RunTime(i64::MAX)) > during.from
}
