//! How what was watched was there: what agents said of processes and containers. Order and
//! repetition mean nothing.

use std::collections::BTreeMap;

use nepho_common::{
    event::Presence,
    id::{AgentId, StageName, StepName, ThingName},
    plan::{Act, Plan},
    recording::Scope,
    time::RunTime,
};

use super::{
    doubts::{Code, Doubts},
    said::{Said, said},
};

/// Changes of one thing that are kept: one that comes and goes all the time is told so after a few.
const CHANGES_MAX: usize = 16;

/// Where something is watched, by whom, and its name.
type Of = (StageName, StepName, AgentId, ThingName);

/// By place, agent and name, what happened when.
#[derive(Debug, Default)]
pub(super) struct Things(BTreeMap<Of, Changes>);

#[derive(Debug, Default)]
struct Changes {
    /// The earliest ones.
    at: BTreeMap<RunTime, Presence>,
    /// How many later ones there were.
    more: u64,
}

impl Things {
    /// Of two at one instant the first of the list counts.
    pub(super) fn saw(&mut self, of: Of, at: RunTime, how: Presence) {
        let changes = self.0.entry(of).or_default();
        let known = changes.at.entry(at).or_insert(how);
        *known = how.min(*known);
        if changes.at.len() > CHANGES_MAX {
            changes.at.pop_last();
            changes.more = changes.more.saturating_add(1);
        }
    }

    /// What happened to this one, in words; nothing when it was simply there.
    pub(super) fn words(
        &self,
        stage: &StageName,
        step: &StepName,
        agent: &AgentId,
        thing: &ThingName,
    ) -> Option<Said> {
        let of = (stage.clone(), step.clone(), agent.clone(), thing.clone());
        let changes = self.0.get(&of)?;
        let mut each: Vec<_> = changes
            .at
            .iter()
            .map(|(at, how)| {
                let how = said_of(*how);
                said!("{how} {at} into the run", "在运行到 {at} 时{how}"; how)
            })
            .collect();
        if changes.more > 0 {
            let more = changes.more;
            each.push(said!(
                "and changes {more} times more",
                "此后还变化了 {more} 次"
            ));
        }
        (!each.is_empty()).then(|| Said::phrases(each))
    }

    /// Says it of whatever the plan has watched, and doubts the rest.
    pub(super) fn doubt(&self, plan: &Plan, doubts: &mut Doubts) {
        for (stage, step, agent, thing) in self.0.keys() {
            if !is_planned(plan, stage, step, agent, thing) {
                let text = said!(
                    "{agent} told of {thing} in {stage}/{step}, which the plan does not ask of it",
                    "{agent} 在 {stage}/{step} 中上报了 {thing}，计划没有要求它上报"
                );
                doubts.add(Code::NotPlanned, agent, text);
            } else if let Some(words) = self.words(stage, step, agent, thing) {
                let text = said!(
                    "{thing}, watched by {agent} in {stage}/{step}, {words}",
                    "{agent} 在 {stage}/{step} 中观察的 {thing} {words}";
                    words
                );
                doubts.add(
                    Code::Watched,
                    format!("{stage}/{step}/{agent}/{thing}"),
                    text,
                );
            }
        }
    }
}

/// The rest of a sentence that begins with the thing; in English as in a log.
fn said_of(how: Presence) -> Said {
    let zh = match how {
        Presence::There => "出现",
        Presence::NotThere => "不存在",
        Presence::Gone => "消失",
        Presence::Restarted => "被重新启动",
        Presence::NoEngine => "无法读取：该主机上没有容器引擎应答",
        Presence::Forbidden => "无法读取：探针无权访问容器引擎",
        Presence::NoAnswer => "无法读取：容器引擎没有给出可用的应答",
    };
    Said::new(how.words().to_owned(), zh.to_owned())
}

/// Whether the plan has this agent watch this there.
pub(super) fn is_planned(
    plan: &Plan,
    stage: &StageName,
    step: &StepName,
    agent: &AgentId,
    thing: &ThingName,
) -> bool {
    let stage = plan.stages.iter().find(|one| one.name == *stage);
    let step = stage.and_then(|stage| stage.steps.iter().find(|one| one.name == *step));
    match step.map(|step| &step.act) {
        Some(Act::Watch(watch)) => {
            let mut all = Scope::ALL.into_iter().flat_map(|scope| watch.things(scope));
            watch.hosts.contains(agent) && all.any(|one| one == Some(thing))
        }
        Some(Act::Probe(_) | Act::Load(_)) | None => false,
    }
}
