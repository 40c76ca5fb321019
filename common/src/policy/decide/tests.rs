use super::*;
use crate::{
    id::{Digest, PlanId},
    plan::{
        Act, Arrivals, AssignedStep, Call, Carried, Check, HttpCheck, Model, Schedule, Share,
        Stripe, TcpCheck,
    },
    policy::{Ports, TargetRule},
};

fn tcp(host: &str, port: u16) -> Check {
    let host = host.to_owned();
    Check::Tcp(TcpCheck {
        host,
        port,
        ..TcpCheck::default()
    })
}

fn http(url: &str, header: &str) -> Check {
    Check::Http(HttpCheck {
        url: url.to_owned(),
        method: "GET".to_owned(),
        headers: vec![("x-key".to_owned(), header.to_owned())],
        status: [200].into(),
        ..HttpCheck::default()
    })
}

fn assignment(checks: &[Check], every: Nanos) -> Assignment {
    let target = |check: &Check| Target {
        to: "local/a/1".parse().unwrap(),
        operation: "ask".to_owned().try_into().unwrap(),
        check: check.clone(),
        offset: Nanos(0),
    };
    let probe = Probe {
        every,
        timeout: Nanos::from_secs(2),
        to: checks.iter().map(target).collect(),
    };
    Assignment {
        plan: PlanId(Digest::of(b"")),
        environment: "local".parse().unwrap(),
        features: checks.iter().map(Check::feature).collect(),
        stages: vec![AssignedStage {
            name: "one".parse().unwrap(),
            lasts: Nanos::from_secs(10),
            steps: vec![AssignedStep {
                name: "p".parse().unwrap(),
                act: Act::Probe(probe),
            }],
        }],
    }
}

fn said(policy: &Policy, checks: &[Check]) -> String {
    let assignment = assignment(checks, Nanos::from_secs(1));
    policy
        .admits(&assignment, &[])
        .map_or_else(|denied| denied.to_string(), |()| "yes".to_owned())
}

fn named(host: &str) -> TargetRule {
    let host = host.to_owned().try_into().unwrap();
    TargetRule::host(host, Ports::Only(vec![(443, 443)]))
}

#[test]
fn the_careful_default_takes_private_targets_and_no_other() {
    let policy = Policy::careful().checked().unwrap();
    for host in [
        "10.0.0.1",
        "172.31.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "::1",
        "fd00::1",
        "localhost",
    ] {
        assert_eq!(said(&policy, &[tcp(host, 5432)]), "yes", "{host}");
    }
    assert_eq!(
        said(&policy, &[http("http://[::1]:80/x?y", "plain")]),
        "yes"
    );
    for host in [
        "8.8.8.8",
        "172.32.0.1",
        "2001:db8::1",
        "example.com",
        "localhost.example",
    ] {
        let text = said(&policy, &[tcp(host, 5432)]);
        assert!(text.contains("not in `targets`"), "{host}: {text}");
    }
}

#[test]
fn what_no_policy_can_allow_is_refused_even_when_everything_is_listed() {
    let mut policy = Policy::careful();
    let everything = |network: &str| TargetRule::network(network.parse().unwrap(), Ports::All);
    policy.targets.extend(["0.0.0.0/0", "::/0"].map(everything));
    for host in [
        "169.254.169.254",
        "100.100.100.200",
        "fd00:ec2::254",
        "fe80::1",
        "0.0.0.0",
        "224.0.0.1",
    ] {
        let text = said(&policy, &[tcp(host, 80)]);
        assert!(text.contains("whatever a policy says"), "{host}: {text}");
    }
    for host in [
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]",
    ] {
        let text = said(&policy, &[http(&format!("http://{host}/"), "")]);
        assert!(text.contains("whatever a policy says"), "{host}: {text}");
    }
    assert_eq!(
        said(&policy, &[tcp("8.8.8.8", 80)]),
        "yes",
        "the rules do allow"
    );
}

#[test]
fn odd_literals_and_zones_are_no_targets() {
    let policy = Policy::careful();
    for host in [
        "0x7f.1",
        "2130706433",
        "127.1",
        "0",
        "0x7f000001",
        "fe80::1%eth0",
        "127.0.0.1:80",
        "a b",
        "",
        "ⅼocalhost",
        "a..b",
    ] {
        let text = said(&policy, &[tcp(host, 80)]);
        assert!(text.contains("neither a DNS name nor"), "{host}: {text}");
    }
    for url in [
        "http://0177.0.0.1/",
        "http://2130706433/",
        "http://10.0.0.1:0/",
        "http://u:p@10.0.0.1/",
        "ftp://10.0.0.1/",
        "http://10.0.0.1:80:81/",
        "http://${env:X}/",
    ] {
        assert_ne!(said(&policy, &[http(url, "")]), "yes", "{url}");
    }
}

