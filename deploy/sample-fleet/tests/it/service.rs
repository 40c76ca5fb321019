use std::{
    io::{ErrorKind, Read as _, Write as _},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::json;

use crate::running::{Running, connect, eventually, get, request, switch};

#[test]
fn a_service_says_who_it_is() {
    let service = Running::service(&["--instance", "2", "--service-version", "1.4.0"]);
    assert_eq!(service.ready["schema"], "nepho.sample-service/v1");
    assert_eq!(service.ready["service"], "gateway");
    assert_eq!(service.ready["environment"], "local");
    assert_eq!(service.ready["instance"], "2");
    let health = get(service.address(), "/health");
    assert_eq!(health.status, 200);
    let who = json!({"status": "UP", "service": "gateway", "environment": "local",
        "instance": "2", "version": "1.4.0"});
    assert_eq!(health.body, who);
    assert!(
        health.head.contains("x-instance: local/gateway/2"),
        "{}",
        health.head
    );
    assert!(health.head.contains("x-version: 1.4.0"), "{}", health.head);
    assert_eq!(get(service.address(), "/version").body["version"], "1.4.0");
    assert_eq!(get(service.address(), "/").status, 200);
    assert_eq!(get(service.address(), "/nothing").status, 404);
}

#[test]
fn a_service_counts_what_it_receives_but_not_the_asking() {
    let service = Running::service(&[]);
    for _ in 0..5 {
        get(service.address(), "/health");
    }
    get(service.address(), "/nothing");
    get(service.address(), "/state");
    let state = get(service.address(), "/state").body;
    assert_eq!(state["requests"], 6);
    assert_eq!(
        state["paths"]["/health"],
        json!({"received": 5, "answered": {"200": 5}})
    );
    assert_eq!(state["paths"]["/nothing"]["answered"], json!({"404": 1}));
    assert_eq!(state["connections"]["accepted"], 8);
}

#[test]
fn status_delay_and_unhealth_can_be_switched_and_reset() {
    let service = Running::service(&[]);
    let at = service.address();
    assert_eq!(
        switch(at, r#"{"status":500}"#).body["switches"]["status"],
        500
    );
    assert_eq!((get(at, "/health").status, get(at, "/").status), (500, 500));
    assert_eq!(get(at, "/state").status, 200);
    assert_eq!(request(at, "POST", "/admin/reset", "").unwrap().status, 200);
    assert_eq!(get(at, "/health").status, 200);

    switch(at, r#"{"unhealthy":true}"#);
    assert_eq!((get(at, "/health").status, get(at, "/").status), (503, 200));
    switch(at, r#"{"unhealthy":false,"delay_ms":80}"#);
    let start = Instant::now();
    assert_eq!(get(at, "/health").status, 200);
    assert!(start.elapsed() >= Duration::from_millis(80));
}

#[test]
fn a_page_that_the_version_does_not_have_yet_is_not_found() {
    let service = Running::service(&["--without", "/version", "--without", "/orders"]);
    let at = service.address();
    let missing = get(at, "/version");
    assert_eq!((missing.status, get(at, "/health").status), (404, 200));
    let unknown = get(at, "/nothing").body;
    assert_eq!(missing.body["error"], unknown["error"]);
    let state = get(at, "/state").body;
    assert_eq!(state["without"], json!(["/orders", "/version"]));
    assert_eq!(get(Running::service(&[]).address(), "/version").status, 200);
}

#[test]
fn a_flapping_service_is_up_and_down_in_turn_and_says_so() {
    let service = Running::service(&[]);
    let at = service.address();
    switch(at, r#"{"flap_ms":300}"#);
    let (up, down) = ((200, "UP".to_owned()), (503, "DOWN".to_owned()));
    let mut seen = Vec::new();
    eventually("up and down twice", || {
        let health = get(at, "/health");
        let status = health.body["status"].as_str().unwrap().to_owned();
        let now = (health.status, status);
        assert!(now == up || now == down, "{now:?}");
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        seen.len() == 4
    });
    assert_eq!(get(at, "/state").body["switches"]["flap_ms"], 300);
    switch(at, r#"{"flap_ms":null}"#);
    assert_eq!(get(at, "/health").status, 200);
}

#[test]
fn a_burning_service_computes_and_goes_on_answering() {
    let service = Running::service(&[]);
    let at = service.address();
    assert_eq!(burnt(&service), None);
    switch(at, r#"{"burn":true}"#);
    eventually("0.2 s of computing", || {
        assert_eq!(get(at, "/health").status, 200);
        burnt(&service) >= Some(20)
    });
    assert_eq!(get(at, "/state").body["switches"]["burn"], true);
    switch(at, r#"{"burn":true,"delay_ms":1}"#);
    assert!(burnt(&service) >= Some(20), "another thread burns");
    switch(at, r#"{"burn":false}"#);
    eventually("the end of the thread", || burnt(&service).is_none());
    assert_eq!(get(at, "/health").status, 200);
}

/// The hundredths of a second that the thread which burns has computed, if there is one.
fn burnt(service: &Running) -> Option<u64> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", service.id())).expect("it runs");
    threads.filter_map(Result::ok).find_map(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).ok()?;
        let user_time = stat.split_once(" (burn) ")?.1.split(' ').nth(11)?;
        Some(user_time.parse().expect("a number of ticks"))
    })
}

#[test]
fn an_unknown_switch_is_answered_with_the_known_ones() {
    let service = Running::service(&[]);
    let refused = switch(service.address(), r#"{"status":500,"explode":true}"#);
    assert_eq!(refused.status, 400);
    assert!(refused.body["known"]["delay_ms"].is_string(), "{refused:?}");
    assert_eq!(get(service.address(), "/health").status, 200);
}

#[test]
fn reset_breaks_the_connection_and_hang_never_answers() {
    let service = Running::service(&["--switch", r#"{"reset":true}"#]);
    let at = service.address();
    let broken = request(at, "GET", "/health", "").unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::ConnectionReset);

    switch(at, r#"{"reset":null,"hang":true}"#);
    let mut hanging = connect(at);
    hanging
        .set_read_timeout(Some(Duration::from_millis(150)))
        .unwrap();
    hanging
        .write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    assert_eq!(
        hanging.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    let health = &get(at, "/state").body["paths"]["/health"];
    assert_eq!(*health, json!({"received": 2, "answered": {}}));
}

#[test]
fn close_after_closes_each_connection_after_so_many_answers() {
    let service = Running::service(&["--switch", r#"{"close_after":2}"#]);
    let mut kept = connect(service.address());
    kept.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2).as_slice())
        .unwrap();
    let mut text = String::new();
    kept.read_to_string(&mut text).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
}

#[test]
fn a_large_body_is_refused() {
    let service = Running::service(&[]);
    let length = 64 * 1024 + 1;
    let mut stream = connect(service.address());
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![b'x'; length]).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[test]
fn a_silent_service_never_speaks_and_closes_with_its_peer() {
    for kind in ["tcp", "mysql"] {
        let mut service = Running::service(&["--kind", kind]);
        let mut peer = connect(service.address());
        peer.write_all(b"anybody there?\n").unwrap();
        peer.set_read_timeout(Some(Duration::from_millis(150)))
            .unwrap();
        assert_eq!(
            peer.read(&mut [0]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        assert!(service.end(Signal::TERM).0.success());
    }
}

#[test]
fn connections_beyond_the_bound_are_reset() {
    let service = Running::service(&["--kind", "redis"]);
    let mut open = Vec::new();
    for _ in 0..1024 {
        open.push(connect(service.address()));
    }
    let broken = connect(service.address()).read(&mut [0]).unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::ConnectionReset);
    drop(open);
    eventually("room for a new connection", || {
        let mut again = connect(service.address());
        again
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        again
            .read(&mut [0])
            .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    });
}

#[test]
fn forty_services_fit_into_a_small_machine() {
    let service = Running::service(&[]);
    get(service.address(), "/health");
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kibibytes: u32 = resident
        .trim()
        .strip_suffix(" kB")
        .unwrap()
        .parse()
        .unwrap();
    // Measured: 4.4 MiB, of which 0.3 are our own; the rest is the program, shared by all.
    assert!(kibibytes < 8 * 1024, "{kibibytes} KiB");
}
