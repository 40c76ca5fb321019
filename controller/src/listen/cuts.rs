//! Ends an agent's live connections.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use nepho_common::id::AgentId;
use tokio::sync::watch;

/// Every live connection of every agent, to be cut by name. Clones share them.
///
/// A cut ends what is connected at that moment. That the agent does not come back is the store's:
/// revoke first, then cut. A connection is registered before its row is looked up, so whichever
/// comes first, one of the two gets it.
#[derive(Debug, Clone, Default)]
pub struct Cuts {
    /// One sender for an agent and all its connections; replaced by each cut. At most one entry
    /// for each agent that ever was admitted.
    live: Arc<Mutex<BTreeMap<AgentId, watch::Sender<()>>>>,
}

/// Resolves when the connection is cut.
#[derive(Debug)]
pub(super) struct Cut(watch::Receiver<()>);

impl Cuts {
    /// Ends every live connection of this agent; `false` when it had none. Say goodbye first:
    /// the peer sees nothing but a broken connection.
    pub fn cut(&self, agent: &AgentId) -> bool {
        let sender = self.lock().remove(agent);
        sender.is_some_and(|sender| sender.receiver_count() > 0)
    }

    /// How many connections this agent has.
    #[must_use]
    pub fn live(&self, agent: &AgentId) -> usize {
        self.lock()
            .get(agent)
            .map_or(0, watch::Sender::receiver_count)
    }

    pub(super) fn register(&self, agent: &AgentId) -> Cut {
        let mut live = self.lock();
        Cut(live.entry(agent.clone()).or_default().subscribe())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<AgentId, watch::Sender<()>>> {
        self.live.lock().expect("nobody panics while holding it")
    }
}

impl Cut {
    /// Nothing is ever sent: the sender goes away when the agent is cut, and with the registry.
    pub(super) async fn made(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_cut_ends_all_connections_of_one_agent_and_no_later_ones() {
        let cuts = Cuts::default();
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        let (one, two, other) = (cuts.register(&a), cuts.register(&a), cuts.register(&b));
        assert_eq!(cuts.live(&a), 2);
        assert!(cuts.cut(&a));
        assert!(one.made().now_or_never().is_some());
        assert!(two.made().now_or_never().is_some());
        assert!(other.made().now_or_never().is_none());
        assert!(cuts.register(&a).made().now_or_never().is_none());
        assert!(!cuts.cut(&a));
    }
}
