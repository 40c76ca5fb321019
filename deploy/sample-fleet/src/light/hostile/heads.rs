//! What a peer asks, one request after the other.

use std::io::{Error, ErrorKind, Result};

use tokio::{io::AsyncReadExt as _, net::TcpStream};

use super::Seen;
use crate::{
    light::{
        clock::Stamp,
        head::{self, Body, Head, Parsed},
        stamps::Place,
    },
    listener::locked,
};

const READ_BYTES: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Heads<'a> {
    /// What was read and not understood yet.
    bytes: Vec<u8>,
    /// When the last of them came.
    came: Stamp,
    seen: &'a Seen,
}

impl<'a> Heads<'a> {
    pub(super) fn new(seen: &'a Seen) -> Self {
        Self {
            bytes: Vec::new(),
            came: Stamp::now(),
            seen,
        }
    }

    /// Waits for the next request and its body, without a deadline; nothing if the peer ends. Says
    /// where its stamps go.
    pub(super) async fn next(&mut self, stream: &mut TcpStream) -> Result<Option<Place>> {
        let head = loop {
            match head::parse(&self.bytes) {
                Parsed::Head(head) => break head,
                Parsed::Partial => {}
                Parsed::NotHttp | Parsed::TooLarge => return Err(ErrorKind::InvalidData.into()),
            }
            if !self.more(stream).await? {
                return Ok(None);
            }
        };
        let place = came(self.seen, head.slot, self.came);
        self.bytes.drain(..head.length);
        self.skip_body(&head, stream).await?;
        Ok(Some(place))
    }

    async fn skip_body(&mut self, head: &Head, stream: &mut TcpStream) -> Result<()> {
        let Body::Bytes(mut left) = head.body else {
            return Err(Error::other("a body in chunks"));
        };
        loop {
            let here = usize::try_from(left).map_or(self.bytes.len(), |n| n.min(self.bytes.len()));
            self.bytes.drain(..here);
            left -= here as u64;
            if left == 0 {
                return Ok(());
            }
            if !self.more(stream).await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn more(&mut self, stream: &mut TcpStream) -> Result<bool> {
        self.bytes.reserve(READ_BYTES);
        let length = stream.read_buf(&mut self.bytes).await?;
        self.came = Stamp::now();
        Ok(length > 0)
    }
}

pub(super) fn came(seen: &Seen, slot: Option<u64>, at: Stamp) -> Place {
    locked(seen)
        .as_mut()
        .and_then(|stamps| stamps.came(slot, at))
}

pub(super) fn went(seen: &Seen, place: Place) {
    if let Some(stamps) = locked(seen).as_mut() {
        stamps.went(place, Stamp::now());
    }
}
