//! What this host can send, said by `nepho calibrate`.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::process::{clean, command, program, said, took};

#[test]
fn a_host_is_calibrated_within_half_a_minute() {
    let _took = took("calibrate");
    let mut nepho = command("nepho");
    let ended = said(nepho.args(["calibrate", "-o", "json", "--quiet", "-c", "16"]));
    // On a machine that is busy with other tests no rate may be kept up with: it says so.
    assert!(matches!(ended.code, Some(0 | 11)), "{}", ended.stderr);
    let found: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(found["schema"], "nepho.calibration/v1");
    assert_eq!(found["connections"], 16);
    let closed = found["closed_rate"].as_f64().unwrap();
    let cpu = found["cpu_seconds_per_million"].as_f64().unwrap();
    println!(
        "{closed:.0}/s, {cpu:.1} CPU seconds per million, {}",
        found["on_time"]
    );
    // A thread has one second of processor time a second, and a request takes some of it.
    assert!(
        closed > 1.0 && cpu > 0.5 && closed * cpu < 1.1e6,
        "{found:#}"
    );
    assert!(
        found["took_ns"].as_u64().unwrap() < 30_000_000_000,
        "{found:#}"
    );
    let rates: Vec<_> = (0..2)
        .map(|nth| found["on_time"][nth]["rate"].as_u64())
        .collect();
    assert!(rates[1] <= rates[0], "less lag is no more rate: {found:#}");
    assert_eq!(ended.code == Some(11), rates == [None, None]);
    let trials = found["trials"].as_array().unwrap();
    for (limit, rate) in [(1_000_000, rates[0]), (100_000, rates[1])] {
        let Some(rate) = rate else { continue };
        let kept = trials.iter().any(|trial| {
            let figure = |name: &str| trial[name].as_u64().unwrap();
            figure("rate") == rate && figure("lag_p99_ns") <= limit && figure("sent_ppm") >= 999_000
        });
        assert!(kept, "{rate} within {limit} ns: {found:#}");
    }
}

#[test]
fn the_target_that_does_nothing_ends_with_whoever_started_it() {
    let mut null = clean(Command::new(program("nepho-agent")));
    null.arg("null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut null = null.spawn().unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(null.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let address = ready["listen"].as_str().unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{ready}");
    let mut peer = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut peer, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut told = [0; 15];
    std::io::Read::read_exact(&mut peer, &mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 200 OK");
    drop(null.stdin.take());
    assert!(null.wait().unwrap().success());
}
