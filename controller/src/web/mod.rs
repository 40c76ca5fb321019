//! The HTTP/JSON API, `/v1`, and its client.
//!
//! ```text
//! cli --client--> Unix socket --gate (whose process is it?)--> routes --> driver::Handle
//! ```
//!
//! - [`document`]: what goes over it, each with its `schema`.
//! - [`refusal`]: how it says no.
//! - [`socket`]: the socket and its gate. [`server`]: the routes. `events`: a run, live, as
//!   server-sent events. `export`: a run directory as a stream.
//! - [`client`]: one connection a request. [`answer`]: what comes over it. [`follow`]: a run's
//!   events, whatever breaks between.
//!
//! Deliberately absent: TCP, TLS and tokens (the operator is on the controller's own host so far);
//! pages for browsers.

pub mod answer;
pub mod client;
pub mod document;
mod events;
mod export;
pub mod follow;
pub mod refusal;
pub mod server;
pub mod socket;

pub use client::{Client, ClientError};
pub use server::{router, serve};
pub use socket::{BindError, bind};
