mod carried;
mod connections;
mod flows;
mod hostile;
mod overdue;
mod reference;
mod stairs;

use std::{
    convert::Infallible,
    future::{pending, ready},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use h2::{Reason, server::SendResponse};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nepho_common::{
    load::{Carried, Counted, Counts, Model, Order, Times},
    plan::{Arrivals, Schedule, ToldBy},
    policy::Endpoint,
    recording::{Metric, Outcome},
    time::{Mono, Nanos},
};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::super::{Load, one_shot, request};
use crate::{clock, work::guard::Guard};

/// Has the order done, and looks at everything that is counted.
async fn each(order: &Order, look: impl FnMut(&Counted)) -> Counts {
    each_from(order, clock::now().plus(Nanos::from_millis(20)), look).await
}

/// The same, as from this instant on.
async fn each_from(order: &Order, begun: Mono, mut look: impl FnMut(&Counted)) -> Counts {
    let to = Endpoint::of_url(&order.url).unwrap();
    let guard = Guard::new(one_shot::own(order, &to), Vec::new());
    let mut load = Load::open(order, &guard).await.unwrap();
    load.begin(begun);
    let mut counts = Counts::default();
    while let Some(one) = load.next().await.unwrap() {
        counts.add(one.counts);
        look(&one);
    }
    assert_eq!(
        counts.offered,
        counts.completed + counts.shed + counts.unsent + counts.cut,
        "everything is told once: {counts:?}"
    );
    counts
}

/// What became of an order, in all.
async fn counted(order: &Order) -> (Counts, Times) {
    counted_from(order, clock::now().plus(Nanos::from_millis(20))).await
}

async fn counted_from(order: &Order, begun: Mono) -> (Counts, Times) {
    let mut times = Times::new();
    let counts = each_from(order, begun, |one| {
        for timed in &one.times {
            let of = times.entry((timed.outcome, timed.metric)).or_default();
            of.merge(&timed.histogram().unwrap());
        }
    });
    (counts.await, times)
}

/// One protocol or the other.
fn over(is_http2: bool) -> Carried {
    Carried {
        http2: is_http2,
        ..Carried::default()
    }
}

fn order(to: SocketAddr) -> Order {
    Order {
        url: format!("http://{to}/x"),
        carried: over(true),
        in_flight_max: 4,
        lasts: Nanos::from_millis(400),
        timeout: Nanos::from_secs(5),
        ..request::order("GET", &[("a", "b")], "")
    }
}

fn ended(times: &Times, outcome: Outcome) -> u64 {
    let of = times.get(&(outcome, Metric::ResponseTime));
    of.map_or(0, |times| times.count())
}

/// Every connection is taken by `each`.
async fn target<T: Future<Output = ()> + Send + 'static>(
    each: impl Fn(TcpStream) -> T + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Head and body are two writes.
            stream.set_nodelay(true).unwrap();
            tokio::spawn(each(stream));
        }
    });
    address
}

/// Answers with the length of what it was sent, after so long, to so many at a time.
async fn answers(after: Duration, streams: u32) -> SocketAddr {
    target(move |stream| async move {
        let answer = move |asked: Request<Incoming>| async move {
            assert_eq!(asked.headers().get("a").unwrap(), "b");
            assert_eq!(
                (asked.uri().path(), asked.version()),
                ("/x", http::Version::HTTP_2)
            );
            let body = asked.into_body().collect().await.unwrap().to_bytes();
            tokio::time::sleep(after).await;
            let text = body.len().to_string();
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
        };
        let mut server = http2::Builder::new(TokioExecutor::new());
        server.max_concurrent_streams(streams);
        let served = server.serve_connection(TokioIo::new(stream), service_fn(answer));
        drop(served.await);
    })
    .await
}

