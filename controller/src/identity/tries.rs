//! How often somebody may try to become an agent, or an agent to come back.
//!
//! What succeeds is not counted against an address: a hundred hosts behind one may join at once.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nepho_common::id::AgentId;
use nepho_proto::session::{Refused, Stranger};
use tokio::time::Instant;
use tonic::Code;

use crate::{
    listen::Source,
    rate::{Buckets, Rate},
};

/// Failed tries of one address: a person mistypes a few times, a script with a stale token some
/// more; a guesser of 256 bits gets nowhere, but may not keep a processor and the log busy.
pub const FAILED: Rate = Rate {
    burst: 20,
    every: Duration::from_secs(1),
};

/// Certificates for one agent that comes back: one a minute. Three at once, because a reply may be
/// lost and the agent may be started anew; its key was proven each time.
pub const REISSUES: Rate = Rate {
    burst: 3,
    every: Duration::from_secs(60),
};

/// Who tried lately. Clones share it.
#[derive(Debug, Clone)]
pub struct Tries {
    failed: Arc<Mutex<Buckets<Source>>>,
    reissues: Arc<Mutex<Buckets<AgentId>>>,
}

impl Default for Tries {
    fn default() -> Self {
        Self {
            failed: Arc::new(Mutex::new(Buckets::new(FAILED))),
            reissues: Arc::new(Mutex::new(Buckets::new(REISSUES))),
        }
    }
}

impl Tries {
    /// Whether this address may try.
    pub(super) fn may(&self, peer: Stranger) -> Result<(), Refused> {
        let looked = locked(&self.failed).look(&peer.address.ip().into(), Instant::now());
        looked.map_err(|wait| {
            let what = "too many failed tries came from this address";
            later(what, wait)
        })
    }

    /// It tried and was refused.
    pub(super) fn refused(&self, peer: Stranger, why: &Refused) {
        // Not for what is our fault, and not for coming too early.
        if matches!(why.code, Code::PermissionDenied | Code::InvalidArgument) {
            // What is empty stays empty.
            locked(&self.failed)
                .take(&peer.address.ip().into(), Instant::now())
                .ok();
        }
    }

    /// This agent has proven its key and wants a certificate.
    pub(super) fn reissue(&self, agent: &AgentId) -> Result<(), Refused> {
        let taken = locked(&self.reissues).take(agent, Instant::now());
        taken.map_err(|wait| later(&format!("agent {agent} came back moments ago"), wait))
    }
}

fn locked<T>(one: &Mutex<T>) -> MutexGuard<'_, T> {
    // An instant in a map: nothing can be half done.
    one.lock().unwrap_or_else(PoisonError::into_inner)
}

fn later(what: &str, wait: Duration) -> Refused {
    let secs = wait.as_secs() + 1;
    let why = format!("{what}: try again in {secs} s");
    Refused::new(Code::ResourceExhausted, &why)
}
