//! The accept loop.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use rustix::io::Errno;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    conn::Conn,
    crowd::{Crowd, Place},
    gate::{Gate, Turned},
    line::Lines,
};
use crate::rate::{Bucket, Rate};

/// What a door gives to those who are not in yet, and how many it lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For TLS and the gate together.
    pub handshake: Duration,
    /// How many may be at it at once.
    pub in_flight: usize,
    /// How many of one source.
    pub in_flight_of_source: usize,
    /// How many handshakes may begin.
    pub rate: Rate,
    /// How many may wait for their turn.
    pub waiting: usize,
    /// How many of one source.
    pub waiting_of_source: usize,
    /// And for how long.
    pub patience: Duration,
    /// How many connections may be open.
    pub open: usize,
    /// How many of one source.
    pub open_of_source: usize,
}

/// Five round trips to the far side of the earth and back, with a second lost on one of them.
pub const HANDSHAKE: Duration = Duration::from_secs(5);
/// 64 at once take 4 MiB and keep two processors busy.
pub const HANDSHAKES: usize = 64;
/// Three quarters: whoever sends from one address alone leaves places to all others. A fleet behind
/// one address, or on one host, has enough.
pub const HANDSHAKES_OF_SOURCE: usize = 48;
/// 500 a second after a burst of as many: a handshake costs about 0.4 ms, so this is a fifth of one
/// processor. Two thousand agents with two connections each are back within the ten seconds over
/// which they spread themselves.
pub const HANDSHAKE_RATE: Rate = Rate {
    burst: 500,
    every: Duration::from_millis(2),
};
/// Sockets that wait for their turn cost a descriptor and some kernel memory each; at 500 a second
/// the last of so many waits two seconds, and an agent gives up after five.
pub const WAITING: usize = 1024;
/// Half: one source can't fill the line.
pub const WAITING_OF_SOURCE: usize = 512;
/// An agent gives a handshake up after 5 s and comes again; what waits longer is nobody's.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Sessions: four times what two thousand agents need; the process's own limit on descriptors may
/// make it less (see [`Limits::sessions`]).
pub const OPEN: usize = 16_384;
/// A fleet behind one address translation: two thousand agents with two connections each, twice.
pub const OPEN_OF_SOURCE: usize = 8_192;
/// Enrolment takes a second and its connections end after a minute.
pub const STRANGERS: usize = 256;
/// An address from which a hundred hosts join at once.
pub const STRANGERS_OF_SOURCE: usize = 128;
/// Descriptors that no door may take: the store, the API, logs, and the doors' own sockets.
pub const DESCRIPTORS_KEPT: u64 = 256;

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: HANDSHAKE,
            in_flight: HANDSHAKES,
            in_flight_of_source: HANDSHAKES_OF_SOURCE,
            rate: HANDSHAKE_RATE,
            waiting: WAITING,
            waiting_of_source: WAITING_OF_SOURCE,
            patience: PATIENCE,
            open: OPEN,
            open_of_source: OPEN_OF_SOURCE,
        }
    }
}

impl Limits {
    /// Of the sessions door, in a process that may have so many descriptors.
    #[must_use]
    pub fn sessions(descriptors: u64) -> Self {
        let others = DESCRIPTORS_KEPT + (STRANGERS + 2 * (WAITING + HANDSHAKES)) as u64;
        let left = descriptors.saturating_sub(others);
        // A process with few descriptors has a small fleet, not none.
        let left = usize::try_from(left).unwrap_or(usize::MAX).max(64);
        Self {
            open: left.min(OPEN),
            open_of_source: left.min(OPEN_OF_SOURCE),
            ..Self::default()
        }
    }

    /// Of the enrolment door.
    #[must_use]
    pub fn strangers() -> Self {
        Self {
            open: STRANGERS,
            open_of_source: STRANGERS_OF_SOURCE,
            ..Self::default()
        }
    }
}

/// Whoever comes in at `listener`, for tonic's `serve_with_incoming_shutdown`.
///
/// Each handshake takes the configuration that `config` holds at its start, so a new certificate
/// needs no restart. Who comes lines up, a line for each source, and is served in turn as places and
/// the rate allow. The stream never ends and never fails: a peer that misbehaves is left out,
/// and when accepting fails it waits and tries again. Dropping it ends the handshakes under way.
pub fn listen<G: Gate>(
    listener: TcpListener,
    config: watch::Receiver<Arc<ServerConfig>>,
    gate: G,
    limits: Limits,
) -> impl Stream<Item = io::Result<Conn<G::Peer>>> + Send {
    let door = Door {
        listener,
        config,
        gate: Arc::new(gate),
        limits,
        lines: Lines::default(),
        begun: Bucket::full(Instant::now()),
        at_it: Crowd::default(),
        inside: Crowd::default(),
        handshakes: JoinSet::new(),
        paused: None,
        complaints: Complaints::default(),
    };
    stream::unfold(door, |mut door| async move {
        let conn = door.next().await;
        Some((Ok(conn), door))
    })
}

struct Door<G: Gate> {
    listener: TcpListener,
    config: watch::Receiver<Arc<ServerConfig>>,
    gate: Arc<G>,
    limits: Limits,
    lines: Lines<(TcpStream, SocketAddr)>,
    begun: Bucket,
    /// At a handshake.
    at_it: Crowd,
    /// At a handshake or let in.
    inside: Crowd,
    handshakes: JoinSet<Result<Conn<G::Peer>, Failed>>,
    paused: Option<Instant>,
    complaints: Complaints,
}

/// One for each sort, so that noise from strangers can't hide the two that call for a person.
#[derive(Default)]
struct Complaints {
    accepting: Complaint,
    handshakes: Complaint,
    crowded: Complaint,
    turned: Complaint,
}

