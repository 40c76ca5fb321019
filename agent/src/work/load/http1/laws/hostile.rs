//! What nobody should send. Memory is bounded by the checks of [`Seen`].

use std::iter;

use proptest::prelude::*;

use super::{
    super::{
        Asked, BUFFER, BUFFER_MAX, BadResponse, INTERIM_MAX, KEPT_MAX, Progress, Reader,
        chunked::{LINE_MAX, TRAILERS_MAX},
        fuzz::{Seen, http1},
        head::{HEAD_MAX, HEADERS_MAX},
    },
    ALL, NO_LIMITS,
};

/// The same in large pieces, in small ones and byte by byte.
fn ended(stream: &[u8]) -> Result<u64, BadResponse> {
    let whole = Seen::of(ALL, NO_LIMITS, stream, []).ended;
    for cut in [1, 2, 7, 1000, 4096] {
        let pieces = Seen::of(ALL, NO_LIMITS, stream, iter::repeat(cut)).ended;
        assert_eq!(pieces, whole, "in pieces of {cut}");
    }
    whole.map(|response| response.body_bytes)
}

/// A response of one head, of this length.
fn head(length: usize) -> Vec<u8> {
    let rest = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: \r\n\r\n".len();
    let value = "x".repeat(length - rest);
    format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: {value}\r\n\r\n").into_bytes()
}

fn chunked(chunks: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").into_bytes()
}

#[test]
fn a_head_without_end_is_refused() {
    assert_eq!(ended(&head(HEAD_MAX)), Ok(0));
    assert_eq!(ended(&head(HEAD_MAX + 1)), Err(BadResponse::HeadTooLong));
    assert_eq!(ended(&head(1 << 20)), Err(BadResponse::HeadTooLong));
    let reason = [b"HTTP/1.1 200 ", "x".repeat(1 << 20).as_bytes()].concat();
    assert_eq!(ended(&reason), Err(BadResponse::HeadTooLong));
    let name = [b"HTTP/1.1 200\r\n", "x".repeat(1 << 20).as_bytes()].concat();
    assert_eq!(ended(&name), Err(BadResponse::HeadTooLong));
}

#[test]
fn what_is_too_long_does_not_depend_on_the_room_that_there_is() {
    for (length, bad) in [
        (HEAD_MAX, None),
        (HEAD_MAX + 1, Some(BadResponse::HeadTooLong)),
        (BUFFER_MAX, Some(BadResponse::HeadTooLong)),
        (1 << 20, Some(BadResponse::HeadTooLong)),
    ] {
        for cut in [1, 1000, 5000, BUFFER_MAX] {
            // A large body before it made the buffer as large as it gets.
            let mut reader = Reader::new(NO_LIMITS);
            let body = "x".repeat(1 << 20);
            let body = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                1 << 20
            );
            Seen::by(&mut reader, ALL, body.as_bytes(), [])
                .ended
                .unwrap();
            assert_eq!(reader.buffer.len(), BUFFER_MAX);
            let seen = Seen::by(&mut reader, ALL, &head(length), iter::repeat(cut));
            assert_eq!(seen.ended.err(), bad, "{length} in pieces of {cut}");
            assert!(!reader.spare().is_empty());
        }
    }
}

#[test]
fn headers_without_number_are_refused() {
    let head = |count: usize| {
        let headers = "a: b\r\n".repeat(count - 1);
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{headers}\r\n").into_bytes()
    };
    assert_eq!(ended(&head(HEADERS_MAX)), Ok(0));
    assert_eq!(
        ended(&head(HEADERS_MAX + 1)),
        Err(BadResponse::TooManyHeaders)
    );
    assert_eq!(ended(&head(100_000)), Err(BadResponse::TooManyHeaders));
}

#[test]
fn interim_responses_without_end_are_refused() {
    let stream = |count: usize, status: &str| {
        let interim = format!("HTTP/1.1 {status} \r\nLink: a\r\n\r\n").repeat(count);
        format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").into_bytes()
    };
    for status in ["100", "102", "103", "150"] {
        let most = INTERIM_MAX as usize;
        assert_eq!(ended(&stream(most, status)), Ok(0));
        assert_eq!(
            ended(&stream(most + 1, status)),
            Err(BadResponse::TooManyInterim)
        );
        assert_eq!(
            ended(&stream(10_000, status)),
            Err(BadResponse::TooManyInterim)
        );
    }
    // Not too long together, but each of them.
    let long = format!(
        "HTTP/1.1 103 \r\nLink: {}\r\n\r\n",
        "x".repeat(HEAD_MAX - 100)
    );
    let stream = format!("{}HTTP/1.1 204 \r\n\r\n", long.repeat(20));
    assert_eq!(ended(stream.as_bytes()), Ok(0));
}

#[test]
fn lines_of_chunks_without_end_are_refused() {
    let line = |length: u32, filler: &str| {
        let filler = filler.repeat((length - 3) as usize);
        chunked(&format!("0{filler}\r\n\r\n"))
    };
    for filler in [" ", ";", "0"] {
        assert_eq!(ended(&line(LINE_MAX, filler)), Ok(0), "{filler:?}");
        let bad = Err(BadResponse::ChunkLineTooLong);
        assert_eq!(ended(&line(LINE_MAX + 1, filler)), bad, "{filler:?}");
        assert_eq!(ended(&line(1 << 20, filler)), bad, "{filler:?}");
    }
    // The next line has its own.
    let extension = "x".repeat(4000);
    let chunks = format!("1;{extension}\r\nx\r\n").repeat(50);
    assert_eq!(ended(&chunked(&format!("{chunks}0\r\n\r\n"))), Ok(50));
}

