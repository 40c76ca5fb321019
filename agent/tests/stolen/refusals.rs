//! What is refused before anything runs: whole, by the rule, and in the agent's own log. The same
//! is taken on where the policy allows it, so it is the policy that refuses.

use nepho_common::control::PolicyReport;
use nepho_proto::{BadMessage, Wrong};

use super::*;

const SECOND: Nanos = Nanos::from_secs(1);

/// What no policy can allow, and the rule.
fn never(door: u16) -> Vec<(Check, &'static str)> {
    vec![
        (
            http("http://169.254.169.254/", ""),
            "link-local 169.254.0.0/16",
        ),
        (
            http("http://[::ffff:169.254.169.254]/", ""),
            "link-local 169.254.0.0/16",
        ),
        (
            http("http://[64:ff9b::a9fe:a9fe]/", ""),
            "link-local 169.254.0.0/16",
        ),
        (http("http://[fe80::1]/", ""), "link-local fe80::/10"),
        (
            http("http://100.100.100.200/", ""),
            "metadata address 100.100.100.200",
        ),
        (
            http("http://[fd00:ec2::254]/", ""),
            "metadata address fd00:ec2::254",
        ),
        (
            http("http://2852039166/", ""),
            "neither a DNS name nor an IP address",
        ),
        (
            http("http://0xa9fea9fe/", ""),
            "neither a DNS name nor an IP address",
        ),
        (
            http("http://10.0.0.1@169.254.169.254/", ""),
            "holds a user or a password",
        ),
        (
            http("http://${env:HOST}/", ""),
            "stands outside of a header's value",
        ),
        (tcp("0.0.0.0", 80), "unspecified 0.0.0.0/8"),
        (tcp("224.0.0.1", 80), "multicast 224.0.0.0/4"),
        (tcp("255.255.255.255", 80), "broadcast 255.255.255.255"),
        (tcp("127.0.0.1", door), "this agent's own controller"),
        (tcp("127.3.2.1", door), "this agent's own controller"),
    ]
}

/// What this policy does not allow, but another one may.
fn beyond(port: u16) -> Vec<(Assignment, &'static str)> {
    let target = format!("http://127.0.0.1:{port}/");
    let elsewhere = format!("http://127.0.0.2:{port}/");
    let ask = |check| asking(check, SECOND);
    let mut long = ask(http(&target, ""));
    long.stages[0].lasts = Nanos::from_secs(61);
    let mut patient = asking(http(&target, ""), Nanos::from_millis(100));
    let Act::Probe(probe) = &mut patient.stages[0].steps[0].act else {
        panic!("a probe")
    };
    probe.timeout = Nanos::from_secs(60);
    vec![
        (
            ask(http("http://metadata.google.internal/", "")),
            "is not in `targets`",
        ),
        (
            ask(http("http://198.51.100.1/", "")),
            "198.51.100.1:80 is not in `targets`",
        ),
        (
            ask(http(&elsewhere, "Bearer ${env:CANARY}")),
            "may not go to 127.0.0.2",
        ),
        (
            ask(http(&target, "${file:/dev/null}")),
            "secret file:/dev/null may not go to",
        ),
        (
            asking(http(&target, ""), Nanos::from_millis(50)),
            "makes 20 requests/s",
        ),
        (
            ask(tcp("127.0.0.1", port)),
            "action probe.tcp is not in `actions`",
        ),
        (long, "lasts 1m01s, `limits.stage-seconds` is 60"),
        (
            patient,
            "may hold 601 connections, `limits.connections` is 100",
        ),
    ]
}

fn policy(port: u16) -> String {
    format!(
        "api: nepho.policy/v1\nactions: [probe.http]\ntargets:\n  \
         - {{network: 127.0.0.0/8, ports: all}}\n\
         limits: {{requests-per-second: 10, connections: 100, stage-seconds: 60}}\nsecrets:\n  \
         env:CANARY: [{{network: 127.0.0.1/32, ports: [{port}]}}]\n  \
         env:NOT_SET: [{{network: 127.0.0.1/32, ports: all}}]\n"
    )
}

