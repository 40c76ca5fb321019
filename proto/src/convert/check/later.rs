//! The kinds of request that came after HTTP and TCP.

use nepho_common::plan::{
    DnsCheck, DnsRecord, EventCheck, GrpcCheck, IcmpCheck, NatsCheck, PrometheusCheck, RedisCheck,
    TlsCheck, WebhookCheck,
};

use super::{filled, headers, port, wire_headers};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    convert::field::{at_most, choice, plain, span},
    limits::{ANSWERS_MAX, HOST_NAME_MAX, TEXT_MAX, URL_MAX},
    wire::{self, event_check::Channel},
};

/// Texts of at most so many bytes, none of them empty.
fn texts(field: &str, all: Vec<String>, max: usize) -> Result<Vec<String>, BadMessage> {
    at_most(field, all.len(), ANSWERS_MAX)?;
    let one = |(place, text)| filled(&format!("{field}[{place}]"), text, max);
    all.into_iter().enumerate().map(one).collect()
}

impl TryFrom<wire::TlsCheck> for TlsCheck {
    type Error = BadMessage;

    fn try_from(wire: wire::TlsCheck) -> Result<Self, BadMessage> {
        Ok(Self {
            host: filled("host", wire.host, HOST_NAME_MAX)?,
            port: port("port", wire.port)?,
            name: plain("name", wire.name, HOST_NAME_MAX)?,
            names: texts("names", wire.names, HOST_NAME_MAX)?,
            left: span("left", wire.left)?,
            only_1_3: wire.only_1_3,
        })
    }
}

impl From<&TlsCheck> for wire::TlsCheck {
    fn from(check: &TlsCheck) -> Self {
        Self {
            host: check.host.clone(),
            port: check.port.into(),
            name: check.name.clone(),
            names: check.names.clone(),
            left: check.left.0,
            only_1_3: check.only_1_3,
        }
    }
}

impl TryFrom<wire::DnsCheck> for DnsCheck {
    type Error = BadMessage;

    fn try_from(wire: wire::DnsCheck) -> Result<Self, BadMessage> {
        let record: DnsRecord = choice::<wire::DnsRecord, _>("record", wire.record)?;
        let answers = texts("answers", wire.answers, TEXT_MAX)?;
        let found = answers.len();
        let answers: std::collections::BTreeSet<_> = answers.into_iter().collect();
        if answers.len() < found {
            return Err(Wrong::Twice).within("answers");
        }
        Ok(Self {
            host: filled("host", wire.host, HOST_NAME_MAX)?,
            port: port("port", wire.port)?,
            name: filled("name", wire.name, HOST_NAME_MAX + 1)?,
            record,
            answers,
        })
    }
}

impl From<&DnsCheck> for wire::DnsCheck {
    fn from(check: &DnsCheck) -> Self {
        Self {
            host: check.host.clone(),
            port: check.port.into(),
            name: check.name.clone(),
            record: wire::DnsRecord::from(check.record).into(),
            answers: check.answers.iter().cloned().collect(),
        }
    }
}

impl TryFrom<wire::IcmpCheck> for IcmpCheck {
    type Error = BadMessage;

    fn try_from(wire: wire::IcmpCheck) -> Result<Self, BadMessage> {
        Ok(Self {
            host: filled("host", wire.host, HOST_NAME_MAX)?,
            port: port("port", wire.port)?,
        })
    }
}

impl From<&IcmpCheck> for wire::IcmpCheck {
    fn from(check: &IcmpCheck) -> Self {
        Self {
            host: check.host.clone(),
            port: check.port.into(),
        }
    }
}

impl TryFrom<wire::GrpcCheck> for GrpcCheck {
    type Error = BadMessage;

    fn try_from(wire: wire::GrpcCheck) -> Result<Self, BadMessage> {
        Ok(Self {
            url: filled("url", wire.url, URL_MAX)?,
            service: plain("service", wire.service, TEXT_MAX)?,
        })
    }
}

impl From<&GrpcCheck> for wire::GrpcCheck {
    fn from(check: &GrpcCheck) -> Self {
        Self {
            url: check.url.clone(),
            service: check.service.clone(),
        }
    }
}