#[test]
fn a_name_needs_a_rule_of_its_own_and_each_of_its_addresses_too() {
    let mut policy = Policy::careful();
    policy.targets.push(named("*.staging.example"));
    assert_eq!(
        said(&policy, &[http("https://api.staging.example./x", "")]),
        "yes"
    );
    for url in [
        "https://staging.example/",
        "https://api.staging.example:8443/",
        "https://evilstaging.example/",
    ] {
        assert!(
            said(&policy, &[http(url, "")]).contains("not in `targets`"),
            "{url}"
        );
    }
    let endpoint = Endpoint::of(&http("https://api.staging.example/", "")).unwrap();
    let address = |ip: &str| policy.admits_address(&endpoint, ip.parse().unwrap());
    assert_eq!(address("10.0.0.9"), Ok(()));
    assert!(matches!(address("93.184.216.34"), Err(Denied::Target(_))));
    assert!(matches!(
        address("169.254.169.254"),
        Err(Denied::BuiltIn { .. })
    ));
}

#[test]
fn a_secret_goes_only_where_its_own_list_says() {
    let mut policy = Policy::careful();
    let ask = |policy: &Policy, url: &str| said(policy, &[http(url, "Bearer ${env:TOKEN}")]);
    let refused = "secret env:TOKEN may not go to";
    assert!(ask(&policy, "http://10.0.0.1/").contains(refused));
    let port = Ports::Only(vec![(80, 80)]);
    let only = TargetRule::network("10.0.0.1".parse().unwrap(), port);
    policy
        .secrets
        .insert("env:TOKEN".parse().unwrap(), vec![only]);
    assert_eq!(ask(&policy, "http://10.0.0.1/"), "yes");
    for url in [
        "http://10.0.0.2/",
        "http://10.0.0.1:81/",
        "http://localhost/",
    ] {
        assert!(ask(&policy, url).contains(refused), "{url}");
    }
    assert!(said(&policy, &[http("http://10.0.0.1/", "${env:OTHER}")]).contains("env:OTHER"));
    assert!(said(&policy, &[http("http://10.0.0.1/", "${TOKEN}")]).contains("a reference is"));
    let found = references(&assignment(&[http("http://a/", "${file:/b}")], Nanos(1)));
    assert_eq!(found, ["file:/b".parse().unwrap()].into());
}

#[test]
fn a_request_that_makes_more_of_them_counts_as_often_and_what_refines_an_action_lies_within_it() {
    let asked = |check: Check| peak_rate(&assignment(&[check], Nanos::from_secs(1)));
    let Check::Http(plain) = http("http://10.0.0.1/", "") else {
        panic!("it is HTTP")
    };
    let more = HttpCheck {
        redirects: 3,
        ..plain.clone()
    };
    assert_eq!(asked(Check::Http(plain)), 1);
    assert_eq!(asked(Check::Http(more)), 4, "each redirect is a request");
    let mut policy = Policy::careful();
    let admits =
        |policy: &Policy, action: &str| policy.admits_action(&action.parse().unwrap()).is_ok();
    policy.actions = ["probe.http".parse().unwrap()].into();
    assert!(admits(&policy, "probe.http") && admits(&policy, "probe.http.more"));
    for other in ["probe.httpx", "probe.tcp", "probe", "probe.http-x"] {
        assert!(!admits(&policy, other), "{other}");
    }
    policy.actions = ["probe".parse().unwrap()].into();
    assert!(
        !admits(&policy, "probe.http"),
        "an action is listed by its name"
    );
}

#[test]
fn actions_rates_connections_and_durations_have_their_limits() {
    let mut policy = Policy::careful();
    policy.limits = super::super::Limits {
        requests_per_second: 20,
        connections: 60,
        stage_seconds: 10,
        load_threads: None,
    };
    let many = |n: usize, every| assignment(&vec![tcp("10.0.0.1", 1); n], every);
    let second = Nanos::from_secs(1);
    assert_eq!(policy.admits(&many(20, second), &[]), Ok(()));
    assert_eq!(peak_rate(&many(20, second)), 20);
    assert!(matches!(
        policy.admits(&many(21, second), &[]),
        Err(Denied::Rate { asked: 21, .. })
    ));
    policy.limits.connections = 59;
    assert!(matches!(
        policy.admits(&many(20, second), &[]),
        Err(Denied::Connections { asked: 60, .. })
    ));
    let mut long = many(1, second);
    long.stages[0].lasts = Nanos(10_000_000_001);
    assert!(matches!(
        policy.admits(&long, &[]),
        Err(Denied::Lasts { .. })
    ));
    policy.actions = ["probe.http".parse().unwrap()].into();
    assert!(matches!(
        policy.admits(&many(1, second), &[]),
        Err(Denied::Action(_))
    ));
    let mut hidden = many(1, second);
    hidden.features.clear();
    assert!(
        matches!(policy.admits(&hidden, &[]), Err(Denied::Action(_))),
        "said or not"
    );
}