#[test]
fn trailers_without_end_are_refused() {
    let trailers = |length: u32| {
        let value = "x".repeat(length as usize - "a: b\r\nc: \r\n\r\n".len());
        chunked(&format!("1;a=b\r\nx\r\n0\r\na: b\r\nc: {value}\r\n\r\n"))
    };
    assert_eq!(ended(&trailers(TRAILERS_MAX)), Ok(1));
    let bad = Err(BadResponse::TrailersTooLong);
    assert_eq!(ended(&trailers(TRAILERS_MAX + 1)), bad);
    assert_eq!(ended(&trailers(1 << 20)), bad);
    assert_eq!(
        ended(&chunked(&format!("0\r\n{}", "a: b\r\n".repeat(100_000)))),
        bad
    );
}

/// So many bytes of a body, whatever they are, as fast as the reader takes them.
fn pours(reader: &mut Reader, mut left: u64) -> Result<Progress, BadResponse> {
    loop {
        let n = reader.spare().len().min(usize::try_from(left).unwrap());
        let progress = reader.filled(n)?;
        left -= n as u64;
        if left == 0 || progress != Progress::More {
            return Ok(progress);
        }
    }
}

#[test]
fn a_gigabyte_is_counted_and_not_held() {
    const GIGABYTE: u64 = 1 << 30;
    let mut reader = Reader::new(NO_LIMITS);
    for (kept, said) in [
        (0, format!("Content-Length: {GIGABYTE}\r\n\r\n")),
        (
            KEPT_MAX,
            format!("Transfer-Encoding: chunked\r\n\r\n{GIGABYTE:x}\r\n"),
        ),
        (usize::MAX, "Connection: close\r\n\r\n".to_owned()),
    ] {
        reader.reset();
        reader.begin(Asked { kept, ..ALL });
        let head = format!("HTTP/1.1 200 OK\r\n{said}");
        reader.spare()[..head.len()].copy_from_slice(head.as_bytes());
        assert_eq!(reader.filled(head.len()), Ok(Progress::More));
        let mut progress = pours(&mut reader, GIGABYTE).unwrap();
        let ending = b"\r\n0\r\n\r\n";
        if said.contains("chunked") {
            reader.spare()[..ending.len()].copy_from_slice(ending);
            progress = reader.filled(ending.len()).unwrap();
        }
        let response = match progress {
            Progress::Done(response) => response,
            Progress::More => reader.closed().unwrap(),
        };
        assert_eq!(response.body_bytes, GIGABYTE);
        assert_eq!(reader.body().len(), kept.min(KEPT_MAX));
        assert!(reader.sink.room() <= KEPT_MAX);
        // It grew, because a body of that size is read faster in large pieces; and no more than this.
        assert_eq!(reader.buffer.capacity(), BUFFER_MAX);
    }
}

#[test]
fn small_responses_take_no_more_memory_however_many_there_are() {
    let mut reader = Reader::new(NO_LIMITS);
    let asked = Asked { kept: 100, ..ALL };
    let stream = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n".to_owned() + &"x".repeat(100);
    Seen::by(&mut reader, asked, stream.as_bytes(), [])
        .ended
        .unwrap();
    let held = (reader.buffer.as_ptr(), reader.sink.kept().as_ptr());
    for cut in 1..10_000 {
        let seen = Seen::by(&mut reader, asked, stream.as_bytes(), [cut % 200 + 1]);
        assert_eq!(seen.body.len(), 100);
    }
    assert_eq!((reader.buffer.as_ptr(), reader.sink.kept().as_ptr()), held);
    assert_eq!(reader.buffer.capacity(), BUFFER);
}

#[test]
fn room_that_was_full_is_never_empty_afterwards() {
    // The end of each read falls on every place around the buffer's end.
    for length in BUFFER - 300..BUFFER + 300 {
        let value = "x".repeat(length);
        let head = format!("HTTP/1.1 200 OK\r\nA: {value}\r\nContent-Length: 300\r\n\r\n");
        let stream = head + &"y".repeat(300);
        let seen = Seen::of(ALL, NO_LIMITS, stream.as_bytes(), []);
        assert_eq!(seen.ended.unwrap().body_bytes, 300);
    }
}

#[test]
#[should_panic(expected = "more than there was room for")]
fn more_than_there_is_room_for_can_not_have_been_read() {
    let mut reader = Reader::new(NO_LIMITS);
    reader.begin(ALL);
    assert_eq!(reader.filled(BUFFER + 1), Ok(Progress::More));
}

/// Bytes that look like a response, here and there.
fn alike() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..20),
        6 => prop::sample::select(vec![
            "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 \r\n\r\n", "HTTP/1.0 304\n", "HTTP/1.", "Content-Length: ",
            "Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "\r\n", "\n", "\r", "\r\n\r\n", ": ", " ", ",", ";",
            "0\r\n\r\n", "5\r\nhello\r\n", "ffffffffffffffff\r\n", "18446744073709551615", "\0", "\u{e4}", "a: b\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn random_bytes_are_read_alike_in_any_pieces_or_refused(
        how in any::<[u8; 2]>(),
        tail in 0u8..40,
        stream in alike(),
    ) {
        // Few repetitions: the fuzzer has more time.
        let input = [&[how[0], how[1], tail, 1][..], &stream].concat();
        let _believed = http1(&input);
    }

    #[test]
    fn chunks_of_random_bytes_are_read_alike_in_any_pieces_or_refused(
        how in 0u8..16,
        cuts in any::<u8>(),
        stream in alike(),
    ) {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let input = [&[how, cuts, 0, 0][..], head, &stream].concat();
        let _believed = http1(&input);
    }
}
