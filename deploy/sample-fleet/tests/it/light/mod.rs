//! The light target, seen by the plainest of clients.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a test says what it measured")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

use crate::running::{Running, connect};

mod answers;
mod hostile;
mod truth;

pub(crate) const NEVER: u64 = u64::MAX;
const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

fn light(more: &[&str]) -> Running {
    Running::start(&[&["light"], more].concat())
}

/// Nanoseconds on the clock that stamps are of.
fn now() -> u64 {
    let now = Duration::try_from(clock_gettime(ClockId::Monotonic)).expect("never negative");
    now.as_nanos().try_into().expect("584 years are enough")
}

/// What the target wrote of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamps {
    slot: u64,
    came: u64,
    went: u64,
}

fn stamps(path: &Path) -> Vec<Stamps> {
    let bytes = fs::read(path).expect("the target wrote it");
    let (numbers, rest) = bytes.as_chunks();
    assert!(rest.is_empty(), "{} bytes", bytes.len());
    let numbers: Vec<_> = numbers.iter().map(|n| u64::from_le_bytes(*n)).collect();
    let (records, rest) = numbers.as_chunks();
    assert!(rest.is_empty(), "{} numbers", numbers.len());
    let record = |[slot, came, went]: &[u64; 3]| Stamps {
        slot: *slot,
        came: *came,
        went: *went,
    };
    records.iter().map(record).collect()
}

struct Peer(BufReader<TcpStream>);

struct Told {
    status: u16,
    /// With the empty line at its end.
    head: String,
    body: Vec<u8>,
}

impl Peer {
    fn new(address: SocketAddr) -> Self {
        Self(BufReader::new(connect(address)))
    }

    fn say(&mut self, text: &str) {
        let stream = self.0.get_mut();
        stream.write_all(text.as_bytes()).expect("someone reads");
    }

    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.0.read_line(&mut head).expect("a head");
            assert!(read > 0, "ended after {head:?}");
        }
        head
    }

    fn told(&mut self) -> Told {
        let head = self.head();
        let value = |name: &str| {
            let mut lines = head.lines();
            lines
                .find_map(|line| line.strip_prefix(name))
                .map(str::to_owned)
        };
        let length = value("content-length: ").expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        self.0.read_exact(&mut body).expect("a whole body");
        let status = head.split(' ').nth(1).expect("a status");
        Told {
            status: status.parse().expect("a number"),
            head,
            body,
        }
    }

    fn asks(&mut self, text: &str) -> Told {
        self.say(text);
        self.told()
    }

    /// Everything until the target closes.
    fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("an orderly end");
        rest
    }

    /// Whether nothing comes for a while. An answer takes well below a millisecond.
    fn hears_nothing(&mut self) -> bool {
        let stream = self.0.get_ref();
        let before = stream.read_timeout().expect("an open socket");
        let patience = Some(Duration::from_millis(200));
        stream.set_read_timeout(patience).expect("above zero");
        let silent = self.0.fill_buf().is_err_and(|error| {
            matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            )
        });
        self.0
            .get_ref()
            .set_read_timeout(before)
            .expect("what it was");
        silent
    }
}
