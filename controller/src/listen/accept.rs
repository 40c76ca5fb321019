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
    gate::{Gate, Turned},
};

/// What a door gives to those who are not in yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For TLS and the gate together.
    pub handshake: Duration,
    /// How many may be at it at once; the others wait in the kernel's queue.
    pub in_flight: usize,
}

impl Default for Limits {
    /// 5 s is five round trips to the far side of the earth and back with a second lost on each;
    /// 64 at once take 4 MiB and keep two processors busy.
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            in_flight: 64,
        }
    }
}

/// Whoever comes in at `listener`, for tonic's `serve_with_incoming_shutdown`.
///
/// Each handshake takes the configuration that `config` holds at its start, so a new certificate
/// needs no restart. The stream never ends and never fails: a peer that misbehaves is left out,
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
    handshakes: JoinSet<Result<Conn<G::Peer>, Failed>>,
    paused: Option<Instant>,
    complaints: Complaints,
}

/// One for each sort, so that noise from strangers can't hide the two that call for a person.
#[derive(Default)]
struct Complaints {
    accepting: Complaint,
    handshakes: Complaint,
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
    #[error("TLS failed")]
    Tls(#[source] io::Error),
    #[error("it was turned away")]
    Turned(#[source] Turned),
}

impl<G: Gate> Door<G> {
    async fn next(&mut self) -> Conn<G::Peer> {
        loop {
            let room = self.handshakes.len() < self.limits.in_flight;
            tokio::select! {
                Some(done) = self.handshakes.join_next() => match done {
                    Ok(Ok(conn)) => return conn,
                    Ok(Err(failed)) => self.complaints.of(&failed.why).say(&failed),
                    Err(panicked) => self.complaints.handshakes.say(&panicked),
                },
                accepted = accept(&self.listener, self.paused), if room => match accepted {
                    Ok((tcp, address)) => {
                        self.paused = None;
                        self.greet(tcp, address);
                    }
                    Err(error) => {
                        self.paused = Some(Instant::now() + pause(&error));
                        self.complaints.accepting.say(&error);
                    }
                },
            }
        }
    }

    fn greet(&mut self, tcp: TcpStream, address: SocketAddr) {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config.borrow()));
        let gate = Arc::clone(&self.gate);
        let limit = self.limits.handshake;
        self.handshakes.spawn(async move {
            let done = timeout(limit, handshake(acceptor, tcp, address, &*gate)).await;
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
) -> Result<Conn<G::Peer>, Why> {
    // Commands and acknowledgements are small and must not wait for each other.
    tcp.set_nodelay(true).map_err(Why::Tls)?;
    let tls = acceptor.accept(tcp).await.map_err(Why::Tls)?;
    let shown = tls.get_ref().1.peer_certificates();
    let certificate = shown.and_then(|chain| chain.first().cloned());
    let pass = gate.pass(certificate, address).await.map_err(Why::Turned)?;
    Ok(Conn::new(tls, pass.peer, pass.end))
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
