//! What a probe asks of one instance: the request, with everything it needs, and its name for
//! people and for the series.

use nepho_common::{
    id::Operation,
    plan::{
        Check, DnsCheck, EventCheck, GrpcCheck, HttpCheck, IcmpCheck, NatsCheck, PrometheusCheck,
        RedisCheck, Route, TcpCheck, TlsCheck, WebhookCheck,
    },
    time::Nanos,
};

use crate::{
    fleet::{Address, HeaderValue, Headers, Instance, Kind, Method, RequestPath, Scheme, Statuses},
    scenario::{EventProbe, HttpProbe, ProbeKind, TcpProbe},
};

/// The request of a probe of this kind to `to`, which is at `address` for who asks.
///
/// # Errors
/// The instance does not speak what is asked.
pub(super) fn ask(
    address: Option<&Address>,
    to: &Instance,
    kind: &ProbeKind,
) -> Result<(Operation, Route), String> {
    let no_http = |else_by: &str| {
        let what = format!("it does not speak HTTP; select other instances{else_by}");
        Err::<(Operation, Route), _>(what)
    };
    let made = |what: &str, check: &dyn Fn(&Address) -> Check| {
        let check = address.map(check);
        Ok((operation(what), route(check)))
    };
    match (kind, &to.kind) {
        (
            ProbeKind::Health,
            Kind::Http {
                health,
                ok,
                headers,
            },
        ) => Ok(plain_http(address, health, ok, headers)),
        (ProbeKind::Http(asked), Kind::Http { .. }) => Ok(http(address, asked)),
        (ProbeKind::Http(_), Kind::Tcp) => no_http(", or ask it by `tcp`"),
        (ProbeKind::Health, Kind::Tcp) => made("connect", &|at| tcp(at, &TcpProbe::default())),
        (ProbeKind::Tcp(asked), Kind::Http { .. } | Kind::Tcp) => {
            let is_silent = *asked == TcpProbe::default();
            let what = if is_silent { "connect" } else { "talk" };
            made(what, &|at| tcp(at, asked))
        }
        (ProbeKind::Tls(asked), Kind::Http { .. } | Kind::Tcp) => {
            if to_plain_http(address) {
                let what = "its address is plain http://, where no TLS is spoken; select other \
                            instances, or correct the address in the fleet file";
                return Err(what.to_owned());
            }
            made("TLS handshake", &|at| {
                Check::Tls(TlsCheck {
                    host: at.host().to_string(),
                    port: at.port(),
                    name: asked.name.clone(),
                    names: asked.names.clone(),
                    left: asked.left,
                    only_1_3: asked.only_1_3,
                })
            })
        }
        (ProbeKind::Dns(asked), Kind::Http { .. } | Kind::Tcp) => {
            let what = format!("{} {}", asked.record.word(), asked.name);
            made(&what, &|at| {
                Check::Dns(DnsCheck {
                    host: at.host().to_string(),
                    port: at.port(),
                    name: asked.name.clone(),
                    record: asked.record,
                    answers: asked.answers.clone(),
                })
            })
        }
        (ProbeKind::Icmp, Kind::Http { .. } | Kind::Tcp) => made("echo", &|at| {
            Check::Icmp(IcmpCheck {
                host: at.host().to_string(),
                port: at.port(),
            })
        }),
        (ProbeKind::Grpc(service), Kind::Http { .. } | Kind::Tcp) => {
            let what = if service.is_empty() {
                "gRPC health".to_owned()
            } else {
                format!("gRPC health of {service}")
            };
            made(&what, &|at| {
                Check::Grpc(GrpcCheck {
                    url: url(at),
                    service: service.clone(),
                })
            })
        }
        (ProbeKind::Prometheus(asked), Kind::Http { .. }) => {
            made(&format!("query {}", asked.query), &|at| {
                Check::Prometheus(PrometheusCheck {
                    url: url(at),
                    headers: sent(&asked.headers),
                    query: asked.query.clone(),
                    min: asked.min,
                    max: asked.max,
                })
            })
        }
        (ProbeKind::Event(asked), Kind::Http { .. } | Kind::Tcp) => event(address, to, asked),
        (ProbeKind::Prometheus(_), Kind::Tcp) => no_http(": a Prometheus server has `http`"),
    }
}

fn to_plain_http(address: Option<&Address>) -> bool {
    address.is_some_and(|address| address.scheme() == Scheme::Http)
}

