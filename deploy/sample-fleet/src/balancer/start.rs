//! From the arguments to the line that says where the balancer listens, and to its last connection.

use std::{collections::BTreeSet, io, net::SocketAddr, sync::Arc};

use serde::Serialize;
use tokio::net::TcpListener;

use super::{
    back_end::{BackEnd, Skew},
    choice::{Choice, Policy},
    forward,
    tally::{Balancer, Per},
};
use crate::{
    child::{self, Blame, ChildArguments, ChildError, EndSignals},
    listener,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A back end: NAME=ADDRESS:PORT, or NAME=ADDRESS:PORT*WEIGHT (0 gets nothing). Repeatable.
    #[arg(long, value_name = "NAME=ADDR[*WEIGHT]", required = true)]
    to: Vec<BackEnd>,
    /// How the next back end is chosen.
    #[arg(long, value_enum, default_value = "round-robin")]
    policy: Policy,
    /// What a choice is made for.
    #[arg(long, value_enum, default_value = "request")]
    per: Per,
    /// Of what chance does: the same seed makes the same choices.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Give this back end so many times its due (2, 0.5), and say nothing of it: a fault to be
    /// found. Repeatable.
    #[arg(long, value_name = "NAME=FACTOR")]
    skew: Vec<Skew>,
    /// Answer 502 when the chosen back end can't be reached, in place of trying another one.
    #[arg(long)]
    no_retry: bool,
    /// Where to listen; port 0 takes a free one. `GET /-/counts` there says who got how many.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    #[command(flatten)]
    child: ChildArguments,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum BalancerError {
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error("listen on {address}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("two back ends are called {0:?}: each --to needs a name of its own")]
    Twice(String),
    #[error("--skew {0:?} is no back end: name one that is given with --to")]
    Stranger(String),
    #[error("every back end has the weight 0: give one of them more with --to NAME=ADDR*WEIGHT")]
    Weightless,
}

impl Blame for BalancerError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Child(_) | Self::Listen { .. } => 1,
            Self::Twice(_) | Self::Stranger(_) | Self::Weightless => 2,
        }
    }
}

/// The one line that the starter reads.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    schema: &'static str,
    listen: SocketAddr,
    policy: &'static str,
    per: &'static str,
    back_ends: Vec<ReadyBackEnd<'a>>,
}

#[derive(Debug, Serialize)]
struct ReadyBackEnd<'a> {
    name: &'a str,
    address: SocketAddr,
    weight: u32,
}

/// Runs the balancer until a signal ends it.
pub(crate) fn run(arguments: Arguments) -> Result<(), BalancerError> {
    arguments.child.bind_to_parent()?;
    let weights = weights(&arguments.to, &arguments.skew)?;
    let choice = Choice::new(arguments.policy, arguments.seed, weights);
    let how = (arguments.policy, arguments.per);
    let balancer = Balancer::new(arguments.to, how, !arguments.no_retry, choice);
    child::lift_open_files();
    child::event_loop()?.block_on(live(Arc::new(balancer), arguments.listen))
}

/// What they really get, in thousandths.
fn weights(back_ends: &[BackEnd], skews: &[Skew]) -> Result<Vec<u64>, BalancerError> {
    let mut names = BTreeSet::new();
    for one in back_ends {
        if !names.insert(one.name.as_str()) {
            return Err(BalancerError::Twice(one.name.clone()));
        }
    }
    if let Some(stranger) = skews
        .iter()
        .find(|skew| !names.contains(skew.name.as_str()))
    {
        return Err(BalancerError::Stranger(stranger.name.clone()));
    }
    let weight = |one: &BackEnd| {
        let skew = skews.iter().rfind(|skew| skew.name == one.name);
        u64::from(one.weight) * skew.map_or(1_000, |skew| u64::from(skew.thousandths))
    };
    let weights: Vec<_> = back_ends.iter().map(weight).collect();
    if weights.iter().all(|weight| *weight == 0) {
        return Err(BalancerError::Weightless);
    }
    Ok(weights)
}

async fn live(balancer: Arc<Balancer>, listen: SocketAddr) -> Result<(), BalancerError> {
    let mut signals = EndSignals::listen()?;
    let failed = |source| BalancerError::Listen {
        address: listen,
        source,
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    child::announce(&Ready {
        schema: "nepho.sample-balancer/v1",
        listen: listener.local_addr().map_err(failed)?,
        policy: balancer.policy.word(),
        per: balancer.per.word(),
        back_ends: balancer.back_ends.iter().map(said).collect(),
    })?;
    let serve = |stream, end| forward::serve(Arc::clone(&balancer), stream, end);
    let counts = Arc::clone(&balancer.connections);
    listener::accept(listener, counts, signals.asked(), serve).await;
    tracing::info!(counts = %balancer.counts(), "balancer ended");
    Ok(())
}

fn said(one: &BackEnd) -> ReadyBackEnd<'_> {
    ReadyBackEnd {
        name: &one.name,
        address: one.address,
        weight: one.weight,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skew_changes_what_is_done_and_names_who_is_there() {
        let to = |texts: &[&str]| -> Vec<BackEnd> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let two = to(&["a=127.0.0.1:1*2", "b=127.0.0.1:2"]);
        let skews = |text: &str| [text.parse::<Skew>().unwrap()];
        assert_eq!(weights(&two, &[]).unwrap(), [2_000, 1_000]);
        assert_eq!(weights(&two, &skews("a=0.5")).unwrap(), [1_000, 1_000]);
        let wrong = weights(&two, &skews("c=2")).unwrap_err();
        assert!(matches!(wrong, BalancerError::Stranger(name) if name == "c"));
        let twice = to(&["a=127.0.0.1:1", "a=127.0.0.1:2"]);
        assert!(matches!(weights(&twice, &[]), Err(BalancerError::Twice(_))));
        let none = weights(&to(&["a=127.0.0.1:1"]), &skews("a=0"));
        assert!(matches!(none, Err(BalancerError::Weightless)));
    }
}
