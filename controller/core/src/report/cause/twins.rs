//! Each symptom with two causes: both are named right, and without the evidence neither is claimed.

use nepho_common::{
    event::{Subject, What},
    journal::Body,
    plan::{Act, Check, DnsCheck, DnsRecord, Route},
    recording::{Outcome, Trace},
    symptom::{CertificateFault, Listener, Symptom},
    time::{Nanos, RunTime},
};

use crate::report::{
    fixture::{Author, agent, ended, find, good, journal, of, plan, text},
    model::Finding,
};

const TARGET: &str = "local/gateway/1";

fn subject(to: &str) -> Subject {
    Subject {
        stage: "hybrid".parse().unwrap(),
        step: "reach".parse().unwrap(),
        to: to.parse().unwrap(),
    }
}

/// What is said of a target that fails from within its own environment, when this was seen of it.
fn said(outcome: Outcome, told: Vec<What>) -> Finding {
    let mut entries = journal(&plan(), |ask| {
        if ask.is("local", TARGET) || ask.is("local", "local/dao-api/1") {
            return ended(outcome, 1);
        }
        good(ask)
    });
    let mut author = Author::new(agent("local"), 99);
    told.into_iter().for_each(|what| author.say(what));
    entries.extend(author.entries);
    let service = if outcome == Outcome::Status {
        "dao-api"
    } else {
        "gateway"
    };
    let id = format!("hybrid/reach/failures/local/local/{service}");
    find(&of(entries), &id).clone()
}

fn seen(to: &str, outcome: Outcome, symptom: Symptom) -> Vec<What> {
    vec![What::SymptomSeen {
        of: subject(to),
        at: RunTime(0),
        outcome,
        symptom,
    }]
}

/// The gateway's own address is 127.0.1.1:9091; 8303 and 3307 belong to others of the plan.
fn listening(all: &[(u16, Option<&str>)]) -> Symptom {
    let one = |(port, program): &(u16, Option<&str>)| Listener {
        port: *port,
        program: program.map(str::to_owned),
    };
    Symptom {
        address: Some("127.0.1.1:9091".parse().unwrap()),
        listeners: Some(all.iter().map(one).collect()),
        ..Symptom::default()
    }
}

fn cause(finding: &Finding) -> (&str, &str) {
    let (cause, remedy) = (finding.cause.as_deref(), finding.remedy.as_deref());
    (cause.unwrap(), remedy.unwrap())
}

#[test]
fn a_service_that_is_stopped_is_told_from_one_on_another_port() {
    let refused = |symptom| said(Outcome::Refused, seen(TARGET, Outcome::Refused, symptom));
    let stopped = refused(listening(&[
        (8303, Some("dao-api")),
        (3307, Some("mysqld")),
    ]));
    let (why, remedy) = cause(&stopped);
    assert!(
        why.contains("it is not running") && remedy.starts_with("Start "),
        "{why} {remedy}"
    );
    let moved = refused(listening(&[
        (8303, Some("dao-api")),
        (9191, Some("gateway")),
    ]));
    let (why, remedy) = cause(&moved);
    assert!(why.contains("on port 9191: the port is wrong"), "{why}");
    assert!(remedy.contains("to 9191"), "{remedy}");
    // A stranger on a port of nobody is not the service, and a host that shows no names says nothing.
    let stranger = refused(listening(&[(9191, Some("sshd"))]));
    assert!(cause(&stranger).0.contains("it is not running"));
    let mute = refused(listening(&[(9191, None)]));
    assert!(!cause(&mute).0.contains("not running") && !cause(&mute).0.contains("port is wrong"));
}

/// What is said of the gateway when this program listens where the plan has nobody, and there is a
/// service `gateway-db` beside it.
fn beside_another(program: &str) -> Finding {
    let mut plan = plan();
    for step in plan.stages.iter_mut().flat_map(|stage| &mut stage.steps) {
        let Act::Probe(probe) = &mut step.act else {
            continue;
        };
        for path in &mut probe.to {
            if path.to.service.as_str() == "mysql" {
                path.to = "local/gateway-db/1".parse().unwrap();
            }
        }
    }
    let mut entries = journal(&plan, |ask| match ask.is("local", TARGET) {
        true => ended(Outcome::Refused, 1),
        false => good(ask),
    });
    let mut author = Author::new(agent("local"), 99);
    let symptom = listening(&[(9191, Some(program))]);
    seen(TARGET, Outcome::Refused, symptom)
        .into_iter()
        .for_each(|what| author.say(what));
    entries.extend(author.entries);
    find(&of(entries), "hybrid/reach/failures/local/local/gateway").clone()
}

#[test]
fn a_program_that_may_be_two_services_is_taken_for_neither() {
    let own = beside_another("gateway");
    assert!(cause(&own).0.contains("on port 9191: the port is wrong"));
    let either = beside_another("gate");
    let why = cause(&either).0;
    assert!(why.starts_with("Nothing listens at"), "{why}");
    assert!(
        !why.contains("not running") && !why.contains("port is wrong"),
        "{why}"
    );
}

