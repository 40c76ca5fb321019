//! For how long certificates are valid.

use nepho_common::{
    journal::Body,
    plan::{Act, Check, Judge, Route},
    recording::{Gauge, Unit},
    time::{Nanos, RunTime},
};

use crate::report::{
    fixture::{Author, agent, find, good, has, journal, of, plan, text},
    model::{Code, Priority, Report, Verdict},
};

/// A stage of HTTPS services, in which these hours were left of their certificates.
fn certificates(left: &[(&str, i32)]) -> Report {
    let mut plan = plan();
    plan.stages.truncate(1);
    let stage = &mut plan.stages[0];
    stage.expectations[0].by = Vec::new();
    stage.expectations[0].judge = Judge::Certificate {
        min: Nanos::from_secs(14 * 24 * 3_600),
    };
    let Act::Probe(probe) = &mut stage.steps[0].act else {
        panic!("a probe")
    };
    for path in &mut probe.to {
        if let Route::Ask {
            check: Check::Http(http),
            ..
        } = &mut path.route
        {
            http.url = http.url.replace("http:", "https:");
        }
    }
    let mut entries = journal(&plan, good);
    let mut author = Author::new(agent("local"), 9);
    let gauge = |(to, hours): &(&str, i32)| Gauge {
        name: text("certificate.left"),
        stage: "local".parse().unwrap(),
        step: "reach".parse().unwrap(),
        thing: None,
        of: Some(to.parse().unwrap()),
        at: RunTime(5),
        value: f64::from(*hours) * 3_600e9,
        unit: Unit::Nanoseconds,
    };
    author.write(Body::Gauges(left.iter().map(gauge).collect()));
    entries.extend(author.entries);
    of(entries)
}

#[test]
fn a_certificate_is_judged_by_what_was_seen_of_it() {
    let (dao, gateway) = ("local/dao-api/1", "local/gateway/1");
    let found = |left: &[(&str, i32)]| {
        let report = certificates(left);
        find(&report, "local/reach/certificate").clone()
    };
    // The database speaks no TLS, so nothing is asked of it.
    let good = found(&[(dao, 14 * 24), (gateway, 400 * 24)]);
    assert_eq!(good.verdict, Verdict::Pass, "{good:?}");
    assert_eq!(
        good.expected.text,
        "certificates are valid for at least 14 days more"
    );
    assert_eq!(good.observed.text, "the first to end ends in 14 days");
    // The least of what was seen counts.
    let soon = found(&[(dao, 14 * 24), (dao, 14 * 24 - 1), (gateway, 400 * 24)]);
    assert_eq!(soon.verdict, Verdict::Fail);
    assert_eq!(
        soon.cause.unwrap(),
        "Certificates end: that of local/dao-api/1 ends in 13 days."
    );
    let ended = found(&[(dao, -3), (gateway, 20)]);
    assert_eq!(ended.priority, Some(Priority::High));
    assert_eq!(
        ended.cause.unwrap(),
        "Certificates end: that of local/dao-api/1 ended 3 hours ago, that of local/gateway/1 ends \
         in 20 hours."
    );
    let unseen = found(&[(dao, 400 * 24)]);
    assert_eq!(unseen.verdict, Verdict::Inconclusive);
    assert_eq!(
        unseen.cause.unwrap(),
        "agent-local saw no certificate of local/gateway/1."
    );
    // One that ends too soon fails, whatever the others may be.
    assert_eq!(found(&[(dao, 1)]).verdict, Verdict::Fail);
    let strange = certificates(&[("tencent/crm/1", 1), (dao, 400 * 24), (gateway, 400 * 24)]);
    assert!(has(&strange, Code::NotPlanned));
    assert_eq!(
        find(&strange, "local/reach/certificate").verdict,
        Verdict::Pass
    );
}

#[test]
fn nothing_that_shows_a_certificate_is_no_pass() {
    let mut plan = plan();
    plan.stages[0].expectations[0].judge = Judge::Certificate {
        min: Nanos::from_secs(3_600),
    };
    let report = of(journal(&plan, good));
    let found = find(&report, "local/reach/certificate/gateway");
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(
        found
            .cause
            .as_ref()
            .unwrap()
            .contains("shows a certificate")
    );
}
