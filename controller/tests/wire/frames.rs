//! HTTP/2 by hand: an attacker's frames, which no library would make.

use std::io;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use crate::site::soon;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A literal header that is not indexed (RFC 7541 §6.2.2), its texts without Huffman's code.
pub(crate) fn header(name: &str, value: &str) -> Vec<u8> {
    let mut header = vec![0];
    for text in [name, value] {
        assert!(text.len() < 127, "one byte of length");
        header.push(u8::try_from(text.len()).unwrap());
        header.extend(text.as_bytes());
    }
    header
}

/// What opens a gRPC stream.
pub(crate) fn request(method: &str) -> Vec<u8> {
    let path = format!("/nepho.v1.Sessions/{method}");
    [
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":path", &path),
        header(":authority", "controller"),
        header("content-type", "application/grpc"),
        header("te", "trailers"),
    ]
    .concat()
}

/// A gRPC message's five bytes in front: the flag, and a length that may lie.
pub(crate) fn prefix(flag: u8, length: u32) -> Vec<u8> {
    [vec![flag], length.to_be_bytes().to_vec()].concat()
}

pub(crate) struct Peer(TlsStream<TcpStream>);

impl Peer {
    /// Says that it speaks HTTP/2, with these settings.
    pub(crate) async fn greet(mut tls: TlsStream<TcpStream>, settings: &[u8]) -> Self {
        tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        let mut peer = Self(tls);
        peer.send(&frame(SETTINGS, 0, 0, settings)).await.unwrap();
        peer
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// The next frame; `None` when the other side has closed the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        soon(self.0.read_exact(&mut head)).await.ok()?;
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = head;
        let length = u32::from_be_bytes([0, l0, l1, l2]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        soon(self.0.read_exact(&mut payload)).await.ok()?;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]);
        Some(Frame {
            kind,
            flags,
            stream,
            payload,
        })
    }

    /// The next frame of this kind.
    pub(crate) async fn hear(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let next = self.next().await?;
            if next.kind == kind {
                return Some(next);
            }
        }
    }

    /// What it says first beside settings.
    pub(crate) async fn next_but_settings(&mut self) -> Option<Frame> {
        loop {
            let next = self.next().await?;
            if next.kind != SETTINGS && next.kind != WINDOW_UPDATE {
                return Some(next);
            }
        }
    }

    /// Sends until the other side closes or has enough; it is out then. How many were sent.
    pub(crate) async fn flood(&mut self, most: u32, bytes: impl Fn(u32) -> Vec<u8>) -> u32 {
        for count in 0..most {
            if self.send(&bytes(count)).await.is_err() {
                return count;
            }
        }
        most
    }

    /// Waits until it is put out: told so, or cut.
    pub(crate) async fn is_put_out(&mut self) -> bool {
        loop {
            match self.next().await {
                None => return true,
                Some(frame) if frame.kind == GOAWAY => return true,
                Some(_) => {}
            }
        }
    }
}