#[test]
fn without_evidence_neither_is_claimed() {
    let bare = said(Outcome::Refused, Vec::new());
    let (why, _) = cause(&bare);
    assert!(why.contains("Nothing listens at"), "{why}");
    assert!(
        !why.contains("not running") && !why.contains("port is wrong"),
        "{why}"
    );
    // What another outcome looked like is no evidence for this one.
    let other = seen(
        TARGET,
        Outcome::Timeout,
        listening(&[(9191, Some("gateway"))]),
    );
    assert!(
        !cause(&said(Outcome::Refused, other))
            .0
            .contains("port is wrong")
    );
}

#[test]
fn a_port_that_another_program_holds_is_told_from_a_service_that_answers_wrongly() {
    let garbled = |symptom| said(Outcome::Protocol, seen(TARGET, Outcome::Protocol, symptom));
    let held = garbled(listening(&[(9091, Some("sshd")), (8303, Some("dao-api"))]));
    let (why, remedy) = cause(&held);
    assert!(
        why.contains("Port 9091 is held by another program, sshd"),
        "{why}"
    );
    assert!(remedy.contains("Stop sshd"), "{remedy}");
    let own = garbled(listening(&[
        (9091, Some("gateway")),
        (8303, Some("dao-api")),
    ]));
    assert!(!cause(&own).0.contains("another program"));
    // Where one program serves all, its name is no sign of a stranger.
    let all = garbled(listening(&[(9091, Some("java")), (8303, Some("java"))]));
    assert!(!cause(&all).0.contains("another program"));
}

fn not_found(mine: Option<&str>, theirs: Option<&str>) -> Finding {
    let (to, peer) = ("local/dao-api/1", "tencent/dao-api/1");
    let symptom = Symptom {
        address: Some("127.0.1.1:8303".parse().unwrap()),
        status: Some(404),
        ..Symptom::default()
    };
    let mut told = seen(to, Outcome::Status, symptom);
    let version = |to: &str, value: &str| What::FactSeen {
        of: subject(to),
        at: RunTime(0),
        name: text("version"),
        value: text(value),
    };
    told.extend(mine.map(|value| version(to, value)));
    told.extend(theirs.map(|value| version(peer, value)));
    said(Outcome::Status, told)
}

#[test]
fn an_old_version_is_told_from_a_wrong_path() {
    let old = not_found(Some("1.4.0"), Some("2.0.0"));
    let (why, remedy) = cause(&old);
    assert!(why.contains("local/dao-api/1 runs version 1.4.0"), "{why}");
    assert!(remedy.contains("to version 2.0.0"), "{remedy}");
    let path = not_found(Some("2.0.0"), Some("2.0.0"));
    let (why, remedy) = cause(&path);
    assert!(why.contains("does not know this path"), "{why}");
    assert!(
        why.contains("the same version as elsewhere") && remedy.contains("path"),
        "{why} {remedy}"
    );
    let unknown = not_found(None, None);
    assert!(
        !cause(&unknown).0.contains("version"),
        "nothing is claimed of versions"
    );
}

#[test]
fn each_fault_of_a_certificate_has_its_own_remedy() {
    let day = 86_400;
    for (fault, words, remedy) in [
        (
            CertificateFault::Expired(Nanos::from_secs(3 * day)),
            "ended 3 days ago",
            "Renew",
        ),
        (
            CertificateFault::NotYet(Nanos::from_secs(day)),
            "not valid yet",
            "clocks",
        ),
        (CertificateFault::Name, "names other hosts", "name"),
        (CertificateFault::Issuer, "Nobody whom", "whole chain"),
    ] {
        let symptom = Symptom {
            certificate: Some(fault),
            ..Symptom::default()
        };
        let finding = said(Outcome::Tls, seen(TARGET, Outcome::Tls, symptom));
        let (why, what) = cause(&finding);
        assert!(why.contains(words) && what.contains(remedy), "{why} {what}");
    }
}

#[test]
fn a_service_that_says_that_it_is_broken_is_quoted_and_can_not_write_anything_else() {
    let symptom = Symptom {
        status: Some(500),
        said: nepho_common::symptom::plain("db\u{1b}[31m down <script>"),
        ..Symptom::default()
    };
    let to = "local/dao-api/1";
    let broken = said(Outcome::Status, seen(to, Outcome::Status, symptom));
    let (why, remedy) = cause(&broken);
    assert!(
        why.contains("answered 500: the service itself fails"),
        "{why}"
    );
    assert!(
        why.contains("\"db [31m down <script>\"") && !why.contains('\u{1b}'),
        "{why}"
    );
    assert!(remedy.contains("databases"), "{remedy}");
}

