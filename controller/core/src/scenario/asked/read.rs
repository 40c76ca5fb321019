//! From the file to what a probe asks.

use std::collections::{BTreeMap, BTreeSet};

use nepho_common::{json_path::JsonPath, plan::DnsRecord, time::Nanos};

use super::{
    super::{
        duration::duration,
        raw::{
            RawDns, RawEvent, RawHttp, RawNats, RawProbe, RawPrometheus, RawRedis, RawTcp, RawTls,
            RawWebhook,
        },
    },
    DnsProbe, EventProbe, HttpProbe, ProbeKind, PrometheusProbe, TcpProbe, TlsProbe,
    form::{dns_answer, dns_name, grpc_service, host_name, line, millionths, word},
};
use crate::{
    diagnose::{Checker, Code, Pointer, Problem, quoted},
    fleet::{HeaderName, HeaderPart, HeaderValue, Method, headers, method, request_path, statuses},
};

const KINDS: &str = "exactly one of `health`, `http`, `tcp`, `tls`, `dns`, `icmp`, `grpc`, `prometheus` and `event`";

/// Parses what the probe at `at` asks.
pub(crate) fn kind(checker: &mut Checker, at: &Pointer, raw: &RawProbe) -> Option<ProbeKind> {
    let given = [
        raw.health.is_some(),
        raw.http.is_some(),
        raw.tcp.is_some(),
        raw.tls.is_some(),
        raw.dns.is_some(),
        raw.icmp.is_some(),
        raw.grpc.is_some(),
        raw.prometheus.is_some(),
        raw.event.is_some(),
    ];
    let count = given.into_iter().filter(|given| *given).count();
    if count != 1 {
        if !checker.is_incomplete(at) {
            let what = if count > 1 {
                "this probe asks more than one thing"
            } else {
                "this probe doesn't say what to ask"
            };
            let problem = Problem::new(Code::ExactlyOne, what)
                .label(KINDS)
                .help("`health: {}` asks what the fleet file says for each service");
            checker.at_key(at, problem);
        }
        return None;
    }
    let RawProbe {
        health,
        http,
        tcp,
        tls,
        dns,
        icmp,
        grpc,
        prometheus,
        event,
        ..
    } = raw;
    let health = health.as_ref().map(|_| ProbeKind::Health);
    let icmp = icmp.as_ref().map(|_| ProbeKind::Icmp);
    let tcp = tcp.as_ref().map(|raw| ProbeKind::Tcp(self::tcp(raw)));
    if let Some(kind) = health.or(icmp).or(tcp) {
        return Some(kind);
    }
    if let Some(raw) = http {
        return http_probe(checker, &at.key("http"), raw);
    }
    if let Some(raw) = tls {
        return tls_probe(checker, &at.key("tls"), raw);
    }
    if let Some(raw) = dns {
        return dns_probe(checker, &at.key("dns"), raw);
    }
    if let Some(raw) = grpc {
        let at = at.key("grpc").key("service");
        let text = raw.service.as_deref();
        let service = checker.text(&at, Some(text.unwrap_or_default()), grpc_service)?;
        return Some(ProbeKind::Grpc(service));
    }
    if let Some(raw) = prometheus {
        return prometheus_probe(checker, &at.key("prometheus"), raw);
    }
    event
        .as_ref()
        .and_then(|raw| event_probe(checker, &at.key("event"), raw))
}

/// Parses the headers that an answer must have, at `at`.
pub(crate) fn headers_have(
    checker: &mut Checker,
    at: &Pointer,
    raw: &Option<BTreeMap<String, Option<String>>>,
) -> Vec<(HeaderName, String)> {
    let mut found = Vec::new();
    for (name, value) in raw.iter().flatten() {
        match (HeaderName::parse(name), value) {
            (Ok(name), Some(value)) => found.push((name, value.clone())),
            (Ok(_), None) => {}
            (Err(why), _) => {
                let message = format!("no header can be named {}", quoted(name));
                let problem = Problem::new(Code::BadHttp, message).label(why.to_string());
                checker.at_key(&at.key(name), problem);
            }
        }
    }
    found
}

