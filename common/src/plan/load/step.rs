//! A load as a step: what is sent, when, by whom, and over how many connections.

use serde::{Deserialize, Serialize};

use super::{super::PlannedPath, Carried, Rate, Rise, Schedule, Stripe, ToldBy};
use crate::{
    id::{AgentId, Feature, InstanceId, Operation},
    time::Nanos,
};

/// What makes requests due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Model {
    /// A schedule that does not wait for answers.
    Open {
        /// The intended instants.
        schedule: Schedule,
        /// Draws whatever it leaves to chance.
        seed: u64,
    },
    /// Each connection is a user who waits for the answer, thinks, and asks again.
    Closed {
        /// From an answer to the next request.
        think: Nanos,
        /// Users come in stairs; all are there from the start when `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rise: Option<Rise>,
    },
}

impl Model {
    /// Whether requests are due whatever becomes of those before.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// The stairs in which users come, if they do.
    #[must_use]
    pub const fn rise(&self) -> Option<Rise> {
        match self {
            Self::Open { .. } => None,
            Self::Closed { rise, .. } => *rise,
        }
    }
}

/// Sends many requests, from the start of the stage to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Load<T> {
    /// When.
    pub model: Model,
    /// From the intended instant on; an answer that comes later came for nobody.
    pub timeout: Nanos,
    /// The first so long of it is no part of the baseline.
    pub warm_up: Nanos,
    /// What is sent, each as often as its weight says.
    pub calls: Vec<Call>,
    /// Rows that requests are filled with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feeds: Vec<Feed>,
    /// Draws what requests leave to chance.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub seed: u64,
    /// How what is sent is carried.
    #[serde(default, skip_serializing_if = "Carried::is_default")]
    pub carried: Carried,
    /// What in an answer names who gave it; nobody asks when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_by: Option<ToldBy>,
    /// Who sends how much of it to whom.
    pub shares: Vec<Share>,
    /// Each share with each call: who sends what to whom, and how to get there.
    pub to: Vec<T>,
}

/// One of the requests of a mix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Call {
    /// Names it among the others, for people and for the series.
    pub operation: Operation,
    /// Of so many requests as all weights together are, this one is so many.
    pub weight: u32,
    /// What is sent behind the headers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// Its path, its body and the values of its own headers are [templates](crate::template).
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_template: bool,
    /// Headers with holes, beside those of its check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Path and query; those of its check when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What stands in the holes of its body is written as in a string of JSON.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_json: bool,
    /// It goes out when the call before it was answered as it should be, by the same user; its
    /// weight is nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub follows: bool,
    /// What its answer gives to those that follow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub take: Vec<Take>,
}

