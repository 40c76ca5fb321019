//! What `nepho demo --broken` plants, and where the report must tell of it.
//!
//! The report knows nothing of this list: it is compared with what was found afterwards.

use nepho_common::plan::Dimension;
use nepho_controller_core::report::{Report, Verdict};

use super::reference::Service;

/// A name that the name servers of the broken demo know, and its right address.
pub(super) const NAME: (&str, &str) = ("crm.example", "10.20.0.5");

/// One planted fault.
#[derive(Debug)]
pub struct Fault {
    /// What it is, for people.
    pub what: &'static str,
    how: How,
    /// The finding that tells of it first.
    finding: &'static str,
    /// What its cause says.
    says: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum How {
    /// This service of this environment is started with these options.
    Started(&'static str, &'static str, &'static [&'static str]),
    /// It is ended once everything is up.
    Killed(&'static str, &'static str),
    /// Another program listens in its place.
    Held(&'static str, &'static str, &'static str),
    /// The round trip between these two takes so much longer, in milliseconds.
    Stretched(&'static str, &'static str, u16),
    /// The scenario asks for more than can be.
    Asked,
}

/// All of them.
pub(super) const FAULTS: [Fault; 13] = [
    Fault {
        what: "dead node: local/blockchain-node-2 does not run",
        how: How::Killed("local", "blockchain-node-2"),
        finding: "local/reach/failures/local/local/blockchain-node-2",
        says: "Nothing listens at",
    },
    Fault {
        what: "500 at home: local/job-service answers 500",
        how: How::Started("local", "job-service", &["--switch", "{\"status\":500}"]),
        finding: "local/reach/failures/local/local/job-service",
        says: "answered 500: the service itself fails",
    },
    Fault {
        what: "404 in the clouds: tencent/blockchain-gateway is too old to have /health",
        how: How::Started(
            "tencent",
            "blockchain-gateway",
            &["--without", "/health", "--service-version", "1.8.2"],
        ),
        finding: "cloud/reach/failures/tencent/tencent/blockchain-gateway",
        says: "runs version 1.8.2, while",
    },
    Fault {
        what: "slow link: 60 ms too much between tencent and aliyun",
        how: How::Stretched("tencent", "aliyun", 60),
        finding: "cloud/tencent-to-aliyun/latency.p50/tencent/aliyun",
        says: "The way between tencent and aliyun is slow",
    },
    Fault {
        what: "expired certificate: that of local/auth-service ended three days ago",
        how: How::Started("local", "auth-service", &["--tls=-3"]),
        finding: "local/reach/failures/local/local/auth-service",
        says: "ended 3 days ago",
    },
    Fault {
        what: "wrong DNS answer: tencent/name-server has an old address of crm.example",
        how: How::Started(
            "tencent",
            "name-server",
            &["--answer", "crm.example=10.20.0.99"],
        ),
        finding: "hybrid/names-tencent/failures/tencent/tencent/name-server",
        says: "local/name-server/1 answers as expected",
    },
    Fault {
        what: "flapping service: local/notification-service is down every other 5 s",
        how: How::Started(
            "local",
            "notification-service",
            &["--switch", "{\"flap_ms\":5000}"],
        ),
        finding: "local/reach/failures/local/local/notification-service",
        says: "flaps: it went down",
    },
    Fault {
        what: "port held by another program: log-shipper listens in place of local/template-service",
        how: How::Held("local", "template-service", "log-shipper"),
        finding: "local/reach/failures/local/local/template-service",
        says: "is held by another program, log-shipper",
    },
    Fault {
        what: "version that differs: tencent/blockchain-node-1 was left behind",
        how: How::Started(
            "tencent",
            "blockchain-node-1",
            &["--service-version", "1.9.3"],
        ),
        finding: "hybrid/versions/same.version/blockchain-node-1",
        says: "tencent/blockchain-node-1/1 says 1.9.3",
    },
    Fault {
        what: "resource hog: local/crm-worker computes without end",
        how: How::Started("local", "crm-worker", &["--switch", "{\"burn\":true}"]),
        finding: "local/processes/resource.process.cpu/crm-worker",
        says: "process.cpu of crm-worker",
    },
    Fault {
        what: "slow service: local/statistics-service takes 150 ms",
        how: How::Started(
            "local",
            "statistics-service",
            &["--switch", "{\"delay_ms\":150}"],
        ),
        finding: "local/near-local/latency.p50/local/local/statistics-service",
        says: "local/statistics-service/1 itself is slow",
    },
    Fault {
        what: "skewed balancer: local/load-balancer gives crm-api twice its part",
        how: How::Started("local", "load-balancer", &["--skew", "local/crm-api/1=2"]),
        finding: "local/spread/distribution.instance",
        says: "local/crm-api/1 got 50",
    },
    Fault {
        what: "step that saturates: 70/s over 8 connections to a service that takes 150 ms",
        how: How::Asked,
        finding: "local/crowded/latency.p50",
        says: "The step is saturated",
    },
];

fn is(service: &Service, environment: &str, name: &str) -> bool {
    service.environment.as_str() == environment && service.name.as_str() == name
}

/// How a service is started otherwise than well.
pub(super) fn options(faults: &[Fault], service: &Service) -> Vec<&'static str> {
    let of = |fault: &Fault| match fault.how {
        How::Started(environment, name, options) if is(service, environment, name) => {
            options.to_vec()
        }
        // What is no health page of the service is none of the program in its place either.
        How::Held(environment, name, _) if is(service, environment, name) => {
            vec!["--without", "/health", "--without", "/version"]
        }
        How::Started(..) | How::Killed(..) | How::Held(..) | How::Stretched(..) | How::Asked => {
            Vec::new()
        }
    };
    faults.iter().flat_map(of).collect()
}

