//! The workers of a stage.
//!
//! A stage has one task, the pacer: one alarm for everything that is due, one task for each
//! request, so that a slow answer never delays the next request. What they see goes to the driver
//! as [`Seen`].
//!
//! - [`slots`]: what is due when, as a value.
//! - [`pacer`]: the task of a stage.
//! - `watch`: what this host uses and has left.
//! - [`load`]: many requests to one address.
//! - [`probe`]: one request and what became of it.
//! - [`guard`]: stands before every connection. [`secret`]: what a header needs and nobody sees.

pub mod guard;
mod listeners;
pub mod load;
pub mod pacer;
pub mod probe;
pub mod secret;
pub mod slots;
mod watch;

use nepho_agent_core::recorder::Observation;
use nepho_common::{
    event::What,
    id::{RunId, StageName},
    load::Counted,
    recording::Gauge,
    time::{Mono, Nanos},
};

/// What workers hand to the driver.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// The stage began.
    Started {
        /// The instant that was ordered.
        planned: Mono,
        /// When it came.
        actual: Mono,
    },
    /// A request ended.
    Ended(Observation),
    /// A failure of a kind that was not seen yet, or what a target says of itself.
    Noted(Box<What>),
    /// What a watch read.
    Read(Vec<Gauge>),
    /// A generator counted something.
    Loaded {
        /// Place of the step in the stage.
        step: usize,
        /// Place of the share in the step.
        share: usize,
        /// What.
        counted: Box<Counted>,
    },
    /// Requests that were due were not sent: the step, and by how much each was late.
    Missed(Vec<(usize, Nanos)>),
    /// Nothing is sent any more, and every answer came or timed out.
    Idle,
}

/// Something seen, and of which stage: what a stage that was cut off still says must not be taken
/// for the next one's.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// The run.
    pub run: RunId,
    /// The stage.
    pub stage: StageName,
    /// What.
    pub seen: Seen,
}
