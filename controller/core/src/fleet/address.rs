//! Where something listens: a host, a port, and what is spoken there.

use std::{fmt, net::IpAddr, str::FromStr};

/// What is spoken at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// A bare TCP connection.
    Tcp,
    /// HTTP without TLS.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// As it stands before `://`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A host, by name or by address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// An IP address.
    Ip(IpAddr),
    /// A DNS name, in lower case.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.pad(name),
        }
    }
}

/// Where something listens.
///
/// ```
/// use nepho_controller_core::fleet::{Address, Scheme};
/// let address = Address::parse("10.0.0.5:7500", Scheme::Http).unwrap();
/// assert_eq!(address.to_string(), "http://10.0.0.5:7500");
/// let address = Address::parse("https://CRM.example", Scheme::Http).unwrap();
/// assert_eq!(address.to_string(), "https://crm.example:443");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    scheme: Scheme,
    host: Host,
    port: u16,
}

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Nothing after the host.
    #[error("the port is missing")]
    NoPort,
    /// The port is no number from 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// The host is neither a name nor an address.
    #[error("the host is neither a DNS name nor an IP address")]
    Host,
    /// IPv6 without brackets.
    #[error("an IPv6 address must stand in brackets")]
    Brackets,
    /// `0.0.0.0` or `::`.
    #[error("this address means \"everywhere\": nobody can connect to it")]
    Unspecified,
    /// More than scheme, host and port.
    #[error("only scheme, host and port may stand here, no path or query")]
    Path,
    /// `user:password@`.
    #[error("user and password may not stand in an address")]
    User,
    /// Neither `http` nor `https`.
    #[error("only http:// and https:// are known")]
    Scheme,
    /// A URL for a service that does not speak HTTP.
    #[error("this service has `tcp`, not `http`: its address is HOST:PORT")]
    NotHttp,
}

impl Address {
    /// Parses `HOST:PORT`, `[IPv6]:PORT` or a URL. `plain` is spoken where no scheme is written.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str, plain: Scheme) -> Result<Self, BadAddress> {
        let (scheme, rest) = match text.split_once("://") {
            None => (plain, text),
            Some(_) if plain == Scheme::Tcp => return Err(BadAddress::NotHttp),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some(_) => return Err(BadAddress::Scheme),
        };
        let is_url = rest.len() != text.len();
        let rest = if is_url {
            rest.strip_suffix('/').unwrap_or(rest)
        } else {
            rest
        };
        if rest.contains('@') {
            return Err(BadAddress::User);
        }
        if rest.contains(['/', '?', '#']) {
            return Err(BadAddress::Path);
        }
        let (host, port) = split(rest)?;
        let port = match (port, scheme) {
            (Some(port), _) => number(port)?,
            (None, Scheme::Http) if is_url => 80,
            (None, Scheme::Https) if is_url => 443,
            (None, _) => return Err(BadAddress::NoPort),
        };
        Ok(Self { scheme, host, port })
    }

    /// What is spoken there.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, never 0.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `HOST:PORT`, IPv6 in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
            host @ (Host::Ip(IpAddr::V4(_)) | Host::Name(_)) => format!("{host}:{}", self.port),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}://{}", self.scheme.as_str(), self.authority()))
    }
}

fn split(text: &str) -> Result<(Host, Option<&str>), BadAddress> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, port) = rest.split_once(']').ok_or(BadAddress::Host)?;
        let ip = ip.parse().map(IpAddr::V6).map_err(|_| BadAddress::Host)?;
        let port = match port.strip_prefix(':') {
            Some(port) => Some(port),
            None if port.is_empty() => None,
            None => return Err(BadAddress::Host),
        };
        return Ok((specified(ip)?, port));
    }
    if text.parse::<std::net::Ipv6Addr>().is_ok() || text.matches(':').count() > 1 {
        return Err(BadAddress::Brackets);
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    Ok((named(host)?, port))
}

fn named(text: &str) -> Result<Host, BadAddress> {
    if let Ok(ip) = IpAddr::from_str(text) {
        return specified(ip);
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let labels_are_legal = name.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    });
    // `1.2.3` or `1.2.3.4.5` is a slip of an IP address, and no top-level domain is a number.
    let is_number = name
        .rsplit('.')
        .next()
        .is_some_and(|last| last.parse::<u32>().is_ok());
    if name.len() > 253 || !labels_are_legal || is_number {
        return Err(BadAddress::Host);
    }
    Ok(Host::Name(name))
}

fn specified(ip: IpAddr) -> Result<Host, BadAddress> {
    if ip.is_unspecified() {
        Err(BadAddress::Unspecified)
    } else {
        Ok(Host::Ip(ip))
    }
}

fn number(text: &str) -> Result<u16, BadAddress> {
    if text.is_empty() {
        return Err(BadAddress::NoPort);
    }
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|port| digits && *port != 0)
        .ok_or(BadAddress::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_all_forms_are_read() {
        for (text, plain, printed) in [
            ("10.0.0.5:7500", Scheme::Http, "http://10.0.0.5:7500"),
            ("Mysql.Local:3307", Scheme::Tcp, "tcp://mysql.local:3307"),
            ("[::1]:8301", Scheme::Http, "http://[::1]:8301"),
            ("https://bc.example", Scheme::Http, "https://bc.example:443"),
            ("http://bc.example/", Scheme::Http, "http://bc.example:80"),
            ("HTTPS://[fd00::1]", Scheme::Http, "https://[fd00::1]:443"),
            ("crm_api:80", Scheme::Http, "http://crm_api:80"),
        ] {
            assert_eq!(Address::parse(text, plain).unwrap().to_string(), printed);
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        for (text, why) in [
            ("host", BadAddress::NoPort),
            ("host:", BadAddress::NoPort),
            ("host:0", BadAddress::Port),
            ("host:65536", BadAddress::Port),
            ("host:+80", BadAddress::Port),
            ("host:http", BadAddress::Port),
            (":80", BadAddress::Host),
            ("ho st:80", BadAddress::Host),
            ("1.2.3:80", BadAddress::Host),
            ("256.1.1.1:80", BadAddress::Host),
            ("-a:80", BadAddress::Host),
            ("a..b:80", BadAddress::Host),
            ("[::1:80", BadAddress::Host),
            ("[::1]80", BadAddress::Host),
            ("::1:80", BadAddress::Brackets),
            ("0.0.0.0:80", BadAddress::Unspecified),
            ("[::]:80", BadAddress::Unspecified),
            ("http://a/b", BadAddress::Path),
            ("a:80/x", BadAddress::Path),
            ("http://a?b", BadAddress::Path),
            ("https://u:p@a", BadAddress::User),
            ("ftp://a", BadAddress::Scheme),
            ("三:80", BadAddress::Host),
            ("", BadAddress::Host),
        ] {
            assert_eq!(Address::parse(text, Scheme::Http), Err(why), "{text:?}");
        }
        assert_eq!(
            Address::parse("http://db:1", Scheme::Tcp),
            Err(BadAddress::NotHttp)
        );
    }

    proptest::proptest! {
        #[test]
        fn an_address_reads_back_what_it_printed(text in "(https?://)?[a-z]{1,5}(\\.[a-z]{1,5})?:[1-9][0-9]{0,3}") {
            let address = Address::parse(&text, Scheme::Http).unwrap();
            proptest::prop_assert_eq!(Address::parse(&address.to_string(), Scheme::Http), Ok(address));
        }
    }
}
