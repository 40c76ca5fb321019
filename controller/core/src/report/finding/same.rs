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

use super::{Place, put};
use crate::report::{
    cause::Cause,
    model::{Finding, Observed, Priority, Verdict},
    sample::Sample,
    tuple::Tuple,
};

/// How many are named; the rest is counted.
const NAMED: usize = 5;

/// Who said what, and who said nothing.
#[derive(Debug, Default)]
struct Said<'a> {
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
            Verdict::Inconclusive => {
                let remedy = "Look at the journal of that agent, then run it again.";
                Some(Cause::new(Priority::Medium, spoiled, remedy))
            }
            Verdict::Pass | Verdict::NotRun | Verdict::Error => None,
        };
        put(&mut finding, cause);
        finding.observed = Observed {
            text: said.text(fact),
            ..Observed::default()
        };
        finding.samples = sample.samples();
        finding.agents = sample.agents();
        finding.evidence = sample.evidence();
        finding
    }

    /// What was said last counts; two agents that heard different things of one target make two.
    fn said<'a>(&'a self, fact: &Operation, step: &PlannedStep, sample: &Sample<'a>) -> Said<'a> {
        let mut said = Said::default();
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

impl Said<'_> {
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

    fn text(&self, fact: &Operation) -> String {
        let all = self.ordered();
        let silent = match self.silent.len() {
            0 => String::new(),
            n => format!("; {n} said nothing of it"),
        };
        if all.is_empty() {
            return format!("nobody said a {fact}");
        }
        let one =
            |(value, by): &(&Operation, &BTreeSet<&InstanceId>)| format!("{value} ({})", by.len());
        let all: Vec<_> = all.iter().map(one).collect();
        format!("{fact} {}{silent}", all.join(", "))
    }

    fn differs(&self, fact: &Operation) -> Cause {
        let all = self.ordered();
        let Some(((most, by), others)) = all.split_first() else {
            return self.unsaid(fact);
        };
        let one = |(value, by): &(&Operation, &BTreeSet<&InstanceId>)| {
            format!("{} says {value}", names(by))
        };
        let others: Vec<_> = others.iter().map(one).collect();
        let first = all.get(1).map_or_else(String::new, |(_, by)| names(by));
        Cause::new(
            Priority::Medium,
            format!(
                "Not all say the same {fact}: {}, while {} says {most}.",
                others.join("; "),
                names(by)
            ),
            format!(
                "Bring {first} to {fact} {most}, or find out why it was left behind or went ahead."
            ),
        )
    }

    fn unsaid(&self, fact: &Operation) -> Cause {
        Cause::new(
            Priority::Medium,
            format!("Of {} no {fact} was heard.", names(&self.silent)),
            format!(
                "Look whether it answers at all; a service says its {fact} in a header X-Version, or as \
                 `version` of a JSON object."
            ),
        )
    }
}

fn names(all: &BTreeSet<&InstanceId>) -> String {
    let mut named: Vec<_> = all.iter().take(NAMED).map(ToString::to_string).collect();
    if all.len() > NAMED {
        named.push(format!("{} more", all.len() - NAMED));
    }
    named.join(", ")
}
