//! HTTPS with a certificate of the service's own that ends on a day of choice, or has ended.
//!
//! `arguments` says what is wanted, `authority` signs, `handshake` lets connections in.
//!
//! Deliberately absent: renewal. A certificate that ends is what this is for.

mod arguments;
mod authority;
mod handshake;

pub(super) use arguments::{TlsArguments, TlsError};
pub(super) use handshake::Handshakes;
