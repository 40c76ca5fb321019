//! One route: a port that is open while its target is, and the connections through it.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{oneshot, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    config::RouteConfig,
    pipe::{self, Broken, Distance},
    target::{Sight, Target},
    timer::{Stamp, Timer},
};
use crate::listener::{MOST_CONNECTIONS, reset};

/// Longer than the kernel's first repeat of a lost handshake (1 s), so that a short burst passes.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// After a failed listen or accept, which means that we are out of files.
const PAUSE: Duration = Duration::from_millis(50);
/// As many as a service takes at a time.
const BACKLOG: u32 = 1024;

#[derive(Debug)]
pub(super) struct Route {
    config: RouteConfig,
    address: SocketAddr,
    /// Bound but never listening: it keeps the port ours, and refuses, while the route is closed.
    _port: TcpSocket,
    /// `None` if the route is open whatever the target does.
    target: Option<Arc<Target>>,
    timer: Arc<Timer>,
    carried: Arc<Carried>,
}

/// What went through, for whoever compares it with the counts of both ends.
#[derive(Debug, Default)]
pub(super) struct Carried {
    connections: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug, Serialize)]
pub(super) struct CarriedLine<'a> {
    name: &'a str,
    connections: u64,
    refused: u64,
    /// Shared by all routes to this target.
    target_checks: u64,
}

impl Route {
    pub(super) fn reserve(
        config: RouteConfig,
        target: Option<Arc<Target>>,
        timer: Arc<Timer>,
    ) -> io::Result<Self> {
        let port = bound(config.listen)?;
        let address = port.local_addr()?;
        Ok(Self {
            config,
            address,
            _port: port,
            target,
            timer,
            carried: Arc::default(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn carried(&self) -> CarriedLine<'_> {
        CarriedLine {
            name: &self.config.name,
            connections: self.carried.connections.load(Ordering::Relaxed),
            refused: self.carried.refused.load(Ordering::Relaxed),
            target_checks: self.target.as_ref().map_or(0, |target| target.checks()),
        }
    }

    /// Keeps the route for ever; tells `known` once whether it is open.
    #[expect(
        clippy::infinite_loop,
        reason = "the task that keeps a route is aborted at the end"
    )]
    pub(super) async fn keep(&self, known: oneshot::Sender<bool>) -> Infallible {
        let mut known = Some(known);
        let mut tell = |up: bool| {
            if let Some(known) = known.take() {
                known.send(up).ok(); // The start may have stopped waiting.
            }
        };
        // An unchecked route sees its target up for ever; the sender lives to the end of this.
        let (_sees, unchecked) = watch::channel(Sight::Up);
        let mut sight = self
            .target
            .as_ref()
            .map_or(unchecked, |target| target.sight());
        let mut open = JoinSet::new();
        loop {
            let seen = *sight.borrow_and_update();
            match seen {
                Sight::NotYet => changed(&mut sight).await,
                Sight::Down => {
                    tell(false);
                    changed(&mut sight).await;
                }
                Sight::Up => match self.listen() {
                    Ok(listener) => {
                        tell(true);
                        self.accept(listener, &mut sight, &mut open).await;
                    }
                    Err(error) => {
                        tracing::warn!(route = self.config.name, %error, "listen failed");
                        sleep(PAUSE).await;
                    }
                },
            }
        }
    }

    fn listen(&self) -> io::Result<TcpListener> {
        bound(self.address)?.listen(BACKLOG)
    }

    /// Accepts until the target is seen otherwise. Connections that are open stay so.
    async fn accept(
        &self,
        listener: TcpListener,
        sight: &mut watch::Receiver<Sight>,
        open: &mut JoinSet<()>,
    ) {
        loop {
            tokio::select! {
                () = changed(sight) => return,
                Some(_) = open.join_next() => (),
                accepted = listener.accept() => match accepted {
                    Ok((client, _)) if open.len() < MOST_CONNECTIONS => {
                        self.carried.connections.fetch_add(1, Ordering::Relaxed);
                        open.spawn(self.crossing().cross(client));
                    }
                    Ok((client, _)) => {
                        self.carried.refused.fetch_add(1, Ordering::Relaxed);
                        reset(&client);
                    }
                    Err(error) => {
                        tracing::warn!(route = self.config.name, %error, "accept failed");
                        sleep(PAUSE).await;
                    }
                },
            }
        }
    }

    fn crossing(&self) -> Crossing {
        Crossing {
            to: self.config.target,
            there: self.config.there,
            back: self.config.back,
            target: self.target.clone(),
            timer: Arc::clone(&self.timer),
            carried: Arc::clone(&self.carried),
        }
    }
}

/// What one connection needs to know of its route.
#[derive(Debug)]
struct Crossing {
    to: SocketAddr,
    there: Duration,
    back: Duration,
    target: Option<Arc<Target>>,
    timer: Arc<Timer>,
    carried: Arc<Carried>,
}

impl Crossing {
    async fn cross(self, mut client: TcpStream) {
        let connected = timeout(CONNECT_DEADLINE, TcpStream::connect(self.to)).await;
        let Ok(Ok(mut target)) = connected else {
            return self.refuse(&client).await;
        };
        for end in [&client, &target] {
            end.set_nodelay(true).ok(); // Fails only on a connection that is gone.
        }
        let there = Distance {
            ahead: self.there,
            return_trip: self.back,
        };
        let back = Distance {
            ahead: self.back,
            return_trip: self.there,
        };
        let (from_client, to_client) = client.split();
        let (from_target, to_target) = target.split();
        let crossed = tokio::try_join!(
            pipe::carry(from_client, to_target, there, &self.timer),
            pipe::carry(from_target, to_client, back, &self.timer),
        );
        if let Err(Broken) = crossed {
            reset(&client);
            reset(&target);
        }
    }

    /// The client learns of a refusal after a round trip, as it would over the real distance.
    async fn refuse(&self, client: &TcpStream) {
        self.carried.refused.fetch_add(1, Ordering::Relaxed);
        if let Some(target) = &self.target {
            target.look_again();
        }
        self.timer
            .reach(Stamp::now().after(self.there + self.back))
            .await;
        reset(client);
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // The reservation and the listener share the port, and so do connections that just ended.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn changed(sight: &mut watch::Receiver<Sight>) {
    sight
        .changed()
        .await
        .expect("the sender lives as long as the route");
}
