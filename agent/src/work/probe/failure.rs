//! How a request fails, and which outcome that is.

use std::{error::Error, io};

use nepho_common::{policy::Denied, recording::Outcome};
use rustix::io::Errno;

/// The act that failed. All of it is data of the measurement, never an error of the agent.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// This host's policy forbids it.
    #[error("forbidden by the policy")]
    Denied(#[from] Denied),
    /// The name has no address, or nobody says which.
    #[error("resolve the name")]
    Resolve(#[source] io::Error),
    /// The resolver answered without an address.
    #[error("the name has no address")]
    NoAddress,
    /// No connection came about.
    #[error("connect")]
    Connect(#[source] io::Error),
    /// No encryption came about.
    #[error("shake hands")]
    Handshake(#[source] io::Error),
    /// Request or answer broke off.
    #[error("exchange request and answer")]
    Exchange(#[source] hyper::Error),
}

impl Failure {
    /// The outcome that this is.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            // It says nothing of the target.
            Self::Denied(_) => Outcome::OurSide,
            Self::Resolve(error) if is_ours(error) => Outcome::OurSide,
            Self::Resolve(_) | Self::NoAddress => Outcome::Resolve,
            // Whatever the kernel says that is not about the target is about us.
            Self::Connect(error) => io_outcome(error).unwrap_or(Outcome::OurSide),
            Self::Handshake(error) => io_outcome(error).unwrap_or(Outcome::Tls),
            Self::Exchange(error) => exchange_outcome(error),
        }
    }
}

fn exchange_outcome(error: &hyper::Error) -> Outcome {
    let mut cause = error.source();
    while let Some(found) = cause {
        if let Some(io) = found.downcast_ref::<io::Error>() {
            return io_outcome(io).unwrap_or_else(|| {
                if io
                    .get_ref()
                    .is_some_and(|inner| inner.is::<rustls::Error>())
                {
                    Outcome::Tls
                } else {
                    Outcome::Protocol
                }
            });
        }
        cause = found.source();
    }
    // Closed in the middle, or before an answer: the connection was cut, if politely.
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        Outcome::Reset
    } else {
        Outcome::Protocol
    }
}

fn io_outcome(error: &io::Error) -> Option<Outcome> {
    if is_ours(error) {
        return Some(Outcome::OurSide);
    }
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNREFUSED) => Some(Outcome::Refused),
        Some(Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE) => Some(Outcome::Reset),
        Some(Errno::TIMEDOUT) => Some(Outcome::Timeout),
        Some(Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::HOSTDOWN | Errno::NETDOWN) => {
            Some(Outcome::Unreachable)
        }
        Some(_) => None,
        None => match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Some(Outcome::Reset),
            _ => None,
        },
    }
}

/// Out of handles, ports, buffers or memory, or forbidden by this host's own rules.
fn is_ours(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw_os_error),
        Some(
            Errno::MFILE
                | Errno::NFILE
                | Errno::ADDRNOTAVAIL
                | Errno::NOBUFS
                | Errno::NOMEM
                | Errno::ACCESS
                | Errno::PERM
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_outcome() {
        let connect = |errno: Errno| {
            Failure::Connect(io::Error::from_raw_os_error(errno.raw_os_error())).outcome()
        };
        for (errno, outcome) in [
            (Errno::CONNREFUSED, Outcome::Refused),
            (Errno::CONNRESET, Outcome::Reset),
            (Errno::CONNABORTED, Outcome::Reset),
            (Errno::PIPE, Outcome::Reset),
            (Errno::TIMEDOUT, Outcome::Timeout),
            (Errno::HOSTUNREACH, Outcome::Unreachable),
            (Errno::NETUNREACH, Outcome::Unreachable),
            (Errno::MFILE, Outcome::OurSide),
            (Errno::NFILE, Outcome::OurSide),
            (Errno::ADDRNOTAVAIL, Outcome::OurSide),
            (Errno::NOBUFS, Outcome::OurSide),
            (Errno::ACCESS, Outcome::OurSide),
            (Errno::INVAL, Outcome::OurSide),
        ] {
            assert_eq!(connect(errno), outcome, "{errno}");
        }
        let said = |error: io::Error| Failure::Handshake(error).outcome();
        let tls = rustls::Error::HandshakeNotComplete;
        assert_eq!(
            said(io::Error::new(io::ErrorKind::InvalidData, tls)),
            Outcome::Tls
        );
        assert_eq!(said(io::ErrorKind::UnexpectedEof.into()), Outcome::Reset);
        let errno = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        assert_eq!(said(errno(Errno::CONNRESET)), Outcome::Reset);
        assert_eq!(Failure::NoAddress.outcome(), Outcome::Resolve);
        assert_eq!(
            Failure::Resolve(io::Error::other("no")).outcome(),
            Outcome::Resolve
        );
        assert_eq!(
            Failure::Resolve(errno(Errno::MFILE)).outcome(),
            Outcome::OurSide
        );
    }
}
