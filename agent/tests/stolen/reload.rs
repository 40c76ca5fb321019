//! The owner changes the policy of a running agent, and nobody else does.

use nepho_common::{control::PolicyReport, policy::Policy, time::Mono};

use super::*;

impl Host {
    /// The policy in the next pong, which is there only when it is news.
    async fn news(&mut self) -> Option<PolicyReport> {
        let ping = Ping { id: 1, t1: Mono(1) };
        self.controller.send(ControllerMessage::Ping(ping)).await;
        loop {
            if let AgentMessage::Pong(pong) = self.controller.hear().await {
                return pong.policy;
            }
        }
    }
}

#[tokio::test]
async fn at_sighup_the_policy_is_read_anew_and_a_broken_one_changes_nothing() {
    local(async {
        let mut host = Host::start(None, &[]).await;
        let path = host.policy();
        let careful = std::fs::read_to_string(&path).unwrap();
        let ask = || asking(tcp("127.0.0.1", 1), Nanos::from_secs(1));
        assert_eq!(host.news().await, None, "the hello said it");

        let narrow = careful.replace(" probe.tcp,", "");
        assert_ne!(narrow, careful);
        std::fs::write(&path, &narrow).unwrap();
        let phase = host.controller.prepared("before", ask()).await;
        assert_eq!(phase, Phase::Prepared, "a file alone changes nothing");
        host.signal(Signal::HUP);
        host.logged(&["the policy was read anew"]).await;
        let why = host.refused("after", ask()).await;
        assert!(why.contains("probe.tcp is not in `actions`"), "{why}");
        let mut policy = Policy::careful();
        policy.actions.remove(&"probe.tcp".parse().unwrap());
        match host.news().await {
            Some(PolicyReport::InForce { canonical, .. }) => {
                assert_eq!(canonical, policy.canonical());
            }
            other @ (Some(PolicyReport::Refusing(_)) | None) => panic!("{other:?}"),
        }
        assert_eq!(host.news().await, None, "it is told once");

        // What was prepared before obeys the new one where it is done.
        let stage: StageName = "one".parse().unwrap();
        host.controller
            .command("before", Order::Arm(stage.clone()))
            .await;
        assert_eq!(
            host.controller.phase_of("before").await,
            Phase::Armed(stage.clone())
        );
        let start = Order::Start {
            stage,
            at_run: RunTime(0),
            at: clock::now().plus(Nanos::from_millis(500)),
        };
        host.controller.command("before", start).await;
        host.controller.sealed(1).await;
        host.logged(&["a request was refused by the policy", "before", "probe.tcp"])
            .await;

        std::fs::write(&path, "api: [\n").unwrap();
        host.signal(Signal::HUP);
        host.logged(&["the policy stays as it was", "line 1: this is not YAML"])
            .await;
        let why = host.refused("still", ask()).await;
        assert!(why.contains("probe.tcp is not in `actions`"), "{why}");
        std::fs::write(&path, &careful).unwrap();
        host.signal(Signal::HUP);
        while host.news().await.is_none() {}
        assert_eq!(
            host.controller.prepared("again", ask()).await,
            Phase::Prepared
        );
        let kept = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            kept, careful,
            "nothing that came over the wire was written to it"
        );
        host.end().await;
    })
    .await;
}
