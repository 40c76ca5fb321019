//! Texts that have the form of what they are to be.

use nepho_common::plan::DnsRecord;

use crate::diagnose::{Code, Problem, nearest, quoted};

fn bad(text: &str, what: &str, label: &str) -> Problem {
    Problem::new(Code::BadQuestion, format!("{} is not {what}", quoted(text))).label(label)
}

/// One of these words.
pub(crate) fn word<T: Copy>(text: &str, what: &str, words: &[(&str, T)]) -> Result<T, Problem> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meant)| *meant).ok_or_else(|| {
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("{} is not a {what}", quoted(text));
        let problem = Problem::new(Code::NotOneOf, message);
        match nearest(text, known.iter().copied()) {
            Some(word) => problem.label(format!("did you mean {}?", quoted(word))),
            None => problem.label(format!("one of {}", known.join(", "))),
        }
    })
}

/// One line of text.
pub(super) fn line(text: &str) -> Result<String, Problem> {
    if text.contains(char::is_control) {
        return Err(bad(
            text,
            "one line of text",
            "it holds a control character",
        ));
    }
    Ok(text.to_owned())
}

pub(super) fn grpc_service(text: &str) -> Result<String, Problem> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
    if text.bytes().all(legal) {
        Ok(text.to_owned())
    } else {
        let label = "letters, digits, `_` and dots: crm.v1.Contacts";
        Err(bad(text, "the name of a gRPC service", label))
    }
}

/// A name that a certificate can hold, or an IP address.
pub(super) fn host_name(text: &str) -> Result<String, Problem> {
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    let is_wild = text.contains('*');
    let name = dns_name(text).ok().filter(|_| !is_wild);
    name.map(|name| name.trim_end_matches('.').to_owned())
        .ok_or_else(|| {
            bad(
                text,
                "a host's name",
                "a DNS name or an IP address, no wildcard",
            )
        })
}

pub(super) fn dns_name(text: &str) -> Result<String, Problem> {
    let label = |label: &str| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_*".contains(&b);
        (1..=63).contains(&label.len()) && label.bytes().all(legal)
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() <= 253 && name.split('.').all(label) {
        Ok(text.to_ascii_lowercase())
    } else {
        let label = "letters, digits, `-` and `_` between dots: crm.example";
        Err(bad(text, "a DNS name", label))
    }
}

pub(super) fn dns_answer(record: DnsRecord, text: &str) -> Result<String, Problem> {
    let numbers = |count: usize| {
        let mut words = text.split(' ');
        let all = words
            .by_ref()
            .take(count)
            .all(|word| word.parse::<u16>().is_ok());
        let name = words.next().filter(|name| dns_name(name).is_ok());
        all && name.is_some() && words.next().is_none()
    };
    let (is_right, label) = match record {
        DnsRecord::A => (
            text.parse::<std::net::Ipv4Addr>().is_ok(),
            "an IPv4 address: 10.0.0.5",
        ),
        DnsRecord::Aaaa => (
            text.parse::<std::net::Ipv6Addr>().is_ok(),
            "an IPv6 address: fd00::5",
        ),
        DnsRecord::Cname | DnsRecord::Ns | DnsRecord::Ptr => {
            (dns_name(text).is_ok(), "a DNS name: crm.example")
        }
        DnsRecord::Mx => (numbers(1), "a preference and a name: 10 mail.example"),
        DnsRecord::Srv => (
            numbers(3),
            "priority, weight, port and a name: 10 5 8080 host.example",
        ),
        DnsRecord::Txt => (!text.contains(char::is_control), "one line of text"),
    };
    if is_right {
        Ok(text.to_owned())
    } else {
        Err(bad(
            text,
            &format!("an answer of kind {}", record.word()),
            label,
        ))
    }
}

/// A decimal number in millionths: no float lies in a plan.
pub(super) fn millionths(text: &str) -> Result<i64, Problem> {
    let label = "a decimal number with up to 12 digits before and 6 behind the point: 0.99";
    let wrong = || bad(text, "a number", label);
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, "0"));
    let all = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !all(whole) || !all(rest) || whole.len() > 12 || rest.len() > 6 {
        return Err(wrong());
    }
    let whole: i64 = whole.parse().map_err(|_| wrong())?;
    let rest: i64 = format!("{rest:0<6}").parse().map_err(|_| wrong())?;
    let number = whole * 1_000_000 + rest;
    Ok(if text.starts_with('-') {
        -number
    } else {
        number
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        for (text, number) in [
            ("0.99", Some(990_000)),
            ("1", Some(1_000_000)),
            ("-0.000001", Some(-1)),
            ("999999999999.999999", Some(999_999_999_999_999_999)),
            ("1.0000001", None),
            ("1e3", None),
            ("", None),
            (".5", None),
            ("1.", None),
            ("--1", None),
            ("+1", None),
        ] {
            assert_eq!(millionths(text).ok(), number, "{text}");
        }
    }

    #[test]
    fn answers_have_the_form_of_their_kind() {
        for (record, right, wrong) in [
            (DnsRecord::A, "10.0.0.5", "fd00::5"),
            (DnsRecord::Aaaa, "fd00::5", "10.0.0.5"),
            (DnsRecord::Cname, "a.example.", "a b"),
            (DnsRecord::Mx, "10 mail.example", "mail.example"),
            (DnsRecord::Srv, "1 2 3 a.example", "1 2 a.example"),
            (DnsRecord::Txt, "v=spf1 -all", "a\nb"),
        ] {
            assert!(dns_answer(record, right).is_ok(), "{right}");
            assert!(dns_answer(record, wrong).is_err(), "{wrong}");
        }
    }
}
