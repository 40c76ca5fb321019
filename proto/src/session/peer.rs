//! Who is at the other end, as the accept loop found out.

use std::net::SocketAddr;

use nepho_common::id::AgentId;

use super::Refused;
use crate::tls::Identity;

/// A peer with a certificate of ours. The `ConnectInfo` of the sessions listener's streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Who, by its certificate.
    pub identity: Identity,
    /// From where.
    pub address: SocketAddr,
    /// Serial number of the certificate that it showed, hexadecimal.
    pub serial: String,
}

/// The agent at the other end of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Who, by its certificate.
    pub agent: AgentId,
    /// From where.
    pub address: SocketAddr,
    /// Serial number of the certificate that it showed, hexadecimal.
    pub serial: String,
}

/// A peer without a certificate. The `ConnectInfo` of the enrolment listener's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stranger {
    /// From where.
    pub address: SocketAddr,
}

/// The peer that the accept loop left in the extensions.
pub(super) fn found<T, P>(request: &tonic::Request<T>) -> Result<P, Refused>
where
    P: Clone + Send + Sync + 'static,
{
    let peer = request.extensions().get::<P>().cloned();
    // Only a listener that was wired wrongly gets here; letting nobody in is the safe answer.
    peer.ok_or_else(|| {
        Refused::new(
            tonic::Code::Internal,
            "the listener did not say who is there",
        )
    })
}

/// Sessions are for agents; nobody else gets one.
pub(super) fn agent<T>(request: &tonic::Request<T>) -> Result<Peer, Refused> {
    let PeerIdentity {
        identity,
        address,
        serial,
    } = found(request)?;
    match identity {
        Identity::Agent(agent) => Ok(Peer {
            agent,
            address,
            serial,
        }),
        Identity::Controller => {
            let why = "sessions are for agents";
            Err(Refused::new(tonic::Code::PermissionDenied, why))
        }
    }
}
