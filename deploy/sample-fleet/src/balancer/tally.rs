//! What all clients share: whose turn it is, and what became of each choice.

use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    back_end::BackEnd,
    choice::{Choice, Policy},
};
use crate::{counts::Counts, listener::locked};

/// What a choice is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Per {
    /// For each request.
    Request,
    /// Once for all requests of a client's connection.
    Connection,
}

impl Per {
    /// As it is written.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Connection => "connection",
        }
    }
}

#[derive(Debug)]
pub(super) struct Balancer {
    pub(super) back_ends: Vec<BackEnd>,
    pub(super) policy: Policy,
    pub(super) per: Per,
    /// Whether another back end is tried when one can't be reached.
    pub(super) retries: bool,
    pub(super) connections: Arc<Mutex<Counts>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    choice: Choice,
    tallies: Vec<Tally>,
    unanswered: u64,
}

/// What one back end got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    /// How often it was chosen: for requests, or for connections.
    pub(super) chosen: u64,
    /// Choices that came to nothing because it could not be reached.
    pub(super) unreachable: u64,
    /// Requests that it began to answer.
    pub(super) answered: u64,
    /// Requests that it took and did not answer.
    pub(super) broken: u64,
    /// Connections that were opened to it.
    pub(super) connections: u64,
}

impl Balancer {
    pub(super) fn new(
        back_ends: Vec<BackEnd>,
        (policy, per): (Policy, Per),
        retries: bool,
        choice: Choice,
    ) -> Self {
        let tallies = vec![Tally::default(); back_ends.len()];
        Self {
            back_ends,
            policy,
            per,
            retries,
            connections: Arc::default(),
            state: Mutex::new(State {
                choice,
                tallies,
                unanswered: 0,
            }),
        }
    }

    /// Chooses one that is not among those that were tried.
    pub(super) fn choose(&self, tried: &[usize]) -> Option<usize> {
        let mut state = locked(&self.state);
        let place = state.choice.next(|place| !tried.contains(&place))?;
        if let Some(tally) = state.tallies.get_mut(place) {
            tally.chosen += 1;
        }
        Some(place)
    }

    pub(super) fn note(&self, place: usize, what: impl FnOnce(&mut Tally)) {
        if let Some(tally) = locked(&self.state).tallies.get_mut(place) {
            what(tally);
        }
    }

    /// A request is answered by nobody but us.
    pub(super) fn unanswered(&self) {
        locked(&self.state).unanswered += 1;
    }

    /// What `/-/counts` answers: what is said of weights, whatever a skew makes of them.
    pub(super) fn counts(&self) -> Value {
        let accepted = locked(&self.connections).connections.accepted;
        let state = locked(&self.state);
        let line = |(one, tally): (&BackEnd, &Tally)| {
            let mut line = json!(tally);
            line["name"] = one.name.as_str().into();
            line["weight"] = one.weight.into();
            line
        };
        let lines = self.back_ends.iter().zip(&state.tallies).map(line);
        json!({
            "schema": "nepho.sample-balancer-counts/v1",
            "policy": self.policy.word(),
            "per": self.per.word(),
            "connections": accepted,
            "unanswered": state.unanswered,
            "back_ends": lines.collect::<Vec<_>>(),
        })
    }
}
