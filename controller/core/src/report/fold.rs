//! The set of records of a run, and what they say. Order and repetition mean nothing.

mod gather;

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    event::RunEnd,
    id::{AgentId, Attempt, RunId, StageName},
    journal::{Body, RecordKey, RecordKind},
    plan::{Plan, PlannedStage, Window},
    recording::{Exhibit, Gauge, Recording},
    time::Interval,
};

pub(super) use self::gather::{Gathered, gather};
use super::{
    Unread,
    coverage::{Coverages, Proofs},
    doubts::{Code, Doubts},
    measured::Measurements,
    readings::Readings,
    render::Lang,
    said::said,
    story::{Story, span_text},
};
use crate::scenario::SCENARIO;

/// What the records of a run say, before anything is judged.
#[derive(Debug, Default)]
pub(super) struct Folded {
    /// In which its report is written.
    pub(super) lang: Lang,
    pub(super) run: Option<RunId>,
    attempt: Option<Attempt>,
    pub(super) plan: Option<Plan>,
    pub(super) story: Story,
    pub(super) measurements: Measurements,
    /// The same without what clocks that stood still have spoilt; `None` when none did.
    pub(super) sound: Option<Measurements>,
    /// What was measured in parts of stages that are judged by themselves.
    pub(super) parts: BTreeMap<(StageName, Window), Part>,
    /// What hosts said of themselves.
    pub(super) readings: Readings,
    pub(super) proofs: Proofs,
    /// As they were reported; not all of them are believed.
    pub(super) recordings: Vec<(RecordKey, Vec<Recording>)>,
    /// As they were reported.
    pub(super) gauges: Vec<(RecordKey, Vec<Gauge>)>,
    /// The scenario file, if it is in the journal and is the one that the plan was made from.
    pub(super) scenario: Option<String>,
    /// How many records of each kind each author has.
    pub(super) records: BTreeMap<AgentId, BTreeMap<RecordKind, u64>>,
    /// Authors of whom one record exists with two contents.
    pub(super) contested: BTreeSet<AgentId>,
    pub(super) doubts: Doubts,
}

/// What was measured in a part of a stage.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) measurements: Measurements,
    /// The same without what clocks that stood still have spoilt; `None` when none did.
    pub(super) sound: Option<Measurements>,
}

pub(super) fn fold(gathered: Gathered, lang: Lang) -> Folded {
    let Gathered {
        entries,
        unread,
        run,
        attempt,
        contested,
        mut doubts,
    } = gathered;
    for Unread { key, why } in unread {
        let RecordKey { agent, spool, seq } = key;
        let text = said!(
            "a record could not be read: {agent} {spool}/{seq}: {why}",
            "有一条记录无法读取：{agent} {spool}/{seq}，“{why}”"
        );
        doubts.add(Code::Unreadable, "", text);
    }
    let mut folded = Folded {
        lang,
        run,
        attempt,
        contested,
        doubts,
        ..Folded::default()
    };
    let mine = entries;
    let mut coverages = Coverages::of(&mine);
    let mut exhibits = Vec::new();
    let mut rest = Vec::new();
    for entry in mine {
        let records = folded.records.entry(entry.key.agent.clone()).or_default();
        *records.entry(entry.body.kind()).or_default() += 1;
        coverages.count(&entry);
        match entry.body {
            Body::Events(events) => {
                for event in events {
                    folded
                        .story
                        .tell(&entry.key.agent, event, &mut folded.doubts);
                }
            }
            // A plan from anybody but the controller would let an agent judge itself.
            Body::Exhibits(found) if entry.key.agent.is_controller() => exhibits.extend(found),
            Body::Recordings(found) => rest.push((entry.key, found)),
            Body::Gauges(found) => folded.gauges.push((entry.key, found)),
            Body::Traces(found) => {
                for trace in found {
                    folded.story.witnessed.trace(&entry.key.agent, trace);
                }
            }
            Body::Exhibits(_) => {}
            Body::Seal(seal) => coverages.seal(&entry.key, seal),
        }
    }
    folded.story.doubt_gaps(&mut folded.doubts);
    folded.story.doubt_full(&mut folded.doubts);
    folded.proofs = coverages.settle();
    let Folded { story, doubts, .. } = &mut folded;
    story.clocks.doubt(&story.ordered, doubts);
    folded.plan = plan(&exhibits, &mut folded);
    if let Some(plan) = &folded.plan {
        let identity = folded.run.as_ref().zip(folded.attempt);
        // What is to be doubted is doubted once, below.
        let gather = |records: &[(RecordKey, Vec<Recording>)]| {
            Measurements::gather(
                plan,
                identity,
                records,
                &folded.gauges,
                &mut Doubts::default(),
            )
        };
        let disturbed = folded.story.disturbed.any();
        let sound = disturbed.then(|| sound(plan, &folded.story, &rest));
        for stage in &plan.stages {
            for during in parts(stage) {
                let part = |all: &Vec<_>| gather(&part(&folded.story, stage, during, all));
                let both = Part {
                    measurements: part(&rest),
                    sound: sound.as_ref().map(part),
                };
                folded.parts.insert((stage.name.clone(), during), both);
            }
        }
        folded.sound = sound.as_deref().map(gather);
        folded.readings = Readings::gather(plan, &folded.gauges, &mut folded.doubts);
        folded.story.things.doubt(plan, &mut folded.doubts);
        folded.measurements =
            Measurements::gather(plan, identity, &rest, &folded.gauges, &mut folded.doubts);
        folded.scenario = scenario(&exhibits, plan);
    }
    folded.recordings = rest;
    unfinished(&mut folded);
    folded
}

