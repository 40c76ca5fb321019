//! What must hold for any bytes as what a target answers. `scripts/fuzz` makes the bytes; the test
//! here replays what it kept.

use super::{
    Asked, BUFFER_MAX, BadResponse, KEPT_MAX, Limits, Method, Progress, Reader, Response,
    head::{HEADERS_MAX, fields},
};

/// The longest stream that is made of a repeated end: longer than any limit.
const STREAM_MAX: usize = 80 << 10;

/// Four bytes that say what was asked for and how the rest comes, and the rest: a response. Says
/// whether it was believed.
///
/// # Panics
/// When the result depends on the pieces, memory is taken beyond the bounds, or the response
/// contradicts the bytes that it is made of.
#[must_use]
pub fn http1(input: &[u8]) -> bool {
    let Some((&[how, cuts, tail, times], stream)) = input.split_first_chunk() else {
        return false;
    };
    let asked = Asked {
        method: if how & 1 == 0 {
            Method::Other
        } else {
            Method::Head
        },
        kept: [0, 1, 100, KEPT_MAX][usize::from(how >> 1 & 3)],
    };
    let limits = Limits {
        body_bytes: (how & 8 != 0).then_some(1000),
    };
    let mut stream = stream.to_vec();
    if how & 16 != 0 {
        // No fuzzer writes as much as the limits are, nor needs to: what has no end repeats itself.
        let end = stream[stream.len().saturating_sub(usize::from(tail))..].to_vec();
        for _ in 0..usize::from(times) * 64 {
            if stream.len() + end.len() <= STREAM_MAX {
                stream.extend_from_slice(&end);
            }
        }
    }
    let whole = Seen::of(asked, limits, &stream, std::iter::empty());
    // What was made long is read so by the tests of the limits; here many inputs say more.
    if how & 16 == 0 {
        let bytes = Seen::of(asked, limits, &stream, std::iter::repeat(1));
        assert_eq!(bytes, whole, "byte by byte");
    }
    let pieces = Seen::of(asked, limits, &stream, pieces(cuts));
    assert_eq!(pieces, whole, "in pieces");
    whole.contradicts_nothing(asked, limits, &stream);
    whole.ended.is_ok()
}

/// Sizes of pieces, small and large ones.
fn pieces(seed: u8) -> impl Iterator<Item = usize> {
    let mut state = u32::from(seed);
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let drawn = (state >> 16) as usize;
        1 + if drawn.is_multiple_of(7) {
            drawn
        } else {
            drawn % 40
        }
    })
}

/// What there is to see of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) ended: Result<Response, BadResponse>,
    pub(super) head: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    /// By a new reader; the stream is over when its bytes are.
    pub(super) fn of(
        asked: Asked,
        limits: Limits,
        stream: &[u8],
        cuts: impl IntoIterator<Item = usize>,
    ) -> Self {
        let mut reader = Reader::new(limits);
        let seen = Self::by(&mut reader, asked, stream, cuts);
        let bad = match seen.ended {
            Err(bad) => bad,
            Ok(_) if !reader.is_clean() => BadResponse::Unasked,
            Ok(_) => {
                // The next response owes nothing to this one.
                let again = Self::by(&mut reader, asked, stream, std::iter::empty());
                assert_eq!(again, seen, "a second time");
                return seen;
            }
        };
        // Whatever follows, it can't be made good.
        reader.begin(asked);
        assert!(!reader.is_clean());
        assert!(!reader.spare().is_empty());
        assert_eq!(reader.filled(1), Err(bad));
        assert_eq!(reader.closed(), Err(bad));
        seen
    }

    /// By this reader.
    pub(super) fn by(
        reader: &mut Reader,
        asked: Asked,
        stream: &[u8],
        cuts: impl IntoIterator<Item = usize>,
    ) -> Self {
        reader.begin(asked);
        assert!(!reader.has_begun());
        let ended = fed(reader, stream, cuts);
        assert!(
            reader.buffer.capacity() <= BUFFER_MAX && reader.sink.room() <= asked.kept,
            "{} and {} bytes are held",
            reader.buffer.capacity(),
            reader.sink.room()
        );
        Self {
            ended,
            head: reader.head().to_vec(),
            body: reader.body().to_vec(),
        }
    }

    fn contradicts_nothing(&self, asked: Asked, limits: Limits, stream: &[u8]) {
        let Ok(response) = self.ended else {
            return;
        };
        assert!(response.wire_bytes <= stream.len() as u64);
        assert!(response.body_bytes + self.head.len() as u64 <= response.wire_bytes);
        assert!(
            limits
                .body_bytes
                .is_none_or(|most| response.body_bytes <= most)
        );
        assert_eq!(
            self.body.len() as u64,
            response.body_bytes.min(asked.kept as u64)
        );
        let mut room = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut room);
        let length = parsed.parse(&self.head);
        assert_eq!(length, Ok(httparse::Status::Complete(self.head.len())));
        assert_eq!(parsed.code, Some(response.status));
        let headers = parsed.headers.iter();
        let headers = headers.map(|header| (header.name.as_bytes(), header.value));
        assert!(
            headers.eq(fields(&self.head)),
            "its fields are read in two ways"
        );
    }
}

