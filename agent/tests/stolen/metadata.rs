//! A metadata service that is really there: in a network of our own, with names that lead to it.
//! The test runs itself anew inside of that network, which needs root or user namespaces.

use std::process::Command as Program;

use super::*;

const INSIDE: &str = "NEPHO_TEST_INSIDE";
const NAME: &str = "stolen::metadata::neither_a_name_nor_a_redirect_leads_to_the_metadata_service";
const METADATA: [&str; 2] = ["169.254.169.254", "100.100.100.200"];

const POLICY: &str = "\
api: nepho.policy/v1
actions: [probe.http]
targets:
  - {network: 0.0.0.0/0, ports: all}
  - {host: \"*.test\", addresses: [0.0.0.0/0], ports: all}
limits: {requests-per-second: 100, connections: 100, stage-seconds: 60}
";

fn sh(script: &str) -> bool {
    let done = Program::new("sh").args(["-ec", script]).status();
    done.is_ok_and(|status| status.success())
}

/// Whether this machine lets us have a network of our own, and how.
fn unshare() -> Option<&'static str> {
    ["-nm", "-rnm"].into_iter().find(|how| {
        let tried = Program::new("unshare")
            .args([
                how,
                "sh",
                "-ec",
                "ip link set lo up && mount --bind /etc/hosts /etc/hosts",
            ])
            .output();
        tried.is_ok_and(|tried| tried.status.success())
    })
}

#[test]
fn neither_a_name_nor_a_redirect_leads_to_the_metadata_service() {
    if std::env::var_os(INSIDE).is_some() {
        inside();
        return;
    }
    let Some(how) = unshare() else {
        println!("SKIPPED {NAME}: no network namespaces here");
        if let Some(path) = std::env::var_os("NEPHO_TEST_SKIPS") {
            let line = format!("{NAME}: no network namespaces here\n");
            let mut skips = std::fs::read(&path).unwrap_or_default();
            skips.extend_from_slice(line.as_bytes());
            std::fs::write(path, skips).unwrap();
        }
        return;
    };
    let done = Program::new("unshare")
        .arg(how)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}{errors}");
    assert!(
        said.contains("the metadata service was there"),
        "{said}{errors}"
    );
}

#[tokio::main(flavor = "current_thread")]
async fn inside() {
    let hosts = tempfile::NamedTempFile::new().unwrap();
    let names = "127.0.0.1 localhost good.test\n169.254.169.254 metadata.test\n\
                 127.0.0.1 both.test\n100.100.100.200 both.test\n";
    std::fs::write(hosts.path(), names).unwrap();
    let path = hosts.path().display();
    assert!(sh(&format!(
        "ip link set lo up; mount --bind {path} /etc/hosts"
    )));
    for address in METADATA {
        assert!(sh(&format!("ip addr add {address}/32 dev lo")));
    }
    local(async {
        let mut services = Vec::new();
        for address in METADATA {
            let (port, mut seen) = echo(&format!("{address}:80"), "200 OK").await;
            // The negative control: whoever has no policy gets there.
            let mut stream = TcpStream::connect((address, port)).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            seen.recv().await.unwrap();
            services.push(seen);
        }
        println!("the metadata service was there");
        let (good, mut seen) = echo("127.0.0.1:0", "200 OK").await;
        let moved = "302 Found\r\nlocation: http://169.254.169.254/latest/meta-data";
        let (redirecting, mut redirected) = echo("127.0.0.1:0", moved).await;
        let proxies = [
            ("http_proxy", "http://169.254.169.254:80"),
            ("HTTP_PROXY", "http://169.254.169.254:80"),
            ("ALL_PROXY", "http://169.254.169.254:80"),
        ];
        let mut host = Host::start(Some(POLICY), &proxies).await;
        for (run, url) in [
            ("name", "http://metadata.test/".to_owned()),
            ("both", "http://both.test/".to_owned()),
            ("redirect", format!("http://127.0.0.1:{redirecting}/")),
            ("good", format!("http://good.test:{good}/")),
        ] {
            let assignment = asking(http(&url, ""), Nanos::from_secs(1));
            host.controller.begin(run, assignment).await;
        }
        host.controller.sealed(4).await;
        let refused = "a request was refused by the policy";
        host.logged(&[refused, "\"name\"", "metadata.test:80 at 169.254.169.254"])
            .await;
        host.logged(&[refused, "\"both\"", "both.test:80 at 100.100.100.200"])
            .await;
        assert_eq!(std::iter::from_fn(|| redirected.try_recv().ok()).count(), 3);
        assert_eq!(std::iter::from_fn(|| seen.try_recv().ok()).count(), 3);
        for service in &mut services {
            assert!(service.try_recv().is_err(), "somebody got to it");
        }
        host.end().await;
    })
    .await;
}
