//! How requests come to their connections, in either protocol.

use std::sync::Mutex;

use hyper::server::conn::http1;
use nepho_common::{
    load::{Own, Pool},
    plan::{Arrivals, Schedule},
};

use super::*;
use crate::work::load::Unable;

/// How many requests each connection carried.
type Noted = Arc<Mutex<Vec<u64>>>;

async fn counts(is_http2: bool) -> (SocketAddr, Noted) {
    let carried = Noted::default();
    let each = Arc::clone(&carried);
    let to = target(move |stream| {
        let carried = Arc::clone(&each);
        let nth = {
            let mut all = carried.lock().unwrap();
            all.push(0);
            all.len() - 1
        };
        async move {
            let answer = service_fn(|_| {
                carried.lock().unwrap()[nth] += 1;
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

/// What is changed in an order.
type Change = fn(&mut Order);

/// What became of it, and how many requests each connection carried that carried any.
async fn carried(is_http2: bool, change: impl Fn(&mut Order)) -> (Counts, Times, Vec<u64>) {
    let (to, carried) = counts(is_http2).await;
    let mut order = Order {
        carried: over(is_http2),
        connections: 2,
        ..order(to)
    };
    change(&mut order);
    let (counts, times) = counted(&order).await;
    assert_eq!(
        ended(&times, Outcome::Success),
        counts.offered,
        "{counts:?}"
    );
    let each = carried.lock().unwrap().clone();
    assert_eq!(each.iter().sum::<u64>(), counts.completed);
    assert_eq!(each.len() as u64, counts.connected);
    (counts, times, each)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_opens_its_own_connection_if_so_asked_and_else_they_share_those_that_there_are()
 {
    for is_http2 in [false, true] {
        let (counts, times, each) = carried(is_http2, |order| order.carried.pool = Pool::New).await;
        println!("{counts:?}");
        assert!(counts.completed > 10, "{counts:?}");
        assert!(each.iter().all(|one| *one == 1), "{each:?}");
        let connects = &times[&(Outcome::Success, Metric::Connect)];
        assert_eq!(connects.count(), counts.completed);
        // What it took to connect is part of what each waited for.
        let waits = &times[&(Outcome::Success, Metric::PoolWait)];
        assert!(waits.sum() >= connects.sum());
        let (counts, _, each) = carried(is_http2, |_| ()).await;
        assert!(counts.completed > 10, "{counts:?}");
        assert_eq!(each.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_carries_no_more_requests_than_it_may() {
    for is_http2 in [false, true] {
        for most in [1, 3, 40] {
            let limit = |order: &mut Order| order.carried.requests_per_connection = most;
            let (counts, _, each) = carried(is_http2, limit).await;
            println!("{most}: {counts:?}");
            assert_eq!(each.iter().max(), Some(&most), "{counts:?}");
            // All but the last two, which the end found in use.
            let full = each.iter().filter(|one| **one == most).count();
            assert!(full + 2 >= each.len(), "{each:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_a_connection_of_his_own_waits_for_nobody() {
    let long = Duration::from_millis(20);
    for (pool, users) in [(Pool::Shared, 8), (Pool::PerUser, 2)] {
        let order = Order {
            connections: 2,
            in_flight_max: 8,
            carried: Carried { pool, ..over(true) },
            ..order(answers(long, 100).await)
        };
        let (counts, _) = counted(&order).await;
        println!("{counts:?}");
        // Each has an answer every twenty milliseconds of four hundred.
        assert!(counts.completed <= 21 * users, "{counts:?}");
        assert!(counts.completed > 8 * users, "{counts:?}");
    }
}

#[tokio::test]
async fn what_can_not_be_at_a_time_is_refused() {
    let open = || Model::Open {
        schedule: Schedule::constant(
            Arrivals::Constant,
            "10/s".parse().unwrap(),
            Nanos::from_secs(1),
        )
        .unwrap(),
        seed: 1,
    };
    let to = SocketAddr::from(([127, 0, 0, 1], 9));
    let all: [(&str, Change); 4] = [
        ("have none", |order| order.carried.pool = Pool::PerUser),
        ("can't carry several", |order| {
            (order.carried.pool, order.carried.requests_per_connection) = (Pool::New, 2)
        }),
        ("busy core", |order| {
            order.carried.spin = Nanos::from_secs(1)
        }),
        ("of their own", |order| {
            order.carried.pin = true;
            (order.lanes, order.connections) = (5_000, 5_000);
        }),
    ];
    for (why, change) in all {
        let mut order = order(to);
        order.model = open();
        change(&mut order);
        let guard = Guard::new(
            one_shot::own(&order, &Endpoint::of_url(&order.url).unwrap()),
            Vec::new(),
        );
        let refused: Unable = Load::open(&order, &guard).await.unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
}

/// Whether a lane of this process may run on one core only.
fn has_pinned_lane() -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let lanes = tasks.filter_map(|task| {
        // One that has ended meanwhile is none.
        let status = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        status.contains("Name:\tlane-").then_some(status)
    });
    let mut cores = lanes.filter_map(|status| {
        let cores = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        cores.map(|cores| cores.trim().parse::<usize>().is_ok())
    });
    cores.any(|one| one)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_spins_is_on_time_and_uses_its_core_and_one_that_sleeps_does_neither() {
    let mut found = Vec::new();
    for spin in [Nanos(0), Nanos::from_millis(4)] {
        let rate = "200/s".parse().unwrap();
        let mut order = Order {
            model: Model::Open {
                schedule: Schedule::constant(Arrivals::Constant, rate, Nanos::from_secs(2))
                    .unwrap(),
                seed: 1,
            },
            carried: Carried {
                spin,
                pin: spin > Nanos(0),
                ..over(true)
            },
            in_flight_max: 1_000,
            ..order(answers(Duration::ZERO, 100).await)
        };
        // The first second is told while the thread still runs.
        order.lasts = Nanos::from_secs(2);
        let (mut used, mut over, mut is_pinned) = (0, 0, false);
        let mut lags = nepho_common::histogram::Histogram::default();
        let counts = each(&order, |one| {
            is_pinned |= has_pinned_lane();
            if let Some(Own {
                used: own,
                over: of,
                ..
            }) = one.own
            {
                (used, over) = (used + own.0, over + of.0);
            }
            for timed in one
                .times
                .iter()
                .filter(|timed| timed.metric == Metric::SendLag)
            {
                lags.merge(&timed.histogram().unwrap());
            }
        });
        assert_eq!(counts.await.completed, 400);
        assert_eq!(is_pinned, order.carried.pin);
        let lag = lags.quantile(1, 2).unwrap();
        let share = used * 100 / over;
        println!("spin {spin}: send lag p50 {lag}, {share} % of the core");
        found.push((lag, share));
    }
    let [(sleeps, little), (spins, much)] = found[..] else {
        panic!("two of them");
    };
    // Four of five milliseconds, if nobody else wants the core.
    assert!(much > 2 * little, "{little} and {much}");
    assert!(spins < sleeps, "{spins} and {sleeps}");
}
