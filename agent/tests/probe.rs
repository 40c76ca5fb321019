//! What becomes of a request, against targets that behave badly on purpose.

#![expect(
    clippy::unwrap_used,
    reason = "a test program: a failure is a panic, in its helpers too"
)]

use std::{
    collections::{BTreeSet, VecDeque},
    future::Future,
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::BoxFuture;
use nepho_agent::work::{
    guard::{Guard, Resolve},
    probe::{Asker, Cause, Question},
};
use nepho_common::{
    id::{Digest, PlanId},
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
        ..HttpCheck::default()
    }
}

fn cause() -> Cause {
    Cause {
        run: "r".parse().unwrap(),
        plan: PlanId(Digest::of(b"")),
        stage: "s".parse().unwrap(),
    }
}

async fn ask(check: Check, timeout: Nanos) -> Outcome {
    let guard = Guard::new(Policy::careful(), Vec::new());
    let question = Question::new(&check, &guard);
    let asker = Asker::ready_for([&question].into_iter(), guard, cause()).await;
    asker.ask(&question, timeout).await.outcome
}

/// Says one after the other, whatever it is asked for.
struct Stub(Mutex<VecDeque<Result<Vec<IpAddr>, io::ErrorKind>>>);

impl Resolve for Stub {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let next = self.0.lock().unwrap().pop_front();
        let next = next.expect("nobody asks twice for one connection");
        Box::pin(std::future::ready(next.map_err(io::Error::from)))
    }
}

/// Lets names of `.invalid` through, which resolve to these.
fn named(answers: Vec<Result<Vec<IpAddr>, io::ErrorKind>>) -> Guard {
    let mut policy = Policy::careful();
    let host = "*.invalid".to_owned().try_into().unwrap();
    policy.targets.push(TargetRule::host(host, Ports::All));
    Guard::with_resolver(
        policy,
        Vec::new(),
        Arc::new(Stub(Mutex::new(answers.into()))),
    )
}

async fn asked_by_name(guard: &Guard, port: u16) -> Outcome {
    let host = "a.invalid".to_owned();
    let check = TcpCheck {
        host,
        port,
        ..TcpCheck::default()
    };
    let question = Question::new(&Check::Tcp(check), guard);
    let asker = Asker::ready_for([&question].into_iter(), guard.clone(), cause()).await;
    asker.ask(&question, Nanos::from_secs(5)).await.outcome
}

#[tokio::test]
async fn a_name_that_turns_to_a_forbidden_address_is_not_dialled() {
    let (taken, mut seen) = tokio::sync::mpsc::channel(8);
    let port = target(move |_| {
        let taken = taken.clone();
        async move {
            taken.send(()).await.ok();
            Ok(())
        }
    })
    .await;
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let good = ip("127.0.0.1");
    let guard = named(vec![
        Ok(vec![good]),
        Ok(vec![ip("169.254.169.254")]),
        Ok(vec![good, ip("169.254.169.254")]),
        Ok(vec![good, ip("8.8.8.8")]),
        Ok(vec![ip("::ffff:100.100.100.200")]),
        Ok(vec![ip("0.0.0.0")]),
        Ok(vec![good]),
    ]);
    let mut outcomes = Vec::new();
    for _ in 0..7 {
        outcomes.push(asked_by_name(&guard, port).await);
    }
    let (yes, no) = (Outcome::Success, Outcome::OurSide);
    assert_eq!(outcomes, [yes, no, no, no, no, no, yes]);
    for _ in 0..2 {
        seen.recv().await.unwrap();
    }
    assert!(seen.try_recv().is_err(), "two connections and no more");
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
        ..TcpCheck::default()
    };
    let second = Nanos::from_secs(5);
    assert_eq!(
        ask(Check::Tcp(tcp("127.0.0.1", port)), second).await,
        Outcome::Refused
    );
    let unknown = named(vec![Err(io::ErrorKind::NotFound)]);
    assert_eq!(asked_by_name(&unknown, port).await, Outcome::Resolve);
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
    let check = Check::Tcp(TcpCheck {
        host,
        port,
        ..TcpCheck::default()
    });
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
    let question = Question::new(
        &Check::Http(check.clone()),
        &Guard::new(Policy::careful(), Vec::new()),
    );
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
