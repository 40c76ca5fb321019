//! TLS against nginx with a certificate of five days, and HAProxy that speaks TLS 1.2 only.

use nepho_common::{
    plan::{Check, TlsCheck},
    recording::Outcome,
    time::Nanos,
};
use rustls::RootCertStore;

use crate::{
    ask, nobody,
    server::{certified, exists, haproxy, nginx},
};

const DAY: u64 = 86_400;

fn tls(port: u16) -> TlsCheck {
    TlsCheck {
        host: "127.0.0.1".to_owned(),
        port,
        name: "crm.test".to_owned(),
        names: Vec::new(),
        left: Nanos(0),
        only_1_3: false,
    }
}

const NGINX: &str = "server { listen 127.0.0.1:PORT ssl; ssl_certificate both.pem; \
                     ssl_certificate_key both.pem; \
                     ssl_protocols TLSv1.2 TLSv1.3; location / { return 200; } }";

#[tokio::test]
async fn a_certificate_of_five_days_is_judged_by_chain_names_and_time() {
    let Some(program) = exists("nginx", "a_certificate_of_five_days…") else {
        return;
    };
    let good = certified(&["crm.test", "www.crm.test"], 5);
    let server = nginx(&program, NGINX, &[("both.pem", &good.pem)]);
    let check = || tls(server.port);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    for (check, expected) in [
        (check(), Outcome::Success),
        (
            TlsCheck {
                left: Nanos::from_secs(4 * DAY),
                ..check()
            },
            Outcome::Success,
        ),
        (
            TlsCheck {
                left: Nanos::from_secs(6 * DAY),
                ..check()
            },
            Outcome::Content,
        ),
        (
            TlsCheck {
                names: names(&["www.crm.test"]),
                ..check()
            },
            Outcome::Success,
        ),
        (
            TlsCheck {
                names: names(&["api.crm.test"]),
                ..check()
            },
            Outcome::Content,
        ),
        (
            TlsCheck {
                name: "other.test".to_owned(),
                ..check()
            },
            Outcome::Tls,
        ),
        (
            TlsCheck {
                name: String::new(),
                ..check()
            },
            Outcome::Tls,
        ),
        (
            TlsCheck {
                only_1_3: true,
                ..check()
            },
            Outcome::Success,
        ),
        (tls(nobody()), Outcome::Refused),
    ] {
        let asked = format!("{check:?}");
        let answer = ask(&good.roots, Check::Tls(check)).await;
        assert_eq!(answer.outcome, expected, "{asked}");
    }
    let stranger = ask(&RootCertStore::empty(), Check::Tls(check())).await;
    assert_eq!(stranger.outcome, Outcome::Tls, "nobody vouches for it");
}

#[tokio::test]
async fn an_expired_certificate_is_a_failure_of_tls() {
    let Some(program) = exists("nginx", "an_expired_certificate…") else {
        return;
    };
    let expired = certified(&["crm.test"], -1);
    let server = nginx(&program, NGINX, &[("both.pem", &expired.pem)]);
    let answer = ask(&expired.roots, Check::Tls(tls(server.port))).await;
    assert_eq!(answer.outcome, Outcome::Tls);
}

#[tokio::test]
async fn a_server_that_speaks_tls_1_2_only_is_told_from_one_that_speaks_none() {
    let Some(program) = exists("haproxy", "a_server_that_speaks_tls_1_2_only…") else {
        return;
    };
    let good = certified(&["crm.test"], 5);
    let config =
        "frontend f\n  mode http\n  bind 127.0.0.1:PORT ssl crt both.pem ssl-max-ver TLSv1.2\n";
    let server = haproxy(&program, config, &[("both.pem", &good.pem)]);
    let old = tls(server.port);
    let answer = ask(&good.roots, Check::Tls(old.clone())).await;
    assert_eq!(answer.outcome, Outcome::Success, "{}", server.log());
    let strict = TlsCheck {
        only_1_3: true,
        ..old
    };
    let answer = ask(&good.roots, Check::Tls(strict)).await;
    assert_eq!(answer.outcome, Outcome::Content);
    let bare = haproxy(
        &program,
        "frontend f\n  mode http\n  bind 127.0.0.1:PORT\n",
        &[],
    );
    let answer = ask(&good.roots, Check::Tls(tls(bare.port))).await;
    assert!(
        matches!(answer.outcome, Outcome::Tls | Outcome::Reset),
        "{answer:?}"
    );
}
