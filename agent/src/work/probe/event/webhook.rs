//! A message that is posted to a service and looked for at another path of it.

use std::time::Duration;

use http::{HeaderValue, Method, Uri, header::CONTENT_TYPE};
use hyper::body::Bytes;
use nepho_common::{
    plan::{LOOKS_MAX, WebhookCheck},
    policy::Policy,
    recording::Outcome,
};

use super::super::{
    Failure,
    answer::holds,
    exchange::{Asked, Http, Replied, exchange},
    means::Means,
    reference::Headers,
    site::Site,
};

/// From one look to the next: there is nothing that would tell us.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(in super::super) struct Webhook {
    site: Site,
    post: Uri,
    seen: Uri,
    headers: Headers,
}

impl Webhook {
    pub(super) fn new(check: &WebhookCheck, policy: &Policy) -> Result<Self, String> {
        let (site, _) = Site::of(&check.url)?;
        let path = |text: &str| {
            let path = text.parse::<Uri>().ok().filter(|_| text.starts_with('/'));
            path.ok_or_else(|| format!("{text:?} is no path"))
        };
        Ok(Self {
            post: path(&check.post)?,
            seen: path(&check.seen)?,
            headers: Headers::reveal(&check.headers, &check.url, &site.to, policy)?,
            site,
        })
    }

    pub(super) const fn needs_tls(&self) -> bool {
        self.site.tls.is_some()
    }

    pub(super) async fn ask(&self, means: &mut Means<'_>, id: &str) -> Result<(), Failure> {
        self.headers
            .admitted(&self.site.to, &means.guard().policy())?;
        let body = format!("{{\"id\":\"{id}\"}}\n");
        let posted = self
            .send(means, Method::POST, &self.post, body.into())
            .await?;
        if !posted.status.is_success() {
            let what = format!(
                "the message was answered with status {}",
                posted.status.as_u16()
            );
            return Err(Failure::answer(Outcome::Status, what));
        }
        for look in 0..LOOKS_MAX {
            if look > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            means.enter_next()?;
            let found = self
                .send(means, Method::GET, &self.seen, Bytes::new())
                .await?;
            if found.status.is_success() && holds(&found.body, id) {
                return Ok(());
            }
        }
        let what = format!("the message was taken, and is not seen after {LOOKS_MAX} looks");
        Err(Failure::answer(Outcome::Content, what))
    }

    async fn send(
        &self,
        means: &mut Means<'_>,
        method: Method,
        path: &Uri,
        body: Bytes,
    ) -> Result<Replied, Failure> {
        let mut headers = self.headers.map.clone();
        if !body.is_empty() {
            let json = HeaderValue::from_static("application/json");
            headers.entry(CONTENT_TYPE).or_insert(json);
        }
        let asked = Asked {
            method,
            path: path.clone(),
            headers,
            body,
        };
        exchange(means, &self.site, Http::One, asked).await
    }
}
