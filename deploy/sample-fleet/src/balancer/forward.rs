//! One client: its requests go to back ends, and their answers come back as they are.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
};
use http_body_util::{Either, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::{
    net::TcpStream,
    sync::{Mutex, watch},
};

use super::{
    tally::{Balancer, Per},
    upstream::{Failed, Upstream},
};

/// Where counts are asked for.
const COUNTS: &str = "/-/counts";
/// How long a client may be silent between requests: nginx closes after 75 s.
const IDLE: Duration = Duration::from_secs(75);
/// What concerns one connection only (RFC 9110 §7.6.1), and what we have answered ourselves.
const OF_A_CONNECTION: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];

type Answer = Response<Either<Incoming, Full<Bytes>>>;

/// Serves one connection to its end.
pub(super) async fn serve(
    balancer: Arc<Balancer>,
    stream: TcpStream,
    mut end: watch::Receiver<bool>,
) {
    // One request at a time, so nobody ever waits for the lock.
    let upstream = Arc::new(Mutex::new(Upstream::default()));
    let answering = service_fn(move |request| {
        let (balancer, upstream) = (Arc::clone(&balancer), Arc::clone(&upstream));
        async move { Ok::<_, Infallible>(answer(&balancer, &mut *upstream.lock().await, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), answering);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        _ = end.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

async fn answer(
    balancer: &Balancer,
    upstream: &mut Upstream,
    request: Request<Incoming>,
) -> Answer {
    match (request.method(), request.uri().path()) {
        (&Method::GET, COUNTS) => return told(StatusCode::OK, &balancer.counts()),
        (_, COUNTS) => return wrong(StatusCode::METHOD_NOT_ALLOWED, "counts are only read"),
        (&Method::CONNECT, _) => {
            return wrong(StatusCode::NOT_IMPLEMENTED, "this is no forward proxy");
        }
        _ => (),
    }
    let answered = forward(balancer, upstream, outgoing(request)).await;
    answered.unwrap_or_else(|why| {
        balancer.unanswered();
        wrong(StatusCode::BAD_GATEWAY, why)
    })
}

async fn forward(
    balancer: &Balancer,
    upstream: &mut Upstream,
    mut request: Request<Incoming>,
) -> Result<Answer, &'static str> {
    let mut tried = Vec::new();
    loop {
        let place = match upstream.bound {
            Some(place) => place,
            None => balancer.choose(&tried).ok_or("no back end is reached")?,
        };
        match upstream.ask(balancer, place, request).await {
            Ok(answer) => {
                balancer.note(place, |tally| tally.answered += 1);
                upstream.bound = (balancer.per == Per::Connection).then_some(place);
                return Ok(incoming(answer));
            }
            Err(Failed::Unreachable(unsent)) => {
                balancer.note(place, |tally| tally.unreachable += 1);
                upstream.bound = None;
                if !balancer.retries {
                    return Err("the back end is not reached");
                }
                tried.push(place);
                request = *unsent;
            }
            Err(Failed::Broken(error)) => {
                tracing::debug!(%error, "no answer");
                balancer.note(place, |tally| tally.broken += 1);
                return Err("the back end took the request and did not answer");
            }
        }
    }
}

/// As the client asked, without what was said to us alone.
fn outgoing(mut request: Request<Incoming>) -> Request<Incoming> {
    let target = request.uri().path_and_query().cloned();
    *request.uri_mut() = target.map_or_else(|| Uri::from_static("/"), Uri::from);
    *request.version_mut() = Version::HTTP_11;
    strip(request.headers_mut());
    request
}

fn incoming(mut answer: Response<Incoming>) -> Answer {
    *answer.version_mut() = Version::HTTP_11;
    strip(answer.headers_mut());
    answer.map(Either::Left)
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&OF_A_CONNECTION) {
        headers.remove(name);
    }
}

fn wrong(status: StatusCode, why: &str) -> Answer {
    told(status, &json!({ "error": why }))
}

fn told(status: StatusCode, body: &serde_json::Value) -> Answer {
    let body = Full::from(body.to_string());
    let mut answer = Response::new(Either::Right(body));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}
