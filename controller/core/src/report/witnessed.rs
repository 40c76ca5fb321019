//! What agents saw of failures, and what targets said of themselves. Order and repetition mean nothing.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{
    event::Subject,
    id::{AgentId, Operation},
    recording::{Outcome, Trace, TraceRun},
    symptom::Symptom,
    time::RunTime,
};

use super::sample::is_failure;

/// Values of one fact that are kept of one target by one agent: a target that says something else
/// each time says nothing.
const VALUES_MAX: usize = 16;

/// First and last instant, how many, and how they ended.
type Run = (RunTime, RunTime, u32, Outcome);

/// What some of those behind a target answered in a piece of time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Answered {
    /// When the first of these requests was due.
    pub(super) at: RunTime,
    /// What it called itself; nothing when `None`.
    pub(super) by: Option<Operation>,
    pub(super) requests: u64,
    pub(super) failures: u64,
    pub(super) connections: u64,
}

/// By agent and target.
#[derive(Debug, Default)]
pub(super) struct Witnessed {
    symptoms: BTreeMap<(AgentId, Subject), BTreeMap<Outcome, (RunTime, Symptom)>>,
    facts: BTreeMap<(AgentId, Subject), BTreeMap<Operation, BTreeMap<RunTime, Operation>>>,
    /// By first and last instant, so that they have one order; those of all records of a path.
    runs: BTreeMap<(AgentId, Subject), BTreeSet<Run>>,
    /// Who answered, by what was asked.
    answered: BTreeMap<(AgentId, Subject, Operation), Vec<Answered>>,
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

    /// How requests ended one after the other, where some failed.
    pub(super) fn trace(&mut self, agent: &AgentId, trace: Trace) {
        self.answers(agent, &trace);
        let of = Subject {
            stage: trace.stage,
            step: trace.step,
            to: trace.to,
        };
        let mine = self.runs.entry((agent.clone(), of)).or_default();
        let runs = trace.runs.into_iter();
        mine.extend(runs.map(|run| (run.first, run.last, run.count, run.outcome)));
    }

    /// A trace is of one piece of time, so its first request says when it was.
    fn answers(&mut self, agent: &AgentId, trace: &Trace) {
        let Some(first) = trace.runs.first() else {
            return;
        };
        let failed = trace.runs.iter().filter(|run| is_failure(run.outcome));
        let of = Subject {
            stage: trace.stage.clone(),
            step: trace.step.clone(),
            to: trace.to.clone(),
        };
        let key = (agent.clone(), of, trace.operation.clone());
        self.answered.entry(key).or_default().push(Answered {
            at: first.first,
            by: trace.back_end.clone(),
            requests: trace.count(),
            failures: failed.map(|run| u64::from(run.count)).sum(),
            connections: trace.connections,
        });
    }

    /// Who answered `agent` when it asked this of a target.
    pub(super) fn answered(
        &self,
        agent: &AgentId,
        of: &Subject,
        operation: &Operation,
    ) -> impl Iterator<Item = &Answered> {
        let key = (agent.clone(), of.clone(), operation.clone());
        self.answered.get(&key).into_iter().flatten()
    }

    /// The runs of equal outcomes of this target that `agent` told of, in order. Between two there
    /// may be a time in which nothing failed and nothing was told.
    pub(super) fn runs_of(
        &self,
        agent: &AgentId,
        of: &Subject,
    ) -> impl Iterator<Item = TraceRun> + '_ {
        let mine = self.runs.get(&(agent.clone(), of.clone()));
        let run = |&(first, last, count, outcome): &_| TraceRun {
            first,
            last,
            count,
            outcome,
        };
        mine.into_iter().flatten().map(run)
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
