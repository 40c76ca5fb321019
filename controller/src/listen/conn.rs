//! A connection as tonic serves it: TLS inside, and an end that does not wait for traffic.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

/// Somebody who was let in. Reading and writing fail from the moment that it ends: cut by name,
/// its certificate's end, or the time that a stranger has.
pub struct Conn<P> {
    tls: TlsStream<TcpStream>,
    peer: P,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
    ended: bool,
}

impl<P> Conn<P> {
    pub(super) fn new(
        tls: TlsStream<TcpStream>,
        peer: P,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self {
            tls,
            peer,
            end: Box::pin(end),
            ended: false,
        }
    }

    /// Polling it wakes the task on the end as well, so an idle connection is cut at once. Reader
    /// and writer are one task, so one registered waker is enough.
    fn alive(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.ended = self.ended || self.end.as_mut().poll(cx).is_ready();
        if self.ended {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the connection was cut",
            ));
        }
        Ok(())
    }
}

impl<P: Clone + Send + Sync + 'static> Connected for Conn<P> {
    type ConnectInfo = P;

    fn connect_info(&self) -> P {
        self.peer.clone()
    }
}

impl<P: Unpin> AsyncRead for Conn<P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.alive(cx)?;
        Pin::new(&mut self.tls).poll_read(cx, buf)
    }
}

impl<P: Unpin> AsyncWrite for Conn<P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.alive(cx)?;
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.alive(cx)?;
        Pin::new(&mut self.tls).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive(cx)?;
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive(cx)?;
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}

impl<P: fmt::Debug> fmt::Debug for Conn<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("peer", &self.peer)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
