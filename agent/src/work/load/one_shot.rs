//! The generator on its own: an order on standard input, what it counts on standard output.
//!
//! Whoever started it says when it ends: an end of standard input or a signal ends what is sent,
//! a second one what is waited for.

use std::{
    io::{self, Write as _},
    path::Path,
};

use nepho_common::{
    id::Feature,
    load::{Model, Order, Told},
    plan::Rate,
    policy::{
        BadEndpoint, Denied, Endpoint, HostPattern, Limits, Network, Policy, Ports, TargetHost,
        TargetRule,
    },
    time::Nanos,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Stdin},
    signal::unix::{Signal, SignalKind, signal},
};

use super::{
    super::{guard::Guard, pacer::Mode},
    Load, Unable,
    withheld::Watcher,
};
use crate::{
    chain::Chain,
    clock,
    policy::{self, PolicyError},
};

/// An order with the largest body, as JSON writes bytes, and its headers.
const ORDER_MAX: u64 = 8 << 20;
/// From the order to begin to the first request: all lanes are told before.
const LEAD: Nanos = Nanos::from_millis(20);

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// What came on standard input is no order.
    #[error("standard input holds no order of a load")]
    Order(#[source] serde_json::Error),
    /// It can't be read, or what is said can't be written.
    #[error("standard input or output")]
    Pipe(#[source] io::Error),
    /// This host's policy is unusable.
    #[error("the policy of this host's agent")]
    Policy(#[source] PolicyError),
    /// This host's policy forbids it.
    #[error("the policy of this host's agent forbids it")]
    Denied(#[source] Denied),
    /// The address is none.
    #[error(transparent)]
    Address(BadEndpoint),
    /// It can't be done.
    #[error(transparent)]
    Unable(#[from] Unable),
}

/// Does what standard input orders; `false` when it was refused, which it says on standard output.
///
/// # Errors
/// Nobody can be told.
pub async fn run(policy: &Path) -> io::Result<bool> {
    let mut input = BufReader::new(tokio::io::stdin());
    match Box::pin(obey(&mut input, policy)).await {
        Ok(()) => Ok(true),
        Err(Refusal::Pipe(error)) => Err(error),
        Err(refusal) => {
            let why = Chain(&refusal).to_string();
            say(&Told::Refused { why })?;
            Ok(false)
        }
    }
}

async fn obey(input: &mut BufReader<Stdin>, policy: &Path) -> Result<(), Refusal> {
    let mut line = String::new();
    let read = (&mut *input).take(ORDER_MAX).read_line(&mut line).await;
    read.map_err(Refusal::Pipe)?;
    let order: Order = serde_json::from_str(&line).map_err(Refusal::Order)?;
    let guard = Guard::new(allowed(&order, policy)?, Vec::new());
    let mut ends = Ends::new(input).map_err(Refusal::Pipe)?;
    let mut load = tokio::select! {
        load = Load::open(&order, &guard) => load?,
        () = ends.next() => return Ok(()),
    };
    if let Some(why) = load.failure.take().filter(|_| load.connections == 0) {
        let to = order.url;
        return Err(Unable::NoConnection { to, why }.into());
    }
    let to = load.addresses.iter().map(ToString::to_string).collect();
    let connections = load.connections;
    say(&Told::Ready { connections, to }).map_err(Refusal::Pipe)?;
    let begun = clock::now().plus(LEAD);
    load.begin(begun);
    let mut watcher = Watcher::new(&order, begun);
    let mut mode = Mode::Send;
    loop {
        tokio::select! {
            counted = load.next() => match counted? {
                Some(counted) => {
                    say(&Told::Counted(Box::new(counted))).map_err(Refusal::Pipe)?;
                }
                None => break,
            },
            () = ends.next(), if mode < Mode::Cut => {
                mode = if mode == Mode::Send { Mode::Drain } else { Mode::Cut };
                load.turn(mode);
            }
            () = watcher.read() => {}
        }
    }
    let took = clock::now().since(begun);
    let ended = Told::Ended {
        began: begun,
        took,
        withheld: watcher.told(),
    };
    say(&ended).map_err(Refusal::Pipe)
}

fn say(told: &Told) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, told)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// What asks it to end.
struct Ends<'a> {
    input: Option<&'a mut BufReader<Stdin>>,
    term: Signal,
    int: Signal,
}

impl<'a> Ends<'a> {
    fn new(input: &'a mut BufReader<Stdin>) -> io::Result<Self> {
        Ok(Self {
            input: Some(input),
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    /// Comes back each time that somebody asks.
    async fn next(&mut self) {
        let Self { input, term, int } = self;
        let closed = async {
            match input {
                Some(input) => {
                    // Whatever is said there wants an end; nothing else can be said.
                    let mut byte = [0];
                    drop(input.read(&mut byte).await);
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = closed => self.input = None,
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    }
}

/// The policy that this load lives under: the one of this host's agent where there is one, else
/// what the order itself asks for.
fn allowed(order: &Order, path: &Path) -> Result<Policy, Refusal> {
    let to = Endpoint::of_url(&order.url).map_err(Refusal::Address)?;
    match policy::read(path) {
        Ok(policy) => {
            judge(&policy, order, &to).map_err(Refusal::Denied)?;
            Ok(policy)
        }
        Err(PolicyError::Missing(_)) => Ok(own(order, &to)),
        Err(error) => Err(Refusal::Policy(error)),
    }
}

/// What is needed to send load over HTTP.
fn action() -> Feature {
    "load.http".parse().expect("a name")
}

fn judge(policy: &Policy, order: &Order, to: &Endpoint) -> Result<(), Denied> {
    policy.admits_action(&action())?;
    policy.admits_endpoint(to)?;
    let limits = policy.limits;
    let stage = || "load".to_owned();
    // Nothing but answers holds back a closed model: what is refused is every rate.
    let asked = match &order.model {
        Model::Open { schedule, .. } => schedule.peak().0.div_ceil(1_000),
        Model::Closed { .. } => Rate::MAX.0 / 1_000,
    };
    if asked > limits.requests_per_second {
        let (stage, most) = (stage(), limits.requests_per_second);
        return Err(Denied::Rate { stage, asked, most });
    }
    let asked = u64::from(order.connections);
    if asked > limits.connections {
        let (stage, most) = (stage(), limits.connections);
        return Err(Denied::Connections { stage, asked, most });
    }
    let asked = u64::from(order.lanes);
    if let Some(most) = limits.load_threads.filter(|most| asked > *most) {
        let stage = stage();
        return Err(Denied::Threads { stage, asked, most });
    }
    if order.lasts > Nanos::from_secs(limits.stage_seconds) {
        return Err(Denied::Lasts {
            stage: stage(),
            lasts: order.lasts,
            most: limits.stage_seconds,
        });
    }
    Ok(())
}

/// Exactly what was asked for; what no agent may reach stays forbidden.
pub(super) fn own(order: &Order, to: &Endpoint) -> Policy {
    let ports = Ports::Only(vec![(to.port, to.port)]);
    let all = |text: &str| text.parse::<Network>().expect("these are networks");
    let rule = match &to.host {
        TargetHost::Ip(ip) => {
            let bits = if ip.is_ipv4() { 32 } else { 128 };
            TargetRule::network(all(&format!("{ip}/{bits}")), ports)
        }
        TargetHost::Name(name) => {
            let host = HostPattern::try_from(name.clone()).expect("it was parsed as a name");
            let mut rule = TargetRule::host(host, ports);
            rule.addresses = vec![all("0.0.0.0/0"), all("::/0")];
            rule
        }
    };
    Policy {
        actions: [action()].into(),
        targets: vec![rule],
        limits: Limits {
            requests_per_second: u64::MAX,
            connections: order.connections.into(),
            stage_seconds: u64::MAX,
            load_threads: None,
        },
        ..Policy::careful()
    }
}
