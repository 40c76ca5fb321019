//! Targets that mean no good.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// RFC 9113 §4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The kind and stream of the next frame.
async fn next(stream: &mut TcpStream) -> Option<(u8, u32)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.ok()?;
    let of = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Some((head[3], of))
}

/// KiB that this process has.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages = status.split(' ').nth(1).unwrap().parse::<u64>().unwrap();
    pages * 4
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_resets_is_told_as_resets_and_takes_no_memory() {
    let to = refuses(|mut respond| respond.send_reset(Reason::REFUSED_STREAM)).await;
    let order = Order {
        lasts: Nanos::from_millis(600),
        in_flight_max: 50,
        ..order(to)
    };
    // Other tests may take memory of this process meanwhile, but hardly in each of these.
    let mut least = u64::MAX;
    for _ in 0..6 {
        let before = resident();
        let (counts, times) = counted(&order).await;
        let more = resident().saturating_sub(before);
        println!(
            "{} resets on {} connections, {more} KiB more",
            counts.completed, counts.connected
        );
        assert!(counts.completed > 5_000, "{counts:?}");
        assert_eq!(
            ended(&times, Outcome::Reset),
            counts.completed + counts.unsent
        );
        least = least.min(more);
    }
    assert!(least < 512, "{least} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_says_goodbye_to_everybody_is_told_as_resets_and_asked_again() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let to = target(move |stream| {
        count.fetch_add(1, Ordering::Relaxed);
        async move {
            if let Ok(mut server) = h2::server::handshake::<_>(stream).await {
                server.abrupt_shutdown(Reason::NO_ERROR);
                while server.accept().await.is_some() {}
            }
        }
    })
    .await;
    let (counts, times) = counted(&order(to)).await;
    println!("{counts:?} on {} connections", seen.load(Ordering::Relaxed));
    assert!(counts.connected > 2 && counts.offered > 4, "{counts:?}");
    assert_eq!(
        ended(&times, Outcome::Reset) + ended(&times, Outcome::Protocol),
        counts.offered - counts.cut
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_another_protocol_is_no_success_in_either_direction() {
    let older = target(|mut stream| async move {
        let mut read = [0; 512];
        drop(stream.read(&mut read).await);
        drop(
            stream
                .write_all(b"HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n")
                .await,
        );
    })
    .await;
    let (counts, times) = counted(&order(older)).await;
    let failed = ended(&times, Outcome::Protocol) + ended(&times, Outcome::Reset);
    assert!(failed > 0, "{counts:?}");
    assert_eq!(failed, counts.completed + counts.unsent);
    let newer = answers(Duration::ZERO, 100).await;
    let order = Order {
        carried: over(false),
        ..order(newer)
    };
    let (counts, times) = counted(&order).await;
    assert!(counts.completed > 0);
    assert_eq!(ended(&times, Outcome::Success), 0);
}

/// Answers three requests of a connection and no more, and says so for this reason.
async fn answers_three(reason: Reason) -> SocketAddr {
    target(move |mut stream| async move {
        let mut preface = [0; 24];
        if stream.read_exact(&mut preface).await.is_err() {
            return;
        }
        drop(stream.write_all(&frame(SETTINGS, 0, 0, &[])).await);
        let mut answered = Vec::new();
        while let Some((kind, id)) = next(&mut stream).await {
            if kind != HEADERS {
                continue;
            }
            let said = if answered.len() < 3 {
                answered.push(id);
                // A status of 200, and the end of head and answer.
                frame(HEADERS, 0b101, id, &[0x88])
            } else {
                let last = answered[2].to_be_bytes();
                let why = u32::from(reason).to_be_bytes();
                frame(GOAWAY, 0, 0, &[last, why].concat())
            };
            drop(stream.write_all(&said).await);
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_target_that_ends_a_connection_did_not_look_at_goes_out_again_and_else_is_a_reset() {
    for (reason, again) in [(Reason::NO_ERROR, true), (Reason::INTERNAL_ERROR, false)] {
        let mut order = order(answers_three(reason).await);
        order.in_flight_max = 2;
        let (counts, times) = counted(&order).await;
        println!("{counts:?}");
        assert!(counts.connected > 3 && counts.completed > 9, "{counts:?}");
        assert_eq!((counts.sent, counts.unsent), (counts.completed, 0));
        let succeeded = ended(&times, Outcome::Success);
        assert_eq!(succeeded == counts.completed, again, "{succeeded}");
        assert_eq!(ended(&times, Outcome::Reset), counts.completed - succeeded);
        assert!(succeeded <= 3 * counts.connected);
    }
}

/// Says this without end, and reads whatever comes back.
async fn floods(what: Vec<u8>) -> SocketAddr {
    let what = Arc::new(what.repeat(100));
    target(move |mut stream| {
        let what = Arc::clone(&what);
        async move {
            drop(stream.write_all(&frame(SETTINGS, 0, 0, &[])).await);
            let (mut from, mut to) = stream.split();
            let writes = async { while to.write_all(&what).await.is_ok() {} };
            // Who waits until his answers are read takes nothing more meanwhile.
            let mut read = vec![0; 1 << 16];
            let reads = async { while let Ok(1..) = from.read(&mut read).await {} };
            tokio::join!(writes, reads);
        }
    })
    .await
}

/// Says this a thousand times, and then answers.
async fn says_enough(what: Vec<u8>) -> SocketAddr {
    let what = Arc::new(what.repeat(1_000));
    target(move |mut stream| {
        let what = Arc::clone(&what);
        async move {
            let mut preface = [0; 24];
            drop(stream.read_exact(&mut preface).await);
            drop(stream.write_all(&frame(SETTINGS, 0, 0, &[])).await);
            drop(stream.write_all(&what).await);
            while let Some((kind, id)) = next(&mut stream).await {
                if kind == HEADERS {
                    drop(stream.write_all(&frame(HEADERS, 0b101, id, &[0x88])).await);
                }
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_never_stops_talking_of_something_else_is_told_and_takes_no_memory() {
    let settings = frame(SETTINGS, 0, 0, &[]);
    let pings = frame(PING, 0, 0, &[7; 8]);
    for what in [settings, pings] {
        // The control: who comes to an end and then answers is fine.
        let (counts, times) = counted(&order(says_enough(what.clone()).await)).await;
        let succeeded = ended(&times, Outcome::Success);
        assert!(succeeded > 20, "{counts:?}");
        assert_eq!((succeeded, counts.connected), (counts.completed, 1));
        let endless = order(floods(what).await);
        let mut least = u64::MAX;
        for _ in 0..4 {
            let before = resident();
            let (counts, times) = counted(&endless).await;
            let more = resident().saturating_sub(before);
            println!("{counts:?}, {more} KiB more");
            assert!(counts.offered >= 4 && counts.received == 0, "{counts:?}");
            let failed = ended(&times, Outcome::Protocol) + ended(&times, Outcome::Reset);
            assert_eq!(failed, counts.offered - counts.cut, "{times:?}");
            least = least.min(more);
        }
        assert!(least < 2_048, "{least} KiB");
    }
}