/// The program that listens in place of a service.
pub(super) fn holder(faults: &[Fault], service: &Service) -> Option<&'static str> {
    faults.iter().find_map(|fault| match fault.how {
        How::Held(environment, name, by) => is(service, environment, name).then_some(by),
        How::Started(..) | How::Killed(..) | How::Stretched(..) | How::Asked => None,
    })
}

/// Whether a service is ended before anybody asks it.
pub(super) fn is_dead(faults: &[Fault], service: &Service) -> bool {
    faults.iter().any(|fault| match fault.how {
        How::Killed(environment, name) => is(service, environment, name),
        How::Started(..) | How::Held(..) | How::Stretched(..) | How::Asked => false,
    })
}

/// What is added to the round trip between two environments, in milliseconds.
pub(super) fn stretch(faults: &[Fault], a: &str, b: &str) -> u16 {
    let of = |fault: &Fault| match fault.how {
        How::Stretched(one, other, by) if (one, other) == (a, b) => by,
        How::Stretched(..) | How::Started(..) | How::Killed(..) | How::Held(..) | How::Asked => 0,
    };
    faults.iter().map(of).sum()
}

/// Findings that failed of a service in which nothing was planted.
pub fn strangers<'a>(faults: &'a [Fault], report: &'a Report) -> impl Iterator<Item = &'a str> {
    let planted = |environment: &str, name: &str| {
        faults.iter().any(|fault| match fault.how {
            How::Started(at, of, _) | How::Killed(at, of) | How::Held(at, of, _) => {
                (at, of) == (environment, name)
            }
            How::Stretched(..) | How::Asked => false,
        })
    };
    report.findings.iter().filter_map(move |finding| {
        let environment = finding.on.get(&Dimension::Environment)?;
        let service = finding.on.get(&Dimension::Service)?;
        let is_strange = finding.verdict == Verdict::Fail && !planted(environment, service);
        is_strange.then_some(finding.id.as_str())
    })
}

impl Fault {
    /// The finding that names this fault and explains it, if the report has it.
    #[must_use]
    pub fn told<'a>(&self, report: &'a Report) -> Option<&'a str> {
        let finding = report.findings.iter().find(|one| one.id == self.finding)?;
        let cause = finding.cause.as_deref()?;
        let told = finding.verdict == Verdict::Fail
            && finding.priority.is_some()
            && cause.contains(self.says);
        told.then_some(cause)
    }

    /// Where it should have been told, and in which words.
    #[must_use]
    pub const fn expected(&self) -> (&'static str, &'static str) {
        (self.finding, self.says)
    }
}
