//! The steps of the state machine: from preparing agents through each stage to the end.

use std::collections::BTreeMap;

use nepho_common::{
    control::Phase,
    event::{RunEnd, Skip, StartOrder, What},
    id::{AgentId, StageName},
    plan::PlannedStage,
    time::{Mono, Nanos, RunTime},
};

use super::{Action, FAILOVER, READY_WITHIN, Run, State, member::Member};
use crate::clock::Reading;

/// How long the burst of clock exchanges may take: eight round trips of half a second.
const TIMED_WITHIN: Nanos = Nanos::from_secs(5);
/// How long results may take to arrive after the last answer was due.
pub(super) const COLLECTED_WITHIN: Nanos = Nanos::from_secs(60);
/// How long folding and judging may take: seconds for the largest journal. After it the stage
/// counts as not passed for what comes after it; the report judges it again.
const JUDGED_WITHIN: Nanos = Nanos::from_secs(60);
/// How long the good-bye may take; nothing depends on it.
pub(super) const RELEASED_WITHIN: Nanos = Nanos::from_secs(3);
/// The least time between choosing a start and the start.
pub(super) const LEAD_MIN: Nanos = Nanos::from_secs(1);
pub(super) const SECOND: i64 = 1_000_000_000;

impl Run {
    /// One step of the state machine; whether there was one.
    pub(super) fn advance(&mut self, now: Mono, actions: &mut Vec<Action>) -> bool {
        match self.state.clone() {
            State::Preparing { until } => self.advance_preparing(until, now, actions),
            State::Arming { stage, until } => self.advance_arming(stage, until, now, actions),
            State::Timing { stage, until } => self.advance_timing(stage, until, now, actions),
            State::Running {
                stage, ends, until, ..
            } => self.advance_running(stage, (ends, until), now, actions),
            State::Judging { stage, until } => {
                let late = now >= until;
                if late {
                    self.passed.insert(self.stage(stage).name.clone(), false);
                    self.enter_stage(stage + 1, now, actions);
                }
                late
            }
            State::Over => false,
            State::Releasing { until } => {
                let all = self
                    .members
                    .values()
                    .all(|m| !m.is_active() || m.is_unknown());
                let over = all || now >= until;
                if over {
                    self.state = State::Over;
                }
                over
            }
        }
    }

    fn advance_preparing(&mut self, until: Mono, now: Mono, actions: &mut Vec<Action>) -> bool {
        if self.stop.is_some() {
            self.enter_stage(0, now, actions);
            return true;
        }
        let failed = self
            .members
            .iter()
            .find_map(|(agent, member)| match &member.phase {
                Some(Phase::Refused(why)) => Some(format!("agent {agent} refuses: {why}")),
                _ if member.lost && !self.is_awaited(member, now) => {
                    Some(format!("agent {agent} was lost before anything ran"))
                }
                _ if now >= until && !member.is_prepared() => Some(format!(
                    "agent {agent} did not take its assignment within {READY_WITHIN}"
                )),
                _ => None,
            });
        if let Some(why) = failed {
            self.end(RunEnd::Failed(why), now, actions);
            return true;
        }
        let ready = self.members.values().all(Member::is_prepared);
        if ready {
            self.enter_stage(0, now, actions);
        }
        ready
    }

    fn advance_arming(
        &mut self,
        stage: usize,
        until: Mono,
        now: Mono,
        actions: &mut Vec<Action>,
    ) -> bool {
        if self.stop.is_some() {
            self.enter_stage(stage, now, actions);
            return true;
        }
        let name = self.stage(stage).name.clone();
        let active = || self.members.iter().filter(|(_, member)| member.is_active());
        let armed: Vec<_> = active()
            .filter(|(_, m)| m.is_armed(&name))
            .map(|(a, _)| a.clone())
            .collect();
        let awaited = self
            .members
            .values()
            .any(|member| self.is_awaited(member, now));
        let all = active().count() == armed.len() && !awaited;
        if armed.is_empty() && (all || now >= until) {
            self.skip(stage, Skip::NotReady(self.not_armed(&name)), actions);
            self.enter_stage(stage + 1, now, actions);
            return true;
        }
        if !all && now < until {
            return false;
        }
        for agent in armed {
            if let Some(member) = self.members.get_mut(&agent) {
                member.clock = None;
            }
            actions.push(Action::MeasureClock(agent));
        }
        self.state = State::Timing {
            stage,
            until: now.plus(TIMED_WITHIN),
        };
        true
    }

    fn not_armed(&self, stage: &StageName) -> String {
        let waited = self
            .members
            .iter()
            .filter(|(_, member)| !member.is_armed(stage));
        let said: Vec<_> = waited
            .map(|(agent, m)| format!("{agent} {}", m.describe()))
            .collect();
        said.join(", ")
    }

    fn advance_timing(
        &mut self,
        stage: usize,
        until: Mono,
        now: Mono,
        actions: &mut Vec<Action>,
    ) -> bool {
        if self.stop.is_some() {
            self.enter_stage(stage, now, actions);
            return true;
        }
        let name = self.stage(stage).name.clone();
        let mut armed = self
            .members
            .values()
            .filter(|m| m.is_active() && m.is_armed(&name));
        if now < until && armed.any(|member| member.clock.is_none()) {
            return false;
        }
        let clocks: BTreeMap<AgentId, Reading> = self
            .members
            .iter()
            .filter(|(_, member)| member.is_active() && member.is_armed(&name))
            .filter_map(|(agent, member)| Some((agent.clone(), member.clock?)))
            .collect();
        if clocks.is_empty() {
            let why = "no agent's clock could be read".to_owned();
            self.skip(stage, Skip::NotReady(why), actions);
            self.enter_stage(stage + 1, now, actions);
        } else {
            self.start(stage, &clocks, now, actions);
        }
        true
    }

