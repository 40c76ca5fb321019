//! A connection to the target, with or without TLS, and how it comes about.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use nepho_common::time::Nanos;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{super::probe::Failure, carrier::Took};
use crate::clock;

/// Bytes to and from the target.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Where connections lead.
#[derive(Clone)]
pub(super) struct Door {
    /// Judged by the policy once; a connection goes to one after the other.
    pub(super) addresses: Arc<[SocketAddr]>,
    pub(super) tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Whoever shakes hands must agree to HTTP/2.
    pub(super) http2: bool,
}

/// A connection that came about.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) took: Took,
}

impl Door {
    /// Opens a connection: to the address whose turn it is, else to the next that takes one.
    pub(super) async fn open(&self, turn: usize) -> Result<Opened, Failure> {
        let begun = clock::now();
        let mut last = Failure::NoAddress;
        for nth in 0..self.addresses.len() {
            let address = self.addresses[(turn + nth) % self.addresses.len()];
            match TcpStream::connect(address).await {
                Ok(stream) => return self.shake(stream, clock::now().since(begun)).await,
                Err(error) => last = Failure::Connect(error),
            }
        }
        Err(last)
    }

    async fn shake(&self, stream: TcpStream, connect: Nanos) -> Result<Opened, Failure> {
        stream.set_nodelay(true).map_err(Failure::Connect)?;
        let Some((connector, name)) = &self.tls else {
            return Ok(Opened {
                stream: Stream::Plain(stream),
                took: Took {
                    connect,
                    handshake: None,
                },
            });
        };
        let begun = clock::now();
        let shaken = connector.connect(name.clone(), stream).await;
        let shaken = shaken.map_err(Failure::Handshake)?;
        if self.http2 && shaken.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(Failure::NoHttp2);
        }
        Ok(Opened {
            stream: Stream::Tls(Box::new(shaken)),
            took: Took {
                connect,
                handshake: Some(clock::now().since(begun)),
            },
        })
    }
}

impl Stream {
    /// Whom it leads to.
    pub(super) fn peer(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Plain(stream) => stream.peer_addr(),
            Self::Tls(stream) => stream.get_ref().0.peer_addr(),
        }
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(into);
        let read = self.poll_fill(cx, &mut buffer);
        read.map_ok(|()| buffer.filled().len())
    }

    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    /// TLS keeps what it could not hand on at once.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }
}