impl TryFrom<wire::PrometheusCheck> for PrometheusCheck {
    type Error = BadMessage;

    fn try_from(wire: wire::PrometheusCheck) -> Result<Self, BadMessage> {
        Ok(Self {
            url: filled("url", wire.url, URL_MAX)?,
            headers: headers("headers", wire.headers)?,
            query: filled("query", wire.query, URL_MAX)?,
            min: wire.min,
            max: wire.max,
        })
    }
}

impl From<&PrometheusCheck> for wire::PrometheusCheck {
    fn from(check: &PrometheusCheck) -> Self {
        Self {
            url: check.url.clone(),
            headers: wire_headers(&check.headers),
            query: check.query.clone(),
            min: check.min,
            max: check.max,
        }
    }
}

impl TryFrom<wire::EventCheck> for EventCheck {
    type Error = BadMessage;

    fn try_from(wire: wire::EventCheck) -> Result<Self, BadMessage> {
        match wire.channel.ok_or(Wrong::Missing).within("channel")? {
            Channel::Redis(redis) => redis.try_into().map(Self::Redis).within("redis"),
            Channel::Nats(nats) => nats.try_into().map(Self::Nats).within("nats"),
            Channel::Webhook(hook) => hook.try_into().map(Self::Webhook).within("webhook"),
        }
    }
}

impl From<&EventCheck> for wire::EventCheck {
    fn from(check: &EventCheck) -> Self {
        let channel = match check {
            EventCheck::Redis(redis) => Channel::Redis(redis.into()),
            EventCheck::Nats(nats) => Channel::Nats(nats.into()),
            EventCheck::Webhook(hook) => Channel::Webhook(hook.into()),
        };
        Self {
            channel: Some(channel),
        }
    }
}

impl TryFrom<wire::RedisCheck> for RedisCheck {
    type Error = BadMessage;

    fn try_from(wire: wire::RedisCheck) -> Result<Self, BadMessage> {
        Ok(Self {
            host: filled("host", wire.host, HOST_NAME_MAX)?,
            port: port("port", wire.port)?,
            stream: filled("stream", wire.stream, TEXT_MAX)?,
            password: plain("password", wire.password, TEXT_MAX)?,
        })
    }
}

impl From<&RedisCheck> for wire::RedisCheck {
    fn from(check: &RedisCheck) -> Self {
        Self {
            host: check.host.clone(),
            port: check.port.into(),
            stream: check.stream.clone(),
            password: check.password.clone(),
        }
    }
}

impl TryFrom<wire::NatsCheck> for NatsCheck {
    type Error = BadMessage;

    fn try_from(wire: wire::NatsCheck) -> Result<Self, BadMessage> {
        Ok(Self {
            host: filled("host", wire.host, HOST_NAME_MAX)?,
            port: port("port", wire.port)?,
            subject: filled("subject", wire.subject, TEXT_MAX)?,
            token: plain("token", wire.token, TEXT_MAX)?,
        })
    }
}

impl From<&NatsCheck> for wire::NatsCheck {
    fn from(check: &NatsCheck) -> Self {
        Self {
            host: check.host.clone(),
            port: check.port.into(),
            subject: check.subject.clone(),
            token: check.token.clone(),
        }
    }
}

impl TryFrom<wire::WebhookCheck> for WebhookCheck {
    type Error = BadMessage;

    fn try_from(wire: wire::WebhookCheck) -> Result<Self, BadMessage> {
        Ok(Self {
            url: filled("url", wire.url, URL_MAX)?,
            post: filled("post", wire.post, URL_MAX)?,
            seen: filled("seen", wire.seen, URL_MAX)?,
            headers: headers("headers", wire.headers)?,
        })
    }
}

impl From<&WebhookCheck> for wire::WebhookCheck {
    fn from(check: &WebhookCheck) -> Self {
        Self {
            url: check.url.clone(),
            post: check.post.clone(),
            seen: check.seen.clone(),
            headers: wire_headers(&check.headers),
        }
    }
}