/// One load of two shares, each of which has so many connections and threads.
fn loading(rate: &str, connections: u32, lanes: u32) -> Assignment {
    let mut one = assignment(&[http("http://10.0.0.1/", "x")], Nanos::from_secs(1));
    let lasts = Nanos::from_secs(10);
    let share = |index| Share {
        agent: "a-1".parse().unwrap(),
        to: "local/a/1".parse().unwrap(),
        stripe: Stripe::new(index, 2).unwrap(),
        connections,
        lanes,
        in_flight_max: 9,
        reference: None,
    };
    one.features = [Load::<Target>::action()].into();
    let to = one.stages[0].steps[0].act.to().to_vec();
    let rate = rate.parse().unwrap();
    one.stages[0].steps[0].act = Act::Load(Load {
        model: Model::Open {
            schedule: Schedule::constant(Arrivals::Constant, rate, lasts).unwrap(),
            seed: 1,
        },
        timeout: lasts,
        warm_up: Nanos(0),
        calls: vec![Call::plain("ask".to_owned().try_into().unwrap(), 1)],
        feeds: Vec::new(),
        seed: 0,
        carried: Carried::default(),
        told_by: None,
        shares: vec![share(0), share(1)],
        to,
    });
    one
}

/// A reference lane for each share.
fn beside_all(load: &mut Assignment) {
    let Act::Load(beside) = &mut load.stages[0].steps[0].act else {
        panic!()
    };
    for share in &mut beside.shares {
        share.reference = Some("2/s".parse().unwrap());
    }
}

