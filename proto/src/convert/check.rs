//! One request with everything it needs.

mod later;

use std::collections::BTreeSet;

use nepho_common::plan::{Check, HttpCheck, TcpCheck};

use super::field::{at_most, plain, within_range};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    limits::{HEADERS_MAX, HOST_NAME_MAX, REDIRECTS_MAX, STATUSES_MAX, TEXT_MAX, URL_MAX},
    wire::{self, target::Check as Wire},
};

impl TryFrom<Wire> for Check {
    type Error = BadMessage;

    fn try_from(wire: Wire) -> Result<Self, BadMessage> {
        match wire {
            Wire::Http(http) => http.try_into().map(Self::Http).within("http"),
            Wire::Tcp(tcp) => tcp.try_into().map(Self::Tcp).within("tcp"),
            Wire::Tls(tls) => tls.try_into().map(Self::Tls).within("tls"),
            Wire::Dns(dns) => dns.try_into().map(Self::Dns).within("dns"),
            Wire::Icmp(icmp) => icmp.try_into().map(Self::Icmp).within("icmp"),
            Wire::Grpc(grpc) => grpc.try_into().map(Self::Grpc).within("grpc"),
            Wire::Prometheus(ask) => ask.try_into().map(Self::Prometheus).within("prometheus"),
            Wire::Event(event) => event.try_into().map(Self::Event).within("event"),
        }
    }
}

impl From<&Check> for Wire {
    fn from(check: &Check) -> Self {
        match check {
            Check::Http(http) => Self::Http(http.into()),
            Check::Tcp(tcp) => Self::Tcp(tcp.into()),
            Check::Tls(tls) => Self::Tls(tls.into()),
            Check::Dns(dns) => Self::Dns(dns.into()),
            Check::Icmp(icmp) => Self::Icmp(icmp.into()),
            Check::Grpc(grpc) => Self::Grpc(grpc.into()),
            Check::Prometheus(ask) => Self::Prometheus(ask.into()),
            Check::Event(event) => Self::Event(event.into()),
        }
    }
}

impl TryFrom<wire::HttpCheck> for HttpCheck {
    type Error = BadMessage;

    fn try_from(wire: wire::HttpCheck) -> Result<Self, BadMessage> {
        within_range("redirects", wire.redirects.into(), 0, REDIRECTS_MAX.into())?;
        Ok(Self {
            url: filled("url", wire.url, URL_MAX)?,
            method: filled("method", wire.method, 16)?,
            headers: headers("headers", wire.headers)?,
            status: statuses(&wire.status).within("status")?,
            headers_have: headers("headers_have", wire.headers_have)?,
            body_has: brief("body_has", wire.body_has)?,
            json: headers("json", wire.json)?,
            redirects: wire.redirects,
            http2: wire.http2,
        })
    }
}

/// Pairs of a name and a value. A line break in a header would smuggle a second request past
/// whoever reads the plan.
pub(super) fn headers(
    field: &str,
    all: Vec<wire::Header>,
) -> Result<Vec<(String, String)>, BadMessage> {
    at_most(field, all.len(), HEADERS_MAX)?;
    let header = |(place, header): (usize, wire::Header)| {
        let name = filled("name", header.name, URL_MAX);
        let both = name.and_then(|name| Ok((name, plain("value", header.value, URL_MAX)?)));
        both.within(&format!("{field}[{place}]"))
    };
    all.into_iter().enumerate().map(header).collect()
}

pub(super) fn wire_headers(headers: &[(String, String)]) -> Vec<wire::Header> {
    let header = |(name, value): &(String, String)| wire::Header {
        name: name.clone(),
        value: value.clone(),
    };
    headers.iter().map(header).collect()
}

/// A text that may hold line breaks: it is no part of a header.
fn brief(field: &str, text: String) -> Result<String, BadMessage> {
    at_most(field, text.len(), TEXT_MAX)?;
    Ok(text)
}