impl Folded {
    /// Which try of which run it is.
    pub(super) fn identity(&self) -> Option<(&RunId, Attempt)> {
        self.run.as_ref().zip(self.attempt)
    }
}

/// The scenario file among what the plan was made from.
fn scenario(exhibits: &[Exhibit], plan: &Plan) -> Option<String> {
    let digest = plan.files.get(SCENARIO)?;
    let exhibit = exhibits.iter().find(|exhibit| exhibit.digest == *digest)?;
    String::from_utf8(exhibit.content.clone()).ok()
}

/// The parts of a stage that are judged by themselves.
fn parts(stage: &PlannedStage) -> BTreeSet<Window> {
    let all = stage.expectations.iter().map(|one| one.during);
    all.filter(|during| during.is_part()).collect()
}

/// The recordings of a part of a stage. One that is not wholly inside, because a full spool merged
/// it with its neighbours, says nothing of the part: its requests are missing there.
fn part(
    story: &Story,
    stage: &PlannedStage,
    during: Window,
    all: &[(RecordKey, Vec<Recording>)],
) -> Vec<(RecordKey, Vec<Recording>)> {
    let Some(ordered) = story.ordered.get(&stage.name) else {
        return Vec::new();
    };
    let (from, to) = during.span(stage.lasts);
    let (from, to) = (ordered.at_run.plus(from), ordered.at_run.plus(to));
    let inside = |one: &&Recording| {
        let Interval {
            from: first,
            to: last,
        } = one.interval;
        // The last recording of a stage ends with its ten seconds, whenever the stage does.
        let ends = match during {
            Window::Before(_) => last <= to,
            Window::After(_) | Window::Stage | Window::Baseline => true,
        };
        one.series.stage == stage.name && first >= from && ends
    };
    let of_record = |(key, recordings): &(RecordKey, Vec<Recording>)| {
        let inside: Vec<_> = recordings.iter().filter(inside).cloned().collect();
        (!inside.is_empty()).then(|| (key.clone(), inside))
    };
    all.iter().filter_map(of_record).collect()
}

/// The recordings of which everything was over before a clock stood still.
fn sound(
    plan: &Plan,
    story: &Story,
    all: &[(RecordKey, Vec<Recording>)],
) -> Vec<(RecordKey, Vec<Recording>)> {
    let mut spoilt = BTreeMap::new();
    for stage in &plan.stages {
        for agent in plan.agents.keys() {
            if let Some(found) = story.disturbed.spoilt(story, stage, agent) {
                spoilt.insert((agent, &stage.name), (stage, found));
            }
        }
    }
    let is_sound = |recording: &&Recording| {
        let of = (&recording.series.agent, &recording.series.stage);
        let spoilt = spoilt.get(&of);
        spoilt.is_none_or(|(stage, spoilt)| spoilt.leaves(stage, recording))
    };
    let of_record = |(key, recordings): &(RecordKey, Vec<Recording>)| {
        let sound = recordings.iter().filter(is_sound).cloned().collect();
        (key.clone(), sound)
    };
    all.iter().map(of_record).collect()
}

/// The plan that was run, if it is there and is what it is said to be.
fn plan(exhibits: &[Exhibit], folded: &mut Folded) -> Option<Plan> {
    let said = folded.story.started.as_ref()?.plan;
    let exhibit = exhibits
        .iter()
        .find(|exhibit| exhibit.name.as_str() == "plan" && exhibit.digest == said.0);
    let Some(exhibit) = exhibit else {
        let id = said.0.short();
        let text = said!("plan {id} is not in the journal", "运行日志中没有计划 {id}");
        folded.doubts.add(Code::NoPlan, "", text);
        return None;
    };
    Plan::read(&exhibit.content, said)
        .map_err(|why| {
            let id = said.0.short();
            let text = said!(
                "plan {id} can't be read: {why}",
                "计划 {id} 无法读取：“{why}”"
            );
            folded.doubts.add(Code::NoPlan, "", text);
        })
        .ok()
}

fn unfinished(folded: &mut Folded) {
    let doubts = &mut folded.doubts;
    match &folded.story.ended {
        Some((RunEnd::Completed, _)) => {}
        Some((RunEnd::Stopped(_), _)) => {
            let text = said!("the run was stopped before its end", "运行在结束之前被停止");
            doubts.add(Code::Stopped, "", text);
        }
        Some((RunEnd::Failed(why), _)) => {
            let text = said!("the run could not go on: {why}", "运行无法继续：“{why}”");
            doubts.add(Code::RunFailed, "", text);
        }
        None => {
            let text = said!(
                "the journal has no end of the run: it is still under way, or was cut off",
                "运行日志中没有运行的结束：它仍在进行，或者日志被截断"
            );
            doubts.add(Code::Unfinished, "", text);
        }
    }
    let lost = folded.story.named();
    for agent in lost {
        for span in folded.story.lost(&agent) {
            let span = span_text(&span);
            let text = said!("{agent} was {span}", "{agent} {span}"; span);
            folded.doubts.add(Code::Lost, &agent, text);
        }
    }
    if folded.contested.iter().any(AgentId::is_controller) {
        let text = said!(
            "the controller's own records contradict each other",
            "控制器自己的记录互相矛盾"
        );
        folded.doubts.add(Code::Contradiction, "", text);
    }
}
