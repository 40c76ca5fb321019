//! Targets that break the rules, each in one way, for those who must not break down over it.
//!
//! `heads` reads what is asked, `rude` answers it over HTTP/1.1, `resets` speaks HTTP/2 by hand.

mod heads;
mod resets;
mod rude;

use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};

use super::stamps::Stamps;
use crate::listener::{self, locked};

/// What is wrong with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Reads a request and closes.
    ClosesUnanswered,
    /// Answers with a head that promises a body, and closes.
    ClosesAfterHead,
    /// Answers with a body of 1 GiB.
    HugeBody,
    /// Answers with a byte a second, from the first byte on.
    Drip,
    /// Answers with a chunk, and then with what is no chunk.
    BadChunks,
    /// Answers with one header of 1 MiB.
    HugeHeader,
    /// Answers with 100,000 headers.
    ManyHeaders,
    /// Answers with a redirect to where clouds keep credentials.
    RedirectToMetadata,
    /// Accepts and reads, and never answers.
    Silent,
    /// Speaks HTTP/2 from the first byte, settles, and floods with RST_STREAM and GOAWAY.
    H2Resets,
}

/// What connections share.
type Seen = Mutex<Option<Stamps>>;

/// Serves until `end`; the stamps of what came.
pub(super) async fn serve(
    kind: Kind,
    listener: TcpListener,
    stamps: Option<Stamps>,
    end: impl Future<Output = ()>,
) -> Option<Stamps> {
    let seen = Arc::new(Mutex::new(stamps));
    let serve = |stream, mut end: tokio::sync::watch::Receiver<bool>| {
        let seen = Arc::clone(&seen);
        async move {
            tokio::select! {
                () = talk(kind, stream, &seen) => {}
                _ = end.changed() => {}
            }
        }
    };
    listener::accept(listener, Arc::default(), end, serve).await;
    locked(&seen).take()
}

async fn talk(kind: Kind, stream: TcpStream, seen: &Seen) {
    let ended = match kind {
        Kind::H2Resets => resets::talk(stream, seen).await,
        Kind::ClosesUnanswered
        | Kind::ClosesAfterHead
        | Kind::HugeBody
        | Kind::Drip
        | Kind::BadChunks
        | Kind::HugeHeader
        | Kind::ManyHeaders
        | Kind::RedirectToMetadata
        | Kind::Silent => rude::talk(kind, stream, seen).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection broke");
    }
}
