//! Agents' identities in bad hands, and strangers, against the whole controller: each is bounded,
//! and an honest agent keeps its session and delivers meanwhile.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use nepho_controller::listen::{HANDSHAKE, SPEAKS_WITHIN, STREAMS};
use nepho_proto::{
    limits::{AGENT_MESSAGE_MAX, RESULTS_MAX},
    session::ack_from_bytes,
};
use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;

use crate::{
    frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, HEADERS, PING, Peer, RESET, frame, header, prefix,
        request,
    },
    raw::{Stream, open},
    site::{HANG, Site, channel, connect, soon},
    versions::recorded,
};

/// Where attackers come from.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 66));

/// A controller with an agent in its session, and another agent's identity in bad hands.
struct Scene {
    site: Site,
    _control: Stream,
    results: Stream,
    bad: Arc<ClientConfig>,
}

impl Scene {
    async fn open() -> Self {
        let site = Site::start().await;
        let held = site.agent("vm-1").await;
        let connection = channel(site.knock(&held).await).await;
        let hello = [recorded("0.1.0", "hello")];
        let mut control = open(connection, "Control", hello).await.unwrap();
        control.welcome().await;
        let connection = channel(site.knock(&held).await).await;
        let results = open(connection, "Results", []).await.unwrap();
        let bad = site.agent("bad").await;
        Self {
            site,
            _control: control,
            results,
            bad,
        }
    }

    async fn attacker(&self) -> Peer {
        Peer::greet(self.site.knock(&self.bad).await, &[]).await
    }

    /// Through two stages of conversion, the store's commit and back.
    async fn honest_agent_delivers(&mut self) {
        let start = Instant::now();
        self.results.say(recorded("0.1.0", "record")).await;
        let ack = self.results.next().await.unwrap().unwrap();
        assert_eq!(ack_from_bytes(&ack).unwrap().seq.0, 1);
        assert!(self.site.seen("vm-1").await.unwrap().connected);
        println!("the honest agent was served in {:?}", start.elapsed());
    }

    async fn end(mut self) {
        self.honest_agent_delivers().await;
        self.site.end().await;
    }
}

/// Resident memory of this process, which holds the controller, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

fn opened(method: &str, stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &request(method))
}

#[tokio::test]
async fn a_message_above_its_limit_is_refused_before_it_is_read() {
    let scene = Scene::open().await;
    for (method, limit) in [("Control", AGENT_MESSAGE_MAX), ("Renew", AGENT_MESSAGE_MAX)] {
        let mut peer = scene.attacker().await;
        let length = u32::try_from(limit).unwrap() + 1;
        peer.send(&opened(method, 1)).await.unwrap();
        peer.send(&frame(DATA, 0, 1, &prefix(0, length)))
            .await
            .unwrap();
        let answer = peer.hear(HEADERS).await;
        assert_eq!(answer.unwrap().stream, 1, "{method}");
    }
    let large = vec![0; AGENT_MESSAGE_MAX + 1];
    let connection = channel(scene.site.knock(&scene.bad).await).await;
    let refused = open(connection, "Control", [large]).await.err().unwrap();
    assert!(refused.message().contains("too large"), "{refused}");
    // A results stream ends; what is too large for a record is never acknowledged.
    let large = vec![0; RESULTS_MAX + 1];
    let connection = channel(scene.site.knock(&scene.bad).await).await;
    let mut results = open(connection, "Results", [large]).await.unwrap();
    results.end().await;
    scene.end().await;
}

