//! What becomes of a request, against targets that behave badly on purpose.

#![expect(
    clippy::unwrap_used,
    reason = "a test program: a failure is a panic, in its helpers too"
)]

use std::{collections::BTreeSet, future::Future, io, time::Duration};

use nepho_agent::work::{
    guard::Guard,
    probe::{Asker, Question},
};
use nepho_common::{
    plan::{Check, HttpCheck, TcpCheck},
    policy::{Policy, Ports, TargetRule},
    recording::Outcome,
    time::Nanos,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

fn http(url: String) -> HttpCheck {
    HttpCheck {
        url,
        method: "GET".to_owned(),
        headers: Vec::new(),
        status: BTreeSet::from([200]),
    }
}

async fn ask(check: Check, timeout: Nanos) -> Outcome {
    let mut policy = Policy::careful();
    policy.targets.push(TargetRule {
        network: None,
        host: Some("*.invalid".to_owned().try_into().unwrap()),
        ports: Ports::All,
    });
    let guard = Guard::new(policy);
    let question = Question::new(&check, &guard);
    let asker = Asker::ready_for([&question].into_iter(), guard).await;
    asker.ask(&question, timeout).await
}

/// A target that does `act` with each connection.
async fn target<F, R>(act: F) -> u16
where
    F: Fn(TcpStream) -> R + Send + 'static,
    R: Future<Output = io::Result<()>> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            act(stream).await.ok();
        }
    });
    port
}

async fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head).unwrap())
}

async fn answering(answer: Vec<u8>) -> u16 {
    target(move |mut stream| {
        let answer = answer.clone();
        async move {
            head(&mut stream).await?;
            stream.write_all(&answer).await?;
            stream.shutdown().await
        }
    })
    .await
}

async fn asked(port: u16) -> Outcome {
    let check = http(format!("http://127.0.0.1:{port}/health"));
    ask(Check::Http(check), Nanos::from_secs(5)).await
}

#[tokio::test]
async fn every_answer_has_its_outcome() {
    let long = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 2 << 20]].concat();
    let many = "X-Y: z\r\n".repeat(101);
    let wide = format!("X-Y: {}\r\n", "z".repeat(200 << 10));
    let plain = |head: &str| format!("HTTP/1.1 200 OK\r\n{head}\r\n").into_bytes();
    for (name, answer, outcome) in [
        ("ok", plain("Content-Length: 0\r\n"), Outcome::Success),
        ("until close", plain(""), Outcome::Success),
        (
            "chunked",
            [
                plain("Transfer-Encoding: chunked\r\n"),
                b"1\r\nx\r\n0\r\n\r\n".to_vec(),
            ]
            .concat(),
            Outcome::Success,
        ),
        (
            "redirect",
            b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_vec(),
            Outcome::Status,
        ),
        (
            "error",
            b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec(),
            Outcome::Status,
        ),
        ("cut body", plain("Content-Length: 9\r\n"), Outcome::Reset),
        ("no answer", Vec::new(), Outcome::Reset),
        (
            "not HTTP",
            b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec(),
            Outcome::Protocol,
        ),
        ("too long", long, Outcome::Content),
        ("too many headers", plain(&many), Outcome::Protocol),
        ("too wide headers", plain(&wide), Outcome::Protocol),
    ] {
        assert_eq!(asked(answering(answer).await).await, outcome, "{name}");
    }
}

#[tokio::test]
async fn nobody_there_is_refused_and_a_name_that_is_none_is_not_resolved() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    assert_eq!(asked(port).await, Outcome::Refused);
    let tcp = |host: &str, port| TcpCheck {
        host: host.to_owned(),
        port,
    };
    let second = Nanos::from_secs(5);
    assert_eq!(
        ask(Check::Tcp(tcp("127.0.0.1", port)), second).await,
        Outcome::Refused
    );
    // A label of 64 characters is refused by the resolver itself, without a network.
    let bad = format!("{}.invalid", "x".repeat(64));
    assert_eq!(
        ask(Check::Tcp(tcp(&bad, 80)), second).await,
        Outcome::Resolve
    );
}

#[tokio::test]
async fn a_cut_connection_is_a_reset() {
    let port = target(async |mut stream| {
        head(&mut stream).await?;
        stream.set_zero_linger()
    })
    .await;
    assert_eq!(asked(port).await, Outcome::Reset);
}

#[tokio::test]
async fn silence_is_a_timeout_after_just_that_long() {
    let port = target(async |stream| {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
        Ok(())
    })
    .await;
    let check = http(format!("http://127.0.0.1:{port}/"));
    let begin = nepho_agent::clock::now();
    assert_eq!(
        ask(Check::Http(check), Nanos::from_millis(100)).await,
        Outcome::Timeout
    );
    let took = nepho_agent::clock::now().since(begin);
    println!("a time-out of 100 ms came after {took}");
    assert!(took >= Nanos::from_millis(100) && took < Nanos::from_secs(5));
}

#[tokio::test]
async fn a_target_without_tls_fails_the_handshake() {
    let port = target(async |mut stream| stream.write_all(b"hello, no TLS here\r\n").await).await;
    let check = http(format!("https://127.0.0.1:{port}/"));
    assert_eq!(
        ask(Check::Http(check), Nanos::from_secs(5)).await,
        Outcome::Tls
    );
}

#[tokio::test]
async fn an_open_port_is_a_success() {
    let port = target(async |_| Ok(())).await;
    let host = "localhost".to_owned();
    let check = Check::Tcp(TcpCheck { host, port });
    assert_eq!(ask(check, Nanos::from_secs(5)).await, Outcome::Success);
}

#[tokio::test]
async fn the_request_says_what_was_asked_for_and_nothing_of_the_environment() {
    let (heads, mut seen) = tokio::sync::mpsc::channel(1);
    let port = target(move |mut stream| {
        let heads = heads.clone();
        async move {
            heads.send(head(&mut stream).await?).await.ok();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .await
        }
    })
    .await;
    let mut check = http(format!("http://127.0.0.1:{port}/a?b=c"));
    check.headers = vec![("X-Key".to_owned(), "v".to_owned())];
    assert_eq!(
        ask(Check::Http(check), Nanos::from_secs(5)).await,
        Outcome::Success
    );
    let head = seen.recv().await.unwrap().to_lowercase();
    assert!(head.starts_with("get /a?b=c http/1.1\r\n"), "{head}");
    for line in [
        "x-key: v",
        &format!("host: 127.0.0.1:{port}"),
        "user-agent: nepho-agent/0.1.0",
        "connection: close",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
}

#[tokio::test]
async fn an_unresolved_reference_never_leaves_the_host() {
    let port = target(async |_| panic!("nothing may be sent")).await;
    let mut check = http(format!("http://127.0.0.1:{port}/"));
    check.headers = vec![("Authorization".to_owned(), "Bearer ${token}".to_owned())];
    let question = Question::new(&Check::Http(check.clone()), &Guard::new(Policy::careful()));
    assert!(
        question
            .unusable()
            .is_some_and(|why| why.contains("Authorization"))
    );
    assert_eq!(
        ask(Check::Http(check), Nanos::from_secs(5)).await,
        Outcome::OurSide
    );
}
