//! DNS against dnsmasq, and against servers that lie.

use std::path::Path;

use nepho_common::{
    plan::{Check, DnsCheck, DnsRecord},
    recording::Outcome,
    time::Nanos,
};
use rustls::RootCertStore;
use tokio::net::UdpSocket;

use crate::{
    ask_as, nobody, outcome, policy,
    server::{Server, exists, takes_connections},
};

fn dns(port: u16, record: DnsRecord, name: &str, answers: &[&str]) -> Check {
    Check::Dns(DnsCheck {
        host: "127.0.0.1".to_owned(),
        port,
        name: name.to_owned(),
        record,
        answers: answers.iter().map(|text| (*text).to_owned()).collect(),
    })
}

fn dnsmasq(program: &Path) -> Server {
    let arguments = |_: &Path, port: u16| {
        let long = format!(
            "--txt-record=long.test,{}",
            ["x".repeat(250), "y".repeat(250), "z".repeat(250)].join(",")
        );
        [
            "--keep-in-foreground",
            "--user=root",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--pid-file",
            "--bind-interfaces",
            "--listen-address=127.0.0.1",
            "--local=/test/",
            "--host-record=crm.test,10.0.0.5,fd00::5",
            "--host-record=crm.test,10.0.0.6",
            "--cname=alias.test,crm.test",
            "--mx-host=crm.test,mail.test,10",
            "--txt-record=crm.test,v=spf1 -all",
            "--srv-host=_crm._tcp.test,crm.test,8080,1,5",
            "--ptr-record=5.0.0.10.in-addr.arpa,crm.test",
            &long,
            &format!("--port={port}"),
        ]
        .map(str::to_owned)
        .into()
    };
    Server::start(program, arguments, takes_connections)
}

#[tokio::test]
async fn each_kind_of_record_comes_back_from_dnsmasq_or_its_failure_has_a_type() {
    let Some(program) = exists("dnsmasq", "each_kind_of_record…") else {
        return;
    };
    let server = dnsmasq(&program);
    let long = ["x".repeat(250), "y".repeat(250), "z".repeat(250)].concat();
    let both = ["10.0.0.5", "10.0.0.6"];
    for (record, name, answers, expected) in [
        (DnsRecord::A, "crm.test", &both[..], Outcome::Success),
        (DnsRecord::A, "CRM.test.", &both[..], Outcome::Success),
        (DnsRecord::A, "crm.test", &[], Outcome::Success),
        (DnsRecord::A, "crm.test", &["10.0.0.5"], Outcome::Content),
        (
            DnsRecord::A,
            "crm.test",
            &["10.0.0.5", "10.0.0.7"],
            Outcome::Content,
        ),
        (
            DnsRecord::Aaaa,
            "crm.test",
            &["fd00:0::5"],
            Outcome::Success,
        ),
        (
            DnsRecord::Cname,
            "alias.test",
            &["crm.test"],
            Outcome::Success,
        ),
        (DnsRecord::A, "alias.test", &both[..], Outcome::Success),
        (
            DnsRecord::Mx,
            "crm.test",
            &["10 Mail.test."],
            Outcome::Success,
        ),
        (
            DnsRecord::Mx,
            "crm.test",
            &["20 mail.test"],
            Outcome::Content,
        ),
        (
            DnsRecord::Txt,
            "crm.test",
            &["v=spf1 -all"],
            Outcome::Success,
        ),
        // It does not fit into a datagram.
        (DnsRecord::Txt, "long.test", &[&long], Outcome::Success),
        (
            DnsRecord::Srv,
            "_crm._tcp.test",
            &["1 5 8080 crm.test"],
            Outcome::Success,
        ),
        (
            DnsRecord::Ptr,
            "5.0.0.10.in-addr.arpa",
            &["crm.test"],
            Outcome::Success,
        ),
        (DnsRecord::A, "nobody.test", &[], Outcome::Resolve),
        (DnsRecord::Srv, "crm.test", &[], Outcome::Content),
        // Nobody is behind it to ask: REFUSED.
        (DnsRecord::A, "elsewhere.example", &[], Outcome::Status),
    ] {
        let check = dns(server.port, record, name, answers);
        let found = outcome(check).await;
        assert_eq!(
            found,
            expected,
            "{record:?} {name} {answers:?} {}",
            server.log()
        );
    }
    let check = dns(nobody(), DnsRecord::A, "crm.test", &[]);
    assert_eq!(outcome(check).await, Outcome::Refused);
}

#[tokio::test]
async fn a_lie_is_passed_over_and_nonsense_has_its_type() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        // To the first question an answer with another id; to the second nonsense under its own.
        let (_, from) = socket.recv_from(&mut buffer).await.unwrap();
        buffer[0] ^= 0xff;
        buffer[2] |= 0x80;
        socket.send_to(&buffer[..12], from).await.unwrap();
        let (_, from) = socket.recv_from(&mut buffer).await.unwrap();
        socket
            .send_to(&[buffer[0], buffer[1], 0xff], from)
            .await
            .unwrap();
    });
    let check = dns(port, DnsRecord::A, "crm.test", &[]);
    let short = Nanos::from_millis(200);
    let answer = ask_as(policy(), RootCertStore::empty(), check.clone(), short).await;
    assert_eq!(answer.outcome, Outcome::Timeout);
    assert_eq!(outcome(check).await, Outcome::Protocol);
}
