//! What is taken on keeps to the limits, all runs together.

use super::*;

#[tokio::test]
async fn runs_that_are_each_slow_enough_are_together_no_faster_than_the_policy_allows() {
    local(async {
        let (port, mut seen) = echo("127.0.0.1:0", "200 OK").await;
        let policy = "api: nepho.policy/v1\nactions: [probe.http]\ntargets:\n  \
            - {network: 127.0.0.0/8, ports: all}\n\
            limits: {requests-per-second: 10, connections: 100, stage-seconds: 60}\n";
        let mut host = Host::start(Some(policy), &[]).await;
        let check = http(&format!("http://127.0.0.1:{port}/"), "");
        // Each of four runs asks as fast as it may; together they would be four times too fast.
        for run in ["ok-0", "ok-1", "ok-2", "ok-3"] {
            let assignment = asking(check.clone(), Nanos::from_millis(100));
            host.controller.begin(run, assignment).await;
        }
        host.controller.sealed(4).await;
        let sent = std::iter::from_fn(|| seen.try_recv().ok()).count();
        // 12 at once, and ten a second for as long as the first and the last run last together.
        println!("{sent} of 120 requests were sent; 12 at once and 10/s for 3 to 4 s are 42 to 52");
        assert!((20..=52).contains(&sent), "{sent}");
        let refused = "a request was refused by the policy";
        let line = host
            .logged(&[refused, "limits.requests-per-second", "ok-"])
            .await;
        let plan = PlanId(Digest::of(b"")).to_string();
        assert!(line.contains(&plan), "{line}");
        host.end().await;
    })
    .await;
}
