//! Queries to a real Prometheus server.

use std::path::Path;

use nepho_common::{
    plan::{Check, PrometheusCheck},
    recording::Outcome,
};

use crate::{
    get, nobody, outcome,
    server::{Server, exists, nginx, takes_connections},
};

fn query(port: u16, query: &str, min: Option<i64>, max: Option<i64>) -> Check {
    Check::Prometheus(PrometheusCheck {
        url: format!("http://127.0.0.1:{port}"),
        headers: Vec::new(),
        query: query.to_owned(),
        min,
        max,
    })
}

fn prometheus(program: &Path) -> Server {
    let arguments = |dir: &Path, port: u16| {
        std::fs::write(dir.join("prometheus.yml"), "scrape_configs: []\n").unwrap();
        vec![
            "--config.file=prometheus.yml".to_owned(),
            "--storage.tsdb.path=data".to_owned(),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ]
    };
    Server::start(program, arguments, takes_connections)
}

#[tokio::test]
async fn a_number_of_prometheus_lies_within_its_bounds_and_no_data_is_a_failure() {
    let Some(program) = exists("prometheus", "a_number_of_prometheus…") else {
        return;
    };
    let server = prometheus(&program);
    // It takes connections before it is ready to answer queries, and says so.
    let ready = || Check::Http(get(format!("http://127.0.0.1:{}/-/ready", server.port)));
    for _ in 0..600 {
        if outcome(ready()).await == Outcome::Success {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let half = Some(500_000);
    for (promql, min, max, expected) in [
        ("vector(0.5)", half, half, Outcome::Success),
        ("scalar(vector(0.5))", half, None, Outcome::Success),
        ("1 + 1", None, Some(2_000_000), Outcome::Success),
        ("vector(0.5)", Some(500_001), None, Outcome::Content),
        ("vector(0.5)", None, Some(499_999), Outcome::Content),
        // No such series: no data, and no pass whatever the bounds.
        (
            "up{job=\"nobody\"}",
            Some(-1_000_000),
            Some(1_000_000),
            Outcome::Content,
        ),
        (
            "label_replace(vector(1),\"a\",\"b\",\"\",\"\") or vector(2)",
            Some(0),
            None,
            Outcome::Content,
        ),
        ("vector(0) / 0", Some(0), None, Outcome::Content),
        ("vector(1)[5m:1m]", Some(0), None, Outcome::Content),
        ("sum(", Some(0), None, Outcome::Status),
    ] {
        let check = query(server.port, promql, min, max);
        assert_eq!(outcome(check).await, expected, "{promql}: {}", server.log());
    }
    let gone = query(nobody(), "1", Some(0), None);
    assert_eq!(outcome(gone).await, Outcome::Refused);
}

#[tokio::test]
async fn what_is_no_prometheus_is_told_apart() {
    let Some(program) = exists("nginx", "what_is_no_prometheus…") else {
        return;
    };
    let page = "server { listen 127.0.0.1:PORT; location / { return 200 '{\"status\":\"ok\"}'; } }";
    let server = nginx(&program, page, &[]);
    let check = query(server.port, "1", Some(0), None);
    assert_eq!(outcome(check).await, Outcome::Protocol);
}
