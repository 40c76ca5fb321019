//! An HTTP/1.1 request on a new connection.

use std::{collections::BTreeSet, sync::Arc};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri,
    header::{CONNECTION, HOST, USER_AGENT},
};
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use nepho_common::{
    plan::HttpCheck,
    policy::{Endpoint, Policy},
    recording::Outcome,
    secret::{Part, SecretRef, parts},
};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OnceCell,
};
use tokio_rustls::TlsConnector;

use super::{
    super::{guard::Guard, secret},
    Failure, connect,
};
use crate::hold;

/// The most that is read of an answer. A health check answers in a line; a target that never ends
/// must not fill our memory.
const BODY_MAX: usize = 1 << 20;
/// The most that all headers of an answer may take.
const HEAD_MAX: usize = 64 << 10;
/// The most headers of an answer.
const HEADERS_MAX: usize = 100;

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("nepho-agent/", env!("CARGO_PKG_VERSION")));

/// A request, made ready.
#[derive(Debug)]
pub(super) struct HttpQuestion {
    method: Method,
    /// What the request line says.
    path: Uri,
    headers: HeaderMap,
    to: Endpoint,
    /// What was put into headers.
    secrets: Vec<SecretRef>,
    tls: Option<ServerName<'static>>,
    expected: BTreeSet<u16>,
}

impl HttpQuestion {
    /// `to` is what the URL names; nothing else is dialled.
    pub(super) fn new(check: &HttpCheck, to: Endpoint, policy: &Policy) -> Result<Self, String> {
        let bad = |what: &str| format!("{what} of {}", check.url);
        let url: Uri = check.url.parse().map_err(|_| bad("bad address"))?;
        let authority = url
            .authority()
            .ok_or_else(|| bad("no host in the address"))?;
        let is_https = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return Err(bad("neither http nor https in the address")),
        };
        let named = ServerName::try_from(to.host.to_string()).ok();
        let tls = named.filter(|_| is_https);
        if is_https && tls.is_none() {
            return Err(bad("a host that no certificate can name in the address"));
        }
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let (headers, secrets) = headers(check, authority.as_str(), &to, policy)?;
        Ok(Self {
            method: check.method.parse().map_err(|_| bad("bad method"))?,
            path: path.parse().map_err(|_| bad("bad path"))?,
            headers,
            secrets,
            to,
            tls,
            expected: check.status.clone(),
        })
    }

    pub(super) const fn is_https(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) const fn to(&self) -> &Endpoint {
        &self.to
    }

    pub(super) async fn ask(
        &self,
        tls: Option<&TlsConnector>,
        guard: &Guard,
    ) -> Result<Outcome, Failure> {
        let policy = guard.policy();
        for secret in &self.secrets {
            // Once more: the policy may have been changed since the stage began.
            policy.admits_secret(secret, &self.to)?;
        }
        let stream = connect(&self.to, guard).await?;
        match (&self.tls, tls) {
            (None, _) => self.exchange(stream).await,
            (Some(name), Some(tls)) => {
                let shaken = tls.connect(name.clone(), stream).await;
                self.exchange(shaken.map_err(Failure::Handshake)?).await
            }
            // The asker was made ready for this question.
            (Some(_), None) => Ok(Outcome::OurSide),
        }
    }

    async fn exchange<S>(&self, stream: S) -> Result<Outcome, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        hold::spill_at("probe.before-send", || {
            let values = self.headers.values().map(HeaderValue::as_bytes);
            let values: Vec<_> = values.map(String::from_utf8_lossy).collect();
            values.join(", ")
        });
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_MAX).max_headers(HEADERS_MAX);
        let (mut sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Failure::Exchange)?;
        let answer = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status().as_u16();
            let mut body = answer.into_body();
            let mut length = 0;
            while let Some(frame) = body.frame().await.transpose()? {
                length += frame.data_ref().map_or(0, Bytes::len);
                if length > BODY_MAX {
                    break;
                }
            }
            Ok::<_, hyper::Error>((status, length))
        };
        tokio::pin!(answer, connection);
        let answered = tokio::select! {
            biased;
            answered = &mut answer => answered,
            // The connection ended first; what it had read is still there to be taken.
            ended = &mut connection => answer
                .await
                .map_err(|error| ended.err().unwrap_or(error)),
        };
        let (status, length) = answered.map_err(Failure::Exchange)?;
        Ok(if !self.expected.contains(&status) {
            Outcome::Status
        } else if length > BODY_MAX {
            // An answer that we did not read to its end is not the one that was asked for.
            Outcome::Content
        } else {
            Outcome::Success
        })
    }
}

/// What was asked for, and what HTTP needs where it was not said. None of the values is repeated
/// in an error: they may be secrets.
fn headers(
    check: &HttpCheck,
    authority: &str,
    to: &Endpoint,
    policy: &Policy,
) -> Result<(HeaderMap, Vec<SecretRef>), String> {
    let mut headers = HeaderMap::new();
    let mut secrets = Vec::new();
    for (name, value) in &check.headers {
        let bad = |why: &str| format!("header {name:?} of {}: {why}", check.url);
        let mut text = String::new();
        let had = secrets.len();
        for part in parts(value).map_err(|why| bad(&why.to_string()))? {
            match part {
                Part::Text(part) => text.push_str(&part),
                Part::Secret(reference) => {
                    // Judged when the run was prepared, and once more where it is used.
                    let allowed = policy.admits_secret(&reference, to);
                    allowed.map_err(|rule| bad(&rule.to_string()))?;
                    let read = secret::read(&reference);
                    let found = read.map_err(|why| bad(&format!("secret {reference}: {why}")))?;
                    text.push_str(found.reveal());
                    secrets.push(reference);
                }
            }
        }
        let key: HeaderName = name.parse().map_err(|_| bad("not a header name"))?;
        let mut value = HeaderValue::from_str(&text).map_err(|_| bad("not a header value"))?;
        // Such a value prints as `Sensitive`.
        value.set_sensitive(secrets.len() > had);
        headers.append(key, value);
    }
    // `user:password@` is not part of a host.
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let host = HeaderValue::from_str(host).map_err(|_| format!("bad host in {}", check.url))?;
    headers.entry(HOST).or_insert(host);
    headers.entry(USER_AGENT).or_insert(AGENT);
    // The connection is new each time, and the target need not keep it.
    headers
        .entry(CONNECTION)
        .or_insert(HeaderValue::from_static("close"));
    Ok((headers, secrets))
}

/// With the root certificates of this host, read once.
pub(super) async fn tls() -> TlsConnector {
    static CONFIG: OnceCell<Arc<ClientConfig>> = OnceCell::const_new();
    let read = async || {
        // Reading a hundred files takes milliseconds, and the runtime has one thread.
        let roots = tokio::task::spawn_blocking(native_roots).await;
        Arc::new(config(roots.unwrap_or_else(|_| RootCertStore::empty())))
    };
    TlsConnector::from(Arc::clone(CONFIG.get_or_init(read).await))
}

fn native_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (taken, left) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        tracing::warn!(
            left,
            "this host has no root certificates: https probes will fail"
        );
    }
    roots
}

fn config(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring can do TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Each request measures a whole handshake.
    config.resumption = rustls::client::Resumption::disabled();
    config
}