/// Parses what a JSON body must hold, at `at`.
pub(crate) fn json(
    checker: &mut Checker,
    at: &Pointer,
    raw: &Option<BTreeMap<String, Option<String>>>,
) -> Vec<(JsonPath, String)> {
    let mut found = Vec::new();
    for (path, value) in raw.iter().flatten() {
        match (path.parse::<JsonPath>(), value) {
            (Ok(path), Some(value)) => found.push((path, value.clone())),
            (Ok(_), None) => {}
            (Err(why), _) => {
                let message = format!("{} is not a path into JSON", quoted(path));
                let problem = Problem::new(Code::BadQuestion, message).label(why.to_string());
                checker.at_key(&at.key(path), problem);
            }
        }
    }
    found
}

fn http_probe(checker: &mut Checker, at: &Pointer, raw: &RawHttp) -> Option<ProbeKind> {
    let method = method(checker, &at.key("method"), raw.method.as_deref());
    let headers = headers(checker, &at.key("headers"), raw.headers.as_ref());
    // No default: the schema asks for a path.
    let path = raw
        .path
        .as_deref()
        .and_then(|text| request_path(checker, &at.key("path"), Some(text), ""));
    let ok = statuses(raw.status.as_ref());
    let headers_have = headers_have(checker, &at.key("headers-have"), &raw.headers_have);
    let json = json(checker, &at.key("json"), &raw.json);
    let version = raw.version.as_deref().unwrap_or("1.1");
    let http2 = checker.text(&at.key("version"), Some(version), |text| {
        word(text, "version of HTTP", &[("1.1", false), ("2", true)])
    });
    let method = method?;
    let is_empty = method == Method::Head && (raw.body.is_some() || !json.is_empty());
    if is_empty {
        let problem = Problem::new(Code::BadQuestion, "an answer to HEAD has no body")
            .label("HEAD with `body` or `json`")
            .help("ask with GET, or leave `body` and `json` out");
        checker.at_key(at, problem);
        return None;
    }
    Some(ProbeKind::Http(Box::new(HttpProbe {
        method,
        path: path?,
        headers,
        ok,
        headers_have,
        body: raw.body.clone().unwrap_or_default(),
        json,
        redirects: raw.redirects.unwrap_or_default(),
        http2: http2?,
    })))
}

fn tcp(raw: &RawTcp) -> TcpProbe {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    TcpProbe {
        banner: text(&raw.banner),
        send: text(&raw.send),
        expect: text(&raw.expect),
    }
}

/// A year: certificates of the public are good for less.
const LEFT: (Nanos, Nanos) = (Nanos(0), Nanos::from_secs(366 * 86_400));

fn tls_probe(checker: &mut Checker, at: &Pointer, raw: &RawTls) -> Option<ProbeKind> {
    let name = raw.name.as_deref().unwrap_or_default();
    let name = checker.text(&at.key("name"), Some(name), |text| {
        if text.is_empty() {
            Ok(String::new())
        } else {
            host_name(text)
        }
    });
    let place = at.key("names");
    let mut names = Vec::new();
    for (index, text) in raw.names.iter().flatten().enumerate() {
        names.extend(checker.text(&place.index(index), text.as_deref(), host_name));
    }
    let left = raw.left.as_deref().unwrap_or("0s");
    let left = duration(checker, &at.key("left"), Some(left), LEFT.0, LEFT.1);
    let version = raw.version.as_deref().unwrap_or("1.2");
    let only_1_3 = checker.text(&at.key("version"), Some(version), |text| {
        word(text, "version of TLS", &[("1.2", false), ("1.3", true)])
    });
    Some(ProbeKind::Tls(TlsProbe {
        name: name?,
        names,
        left: left?,
        only_1_3: only_1_3?,
    }))
}

fn dns_probe(checker: &mut Checker, at: &Pointer, raw: &RawDns) -> Option<ProbeKind> {
    let name = checker.text(&at.key("name"), raw.name.as_deref(), dns_name);
    let record = raw.record.as_deref().unwrap_or("A");
    let record = checker.text(&at.key("record"), Some(record), |text| {
        let words = DnsRecord::ALL.map(|record| (record.word(), record));
        word(text, "kind of record", &words)
    })?;
    let place = at.key("answers");
    let mut answers = BTreeSet::new();
    for (index, text) in raw.answers.iter().flatten().enumerate() {
        let answer = |text: &str| dns_answer(record, text);
        answers.extend(checker.text(&place.index(index), text.as_deref(), answer));
    }
    Some(ProbeKind::Dns(DnsProbe {
        name: name?,
        record,
        answers,
    }))
}

