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
    /// The same, where no HTTP is spoken.
    #[error("exchange bytes")]
    Talk(#[source] io::Error),
    /// The target closed the connection before it said anything.
    #[error("the target closed the connection")]
    Ended,
    /// The target speaks HTTP/1.1 only.
    #[error("the target does not speak HTTP/2")]
    NoHttp2,
    /// A header names a host that is none.
    #[error("the host of the request is none")]
    BadHost,
    /// This host has no certificates ready to judge others by.
    #[error("nobody's certificates are trusted")]
    NoRoots,
    /// A redirect leads where no agent may go.
    #[error("a redirect leads to a forbidden target")]
    Redirect(#[source] Denied),
    /// This host lets us send no echo request.
    #[error("not permitted to open an ICMP socket")]
    NotPermitted(#[source] io::Error),
    /// No randomness to tell our message from others.
    #[error("draw an id")]
    Random(#[source] io::Error),
    /// It answered, and not as it should.
    #[error("{what}")]
    Answer {
        /// Which kind of wrong answer.
        outcome: Outcome,
        /// In words, without anything of the answer.
        what: String,
    },
}

impl Failure {
    pub(super) const fn answer(outcome: Outcome, what: String) -> Self {
        Self::Answer { outcome, what }
    }

    /// Behind a redirect, what is forbidden to every agent is the target's doing, not ours.
    pub(super) fn behind_redirect(self, is_behind: bool) -> Self {
        match self {
            Self::Denied(denied) if is_behind => match denied {
                Denied::BuiltIn { .. } | Denied::Controller(_) => Self::Redirect(denied),
                Denied::Action(_)
                | Denied::Process(_)
                | Denied::Container(_)
                | Denied::Target(_)
                | Denied::Endpoint { .. }
                | Denied::Secret { .. }
                | Denied::Reference { .. }
                | Denied::Rate { .. }
                | Denied::Connections { .. }
                | Denied::Threads { .. }
                | Denied::Lasts { .. }
                | Denied::Now { .. } => Self::Denied(denied),
            },
            other => other,
        }
    }

    /// Whether a rule stood against it.
    pub(super) const fn is_denied(&self) -> bool {
        matches!(self, Self::Denied(_) | Self::Redirect(_))
    }

    /// The outcome that this is.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            // It says nothing of the target.
            Self::Denied(_)
            | Self::BadHost
            | Self::NoRoots
            | Self::NotPermitted(_)
            | Self::Random(_) => Outcome::OurSide,
            Self::Redirect(_) => Outcome::Content,
            Self::Answer { outcome, .. } => *outcome,
            Self::Ended => Outcome::Reset,
            Self::NoHttp2 => Outcome::Protocol,
            Self::Talk(error) => io_outcome(error).unwrap_or(Outcome::Protocol),
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
        assert_eq!(
            Failure::Talk(errno(Errno::CONNREFUSED)).outcome(),
            Outcome::Refused
        );
    }

    #[test]
    fn a_redirect_to_what_nobody_may_reach_is_the_target_s_doing() {
        let built_in = || Denied::BuiltIn {
            target: String::new(),
            rule: "metadata",
        };
        let outcome = |denied: Denied, is_behind| {
            let failure = Failure::from(denied).behind_redirect(is_behind);
            failure.outcome()
        };
        assert_eq!(outcome(built_in(), true), Outcome::Content);
        assert_eq!(outcome(built_in(), false), Outcome::OurSide);
        let narrow = Denied::Target(String::new());
        assert_eq!(
            outcome(narrow, true),
            Outcome::OurSide,
            "our policy, not they"
        );
    }
}
