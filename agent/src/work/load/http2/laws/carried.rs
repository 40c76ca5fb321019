//! What is asked of every protocol: mixes, what answers must be, and who gave them.

use std::collections::BTreeMap;

use hyper::server::conn::http1;
use nepho_common::load::{Expected, Sent};

use super::*;
use crate::work::load::http1::KEPT_MAX;

/// Answers by path, in either protocol; each says that it is `a/1`.
async fn by_path(is_http2: bool) -> SocketAddr {
    let answer = |asked: Request<Incoming>| async move {
        let (status, body) = match asked.uri().path() {
            "/json" => (200, "{\"id\": 7, \"by\": \"b/2\"}".to_owned()),
            "/long" => (200, "x".repeat(KEPT_MAX) + "y"),
            "/made" => (201, asked.method().to_string()),
            _ => (404, String::new()),
        };
        let answer = Response::builder()
            .status(status)
            .header("x-instance", "a/1");
        Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(body))).unwrap())
    };
    target(move |stream| async move {
        let (stream, answer) = (TokioIo::new(stream), service_fn(answer));
        if is_http2 {
            let server = http2::Builder::new(TokioExecutor::new());
            drop(server.serve_connection(stream, answer).await);
        } else {
            let server = http1::Builder::new();
            drop(server.serve_connection(stream, answer).await);
        }
    })
    .await
}

fn call(target: &str, expect: Expected) -> Sent {
    Sent {
        target: Some(target.to_owned()),
        expect,
        ..Sent::get()
    }
}

/// Each with how it has to end.
fn calls() -> Vec<(Sent, Outcome)> {
    let pair = |(a, b): (&str, &str)| vec![(a.to_owned(), b.to_owned())];
    let json = |is: &str| Expected {
        json: pair(("$.id", is)),
        ..Expected::default()
    };
    let named = |name: &str| Expected {
        headers_have: pair(("X-Instance", name)),
        ..Expected::default()
    };
    let has = |text: &str| Expected {
        body_has: text.to_owned(),
        ..Expected::default()
    };
    let made = Sent {
        method: "PUT".to_owned(),
        body: b"body".to_vec(),
        weight: 5,
        ..call(
            "/made?a=b",
            Expected {
                status: [201].into(),
                body_has: "PUT".to_owned(),
                ..Expected::default()
            },
        )
    };
    vec![
        (call("/json", json("7")), Outcome::Success),
        (call("/json", json("8")), Outcome::Content),
        (call("/json", named("a/1")), Outcome::Success),
        (call("/json", named("b/2")), Outcome::Content),
        (call("/long", Expected::default()), Outcome::Success),
        // It was not seen whole.
        (call("/long", has("x")), Outcome::Content),
        (made, Outcome::Success),
        (call("/none", Expected::default()), Outcome::Status),
    ]
}

/// By call and how it ended; and by who answered, with how many connections.
type Told = (
    BTreeMap<(u16, Outcome), u64>,
    BTreeMap<Option<String>, (u64, u64)>,
);

async fn told(order: &Order) -> Told {
    let (mut calls, mut names) = (BTreeMap::new(), BTreeMap::new());
    let counts = each(order, |counted| {
        for timed in &counted.times {
            if timed.metric == Metric::ResponseTime {
                let count = timed.histogram().unwrap().count();
                *calls.entry((timed.call, timed.outcome)).or_default() += count;
            }
        }
        for trace in &counted.traces {
            let (count, connections) = names.entry(trace.by.clone()).or_default();
            *count += trace
                .runs
                .iter()
                .map(|run| u64::from(run.count))
                .sum::<u64>()
                + trace.truncated;
            *connections += trace.connections;
        }
    });
    let counts = counts.await;
    assert_eq!(counts.completed, calls.values().sum::<u64>(), "{counts:?}");
    (calls, names)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mix_is_carried_and_judged_alike_in_both_protocols() {
    for is_http2 in [false, true] {
        let word = |text: &str| text.to_owned().try_into().unwrap();
        let (calls, expected): (Vec<_>, Vec<_>) = calls().into_iter().unzip();
        let to = by_path(is_http2).await;
        let mut order = Order {
            carried: over(is_http2),
            calls,
            connections: 2,
            told_by: Some(ToldBy::Header(word("x-instance"))),
            ..order(to)
        };
        let (by_call, by_name) = told(&order).await;
        println!("{by_call:?} {by_name:?}");
        let ended: Vec<_> = by_call.keys().copied().collect();
        let should: Vec<_> = (0..).zip(expected).collect();
        assert_eq!(ended, should, "each call ends in one way");
        let all: u64 = by_call.values().sum();
        let often = by_call[&(6, Outcome::Success)] as f64 / all as f64;
        assert!((0.3..0.55).contains(&often), "five of twelve: {often}");
        // Two connections, and each had a first request.
        assert_eq!(by_name, [(Some("a/1".to_owned()), (all, 2))].into());
        order.told_by = Some(ToldBy::Json(word("$.by")));
        let (by_call, by_name) = told(&order).await;
        let json: u64 = (0..4)
            .map(|call| {
                by_call
                    .iter()
                    .filter(|((of, _), _)| *of == call)
                    .map(|(_, n)| n)
                    .sum::<u64>()
            })
            .sum();
        assert_eq!(by_name[&Some("b/2".to_owned())].0, json);
        order.told_by = Some(ToldBy::Address);
        let (_, by_name) = told(&order).await;
        let names: Vec<_> = by_name.into_keys().collect();
        assert_eq!(names, [Some(to.to_string())]);
    }
}
