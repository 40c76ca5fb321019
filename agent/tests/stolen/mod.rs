//! A stolen controller: it has a valid certificate and asks for what it should not get. The agent
//! is a process of its own, and its log is a file.

use std::{path::Path, process::Stdio};

use nepho_common::{control::Refusal, plan::HttpCheck};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const CANARY: &str = "canary-7f3a9";

/// Answers every request and says how it read.
async fn echo() -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heads, seen) = mpsc::channel(256);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let heads = heads.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let head = String::from_utf8(head).unwrap();
                // It gives back what it was sent, as an error page may.
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}",
                    head.len()
                );
                heads.send(head).await.ok();
                stream.write_all(answer.as_bytes()).await
            });
        }
    });
    (port, seen)
}

fn http(url: &str, header: &str) -> Check {
    Check::Http(HttpCheck {
        url: url.to_owned(),
        method: "GET".to_owned(),
        headers: vec![("x-key".to_owned(), header.to_owned())],
        status: [200].into(),
    })
}

fn asking(check: Check, every: Nanos) -> Assignment {
    let mut assignment = assignment(1, Nanos::from_secs(3));
    assignment.features = [check.feature()].into();
    let Act::Probe(probe) = &mut assignment.stages[0].steps[0].act;
    probe.every = every;
    probe.to[0].check = check;
    assignment
}

impl Controller {
    async fn command(&self, run: &str, order: Order) {
        let key = RunKey {
            run: run.parse().unwrap(),
            attempt: Attempt(1),
            fence: Fence(1),
        };
        let command = Command { key, order };
        let message = ControllerMessage::Command(command);
        self.say.send(message).await.unwrap();
    }

    async fn prepared(&mut self, run: &str, assignment: Assignment) -> Phase {
        let order = Order::Prepare(Box::new(assignment));
        self.command(run, order).await;
        self.phase_of(run).await
    }

    /// What it says of this run next, whatever it says of others meanwhile.
    async fn phase_of(&mut self, run: &str) -> Phase {
        loop {
            if let AgentMessage::Status(Status { key, phase }) = self.hear().await
                && key.run.as_str() == run
            {
                return phase;
            }
        }
    }
}

fn policy(port: u16) -> String {
    format!(
        "api: nepho.policy/v1\nactions: [probe.http]\ntargets:\n  \
         - {{network: 127.0.0.0/8, ports: all}}\n  - {{network: 0.0.0.0/0, ports: [80]}}\n\
         limits: {{requests-per-second: 10, connections: 100, stage-seconds: 60}}\nsecrets:\n  \
         env:CANARY: [{{network: 127.0.0.1/32, ports: [{port}]}}]\n  \
         env:NOT_SET: [{{network: 127.0.0.1/32, ports: all}}]\n"
    )
}

fn contains(dir: &Path, text: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contains(&path, text));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            if bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
            {
                found.push(path);
            }
        }
    }
    found
}