fn event(
    address: Option<&Address>,
    to: &Instance,
    asked: &EventProbe,
) -> Result<(Operation, Route), String> {
    let secret = |value: &Option<HeaderValue>| {
        let text = value.as_ref().map(ToString::to_string);
        text.unwrap_or_default()
    };
    let made = |what: String, check: &dyn Fn(&Address) -> EventCheck| {
        let check = address.map(|at| Check::Event(check(at)));
        Ok((operation(&what), route(check)))
    };
    match (asked, &to.kind) {
        (EventProbe::Redis { stream, password }, Kind::Http { .. } | Kind::Tcp) => {
            made(format!("message through stream {stream}"), &|at| {
                EventCheck::Redis(RedisCheck {
                    host: at.host().to_string(),
                    port: at.port(),
                    stream: stream.clone(),
                    password: secret(password),
                })
            })
        }
        (EventProbe::Nats { subject, token }, Kind::Http { .. } | Kind::Tcp) => {
            made(format!("message through subject {subject}"), &|at| {
                EventCheck::Nats(NatsCheck {
                    host: at.host().to_string(),
                    port: at.port(),
                    subject: subject.clone(),
                    token: secret(token),
                })
            })
        }
        (
            EventProbe::Webhook {
                post,
                seen,
                headers,
            },
            Kind::Http { .. },
        ) => made(format!("message through {}", post.as_str()), &|at| {
            EventCheck::Webhook(WebhookCheck {
                url: url(at),
                post: post.as_str().to_owned(),
                seen: seen.as_str().to_owned(),
                headers: sent(headers),
            })
        }),
        (EventProbe::Webhook { .. }, Kind::Tcp) => {
            let what = "it does not speak HTTP; select other instances: a webhook has `http`";
            Err(what.to_owned())
        }
    }
}

/// What a fleet file says: a plain request.
fn plain_http(
    address: Option<&Address>,
    path: &RequestPath,
    ok: &Statuses,
    headers: &Headers,
) -> (Operation, Route) {
    let asked = HttpProbe {
        method: Method::Get,
        path: path.clone(),
        headers: headers.clone(),
        ok: ok.clone(),
        headers_have: Vec::new(),
        body: String::new(),
        json: Vec::new(),
        redirects: 0,
        http2: false,
    };
    http(address, &asked)
}

fn http(address: Option<&Address>, asked: &HttpProbe) -> (Operation, Route) {
    let path = asked.path.as_str();
    let have = asked.headers_have.iter();
    let have: Vec<_> = have
        .map(|(name, text)| (name.as_str().to_owned(), text.clone()))
        .collect();
    let json = asked.json.iter();
    let json: Vec<_> = json
        .map(|(path, text)| (path.to_string(), text.clone()))
        .collect();
    let check = |address: &Address| {
        debug_assert!(
            address.scheme() != Scheme::Tcp,
            "parse gave HTTP services a scheme"
        );
        Check::Http(HttpCheck {
            url: format!("{address}{path}"),
            method: asked.method.as_str().to_owned(),
            headers: sent(&asked.headers),
            status: asked.ok.clone(),
            headers_have: have.clone(),
            body_has: asked.body.clone(),
            json: json.clone(),
            redirects: asked.redirects,
            http2: asked.http2,
        })
    };
    let what = format!("{} {path}", asked.method);
    (operation(&what), route(address.map(check)))
}

fn tcp(address: &Address, asked: &TcpProbe) -> Check {
    Check::Tcp(TcpCheck {
        host: address.host().to_string(),
        port: address.port(),
        banner: asked.banner.clone(),
        send: asked.send.clone(),
        expect: asked.expect.clone(),
    })
}

/// References stay references: the agent that sends the request reads them.
fn sent(headers: &Headers) -> Vec<(String, String)> {
    let header = |(name, value): (&crate::fleet::HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), value.to_string())
    };
    headers.iter().map(header).collect()
}

/// Scheme, host and port; a bare TCP address speaks without TLS.
fn url(address: &Address) -> String {
    let bare = address.to_string();
    bare.strip_prefix("tcp://")
        .map_or(bare.clone(), |rest| format!("http://{rest}"))
}

fn operation(text: &str) -> Operation {
    let cut: String = text.chars().take(120).collect();
    let checked = Operation::try_from(cut);
    checked.expect("what is asked holds no control characters, and it was cut to 120")
}

fn route(check: Option<Check>) -> Route {
    check.map_or(Route::NoPath, |check| Route::Ask {
        check,
        offset: Nanos(0),
    })
}
