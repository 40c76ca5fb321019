//! Whether a target is there.
//!
//! The kernel accepts on a proxy's port whatever happens behind it, which would make a plain TCP
//! check pass for a dead service. So someone looks, twice a second, and the route closes its port.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::{Notify, watch},
    time::{MissedTickBehavior, interval_at, timeout},
};

pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// On loopback only a full backlog takes longer.
const CHECK_DEADLINE: Duration = Duration::from_millis(400);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    NotYet,
    Up,
    Down,
}

/// One per address, however many routes lead there.
#[derive(Debug)]
pub(super) struct Target {
    address: SocketAddr,
    sight: watch::Sender<Sight>,
    /// A route was refused: look again now.
    doubt: Notify,
    /// Connections that only looked; the target's own count of connections includes them.
    checks: AtomicU64,
}

impl Target {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            sight: watch::Sender::new(Sight::NotYet),
            doubt: Notify::new(),
            checks: AtomicU64::new(0),
        }
    }

    pub(super) fn sight(&self) -> watch::Receiver<Sight> {
        self.sight.subscribe()
    }

    pub(super) fn look_again(&self) {
        self.doubt.notify_one();
    }

    pub(super) fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }

    /// Looks for ever: at once, then every [`CHECK_INTERVAL`], shifted by `shift` so that many
    /// targets are not looked at in one burst that delays what is being carried.
    pub(super) async fn watch(&self, shift: Duration) -> Infallible {
        self.look().await;
        let mut turn = interval_at(tokio::time::Instant::now() + shift, CHECK_INTERVAL);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = turn.tick() => (),
                () = self.doubt.notified() => (),
            }
            self.look().await;
        }
    }

    async fn look(&self) {
        self.checks.fetch_add(1, Ordering::Relaxed);
        let sight = match timeout(CHECK_DEADLINE, TcpStream::connect(self.address)).await {
            Ok(Ok(_)) => Sight::Up,
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Sight::Down,
            // A full backlog, or our own lack of files: the target neither accepts nor refuses.
            Ok(Err(error)) => return self.keep(&error),
            Err(elapsed) => return self.keep(&elapsed),
        };
        self.sight
            .send_if_modified(|known| std::mem::replace(known, sight) != sight);
    }

    fn keep(&self, why: &dyn std::fmt::Display) {
        tracing::warn!(target = %self.address, %why, "could not see whether the target is there");
    }
}
