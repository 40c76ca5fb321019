//! Findings of what targets say of themselves.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use nepho_common::{
    event::Subject,
    id::{InstanceId, Operation},
    plan::PlannedStep,
};

use super::{Place, distrusted};
use crate::report::{
    cause::Cause,
    model::{Finding, Observed, Priority, Verdict},
    said::{Said, said},
    sample::Sample,
    tuple::Tuple,
};

/// How many are named; the rest is counted.
const NAMED: usize = 5;

/// Who said what, and who said nothing.
#[derive(Debug, Default)]
struct Heard<'a> {
    by_value: BTreeMap<&'a Operation, BTreeSet<&'a InstanceId>>,
    silent: BTreeSet<&'a InstanceId>,
}

impl Place<'_> {
    /// Two that say different things differ, whatever the others would say; with one that says
    /// nothing nobody knows that all are the same.
    pub(super) fn judge_same(
        &self,
        fact: &Operation,
        step: &PlannedStep,
        tuple: &Tuple<'_>,
        sample: &Sample<'_>,
    ) -> Finding {
        let said = self.said(fact, step, sample);
        let spoiled = self.spoiled(sample);
        let verdict = if said.by_value.len() > 1 {
            Verdict::Fail
        } else if said.by_value.is_empty() || !said.silent.is_empty() || !spoiled.is_empty() {
            Verdict::Inconclusive
        } else {
            Verdict::Pass
        };
        let mut finding = self.unmeasured(tuple, verdict, None);
        let cause = match verdict {
            Verdict::Fail => Some(said.differs(fact)),
            Verdict::Inconclusive if said.by_value.is_empty() || !said.silent.is_empty() => {
                Some(said.unsaid(fact))
            }
            Verdict::Inconclusive => Some(distrusted(spoiled)),
            Verdict::Pass | Verdict::NotRun | Verdict::Error => None,
        };
        self.put(&mut finding, cause);
        finding.observed = Observed {
            text: said.text(fact).into_text(self.folded.lang),
            ..Observed::default()
        };
        finding.samples = sample.samples();
        finding.agents = sample.agents();
        finding.evidence = sample.evidence();
        finding
    }

    /// What was said last counts; two agents that heard different things of one target make two.
    fn said<'a>(&'a self, fact: &Operation, step: &PlannedStep, sample: &Sample<'a>) -> Heard<'a> {
        let mut said = Heard::default();
        for one in &sample.paths {
            let to = &one.path.to;
            let of = Subject {
                stage: self.stage.name.clone(),
                step: step.name.clone(),
                to: to.clone(),
            };
            let witnessed = &self.folded.story.witnessed;
            match witnessed.fact_of(&one.path.agent, &of, fact.as_str()) {
                Some(value) => {
                    said.by_value.entry(value).or_default().insert(to);
                }
                None => {
                    said.silent.insert(to);
                }
            }
        }
        // Heard by one agent is said.
        let speak: BTreeSet<_> = said.by_value.values().flatten().copied().collect();
        said.silent.retain(|to| !speak.contains(to));
        said
    }
}

impl Heard<'_> {
    /// The value that most say first; of two that as many say, the greater one.
    fn ordered(&self) -> Vec<(&Operation, &BTreeSet<&InstanceId>)> {
        let mut all: Vec<_> = self
            .by_value
            .iter()
            .map(|(value, by)| (*value, by))
            .collect();
        all.sort_by_key(|(value, by)| Reverse((by.len(), *value)));
        all
    }

    fn text(&self, fact: &Operation) -> Said {
        let all = self.ordered();
        if all.is_empty() {
            return said!("nobody said a {fact}", "没有谁报告 {fact}");
        }
        let all = Said::list(all.into_iter().map(|(value, by)| {
            let n = by.len();
            said!("{value} ({n})", "{value}（{n}）")
        }));
        let all = said!("{fact} {all}", "{fact} {all}"; all);
        let silent = match self.silent.len() {
            0 => Said::default(),
            n => said!("{n} said nothing of it", "{n} 个没有报告"),
        };
        Said::clauses([all, silent])
    }

    fn differs(&self, fact: &Operation) -> Cause {
        let all = self.ordered();
        let Some(((most, by), others)) = all.split_first() else {
            return self.unsaid(fact);
        };
        let others = Said::clauses(others.iter().map(|(value, by)| {
            let who = names(by);
            said!("{who} says {value}", "{who} 报告 {value}"; who)
        }));
        let first = all.get(1).map_or_else(Said::default, |(_, by)| names(by));
        let by = names(by);
        Cause::new(
            Priority::Medium,
            said!(
                "Not all say the same {fact}: {others}, while {by} says {most}.",
                "报告的 {fact} 不一致：{others}，而 {by} 报告 {most}。";
                others, by
            ),
            said!(
                "Bring {first} to {fact} {most}, or find out why it was left behind or went ahead.",
                "请把 {first} 换成 {fact} {most}，或查明它为何落后或超前。";
                first
            ),
        )
    }

    fn unsaid(&self, fact: &Operation) -> Cause {
        let silent = names(&self.silent);
        Cause::new(
            Priority::Medium,
            said!("Of {silent} no {fact} was heard.", "没有得到 {silent} 的 {fact}。"; silent),
            said!(
                "Look whether it answers at all; a service says its {fact} in a header X-Version, or as \
                 `version` of a JSON object.",
                "请检查它是否有应答；服务在 X-Version 头或 JSON 对象的 `version` 中报告 {fact}。"
            ),
        )
    }
}

fn names(all: &BTreeSet<&InstanceId>) -> Said {
    let named = all.iter().take(NAMED).map(Said::as_is);
    let more = all.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| said!("{more} more", "另外 {more} 个"));
    Said::list(named.chain(more))
}
