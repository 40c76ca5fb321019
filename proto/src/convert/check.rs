//! One request with everything it needs.

use std::collections::BTreeSet;

use nepho_common::plan::{Check, HttpCheck, TcpCheck};

use super::field::{at_most, plain, within_range};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    limits::{HEADERS_MAX, HOST_NAME_MAX, STATUSES_MAX, URL_MAX},
    wire::{self, target::Check as Wire},
};

impl TryFrom<Wire> for Check {
    type Error = BadMessage;

    fn try_from(wire: Wire) -> Result<Self, BadMessage> {
        match wire {
            Wire::Http(http) => http.try_into().map(Self::Http).within("http"),
            Wire::Tcp(tcp) => tcp.try_into().map(Self::Tcp).within("tcp"),
        }
    }
}

impl From<&Check> for Wire {
    fn from(check: &Check) -> Self {
        match check {
            Check::Http(http) => Self::Http(http.into()),
            Check::Tcp(tcp) => Self::Tcp(tcp.into()),
        }
    }
}

impl TryFrom<wire::HttpCheck> for HttpCheck {
    type Error = BadMessage;

    fn try_from(wire: wire::HttpCheck) -> Result<Self, BadMessage> {
        at_most("headers", wire.headers.len(), HEADERS_MAX)?;
        // A line break in a header would smuggle a second request past whoever reads the plan.
        let header = |(place, header): (usize, wire::Header)| {
            let name = filled("name", header.name, URL_MAX);
            let both = name.and_then(|name| Ok((name, plain("value", header.value, URL_MAX)?)));
            both.within(&format!("headers[{place}]"))
        };
        Ok(Self {
            url: filled("url", wire.url, URL_MAX)?,
            method: filled("method", wire.method, 16)?,
            headers: wire
                .headers
                .into_iter()
                .enumerate()
                .map(header)
                .collect::<Result<_, _>>()?,
            status: statuses(&wire.status).within("status")?,
        })
    }
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
        let header = |(name, value): &(String, String)| wire::Header {
            name: name.clone(),
            value: value.clone(),
        };
        Self {
            url: check.url.clone(),
            method: check.method.clone(),
            headers: check.headers.iter().map(header).collect(),
            status: check.status.iter().map(|&code| code.into()).collect(),
        }
    }
}

impl TryFrom<wire::TcpCheck> for TcpCheck {
    type Error = BadMessage;

    fn try_from(wire: wire::TcpCheck) -> Result<Self, BadMessage> {
        Ok(Self {
            host: filled("host", wire.host, HOST_NAME_MAX)?,
            port: port("port", wire.port)?,
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
            };
            assert_eq!(TcpCheck::try_from(wire).is_ok(), legal, "{port}");
        }
    }
}