fn prometheus_probe(checker: &mut Checker, at: &Pointer, raw: &RawPrometheus) -> Option<ProbeKind> {
    let headers = headers(checker, &at.key("headers"), raw.headers.as_ref());
    let query = checker.text(&at.key("query"), raw.query.as_deref(), line);
    let mut bound = |key: &str, text: &Option<String>| match text {
        Some(text) => checker.text(&at.key(key), Some(text), millionths).map(Some),
        None => Some(None),
    };
    let (min, max) = (bound("min", &raw.min)?, bound("max", &raw.max)?);
    let (problem, label) = match (min, max) {
        (None, None) if !checker.is_incomplete(at) => {
            ("every number would do", "this needs `min`, `max` or both")
        }
        (Some(min), Some(max)) if min > max => ("no number would do", "`min` is above `max`"),
        _ => {
            return Some(ProbeKind::Prometheus(PrometheusProbe {
                query: query?,
                min,
                max,
                headers,
            }));
        }
    };
    checker.at_key(at, Problem::new(Code::BadBounds, problem).label(label));
    None
}

fn event_probe(checker: &mut Checker, at: &Pointer, raw: &RawEvent) -> Option<ProbeKind> {
    let event = match (&raw.redis, &raw.nats, &raw.webhook) {
        (Some(raw), None, None) => redis(checker, &at.key("redis"), raw),
        (None, Some(raw), None) => nats(checker, &at.key("nats"), raw),
        (None, None, Some(raw)) => webhook(checker, &at.key("webhook"), raw),
        _ => {
            if !checker.is_incomplete(at) {
                let problem = Problem::new(Code::ExactlyOne, "through what is the message sent?")
                    .label("exactly one of `redis`, `nats` and `webhook`");
                checker.at_key(at, problem);
            }
            None
        }
    };
    event.map(ProbeKind::Event)
}

fn redis(checker: &mut Checker, at: &Pointer, raw: &RawRedis) -> Option<EventProbe> {
    let stream = checker.text(&at.key("stream"), raw.stream.as_deref(), line);
    let password = secret(checker, &at.key("password"), raw.password.as_deref())?;
    Some(EventProbe::Redis {
        stream: stream?,
        password,
    })
}

fn nats(checker: &mut Checker, at: &Pointer, raw: &RawNats) -> Option<EventProbe> {
    let subject = checker.text(&at.key("subject"), raw.subject.as_deref(), |text| {
        let token = |token: &str| {
            let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            !token.is_empty() && token.bytes().all(legal)
        };
        if text.split('.').all(token) {
            Ok(text.to_owned())
        } else {
            let message = format!("{} is not a subject to publish on", quoted(text));
            let problem = Problem::new(Code::BadQuestion, message);
            Err(problem.label("letters, digits, `-` and `_` between dots, no wildcard"))
        }
    });
    let token = secret(checker, &at.key("token"), raw.token.as_deref())?;
    Some(EventProbe::Nats {
        subject: subject?,
        token,
    })
}

fn webhook(checker: &mut Checker, at: &Pointer, raw: &RawWebhook) -> Option<EventProbe> {
    let headers = headers(checker, &at.key("headers"), raw.headers.as_ref());
    let mut path = |key: &str, text: &Option<String>| {
        let text = text.as_deref()?;
        request_path(checker, &at.key(key), Some(text), "")
    };
    let (post, seen) = (path("post", &raw.post), path("seen", &raw.seen));
    Some(EventProbe::Webhook {
        post: post?,
        seen: seen?,
        headers,
    })
}

/// A value that is a secret: it must be a reference.
fn secret(checker: &mut Checker, at: &Pointer, text: Option<&str>) -> Option<Option<HeaderValue>> {
    let Some(text) = text else {
        return (!checker.is_refused(at)).then_some(None);
    };
    let value = checker.text(at, Some(text), |text| match HeaderValue::parse(text) {
        Ok(value) if matches!(value.parts(), [HeaderPart::Env(_) | HeaderPart::File(_)]) => {
            Ok(value)
        }
        Ok(_) | Err(_) => Err(Problem::new(Code::LiteralSecret, "this is a secret")
            .label("a secret may not stand in a file")
            .help("let the agent read it: \"${env:NAME}\" or \"${file:/PATH}\"")),
    });
    value.map(Some)
}