#[tokio::test]
async fn lengths_that_lie_on_many_streams_cost_no_memory_and_streams_are_few() {
    let scene = Scene::open().await;
    let before = resident();
    let mut peers = Vec::new();
    let length = u32::try_from(RESULTS_MAX).unwrap();
    for _ in 0..8 {
        let mut peer = scene.attacker().await;
        for stream in 0..STREAMS {
            let id = 2 * stream + 1;
            peer.send(&opened("Results", id)).await.unwrap();
            peer.send(&frame(DATA, 0, id, &prefix(0, length)))
                .await
                .unwrap();
        }
        // One more than there may be.
        peer.send(&opened("Results", 2 * STREAMS + 1))
            .await
            .unwrap();
        let refused = peer.hear(RESET).await.unwrap();
        assert_eq!(
            (refused.stream, refused.payload),
            (2 * STREAMS + 1, vec![0, 0, 0, 7])
        );
        peers.push(peer);
    }
    let grown = resident().saturating_sub(before);
    println!("{grown} bytes for 8 connections that announce 8 MiB each");
    assert!(grown < 64 << 20, "{grown}");
    scene.end().await;
}

#[tokio::test]
async fn a_compressed_message_is_refused_and_never_inflated() {
    let scene = Scene::open().await;
    for encoding in [None, Some("gzip"), Some("zstd")] {
        let mut peer = scene.attacker().await;
        let mut headers = request("Control");
        headers.extend(
            encoding
                .map(|name| header("grpc-encoding", name))
                .unwrap_or_default(),
        );
        peer.send(&frame(HEADERS, END_HEADERS, 1, &headers))
            .await
            .unwrap();
        let bomb = [prefix(1, 20), vec![0x1f; 20]].concat();
        peer.send(&frame(DATA, 0, 1, &bomb)).await.unwrap();
        assert_eq!(peer.hear(HEADERS).await.unwrap().stream, 1, "{encoding:?}");
    }
    scene.end().await;
}

#[tokio::test]
async fn who_never_shakes_hands_is_put_out_and_stops_nobody() {
    let mut scene = Scene::open().await;
    let doors = [
        scene.site.controller.enrolment,
        scene.site.controller.sessions,
    ];
    let mut silent = Vec::new();
    let start = Instant::now();
    for door in doors {
        for count in 0..120 {
            let mut tcp = connect(ELSEWHERE, door).await.unwrap();
            if count % 2 == 0 {
                tcp.write_all(&[22]).await.unwrap(); // The first byte of a handshake, and no more.
            }
            silent.push(tcp);
        }
    }
    // Both doors are open to others at once.
    scene.site.agent("vm-2").await;
    scene.honest_agent_delivers().await;
    let others = start.elapsed();
    for tcp in silent.iter_mut().take(40) {
        let end = tokio::time::timeout(HANG, tcp.read_u8())
            .await
            .expect("is put out");
        assert!(end.is_err());
    }
    println!(
        "others in after {others:?}, the silent out after {:?}",
        start.elapsed()
    );
    assert!(start.elapsed() >= HANDSHAKE && others < HANDSHAKE);
    scene.end().await;
}

#[tokio::test]
async fn a_connection_that_is_opened_for_nothing_is_cut() {
    let scene = Scene::open().await;
    let start = Instant::now();
    let mut idle = scene.attacker().await;
    // One that answers every ping, as an idle library would.
    loop {
        match idle.next().await {
            None => break,
            Some(ping) if ping.kind == PING && ping.flags & ACK == 0 => {
                // It may be cut at this very moment.
                idle.send(&frame(PING, ACK, 0, &ping.payload)).await.ok();
            }
            Some(_) => {}
        }
    }
    println!("cut after {:?}", start.elapsed());
    assert!(start.elapsed() >= SPEAKS_WITHIN - Duration::from_millis(200));
    scene.end().await;
}

#[tokio::test]
async fn an_agent_has_only_so_many_connections() {
    let mut scene = Scene::open().await;
    let mut open = Vec::new();
    let most = nepho_controller::listen::CONNECTIONS;
    for _ in 0..most {
        let mut peer = scene.attacker().await;
        assert!(peer.next().await.is_some(), "it is let in");
        open.push(peer);
    }
    let mut one_more = scene.attacker().await;
    assert!(one_more.next().await.is_none(), "it is turned away");
    scene.honest_agent_delivers().await;
    drop(open);
    scene.end().await;
}

