//! A stolen controller: it has a valid certificate and asks for what it should not get. The agent
//! is a process of its own, and its log is a file.
//!
//! - [`refusals`]: what is refused before anything runs, and the same where it is allowed.
//! - [`pace`]: what runs keeps to the limits. [`metadata`]: names and redirects that lead astray.
//! - [`reload`]: the owner changes the policy. [`spill`]: a bug says a secret.

mod metadata;
mod pace;
mod refusals;
mod reload;
#[cfg(feature = "hold-points")]
mod spill;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use nepho_common::{control::Refusal, id::StageName, plan::HttpCheck};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Child,
};

use super::*;

const CANARY: &str = "canary-7f3a9";
/// For what stands in a file, which no event tells.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// An agent's process under the thumb of the test.
struct Host {
    controller: Controller,
    child: Child,
    temp: TempDir,
}

impl Host {
    /// Joins, and runs under this policy; `None` is the careful default.
    async fn start(policy: Option<&str>, environment: &[(&str, &str)]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir(temp.path().join("agent"));
        let mut controller = Controller::start().await;
        let about = join(controller.join(&dir, SECRET, controller.pin()));
        about.await.unwrap();
        if let Some(policy) = policy {
            std::fs::write(dir.policy(), policy).unwrap();
        }
        let file = |name: &str| std::fs::File::create(temp.path().join(name)).unwrap();
        let child = tokio::process::Command::new(env!("CARGO_BIN_EXE_nepho-agent"))
            .args(["run", "--die-with-parent", "--data-dir"])
            .arg(&dir.0)
            .env("NEPHO_LOG", "nepho_agent=trace")
            .envs(environment.iter().copied())
            .stdout(file("agent.stdout"))
            .stderr(file("agent.log"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        controller.welcome().await;
        Self {
            controller,
            child,
            temp,
        }
    }

    fn policy(&self) -> PathBuf {
        DataDir(self.temp.path().join("agent")).policy()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.temp.path().join("agent.log")).unwrap()
    }

    /// Waits until one line of its log has all of these.
    async fn logged(&self, words: &[&str]) -> String {
        let start = clock::now();
        loop {
            let log = self.log();
            let mut lines = log.lines();
            if let Some(line) = lines.find(|line| words.iter().all(|word| line.contains(word))) {
                return line.to_owned();
            }
            let passed = clock::now().since(start).duration();
            assert!(passed < GUARD, "{words:?} are in no line of {log}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.id().unwrap().try_into().unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Ends it in order.
    async fn end(&mut self) {
        self.signal(Signal::TERM);
        assert!(self.child.wait().await.unwrap().success());
    }

    /// Why it does not take this on.
    async fn refused(&mut self, run: &str, assignment: Assignment) -> String {
        match self.controller.prepared(run, assignment).await {
            Phase::Refused(Refusal::Policy(why)) => why,
            phase => panic!("{run}: {phase:?}"),
        }
    }
}

/// Answers every request and says how it read. `answer` is the status line, and more headers.
async fn echo(at: &str, answer: &'static str) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind(at).await.unwrap();
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
                let length = head.len();
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: {length}\r\n\r\n{head}");
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
        ..HttpCheck::default()
    })
}

fn tcp(host: &str, port: u16) -> Check {
    let host = host.to_owned();
    Check::Tcp(TcpCheck {
        host,
        port,
        ..TcpCheck::default()
    })
}

fn asking(check: Check, every: Nanos) -> Assignment {
    let mut assignment = assignment(1, Nanos::from_secs(3));
    assignment.features = [check.feature()].into();
    let Act::Probe(probe) = &mut assignment.stages[0].steps[0].act else {
        panic!("a probe")
    };
    probe.every = every;
    probe.to[0].check = check;
    assignment
}

fn key(run: &str) -> RunKey {
    RunKey {
        run: run.parse().unwrap(),
        attempt: Attempt(1),
        fence: Fence(1),
    }
}

impl Controller {
    async fn send(&self, message: ControllerMessage) {
        self.say.send(message).await.unwrap();
    }

    async fn command(&self, run: &str, order: Order) {
        let key = key(run);
        self.send(ControllerMessage::Command(Command { key, order }))
            .await;
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

    /// Prepares and starts, half a second from now.
    async fn begin(&mut self, run: &str, assignment: Assignment) {
        let stage: StageName = assignment.stages[0].name.clone();
        assert_eq!(self.prepared(run, assignment).await, Phase::Prepared);
        self.command(run, Order::Arm(stage.clone())).await;
        assert_eq!(self.phase_of(run).await, Phase::Armed(stage.clone()));
        let start = Order::Start {
            stage,
            at_run: RunTime(0),
            at: clock::now().plus(Nanos::from_millis(500)),
        };
        self.command(run, start).await;
    }

    async fn sealed(&mut self, runs: usize) {
        let mut sealed = 0;
        while sealed < runs {
            sealed += usize::from(matches!(self.phase().await, Phase::Sealed { .. }));
        }
    }
}

/// The files below `dir` that hold this text.
fn holding(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            let mut parts = bytes.windows(text.len());
            if parts.any(|part| part == text.as_bytes()) {
                found.push(path);
            }
        }
    }
    found
}