#[tokio::test]
async fn a_stolen_controller_gets_no_more_than_the_policy_allows() {
    local(async {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir(temp.path().join("agent"));
        let mut controller = Controller::start().await;
        join(controller.join(&dir, SECRET, controller.pin()))
            .await
            .unwrap();
        let (port, mut seen) = echo().await;
        std::fs::write(dir.policy(), policy(port)).unwrap();
        let log = temp.path().join("agent.log");
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_nepho-agent"))
            .args(["run", "--die-with-parent", "--data-dir"])
            .arg(&dir.0)
            .env("CANARY", CANARY)
            .env("NEPHO_LOG", "nepho_agent=trace")
            .stdout(std::fs::File::create(temp.path().join("agent.stdout")).unwrap())
            .stderr(std::fs::File::create(&log).unwrap())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        controller.welcome().await;

        let second = Nanos::from_secs(1);
        let target = format!("http://127.0.0.1:{port}/");
        let secret = "Bearer ${env:CANARY}";
        let elsewhere = format!("http://127.0.0.2:{port}/");
        let tcp = Check::Tcp(TcpCheck {
            host: "127.0.0.1".to_owned(),
            port,
        });
        let fast = Nanos::from_millis(50);
        let forbidden = [
            (
                http("http://169.254.169.254/", ""),
                second,
                "link-local 169.254.0.0/16",
            ),
            (
                http("http://[::ffff:169.254.169.254]/", ""),
                second,
                "link-local 169.254.0.0/16",
            ),
            (
                http("http://100.100.100.200/", ""),
                second,
                "metadata address 100.100.100.200",
            ),
            (
                http("http://metadata.google.internal/", ""),
                second,
                "is not in `targets`",
            ),
            (
                http("http://2852039166/", ""),
                second,
                "neither a DNS name nor an IP address",
            ),
            (http(&elsewhere, secret), second, "may not go to 127.0.0.2"),
            (
                http(&target, "${file:/etc/shadow}"),
                second,
                "secret file:/etc/shadow may not go to",
            ),
            (
                http(&target, "${env:NOT_SET}"),
                second,
                "secret env:NOT_SET: the variable is not set",
            ),
            (http(&target, ""), fast, "makes 20 requests/s"),
            (tcp, second, "action probe.tcp is not in `actions`"),
        ];
        for (nth, (check, every, rule)) in forbidden.iter().enumerate() {
            let run = format!("bad-{nth}");
            let phase = controller
                .prepared(&run, asking(check.clone(), *every))
                .await;
            let Phase::Refused(Refusal::Policy(why)) = &phase else {
                panic!("{check:?}: {phase:?}");
            };
            assert!(why.contains(rule), "{why}");
            let log = std::fs::read_to_string(&log).unwrap();
            let told = |line: &str| line.contains(&run) && line.contains(rule);
            assert!(
                log.lines().any(told),
                "{rule} is not in the log of {run}: {log}"
            );
        }
        assert!(seen.try_recv().is_err(), "nothing was sent");

        // What is allowed works. Each of four runs asks as fast as it may; together they would be
        // four times too fast.
        let one: nepho_common::id::StageName = "one".parse().unwrap();
        let at = clock::now().plus(Nanos::from_secs(1));
        for run in ["ok-0", "ok-1", "ok-2", "ok-3"] {
            let every = Nanos::from_millis(100);
            let phase = controller
                .prepared(run, asking(http(&target, secret), every))
                .await;
            assert_eq!(phase, Phase::Prepared);
            controller.command(run, Order::Arm(one.clone())).await;
            assert_eq!(controller.phase_of(run).await, Phase::Armed(one.clone()));
            let start = Order::Start {
                stage: one.clone(),
                at_run: RunTime(0),
                at,
            };
            controller.command(run, start).await;
        }
        let mut sealed = 0;
        while sealed < 4 {
            sealed += usize::from(matches!(controller.phase().await, Phase::Sealed { .. }));
        }
        let heads: Vec<_> = std::iter::from_fn(|| seen.try_recv().ok()).collect();
        println!(
            "{} of 120 requests were sent; 10 at once and 10/s for 3 s are 40",
            heads.len()
        );
        assert!((20..=41).contains(&heads.len()), "{}", heads.len());
        let header = format!("x-key: Bearer {CANARY}\r\n");
        assert!(heads.iter().all(|head| head.contains(&header)), "{heads:?}");
        let said = std::fs::read_to_string(&log).unwrap();
        assert!(said.contains("limits.requests-per-second"), "{said}");

        let id = child.id().unwrap().try_into().unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        assert!(child.wait().await.unwrap().success());
        let none: [std::path::PathBuf; 0] = [];
        assert_eq!(contains(temp.path(), CANARY), none);
        assert!(
            !contains(temp.path(), "env:NOT_SET").is_empty(),
            "the search finds"
        );
        let mut entries = Vec::new();
        while let Ok(entry) = controller.entries.try_recv() {
            entries.push(format!("{entry:?}"));
        }
        assert!(!entries.is_empty() && entries.iter().all(|text| !text.contains(CANARY)));
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
        let Some(nepho_common::control::PolicyReport::Refusing(why)) = hello.policy else {
            panic!("{:?}", hello.policy);
        };
        assert!(why.contains("policy.yaml"), "{why}");
        let phase = controller
            .prepared("r1", assignment(1, Nanos::from_secs(1)))
            .await;
        assert_eq!(phase, Phase::Refused(Refusal::Policy(why)));
        running.stop.send_replace(DRAIN);
        running.agent.await.unwrap().unwrap();
    })
    .await;
}
