//! The set of records of a run, and what they say. Order and repetition mean nothing.

mod gather;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nepho_common::{
    event::RunEnd,
    id::{AgentId, Attempt, RunId, StageName},
    journal::{Body, RecordKey, RecordKind},
    plan::{Plan, PlannedStage, Window},
    recording::{Exhibit, Gauge, Series},
    time::Interval,
};

pub(super) use self::gather::{Gathered, gather};
use super::{
    Unread,
    coverage::{Coverages, Proofs},
    disturbed::Spoilt,
    doubts::{Code, Doubts},
    loads::Loads,
    measured::Measurements,
    readings::Readings,
    recorded::Recorded,
    render::Lang,
    rollup::{self, Rolled},
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
    /// What generators said of themselves.
    pub(super) loads: Arc<Loads>,
    /// What hosts said of themselves.
    pub(super) readings: Readings,
    pub(super) proofs: Proofs,
    pub(super) recorded: Recorded,
    /// As they were reported.
    pub(super) gauges: Vec<(RecordKey, Vec<Gauge>)>,
    /// The scenario file, if it is in the journal and is the one that the plan was made from.
    pub(super) scenario: Option<String>,
    /// How many records of each kind each author has.
    pub(super) records: BTreeMap<AgentId, BTreeMap<RecordKind, u64>>,
    /// Authors of whom one record exists with two contents.
    pub(super) contested: BTreeSet<AgentId>,
    pub(super) doubts: Doubts,
    /// More is asked of what was rolled up than is told apart in it: this is not what the records say.
    pub(super) too_fine: bool,
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
        rolled,
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
            Body::Recordings(found) => folded.recorded.add(&entry.key, found),
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
    for rolled in &rolled {
        let records = folded.records.entry(rolled.agent.clone()).or_default();
        let count = records.entry(RecordKind::Recordings).or_default();
        *count += u64::from(rolled.records.count_ones());
        folded.too_fine |= coverages.is_resumed(&rolled.agent, &rolled.spool);
        coverages.count_rolled(rolled);
    }
    folded.story.doubt_gaps(&mut folded.doubts);
    folded.story.doubt_full(&mut folded.doubts);
    let told_apart: Vec<_> = rolled.iter().map(Rolled::told_apart).collect();
    rolled
        .into_iter()
        .for_each(|rolled| folded.recorded.add_rolled(rolled));
    coverages.sum(&folded.recorded);
    folded.proofs = coverages.settle();
    let Folded { story, doubts, .. } = &mut folded;
    story.clocks.doubt(&story.ordered, doubts);
    folded.plan = plan(&exhibits, &mut folded);
    folded.too_fine |= folded.plan.is_none() && !told_apart.is_empty();
    if let Some(plan) = &folded.plan {
        let identity = folded.run.as_ref().zip(folded.attempt);
        folded.too_fine |= !rollup::fits(&told_apart, plan, &folded.story, identity);
        let mut of_loads = Doubts::default();
        let Folded {
            recorded, gauges, ..
        } = &folded;
        let began = |stage: &StageName| Some(folded.story.ordered.get(stage)?.at_run);
        let loads = Loads::gather(plan, began, gauges, &mut of_loads);
        let loads = Arc::new(loads);
        let gather = |look_at: &dyn Fn(&Series, Interval) -> bool| {
            // What is to be doubted is doubted once, below.
            let doubts = &mut Doubts::default();
            Measurements::gather(plan, identity, recorded, look_at, gauges, &loads, doubts)
        };
        let disturbed = folded.story.disturbed.any();
        let spoilt = disturbed.then(|| spoilt(plan, &folded.story));
        let sound = spoilt
            .as_ref()
            .map(|spoilt| |series: &Series, interval| is_sound(spoilt, series, interval));
        let mut of_parts = BTreeMap::new();
        for stage in &plan.stages {
            for during in parts(stage) {
                let span = span(&folded.story, stage, during);
                let inside = |series: &Series, interval| {
                    series.stage == stage.name
                        && span.is_some_and(|span| is_inside(during, span, interval))
                };
                let both = Part {
                    measurements: gather(&inside),
                    sound: sound.as_ref().map(|is_sound| {
                        gather(&|series, interval| {
                            inside(series, interval) && is_sound(series, interval)
                        })
                    }),
                };
                of_parts.insert((stage.name.clone(), during), both);
            }
        }
        let of_sound = sound.as_ref().map(|is_sound| gather(is_sound));
        folded.sound = of_sound;
        folded.parts = of_parts;
        folded.doubts.merge(of_loads);
        folded.readings = Readings::gather(plan, &folded.gauges, &mut folded.doubts);
        folded.story.things.doubt(plan, &mut folded.doubts);
        folded.measurements = Measurements::gather(
            plan,
            identity,
            &folded.recorded,
            |_, _| true,
            &folded.gauges,
            &loads,
            &mut folded.doubts,
        );
        folded.loads = loads;
        folded.scenario = scenario(&exhibits, plan);
    }
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
pub(super) fn parts(stage: &PlannedStage) -> BTreeSet<Window> {
    let all = stage.expectations.iter().flat_map(|one| {
        let stairs = stage.stairs(one).into_iter().map(|(_, stair)| stair);
        stairs.chain([one.during])
    });
    all.filter(|during| during.is_part()).collect()
}

/// Where a part of a stage lies in run time; `None` when nothing says when the stage began.
pub(super) fn span(story: &Story, stage: &PlannedStage, during: Window) -> Option<Interval> {
    let ordered = story.ordered.get(&stage.name)?;
    let (from, to) = during.span(stage.lasts);
    Some(Interval {
        from: ordered.at_run.plus(from),
        to: ordered.at_run.plus(to),
    })
}

/// Whether a recording is wholly inside a part of its stage. One that is not, because a full spool
/// merged it with its neighbours, says nothing of the part: its requests are missing there.
pub(super) fn is_inside(during: Window, span: Interval, recording: Interval) -> bool {
    // The last recording of a stage ends with its ten seconds, whenever the stage does.
    let ends = match during {
        Window::Before(_) | Window::Stair { .. } => recording.to <= span.to,
        Window::After(_) | Window::Warm(_) | Window::Stage | Window::Baseline => true,
    };
    recording.from >= span.from && ends
}

type AllSpoilt<'a> = BTreeMap<(&'a AgentId, &'a StageName), (&'a PlannedStage, Spoilt)>;

/// What clocks that stood still have spoilt.
fn spoilt<'a>(plan: &'a Plan, story: &Story) -> AllSpoilt<'a> {
    let mut spoilt = BTreeMap::new();
    for stage in &plan.stages {
        for agent in plan.agents.keys() {
            if let Some(found) = story.disturbed.spoilt(story, stage, agent) {
                spoilt.insert((agent, &stage.name), (stage, found));
            }
        }
    }
    spoilt
}

/// Whether everything in a recording was over before a clock stood still.
fn is_sound(spoilt: &AllSpoilt<'_>, series: &Series, interval: Interval) -> bool {
    let spoilt = spoilt.get(&(&series.agent, &series.stage));
    spoilt.is_none_or(|(stage, spoilt)| spoilt.leaves(stage, interval))
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
