//! Every kind of probe against real servers from the distribution, and against targets that behave
//! badly on purpose. A server that this machine does not have is skipped loudly.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test program: a failure is a panic, in its helpers too, and it says what it skipped"
)]

mod dns;
mod event;
mod grpc;
mod http;
mod icmp;
mod prometheus;
mod server;
mod tcp;
mod tls;

use std::collections::BTreeSet;

use nepho_agent::work::{
    guard::Guard,
    probe::{Answer, Asker, Cause, Question},
};
use nepho_common::{
    id::{Digest, PlanId},
    plan::{Check, HttpCheck, TcpCheck},
    policy::Policy,
    recording::Outcome,
    time::Nanos,
};
use rustls::RootCertStore;

/// Longer than any answer of a server of ours takes on a busy machine.
const LONG: Nanos = Nanos::from_secs(20);

/// What joining writes, and messages.
fn policy() -> Policy {
    let mut policy = Policy::careful();
    policy.actions.insert("probe.event".parse().unwrap());
    policy
}

fn cause() -> Cause {
    Cause {
        run: "r".parse().unwrap(),
        plan: PlanId(Digest::of(b"")),
        stage: "s".parse().unwrap(),
    }
}

async fn ask_as(policy: Policy, roots: RootCertStore, check: Check, timeout: Nanos) -> Answer {
    let guard = Guard::new(policy, Vec::new());
    let question = Question::new(&check, &guard);
    assert_eq!(question.unusable(), None);
    let asker = Asker::trusting(roots, guard, cause());
    asker.ask(&question, timeout).await
}

async fn ask(roots: &RootCertStore, check: Check) -> Answer {
    ask_as(policy(), roots.clone(), check, LONG).await
}

async fn outcome(check: Check) -> Outcome {
    ask(&RootCertStore::empty(), check).await.outcome
}

fn get(url: String) -> HttpCheck {
    HttpCheck {
        url,
        method: "GET".to_owned(),
        status: BTreeSet::from([200]),
        ..HttpCheck::default()
    }
}

fn tcp(port: u16) -> TcpCheck {
    TcpCheck {
        host: "127.0.0.1".to_owned(),
        port,
        ..TcpCheck::default()
    }
}

/// A port where nobody listens.
fn nobody() -> u16 {
    server::free_port()
}
