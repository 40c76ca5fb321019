//! Where a run stands, for people.

use nepho_common::{
    id::StageName,
    time::{Mono, Nanos},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Run, State};

/// Where a run stands, and what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// `preparing`, `arming`, `timing`, `running`, `collecting`, `judging`, `releasing`, `over`.
    pub state: String,
    /// The stage that it is about.
    pub stage: Option<StageName>,
    /// Its place, from 1.
    pub number: usize,
    /// Of how many.
    pub stages: usize,
    /// Since the stage's common start.
    pub elapsed: Nanos,
    /// How long the stage lasts.
    pub lasts: Nanos,
    /// Since the run began.
    pub since: Nanos,
    /// What ends the state that it is in.
    #[serde(default)]
    pub waits_for: String,
    /// Within this the state ends, whatever happens; absent when nothing is waited for.
    #[serde(default)]
    pub within: Option<Nanos>,
    /// Who is waited for, and what each is doing.
    pub waiting: Vec<String>,
}

impl Run {
    /// Where the run stands at `now`.
    #[must_use]
    pub fn progress(&self, now: Mono) -> Progress {
        let (state, stage, elapsed) = match self.state {
            State::Preparing { .. } => ("preparing", None, Nanos(0)),
            State::Arming { stage, .. } => ("arming", Some(stage), Nanos(0)),
            State::Timing { stage, .. } => ("timing", Some(stage), Nanos(0)),
            State::Running {
                stage, at, ends, ..
            } if now < ends => ("running", Some(stage), now.since(at)),
            State::Running {
                stage, at, ends, ..
            } => ("collecting", Some(stage), ends.since(at)),
            State::Judging { stage, .. } => ("judging", Some(stage), self.stage(stage).lasts),
            State::Releasing { .. } => ("releasing", None, Nanos(0)),
            State::Over => ("over", None, Nanos(0)),
        };
        Progress {
            state: state.to_owned(),
            stage: stage.map(|stage| self.stage(stage).name.clone()),
            number: stage.map_or(0, |stage| stage + 1),
            stages: self.plan.stages.len(),
            elapsed,
            lasts: stage.map_or(Nanos(0), |stage| self.stage(stage).lasts),
            since: now.since(self.since),
            waits_for: self.waits_for(now).to_owned(),
            within: self.until().map(|until| until.since(now)),
            waiting: self.waiting(now),
        }
    }

    /// When the present state ends at the latest.
    const fn until(&self) -> Option<Mono> {
        match self.state {
            State::Preparing { until }
            | State::Arming { until, .. }
            | State::Timing { until, .. }
            | State::Running { until, .. }
            | State::Judging { until, .. }
            | State::Releasing { until } => Some(until),
            State::Over => None,
        }
    }

    const fn waits_for(&self, now: Mono) -> &'static str {
        match self.state {
            State::Preparing { .. } => "every agent to take its assignment",
            State::Arming { .. } => "every agent to be ready to start",
            State::Timing { .. } => "every agent's clock to be read",
            State::Running { kept: false, .. } => "the order to start to be written down",
            State::Running { ends, .. } if now.0 < ends.0 => "the stage's time to be up",
            State::Running { .. } => "every agent's results to arrive",
            State::Judging { .. } => "the stage to be judged",
            State::Releasing { .. } => "every agent to forget the run",
            State::Over => "",
        }
    }

    fn waiting(&self, now: Mono) -> Vec<String> {
        let members = || self.members.iter();
        let say = |(agent, member): (&_, &super::Member)| format!("{agent} {}", member.describe());
        match self.state {
            State::Preparing { .. } => members()
                .filter(|(_, m)| !m.is_prepared())
                .map(say)
                .collect(),
            State::Arming { stage, .. } => {
                let name = &self.stage(stage).name;
                members()
                    .filter(|(_, m)| !m.is_armed(name))
                    .map(say)
                    .collect()
            }
            State::Timing { .. } => {
                let unread = members().filter(|(_, m)| m.is_active() && m.clock.is_none());
                unread
                    .map(|(agent, _)| format!("{agent} is asked for its clock"))
                    .collect()
            }
            State::Running { stage, ends, .. } => {
                let name = &self.stage(stage).name;
                let late = |m: &super::Member| m.lost || (now >= ends && !m.is_collected(name));
                members().filter(|(_, m)| late(m)).map(say).collect()
            }
            State::Judging { .. } | State::Over => Vec::new(),
            State::Releasing { .. } => members()
                .filter(|(_, m)| m.is_active() && !m.is_unknown())
                .map(say)
                .collect(),
        }
    }
}
