//! The lane that others are compared with, in either protocol.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::server::conn::http1;
use nepho_common::load::{Reference, Sent};

use super::*;

/// A target that counts what it was asked for under each path.
async fn counts(is_http2: bool) -> (SocketAddr, Arc<[AtomicU64; 2]>) {
    let asked = Arc::<[AtomicU64; 2]>::default();
    let count = Arc::clone(&asked);
    let to = target(move |stream| {
        let count = Arc::clone(&count);
        async move {
            let answer = service_fn(move |asked: Request<Incoming>| {
                let nth = usize::from(asked.uri().path() == "/b");
                count[nth].fetch_add(1, Ordering::Relaxed);
                ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::new()))))
            });
            let stream = TokioIo::new(stream);
            if is_http2 {
                let server = http2::Builder::new(TokioExecutor::new());
                drop(server.serve_connection(stream, answer).await);
            } else {
                let server = http1::Builder::new();
                drop(server.serve_connection(stream, answer).await);
            }
        }
    })
    .await;
    (to, asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_lane_sends_one_call_over_its_own_connection_and_is_told_apart() {
    let call = |weight, path: &str| Sent {
        weight,
        target: Some(path.to_owned()),
        ..Sent::get()
    };
    let rate = "50/s".parse().unwrap();
    for (is_http2, reference) in [
        (false, Some(Reference { call: 1, rate })),
        (true, Some(Reference { call: 1, rate })),
        (false, None),
    ] {
        let (to, asked) = counts(is_http2).await;
        let order = Order {
            carried: over(is_http2),
            // The lanes send nothing but the first.
            calls: vec![call(1, "/a"), call(0, "/b")],
            lasts: Nanos::from_secs(1),
            reference,
            ..order(to)
        };
        let (mut own, mut others) = (Counts::default(), Counts::default());
        let mut calls = Vec::new();
        let all = each(&order, |one| {
            if one.is_reference {
                own.add(one.counts);
                calls.extend(one.times.iter().map(|timed| (timed.call, timed.outcome)));
            } else {
                others.add(one.counts);
            }
        });
        println!("{is_http2} {reference:?}: {:?}", all.await);
        let asked = [0, 1].map(|nth: usize| asked[nth].load(Ordering::Relaxed));
        assert_eq!([others.sent, own.sent], asked);
        assert!(others.sent > 0);
        if reference.is_some() {
            assert_eq!((own.offered, own.connected), (50, 1));
            // On a host that is busy some of them find the one before still open.
            assert!(own.sent > 10, "{own:?}");
        } else {
            assert_eq!(own, Counts::default());
        }
        // Connections are timed under the first call.
        calls.retain(|of| *of != (0, Outcome::Success));
        assert!(calls.iter().all(|of| *of == (1, Outcome::Success)));
    }
}
