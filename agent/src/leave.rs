//! How an agent is ended: asked to drain, or at once; and how complete that was.

use std::time::Duration;

use tokio::sync::watch;

/// What is wanted of the agent. Each is more urgent than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leave {
    /// Go on.
    Stay,
    /// Take on nothing new, finish what is under way if it ends within this time and stop it if
    /// not, deliver everything, and end.
    Drain(Duration),
    /// Write what there is, and end.
    Now,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing was cut, and the controller has everything.
    Complete,
    /// A stage was cut at the deadline, or results wait on disk for the next start.
    Incomplete,
    /// It was told to end at once.
    Aborted,
}

/// Comes back when something more urgent than `told` is wanted. Nobody left to ask is an end too.
pub(crate) async fn beyond(wanted: &mut watch::Receiver<Leave>, told: Leave) -> Leave {
    let more = wanted.wait_for(|leave| *leave > told).await;
    more.map_or(Leave::Now, |leave| *leave)
}
