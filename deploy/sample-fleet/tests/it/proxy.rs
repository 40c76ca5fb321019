use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::running::{Running, connect, eventually, get};

/// Routes as (target, there, back).
fn proxy(routes: &[(SocketAddr, f64, f64)]) -> Running {
    let routes: Vec<Value> = routes
        .iter()
        .enumerate()
        .map(|(nth, (target, there, back))| {
            json!({"name": format!("route {nth}"), "listen": "127.0.0.1:0", "target": target,
                "there_ms": there, "back_ms": back})
        })
        .collect();
    configured(
        &json!({"schema": "nepho.sample-proxy/v1", "routes": routes}),
        &[],
    )
}

fn configured(config: &Value, more: &[&str]) -> Running {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("proxy.json");
    fs::write(&path, config.to_string()).expect("a new file");
    let path = path.to_str().expect("a plain path");
    Running::start(&[&["proxy", "--config", path], more].concat())
}

/// Sends back whatever comes, until the end.
fn echo() -> SocketAddr {
    serving(|mut peer| {
        let mut copy = peer.try_clone().expect("a second handle");
        std::io::copy(&mut copy, &mut peer).ok();
    })
}

/// Serves each connection in a thread, for as long as the test's process lives.
fn serving(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    thread::spawn(move || {
        for peer in listener.incoming().flatten() {
            peer.set_nodelay(true).ok();
            let serve = serve.clone();
            thread::spawn(move || serve(peer));
        }
    });
    address
}

/// Round trips of one byte over one connection, sorted.
fn round_trips(through: SocketAddr) -> Vec<Duration> {
    let mut peer = connect(through);
    let mut trips: Vec<Duration> = (0..20)
        .map(|_| {
            let start = Instant::now();
            peer.write_all(b"x").expect("an open connection");
            peer.read_exact(&mut [0]).expect("an echo");
            start.elapsed()
        })
        .collect();
    trips.sort_unstable();
    trips
}

#[test]
fn a_round_trip_takes_its_distance_and_never_less() {
    let target = echo();
    let proxy = proxy(&[(target, 60.0, 0.0), (target, 7.5, 7.5), (target, 0.0, 0.0)]);
    for (nth, distance) in [(0, 60), (1, 15)] {
        let trips = round_trips(proxy.route(nth));
        let distance = Duration::from_millis(distance);
        assert!(trips[0] >= distance, "route {nth}: least {:?}", trips[0]);
        assert!(
            trips[10] <= distance + Duration::from_millis(20),
            "route {nth}: {trips:?}"
        );
        println!(
            "distance {distance:?}: least {:?}, median {:?}",
            trips[0], trips[10]
        );
    }
    let near = round_trips(proxy.route(2));
    assert!(
        near[10] < Duration::from_millis(5),
        "without distance: {near:?}"
    );
}

#[test]
fn an_asymmetric_distance_lies_in_its_own_direction() {
    let greeter = serving(|mut peer| {
        peer.write_all(b"x").ok();
        peer.read_to_end(&mut Vec::new()).ok();
    });
    let proxy = proxy(&[(greeter, 0.0, 200.0), (greeter, 200.0, 0.0)]);
    let greeted = |nth| {
        let start = Instant::now();
        connect(proxy.route(nth))
            .read_exact(&mut [0])
            .expect("a greeting");
        start.elapsed()
    };
    assert!(greeted(0) >= Duration::from_millis(200));
    assert!(greeted(1) < Duration::from_millis(150));
}

#[test]
fn a_mebibyte_comes_through_in_order_both_ways() {
    let proxy = proxy(&[(echo(), 7.5, 7.5)]);
    let sent: Vec<u8> = (0..1_u32 << 18).flat_map(u32::to_be_bytes).collect();
    assert_eq!(sent.len(), 1 << 20);
    let mut peer = connect(proxy.route(0));
    let mut writer = peer.try_clone().unwrap();
    let copy = sent.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    peer.read_to_end(&mut received).unwrap();
    writing.join().unwrap();
    assert!(
        received == sent,
        "{} of {} bytes, or others",
        received.len(),
        sent.len()
    );
}

