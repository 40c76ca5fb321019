//! One request and what became of it.
//!
//! The time-out counts from sending, not from the intended instant: a target must not be called
//! slow because we were late. No proxy of the environment is used. A request counts as sent when its
//! task begins, so resolving, connecting and the handshake are part of its service time.
//!
//! - `failure`: how a request fails, and which outcome that is.
//! - `means`: what every kind needs: connections that the policy judged, TLS, and the trail of what
//!   took place. `roots`: whose certificates are trusted.
//! - `exchange`: one HTTP request over a connection, in version 1.1 or 2. `site`: whom a URL names.
//! - `http` with `answer`, `tcp`, `tls`, `dns`, `icmp`, `grpc`, `prometheus`, `event`: the kinds.

mod answer;
mod dns;
mod event;
mod exchange;
mod failure;
mod grpc;
mod http;
mod icmp;
mod means;
mod prometheus;
mod reference;
mod roots;
mod site;
mod symptom;
mod tcp;
mod tls;

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use nepho_agent_core::recorder::{Certificate, Phases};
use nepho_common::{
    id::{Feature, Operation, PlanId, RunId, StageName},
    plan::Check,
    policy::Endpoint,
    recording::{Outcome, Scope},
    time::Nanos,
};
use rustls::RootCertStore;

pub(super) use self::{
    answer::holds,
    reference::text as reveal,
    roots::{Spoken, Tls},
    site::Site,
};
use self::{
    dns::DnsQuestion, event::EventQuestion, grpc::GrpcQuestion, http::HttpQuestion,
    icmp::IcmpQuestion, means::Means, prometheus::PrometheusQuestion, tcp::TcpQuestion,
    tls::TlsQuestion,
};
pub use self::{failure::Failure, symptom::Clue};
use super::guard::Guard;
use crate::chain::Chain;

/// A check, made ready before its first instant.
#[derive(Debug)]
pub struct Question {
    action: Feature,
    /// Whom it is for, for the log.
    to: String,
    kind: Result<Kind, String>,
    /// A refusal by the policy is said once for each target of a stage.
    is_denial_said: AtomicBool,
    told: Mutex<Told>,
}

/// What was told of this target in this stage.
#[derive(Debug, Default)]
struct Told {
    outcomes: BTreeSet<Outcome>,
    version: Option<String>,
}

#[derive(Debug)]
enum Kind {
    Http(Box<HttpQuestion>),
    Tcp(TcpQuestion),
    Tls(TlsQuestion),
    Dns(DnsQuestion),
    Icmp(IcmpQuestion),
    Grpc(Box<GrpcQuestion>),
    Prometheus(Box<PrometheusQuestion>),
    Event(Box<EventQuestion>),
}

/// What came of a request.
#[derive(Debug)]
pub struct Answer {
    /// How it ended.
    pub outcome: Outcome,
    /// What it was made of, as far as it came.
    pub phases: Phases,
    /// The certificate that the target showed.
    pub certificate: Option<Certificate>,
    /// What the failure looked like, the first time that it was seen in a stage.
    pub clue: Option<Box<Clue>>,
    /// What the target says of its version, when that is news.
    pub version: Option<Operation>,
}

impl Answer {
    /// Nothing was heard of the target.
    #[must_use]
    pub fn none(outcome: Outcome) -> Self {
        Self {
            outcome,
            phases: Phases::default(),
            certificate: None,
            clue: None,
            version: None,
        }
    }
}

impl Question {
    /// Makes `check` ready. One that can't be made is kept too: each of its requests is then a
    /// failure of our side, not of the target.
    #[must_use]
    pub fn new(check: &Check, guard: &Guard) -> Self {
        let endpoint = Endpoint::of(check).map_err(|why| why.to_string());
        let to = endpoint
            .as_ref()
            .map_or_else(Clone::clone, ToString::to_string);
        let policy = guard.policy();
        let kind = endpoint.and_then(|to| {
            Ok(match check {
                Check::Http(check) => Kind::Http(Box::new(HttpQuestion::new(check, &policy)?)),
                Check::Tcp(check) => Kind::Tcp(TcpQuestion::new(check, to)),
                Check::Tls(check) => Kind::Tls(TlsQuestion::new(check, to)?),
                Check::Dns(check) => Kind::Dns(DnsQuestion::new(check, to)?),
                Check::Icmp(_) => Kind::Icmp(IcmpQuestion::new(to)?),
                Check::Grpc(check) => Kind::Grpc(Box::new(GrpcQuestion::new(check)?)),
                Check::Prometheus(check) => {
                    Kind::Prometheus(Box::new(PrometheusQuestion::new(check, &policy)?))
                }
                Check::Event(check) => {
                    Kind::Event(Box::new(EventQuestion::new(check, to, &policy)?))
                }
            })
        });
        Self {
            action: check.feature(),
            to,
            kind,
            is_denial_said: AtomicBool::new(false),
            told: Mutex::default(),
        }
    }

