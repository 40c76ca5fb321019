//! One request and what became of it.
//!
//! The time-out counts from sending, not from the intended instant: a target must not be called
//! slow because we were late. Redirects are not followed, and no proxy of the environment is used.
//! A request counts as sent when its task begins, so resolving, connecting and the handshake are
//! part of its service time.
//!
//! - `failure`: how a request fails, and which outcome that is.
//! - `http`: HTTP/1.1 on a new connection.
//! - `tcp`: connect and close.

mod failure;
mod http;
mod tcp;

use std::net::SocketAddr;

use nepho_common::{plan::Check, recording::Outcome, time::Nanos};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub use self::failure::Failure;
use self::{http::HttpQuestion, tcp::TcpQuestion};

/// A check, made ready before its first instant.
#[derive(Debug)]
pub struct Question(Result<Kind, String>);

#[derive(Debug)]
enum Kind {
    Http(Box<HttpQuestion>),
    Tcp(TcpQuestion),
}

impl Question {
    /// Makes `check` ready. One that can't be made is kept too: each of its requests is then a
    /// failure of our side, not of the target.
    #[must_use]
    pub fn new(check: &Check) -> Self {
        Self(match check {
            Check::Http(check) => HttpQuestion::new(check).map(|ask| Kind::Http(Box::new(ask))),
            Check::Tcp(check) => TcpQuestion::new(check).map(Kind::Tcp),
        })
    }

    /// Why it can't be asked.
    #[must_use]
    pub fn unusable(&self) -> Option<&str> {
        self.0.as_ref().err().map(String::as_str)
    }

    const fn needs_tls(&self) -> bool {
        match &self.0 {
            Ok(Kind::Http(ask)) => ask.is_https(),
            Ok(Kind::Tcp(_)) | Err(_) => false,
        }
    }
}

/// Asks.
#[derive(Clone, Default)]
#[expect(
    missing_debug_implementations,
    reason = "a TLS connector has none, and nobody prints an asker"
)]
pub struct Asker {
    tls: Option<TlsConnector>,
}

impl Asker {
    /// An asker for these questions. The host's root certificates are read once, and only if a
    /// question needs them: that takes milliseconds, so it comes before the first instant.
    pub async fn ready_for<'a>(mut questions: impl Iterator<Item = &'a Question>) -> Self {
        let tls = if questions.any(Question::needs_tls) {
            Some(http::tls().await)
        } else {
            None
        };
        Self { tls }
    }

    /// Asks and waits for the end, at most for `timeout`.
    pub async fn ask(&self, question: &Question, timeout: Nanos) -> Outcome {
        let Ok(kind) = &question.0 else {
            return Outcome::OurSide;
        };
        let answer = async {
            match kind {
                Kind::Http(ask) => ask.ask(self.tls.as_ref()).await,
                Kind::Tcp(ask) => ask.ask().await,
            }
        };
        match tokio::time::timeout(timeout.duration(), answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(failure)) => {
                let outcome = failure.outcome();
                tracing::debug!(error = %crate::chain::Chain(&failure), ?outcome, "a request failed");
                outcome
            }
            Err(_) => Outcome::Timeout,
        }
    }
}

/// A connection to the first address of `host` that takes one, in the resolver's order.
async fn connect(host: &str, port: u16) -> Result<TcpStream, Failure> {
    let found = tokio::net::lookup_host((host, port)).await;
    let addresses: Vec<SocketAddr> = found.map_err(Failure::Resolve)?.collect();
    let mut last = Failure::NoAddress;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Without it a request that is written in two parts waits for an answer to the
                // first.
                stream.set_nodelay(true).map_err(Failure::Connect)?;
                return Ok(stream);
            }
            Err(error) => last = Failure::Connect(error),
        }
    }
    Err(last)
}

/// A text with a reference that nobody resolved must not leave the host.
fn resolved(text: &str) -> Result<(), String> {
    if text.contains("${") {
        // The text itself may be a secret's name; it is not repeated.
        return Err("it holds an unresolved reference `${…}`".to_owned());
    }
    Ok(())
}