#[tokio::test]
async fn a_handshake_in_pieces_and_other_protocols_do_no_harm() {
    let mut scene = Scene::open().await;
    let door = scene.site.controller.sessions;
    let name = ServerName::try_from("controller").unwrap();
    let mut client = ClientConnection::new(Arc::clone(&scene.bad), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let (head, body) = hello.split_at(5);
    // Each TLS record holds a few bytes of the first message (RUSTSEC-2024-0399).
    for size in [1, 7, 100] {
        let mut tcp = connect(ELSEWHERE, door).await.unwrap();
        for piece in body.chunks(size) {
            let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
            let record = [&head[..3], &length, piece].concat();
            if tcp.write_all(&record).await.is_err() {
                break;
            }
        }
        let mut answer = [0; 1];
        let answered = soon(tcp.read(&mut answer)).await;
        println!("pieces of {size}: {answered:?} {answer:?}");
    }
    for other in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        b"SSH-2.0-OpenSSH_9\r\n",
    ] {
        let mut tcp = connect(ELSEWHERE, door).await.unwrap();
        tcp.write_all(other).await.unwrap();
        let mut rest = Vec::new();
        soon(tcp.read_to_end(&mut rest)).await.ok();
    }
    let mut wrong = ClientConfig::clone(&scene.bad);
    wrong.alpn_protocols = vec![b"http/1.1".to_vec()];
    let refused = crate::site::dial(ELSEWHERE, door, Arc::new(wrong)).await;
    assert!(refused.is_err(), "nobody speaks HTTP/1.1 here");
    scene.honest_agent_delivers().await;
    scene.end().await;
}

#[tokio::test]
async fn streams_that_are_reset_at_once_end_the_connection() {
    let scene = Scene::open().await;
    let mut peer = scene.attacker().await;
    let sent = peer
        .flood(20_000, |count| {
            let id = 2 * count + 1;
            [opened("Results", id), frame(RESET, 0, id, &[0, 0, 0, 8])].concat()
        })
        .await;
    assert!(peer.is_put_out().await);
    println!("put out after at most {sent} resets");
    scene.end().await;
}

#[tokio::test]
async fn headers_without_an_end_and_headers_that_unfold_end_the_stream_or_the_connection() {
    let mut scene = Scene::open().await;
    // CONTINUATION for ever (VU#421644).
    let mut peer = scene.attacker().await;
    peer.send(&frame(HEADERS, 0, 1, &request("Results")))
        .await
        .unwrap();
    let filler: Vec<u8> = (0..100)
        .flat_map(|_| header("x-filler", &"y".repeat(100)))
        .collect();
    let before = resident();
    peer.flood(5_000, |_| frame(CONTINUATION, 0, 1, &filler))
        .await;
    assert!(peer.is_put_out().await);
    scene.honest_agent_delivers().await;
    // A long value goes into the table once and is named a thousand times (RFC 7541 §7.3).
    let mut peer = scene.attacker().await;
    let mut bomb = request("Results");
    bomb.extend([0x40, 3]);
    bomb.extend(b"big");
    bomb.extend([0x7f, 0x81, 0x1e]); // 127 + 1 + 30 * 128 = 3968 bytes.
    bomb.extend(vec![b'z'; 3968]);
    bomb.extend(vec![0x80 | 62; 4000]);
    peer.send(&frame(HEADERS, END_HEADERS, 1, &bomb))
        .await
        .unwrap();
    let answer = peer.next_but_settings().await;
    println!("answer to the bomb: {answer:?}");
    let grown = resident().saturating_sub(before);
    println!("{grown} bytes grown");
    assert!(grown < 32 << 20, "{grown}");
    scene.end().await;
}