#[test]
fn a_half_close_travels_and_the_answer_still_comes() {
    let counter = serving(|mut peer| {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).ok();
        peer.write_all(all.len().to_string().as_bytes()).ok();
    });
    let proxy = proxy(&[(counter, 30.0, 30.0)]);
    let start = Instant::now();
    let mut peer = connect(proxy.route(0));
    peer.write_all(b"seven b").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    peer.read_to_string(&mut text).unwrap();
    assert_eq!(text, "7");
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[test]
fn a_reset_by_the_target_reaches_the_client_as_one() {
    let service = Running::service(&["--switch", r#"{"reset":true}"#]);
    let proxy = proxy(&[(service.address(), 5.0, 5.0)]);
    let start = Instant::now();
    let mut peer = connect(proxy.route(0));
    peer.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    assert_eq!(
        peer.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert!(start.elapsed() >= Duration::from_millis(10));
}

#[test]
fn whoever_writes_on_to_a_closed_target_is_reset() {
    let closed = serving(drop);
    let proxy = proxy(&[(closed, 5.0, 5.0)]);
    let mut peer = connect(proxy.route(0));
    assert_eq!(peer.read(&mut [0]).unwrap(), 0, "the target's end arrives");
    // The first makes the target's kernel answer with a reset, the second meets it. No third one
    // may be needed. Nothing tells the client's side when the first has got there.
    peer.write_all(b"anybody there?").unwrap();
    thread::sleep(Duration::from_millis(50));
    peer.write_all(b"anybody there?").unwrap();
    eventually("the reset", || peer.take_error().unwrap().is_some());
}

#[test]
fn a_route_closes_with_its_target_and_opens_again_on_the_same_port() {
    let mut service = Running::service(&[]);
    let target = service.address();
    let proxy = proxy(&[(target, 1.0, 1.0)]);
    assert_eq!(proxy.ready["routes"][0]["up"], true);
    let route = proxy.route(0);
    assert_eq!(get(route, "/health").status, 200);

    service.end(Signal::KILL);
    eventually("the close of the route", || {
        TcpStream::connect(route).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    let listen = target.to_string();
    let _service = Running::service(&["--listen", &listen]);
    eventually("the route's return", || TcpStream::connect(route).is_ok());
    assert_eq!(get(route, "/health").status, 200);
}

#[test]
fn a_dead_target_is_announced_as_down_unless_unchecked() {
    // Bound but not listening: it refuses, and no one else gets the port.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _in_runtime = runtime.enter();
    let dead = tokio::net::TcpSocket::new_v4().unwrap();
    dead.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let route = |name: &str, check: bool| {
        json!({"name": name, "listen": "127.0.0.1:0", "target": dead.local_addr().unwrap(),
            "there_ms": 10, "back_ms": 10, "check": check})
    };
    let routes = [route("checked", true), route("unchecked", false)];
    let proxy = configured(
        &json!({"schema": "nepho.sample-proxy/v1", "routes": routes}),
        &[],
    );
    assert_eq!(proxy.ready["schema"], "nepho.sample-proxy-ready/v1");
    assert_eq!(proxy.ready["routes"][0]["up"], false);
    assert_eq!(proxy.ready["routes"][1]["up"], true);
    let refused = TcpStream::connect(proxy.route(0)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let start = Instant::now();
    let broken = connect(proxy.route(1)).read(&mut [0]).unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::ConnectionReset);
    assert!(start.elapsed() >= Duration::from_millis(20));
}

#[test]
fn the_proxy_counts_and_ends_within_a_second() {
    let service = Running::service(&[]);
    let folder = tempfile::tempdir().unwrap();
    let counts = folder.path().join("counts.json");
    let routes = json!([{"name": "a", "listen": "127.0.0.1:0", "target": service.address(),
        "there_ms": 0, "back_ms": 0}]);
    let config = json!({"schema": "nepho.sample-proxy/v1", "routes": routes});
    let mut proxy = configured(&config, &["--counts", counts.to_str().unwrap()]);
    for _ in 0..3 {
        get(proxy.route(0), "/");
    }
    let _idle = connect(proxy.route(0));
    let (status, took, rest) = proxy.end(Signal::TERM);
    assert!(
        status.success() && took < Duration::from_secs(1),
        "{status} after {took:?}"
    );
    assert_eq!(rest, "");
    let counts: Value = serde_json::from_slice(&fs::read(&counts).unwrap()).unwrap();
    let (through, checks) = (
        &counts["routes"][0]["connections"],
        &counts["routes"][0]["target_checks"],
    );
    // The idle one may still have been in the backlog.
    assert!(
        through
            .as_u64()
            .is_some_and(|count| (3..=4).contains(&count)),
        "{counts}"
    );
    assert!(checks.as_u64().is_some_and(|count| count >= 1), "{counts}");
    assert_eq!(get(service.address(), "/state").body["requests"], 3);
}

#[test]
fn eighty_routes_start_and_carry() {
    let target = echo();
    let proxy = proxy(&vec![(target, 7.5, 7.5); 80]);
    for nth in 0..80 {
        let mut peer = connect(proxy.route(nth));
        peer.write_all(b"x").unwrap();
        peer.read_exact(&mut [0]).unwrap();
    }
}
