//! Who may take part: the authority, join tokens, enrolment.
//!
//! - [`ca`]: the controller's own authority, made on first start. [`certificate`]: what it signs.
//! - [`csr`]: the one thing that is taken from a certificate request: its public key.
//! - [`token`]: what an operator hands to a new agent.
//! - [`enrol`]: a good token and a key in, a certificate out. [`renew`]: the certificates after it.
//!
//! Deliberately absent: what an admitted agent may be told to do (its own policy decides that).

pub mod ca;
pub mod certificate;
pub mod csr;
pub mod enrol;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
pub mod renew;
pub mod token;
