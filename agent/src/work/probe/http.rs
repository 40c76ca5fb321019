//! An HTTP request on a new connection. Redirects are followed as far as was asked for, each as a
//! target of its own that the policy judges.

use std::collections::BTreeSet;

use http::{Method, StatusCode, Uri, header::LOCATION};
use hyper::body::Bytes;
use nepho_common::{plan::HttpCheck, policy::Policy, recording::Outcome};

use super::{
    Failure,
    answer::Expected,
    exchange::{Asked, Http, Replied, exchange},
    means::Means,
    reference::Headers,
    site::Site,
};

/// A request, made ready.
#[derive(Debug)]
pub(super) struct HttpQuestion {
    method: Method,
    site: Site,
    path: Uri,
    headers: Headers,
    http: Http,
    redirects: u32,
    status: BTreeSet<u16>,
    expected: Expected,
}

impl HttpQuestion {
    pub(super) fn new(check: &HttpCheck, policy: &Policy) -> Result<Self, String> {
        let (site, path) = Site::of(&check.url)?;
        let method = check.method.parse();
        Ok(Self {
            method: method.map_err(|_| format!("bad method of {}", check.url))?,
            headers: Headers::reveal(&check.headers, &check.url, &site.to, policy)?,
            http: if check.http2 { Http::Two } else { Http::One },
            redirects: check.redirects,
            status: check.status.clone(),
            expected: Expected::of(check)?,
            site,
            path,
        })
    }

    /// A redirect may lead to TLS.
    pub(super) const fn needs_tls(&self) -> bool {
        self.site.tls.is_some() || self.redirects > 0
    }

    pub(super) async fn ask(&self, means: &mut Means<'_>) -> Result<(), Failure> {
        self.headers
            .admitted(&self.site.to, &means.guard().policy())?;
        let mut left = self.redirects;
        let (mut site, mut path) = (self.site.clone(), self.path.clone());
        loop {
            let replied = self.hop(means, &site, &path).await;
            let is_first = left == self.redirects;
            let replied = replied.map_err(|failure| failure.behind_redirect(!is_first))?;
            let status = replied.status;
            if self.status.contains(&status.as_u16()) {
                return self.expected.judge(&replied);
            }
            if left == 0 || !leads_on(status) {
                return Err(Failure::answer(
                    Outcome::Status,
                    format!("the status is {}", status.as_u16()),
                ));
            }
            let location = replied.headers.get(LOCATION);
            let location = location.and_then(|value| value.to_str().ok());
            let next = location.ok_or_else(|| "it points nowhere".to_owned());
            let next = next.and_then(|location| site.follow(&path, location));
            (site, path) = next.map_err(|why| {
                Failure::answer(
                    Outcome::Content,
                    format!("a redirect can't be followed: {why}"),
                )
            })?;
            left -= 1;
            means.enter_next()?;
        }
    }

    async fn hop(
        &self,
        means: &mut Means<'_>,
        site: &Site,
        path: &Uri,
    ) -> Result<Replied, Failure> {
        let headers = if self.site.is_same(site) {
            self.headers.map.clone()
        } else {
            let mut headers = self.headers.without_secrets();
            headers.remove(http::header::HOST);
            headers
        };
        let asked = Asked {
            method: self.method.clone(),
            path: path.clone(),
            headers,
            body: Bytes::new(),
        };
        exchange(means, site, self.http, asked).await
    }
}

/// The redirects of RFC 9110 §15.4. The method stays: a probe only reads.
const fn leads_on(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}
