//! Who is let in, once TLS says who they are.

use std::{
    future::{Future, pending},
    net::SocketAddr,
    pin::Pin,
    time::Duration,
};

use nepho_common::{id::AgentId, time::WallMillis};
use nepho_proto::{
    session::{PeerIdentity, Stranger},
    tls::{self, BadIdentity, Identity},
};
use rustls::pki_types::CertificateDer;
use tokio::time::sleep;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{Arrivals, Cuts};
use crate::journal::{AgentRow, Store, StoreError};

/// Decides on one connection.
pub trait Gate: Send + Sync + 'static {
    /// What tonic's handlers learn of who is there.
    type Peer: Clone + Send + Sync + Unpin + 'static;

    /// Lets in or turns away.
    fn pass(
        &self,
        certificate: Option<CertificateDer<'static>>,
        address: SocketAddr,
    ) -> impl Future<Output = Result<Pass<Self::Peer>, Turned>> + Send;
}

/// A connection that is let in.
pub struct Pass<P> {
    /// Who is there.
    pub peer: P,
    /// Resolves when the connection must end.
    pub end: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<P: std::fmt::Debug> std::fmt::Debug for Pass<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// Why somebody was turned away.
#[derive(Debug, thiserror::Error)]
pub enum Turned {
    /// TLS should have asked for one: the door has the wrong configuration.
    #[error("no certificate was shown")]
    NoCertificate,
    /// The certificate names nobody that may come here.
    #[error("the certificate is nobody's")]
    Nobody(#[source] BadIdentity),
    /// The controller itself has no business here.
    #[error("only agents may come here")]
    NotAnAgent,
    /// It can't be read after all.
    #[error("the certificate can't be read")]
    Unreadable,
    /// A good certificate of an agent that is not in the store.
    #[error("agent {0} is not known")]
    Unknown(AgentId),
    /// The agent was revoked.
    #[error("agent {0} is revoked")]
    Revoked(AgentId),
    /// Another certificate than the one that it was given last: a clone, or a restored disk.
    #[error("agent {0} shows a certificate that is not its latest: is it running twice?")]
    Stale(AgentId),
    /// More connections than any agent needs.
    #[error("agent {0} has too many connections")]
    TooMany(AgentId),
    /// Who can't be looked up is not let in.
    #[error("the agent can't be looked up")]
    Store(#[source] StoreError),
}

/// Connections of one agent: it has two, and twice two while it moves to a new certificate; the rest
/// is for those of which we have not noticed yet that they are dead.
pub const CONNECTIONS: usize = 16;
/// An agent opens its stream and says hello at once. One connection to the far side of the earth
/// does that within a second.
pub const SPEAKS_WITHIN: Duration = Duration::from_secs(10);

/// The sessions door: agents that are in the store, with their current certificate or the one
/// after it, until its end.
#[derive(Debug)]
pub struct Agents {
    /// Where agents are kept.
    pub store: Store,
    /// Where their connections are registered.
    pub cuts: Cuts,
    /// Where they say that they are used.
    pub arrivals: Arrivals,
    /// The wall clock.
    pub wall: fn() -> WallMillis,
}

impl Agents {
    /// Whether this serial number was offered, in which case it is the current one from here on.
    async fn is_next(&self, row: &AgentRow, serial: &str) -> Result<bool, Turned> {
        if row.next.as_ref().map(|next| next.serial.as_str()) != Some(serial) {
            return Ok(false);
        }
        let promoted = self
            .store
            .promote(row.agent.clone(), serial.to_owned())
            .await;
        if promoted.map_err(Turned::Store)? {
            tracing::info!(agent = %row.agent, serial, "an agent shows its new certificate");
            return Ok(true);
        }
        // Another connection of it was faster, or it was revoked meanwhile.
        let row = self.store.agent(&row.agent).await.map_err(Turned::Store)?;
        Ok(row.is_some_and(|row| row.revoked.is_none() && row.serial == serial))
    }
}

impl Gate for Agents {
    type Peer = PeerIdentity;

    async fn pass(
        &self,
        certificate: Option<CertificateDer<'static>>,
        address: SocketAddr,
    ) -> Result<Pass<PeerIdentity>, Turned> {
        let certificate = certificate.ok_or(Turned::NoCertificate)?;
        let identity = tls::peer_identity(&certificate).map_err(Turned::Nobody)?;
        let agent = match &identity {
            Identity::Agent(agent) => agent.clone(),
            Identity::Controller => return Err(Turned::NotAnAgent),
        };
        let shown = Shown::of(&certificate)?;
        // Before the row is looked up: a revocation between the two would be missed.
        let cut = self.cuts.register(&agent);
        if self.cuts.live(&agent) > CONNECTIONS {
            return Err(Turned::TooMany(agent));
        }
        let row = self.store.agent(&agent).await.map_err(Turned::Store)?;
        let Some(row) = row else {
            return Err(Turned::Unknown(agent));
        };
        if row.revoked.is_some() {
            return Err(Turned::Revoked(agent));
        }
        if row.serial != shown.serial && !self.is_next(&row, &shown.serial).await? {
            return Err(Turned::Stale(agent));
        }
        let left = left(shown.not_after, (self.wall)());
        let arrival = self.arrivals.expect(address);
        let end = async move {
            tokio::select! {
                () = cut.made() => {}
                () = sleep(left) => {}
                () = arrival.overdue(SPEAKS_WITHIN) => {}
            }
        };
        Ok(Pass {
            peer: PeerIdentity {
                identity,
                address,
                serial: shown.serial,
            },
            end: Box::pin(end),
        })
    }
}

/// The enrolment door: anybody, but not for long.
#[derive(Debug, Clone, Copy)]
pub struct Strangers {
    /// After this the connection ends, whatever it is doing. Enrolment is one request.
    pub stay: Option<Duration>,
}

/// A minute: many times what the slowest enrolment takes.
pub const STAY: Duration = Duration::from_secs(60);

impl Default for Strangers {
    fn default() -> Self {
        Self { stay: Some(STAY) }
    }
}

impl Gate for Strangers {
    type Peer = Stranger;

    async fn pass(
        &self,
        _: Option<CertificateDer<'static>>,
        address: SocketAddr,
    ) -> Result<Pass<Stranger>, Turned> {
        let stay = self.stay;
        Ok(Pass {
            peer: Stranger { address },
            end: Box::pin(async move {
                match stay {
                    Some(stay) => sleep(stay).await,
                    None => pending().await,
                }
            }),
        })
    }
}

/// What an agent's certificate says beside its name.
struct Shown {
    serial: String,
    not_after: WallMillis,
}

impl Shown {
    fn of(certificate: &CertificateDer<'_>) -> Result<Self, Turned> {
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| Turned::Unreadable)?;
        let secs = parsed.validity().not_after.timestamp();
        Ok(Self {
            serial: hex::encode(parsed.raw_serial()),
            not_after: WallMillis(secs.saturating_mul(1000)),
        })
    }
}

fn left(end: WallMillis, now: WallMillis) -> Duration {
    Duration::from_millis(u64::try_from(end.0.saturating_sub(now.0)).unwrap_or(0))
}
