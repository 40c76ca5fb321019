//! Whom a URL names, and how to ask there.

use http::{HeaderValue, Uri};
use nepho_common::policy::Endpoint;
use rustls::pki_types::ServerName;

/// Scheme, host and port of a URL.
#[derive(Debug, Clone)]
pub(in crate::work) struct Site {
    /// What is judged and dialled.
    pub(in crate::work) to: Endpoint,
    /// For whom the certificate must be; `None` without TLS.
    pub(in crate::work) tls: Option<ServerName<'static>>,
    /// What the request names as its host.
    pub(in crate::work) host: HeaderValue,
}

impl Site {
    /// The site of a URL, and the path with its query.
    pub(in crate::work) fn of(url: &str) -> Result<(Self, Uri), String> {
        let bad = |what: &str| format!("{what} of {url}");
        let to = Endpoint::of_url(url).map_err(|why| why.to_string())?;
        let parsed: Uri = url.parse().map_err(|_| bad("bad address"))?;
        let authority = parsed
            .authority()
            .ok_or_else(|| bad("no host in the address"))?;
        let is_https = match parsed.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return Err(bad("neither http nor https in the address")),
        };
        let named = ServerName::try_from(to.host.to_string()).ok();
        let tls = named.filter(|_| is_https);
        if is_https && tls.is_none() {
            return Err(bad("a host that no certificate can name in the address"));
        }
        let path = parsed.path_and_query().map_or("/", |path| path.as_str());
        // The URL holds no `user:password@`: it would be no endpoint.
        let host = HeaderValue::from_str(authority.as_str());
        let site = Self {
            to,
            tls,
            host: host.map_err(|_| bad("bad host"))?,
        };
        Ok((site, path.parse().map_err(|_| bad("bad path"))?))
    }

    /// Whether both are one place to send a secret to.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.to == other.to && self.tls.is_some() == other.tls.is_some()
    }

    /// Where the answer to a request for `path` points to.
    pub(super) fn follow(&self, path: &Uri, location: &str) -> Result<(Self, Uri), String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let location = location.split('#').next().unwrap_or_default();
        if location.starts_with("http://") || location.starts_with("https://") {
            return Self::of(location);
        }
        if location.starts_with("//") {
            return Self::of(&format!("{scheme}:{location}"));
        }
        let absolute = if location.starts_with('/') {
            location.to_owned()
        } else if location.starts_with('?') {
            format!("{}{location}", path.path())
        } else if location.contains(':') {
            return Err("it points to neither http nor https".to_owned());
        } else {
            let folder = path
                .path()
                .rsplit_once('/')
                .map_or("", |(folder, _)| folder);
            format!("{folder}/{location}")
        };
        let next = absolute.parse().map_err(|_| "it points to no address")?;
        Ok((self.clone(), next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_followed_as_it_is_written() {
        let (site, path) = Site::of("http://a.example:8080/x/y?z").unwrap();
        let to = |location: &str| {
            site.follow(&path, location)
                .map(|(site, path)| format!("{}{path}", site.to))
        };
        for (location, leads) in [
            ("/b", "a.example:8080/b"),
            ("b", "a.example:8080/x/b"),
            ("?q", "a.example:8080/x/y?q"),
            ("//c.example/d", "c.example:80/d"),
            ("https://c.example/d#e", "c.example:443/d"),
            ("http://10.0.0.1", "10.0.0.1:80/"),
        ] {
            assert_eq!(to(location).as_deref(), Ok(leads), "{location}");
        }
        for bad in [
            "ftp://a/",
            "javascript:x",
            "http://u:p@a/",
            "http://0x7f.1/",
            "a b",
        ] {
            assert!(to(bad).is_err(), "{bad}");
        }
    }
}
