//! A published port, in its short and its long form.

use std::net::IpAddr;

use serde_json::Value;

use super::variable::expand;
use crate::diagnose::quoted;

/// More than this in one range is no list of ports that a person wants measured.
const RANGE_MAX: u16 = 1000;

/// A TCP port of a service, published on its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    /// Where on the host: HOST of HOST:PORT, an IPv6 address in brackets.
    pub(super) host: String,
    /// On the host.
    pub(super) published: u16,
    /// In the container.
    pub(super) target: u16,
}

/// Reads an item of `ports`.
///
/// # Errors
/// Why it can't be measured.
pub(super) fn ports(item: &Value) -> Result<Vec<Port>, String> {
    match item {
        Value::Number(number) => short(&number.to_string()),
        Value::String(text) => short(&expand(text)?),
        Value::Object(map) => {
            let text = |key: &str| match map.get(key) {
                None | Some(Value::Null) => Ok(String::new()),
                Some(Value::String(text)) => expand(text),
                Some(Value::Number(number)) => Ok(number.to_string()),
                Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
                    Err(format!("its `{key}` is no port"))
                }
            };
            let (published, target) = (text("published")?, text("target")?);
            published_ports(&text("host_ip")?, &published, &target, &text("protocol")?)
        }
        Value::Null | Value::Bool(_) | Value::Array(_) => Err("it is no port".to_owned()),
    }
}

/// `[[IP:]PUBLISHED:]TARGET[/PROTOCOL]`
fn short(text: &str) -> Result<Vec<Port>, String> {
    let (rest, protocol) = text.split_once('/').unwrap_or((text, ""));
    let (rest, target) = rest.rsplit_once(':').unwrap_or(("", rest));
    // What is before the published port is an address, and may hold colons itself.
    let (ip, published) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((ip, published)) => (ip, published.trim_start_matches(':')),
        None => rest.rsplit_once(':').unwrap_or(("", rest)),
    };
    published_ports(ip, published, target, protocol)
}

fn published_ports(
    ip: &str,
    published: &str,
    target: &str,
    protocol: &str,
) -> Result<Vec<Port>, String> {
    if !matches!(protocol, "" | "tcp") {
        return Err(format!("{} is not measured, only TCP is", quoted(protocol)));
    }
    let target = range(target)?;
    if published.is_empty() {
        let port = target.0;
        return Err(format!(
            "Docker chooses the port of the host for {port}: write it, for example \"{port}:{port}\""
        ));
    }
    let published = range(published)?;
    if published.1 - published.0 != target.1 - target.0 {
        return Err("Docker chooses one of a range of ports: write the one".to_owned());
    }
    let host = host(ip)?;
    let pairs = (published.0..=published.1).zip(target.0..=target.1);
    let port = |(published, target)| Port {
        host: host.clone(),
        published,
        target,
    };
    Ok(pairs.map(port).collect())
}

/// Where an address of the host is reached from the host itself.
fn host(ip: &str) -> Result<String, String> {
    if ip.is_empty() {
        return Ok("127.0.0.1".to_owned());
    }
    let bad = |_| format!("{} is no address of a host", quoted(ip));
    match ip.parse::<IpAddr>().map_err(bad)? {
        any if any.is_unspecified() => Ok("127.0.0.1".to_owned()),
        IpAddr::V4(ip) => Ok(ip.to_string()),
        IpAddr::V6(ip) => Ok(format!("[{ip}]")),
    }
}

/// `80` or `80-89`; both ends.
fn range(text: &str) -> Result<(u16, u16), String> {
    let bad = || format!("{} is no port", quoted(text));
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = number(first).zip(number(last)).ok_or_else(bad)?;
    if last < first || last - first >= RANGE_MAX {
        return Err(bad());
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(item: Value) -> Result<Vec<String>, String> {
        let text = |port: Port| format!("{}:{} {}", port.host, port.published, port.target);
        Ok(ports(&item)?.into_iter().map(text).collect())
    }

    #[test]
    fn both_forms_give_the_address_on_the_host() {
        for (item, expected) in [
            (json!("8080:80"), "127.0.0.1:8080 80"),
            (json!("8080:80/tcp"), "127.0.0.1:8080 80"),
            (json!("127.0.0.1:8080:80"), "127.0.0.1:8080 80"),
            (json!("0.0.0.0:8080:80"), "127.0.0.1:8080 80"),
            (json!("10.0.0.5:8080:80"), "10.0.0.5:8080 80"),
            (json!("[::1]:8080:80"), "[::1]:8080 80"),
            (json!("::1:8080:80"), "[::1]:8080 80"),
            (json!("${PORT:-8080}:80"), "127.0.0.1:8080 80"),
            (
                json!({"target": 80, "published": "8080"}),
                "127.0.0.1:8080 80",
            ),
            (
                json!({"target": "80", "published": 8080, "host_ip": "10.0.0.5", "protocol": "tcp", "mode": "host"}),
                "10.0.0.5:8080 80",
            ),
        ] {
            assert_eq!(read(item.clone()), Ok(vec![expected.to_owned()]), "{item}");
        }
        let range = read(json!("9000-9002:80-82")).unwrap();
        assert_eq!(
            range,
            [
                "127.0.0.1:9000 80",
                "127.0.0.1:9001 81",
                "127.0.0.1:9002 82"
            ]
        );
    }

    #[test]
    fn what_can_not_be_measured_says_why() {
        for (item, why) in [
            (json!("53:53/udp"), "`udp` is not measured"),
            (json!(80), "Docker chooses the port"),
            (json!("127.0.0.1::80"), "Docker chooses the port"),
            (json!({"target": 80}), "Docker chooses the port"),
            (json!("9000-9005:80"), "Docker chooses one of a range"),
            (json!("$PORT:80"), "`${PORT}` has no default"),
            (json!("a:80"), "`a` is no port"),
            (json!("0:80"), "`0` is no port"),
            (json!("65536:80"), "`65536` is no port"),
            (json!("9-1:9-1"), "`9-1` is no port"),
            (json!("1-65535:1-65535"), "`1-65535` is no port"),
            (json!("host.example:1:80"), "is no address of a host"),
            (json!(""), "`` is no port"),
            (json!(true), "it is no port"),
            (json!({"target": [80]}), "its `target` is no port"),
        ] {
            let found = read(item.clone()).unwrap_err();
            assert!(found.contains(why), "{item}: {found}");
        }
    }
}
