//! Messages through Redis, NATS and a webhook.

use std::{path::Path, sync::Mutex};

use nepho_common::{
    plan::{Check, EventCheck, NatsCheck, RedisCheck, WebhookCheck},
    policy::Policy,
    recording::Outcome,
    time::Nanos,
};
use rustls::RootCertStore;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    LONG, ask_as, nobody, outcome, policy,
    server::{Server, exists, takes_connections},
};

pub(crate) fn redis(program: &Path, more: &[&str]) -> Server {
    let arguments = |dir: &Path, port: u16| {
        let mut all = [
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ]
        .map(str::to_owned)
        .to_vec();
        all.extend([
            dir.display().to_string(),
            "--port".to_owned(),
            port.to_string(),
        ]);
        all.extend(more.iter().map(|text| (*text).to_owned()));
        all
    };
    Server::start(program, arguments, takes_connections)
}

fn nats(program: &Path, more: &[&str]) -> Server {
    let arguments = |_: &Path, port: u16| {
        let port = port.to_string();
        let all = ["-a", "127.0.0.1", "-p", &port]
            .into_iter()
            .chain(more.iter().copied());
        all.map(str::to_owned).collect()
    };
    Server::start(program, arguments, takes_connections)
}

fn through_redis(port: u16, stream: &str, password: &str) -> Check {
    Check::Event(EventCheck::Redis(RedisCheck {
        host: "127.0.0.1".to_owned(),
        port,
        stream: stream.to_owned(),
        password: password.to_owned(),
    }))
}

fn through_nats(port: u16, subject: &str, token: &str) -> Check {
    Check::Event(EventCheck::Nats(NatsCheck {
        host: "127.0.0.1".to_owned(),
        port,
        subject: subject.to_owned(),
        token: token.to_owned(),
    }))
}

/// Says lines to Redis, and what comes back until it closes.
async fn told(port: u16, lines: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let all = format!("{lines}QUIT\r\n");
    stream.write_all(all.as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}

/// A policy with this secret in a file, and its reference.
fn with_secret(dir: &Path, value: &str) -> (Policy, String) {
    let path = dir.join(value);
    std::fs::write(&path, value).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, mode).unwrap();
    let reference = format!("file:{}", path.display());
    let mut policy = policy();
    let rules = policy.targets.clone();
    policy.secrets.insert(reference.parse().unwrap(), rules);
    (policy, format!("${{{reference}}}"))
}

#[tokio::test]
async fn a_message_through_redis_is_seen_and_nothing_of_others_is_touched() {
    let Some(program) = exists("redis-server", "a_message_through_redis…") else {
        return;
    };
    let server = redis(&program, &[]);
    told(server.port, "XADD orders * item theirs\r\nSET text x\r\n").await;
    for _ in 0..3 {
        let check = through_redis(server.port, "orders", "");
        assert_eq!(outcome(check).await, Outcome::Success, "{}", server.log());
    }
    let left = told(server.port, "XRANGE orders - +\r\nXLEN orders\r\n").await;
    assert!(left.contains("theirs") && left.contains(":1\r\n"), "{left}");
    assert!(!left.contains("nepho"), "{left}");
    let no_stream = through_redis(server.port, "text", "");
    assert_eq!(
        outcome(no_stream).await,
        Outcome::Status,
        "another kind of key"
    );
    let gone = through_redis(nobody(), "orders", "");
    assert_eq!(outcome(gone).await, Outcome::Refused);
}

#[tokio::test]
async fn a_password_of_redis_is_a_secret_that_the_policy_must_allow() {
    let Some(program) = exists("redis-server", "a_password_of_redis…") else {
        return;
    };
    let server = redis(&program, &["--requirepass", "opensesame"]);
    let dir = tempfile::tempdir().unwrap();
    let ask = async |value: &str| {
        let (policy, reference) = with_secret(dir.path(), value);
        let check = through_redis(server.port, "orders", &reference);
        ask_as(policy, RootCertStore::empty(), check, LONG)
            .await
            .outcome
    };
    assert_eq!(ask("opensesame").await, Outcome::Success);
    assert_eq!(ask("opensezame").await, Outcome::Status);
    let without = through_redis(server.port, "orders", "");
    assert_eq!(outcome(without).await, Outcome::Status);
}

