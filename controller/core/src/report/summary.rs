//! Everything put together.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    control::StopMode,
    event::RunEnd,
    id::AgentId,
    plan::{Plan, PlannedStage},
};

use super::{
    charts::charts,
    coverage::Proof,
    doubts::{Code, Doubts},
    finding::{findings, not_begun},
    fold::Folded,
    generator,
    matrix::matrix,
    missing::{Gap, gaps, reasons},
    model::{
        AgentReport, Conditions, Counts, Finding, Missing, Report, StageReport, StartQuality,
        Verdict,
    },
    said::{Said, said},
    sample::Sample,
    sent::loads,
};

/// Judges and describes what was folded.
pub(super) fn report(mut folded: Folded) -> Report {
    let mut doubts = std::mem::take(&mut folded.doubts);
    let judged = findings(&folded, &mut doubts);
    let findings: Vec<Finding> = judged.into_iter().map(|judged| judged.finding).collect();
    if findings.is_empty() && folded.plan.is_some() {
        let text = said!(
            "the plan expects nothing, so nothing can pass",
            "计划没有任何期望，因此无从通过"
        );
        doubts.add(Code::NothingExpected, "", text);
    }
    let counts = count(&findings);
    let stages: Vec<_> = folded.plan.as_ref().map_or(Vec::new(), |plan| {
        let stage = |stage| describe_stage(&folded, plan, stage, &findings, &mut doubts);
        plan.stages.iter().map(stage).collect()
    });
    let agents = agents(&folded, &mut doubts);
    let conditions = conditions(&folded, &stages, &mut doubts);
    let charts = charts(&folded, &mut doubts);
    let loads = loads(&folded);
    let worst = findings.iter().map(|finding| finding.verdict).max();
    let verdict = worst.unwrap_or(Verdict::Pass).max(doubts.at_best());
    Report {
        schema: Report::SCHEMA.to_owned(),
        run: folded.run,
        scenario: folded.plan.map(|plan| plan.scenario),
        revision: None,
        verdict,
        counts,
        stages,
        findings,
        loads,
        agents,
        conditions,
        doubts: doubts.list(folded.lang),
        charts,
    }
}

fn count<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Counts {
    let mut counts = Counts::default();
    findings
        .into_iter()
        .for_each(|finding| counts.add(finding.verdict));
    counts
}

fn describe_stage(
    folded: &Folded,
    plan: &Plan,
    stage: &PlannedStage,
    findings: &[Finding],
    doubts: &mut Doubts,
) -> StageReport {
    let mine = || {
        findings
            .iter()
            .filter(|finding| finding.stage == stage.name)
    };
    let skipped = not_begun(folded, stage);
    if skipped.is_some() && folded.measurements.knows(&stage.name) {
        let name = &stage.name;
        let text = said!(
            "agents reported measurements of {name}, which was skipped",
            "探针上报了阶段 {name} 的测量结果，而该阶段已被跳过"
        );
        doubts.add(Code::NotPlanned, &stage.name, text);
    }
    let verdict = match (mine().map(|finding| finding.verdict).max(), &skipped) {
        (Some(worst), _) => worst,
        (None, Some(_)) => Verdict::NotRun,
        // Nobody said what would be good.
        (None, None) => Verdict::Inconclusive,
    };
    let ordered = folded
        .story
        .ordered
        .get(&stage.name)
        .filter(|_| skipped.is_none());
    let ends = plan.agents.keys().filter_map(|agent| {
        let told = folded
            .story
            .told
            .get(&(agent.clone(), stage.name.clone()))?;
        told.ended.map(|ended| ended.0)
    });
    let last = ends.max();
    StageReport {
        name: stage.name.clone(),
        verdict,
        began_ns: ordered.map(|ordered| ordered.at_run),
        planned_ns: stage.lasts,
        lasted_ns: ordered.and_then(|ordered| Some(last?.since(ordered.at_run))),
        counts: count(mine()),
        starts: starts(folded, plan, stage),
        matrix: match skipped {
            Some(_) => Vec::new(),
            None => {
                let tables = stage.steps.iter();
                tables
                    .map(|step| matrix(plan, &folded.measurements, stage, step))
                    .collect()
            }
        },
        skipped: skipped.map(|cause| cause.cause.into_text(folded.lang)),
    }
}

fn starts(folded: &Folded, plan: &Plan, stage: &PlannedStage) -> Vec<StartQuality> {
    let ordered = folded.story.ordered.get(&stage.name);
    let quality = |agent: &AgentId| {
        let told = folded
            .story
            .told
            .get(&(agent.clone(), stage.name.clone()))?;
        let (planned, actual) = told.started?;
        let order = ordered.and_then(|ordered| ordered.agents.get(agent));
        Some(StartQuality {
            stage: stage.name.clone(),
            agent: agent.clone(),
            late_ns: actual.minus(planned),
            bound_ns: order.map(|order| order.offset.width().half()),
            round_trip_ns: order.map(|order| order.round_trip),
            exchanged_ns: order.and_then(|order| Some(order.measured?.width().half())),
        })
    };
    plan.agents.keys().filter_map(quality).collect()
}

fn agents(folded: &Folded, doubts: &mut Doubts) -> Vec<AgentReport> {
    let mut all: BTreeSet<AgentId> = folded.story.named();
    all.extend(folded.records.keys().cloned());
    all.extend(
        folded
            .plan
            .iter()
            .flat_map(|plan| plan.agents.keys().cloned()),
    );
    all.retain(|agent| !agent.is_controller());
    all.into_iter()
        .map(|agent| describe_agent(folded, agent, doubts))
        .collect()
}

