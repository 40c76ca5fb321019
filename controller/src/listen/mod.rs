//! The doors: who comes in over TLS, and how they are put out.
//!
//! - `accept`: the accept loop: TLS by the configuration of the moment, bounded in number and
//!   time, alive whatever comes.
//! - `line`, `crowd`: who waits for a handshake and how many are inside, fair to each address.
//! - `arrivals`: who is inside and says nothing.
//! - `gate`: who is let in: agents that the store knows, or strangers who want to enrol.
//! - `conn`: the stream that tonic serves, which ends when it is cut.
//! - `pieces`: what keeps tonic from holding two of each message.
//! - `cuts`: ends an agent's live connections.
//!
//! tonic's own TLS is not used: it can't change its certificate, has no deadline for handshakes,
//! and spins when file descriptors run out.

mod accept;
mod arrivals;
mod conn;
mod crowd;
mod cuts;
mod gate;
#[cfg(test)]
mod hostile;
mod line;
mod pieces;
#[cfg(test)]
pub(crate) mod site;

use std::time::Duration;

pub use accept::{
    DESCRIPTORS_KEPT, HANDSHAKE, HANDSHAKE_RATE, HANDSHAKES, HANDSHAKES_OF_SOURCE, Limits, OPEN,
    OPEN_OF_SOURCE, PATIENCE, STRANGERS, STRANGERS_OF_SOURCE, WAITING, WAITING_OF_SOURCE, listen,
};
pub use arrivals::Arrivals;
pub use conn::Conn;
pub use crowd::Source;
pub use cuts::Cuts;
pub use gate::{Agents, CONNECTIONS, Gate, Pass, SPEAKS_WITHIN, STAY, Strangers, Turned};
use pieces::InPieces;
use tower::layer::util::{Identity, Stack};

/// Streams of one connection. An agent opens one that lasts and now and then a renewal; with the
/// largest message on each, this bounds what one connection makes us hold to 8 MiB.
pub const STREAMS: u32 = 4;
/// Names and values of all headers of a request, 16 KiB: ours take about 300 bytes.
pub const HEADERS_BYTES: u32 = 16 << 10;
/// Streams that were reset before we saw them ("rapid reset", CVE-2023-44487). An agent resets
/// none; h2's own number is the same, but may change.
pub const RESETS: usize = 20;
/// Streams that we reset because of the peer's mistakes (CVE-2025-8671). An agent makes none.
pub const OWN_RESETS: usize = 100;
/// Bytes on their way to us that we have not read, for a stream and for a connection, 1 MiB: at a
/// round trip of 250 ms 32 Mbit/s of results for each agent.
pub const WINDOW: u32 = 1 << 20;
/// HTTP/2 pings find a peer that is gone within 15 s, and keep the state of middleboxes fresh.
pub const PING_EVERY: Duration = Duration::from_secs(10);
/// See [`PING_EVERY`].
pub const PING_ANSWER: Duration = Duration::from_secs(5);

/// A tonic server as every door has it.
#[must_use]
pub fn server_builder() -> tonic::transport::Server<Stack<InPieces, Identity>> {
    tonic::transport::Server::builder()
        .max_concurrent_streams(STREAMS)
        .concurrency_limit_per_connection(2 * STREAMS as usize)
        .load_shed(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_ANSWER))
        .http2_max_header_list_size(HEADERS_BYTES)
        .http2_max_pending_accept_reset_streams(Some(RESETS))
        .http2_max_local_error_reset_streams(Some(OWN_RESETS))
        .layer(pieces::in_pieces())
}