/// The gateway failed like this, request by request: `x` failed.
fn failing(like: &str) -> Finding {
    let failed: Vec<bool> = like.bytes().map(|one| one == b'x').collect();
    let mut plan = plan();
    plan.stages[1].lasts = Nanos::from_secs(failed.len() as u64);
    let of_gateway = |n: u64| failed.get(usize::try_from(n).unwrap()).copied();
    let mut entries = journal(&plan, |ask| {
        if ask.is("local", TARGET) && of_gateway(ask.n) == Some(true) {
            return ended(Outcome::Status, 1);
        }
        good(ask)
    });
    let mut trace = Trace {
        stage: "hybrid".parse().unwrap(),
        step: "reach".parse().unwrap(),
        operation: text("GET /health"),
        to: TARGET.parse().unwrap(),
        back_end: None,
        runs: Vec::new(),
        connections: 0,
        truncated: 0,
    };
    for (n, failed) in (0..).zip(&failed) {
        let outcome = if *failed {
            Outcome::Status
        } else {
            Outcome::Success
        };
        trace.push(RunTime(n * 1_000_000_000), outcome);
    }
    let mut author = Author::new(agent("local"), 99);
    author.write(Body::Traces(vec![trace]));
    entries.extend(author.entries);
    find(&of(entries), "hybrid/reach/failures/local/local/gateway").clone()
}

#[test]
fn a_service_that_flaps_is_told_from_one_of_which_single_requests_fail() {
    let flaps = failing("....xxxx....xxxx....xxxx....xxxx");
    let (why, remedy) = cause(&flaps);
    let expected =
        "local/gateway/1 flaps: it went down 4 times, first at 4s, for 4s each, and came back";
    assert!(why.starts_with(expected), "{why}");
    assert!(remedy.contains("a crash loop"), "{remedy}");

    let scattered = failing("x..xx.x..x.xxx..x.x..xx.x.x..x.x");
    let (why, remedy) = cause(&scattered);
    let expected = "Failures of local/gateway/1 are scattered, never more than 3 in a row";
    assert!(why.starts_with(expected), "{why}");
    assert!(remedy.contains("one is broken"), "{remedy}");

    let once = failing("..........xxxxxxxxx.............");
    let (why, _) = cause(&once);
    let expected = "local/gateway/1 was down once, from 10s to 18s, and came back.";
    assert!(why.starts_with(expected), "{why}");

    let gone = failing("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    let (why, _) = cause(&gone);
    assert!(
        why.starts_with("http://127.0.1.1:9091/health answered"),
        "{why}"
    );
}

/// What is said of the name server gateway when it answers wrongly, and so do the others if `both`.
fn misnamed(both: bool) -> Finding {
    let mut plan = plan();
    for step in &mut plan.stages[1].steps {
        let Act::Probe(probe) = &mut step.act else {
            continue;
        };
        for path in &mut probe.to {
            if let Route::Ask { check, .. } = &mut path.route
                && path.to.environment.as_str() == "local"
            {
                *check = Check::Dns(DnsCheck {
                    host: "127.0.1.1".to_owned(),
                    port: 53,
                    name: "crm.example".to_owned(),
                    record: DnsRecord::A,
                    answers: ["10.0.0.5".to_owned()].into(),
                });
            }
        }
    }
    let wrong = |to: &str| to == TARGET || (both && to.starts_with("local/"));
    let mut entries = journal(&plan, |ask| match wrong(&ask.to.to_string()) {
        true => ended(Outcome::Content, 1),
        false => good(ask),
    });
    let mut author = Author::new(agent("local"), 99);
    let symptom = Symptom {
        said: "10.0.0.9 came, and 10.0.0.5 was asked for".to_owned(),
        ..Symptom::default()
    };
    seen(TARGET, Outcome::Content, symptom)
        .into_iter()
        .for_each(|what| author.say(what));
    entries.extend(author.entries);
    find(&of(entries), "hybrid/reach/failures/local/local/gateway").clone()
}

#[test]
fn one_name_server_that_is_wrong_is_told_from_an_expectation_that_is() {
    let one = misnamed(false);
    let (why, remedy) = cause(&one);
    let expected = "The name server local/gateway/1 answers wrongly to A crm.example: 10.0.0.9 came, and \
                    10.0.0.5 was asked for. local/dao-api/1 answers as expected.";
    assert!(why.starts_with(expected), "{why}");
    assert!(
        remedy.starts_with("Correct the record of crm.example at"),
        "{remedy}"
    );
    let all = misnamed(true);
    let (why, remedy) = cause(&all);
    assert!(why.contains("local/dao-api/1 does so as well."), "{why}");
    assert!(
        remedy.contains("correct what the scenario expects"),
        "{remedy}"
    );
}

#[test]
fn a_service_that_is_broken_is_told_from_a_stranger_in_its_place_that_is() {
    let failing = |program: &str| {
        let symptom = Symptom {
            address: Some("127.0.1.1:8303".parse().unwrap()),
            status: Some(500),
            ..listening(&[(8303, Some(program)), (3307, Some("mysqld"))])
        };
        said(
            Outcome::Status,
            seen("local/dao-api/1", Outcome::Status, symptom),
        )
    };
    let own = failing("dao-api");
    assert!(
        cause(&own)
            .0
            .contains("answered 500: the service itself fails")
    );
    let stranger = failing("tomcat");
    let (why, remedy) = cause(&stranger);
    assert!(
        why.starts_with("Port 8303 is held by another program, tomcat"),
        "{why}"
    );
    assert!(remedy.contains("Stop tomcat"), "{remedy}");
}
