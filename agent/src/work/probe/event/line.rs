//! A conversation in lines, with bounds on what is heard.

use nepho_common::recording::Outcome;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::super::Failure;

/// The longest line. What NATS says of itself takes about 600 bytes.
const LINE_MAX: u64 = 16 << 10;
/// The most that is heard in all: others may speak on the same channel.
const HEARD_MAX: u64 = 1 << 20;

/// A conversation with a target.
pub(super) struct Line {
    stream: BufReader<TcpStream>,
    room: u64,
}

impl Line {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream: BufReader::new(stream),
            room: HEARD_MAX,
        }
    }

    pub(super) async fn say(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let said = self.stream.get_mut().write_all(bytes).await;
        said.map_err(Failure::Talk)
    }

    /// The next line, without its end.
    pub(super) async fn hear(&mut self) -> Result<String, Failure> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(LINE_MAX.min(self.room));
        let read = bounded.read_until(b'\n', &mut line).await;
        let read = read.map_err(Failure::Talk)?;
        self.room = self.room.saturating_sub(read as u64);
        if line.pop() != Some(b'\n') {
            return Err(if read == 0 && self.room > 0 {
                Failure::Ended
            } else {
                Self::strange()
            });
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        String::from_utf8(line).map_err(|_| Self::strange())
    }

    /// As many bytes, and the line end behind them.
    pub(super) async fn hear_exactly(&mut self, length: u64) -> Result<Vec<u8>, Failure> {
        let whole = length.saturating_add(2);
        self.room = self.room.checked_sub(whole).ok_or_else(Self::strange)?;
        let mut bytes = vec![0; usize::try_from(whole).unwrap_or(0)];
        let read = self.stream.read_exact(&mut bytes).await;
        read.map_err(Failure::Talk)?;
        match bytes.split_last_chunk() {
            Some((content, b"\r\n")) => Ok(content.to_vec()),
            Some(_) | None => Err(Self::strange()),
        }
    }

    pub(super) fn strange() -> Failure {
        let what = "what the target says does not follow the protocol";
        Failure::answer(Outcome::Protocol, what.to_owned())
    }
}
