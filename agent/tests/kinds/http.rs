//! HTTP against nginx and HAProxy: what an answer must hold, redirects, versions, phases.

use std::future::Future;

use nepho_common::{
    plan::{Check, HttpCheck},
    recording::Outcome,
    time::Nanos,
};
use rustls::RootCertStore;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    LONG, ask, ask_as, get, nobody, outcome, policy,
    server::{Server, certified, exists, haproxy, nginx},
};

const PLAIN: &str = r#"server {
  listen 127.0.0.1:PORT;
  location = / { add_header X-Build 7; return 200 "all is well\n"; }
  location = /json { default_type application/json; return 200 '{"status":"ok","items":[{"n":3}]}'; }
  location = /one { return 302 /two; }
  location = /two { return 301 http://127.0.0.1:PORT/; }
  location = /loop { return 302 /loop; }
  location = /metadata { return 302 http://169.254.169.254/latest/; }
  location = /public { return 302 http://8.8.8.8/; }
  location = /secret { if ($http_x_key = "") { return 403; } return 302 http://localhost:PORT/guarded; }
  location = /guarded { if ($http_x_key != "") { return 500; } return 200; }
}"#;

fn plain(test: &str) -> Option<Server> {
    Some(nginx(&exists("nginx", test)?, PLAIN, &[]))
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    pairs.iter().map(owned).collect()
}

#[tokio::test]
async fn an_answer_of_nginx_must_hold_what_was_asked_for() {
    let Some(nginx) = plain("an_answer_of_nginx…") else {
        return;
    };
    let at = |path: &str| get(format!("http://127.0.0.1:{}{path}", nginx.port));
    let header = |name, text| HttpCheck {
        headers_have: owned(&[(name, text)]),
        ..at("/")
    };
    let body = |text: &str| HttpCheck {
        body_has: text.to_owned(),
        ..at("/")
    };
    let json = |path, text| HttpCheck {
        json: owned(&[(path, text)]),
        ..at("/json")
    };
    for (check, expected) in [
        (header("x-build", "7"), Outcome::Success),
        (header("server", "nginx"), Outcome::Success),
        (header("x-build", "8"), Outcome::Content),
        (header("x-other", ""), Outcome::Content),
        (body("is well"), Outcome::Success),
        (body("is ill"), Outcome::Content),
        (json("$.status", "ok"), Outcome::Success),
        (json("$.items[0].n", "3"), Outcome::Success),
        (json("$.items[0].n", "4"), Outcome::Content),
        (json("$.items[1].n", "3"), Outcome::Content),
        (at("/nothing"), Outcome::Status),
    ] {
        let asked = format!("{check:?}");
        assert_eq!(outcome(Check::Http(check)).await, expected, "{asked}");
    }
}

#[tokio::test]
async fn redirects_are_followed_as_far_as_asked_for_and_each_is_judged() {
    let Some(nginx) = plain("redirects_are_followed…") else {
        return;
    };
    let to = |path: &str, redirects| {
        Check::Http(HttpCheck {
            redirects,
            ..get(format!("http://127.0.0.1:{}{path}", nginx.port))
        })
    };
    for (path, redirects, expected) in [
        ("/one", 0, Outcome::Status),
        ("/one", 1, Outcome::Status),
        ("/one", 2, Outcome::Success),
        ("/loop", 3, Outcome::Status),
        // Where no agent may go is the target's doing; what only our policy forbids is ours.
        ("/metadata", 3, Outcome::Content),
        ("/metadata", 0, Outcome::Status),
        ("/public", 3, Outcome::OurSide),
    ] {
        assert_eq!(
            outcome(to(path, redirects)).await,
            expected,
            "{path} {redirects}"
        );
    }
}

#[tokio::test]
async fn a_redirect_takes_no_secret_to_another_place() {
    let Some(nginx) = plain("a_redirect_takes_no_secret…") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "canary\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, mode).unwrap();
    let reference = format!("file:{}", path.display());
    let mut policy = policy();
    let rule = policy.targets.clone();
    policy.secrets.insert(reference.parse().unwrap(), rule);
    let check = HttpCheck {
        headers: vec![("x-key".to_owned(), format!("${{{reference}}}"))],
        redirects: 1,
        ..get(format!("http://127.0.0.1:{}/secret", nginx.port))
    };
    let ask = |check| {
        ask_as(
            policy.clone(),
            RootCertStore::empty(),
            Check::Http(check),
            LONG,
        )
    };
    // `/secret` answers 403 without the key, and `/guarded` 500 with it.
    assert_eq!(ask(check.clone()).await.outcome, Outcome::Success);
    let open = HttpCheck {
        headers: owned(&[("x-key", "no secret")]),
        ..check
    };
    assert_eq!(ask(open).await.outcome, Outcome::Status, "the control");
}

#[tokio::test]
async fn http_2_is_spoken_with_and_without_tls_and_never_pretended() {
    let test = "http_2_is_spoken…";
    let Some(program) = exists("nginx", test) else {
        return;
    };
    let certified = certified(&["127.0.0.1"], 5);
    let page = r#"location = / { return 200 "$server_protocol"; }"#;
    let tls = "ssl_certificate both.pem; ssl_certificate_key both.pem;";
    let files = [("both.pem", certified.pem.as_str())];
    let over = |listen: &str| format!("server {{ listen 127.0.0.1:PORT {listen}; {tls} {page} }}");
    let h2c = nginx(&program, &over("http2"), &files);
    let h2 = nginx(&program, &over("ssl http2"), &files);
    let h1 = nginx(&program, &over("ssl"), &files);
    let check = |scheme: &str, server: &Server, http2: bool| {
        Check::Http(HttpCheck {
            http2,
            body_has: if http2 { "HTTP/2.0" } else { "HTTP/1.1" }.to_owned(),
            ..get(format!("{scheme}://127.0.0.1:{}/", server.port))
        })
    };
    for (scheme, server, http2, expected) in [
        ("http", &h2c, true, Outcome::Success),
        ("https", &h2, true, Outcome::Success),
        ("https", &h2, false, Outcome::Success),
        ("https", &h1, false, Outcome::Success),
    ] {
        let answer = ask(&certified.roots, check(scheme, server, http2)).await;
        assert_eq!(
            answer.outcome,
            expected,
            "{scheme} {http2}: {}",
            server.log()
        );
    }
    // A server that can't agree refuses the handshake, or speaks HTTP/1.1; either is a failure.
    let answer = ask(&certified.roots, check("https", &h1, true)).await;
    assert!(
        matches!(answer.outcome, Outcome::Tls | Outcome::Protocol),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_request_tells_what_it_was_made_of_and_how_long_the_certificate_is_good() {
    let test = "a_request_tells_what_it_was_made_of…";
    let Some(program) = exists("nginx", test) else {
        return;
    };
    let certified = certified(&["localhost"], 5);
    let servers = "server { listen 127.0.0.1:PORT ssl; ssl_certificate both.pem; \
                   ssl_certificate_key both.pem; location / { return 200; } }";
    let nginx = nginx(&program, servers, &[("both.pem", &certified.pem)]);
    let url = format!("https://localhost:{}/", nginx.port);
    let answer = ask(&certified.roots, Check::Http(get(url))).await;
    assert_eq!(answer.outcome, Outcome::Success, "{}", nginx.log());
    let phases = answer.phases;
    for (what, phase) in [
        ("resolve", phases.resolve),
        ("connect", phases.connect),
        ("handshake", phases.handshake),
        ("first byte", phases.first_byte),
    ] {
        let took = phase.unwrap_or_else(|| panic!("{what} took place"));
        println!("{what} took {took}");
        assert!(took > Nanos(0) && took < LONG);
    }
    let left = answer.certificate.unwrap().left;
    let hours = left / 3_600_000_000_000;
    assert!((119..=120).contains(&hours), "five days, not {hours} h");
    let by_address = get(format!("https://127.0.0.1:{}/", nginx.port));
    let answer = ask(&certified.roots, Check::Http(by_address)).await;
    assert_eq!(answer.outcome, Outcome::Tls, "it is for localhost");
    assert_eq!(answer.phases.resolve, None, "an address needs none");
    assert!(answer.phases.connect.is_some(), "as far as it came");
    assert_eq!((answer.phases.handshake, answer.certificate), (None, None));
}

#[tokio::test]
async fn haproxy_without_a_server_behind_it_is_a_status_and_a_failure_is_not_tried_again() {
    let test = "haproxy_without_a_server…";
    let Some(program) = exists("haproxy", test) else {
        return;
    };
    let config = format!(
        "frontend f\n  mode http\n  bind 127.0.0.1:PORT\n  default_backend b\n\
         backend b\n  mode http\n  server gone 127.0.0.1:{}\n",
        nobody()
    );
    let haproxy = haproxy(&program, &config, &[]);
    let url = format!("http://127.0.0.1:{}/", haproxy.port);
    assert_eq!(
        outcome(Check::Http(get(url.clone()))).await,
        Outcome::Status
    );
    let expected = HttpCheck {
        status: [503].into(),
        ..get(url)
    };
    assert_eq!(outcome(Check::Http(expected)).await, Outcome::Success);
}

/// Counts connections, and cuts each without an answer.
async fn cutting() -> (u16, impl Future<Output = usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, mut seen) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.read_u8().await.ok();
            sender.send(()).await.ok();
        }
    });
    let count = async move {
        let mut count = 0;
        while seen.try_recv().is_ok() {
            count += 1;
        }
        count
    };
    (port, count)
}

#[tokio::test]
async fn a_request_that_fails_is_made_once() {
    for http2 in [false, true] {
        let (port, count) = cutting().await;
        let check = HttpCheck {
            http2,
            redirects: 5,
            ..get(format!("http://127.0.0.1:{port}/"))
        };
        let found = outcome(Check::Http(check)).await;
        assert!(
            matches!(found, Outcome::Reset | Outcome::Protocol),
            "{found:?}"
        );
        assert_eq!(count.await, 1);
    }
}

#[tokio::test]
async fn an_http_2_target_that_says_nonsense_or_nothing_ends_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        first.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let (second, _) = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop((first, second));
    });
    let check = Check::Http(HttpCheck {
        http2: true,
        ..get(format!("http://127.0.0.1:{port}/"))
    });
    assert_eq!(outcome(check.clone()).await, Outcome::Protocol);
    let short = Nanos::from_millis(100);
    let answer = ask_as(policy(), RootCertStore::empty(), check, short).await;
    assert_eq!(answer.outcome, Outcome::Timeout);
    assert!(answer.phases.connect.is_some(), "that much took place");
}
