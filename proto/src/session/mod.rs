//! Enrolment, control and results over nouns: nobody outside names a prost type.
//!
//! - [`AgentMessage`], [`ControllerMessage`], [`Ack`]: what is said.
//! - [`SessionsClient`] and [`EnrolmentClient`]: the agent's ends, over a `tonic` channel.
//! - [`Sessions`] with [`sessions_server`], [`Enrolment`] with [`enrolment_server`]: the
//!   controller's ends, as routes for a `tonic` server.
//! - [`PeerIdentity`] and [`Stranger`]: who is there; the accept loops' streams say so as
//!   `Connected::ConnectInfo`. [`Peer`] is what a session is told.
//! - `queue`: what waits to go out, bounded by its bytes.
//! - [`SessionError`]: refused, broken, or a bad message.

mod bytes;
mod client;
mod enrolment;
mod error;
mod message;
mod peer;
mod queue;
mod server;

#[cfg(test)]
mod conversations;

use std::pin::Pin;

pub use bytes::{ack_from_bytes, controller_message_from_bytes};
pub use client::SessionsClient;
pub use enrolment::{
    EnrolReply, EnrolRequest, Enrolment, EnrolmentClient, ReissueRequest, RenewRequest,
    enrolment_server, reissue_message,
};
pub use error::{Refused, SessionError};
use futures_util::Stream;
pub use message::{Ack, AgentMessage, ControllerMessage, Ping, Pong, Welcome};
pub use peer::{Peer, PeerIdentity, Stranger};
pub use queue::{NotQueued, Place, Receiver, Sender, Weigh, queue};
pub use server::{Sessions, sessions_server};
/// For implementations of [`Sessions`] and [`Enrolment`].
pub use tonic::async_trait;

/// What comes in. A message that does not parse is an item, and the receiver decides whether it
/// goes on; after [`SessionError::Refused`], [`SessionError::Broken`] and bytes that are no message
/// at all nothing comes any more.
pub type Incoming<T> = Pin<Box<dyn Stream<Item = Result<T, SessionError>> + Send>>;

/// What goes out; its end ends that direction.
pub type Outgoing<T> = Pin<Box<dyn Stream<Item = T> + Send>>;