fn filled(field: &str, text: String, max: usize) -> Result<String, BadMessage> {
    if text.is_empty() {
        return Err(Wrong::Missing).within(field);
    }
    plain(field, text, max)
}

fn statuses(wire: &[u32]) -> Result<BTreeSet<u16>, BadMessage> {
    at_most("", wire.len(), STATUSES_MAX)?;
    let mut statuses = BTreeSet::new();
    for &status in wire {
        // RFC 9110 §15: three digits.
        let legal = u16::try_from(status)
            .ok()
            .filter(|code| (100..1000).contains(code));
        let code = legal.ok_or(Wrong::Range {
            found: status.into(),
            min: 100,
            max: 999,
        })?;
        if !statuses.insert(code) {
            return Err(Wrong::Twice.into());
        }
    }
    Ok(statuses)
}

impl From<&HttpCheck> for wire::HttpCheck {
    fn from(check: &HttpCheck) -> Self {
        Self {
            url: check.url.clone(),
            method: check.method.clone(),
            headers: wire_headers(&check.headers),
            status: check.status.iter().map(|&code| code.into()).collect(),
            headers_have: wire_headers(&check.headers_have),
            body_has: check.body_has.clone(),
            json: wire_headers(&check.json),
            redirects: check.redirects,
            http2: check.http2,
        }
    }
}

impl TryFrom<wire::TcpCheck> for TcpCheck {
    type Error = BadMessage;

    fn try_from(wire: wire::TcpCheck) -> Result<Self, BadMessage> {
        Ok(Self {
            host: filled("host", wire.host, HOST_NAME_MAX)?,
            port: port("port", wire.port)?,
            banner: brief("banner", wire.banner)?,
            send: brief("send", wire.send)?,
            expect: brief("expect", wire.expect)?,
        })
    }
}

/// A port that something can listen on.
pub(super) fn port(field: &str, port: u32) -> Result<u16, BadMessage> {
    within_range(field, port.into(), 1, u16::MAX.into())?;
    Ok(u16::try_from(port).expect("just checked"))
}

impl From<&TcpCheck> for wire::TcpCheck {
    fn from(check: &TcpCheck) -> Self {
        Self {
            host: check.host.clone(),
            port: check.port.into(),
            banner: check.banner.clone(),
            send: check.send.clone(),
            expect: check.expect.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http() -> wire::HttpCheck {
        let header = wire::Header {
            name: "Accept".to_owned(),
            value: "*/*".to_owned(),
        };
        wire::HttpCheck {
            url: "http://a/".to_owned(),
            method: "GET".to_owned(),
            headers: vec![header],
            status: vec![200],
            ..wire::HttpCheck::default()
        }
    }

    #[test]
    fn a_header_can_not_smuggle_a_second_request() {
        assert!(HttpCheck::try_from(http()).is_ok());
        for text in ["a\r\nHost: b", "a\n", "a\0"] {
            let mut wire = http();
            wire.headers[0].value = text.to_owned();
            let bad = HttpCheck::try_from(wire).unwrap_err();
            assert_eq!(
                (bad.field.as_str(), bad.wrong),
                ("headers[0].value", Wrong::Control)
            );
            let wire = wire::HttpCheck {
                url: text.to_owned(),
                ..http()
            };
            assert_eq!(HttpCheck::try_from(wire).unwrap_err().field, "url");
        }
    }

    #[test]
    fn a_status_has_three_digits_and_is_named_once() {
        for status in [vec![99], vec![1000], vec![65_736], vec![200, 200]] {
            let wire = wire::HttpCheck { status, ..http() };
            assert_eq!(HttpCheck::try_from(wire).unwrap_err().field, "status");
        }
    }

    #[test]
    fn a_port_is_one_that_something_can_listen_on() {
        for (port, legal) in [(0, false), (1, true), (65_535, true), (65_536, false)] {
            let wire = wire::TcpCheck {
                host: "a".to_owned(),
                port,
                ..wire::TcpCheck::default()
            };
            assert_eq!(TcpCheck::try_from(wire).is_ok(), legal, "{port}");
        }
    }
}
