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
    model::{LostSpan, Samples},
    said::{Said, said},
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
pub(super) fn whose(sample: &Sample<'_>) -> Said {
    Said::both(gaps(sample).keys().map(Said::as_is))
}

/// One sentence: how many are missing, from whom, why.
pub(super) fn sentence(
    folded: &Folded,
    stage: &PlannedStage,
    step: &StepName,
    sample: &Sample<'_>,
) -> Said {
    let by_agent = gaps(sample).into_iter().map(|(agent, gap)| {
        let why = reasons(folded, stage, Some(step), &agent, gap);
        let n = gap.missing;
        said!("{n} from {agent} ({why})", "{agent} 缺 {n} 个（{why}）"; why)
    });
    let by_agent = Said::phrases(by_agent);
    let Samples {
        planned, missing, ..
    } = sample.samples();
    if missing == 1 {
        said!(
            "1 of {planned} planned request is missing: {by_agent}.",
            "计划的 {planned} 个请求中缺失 1 个：{by_agent}。";
            by_agent
        )
    } else {
        said!(
            "{missing} of {planned} planned requests are missing: {by_agent}.",
            "计划的 {planned} 个请求中缺失 {missing} 个：{by_agent}。";
            by_agent
        )
    }
}

/// Why something of `agent` is missing in `stage`; in all of its steps when `step` is `None`.
pub(super) fn reasons(
    folded: &Folded,
    stage: &PlannedStage,
    step: Option<&StepName>,
    agent: &AgentId,
    gap: Gap,
) -> Said {
    let mut why = Vec::new();
    if let Some(refused) = folded.story.refused.get(agent) {
        why.push(said!("it refused: {refused}", "它拒绝执行：{refused}"; refused));
    } else if folded.plan.is_some() && !folded.story.joined.contains_key(agent) {
        why.push(said!("it never joined", "它从未接入"));
    }
    if gap.our_side > 0 {
        let n = gap.our_side;
        why.push(said!(
            "{n} failed on the measuring side",
            "{n} 个因测量端自身故障失败"
        ));
    }
    let load = folded.loads.of(stage, step, agent);
    for (n, why_en, why_zh) in [
        (
            load.shed,
            "shed, because too many waited or were open",
            "因等待或进行中的请求过多被丢弃",
        ),
        (
            load.cut,
            "still open when the load was cut",
            "在负载被切断时仍未完成",
        ),
    ] {
        if n > 0 {
            why.push(said!("{n} were {why_en}", "{n} 个{why_zh}"));
        }
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
            why.push(said!(
                "{count} were due and not sent, the latest {longest} late",
                "{count} 个到时未发出，最迟的晚了 {longest}"
            ));
        }
        match told.ended {
            Some((at, StageEnd::Stopped(StopMode::Stop))) => {
                why.push(said!("the stage was stopped at {at}", "阶段在 {at} 被停止"));
            }
            Some((at, StageEnd::Stopped(StopMode::Abort))) => {
                why.push(said!("the stage was aborted at {at}", "阶段在 {at} 被中止"));
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
            Proof::Complete => said!(
                "the agent sealed the stage without them",
                "探针封存该阶段时就没有它们"
            ),
            Proof::NoSeal => said!(
                "its results did not arrive, and nothing says why",
                "它的结果没有到达，原因不明"
            ),
            Proof::Differs(how) => how,
        });
    }
    Said::clauses(why)
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
