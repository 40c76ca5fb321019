//! What is said over TCP, against Redis and against targets that say the wrong thing.

use nepho_common::{
    plan::{Check, TcpCheck},
    recording::Outcome,
};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

use crate::{event::redis, nobody, outcome, server::exists, tcp};

#[tokio::test]
async fn redis_answers_to_a_ping_as_it_should() {
    let Some(program) = exists("redis-server", "redis_answers_to_a_ping…") else {
        return;
    };
    let server = redis(&program, &[]);
    let talk = |send: &str, expect: &str| {
        Check::Tcp(TcpCheck {
            send: send.to_owned(),
            expect: expect.to_owned(),
            ..tcp(server.port)
        })
    };
    assert_eq!(
        outcome(talk("PING\r\n", "+PONG\r\n")).await,
        Outcome::Success
    );
    assert_eq!(
        outcome(talk("QUIT\r\n", "+PONG\r\n")).await,
        Outcome::Content
    );
    let silent = Check::Tcp(tcp(server.port));
    assert_eq!(outcome(silent).await, Outcome::Success);
    let gone = TcpCheck {
        expect: "x".to_owned(),
        ..tcp(nobody())
    };
    assert_eq!(outcome(Check::Tcp(gone)).await, Outcome::Refused);
}

/// Says this to everybody, and closes.
async fn saying(words: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(&words).await.ok();
        }
    });
    port
}

#[tokio::test]
async fn a_banner_is_the_right_one_or_its_failure_has_a_type() {
    let banner = |port, text: &str| {
        Check::Tcp(TcpCheck {
            banner: text.to_owned(),
            ..tcp(port)
        })
    };
    let ssh = saying(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()).await;
    assert_eq!(outcome(banner(ssh, "SSH-2.0")).await, Outcome::Success);
    assert_eq!(outcome(banner(ssh, "220 ")).await, Outcome::Content);
    let silent = saying(Vec::new()).await;
    assert_eq!(outcome(banner(silent, "SSH")).await, Outcome::Reset);
    let endless = saying(vec![b'x'; 1 << 20]).await;
    assert_eq!(outcome(banner(endless, "SSH")).await, Outcome::Content);
}