#[test]
fn what_a_load_sends_holds_and_runs_on_has_its_limits() {
    let mut policy = Policy::careful();
    let against = |policy: &Policy, load: &Assignment| {
        let denied = policy.denials(load, &[]);
        denied.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let load = loading("500/s", 1_000, 2);
    assert_eq!(
        against(&policy, &load),
        ["action load.http is not in `actions`"]
    );
    policy.actions.insert(Load::<Target>::action());
    assert_eq!(against(&policy, &load), [""; 0]);
    policy.limits.load_threads = Some(4);
    assert_eq!(against(&policy, &load), [""; 0], "two shares of two");
    policy.limits.load_threads = Some(3);
    assert_eq!(
        against(&policy, &loading("501/s", 1_001, 2)),
        [
            "stage one makes 502 requests/s, `limits.requests-per-second` is 500",
            "stage one may hold 2002 connections, `limits.connections` is 2000",
            "stage one sends load by 4 threads, `limits.load-threads` is 3",
        ]
    );
    let mut load = loading("498/s", 999, 1);
    let Act::Load(beside) = &mut load.stages[0].steps[0].act else {
        panic!()
    };
    beside.shares[0].reference = Some("2/s".parse().unwrap());
    assert_eq!(against(&policy, &load), [""; 0], "a reference lane counts");
    beside_all(&mut load);
    assert_eq!(
        against(&policy, &load),
        [
            "stage one makes 502 requests/s, `limits.requests-per-second` is 500",
            "stage one sends load by 4 threads, `limits.load-threads` is 3",
        ]
    );
}

#[test]
fn a_burst_counts_by_its_worst_second_and_not_by_its_mean() {
    let rate = |every: u64, offsets: &[u64]| {
        let mut one = assignment(&vec![tcp("10.0.0.1", 1); offsets.len()], Nanos(every));
        let Act::Probe(probe) = &mut one.stages[0].steps[0].act else {
            panic!()
        };
        for (target, offset) in probe.to.iter_mut().zip(offsets) {
            target.offset = Nanos(*offset);
        }
        peak_rate(&one)
    };
    let second = SECOND.0;
    let even: Vec<u64> = (0..100).map(|nth| nth * second / 10).collect();
    assert_eq!(rate(10 * second, &even), 10, "spread over ten seconds");
    assert_eq!(rate(10 * second, &[0; 100]), 100, "all at once");
    assert_eq!(rate(second / 10, &[7]), 10);
    assert_eq!(rate(second * 7 / 10, &[0]), 2, "at 0 and at 0.7 s");
    assert_eq!(
        rate(10 * second, &[9 * second + second / 2, 0, second]),
        2,
        "over the end of a turn"
    );
    assert_eq!(rate(3600 * second, &[0]), 1);
}

#[test]
fn the_doors_of_our_own_controller_are_no_targets() {
    let policy = Policy::careful();
    let door = |text: &str| Endpoint::try_from(text.to_owned()).unwrap();
    let doors = [
        door("10.0.0.1:7444"),
        door("127.0.0.1:7443"),
        door("localhost:7444"),
    ];
    let ask = |host: &str, port| {
        let asked = assignment(&[tcp(host, port)], Nanos::from_secs(1));
        policy.admits(&asked, &doors)
    };
    for (host, port) in [
        ("10.0.0.1", 7444),
        ("::ffff:10.0.0.1", 7444),
        ("127.0.0.1", 7443),
        ("127.0.0.2", 7443),
        ("::1", 7443),
        ("LOCALHOST.", 7444),
    ] {
        let denied = ask(host, port);
        assert!(
            matches!(denied, Err(Denied::Controller(_))),
            "{host}:{port}"
        );
    }
    for (host, port) in [("10.0.0.1", 7445), ("10.0.0.2", 7444), ("127.0.0.1", 7444)] {
        assert_eq!(ask(host, port), Ok(()), "{host}:{port}");
    }
}

#[test]
fn a_name_may_have_addresses_of_its_own() {
    let mut policy = Policy::careful();
    let mut rule = named("api.example");
    rule.addresses = vec!["93.184.0.0/16".parse().unwrap()];
    policy.targets.push(rule);
    let at = |host: &str, ip: &str| {
        let check = http(&format!("https://{host}/"), "");
        policy.admits_address(&Endpoint::of(&check).unwrap(), ip.parse().unwrap())
    };
    assert_eq!(at("api.example", "93.184.216.34"), Ok(()));
    assert_eq!(at("api.example", "::ffff:93.184.216.34"), Ok(()));
    assert!(matches!(
        at("api.example", "93.185.0.1"),
        Err(Denied::Target(_))
    ));
    assert!(matches!(
        at("b.example", "93.184.216.34"),
        Err(Denied::Target(_))
    ));
    assert!(matches!(
        at("93.184.216.34", "93.184.216.34"),
        Err(Denied::Target(_))
    ));
    policy.targets.last_mut().unwrap().addresses = vec!["0.0.0.0/0".parse().unwrap()];
    let check = http("https://api.example/", "");
    let metadata = "169.254.169.254".parse().unwrap();
    assert!(matches!(
        policy.admits_address(&Endpoint::of(&check).unwrap(), metadata),
        Err(Denied::BuiltIn { .. })
    ));
}

#[test]
fn a_policy_reads_back_and_a_doubtful_one_is_refused() {
    let mut policy = Policy::careful();
    policy.targets.push(named("a.example"));
    policy
        .secrets
        .insert("file:/run/t".parse().unwrap(), vec![named("a.example")]);
    let text = policy.canonical();
    assert_eq!(Policy::read(&text), Some(policy.clone()));
    let change = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        assert_eq!(Policy::read(&changed), None, "{changed}");
    };
    change("nepho.policy/v1", "nepho.policy/v2");
    change("\"limits\"", "\"extra\":1,\"limits\"");
    change("\"probe.http\"", "\"probe.tcp\"");
    change("10.0.0.0/8", "10.0.0.1/8");
    change("10.0.0.0/8", "10.0.0.0/33");
    change("\"10.0.0.0/8\"", "\"127.0.0.0/8\"");
    change(
        "{\"network\":\"10.0.0.0/8\"",
        "{\"network\":\"10.0.0.0/8\",\"host\":\"a\"",
    );
    change("\"all\"", "\"some\"");
    change("\"443\"", "\"443-1\"");
    change("\"443\"", "\"0\"");
    change("file:/run/t", "file:run/t");
    let ports = |text: &str| serde_json::from_str::<Ports>(text);
    assert_eq!(
        ports("[443, \"8000-8010\"]").unwrap(),
        Ports::Only(vec![(443, 443), (8000, 8010)])
    );
    assert!(ports("443").unwrap().contain(443) && !ports("443").unwrap().contain(80));
}