/// Why somebody who came is not in.
#[derive(Debug, thiserror::Error)]
#[error("{address} was not let in")]
struct Failed {
    address: SocketAddr,
    #[source]
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("it was too slow")]
    Slow,
    #[error("there are too many of its address, or in all")]
    Crowded,
    #[error("TLS failed")]
    Tls(#[source] io::Error),
    #[error("it was turned away")]
    Turned(#[source] Turned),
}

impl<G: Gate> Door<G> {
    async fn next(&mut self) -> Conn<G::Peer> {
        loop {
            let again = self.greet_who_may();
            let tires = self.lines.tires_at(self.limits.patience);
            let turn = tires.into_iter().chain(again).min();
            tokio::select! {
                Some(done) = self.handshakes.join_next() => match done {
                    Ok(Ok(conn)) => return conn,
                    Ok(Err(failed)) => self.complaints.of(&failed.why).say(&failed),
                    Err(panicked) => self.complaints.handshakes.say(&panicked),
                },
                accepted = accept(&self.listener, self.paused) => match accepted {
                    Ok((tcp, address)) => {
                        self.paused = None;
                        self.line_up(tcp, address);
                    }
                    Err(error) => {
                        self.paused = Some(Instant::now() + pause(&error));
                        self.complaints.accepting.say(&error);
                    }
                },
                () = sleep_until(turn.unwrap_or_else(Instant::now)), if turn.is_some() => {}
            }
        }
    }

    fn line_up(&mut self, tcp: TcpStream, address: SocketAddr) {
        let Limits {
            waiting,
            waiting_of_source,
            ..
        } = self.limits;
        let (one, source) = ((tcp, address), address.ip().into());
        let now = Instant::now();
        if !self
            .lines
            .join(source, one, now, waiting_of_source, waiting)
        {
            let why = Why::Crowded;
            self.complaints.crowded.say(&Failed { address, why });
        }
    }

    /// Begins as many handshakes as may be; when to look again, if only time is missing.
    fn greet_who_may(&mut self) -> Option<Instant> {
        let now = Instant::now();
        // They gave up themselves, or will see a closed connection.
        self.lines.tire(now, self.limits.patience);
        while !self.lines.is_empty() && self.at_it.all() < self.limits.in_flight {
            let mut begun = self.begun;
            if let Err(wait) = begun.take(self.limits.rate, now) {
                return Some(now + wait);
            }
            let (at_it, most) = (&self.at_it, self.limits.in_flight_of_source);
            let (tcp, address) = self.lines.next(|source| at_it.of(source) < most)?;
            self.begun = begun;
            self.greet(tcp, address);
        }
        None
    }

    fn greet(&mut self, tcp: TcpStream, address: SocketAddr) {
        let source = address.ip().into();
        let Limits {
            handshake: limit,
            open,
            open_of_source,
            ..
        } = self.limits;
        let at_it = self.at_it.enter(source, usize::MAX, usize::MAX);
        let Some(inside) = self.inside.enter(source, open_of_source, open) else {
            let why = Why::Crowded;
            self.complaints.crowded.say(&Failed { address, why });
            return;
        };
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config.borrow()));
        let gate = Arc::clone(&self.gate);
        self.handshakes.spawn(async move {
            let done = timeout(limit, handshake(acceptor, tcp, address, &*gate, inside)).await;
            drop(at_it);
            done.unwrap_or(Err(Why::Slow))
                .map_err(|why| Failed { address, why })
        });
    }
}

async fn accept(
    listener: &TcpListener,
    paused: Option<Instant>,
) -> io::Result<(TcpStream, SocketAddr)> {
    if let Some(until) = paused {
        sleep_until(until).await;
    }
    listener.accept().await
}

async fn handshake<G: Gate>(
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    address: SocketAddr,
    gate: &G,
    inside: Place,
) -> Result<Conn<G::Peer>, Why> {
    // Commands and acknowledgements are small and must not wait for each other.
    tcp.set_nodelay(true).map_err(Why::Tls)?;
    let tls = acceptor.accept(tcp).await.map_err(Why::Tls)?;
    let shown = tls.get_ref().1.peer_certificates();
    let certificate = shown.and_then(|chain| chain.first().cloned());
    let pass = gate.pass(certificate, address).await.map_err(Why::Turned)?;
    let end = async move {
        pass.end.await;
        drop(inside);
    };
    Ok(Conn::new(tls, pass.peer, end))
}

/// Out of file descriptors, trying again at once would spin: those in use must end first. Other
/// errors are of one connection that went away before it was accepted.
fn pause(error: &io::Error) -> Duration {
    let limits = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    let code = error.raw_os_error();
    if limits
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
    {
        Duration::from_millis(100)
    } else {
        Duration::from_millis(5)
    }
}

impl Complaints {
    fn of(&mut self, why: &Why) -> &mut Complaint {
        match why {
            Why::Slow | Why::Tls(_) => &mut self.handshakes,
            Why::Crowded => &mut self.crowded,
            Why::Turned(_) => &mut self.turned,
        }
    }
}

/// Warnings at a rate that a log survives: whoever can connect can cause them.
#[derive(Default)]
struct Complaint {
    last: Option<Instant>,
    unsaid: u64,
}

/// At most one warning in this time.
const QUIET: Duration = Duration::from_secs(10);

impl Complaint {
    fn say(&mut self, error: &(dyn std::error::Error + 'static)) {
        let now = Instant::now();
        if self.last.is_some_and(|last| now < last + QUIET) {
            self.unsaid += 1;
            tracing::debug!(error, "somebody is not in");
            return;
        }
        let unsaid = std::mem::take(&mut self.unsaid);
        tracing::warn!(error, unsaid, "somebody is not in");
        self.last = Some(now);
    }
}