/// Answers over TLS with these protocols on offer; and who vouches for it.
async fn encrypted(protocols: &[&[u8]]) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth();
    let mut config = config
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|one| one.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let to = target(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let answer = |_| ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::new()))));
            let server = http2::Builder::new(TokioExecutor::new());
            let served = server.serve_connection(TokioIo::new(stream), service_fn(answer));
            drop(served.await);
        }
    })
    .await;
    (to, made.cert.pem())
}

/// Does this to every request.
async fn refuses(each: impl Fn(SendResponse<Bytes>) + Send + Sync + 'static) -> SocketAddr {
    let each = Arc::new(each);
    target(move |stream| {
        let each = Arc::clone(&each);
        async move {
            let Ok(mut server) = h2::server::handshake(stream).await else {
                return;
            };
            while let Some(Ok((_, respond))) = server.accept().await {
                each(respond);
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_share_a_connection_succeed_and_their_parts_add_up() {
    let to = answers(Duration::ZERO, 100).await;
    for body in [0, 300_000] {
        let mut order = order(to);
        order.calls[0].body = vec![b'x'; body];
        let (counts, times) = counted(&order).await;
        assert!(counts.completed > 20, "{counts:?}");
        assert_eq!(
            ended(&times, Outcome::Success),
            counts.completed,
            "{counts:?}"
        );
        assert_eq!((counts.connected, counts.unsent), (1, 0));
        assert!(counts.written > counts.completed * body as u64);
        assert!(counts.received > counts.completed);
        let sum = |metric| times[&(Outcome::Success, metric)].sum();
        assert_eq!(
            sum(Metric::ResponseTime),
            [
                Metric::SendLag,
                Metric::PoolWait,
                Metric::Send,
                Metric::ServiceTime
            ]
            .map(sum)
            .iter()
            .sum::<u128>()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_stream_waits_in_the_pool_and_the_target_is_not_blamed() {
    let long = Duration::from_millis(40);
    // The control: with room for all of them nobody waits.
    for (streams, waits) in [(1, true), (100, false)] {
        let (counts, times) = counted(&order(answers(long, streams).await)).await;
        assert_eq!(
            ended(&times, Outcome::Success),
            counts.completed,
            "{counts:?}"
        );
        let median = |metric| times[&(Outcome::Success, metric)].quantile(1, 2).unwrap();
        let (pool, service) = (median(Metric::PoolWait), median(Metric::ServiceTime));
        println!("{streams} streams: pool wait {pool}, service {service}");
        assert_eq!(pool > Nanos::from_millis(60), waits, "{pool}");
        assert!(service < Nanos::from_millis(80), "{service}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_both_agree_to_http2_or_there_is_no_connection() {
    let offered: [(&[&[u8]], bool); 3] = [(&[b"h2"], true), (&[b"http/1.1"], false), (&[], false)];
    for (protocols, agrees) in offered {
        let (to, pem) = encrypted(protocols).await;
        let order = Order {
            url: format!("https://{to}/x"),
            authorities: Some(pem),
            ..order(to)
        };
        let (counts, times) = counted(&order).await;
        let succeeded = ended(&times, Outcome::Success);
        assert_eq!(succeeded > 0, agrees, "{protocols:?} {counts:?}");
        assert_eq!(
            (counts.completed, counts.connected),
            (succeeded, u64::from(agrees))
        );
        assert_eq!(
            times.contains_key(&(Outcome::Success, Metric::Handshake)),
            agrees
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_never_comes_is_a_timeout_and_the_connection_stays() {
    let to = refuses(|respond| {
        tokio::spawn(async move {
            let () = pending().await;
            drop(respond);
        });
    })
    .await;
    let order = Order {
        timeout: Nanos::from_millis(100),
        ..order(to)
    };
    let (counts, times) = counted(&order).await;
    assert_eq!(counts.connected, 1);
    assert!(counts.completed >= 8, "{counts:?}");
    assert_eq!(ended(&times, Outcome::Timeout), counts.completed);
}