fn describe_agent(folded: &Folded, agent: AgentId, doubts: &mut Doubts) -> AgentReport {
    let joined = folded.story.joined.get(&agent);
    let planned = folded
        .plan
        .as_ref()
        .and_then(|plan| plan.agents.get(&agent));
    let environment = planned
        .map(|planned| &planned.environment)
        .or_else(|| joined.map(|joined| &joined.environment));
    let (mut sealed, mut missing) = (Vec::new(), Vec::new());
    let stages = folded.plan.iter().flat_map(|plan| &plan.stages);
    for stage in stages.filter(|stage| not_begun(folded, stage).is_none()) {
        if planned.is_none() {
            break;
        }
        let name = &stage.name;
        match folded.proofs.of(&agent, name) {
            Proof::Complete => sealed.push(stage.name.clone()),
            Proof::NoSeal => {
                let text = said!(
                    "{agent} never said that its results of {name} are complete",
                    "{agent} 从未说明它在阶段 {name} 的结果已经完整"
                );
                doubts.add(Code::NoSeal, &agent, text);
            }
            Proof::Differs(how) => {
                let text = said!(
                    "what is stored of {agent} is not what it sealed in {name}: {how}",
                    "存储的 {agent} 的数据与其在阶段 {name} 的封存清单不符：{how}";
                    how
                );
                doubts.add(Code::SealDiffers, &agent, text);
            }
        }
        for step in &stage.steps {
            generator::doubt(folded, stage, step, &agent, doubts);
        }
        let (gap, surplus) = gap_of(folded, stage, &agent);
        if surplus > 0 {
            let text = said!(
                "{agent} reported more requests than planned on {surplus} paths of {name}",
                "{agent} 在阶段 {name} 的 {surplus} 条路径上报的请求多于计划"
            );
            doubts.add(Code::TooMany, &agent, text);
        }
        if gap.missing > 0 {
            missing.push(Missing {
                stage: stage.name.clone(),
                planned: gap.planned,
                requests: gap.missing,
                why: reasons(folded, stage, None, &agent, gap).into_text(folded.lang),
            });
        }
    }
    let refused = folded.story.refused.get(&agent);
    AgentReport {
        environment: environment.cloned(),
        host: joined.map(|joined| joined.host.clone()),
        features: joined.map_or(Vec::new(), |joined| joined.features.clone()),
        refused: refused.map(|why| why.of(folded.lang).to_owned()),
        records: folded.records.get(&agent).cloned().unwrap_or_default(),
        samples: folded.measurements.requests_of(&agent),
        lost: folded.story.lost(&agent),
        sealed,
        missing,
        agent,
    }
}

/// What is missing of one stage of one agent, and on how many paths there is too much.
fn gap_of(folded: &Folded, stage: &PlannedStage, agent: &AgentId) -> (Gap, usize) {
    let (mut sum, mut surplus) = (Gap::default(), 0);
    for step in &stage.steps {
        let mine = step.act.to().iter().filter(|path| path.agent == *agent);
        let sample = Sample::of(&folded.measurements, stage, step, mine);
        surplus += sample.surplus().count();
        if let Some(gap) = gaps(&sample).get(agent) {
            sum.planned = sum.planned.saturating_add(gap.planned);
            sum.missing = sum.missing.saturating_add(gap.missing);
            sum.our_side = sum.our_side.saturating_add(gap.our_side);
        }
    }
    (sum, surplus)
}

fn conditions(folded: &Folded, stages: &[StageReport], doubts: &mut Doubts) -> Conditions {
    let story = &folded.story;
    let started = story.started.as_ref();
    let hosts: BTreeMap<_, _> = story
        .joined
        .iter()
        .map(|(agent, joined)| (agent.clone(), joined.host.clone()))
        .collect();
    let controller = started.map(|started| started.host.clone());
    let versions: BTreeSet<_> = hosts
        .values()
        .chain(&controller)
        .map(|host| host.version.clone())
        .collect();
    if versions.len() > 1 {
        let list = versions
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        let text = said!(
            "several versions of our programs took part: {list}",
            "参与的程序版本不一致：{list}"
        );
        doubts.add(Code::Versions, "", text);
    }
    let error = |start: &StartQuality| {
        let bound = start.bound_ns.unwrap_or_default().0;
        start.late_ns.unsigned_abs().saturating_add(bound)
    };
    let worst_start = stages
        .iter()
        .flat_map(|stage| &stage.starts)
        .max_by_key(|start| error(start));
    Conditions {
        plan: started.map(|started| started.plan),
        title: folded.plan.as_ref().map(|plan| plan.title.clone()),
        began: started.map(|started| started.wall.to_string()),
        ended: story.ended.as_ref().map(|ended| ended.1.to_string()),
        end: story
            .ended
            .as_ref()
            .map(|ended| end_text(&ended.0).into_text(folded.lang)),
        files: folded
            .plan
            .as_ref()
            .map(|plan| plan.files.clone())
            .unwrap_or_default(),
        controller,
        hosts,
        versions,
        worst_start: worst_start.cloned(),
        clocks: story.clocks.hosts().clone(),
    }
}

fn end_text(end: &RunEnd) -> Said {
    match end {
        RunEnd::Completed => said!("completed", "正常完成"),
        RunEnd::Stopped(StopMode::Stop) => said!("stopped", "被停止"),
        RunEnd::Stopped(StopMode::Abort) => said!("aborted", "被中止"),
        RunEnd::Failed(why) => said!("failed: {why}", "中断：“{why}”"),
    }
}
