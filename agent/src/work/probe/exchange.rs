//! One HTTP request over a connection, in version 1.1 or 2, and as much of its answer as is read.

use std::sync::{Arc, Mutex, PoisonError};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONNECTION, HOST, TE, TRANSFER_ENCODING, USER_AGENT},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
    rt::Executor,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};

use super::{Failure, means::Means, roots::Spoken, site::Site};
use crate::{clock, hold};

/// The most that is read of an answer. A health check answers in a line; a target that never ends
/// must not fill our memory.
pub(super) const BODY_MAX: usize = 1 << 20;
/// The most that all headers of an answer may take.
const HEAD_MAX: u32 = 64 << 10;
/// The most headers of an answer.
const HEADERS_MAX: usize = 100;

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("nepho-agent/", env!("CARGO_PKG_VERSION")));

/// A request, without the headers that the connection makes.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Replied {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: HeaderMap,
    /// Nothing of the body was left unread.
    pub(super) is_whole: bool,
}

/// Which HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Http {
    One,
    /// Over TLS by ALPN, without TLS by prior knowledge.
    Two,
}

/// Connects, shakes hands where the site has TLS, sends and reads.
pub(super) async fn exchange(
    means: &mut Means<'_>,
    site: &Site,
    http: Http,
    asked: Asked,
) -> Result<Replied, Failure> {
    let stream: TcpStream = means.connect(&site.to).await?;
    let Some(name) = &site.tls else {
        return over(means, site, http, asked, stream).await;
    };
    let spoken = match http {
        Http::One => Spoken::Http1,
        Http::Two => Spoken::Http2,
    };
    let stream = means.shake(stream, name, spoken).await?;
    if http == Http::Two && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(Failure::NoHttp2);
    }
    over(means, site, http, asked, stream).await
}

async fn over<S>(
    means: &mut Means<'_>,
    site: &Site,
    http: Http,
    asked: Asked,
    stream: S,
) -> Result<Replied, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    hold::spill_at("probe.before-send", || {
        let values = asked.headers.values().map(HeaderValue::as_bytes);
        let values: Vec<_> = values.map(String::from_utf8_lossy).collect();
        values.join(", ")
    });
    let replied = match http {
        Http::One => one(means, request(site, http, asked)?, stream).await,
        Http::Two => two(means, request(site, http, asked)?, stream).await,
    };
    let replied = replied.map_err(Failure::Exchange)?;
    means.reply(&replied);
    Ok(replied)
}

/// What was asked for, and what HTTP needs where it was not said.
fn request(site: &Site, http: Http, asked: Asked) -> Result<Request<Full<Bytes>>, Failure> {
    let Asked {
        method,
        path,
        mut headers,
        body,
    } = asked;
    headers.entry(USER_AGENT).or_insert(AGENT);
    let uri = match http {
        Http::One => {
            headers.entry(HOST).or_insert_with(|| site.host.clone());
            // The connection is new each time, and the target need not keep it.
            headers
                .entry(CONNECTION)
                .or_insert(HeaderValue::from_static("close"));
            path
        }
        Http::Two => {
            // RFC 9113 §8.2.2: of this connection nothing may be said in a header. The host that
            // was asked for becomes the authority.
            headers.remove(CONNECTION);
            headers.remove(TRANSFER_ENCODING);
            let host = headers.remove(HOST).unwrap_or_else(|| site.host.clone());
            if headers.get(TE).is_some_and(|value| value != "trailers") {
                headers.remove(TE);
            }
            let scheme = if site.tls.is_some() { "https" } else { "http" };
            let path = path.path_and_query().map_or("/", |path| path.as_str());
            Uri::builder()
                .scheme(scheme)
                .authority(host.as_bytes())
                .path_and_query(path)
                .build()
                .map_err(|_| Failure::BadHost)?
        }
    };
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    *request.version_mut() = match http {
        Http::One => Version::HTTP_11,
        Http::Two => Version::HTTP_2,
    };
    Ok(request)
}

async fn one<S>(
    means: &mut Means<'_>,
    request: Request<Full<Bytes>>,
    stream: S,
) -> Result<Replied, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(HEAD_MAX as usize)
        .max_headers(HEADERS_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let begin = clock::now();
    let answer = async {
        let answer = sender.send_request(request).await?;
        means.heard(begin);
        read(answer).await
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        answered = &mut answer => answered,
        // The connection ended first; what it had read is still there to be taken.
        ended = &mut connection => answer
            .await
            .map_err(|error| ended.err().unwrap_or(error)),
    }
}

async fn two<S>(
    means: &mut Means<'_>,
    request: Request<Full<Bytes>>,
    stream: S,
) -> Result<Replied, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let tasks = Tasks::default();
    let _ends = Ends(tasks.clone());
    let mut builder = http2::Builder::new(tasks);
    builder.max_header_list_size(HEAD_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let begin = clock::now();
    let answer = async {
        let answer = sender.send_request(request).await?;
        means.heard(begin);
        read(answer).await
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        answered = &mut answer => answered,
        ended = &mut connection => answer
            .await
            .map_err(|error| ended.err().unwrap_or(error)),
    }
}

async fn read(answer: Response<Incoming>) -> Result<Replied, hyper::Error> {
    let (head, mut incoming) = answer.into_parts();
    let mut replied = Replied {
        status: head.status,
        headers: head.headers,
        body: Vec::new(),
        trailers: HeaderMap::new(),
        is_whole: true,
    };
    while let Some(frame) = incoming.frame().await.transpose()? {
        match frame.into_data() {
            Ok(data) if replied.body.len() + data.len() > BODY_MAX => {
                replied.is_whole = false;
                break;
            }
            Ok(data) => replied.body.extend_from_slice(&data),
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    replied.trailers = trailers;
                }
            }
        }
    }
    Ok(replied)
}

/// What an HTTP/2 connection runs beside us. It ends with the request, whatever the target does: a
/// target that never reads would keep a detached task for ever.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(task);
    }
}

/// The tasks hold the executor, so dropping it would not end them.
struct Ends(Tasks);

impl Drop for Ends {
    fn drop(&mut self) {
        let tasks = &self.0.0;
        tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .abort_all();
    }
}
