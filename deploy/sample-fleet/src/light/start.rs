//! From the arguments to the line that says where the target listens, and to its stamps.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZero,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use http::HeaderValue;
use rustix::{
    event::{EventfdFlags, eventfd},
    process::{Resource, getrlimit},
};
use serde::Serialize;
use tokio::{net::TcpSocket, runtime::Runtime};

use super::{
    answers::Answers,
    delay,
    hostile::{self, Kind},
    pace::Pace,
    server::{Desk, Server, Stall},
    stamps::{Stamps, StampsError},
};
use crate::child::{self, Blame, ChildArguments, ChildError, EndSignals};

/// Connections that wait to be accepted. A generator opens all of its own at once, and one that the
/// kernel drops comes back after a second, which would be measured.
const BACKLOG: u32 = 4096;
/// Open files that are no connections, and some to spare.
const OTHER_FILES: u64 = 64;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What the header server-instance says.
    #[arg(long, default_value = "light")]
    name: String,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How long the body of an answer is.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 13,
        value_parser = clap::value_parser!(u32).range(..=64 * 1024 * 1024),
    )]
    body_bytes: u32,
    /// Write down, at the end, when each request came and when its answer went: records of 24
    /// bytes, each three little-endian u64: x-nepho-slot of the request, its head read, its answer
    /// handed over, in ns on CLOCK_MONOTONIC. All ones: none.
    #[arg(long, value_name = "FILE")]
    stamps: Option<PathBuf>,
    /// How many requests have room in the file; those beyond are counted.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 4_000_000,
        value_parser = clap::value_parser!(u32).range(..=100_000_000),
        requires = "stamps",
    )]
    most_stamps: u32,
    /// Be a queue of one server that each request occupies for so long (10ms, 250us).
    #[arg(long, value_name = "D", default_value = "0s", value_parser = delay::parse)]
    delay: Duration,
    /// Let every answer be so much later, whatever else goes on.
    #[arg(long, value_name = "D", default_value = "0s", value_parser = delay::parse)]
    delay_each: Duration,
    /// Freeze once, so long after the first request.
    #[arg(long, value_name = "T", value_parser = delay::parse, requires = "stall_for")]
    stall_at: Option<Duration>,
    /// How long the freeze lasts.
    #[arg(long, value_name = "D", value_parser = delay::parse, requires = "stall_at")]
    stall_for: Option<Duration>,
    /// End a connection with each so manyth request.
    #[arg(long, value_name = "N")]
    close_every: Option<NonZero<u64>>,
    /// Break the rules instead. A request that is not answered in full has only its first stamp.
    #[arg(
        long,
        value_name = "KIND",
        conflicts_with_all = ["body_bytes", "delay", "delay_each", "stall_at", "close_every"],
    )]
    hostile: Option<Kind>,
    #[command(flatten)]
    child: ChildArguments,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LightError {
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error("listen on {address}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("the name must fit into a header: {0:?}")]
    Name(String),
    #[error(transparent)]
    Stamps(#[from] StampsError),
    #[error("start a thread that listens for signals")]
    Signals(#[source] io::Error),
    #[error("serve")]
    Serve(#[source] io::Error),
}

impl Blame for LightError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Name(_) => 2,
            Self::Child(_)
            | Self::Listen { .. }
            | Self::Stamps(_)
            | Self::Signals(_)
            | Self::Serve(_) => 1,
        }
    }
}

/// The one line that the starter reads.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    schema: &'static str,
    name: &'a str,
    listen: SocketAddr,
}

/// Runs the target until a signal ends it.
pub(crate) fn run(arguments: Arguments) -> Result<(), LightError> {
    arguments.child.bind_to_parent()?;
    if HeaderValue::from_str(&arguments.name).is_err() {
        return Err(LightError::Name(arguments.name));
    }
    let most = usize::try_from(arguments.most_stamps).expect("pointers have 32 bits at least");
    let stamps = arguments.stamps.as_deref();
    let stamps = stamps.map(|path| Stamps::create(path, most)).transpose()?;
    child::lift_open_files();
    let runtime = child::event_loop()?;
    let stamps = match arguments.hostile {
        Some(kind) => runtime.block_on(live_hostile(kind, &arguments, stamps))?,
        None => live(runtime, &arguments, stamps)?,
    };
    if let Some(stamps) = stamps {
        stamps.write()?;
    }
    Ok(())
}

/// The loop has this thread for itself; another one waits for signals.
fn live(
    runtime: Runtime,
    arguments: &Arguments,
    stamps: Option<Stamps>,
) -> Result<Option<Stamps>, LightError> {
    let stop =
        eventfd(0, EventfdFlags::CLOEXEC).map_err(|error| LightError::Serve(error.into()))?;
    let stop = Arc::new(stop);
    let in_runtime = runtime.enter();
    let signals = EndSignals::listen()?;
    let listener = listen(arguments.listen)?;
    drop(in_runtime);
    let address = address(&listener, arguments)?;
    let body_bytes = usize::try_from(arguments.body_bytes).expect("pointers have 32 bits at least");
    let answers = Answers::new(&arguments.name, body_bytes);
    let pace = Pace::new(arguments.delay, arguments.delay_each);
    let desk = Desk::new(answers, pace, stamps, arguments.close_every);
    let times = (arguments.stall_at, arguments.stall_for);
    let stall = match times {
        (Some(after), Some(lasts)) => Some(Stall { after, lasts }),
        _ => None,
    };
    let server = Server::new(listener, Arc::clone(&stop), room(), stall, desk);
    let server = server.map_err(LightError::Serve)?;
    let waiting = thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || wait(&runtime, signals, &stop))
        .map_err(LightError::Signals)?;
    announce(arguments, address)?;
    let stamps = server.run().map_err(LightError::Serve)?;
    // The loop ended because this thread told it to, or with an error: then nobody waits for it.
    waiting.join().expect("to wait for a signal does not panic");
    Ok(stamps)
}

fn wait(runtime: &Runtime, mut signals: EndSignals, stop: &OwnedFd) {
    runtime.block_on(signals.asked());
    // The counter of an eventfd is far from full.
    rustix::io::write(stop, &1_u64.to_ne_bytes()).ok();
}

async fn live_hostile(
    kind: Kind,
    arguments: &Arguments,
    stamps: Option<Stamps>,
) -> Result<Option<Stamps>, LightError> {
    let mut signals = EndSignals::listen()?;
    let listener = listen(arguments.listen)?;
    let address = address(&listener, arguments)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(LightError::Serve)?;
    announce(arguments, address)?;
    Ok(hostile::serve(kind, listener, stamps, signals.asked()).await)
}

fn announce(arguments: &Arguments, listen: SocketAddr) -> Result<(), LightError> {
    child::announce(&Ready {
        schema: "nepho.sample-light/v1",
        name: &arguments.name,
        listen,
    })?;
    Ok(())
}

fn address(listener: &TcpListener, arguments: &Arguments) -> Result<SocketAddr, LightError> {
    listener.local_addr().map_err(|source| LightError::Listen {
        address: arguments.listen,
        source,
    })
}

/// Needs a runtime around it, because std's own listener has a short backlog.
fn listen(address: SocketAddr) -> Result<TcpListener, LightError> {
    let listening = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    listening().map_err(|source| LightError::Listen { address, source })
}

/// How many connections fit beside the other open files.
fn room() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX)
}
