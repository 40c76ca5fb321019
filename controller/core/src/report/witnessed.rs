//! What agents saw of failures, and what targets said of themselves. Order and repetition mean nothing.

use std::collections::BTreeMap;

use nepho_common::{
    event::Subject,
    id::{AgentId, Operation},
    recording::Outcome,
    symptom::Symptom,
    time::RunTime,
};

/// Values of one fact that are kept of one target by one agent: a target that says something else
/// each time says nothing.
const VALUES_MAX: usize = 16;

/// By agent and target.
#[derive(Debug, Default)]
pub(super) struct Witnessed {
    symptoms: BTreeMap<(AgentId, Subject), BTreeMap<Outcome, (RunTime, Symptom)>>,
    facts: BTreeMap<(AgentId, Subject), BTreeMap<Operation, BTreeMap<RunTime, Operation>>>,
}

impl Witnessed {
    /// Of several symptoms of one outcome the earliest counts: an agent that was restarted sees
    /// another first one.
    pub(super) fn symptom(
        &mut self,
        agent: &AgentId,
        of: Subject,
        (at, outcome): (RunTime, Outcome),
        symptom: Symptom,
    ) {
        let mine = self.symptoms.entry((agent.clone(), of)).or_default();
        let known = mine.entry(outcome).or_insert((at, symptom.clone()));
        // Two at one instant are told apart by what they print, so that no order matters.
        let order = |one: &(RunTime, Symptom)| (one.0, format!("{:?}", one.1));
        let new = (at, symptom);
        if order(&new) < order(known) {
            *known = new;
        }
    }

    pub(super) fn fact(
        &mut self,
        agent: &AgentId,
        of: Subject,
        at: RunTime,
        (name, value): (Operation, Operation),
    ) {
        let mine = self.facts.entry((agent.clone(), of)).or_default();
        let values = mine.entry(name).or_default();
        let known = values.entry(at).or_insert_with(|| value.clone());
        if value < *known {
            *known = value;
        }
        while values.len() > VALUES_MAX {
            values.pop_last();
        }
    }

    /// What `agent` saw of failures of this target.
    pub(super) fn symptoms_of(
        &self,
        agent: &AgentId,
        of: &Subject,
    ) -> impl Iterator<Item = (Outcome, &Symptom)> {
        let mine = self.symptoms.get(&(agent.clone(), of.clone()));
        let all = mine.into_iter().flatten();
        all.map(|(outcome, (_, symptom))| (*outcome, symptom))
    }

    /// What this target last said to `agent` of `name`.
    pub(super) fn fact_of(&self, agent: &AgentId, of: &Subject, name: &str) -> Option<&Operation> {
        let mine = self.facts.get(&(agent.clone(), of.clone()))?;
        let (_, values) = mine.iter().find(|(one, _)| one.as_str() == name)?;
        values.last_key_value().map(|(_, value)| value)
    }
}
