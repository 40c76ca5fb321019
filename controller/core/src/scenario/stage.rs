//! The scenario, checked.

use std::collections::BTreeMap;

use nepho_common::{
    id::{ScenarioName, StageName, StepName},
    plan::LostAgent,
    time::Nanos,
};

use super::{AbortIf, Expectation, Load, Probe, Steady, Watch};
use crate::fleet::Title;

/// What the operator wrote. Its only door is [`load`](super::load()).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Its name.
    pub name: ScenarioName,
    /// Its name for people.
    pub title: Option<Title>,
    /// What becomes of a run when an agent is lost.
    pub lost_agent: LostAgent,
    /// What must be so before anything is disturbed, and again at the end.
    pub steady_state: Vec<Steady>,
    /// What ends a run at once.
    pub abort_if: Vec<AbortIf>,
    /// Its stages, in the order in which they happen; at least one.
    pub stages: Vec<Stage>,
}

/// A time in which some steps run side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its name, unique in the scenario.
    pub name: StageName,
    /// Its name for people.
    pub title: Option<Title>,
    /// The earlier stages that must have passed before it begins.
    pub after: Vec<StageName>,
    /// How long it lasts.
    pub lasts: Nanos,
    /// What is done; at least one step.
    pub steps: BTreeMap<StepName, Step>,
    /// What is expected of the steps, in file order.
    pub expect: Vec<Expectation>,
}

/// One thing that is done in a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask each target regularly.
    Probe(Box<Probe>),
    /// Read regularly what hosts use and have left.
    Watch(Watch),
    /// Send many requests.
    Load(Box<Load>),
}
