//! Echo requests in a network of the test's own. The test runs itself anew inside of that network,
//! which needs root or user namespaces.

use std::process::Command;

use nepho_agent::work::{guard::Guard, probe::Question};
use nepho_common::{
    plan::{Check, IcmpCheck},
    recording::Outcome,
    time::Nanos,
};
use rustls::RootCertStore;

use crate::{ask_as, policy, server::skip};

const INSIDE: &str = "NEPHO_TEST_INSIDE";
const NAME: &str = "icmp::an_echo_comes_back_from_a_host_that_is_there_and_from_no_other";

fn icmp(host: &str) -> Check {
    Check::Icmp(IcmpCheck {
        host: host.to_owned(),
        port: 1,
    })
}

fn sh(script: &str) -> bool {
    let done = Command::new("sh").args(["-ec", script]).status();
    done.is_ok_and(|status| status.success())
}

#[test]
fn an_echo_comes_back_from_a_host_that_is_there_and_from_no_other() {
    if std::env::var_os(INSIDE).is_some() {
        inside();
        return;
    }
    let how = ["-n", "-rn"].into_iter().find(|how| {
        let up = [how, "ip", "link", "set", "lo", "up"];
        let tried = Command::new("unshare").args(up).output();
        tried.is_ok_and(|tried| tried.status.success())
    });
    let Some(how) = how else {
        return skip(NAME, "no network namespaces here");
    };
    let done = Command::new("unshare")
        .arg(how)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}{errors}");
    assert!(said.contains("over both kinds of socket"), "{said}{errors}");
}

#[tokio::main(flavor = "current_thread")]
async fn inside() {
    assert!(sh("ip link set lo up; \
                ip addr add 10.9.0.1/32 dev lo; \
                ip route add unreachable 10.8.0.0/24"));
    let outcome = async |host: &str| {
        let short = Nanos::from_millis(500);
        let answer = ask_as(policy(), RootCertStore::empty(), icmp(host), short).await;
        answer.outcome
    };
    // A kernel that gives nobody a datagram socket: the raw one of root.
    for groups in ["1 0", "0 2147483647"] {
        let set = format!("echo {groups} > /proc/sys/net/ipv4/ping_group_range");
        if !sh(&set) {
            assert_eq!(groups, "0 2147483647", "a user namespace may not widen it");
            continue;
        }
        assert_eq!(outcome("127.0.0.1").await, Outcome::Success, "{groups}");
        assert_eq!(outcome("10.9.0.1").await, Outcome::Success, "{groups}");
        assert_eq!(outcome("::1").await, Outcome::Success, "{groups}");
        // A host that keeps silent.
        assert!(sh("echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all"));
        assert_eq!(outcome("10.9.0.1").await, Outcome::Timeout, "{groups}");
        assert!(sh("echo 0 > /proc/sys/net/ipv4/icmp_echo_ignore_all"));
        assert_eq!(outcome("10.8.0.1").await, Outcome::Unreachable, "{groups}");
        // The policy allows private targets only, and never these.
        assert_eq!(outcome("8.8.8.8").await, Outcome::OurSide, "{groups}");
        assert_eq!(
            outcome("169.254.169.254").await,
            Outcome::OurSide,
            "{groups}"
        );
    }
    println!("over both kinds of socket");
}

#[test]
fn who_may_open_no_socket_says_what_to_do() {
    let guard = Guard::new(policy(), Vec::new());
    let allowed = Question::new(&icmp("127.0.0.1"), &guard);
    if rustix::process::geteuid().is_root() {
        assert_eq!(allowed.unusable(), None);
        let name = "icmp::who_may_open_no_socket_says_what_to_do";
        if std::env::var_os(INSIDE).is_none() {
            // As nobody, in a network that lets no group open one.
            let exe = std::env::current_exe().unwrap();
            let script = format!(
                "echo '1 0' > /proc/sys/net/ipv4/ping_group_range; \
                 exec setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all \
                 '{}' --exact {name} --nocapture",
                exe.display()
            );
            let mut command = Command::new("unshare");
            let command = command.args(["-n", "sh", "-ec", &script]).env(INSIDE, "1");
            match command.output() {
                Ok(done) if done.status.success() => {
                    let said = String::from_utf8_lossy(&done.stdout).into_owned();
                    assert!(said.contains("and it said so"), "{said}");
                }
                // The folder of the build may be closed to nobody.
                Ok(done) if done.status.code() == Some(126 | 127) => {
                    skip(name, "the test program can't be started as another user");
                }
                Ok(done) => panic!("{}", String::from_utf8_lossy(&done.stdout)),
                Err(error) => skip(name, &error.to_string()),
            }
        }
        return;
    }
    if std::env::var_os(INSIDE).is_some() {
        let why = allowed.unusable().unwrap();
        for word in ["not permitted", "ping_group_range", "CAP_NET_RAW"] {
            assert!(why.contains(word), "{why}");
        }
        println!("and it said so");
    }
}
