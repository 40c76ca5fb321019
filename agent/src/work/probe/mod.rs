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

use std::sync::atomic::{AtomicBool, Ordering};

use nepho_common::{
    id::{Feature, PlanId, RunId, StageName},
    plan::Check,
    policy::Endpoint,
    recording::Outcome,
    time::Nanos,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub use self::failure::Failure;
use self::{http::HttpQuestion, tcp::TcpQuestion};
use super::guard::Guard;
use crate::{chain::Chain, clock};

/// A check, made ready before its first instant.
#[derive(Debug)]
pub struct Question {
    action: Feature,
    kind: Result<Kind, String>,
    /// A refusal by the policy is said once for each target of a stage.
    is_denial_said: AtomicBool,
}

#[derive(Debug)]
enum Kind {
    Http(Box<HttpQuestion>),
    Tcp(TcpQuestion),
}

impl Question {
    /// Makes `check` ready. One that can't be made is kept too: each of its requests is then a
    /// failure of our side, not of the target.
    #[must_use]
    pub fn new(check: &Check, guard: &Guard) -> Self {
        let endpoint = Endpoint::of(check).map_err(|why| why.to_string());
        let kind = endpoint.and_then(|to| match check {
            Check::Http(check) => {
                let ask = HttpQuestion::new(check, to, &guard.policy())?;
                Ok(Kind::Http(Box::new(ask)))
            }
            Check::Tcp(_) => Ok(Kind::Tcp(TcpQuestion(to))),
        });
        Self {
            action: check.feature(),
            kind,
            is_denial_said: AtomicBool::new(false),
        }
    }

    /// Why it can't be asked.
    #[must_use]
    pub fn unusable(&self) -> Option<&str> {
        self.kind.as_ref().err().map(String::as_str)
    }

    /// Says in this host's own log how it failed; the log takes every secret out.
    fn log(&self, kind: &Kind, failure: &Failure, outcome: Outcome, cause: &Cause) {
        let Cause { run, plan, stage } = cause;
        let to = match kind {
            Kind::Http(ask) => ask.to(),
            Kind::Tcp(ask) => &ask.0,
        };
        let error = Chain(failure);
        let denied = matches!(failure, Failure::Denied(_));
        if denied && !self.is_denial_said.swap(true, Ordering::Relaxed) {
            let rule = error;
            tracing::warn!(%run, %plan, %stage, %to, %rule, "a request was refused by the policy");
        } else {
            tracing::debug!(%run, %stage, %to, %error, ?outcome, "a request failed");
        }
    }

    const fn needs_tls(&self) -> bool {
        match &self.kind {
            Ok(Kind::Http(ask)) => ask.is_https(),
            Ok(Kind::Tcp(_)) | Err(_) => false,
        }
    }
}

/// For what a request is made: a line in the log about it says so.
#[derive(Debug, Clone)]
pub struct Cause {
    /// The run.
    pub run: RunId,
    /// Its plan.
    pub plan: PlanId,
    /// The stage.
    pub stage: StageName,
}

/// Asks.
#[derive(Clone)]
#[expect(
    missing_debug_implementations,
    reason = "a TLS connector has none, and nobody prints an asker"
)]
pub struct Asker {
    tls: Option<TlsConnector>,
    guard: Guard,
    cause: Cause,
}

impl Asker {
    /// An asker for these questions. The host's root certificates are read once, and only if a
    /// question needs them: that takes milliseconds, so it comes before the first instant.
    pub async fn ready_for<'a>(
        mut questions: impl Iterator<Item = &'a Question>,
        guard: Guard,
        cause: Cause,
    ) -> Self {
        let tls = if questions.any(Question::needs_tls) {
            Some(http::tls().await)
        } else {
            None
        };
        Self { tls, guard, cause }
    }

    /// Asks and waits for the end, at most for `timeout`.
    pub async fn ask(&self, question: &Question, timeout: Nanos) -> Outcome {
        let Ok(kind) = &question.kind else {
            return Outcome::OurSide;
        };
        let answer = async {
            let _leave = self.guard.enter(&question.action, clock::now())?;
            match kind {
                Kind::Http(ask) => ask.ask(self.tls.as_ref(), &self.guard).await,
                Kind::Tcp(ask) => ask.ask(&self.guard).await,
            }
        };
        match tokio::time::timeout(timeout.duration(), answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(failure)) => {
                let outcome = failure.outcome();
                question.log(kind, &failure, outcome, &self.cause);
                outcome
            }
            Err(_) => Outcome::Timeout,
        }
    }
}

/// A connection to the first address that takes one, in the resolver's order. Each was judged, and
/// the name is not asked for again.
async fn connect(to: &Endpoint, guard: &Guard) -> Result<TcpStream, Failure> {
    let addresses = guard.addresses(to).await?;
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