    /// Chooses the common start, once everybody is armed: late enough for the slowest path.
    fn start(
        &mut self,
        stage: usize,
        clocks: &BTreeMap<AgentId, Reading>,
        now: Mono,
        actions: &mut Vec<Action>,
    ) {
        let slowest = clocks
            .values()
            .map(|read| (6 * read.round_trip.0).max(3 * read.offset.width().0));
        let lead = Nanos(slowest.max().unwrap_or_default().max(LEAD_MIN.0));
        let earliest = now.plus(lead);
        let origin = *self.origin.get_or_insert(earliest);
        let into = earliest.minus(origin).max(0);
        let at_run = RunTime((into + SECOND - 1) / SECOND * SECOND);
        let at = origin.shifted(at_run.0);
        let agents: BTreeMap<_, _> = clocks
            .iter()
            .map(|(agent, read)| {
                let order = StartOrder {
                    at: at.shifted(read.offset.middle()),
                    offset: read.offset,
                    round_trip: read.round_trip,
                    measured: read.measured,
                };
                (agent.clone(), order)
            })
            .collect();
        for (agent, member) in &mut self.members {
            member.start = agents.get(agent).copied();
            member.again = false;
        }
        let planned = self.stage(stage);
        let ends = at.plus(planned.lasts);
        let until = collected_by(planned, at);
        let name = planned.name.clone();
        actions.push(Action::Journal(What::StageOrdered {
            stage: name,
            at_run,
            at,
            agents,
        }));
        self.state = State::Running {
            stage,
            at,
            at_run,
            ends,
            until,
            kept: false,
        };
    }

    fn advance_running(
        &mut self,
        stage: usize,
        (ends, until): (Mono, Mono),
        now: Mono,
        actions: &mut Vec<Action>,
    ) -> bool {
        let name = self.stage(stage).name.clone();
        let over = now >= ends;
        let waits = |member: &Member| {
            member.start.is_some() && (!member.is_done(&name, over) || self.is_awaited(member, now))
        };
        if now < until && self.members.values().any(waits) {
            return false;
        }
        let missing = self
            .members
            .iter()
            .filter(|(_, member)| !member.is_collected(&name));
        let missing = missing.map(|(agent, _)| agent.clone()).collect();
        actions.push(Action::Journal(What::StageCollected {
            stage: name.clone(),
            missing,
        }));
        actions.push(Action::Judge(name));
        self.state = State::Judging {
            stage,
            until: now.plus(JUDGED_WITHIN),
        };
        true
    }

    /// Arms the first stage from `index` on that may begin; skips the others; ends after the last.
    pub(super) fn enter_stage(&mut self, index: usize, now: Mono, actions: &mut Vec<Action>) {
        for index in index..self.plan.stages.len() {
            match self.reason_to_skip(index) {
                Some(why) => self.skip(index, why, actions),
                None => {
                    self.state = State::Arming {
                        stage: index,
                        until: self.ready_by(now),
                    };
                    return;
                }
            }
        }
        let how = self.stop.map_or(RunEnd::Completed, RunEnd::Stopped);
        self.end(how, now, actions);
    }

    /// When agents must be ready that are asked now: after a restart they have to come back first.
    fn ready_by(&self, now: Mono) -> Mono {
        let back = self.taken_up.map_or(now, |at| at.plus(FAILOVER));
        back.max(now).plus(READY_WITHIN)
    }

    fn reason_to_skip(&self, index: usize) -> Option<Skip> {
        if self.stop.is_some() {
            return Some(Skip::Stopped);
        }
        if self.plan.keep_going {
            return None;
        }
        let failed = |stage: &&StageName| self.passed.get(*stage) != Some(&true);
        self.stage(index)
            .after
            .iter()
            .find(failed)
            .cloned()
            .map(Skip::After)
    }

    fn skip(&mut self, index: usize, why: Skip, actions: &mut Vec<Action>) {
        let stage = self.stage(index).name.clone();
        self.passed.insert(stage.clone(), false);
        actions.push(Action::Journal(What::StageSkipped { stage, why }));
    }

    fn end(&mut self, how: RunEnd, now: Mono, actions: &mut Vec<Action>) {
        actions.push(Action::Journal(What::RunEnded { how: how.clone() }));
        actions.push(Action::Ended(how));
        self.state = State::Releasing {
            until: now.plus(RELEASED_WITHIN),
        };
    }
}

/// When the collection of a stage that starts at `at` is given up.
pub(super) fn collected_by(stage: &PlannedStage, at: Mono) -> Mono {
    let ends = at.plus(stage.lasts);
    ends.plus(longest_timeout(stage)).plus(COLLECTED_WITHIN)
}

fn longest_timeout(stage: &PlannedStage) -> Nanos {
    let timeouts = stage.steps.iter().map(|step| step.act.timeout());
    timeouts.max().unwrap_or_default()
}
