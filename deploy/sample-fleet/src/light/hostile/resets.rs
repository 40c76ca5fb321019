//! HTTP/2 by hand (RFC 9113): settles as it should, and then takes everything back without end.

use std::io::{Error, Result};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Seen, heads::came};
use crate::light::clock::Stamp;

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
/// The error code of the flood, of all things.
const ENHANCE_YOUR_CALM: u32 = 0xb;
/// Nobody may send more in a frame, as we do not say otherwise.
const LONGEST_FRAME: usize = 16 * 1024;
/// Pairs of frames that go out at a time.
const PAIRS: usize = 1024;

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
}

pub(super) async fn talk(mut stream: TcpStream, seen: &Seen) -> Result<()> {
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await?;
    if preface != *PREFACE {
        return Err(Error::other("not HTTP/2"));
    }
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    let asked = loop {
        let frame = next(&mut stream).await?;
        if frame.kind == SETTINGS && frame.flags & ACK == 0 {
            stream
                .write_all(&self::frame(SETTINGS, ACK, 0, &[]))
                .await?;
        }
        if frame.kind == HEADERS {
            break frame.stream;
        }
    };
    came(seen, None, Stamp::now());
    let error = ENHANCE_YOUR_CALM.to_be_bytes();
    let reset = frame(RST_STREAM, 0, asked, &error);
    let goaway = frame(GOAWAY, 0, 0, &[asked.to_be_bytes(), error].concat());
    let flood = [reset, goaway].concat().repeat(PAIRS);
    loop {
        stream.write_all(&flood).await?;
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames of ours are short");
    let [_, length @ ..] = length.to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Reads a frame; what it carries is forgotten.
async fn next(peer: &mut TcpStream) -> Result<Frame> {
    let mut head = [0; 9];
    peer.read_exact(&mut head).await?;
    let [l2, l1, l0, kind, flags, s3, s2, s1, s0] = head;
    let length = u32::from_be_bytes([0, l2, l1, l0]) as usize;
    if length > LONGEST_FRAME {
        return Err(Error::other("a frame beyond the limit"));
    }
    peer.read_exact(&mut vec![0; length]).await?;
    // The first bit of a stream's number is reserved.
    let stream = u32::from_be_bytes([s3 & 0x7f, s2, s1, s0]);
    Ok(Frame {
        kind,
        flags,
        stream,
    })
}
