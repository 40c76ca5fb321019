//! The connections that one client has to back ends: at most one to each, kept as long as it stays.

use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::tally::Balancer;

/// A back end that takes longer than this to accept is passed over: the kernel's own patience is
/// two minutes.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// To where one client's requests go.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    open: BTreeMap<usize, SendRequest<Incoming>>,
    /// What drives the connections; they end with the client.
    drivers: JoinSet<()>,
    /// The back end that was chosen for the whole connection.
    pub(super) bound: Option<usize>,
}

/// Why a back end did not answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// Nothing was sent: another one may have the request.
    Unreachable(Box<Request<Incoming>>),
    /// It may have been acted upon.
    Broken(hyper::Error),
}

impl Upstream {
    /// Sends a request and waits for the head of its answer.
    pub(super) async fn ask(
        &mut self,
        balancer: &Balancer,
        place: usize,
        mut request: Request<Incoming>,
    ) -> Result<Response<Incoming>, Failed> {
        // A kept connection may have been closed in the meantime: then a fresh one is opened.
        if let Some(mut kept) = self.open.remove(&place)
            && kept.ready().await.is_ok()
        {
            match kept.try_send_request(request).await {
                Ok(answer) => {
                    self.open.insert(place, kept);
                    return Ok(answer);
                }
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Failed::Broken(failed.into_error())),
                },
            }
        }
        let Some(address) = balancer.back_ends.get(place).map(|one| one.address) else {
            return Err(Failed::Unreachable(Box::new(request)));
        };
        let mut fresh = match self.connect(address).await {
            Ok(fresh) => fresh,
            Err(error) => {
                tracing::debug!(%address, %error, "unreachable");
                return Err(Failed::Unreachable(Box::new(request)));
            }
        };
        balancer.note(place, |tally| tally.connections += 1);
        match fresh.try_send_request(request).await {
            Ok(answer) => {
                self.open.insert(place, fresh);
                Ok(answer)
            }
            Err(mut failed) => Err(match failed.take_message() {
                Some(unsent) => Failed::Unreachable(Box::new(unsent)),
                None => Failed::Broken(failed.into_error()),
            }),
        }
    }

    async fn connect(&mut self, address: SocketAddr) -> io::Result<SendRequest<Incoming>> {
        let stream = timeout(CONNECT_DEADLINE, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        let shaken = handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(io::Error::other)?;
        while self.drivers.try_join_next().is_some() {}
        self.drivers.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a back end ended");
            }
        });
        Ok(sender)
    }
}
