use std::{
    net::{Shutdown, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;

use super::{GET, NEVER, Peer, light, stamps};
use crate::running::binary;

#[test]
fn a_connection_is_kept_and_every_answer_is_the_same() {
    let target = light(&["--name", "b-2"]);
    assert_eq!(target.ready["schema"], "nepho.sample-light/v1");
    assert_eq!(target.ready["name"], "b-2");
    let mut peer = Peer::new(target.address());
    let post = "POST /a?b HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nfive!";
    for ask in [GET, post, GET] {
        let told = peer.asks(ask);
        assert_eq!(
            (told.status, told.body.as_slice()),
            (200, &b"hello, world\n"[..])
        );
        assert_eq!(
            told.head,
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\
             server-instance: b-2\r\n\r\n"
        );
    }
}

#[test]
fn requests_that_come_together_or_in_pieces_are_answered_in_order() {
    let target = light(&["--body-bytes", "5"]);
    let mut peer = Peer::new(target.address());
    let post = "POST / HTTP/1.1\r\ncontent-length: 100000\r\n\r\n";
    let asks = GET.repeat(200) + post + &"x".repeat(100_000) + &GET.repeat(50);
    peer.say(&asks);
    for _ in 0..251 {
        let told = peer.told();
        assert_eq!((told.status, told.body.as_slice()), (200, &b"hello"[..]));
    }
    for byte in GET.chars() {
        assert!(peer.0.buffer().is_empty());
        peer.say(&byte.to_string());
    }
    assert_eq!(peer.told().status, 200);
    assert!(peer.hears_nothing());
}

#[test]
fn an_answer_waits_for_the_body_of_its_request() {
    let target = light(&[]);
    let mut peer = Peer::new(target.address());
    peer.say(&format!(
        "{GET}POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nfo"
    ));
    assert_eq!(peer.told().status, 200);
    assert!(peer.hears_nothing());
    peer.say(&format!("ur!{GET}"));
    assert_eq!(peer.told().status, 200);
    assert_eq!(peer.told().status, 200);
}

#[test]
fn whoever_asks_faster_than_it_reads_gets_every_answer() {
    let bodies = light(&["--body-bytes", "8388608"]);
    let mut peer = Peer::new(bodies.address());
    peer.say(&GET.repeat(6));
    for _ in 0..6 {
        let body = peer.told().body;
        assert_eq!(body.len(), 8 << 20);
        assert!(
            body.chunks(13)
                .all(|chunk| b"hello, world\n".starts_with(chunk))
        );
    }
    let many = light(&["--delay-each", "20ms"]);
    let mut peer = Peer::new(many.address());
    peer.say(&GET.repeat(5000));
    for _ in 0..5000 {
        assert_eq!(peer.told().status, 200);
    }
}

#[test]
fn every_third_request_ends_its_connection_after_its_answer() {
    let target = light(&["--close-every", "3"]);
    for _ in 0..2 {
        let mut peer = Peer::new(target.address());
        // The fourth is read and forgotten; the third's body still counts.
        let third = "POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n";
        peer.say(&format!("{GET}{GET}{third}"));
        let closes = |head: &str| head.contains("\r\nconnection: close\r\n");
        assert!(!closes(&peer.told().head) && !closes(&peer.told().head));
        peer.say(&format!("ok{GET}"));
        let last = peer.told();
        assert_eq!(last.status, 200);
        assert!(closes(&last.head), "{}", last.head);
        assert_eq!(peer.rest(), b"");
    }
}

#[test]
fn what_comes_after_the_last_request_is_read_and_forgotten() {
    let target = light(&["--close-every", "1"]);
    let mut peer = Peer::new(target.address());
    // More than the kernel keeps for both of us: it only fits if it is read.
    for _ in 0..64 {
        peer.say(&"x".repeat(1 << 20).replacen(&"x".repeat(GET.len()), GET, 1));
    }
    assert_eq!(peer.told().status, 200);
    peer.0.get_ref().shutdown(Shutdown::Write).unwrap();
    assert_eq!(peer.rest(), b"");
}

#[test]
fn a_peer_that_asks_for_the_end_gets_it() {
    let target = light(&["--delay-each", "20ms"]);
    for ask in [
        "GET / HTTP/1.1\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let mut peer = Peer::new(target.address());
        assert!(peer.asks(ask).head.contains("connection: close"));
        assert_eq!(peer.rest(), b"");
    }
    let mut half = Peer::new(target.address());
    half.say(GET);
    half.0.get_ref().shutdown(Shutdown::Write).unwrap();
    assert_eq!(half.told().status, 200);
    assert_eq!(half.rest(), b"");
}

#[test]
fn what_is_not_answered_is_refused_by_its_own_status() {
    for more in [&[][..], &["--delay", "5ms"]] {
        let target = light(more);
        let endless = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(70_000));
        for (ask, status) in [
            ("nonsense\r\n\r\n", 400),
            ("PUT / HTTP/1.1\r\ncontent-length: 0\r\n\r\n", 405),
            (
                "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
                411,
            ),
            (&endless, 431),
        ] {
            let mut peer = Peer::new(target.address());
            // What comes first is answered first.
            assert_eq!(peer.asks(&format!("{GET}{ask}")).status, 200);
            let told = peer.told();
            assert_eq!(told.status, status, "{}", told.head);
            assert!(told.head.contains("connection: close"));
            assert_eq!(peer.rest(), b"");
        }
    }
}

#[test]
fn a_connection_too_many_is_closed_and_the_others_go_on() {
    let program = env!("CARGO_BIN_EXE_nepho-sample-fleet");
    let mut shell = Command::new("sh");
    // 64 files are for other things.
    shell.args([
        "-c",
        &format!("ulimit -n 80; exec {program} light --log error"),
    ]);
    let target = crate::running::Running::start_command(shell.stdout(Stdio::piped()));
    let mut peers: Vec<_> = (0..16).map(|_| Peer::new(target.address())).collect();
    for peer in &mut peers {
        assert_eq!(peer.asks(GET).status, 200);
    }
    let mut refused = Peer::new(target.address());
    assert_eq!(refused.rest(), b"");
    assert_eq!(peers[15].asks(GET).status, 200);
    drop(peers.remove(0));
    crate::running::eventually("room for another", || {
        let mut peer = Peer::new(target.address());
        peer.hears_nothing() && peer.asks(GET).status == 200
    });
}

#[test]
fn either_signal_ends_it_within_a_second_and_stdout_has_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stamps");
    for signal in [Signal::TERM, Signal::INT] {
        let mut target = light(&["--delay", "20s", "--stamps", file.to_str().unwrap()]);
        let mut waits = Peer::new(target.address());
        waits.say(GET);
        assert!(waits.hears_nothing());
        let (status, took, rest) = target.end(signal);
        assert_eq!((status.code(), rest.as_str()), (Some(0), ""));
        assert!(took < Duration::from_secs(1), "{took:?}");
        let stamps = stamps(&file);
        assert_eq!(stamps.len(), 1);
        assert_eq!((stamps[0].slot, stamps[0].went), (NEVER, NEVER));
        assert!(TcpStream::connect(target.address()).is_err());
    }
}

#[test]
fn wrong_arguments_have_their_exit_codes() {
    for (wrong, code) in [
        (&["--delay", "10"][..], 2),
        (&["--stall-at", "1s"], 2),
        (&["--stall-for", "1s"], 2),
        (&["--close-every", "0"], 2),
        (&["--most-stamps", "3"], 2),
        (&["--name", "a\nb"], 2),
        (&["--hostile", "friendly"], 2),
        (&["--hostile", "drip", "--delay", "1ms"], 2),
        (&["--stamps", "/missing/folder/stamps"], 1),
        (&["--listen", "192.0.2.1:0"], 1),
    ] {
        let ended = binary().arg("light").args(wrong).output().unwrap();
        assert_eq!(ended.status.code(), Some(code), "{wrong:?}");
        assert!(
            ended.stdout.is_empty() && !ended.stderr.is_empty(),
            "{wrong:?}"
        );
    }
}