    /// Whether this is the first failure of its kind; it counts as told from now on.
    fn is_new(&self, outcome: Outcome) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        outcome != Outcome::Success && outcome != Outcome::OurSide && told.outcomes.insert(outcome)
    }

    /// The version, if it is another one than was told before.
    fn new_version(&self, said: Option<&str>) -> Option<Operation> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let said = said.filter(|said| told.version.as_deref() != Some(said))?;
        told.version = Some(said.to_owned());
        Operation::try_from(said.to_owned()).ok()
    }

    /// Why it can't be asked.
    #[must_use]
    pub fn unusable(&self) -> Option<&str> {
        self.kind.as_ref().err().map(String::as_str)
    }

    /// Says in this host's own log how it failed; the log takes every secret out.
    fn log(&self, failure: &Failure, outcome: Outcome, cause: &Cause) {
        let Cause { run, plan, stage } = cause;
        let to = &self.to;
        let error = Chain(failure);
        let denied = failure.is_denied();
        if denied && !self.is_denial_said.swap(true, Ordering::Relaxed) {
            let rule = error;
            tracing::warn!(%run, %plan, %stage, %to, %rule, "a request was refused by the policy");
        } else {
            tracing::debug!(%run, %stage, %to, %error, ?outcome, "a request failed");
        }
    }

    fn needs_tls(&self) -> bool {
        match &self.kind {
            Ok(Kind::Http(ask)) => ask.needs_tls(),
            Ok(Kind::Grpc(ask)) => ask.needs_tls(),
            Ok(Kind::Prometheus(ask)) => ask.needs_tls(),
            Ok(Kind::Event(ask)) => ask.needs_tls(),
            Ok(Kind::Tls(_)) => true,
            Ok(Kind::Tcp(_) | Kind::Dns(_) | Kind::Icmp(_)) | Err(_) => false,
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
    tls: Option<Tls>,
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
            Some(roots::of_host().await)
        } else {
            None
        };
        Self { tls, guard, cause }
    }

    /// An asker that trusts these certificates and no others.
    #[must_use]
    pub fn trusting(roots: RootCertStore, guard: Guard, cause: Cause) -> Self {
        Self {
            tls: Some(Tls::trusting(roots)),
            guard,
            cause,
        }
    }

    /// Asks and waits for the end, at most for `timeout`. What took place until then is told of
    /// every request, however it ended.
    pub async fn ask(&self, question: &Question, timeout: Nanos) -> Answer {
        let Ok(kind) = &question.kind else {
            return Answer::none(Outcome::OurSide);
        };
        let mut means = Means::new(&self.guard, self.tls.as_ref(), &question.action);
        let answer = async {
            means.enter()?;
            match kind {
                Kind::Http(ask) => ask.ask(&mut means).await,
                Kind::Tcp(ask) => ask.ask(&mut means).await,
                Kind::Tls(ask) => ask.ask(&mut means).await,
                Kind::Dns(ask) => ask.ask(&mut means).await,
                Kind::Icmp(ask) => ask.ask(&mut means).await,
                Kind::Grpc(ask) => ask.ask(&mut means).await,
                Kind::Prometheus(ask) => ask.ask(&mut means).await,
                Kind::Event(ask) => ask.ask(&mut means).await,
            }
        };
        let (outcome, failure) =
            match tokio::time::timeout(timeout.duration(), Box::pin(answer)).await {
                Ok(Ok(())) => (Outcome::Success, None),
                Ok(Err(failure)) => {
                    let outcome = failure.outcome();
                    question.log(&failure, outcome, &self.cause);
                    (outcome, Some(failure))
                }
                Err(_) => (Outcome::Timeout, None),
            };
        let is_new = question.is_new(outcome);
        // Who listens on this host is for its owner to tell.
        let may_look = self.guard.policy().admits_action(&Scope::Host.action());
        let clue = |failure| Clue::new(means.trail().clone(), failure, may_look.is_ok());
        Answer {
            outcome,
            phases: means.phases(),
            certificate: means.certificate(),
            version: question.new_version(means.trail().version()),
            clue: is_new.then(|| Box::new(clue(failure))),
        }
    }
}
