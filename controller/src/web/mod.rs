//! The HTTP/JSON API, `/v1`, and its client.
//!
//! ```text
//! cli --client--> Unix socket --gate (whose process is it?)--> routes --> driver::Handle
//! ```
//!
//! - [`document`]: what goes over it, each with its `schema`.
//! - [`refusal`]: how it says no.
//! - [`server`]: the socket, the gate, the routes. `events`: a run, live, as server-sent events.
//!   `export`: a run directory as a stream.
//! - [`client`]: one connection a request. [`follow`]: a run's events, whatever breaks between.
//!
//! Deliberately absent: TCP, TLS and tokens (the operator is on the controller's own host so far);
//! pages for browsers.

pub mod client;
pub mod document;
mod events;
mod export;
pub mod follow;
pub mod refusal;
pub mod server;

pub use client::{Client, ClientError};
pub use server::{BindError, bind, router, serve};
