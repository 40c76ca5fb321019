//! Who may speak to whom: TLS 1.3 only, HTTP/2 only, no tickets and no resumption, so that every
//! session begins with a full check of both sides.
//!
//! - [`server_config_mutual`] and [`client_config_session`]: sessions; both sides hold a
//!   certificate of our own authority.
//! - [`server_config_plain`] and [`client_config_enrol`]: enrolment; the agent knows nothing but
//!   the digest of the authority, from its join token.
//! - [`controller_uri`], [`agent_uri`], [`peer_identity`], [`validity`]: identities in certificates.
//!
//! Deliberately absent: names of hosts. Where something is reached says nothing of who it is.

mod config;
mod identity;
mod verify;

#[cfg(test)]
mod authority;
#[cfg(test)]
mod handshakes;

pub use config::{
    TlsError, client_config_enrol, client_config_session, server_config_mutual, server_config_plain,
};
pub use identity::{BadIdentity, Identity, agent_uri, controller_uri, peer_identity, validity};