impl Call {
    /// One without a body, that is the same each time.
    #[must_use]
    pub const fn plain(operation: Operation, weight: u32) -> Self {
        Self {
            operation,
            weight,
            body: String::new(),
            is_template: false,
            headers: Vec::new(),
            path: String::new(),
            is_json: false,
            follows: false,
            take: Vec::new(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(it: &bool) -> bool {
    !*it
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_nothing(it: &u64) -> bool {
    *it == 0
}

/// What an answer gives to the calls that follow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Take {
    /// What it is called: `${taken:NAME}`.
    pub name: Operation,
    /// Where it stands: a header or a path into a JSON body.
    pub from: ToldBy,
}

/// Rows that requests are filled with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Feed {
    /// What it is called: `${feed:NAME.COLUMN}`.
    pub name: Operation,
    /// Rows are drawn by the seed; in turn, by the number of the request, when not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_drawn: bool,
    /// What its columns are called; at least one.
    pub columns: Vec<Operation>,
    /// At least one, each as long as there are columns.
    pub rows: Vec<Vec<String>>,
}

/// What one agent sends to one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Share {
    /// Who.
    pub agent: AgentId,
    /// To whom.
    pub to: InstanceId,
    /// Its part of the schedule: all stripes of a step together are the whole.
    pub stripe: Stripe,
    /// Connections, which are users in a closed model.
    pub connections: u32,
    /// Threads, each with its part of both.
    pub lanes: u32,
    /// A request that is due while so many wait or are open is shed, and counted.
    pub in_flight_max: u64,
    /// One thread more sends one of the calls so often over a connection of its own, and is no part of
    /// what is counted: what it sees is compared with what the others see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Rate>,
}

impl Share {
    /// Connections of all its threads.
    #[must_use]
    pub fn connections(&self) -> u64 {
        u64::from(self.connections) + u64::from(self.reference.is_some())
    }

    /// All its threads.
    #[must_use]
    pub fn threads(&self) -> u64 {
        u64::from(self.lanes) + u64::from(self.reference.is_some())
    }
}

impl<T> Load<T> {
    /// The most calls of a mix.
    pub const CALLS_MAX: usize = 50;
    /// The most bytes of all bodies and feeds: a command to an agent has 4 MiB, with several steps in it.
    pub const BODIES_MAX: usize = 256 << 10;
    /// The most feeds.
    pub const FEEDS_MAX: usize = 10;
    /// The most columns of a feed.
    pub const COLUMNS_MAX: usize = 100;
    /// The most rows of a feed.
    pub const ROWS_MAX: usize = 100_000;
    /// The most shares of one agent in one step.
    pub const SHARES_MAX: usize = 100;
    /// The most threads of one share.
    pub const LANES_MAX: u32 = 64;

    /// What an agent must be able to do, and be allowed to.
    #[must_use]
    pub fn action() -> Feature {
        "load.http".parse().expect("a name")
    }

    /// How many requests of a call are expected in a part of the stage on one path; `None` when
    /// answers decide it.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a mean, and never negative"
    )]
    pub fn expected(
        &self,
        share: &Share,
        call: &Operation,
        (from, to): (Nanos, Nanos),
    ) -> Option<u64> {
        let Model::Open { schedule, .. } = &self.model else {
            return None;
        };
        let all: u64 = self.calls.iter().map(|call| u64::from(call.weight)).sum();
        let mine = self.calls.iter().find(|one| one.operation == *call)?;
        if mine.follows {
            return None;
        }
        let part = f64::from(mine.weight) / (all.max(1) as f64);
        let due = schedule.expected(from, to) * part / f64::from(share.stripe.of());
        Some(due.round() as u64)
    }

    /// The call that a reference lane sends: the first that is the same each time, and neither follows
    /// another one nor is followed.
    #[must_use]
    pub fn reference_call(&self) -> Option<u16> {
        let followed = self.calls.iter().skip(1).map(|call| call.follows);
        let mut all = self.calls.iter().zip(followed.chain([false]));
        let place =
            all.position(|(call, is_followed)| !call.is_template && !call.follows && !is_followed);
        u16::try_from(place?).ok()
    }

    /// The share that a path is part of.
    #[must_use]
    pub fn share(&self, agent: &AgentId, to: &InstanceId) -> Option<&Share> {
        let mut all = self.shares.iter();
        all.find(|share| share.agent == *agent && share.to == *to)
    }

    /// Requests that a share makes in its busiest second, those of its reference lane with them; all
    /// that can be when only answers hold it back.
    #[must_use]
    pub fn peak(&self, share: &Share) -> u64 {
        let reference = share.reference.map_or(0, |rate| rate.0.div_ceil(1_000));
        let lanes = match &self.model {
            Model::Open { schedule, .. } => {
                let whole = schedule.peak().0.div_ceil(1_000);
                whole.div_ceil(share.stripe.of().into())
            }
            Model::Closed { think, .. } => {
                // Nothing but thinking holds a user back whose target answers at once.
                let each = Nanos::from_secs(1).0.checked_div(think.0);
                let all = each.map(|each| (each + 1).saturating_mul(share.connections.into()));
                let most = Rate::MAX.0 / 1_000;
                all.unwrap_or(most).min(most)
            }
        };
        lanes.saturating_add(reference)
    }
}

impl Load<PlannedPath> {
    /// How many requests are expected on a path in a part of the stage; `None` when answers decide
    /// it, or nothing is sent there.
    #[must_use]
    pub fn planned(&self, path: &PlannedPath, span: (Nanos, Nanos)) -> Option<u64> {
        let share = self.share(&path.agent, &path.to)?;
        self.expected(share, &path.operation, span)
    }
}