#[tokio::test]
async fn a_message_through_nats_is_seen_by_another_connection() {
    let Some(program) = exists("nats-server", "a_message_through_nats…") else {
        return;
    };
    let open = nats(&program, &[]);
    let check = through_nats(open.port, "nepho.probe", "");
    assert_eq!(outcome(check).await, Outcome::Success, "{}", open.log());
    let closed = nats(&program, &["--auth", "opensesame"]);
    let dir = tempfile::tempdir().unwrap();
    let ask = async |value: &str| {
        let (policy, reference) = with_secret(dir.path(), value);
        let check = through_nats(closed.port, "nepho.probe", &reference);
        ask_as(policy, RootCertStore::empty(), check, LONG)
            .await
            .outcome
    };
    assert_eq!(ask("opensesame").await, Outcome::Success);
    assert_eq!(ask("opensezame").await, Outcome::Status);
    let gone = through_nats(nobody(), "nepho.probe", "");
    assert_eq!(outcome(gone).await, Outcome::Refused);
}

#[tokio::test]
async fn a_server_that_speaks_another_protocol_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"220 mail.example ESMTP\r\n").await.ok();
            // It reads on: a reset would hide what it said.
            tokio::spawn(async move { stream.read_to_end(&mut Vec::new()).await });
        }
    });
    for check in [through_nats(port, "a", ""), through_redis(port, "a", "")] {
        assert_eq!(outcome(check).await, Outcome::Protocol);
    }
}

/// What a webhook does with a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Messages,
    Nothing,
}

/// Takes messages at `/in`, shows them at `/out` from the second look on; refuses at `/closed`.
async fn webhook(keeps: Keeps) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Mutex::new((String::new(), 0));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = Vec::new();
            let mut buffer = [0; 4096];
            while !asked.windows(4).any(|four| four == b"\r\n\r\n")
                || asked.starts_with(b"POST") && !asked.ends_with(b"}\n")
            {
                match stream.read(&mut buffer).await {
                    Ok(read @ 1..) => asked.extend_from_slice(&buffer[..read]),
                    Ok(0) | Err(_) => break,
                }
            }
            let asked = String::from_utf8(asked).unwrap();
            let (status, body) = {
                let mut seen = seen.lock().unwrap();
                if asked.starts_with("POST /in") {
                    if keeps == Keeps::Messages {
                        seen.0 = asked.lines().last().unwrap().to_owned();
                    }
                    ("202 Accepted", String::new())
                } else if asked.starts_with("GET /out") {
                    seen.1 += 1;
                    let body = if seen.1 > 1 {
                        seen.0.clone()
                    } else {
                        String::new()
                    };
                    ("200 OK", body)
                } else {
                    ("403 Forbidden", String::new())
                }
            };
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.ok();
        }
    });
    port
}

#[tokio::test]
async fn a_message_to_a_webhook_is_looked_for_until_it_is_seen() {
    let hook = |port, post: &str| {
        Check::Event(EventCheck::Webhook(WebhookCheck {
            url: format!("http://127.0.0.1:{port}"),
            post: post.to_owned(),
            seen: "/out".to_owned(),
            headers: Vec::new(),
        }))
    };
    let port = webhook(Keeps::Messages).await;
    assert_eq!(outcome(hook(port, "/in")).await, Outcome::Success);
    assert_eq!(outcome(hook(port, "/closed")).await, Outcome::Status);
    let lossy = webhook(Keeps::Nothing).await;
    assert_eq!(outcome(hook(lossy, "/in")).await, Outcome::Content);
    let short = Nanos::from_millis(250);
    let answer = ask_as(policy(), RootCertStore::empty(), hook(lossy, "/in"), short).await;
    assert_eq!(answer.outcome, Outcome::Timeout);
}

#[tokio::test]
async fn a_policy_that_does_not_list_messages_lets_none_through() {
    let port = webhook(Keeps::Messages).await;
    let check = Check::Event(EventCheck::Webhook(WebhookCheck {
        url: format!("http://127.0.0.1:{port}"),
        post: "/in".to_owned(),
        seen: "/out".to_owned(),
        headers: Vec::new(),
    }));
    let answer = ask_as(Policy::careful(), RootCertStore::empty(), check, LONG).await;
    assert_eq!(answer.outcome, Outcome::OurSide);
}