const EVERYTHING: &str = "\
api: nepho.policy/v1
actions: [probe.http, probe.tcp, fault.process]
targets:
  - {network: 0.0.0.0/0, ports: all}
  - {network: ::/0, ports: all}
  - {host: metadata.google.internal, ports: all}
limits: {requests-per-second: 1000, connections: 1000, stage-seconds: 600}
secrets:
  env:CANARY: [{network: 127.0.0.0/8, ports: all}]
";

#[tokio::test]
async fn a_stolen_controller_gets_nothing_that_the_policy_forbids() {
    local(async {
        let (port, mut seen) = echo("127.0.0.1:0", "200 OK").await;
        let mut host = Host::start(Some(&policy(port)), &[("CANARY", CANARY)]).await;
        let door = host.controller.enrolment;
        let mut all = beyond(port);
        let never = never(door).into_iter();
        all.extend(never.map(|(check, rule)| {
            let http = matches!(check, Check::Http(_));
            let mut assignment = asking(check, SECOND);
            if !http {
                // Its action is refused first; this is about the target.
                assignment = as_http(assignment);
            }
            (assignment, rule)
        }));
        let missing = http(&format!("http://127.0.0.1:{port}/"), "${env:NOT_SET}");
        let rule = "secret env:NOT_SET: the variable is not set";
        all.push((asking(missing, SECOND), rule));
        for (nth, (assignment, rule)) in all.into_iter().enumerate() {
            let run = format!("bad-{nth}");
            let plan = assignment.plan.to_string();
            let why = host.refused(&run, assignment).await;
            assert!(why.contains(rule), "{why}");
            let run = format!("\"{run}\"");
            host.logged(&["an assignment was refused", &run, &plan, rule])
                .await;
        }
        assert!(seen.try_recv().is_err(), "nothing was sent");
        host.end().await;
        let none: [PathBuf; 0] = [];
        assert_eq!(holding(host.temp.path(), CANARY), none);
        assert!(
            !holding(host.temp.path(), "env:NOT_SET").is_empty(),
            "the search finds"
        );
    })
    .await;
}

/// The same target, asked over HTTP.
fn as_http(mut assignment: Assignment) -> Assignment {
    let Act::Probe(probe) = &mut assignment.stages[0].steps[0].act else {
        panic!("a probe")
    };
    if let Check::Tcp(TcpCheck { host, port, .. }) = &probe.to[0].check {
        probe.to[0].check = http(&format!("http://{host}:{port}/"), "");
    }
    assignment.features = ["probe.http".parse().unwrap()].into();
    assignment
}

#[tokio::test]
async fn what_one_policy_forbids_another_allows_and_what_none_can_allow_stays_refused() {
    local(async {
        let (port, mut seen) = echo("127.0.0.1:0", "200 OK").await;
        let mut host = Host::start(Some(EVERYTHING), &[("CANARY", CANARY)]).await;
        let door = host.controller.enrolment;
        for (nth, (assignment, rule)) in beyond(port).into_iter().enumerate() {
            if rule.contains("file:") {
                // Not even this policy names that secret.
                continue;
            }
            let run = format!("ok-{nth}");
            let phase = host.controller.prepared(&run, assignment).await;
            assert_eq!(phase, Phase::Prepared, "{rule}");
            host.logged(&["an assignment was taken on", &run]).await;
            host.controller.command(&run, Order::Release).await;
            assert_eq!(host.controller.phase_of(&run).await, Phase::Unknown);
        }
        for (nth, (check, rule)) in never(door).into_iter().enumerate() {
            let why = host
                .refused(&format!("never-{nth}"), asking(check, SECOND))
                .await;
            assert!(why.contains(rule), "{why}");
        }
        let target = http(&format!("http://127.0.0.1:{port}/"), "Bearer ${env:CANARY}");
        host.controller.begin("run", asking(target, SECOND)).await;
        host.controller.sealed(1).await;
        let head = seen.recv().await.unwrap();
        assert!(
            head.contains(&format!("x-key: Bearer {CANARY}\r\n")),
            "{head}"
        );
        host.end().await;
    })
    .await;
}