#[tokio::test]
async fn empty_frames_and_pings_without_end_are_bounded() {
    let mut scene = Scene::open().await;
    let before = resident();
    let mut peer = scene.attacker().await;
    peer.send(&opened("Results", 1)).await.unwrap();
    let sent = peer.flood(100_000, |_| frame(DATA, 0, 1, &[])).await;
    println!("{sent} empty frames were taken");
    scene.honest_agent_delivers().await;
    // It never reads the answers.
    let mut peer = scene.attacker().await;
    let flood = peer.flood(100_000, |_| frame(PING, 0, 0, &[1; 8]));
    let sent = tokio::time::timeout(Duration::from_secs(3), flood).await;
    println!("pings: {sent:?} (none: it was no longer read)");
    let grown = resident().saturating_sub(before);
    println!("{grown} bytes grown");
    assert!(grown < 32 << 20, "{grown}");
    scene.end().await;
}

#[tokio::test]
async fn who_does_not_take_its_acknowledgements_is_no_longer_read() {
    let scene = Scene::open().await;
    // SETTINGS_INITIAL_WINDOW_SIZE 0: nothing may be sent to it.
    let tls = scene.site.knock(&scene.bad).await;
    let mut peer = Peer::greet(tls, &[0, 4, 0, 0, 0, 0]).await;
    peer.send(&opened("Results", 1)).await.unwrap();
    let before = resident();
    let mut record = recorded("0.1.0", "record");
    let agent = record.windows(4).position(|four| four == b"vm-1").unwrap();
    record.splice(agent - 1..agent + 4, *b"\x03bad");
    let length = u32::try_from(record.len()).unwrap();
    let message = [prefix(0, length), record].concat();
    let many = message.repeat(100);
    let flood = peer.flood(20_000, |_| frame(DATA, 0, 1, &many));
    let sent = tokio::time::timeout(Duration::from_secs(3), flood).await;
    let grown = resident().saturating_sub(before);
    println!(
        "sent {sent:?} frames of {} bytes, {grown} bytes grown",
        many.len()
    );
    assert!(grown < 32 << 20, "{grown}");
    scene.end().await;
}

#[tokio::test]
async fn a_session_that_floods_waits_for_itself_and_not_the_others_for_it() {
    let mut scene = Scene::open().await;
    let connection = channel(scene.site.knock(&scene.bad).await).await;
    let hello = [recorded("0.1.0", "hello")];
    let mut control = open(connection, "Control", hello).await.unwrap();
    control.welcome().await;
    let before = resident();
    let out = control.out.clone();
    let flood = tokio::spawn(async move {
        let status = recorded("0.1.0", "status");
        let mut sent = 0_u32;
        while sent < 50_000 && out.send(status.clone()).await.is_ok() {
            sent += 1;
        }
        sent
    });
    let start = Instant::now();
    for _ in 0..10 {
        scene.honest_agent_delivers().await;
    }
    println!("ten deliveries in {:?}", start.elapsed());
    let grown = resident().saturating_sub(before);
    println!("{grown} bytes grown, flood over: {}", flood.is_finished());
    assert!(grown < 32 << 20, "{grown}");
    flood.abort();
    scene.end().await;
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_cut_within_twenty_seconds() {
    let scene = Scene::open().await;
    let start = Instant::now();
    let mut peer = scene.attacker().await;
    peer.send(&opened("Results", 1)).await.unwrap();
    while peer.next().await.is_some() {}
    println!("half-open, cut after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(25));
    scene.site.end().await;
}

#[tokio::test]
async fn messages_that_nest_without_end_are_refused() {
    let scene = Scene::open().await;
    // A group in a group in a group, of a field that nobody knows; and messages in messages.
    let groups = [0x9b, 0x06].repeat(50_000);
    let mut nested = Vec::new();
    for _ in 0..2_000 {
        let mut outer = vec![0x0a];
        let mut length = nested.len();
        while length > 127 {
            outer.push(u8::try_from(length & 127).unwrap() | 128);
            length >>= 7;
        }
        outer.push(u8::try_from(length).unwrap());
        outer.extend(&nested);
        nested = outer;
    }
    for bytes in [groups, nested] {
        let connection = channel(scene.site.knock(&scene.bad).await).await;
        let refused = open(connection, "Control", [bytes]).await.err().unwrap();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    scene.end().await;
}
