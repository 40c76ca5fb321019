//! A started `nepho-sample-fleet`, and the plainest clients of it.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) ready: Value,
}

pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nepho-sample-fleet"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = binary();
        Self::start_command(command.args(arguments).stderr(Stdio::inherit()))
    }

    /// Starts a command whose stdout is piped.
    pub(crate) fn start_command(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the first line");
        let ready = serde_json::from_str(&line).expect("the first line is JSON");
        Self {
            child,
            stdout,
            ready,
        }
    }

    pub(crate) fn service(more: &[&str]) -> Self {
        let named = [
            "service",
            "--environment",
            "local",
            "--group",
            "edge",
            "--name",
            "gateway",
        ];
        Self::start(&[&named, more].concat())
    }

    /// Where a service listens.
    pub(crate) fn address(&self) -> SocketAddr {
        address(&self.ready["listen"])
    }

    /// Where the `nth` route of a proxy listens.
    pub(crate) fn route(&self, nth: usize) -> SocketAddr {
        address(&self.ready["routes"][nth]["listen"])
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends the signal and waits: how it ended, how long it took, what else it had printed.
    pub(crate) fn end(&mut self, signal: Signal) -> (ExitStatus, Duration, String) {
        let asked = Instant::now();
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("our child can be signalled");
        let mut rest = String::new();
        self.stdout
            .read_to_string(&mut rest)
            .expect("stdout until its end");
        let status = self.child.wait().expect("our child can be waited for");
        (status, asked.elapsed(), rest)
    }

    /// What an ended one wrote to a piped stderr.
    pub(crate) fn errors(&mut self) -> String {
        let mut errors = String::new();
        let stderr = self.child.stderr.as_mut().expect("stderr is piped");
        stderr.read_to_string(&mut errors).expect("stderr is text");
        errors
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn address(json: &Value) -> SocketAddr {
    json.as_str()
        .expect("an address is text")
        .parse()
        .expect("an address and port")
}

/// One request on a connection of its own; the whole answer, or how the connection broke.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> std::io::Result<Answer> {
    request_over(&mut connect(address), method, path, body)
}

/// One request, the last on this connection.
fn request_over(
    stream: &mut (impl Read + Write),
    method: &str,
    path: &str,
    body: &str,
) -> std::io::Result<Answer> {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    stream.write_all(format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(Answer::parse(&text))
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path, "").expect("an answer")
}

pub(crate) fn switch(address: SocketAddr, json: &str) -> Answer {
    request(address, "POST", "/admin/switch", json).expect("an answer")
}

pub(crate) fn switch_over(stream: &mut (impl Read + Write), json: &str) -> std::io::Result<Answer> {
    request_over(stream, "POST", "/admin/switch", json)
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("someone listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a patience above zero");
    stream
        .set_write_timeout(Some(PATIENCE))
        .expect("a patience above zero");
    stream.set_nodelay(true).expect("a fresh connection");
    stream
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).expect("a status line");
        Self {
            status: status.parse().expect("a status"),
            head: head.to_lowercase(),
            body: serde_json::from_str(body).expect("a JSON body"),
        }
    }
}

/// Asks again and again until `done`, for what no event tells.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < PATIENCE,
            "{what} did not happen within {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