/// Feeds a stream in pieces of these sizes, then as large as there is room for.
fn fed(
    reader: &mut Reader,
    stream: &[u8],
    cuts: impl IntoIterator<Item = usize>,
) -> Result<Response, BadResponse> {
    let (mut rest, mut cuts) = (stream, cuts.into_iter());
    while !rest.is_empty() {
        let room = reader.spare();
        let cut = cuts.next().unwrap_or(usize::MAX);
        let cut = cut.min(room.len()).min(rest.len());
        assert!(cut > 0, "there is room");
        room[..cut].copy_from_slice(&rest[..cut]);
        rest = &rest[cut..];
        let progress = reader.filled(cut)?;
        assert!(reader.has_begun());
        if let Progress::Done(response) = progress {
            let read = (stream.len() - rest.len()) as u64;
            assert_eq!(reader.is_clean(), response.wire_bytes == read);
            return Ok(response);
        }
        assert!(!reader.is_clean());
    }
    let response = reader.closed()?;
    assert!(!response.keeps_alive && response.wire_bytes == stream.len() as u64);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    /// Of each kind one, and one that has no end for each limit.
    fn seeds() -> Vec<(bool, Vec<u8>)> {
        let plain = |stream: &str| [&[6, 3, 0, 0], stream.as_bytes()].concat();
        let endless = |tail: &str, stream: &str| {
            let tail_length = u8::try_from(tail.len()).unwrap();
            [
                &[16, 3, tail_length, 255],
                stream.as_bytes(),
                tail.as_bytes(),
            ]
            .concat()
        };
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        vec![
            (
                true,
                plain("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: a\r\n\r\nhello"),
            ),
            (
                true,
                plain("HTTP/1.1 200 a: b\r\nA:\t b: c \r\nContent-Length: 0\r\n\r\n"),
            ),
            (true, plain("HTTP/1.1 204 \r\nConnection: close\r\n\r\n")),
            (
                true,
                plain("HTTP/1.0 200\nConnection: Keep-Alive\nContent-Length: 0, 0\n\n"),
            ),
            (
                true,
                plain("HTTP/1.1 404 No\r\nConnection: a, close\r\n\r\nuntil it closes"),
            ),
            (
                true,
                plain("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nuntil it closes"),
            ),
            (
                true,
                plain(&format!(
                    "{chunked}5;a=\"b\"\r\nhello\r\n1F \r\n{}\r\n0\r\nA: b\r\n\r\n",
                    "x".repeat(31)
                )),
            ),
            (
                true,
                plain(
                    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
                ),
            ),
            (
                true,
                [
                    &[1, 0, 0, 0][..],
                    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsurplus",
                ]
                .concat(),
            ),
            (true, endless("body", "HTTP/1.1 200 OK\r\n\r\n")),
            (true, endless("1\r\nx\r\n", &format!("{chunked}0\r\n\r\n"))),
            (false, plain("HTTP/1.1 101 Switching Protocols\r\n\r\n")),
            (false, plain("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n")),
            (
                false,
                plain("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
            ),
            (
                false,
                plain("HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n"),
            ),
            (false, plain("SSH-2.0-OpenSSH_9.2p1\r\n")),
            (
                false,
                [
                    &[8, 0, 0, 0][..],
                    b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
                ]
                .concat(),
            ),
            (false, endless("A: b\r\n", "HTTP/1.1 200 OK\r\n")),
            (
                false,
                endless("a value without end ", "HTTP/1.1 200 OK\r\nA: "),
            ),
            (false, endless("HTTP/1.1 102 \r\n\r\n", "")),
            (false, endless(";extension", &format!("{chunked}5"))),
            (false, endless("A: b\r\n", &format!("{chunked}0\r\n"))),
            (false, endless("0", chunked)),
        ]
    }

    #[test]
    fn whatever_a_target_answered_the_fuzzer_is_refused_or_read_alike_in_any_pieces() {
        if let Some(dir) = std::env::var_os("NEPHO_FUZZ_SEEDS") {
            let dir = PathBuf::from(dir).join("http1");
            fs::create_dir_all(&dir).unwrap();
            for (n, (_, seed)) in seeds().iter().enumerate() {
                fs::write(dir.join(format!("seed-{n:03}")), seed).unwrap();
            }
        }
        for (is_sound, seed) in seeds() {
            assert_eq!(
                http1(&seed),
                is_sound,
                "{:?}",
                seed.escape_ascii().to_string()
            );
        }
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/fuzz/corpus/http1");
        let (mut believed, mut refused) = (0, 0);
        for entry in fs::read_dir(corpus).unwrap() {
            match http1(&fs::read(entry.unwrap().path()).unwrap()) {
                true => believed += 1,
                false => refused += 1,
            }
        }
        // A corpus of one kind only would show nothing.
        assert!(believed > 20 && refused > 20, "{believed} {refused}");
    }
}
