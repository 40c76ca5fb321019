use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::Shutdown,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{GET, NEVER, Peer, Stamps, light, stamps};
use crate::running::{Running, connect};

/// A hostile target, and the stamps of what `act` asked it.
fn hostile(kind: &str, act: impl FnOnce(&Running)) -> Vec<Stamps> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stamps");
    let mut target = light(&["--hostile", kind, "--stamps", file.to_str().unwrap()]);
    assert_eq!(target.ready["schema"], "nepho.sample-light/v1");
    act(&target);
    let _idle = connect(target.address());
    let (status, took, rest) = target.end(Signal::TERM);
    assert_eq!((status.code(), rest.as_str()), (Some(0), ""), "{kind}");
    assert!(took < Duration::from_secs(1), "{kind} took {took:?}");
    stamps(&file)
}

/// Whether each of so many requests was stamped, and its answer or none.
fn all(stamps: &[Stamps], count: usize, answered: bool) -> bool {
    stamps.len() == count && stamps.iter().all(|stamp| (stamp.went < NEVER) == answered)
}

#[test]
fn one_closes_without_an_answer_and_one_after_its_head() {
    for (kind, said) in [
        ("closes-unanswered", ""),
        (
            "closes-after-head",
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\n",
        ),
    ] {
        let stamps = hostile(kind, |target| {
            for _ in 0..2 {
                let mut peer = Peer::new(target.address());
                peer.say(GET);
                assert_eq!(peer.rest(), said.as_bytes(), "{kind}");
            }
        });
        assert!(all(&stamps, 2, false), "{stamps:?}");
    }
}

#[test]
fn a_huge_body_comes_as_long_as_it_is_read() {
    let stamps = hostile("huge-body", |target| {
        let mut peer = Peer::new(target.address());
        peer.say(GET);
        assert!(peer.head().contains("\r\ncontent-length: 1073741824\r\n"));
        let mut buffer = vec![0; 1 << 20];
        for _ in 0..1024 {
            peer.0
                .read_exact(&mut buffer)
                .expect("as much as it promised");
        }
        assert!(peer.hears_nothing());
        // One that hangs up in the middle harms nobody.
        let mut rude = Peer::new(target.address());
        rude.say(GET);
        rude.head();
    });
    assert_eq!(stamps.len(), 2);
    assert!(stamps[0].went < NEVER && stamps[1].went == NEVER);
}

#[test]
fn a_drip_is_a_byte_a_second() {
    let stamps = hostile("drip", |target| {
        let mut peer = connect(target.address());
        peer.write_all(GET.as_bytes()).unwrap();
        let start = Instant::now();
        for expected in *b"HTT" {
            let mut bytes = [0; 16];
            assert_eq!(peer.read(&mut bytes).unwrap(), 1);
            assert_eq!(bytes[0], expected);
        }
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(1900), "{took:?}");
        assert!(took <= Duration::from_secs(6), "{took:?}");
    });
    assert!(all(&stamps, 1, false), "{stamps:?}");
}

#[test]
fn bad_chunks_are_no_chunks_after_the_first_and_the_connection_stays() {
    let stamps = hostile("bad-chunks", |target| {
        let mut peer = Peer::new(target.address());
        peer.say(GET);
        assert!(peer.head().contains("\r\ntransfer-encoding: chunked\r\n"));
        let mut chunks = [0; 10 + 11 + 7];
        peer.0.read_exact(&mut chunks).unwrap();
        assert_eq!(&chunks, b"5\r\nhello\r\nno length\r\nworld\r\n");
        assert!(peer.hears_nothing());
    });
    assert!(all(&stamps, 1, false), "{stamps:?}");
}

#[test]
fn headers_are_huge_or_many_and_otherwise_in_order() {
    for (kind, length, lines) in [("huge-header", 1 << 20, 5), ("many-headers", 0, 100_004)] {
        let stamps = hostile(kind, |target| {
            let mut peer = Peer::new(target.address());
            for _ in 0..2 {
                let told = peer.asks(GET);
                assert_eq!(
                    (told.status, told.body.as_slice()),
                    (200, &b"hello, world\n"[..])
                );
                assert!(told.head.len() > length, "{kind}: {}", told.head.len());
                assert_eq!(told.head.lines().count(), lines, "{kind}");
            }
        });
        assert!(all(&stamps, 2, true), "{stamps:?}");
    }
}

#[test]
fn a_redirect_leads_to_where_nobody_may_go() {
    let stamps = hostile("redirect-to-metadata", |target| {
        let mut peer = Peer::new(target.address());
        let body = "POST / HTTP/1.1\r\ncontent-length: 40000\r\n\r\n".to_owned();
        for ask in [GET, &(body + &"x".repeat(40_000)), GET] {
            let told = peer.asks(ask);
            assert_eq!(told.status, 302);
            assert!(
                told.head
                    .contains("\r\nlocation: http://169.254.169.254/\r\n")
            );
        }
    });
    assert!(all(&stamps, 3, true), "{stamps:?}");
}

#[test]
fn the_silent_one_reads_and_never_answers() {
    let stamps = hostile("silent", |target| {
        let mut peer = Peer::new(target.address());
        peer.say(GET);
        peer.say(GET);
        assert!(peer.hears_nothing());
        peer.0.get_ref().shutdown(Shutdown::Write).unwrap();
        assert_eq!(peer.rest(), b"", "it goes when its peer does");
    });
    assert!(all(&stamps, 2, false), "{stamps:?}");
}

/// A frame of HTTP/2: length, kind, flags, stream.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short frame");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

#[test]
fn resets_flood_whoever_opened_a_stream() {
    let (settings, reset, goaway) = (4, 3, 7);
    let stamps = hostile("h2-resets", |target| {
        let mut peer = connect(target.address());
        let expect = |stream: &mut std::net::TcpStream, frame: &[u8]| {
            let mut read = vec![0; frame.len()];
            stream.read_exact(&mut read).expect("a frame");
            assert_eq!(read, frame);
        };
        peer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        expect(&mut peer, &frame(settings, 0, 0, b""));
        peer.write_all(&frame(settings, 0, 0, b"\0\x02\0\0\0\0"))
            .unwrap();
        expect(&mut peer, &frame(settings, 1, 0, b""));
        // GET / over http, from the static table.
        peer.write_all(&frame(1, 5, 3, &[0x82, 0x86, 0x84]))
            .unwrap();
        for _ in 0..10_000 {
            expect(&mut peer, &frame(reset, 0, 3, &[0, 0, 0, 11]));
            expect(&mut peer, &frame(goaway, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 11]));
        }
        let mut plain = connect(target.address());
        plain.write_all(GET.as_bytes()).unwrap();
        let ended = plain.read(&mut [0]);
        let reset = |error: &std::io::Error| error.kind() == ErrorKind::ConnectionReset;
        assert!(
            matches!(&ended, Ok(0)) || ended.as_ref().is_err_and(reset),
            "{ended:?}"
        );
    });
    assert!(all(&stamps, 1, false), "{stamps:?}");
}
