//! What ends a run at once, whatever is still planned.

use serde::{Deserialize, Serialize};

use super::Judge;
use crate::{id::StepName, time::Nanos};

/// What must hold while a stage runs: when the last so long of it breaks it, everything ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AbortIf {
    /// The step that is looked at, over all who measure it.
    pub on: StepName,
    /// What must hold: failures, a success rate or a latency, as it was observed.
    pub judge: Judge,
    /// How much of the past is looked at together.
    pub over: Nanos,
}
