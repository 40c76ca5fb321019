//! How many users ask in each stair, in either protocol.

use std::{collections::BTreeSet, sync::Mutex, time::Instant};

use hyper::server::conn::http1;
use nepho_common::{
    load::Pool,
    plan::{Rise, Stripe},
};

use super::*;

/// When each connection carried a request.
type Noted = Arc<Mutex<Vec<(usize, Instant)>>>;

/// A target that notes who asks.
async fn notes(is_http2: bool) -> (SocketAddr, Noted) {
    let carried = Noted::default();
    let (all, count) = (Arc::clone(&carried), Arc::new(Mutex::new(0)));
    let to = target(move |stream| {
        let all = Arc::clone(&all);
        let nth = {
            let mut count = count.lock().unwrap();
            *count += 1;
            *count
        };
        async move {
            let answer = service_fn(|_| {
                all.lock().unwrap().push((nth, Instant::now()));
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
    (to, carried)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_stair_has_its_users_over_all_agents_and_lanes() {
    const STAIR: Duration = Duration::from_millis(250);
    for (rise, is_http2) in [
        (Some(Rise::new(1, 5, 3).unwrap()), false),
        (Some(Rise::new(1, 5, 3).unwrap()), true),
        // The control: without stairs all are there from the start.
        (None, false),
    ] {
        let (to, carried) = notes(is_http2).await;
        let of = |agent: u32, connections: u32| Order {
            carried: Carried {
                pool: Pool::PerUser,
                ..over(is_http2)
            },
            model: Model::Closed {
                think: Nanos::from_millis(10),
                rise,
            },
            stripe: Stripe::new(agent, 2).unwrap(),
            connections,
            lanes: 2,
            lasts: Nanos::from_millis(750),
            ..order(to)
        };
        let (first, second) = (of(0, 3), of(1, 2));
        let (first, second) = tokio::join!(counted(&first), counted(&second));
        let asked = carried.lock().unwrap().clone();
        assert_eq!(first.0.completed + second.0.completed, asked.len() as u64);
        // Nobody asks before the start, and both agents start within a few milliseconds.
        let start = asked.iter().map(|(_, at)| *at).min().unwrap();
        let slack = Duration::from_millis(60);
        let users: Vec<_> = (0..3)
            .map(|stair| {
                let (from, to) = (start + STAIR * stair + slack, start + STAIR * (stair + 1));
                let mine = asked.iter();
                let mine = mine.filter(|(_, at)| (from..to - slack).contains(at));
                mine.map(|(nth, _)| nth).collect::<BTreeSet<_>>().len()
            })
            .collect();
        println!("{rise:?}: {users:?}");
        let due = if rise.is_some() { [1, 3, 5] } else { [5; 3] };
        assert_eq!(users, due);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_ask_from_the_start_that_all_have_in_common_to_its_end_and_not_outside() {
    const AHEAD: Duration = Duration::from_millis(300);
    for is_http2 in [false, true] {
        let (to, carried) = notes(is_http2).await;
        let order = Order {
            carried: over(is_http2),
            model: Model::Closed {
                think: Nanos(0),
                rise: None,
            },
            connections: 16,
            lanes: 1,
            in_flight_max: 16,
            lasts: Nanos::from_secs(1),
            ..order(to)
        };
        let (told, begun) = (Instant::now() + AHEAD, clock::now());
        let begun = Mono(begun.0 + u64::try_from(AHEAD.as_nanos()).unwrap());
        let mut due_after = 0;
        let counts = each_from(&order, begun, |one| {
            due_after += if one.second > 0 {
                one.counts.offered
            } else {
                0
            };
        });
        let counts = counts.await;
        let asked = carried.lock().unwrap().clone();
        let before = asked.iter().filter(|(_, at)| *at < told).count();
        println!("{is_http2}: {before} before the start, {due_after} after the end, {counts:?}");
        assert!(counts.sent > 100, "the control: they do ask");
        assert_eq!((before, due_after), (0, 0));
    }
}
