//! A bug says a secret, in the log and in a panic. The planted bug is a hold point.

use super::*;

#[tokio::test]
async fn a_secret_that_a_bug_says_is_taken_out_of_log_and_panic() {
    local(async {
        let (port, mut seen) = echo("127.0.0.1:0", "200 OK").await;
        let policy = format!(
            "api: nepho.policy/v1\nactions: [probe.http]\ntargets:\n  \
             - {{network: 127.0.0.0/8, ports: all}}\n\
             limits: {{requests-per-second: 10, connections: 100, stage-seconds: 60}}\nsecrets:\n  \
             env:CANARY: [{{network: 127.0.0.1/32, ports: {port}}}]\n"
        );
        let environment = [
            ("CANARY", CANARY),
            ("NEPHO_HOLD", "probe.before-send:panic"),
        ];
        let mut host = Host::start(Some(&policy), &environment).await;
        let check = http(&format!("http://127.0.0.1:{port}/"), "Bearer ${env:CANARY}");
        host.controller
            .begin("r", asking(check, Nanos::from_millis(500)))
            .await;
        host.logged(&["spilled", "\"text\"", "Bearer <secret>"])
            .await;
        host.logged(&["spilled Bearer <secret>"]).await;
        assert!(host.log().contains("panicked at"), "{}", host.log());
        let head = seen.recv().await.unwrap();
        assert!(head.contains(CANARY), "the other requests go on: {head}");
        let id = host.child.id().unwrap();
        let limits = std::fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let core: Vec<_> = core.unwrap().split_whitespace().collect();
        assert_eq!(
            core.get(4..6),
            Some(["1", "1"].as_slice()),
            "no core is written"
        );
        host.signal(Signal::KILL);
        host.child.wait().await.unwrap();
        let none: [PathBuf; 0] = [];
        assert_eq!(holding(host.temp.path(), CANARY), none);
        std::fs::write(host.temp.path().join("planted"), format!("x{CANARY}y")).unwrap();
        assert_eq!(
            holding(host.temp.path(), CANARY).len(),
            1,
            "the search finds"
        );
    })
    .await;
}
