//! The doors: who comes in over TLS, and how they are put out.
//!
//! - `accept`: the accept loop: TLS by the configuration of the moment, bounded in number and
//!   time, alive whatever comes.
//! - `gate`: who is let in: agents that the store knows, or strangers who want to enrol.
//! - `conn`: the stream that tonic serves, which ends when it is cut.
//! - `cuts`: ends an agent's live connections.
//!
//! tonic's own TLS is not used: it can't change its certificate, has no deadline for handshakes,
//! and spins when file descriptors run out.
//!
//! Deliberately absent: limits for each address.

mod accept;
mod conn;
mod cuts;
mod gate;
#[cfg(test)]
mod hostile;
#[cfg(test)]
pub(crate) mod site;

use std::time::Duration;

pub use accept::{Limits, listen};
pub use conn::Conn;
pub use cuts::Cuts;
pub use gate::{Agents, Gate, Pass, Strangers, Turned};

/// A tonic server as every door has it. HTTP/2 pings find a peer that is gone within 15 s; an
/// agent needs two streams, and the bounds on streams, headers and resets are what memory one
/// connection can take.
#[must_use]
pub fn server_builder() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .max_concurrent_streams(16)
        .concurrency_limit_per_connection(32)
        .load_shed(true)
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .http2_max_header_list_size(16 * 1024)
        .http2_max_pending_accept_reset_streams(Some(20))
}
