//! A listener that says who is there, as the controller's own will.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::StreamExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    service::Routes,
    transport::{Channel, Endpoint, Server, server::Connected},
};

/// A server in a runtime of its own, so that it can vanish with all its connections.
pub(super) struct Listener {
    runtime: Option<Runtime>,
    address: SocketAddr,
}

/// Serves `routes`; `who` makes the `ConnectInfo` of each connection.
pub(super) async fn listen<P>(
    routes: Routes,
    who: impl Fn(SocketAddr) -> P + Send + 'static,
) -> Listener
where
    P: Clone + Send + Sync + 'static,
{
    let runtime = Runtime::new().unwrap();
    let (tell, told) = tokio::sync::oneshot::channel();
    runtime.spawn(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        tell.send(listener.local_addr().unwrap()).unwrap();
        let incoming = TcpListenerStream::new(listener).map(move |tcp| {
            let tcp = tcp?;
            let peer = who(tcp.peer_addr()?);
            Ok::<_, io::Error>(Known { tcp, peer })
        });
        Server::builder()
            .add_routes(routes)
            .serve_with_incoming(incoming)
            .await
            .unwrap();
    });
    let address = told.await.unwrap();
    Listener {
        runtime: Some(runtime),
        address,
    }
}

impl Listener {
    pub(super) async fn channel(&self) -> Channel {
        let uri = format!("http://{}", self.address);
        Endpoint::from_shared(uri).unwrap().connect().await.unwrap()
    }

    /// The process is gone, and its sockets with it.
    pub(super) fn pull_the_plug(self) {
        drop(self);
    }
}

impl Drop for Listener {
    /// A runtime must not wait for its tasks inside another runtime.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Known<P> {
    tcp: TcpStream,
    peer: P,
}

// Nothing in it is ever pinned; the stream itself can be moved.
impl<P> Unpin for Known<P> {}

impl<P: Clone + Send + Sync + 'static> Connected for Known<P> {
    type ConnectInfo = P;

    fn connect_info(&self) -> P {
        self.peer.clone()
    }
}

impl<P> AsyncRead for Known<P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl<P> AsyncWrite for Known<P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
