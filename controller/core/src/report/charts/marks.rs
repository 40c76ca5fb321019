//! What happened when, for the axis of time.

use nepho_common::plan::Plan;

use super::{super::fold::Folded, Happening, Mark};

/// How many are kept; a fleet that flaps has thousands.
const MARKS_MAX: usize = 200;

pub(super) fn marks(folded: &Folded, plan: &Plan) -> (Vec<Mark>, u64) {
    let story = &folded.story;
    let mut marks = Vec::new();
    for stage in &plan.stages {
        let Some(ordered) = story.ordered.get(&stage.name) else {
            continue;
        };
        let mut mark = |at_ns, what, about: &str| {
            let about = about.to_owned();
            marks.push(Mark { at_ns, what, about });
        };
        let name = stage.name.as_str();
        mark(ordered.at_run, Happening::StageBegan, name);
        let ended = plan.agents.keys().filter_map(|agent| {
            let told = story.told.get(&(agent.clone(), stage.name.clone()))?;
            told.ended.map(|(at, _)| at)
        });
        if let Some(at) = ended.max() {
            mark(at, Happening::StageEnded, name);
        }
        for agent in plan.agents.keys() {
            if let Some(spoilt) = story.disturbed.spoilt(story, stage, agent) {
                // A stage that was spoilt from its start on is marked there.
                let at = spoilt.until.max(ordered.at_run);
                mark(at, Happening::ClockDisturbed, agent.as_str());
            }
        }
    }
    for agent in plan.agents.keys() {
        for span in story.lost(agent) {
            let about = agent.as_str().to_owned();
            let back = if span.restarted {
                Happening::AgentRestarted
            } else {
                Happening::AgentReturned
            };
            let all = [
                Some((span.from_ns, Happening::AgentLost)),
                span.to_ns.map(|at| (at, back)),
            ];
            marks.extend(all.into_iter().flatten().map(|(at_ns, what)| Mark {
                at_ns,
                what,
                about: about.clone(),
            }));
        }
    }
    marks.sort_unstable();
    marks.dedup();
    let more = marks.len().saturating_sub(MARKS_MAX) as u64;
    marks.truncate(MARKS_MAX);
    (marks, more)
}
