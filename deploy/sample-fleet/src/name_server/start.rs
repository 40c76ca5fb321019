//! From the arguments to the line that says where the name server listens, and to the end.

use std::{io, net::SocketAddr, sync::Arc};

use serde::Serialize;
use tokio::net::{TcpListener, UdpSocket};

use super::{
    names::{Given, Names, NamesError},
    talk::{Known, answer_connection, answer_datagrams},
};
use crate::{
    child::{self, Blame, ChildArguments, ChildError, EndSignals},
    listener,
};

/// How often a free port is looked for that is free for both UDP and TCP.
const ATTEMPTS: u32 = 16;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen, over UDP and TCP; port 0 takes one that is free for both.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A name and its addresses: orders.test=127.0.0.1,::1. Repeatable.
    #[arg(long, value_name = "NAME=ADDR[,ADDR…]", required = true)]
    answer: Vec<Given>,
    /// How many seconds an answer may be kept.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(..=i64::from(i32::MAX)),
    )]
    ttl: u32,
    #[command(flatten)]
    child: ChildArguments,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum NameServerError {
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error(transparent)]
    Names(#[from] NamesError),
    #[error("listen on {address} over UDP and TCP")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
}

impl Blame for NameServerError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Child(_) | Self::Listen { .. } => 1,
            Self::Names(_) => 2,
        }
    }
}

/// The one line that the starter reads.
#[derive(Debug, Serialize)]
struct Ready {
    schema: &'static str,
    listen: SocketAddr,
}

/// Runs the name server until a signal ends it.
pub(crate) fn run(arguments: Arguments) -> Result<(), NameServerError> {
    arguments.child.bind_to_parent()?;
    let known = Known {
        names: Names::of(arguments.answer)?,
        ttl: arguments.ttl,
    };
    child::event_loop()?.block_on(live(known, arguments.listen))
}

async fn live(known: Known, listen: SocketAddr) -> Result<(), NameServerError> {
    let mut signals = EndSignals::listen()?;
    let failed = |source| NameServerError::Listen {
        address: listen,
        source,
    };
    let (tcp, udp) = bind(listen).await.map_err(failed)?;
    child::announce(&Ready {
        schema: "nepho.sample-name-server/v1",
        listen: tcp.local_addr().map_err(failed)?,
    })?;
    let known = Arc::new(known);
    let answer = |stream, end| answer_connection(Arc::clone(&known), stream, end);
    tokio::select! {
        () = listener::accept(tcp, Arc::default(), signals.asked(), answer) => {}
        never = answer_datagrams(&known, &udp) => match never {},
    }
    tracing::info!("name server ended");
    Ok(())
}

/// Both on one port.
async fn bind(listen: SocketAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let mut attempts = 1..ATTEMPTS;
    loop {
        let tcp = TcpListener::bind(listen).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            // The port that was free for TCP is another's for UDP.
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && listen.port() == 0
                    && attempts.next().is_some() => {}
            udp => return Ok((tcp, udp?)),
        }
    }
}
