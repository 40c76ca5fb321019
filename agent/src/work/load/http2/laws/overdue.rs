//! What is not sent any more, and whose answer comes for nobody, in either protocol.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::server::conn::http1;

use super::*;

/// Waits so long for an answer, from when its request was due.
const TIMEOUT: Nanos = Nanos::from_millis(500);

/// Answers after so long, and counts what it was asked.
async fn counts(after: Duration, is_http2: bool) -> (SocketAddr, Arc<AtomicU64>) {
    let asked = Arc::<AtomicU64>::default();
    let count = Arc::clone(&asked);
    let to = target(move |stream| {
        let count = Arc::clone(&count);
        async move {
            let answer = service_fn(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
                async move {
                    tokio::time::sleep(after).await;
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
                }
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

/// 100 requests a second for two seconds.
fn paced(to: SocketAddr, is_http2: bool) -> Order {
    let rate = "100/s".parse().unwrap();
    let lasts = Nanos::from_secs(2);
    let schedule = Schedule::constant(Arrivals::Constant, rate, lasts).unwrap();
    Order {
        carried: over(is_http2),
        model: Model::Open { schedule, seed: 1 },
        connections: 8,
        in_flight_max: 1_000,
        lasts,
        timeout: TIMEOUT,
        ..order(to)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_before_it_can_be_sent_is_not_sent_and_timed_out() {
    for is_http2 in [false, true] {
        // The generator comes back to itself so late. The control does not.
        for late in [Nanos::from_millis(1_500), Nanos(0)] {
            let (to, asked) = counts(Duration::ZERO, is_http2).await;
            let begun = Mono(clock::now().0 - late.0);
            let (counts, times) = counted_from(&paced(to, is_http2), begun).await;
            let timed_out = ended(&times, Outcome::Timeout);
            println!("{is_http2} {late}: {counts:?}");
            assert_eq!(counts.offered, 200);
            assert_eq!(counts.sent, asked.load(Ordering::Relaxed));
            if late == Nanos(0) {
                assert_eq!((counts.unsent, timed_out), (0, 0));
            } else {
                // What was due in the first second, and what was while connections were opened.
                assert!((100..150).contains(&counts.unsent));
                // Some may go out at the very end of their time.
                assert!(timed_out >= counts.unsent, "{timed_out}");
                let slowest = times[&(Outcome::Success, Metric::ResponseTime)].max();
                assert!(slowest < Some(TIMEOUT), "{slowest:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_a_success_that_came_when_its_time_was_over() {
    // Time-outs are looked for every ten milliseconds: these come between two looks as well.
    let after = Duration::from_millis(15);
    for is_http2 in [false, true] {
        for (timeout, succeed) in [(Nanos::from_millis(12), false), (TIMEOUT, true)] {
            let (to, _) = counts(after, is_http2).await;
            let order = Order {
                timeout,
                ..paced(to, is_http2)
            };
            let (counts, times) = counted(&order).await;
            println!("{is_http2} {timeout}: {counts:?}");
            let succeeded = ended(&times, Outcome::Success);
            assert_eq!(succeeded, if succeed { counts.offered } else { 0 });
            let timed_out = ended(&times, Outcome::Timeout);
            assert_eq!(succeeded + timed_out, counts.offered);
        }
    }
}