/// Faults and changes are not there yet, so they come as a newer controller would send them: by an
/// action that the policy does not list, by one that it lists and this agent can't do, as a kind of
/// step and as an order that this release has no word for.
#[tokio::test]
async fn an_action_that_is_not_listed_is_refused_on_the_wire_by_its_name() {
    local(async {
        let mut host = Host::start(Some(EVERYTHING), &[]).await;
        let with = |action: &str| {
            let mut assignment = asking(tcp("127.0.0.1", 1), SECOND);
            assignment.features.insert(action.parse().unwrap());
            assignment
        };
        let why = host.refused("change", with("change.stop")).await;
        assert!(
            why.contains("action change.stop is not in `actions`"),
            "{why}"
        );
        host.logged(&["\"change\"", "change.stop"]).await;
        let phase = host
            .controller
            .prepared("fault", with("fault.process"))
            .await;
        let Phase::Refused(Refusal::Unsupported(lacking)) = &phase else {
            panic!("{phase:?}");
        };
        assert!(
            lacking.iter().any(|one| one.as_str() == "fault.process"),
            "{lacking:?}"
        );
        host.logged(&["\"fault\"", "fault.process"]).await;
        for (run, wrong, named) in [
            (
                "step-fault",
                Wrong::Kind("fault".to_owned()),
                "is a \"fault\"",
            ),
            (
                "step-change",
                Wrong::Kind("change".to_owned()),
                "is a \"change\"",
            ),
            ("order", Wrong::Missing, "order: is missing"),
        ] {
            let (key, field) = (key(run), String::new());
            let why = BadMessage { field, wrong };
            host.controller
                .send(ControllerMessage::Strange { key, why })
                .await;
            let phase = host.controller.phase_of(run).await;
            let Phase::Refused(Refusal::Invalid(why)) = &phase else {
                panic!("{phase:?}");
            };
            assert!(why.contains(named), "{why}");
            // The log is JSON, in which a quote is escaped.
            let named = named.replace('"', "\\\"");
            host.logged(&["a command was refused", run, &named]).await;
        }
        let phase = host
            .controller
            .prepared("ok", asking(tcp("127.0.0.1", 1), SECOND))
            .await;
        assert_eq!(phase, Phase::Prepared, "the session goes on");
        host.end().await;
    })
    .await;
}

#[tokio::test]
async fn without_a_sound_policy_the_agent_connects_says_so_and_refuses_everything() {
    local(async {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir(temp.path().join("agent"));
        let mut controller = Controller::start().await;
        join(controller.join(&dir, SECRET, controller.pin()))
            .await
            .unwrap();
        assert!(dir.policy().exists(), "joining wrote the careful one");
        std::fs::write(dir.policy(), "api: nepho.policy/v1\n").unwrap();
        let running = run(&dir);
        let AgentMessage::Hello(hello) = controller.hear().await else {
            panic!("a hello comes first");
        };
        let Some(PolicyReport::Refusing(why)) = hello.policy else {
            panic!("{:?}", hello.policy);
        };
        assert!(
            why.contains("policy.yaml has 3 mistakes: line 1: a policy lacks"),
            "{why}"
        );
        let phase = controller
            .prepared("r1", assignment(1, Nanos::from_secs(1)))
            .await;
        assert_eq!(phase, Phase::Refused(Refusal::Policy(why)));
        running.stop.send_replace(DRAIN);
        running.agent.await.unwrap().unwrap();
    })
    .await;
}
