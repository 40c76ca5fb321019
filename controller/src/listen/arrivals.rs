//! Connections that are open and have not said yet what they are for.
//!
//! An agent opens its stream at once. A connection that does not holds memory and a descriptor for
//! nothing, and answers HTTP/2's pings for ever.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

/// The connections that are waited for, by the peer's address and port. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Arrivals(Arc<Mutex<BTreeMap<SocketAddr, Arc<Notify>>>>);

/// One connection.
#[derive(Debug)]
pub(super) struct Arrival {
    arrivals: Arrivals,
    address: SocketAddr,
    spoke: Arc<Notify>,
}

impl Arrivals {
    pub(super) fn expect(&self, address: SocketAddr) -> Arrival {
        let spoke = Arc::new(Notify::new());
        self.lock().insert(address, Arc::clone(&spoke));
        let arrivals = self.clone();
        Arrival {
            arrivals,
            address,
            spoke,
        }
    }

    /// This connection does what it was opened for.
    pub fn spoke(&self, address: SocketAddr) {
        if let Some(spoke) = self.lock().remove(&address) {
            spoke.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrival {
    /// Comes back when the connection did not speak within this time, and else never.
    pub(super) async fn overdue(self, within: Duration) {
        if timeout(within, self.spoke.notified()).await.is_ok() {
            std::future::pending::<()>().await;
        }
        tracing::info!(address = %self.address, ?within, "a connection was opened for nothing");
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut waiting = self.arrivals.lock();
        // The same address and port may be in use again.
        if waiting
            .get(&self.address)
            .is_some_and(|one| Arc::ptr_eq(one, &self.spoke))
        {
            waiting.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const WITHIN: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn who_speaks_in_time_stays_and_who_does_not_is_overdue() {
        let arrivals = Arrivals::default();
        let [one, two] = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let mut speaks = Box::pin(arrivals.expect(one).overdue(WITHIN));
        let silent = arrivals.expect(two).overdue(WITHIN);
        assert!(speaks.as_mut().now_or_never().is_none());
        arrivals.spoke(one);
        silent.await;
        assert!(timeout(WITHIN * 3, speaks.as_mut()).await.is_err());
        drop(speaks);
        assert!(arrivals.lock().is_empty());
    }
}
