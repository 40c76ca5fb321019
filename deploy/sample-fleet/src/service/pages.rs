//! An HTTP service: its pages, and what the switches make of them.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, sync::watch, time::timeout};

use super::{
    instance::Service,
    missing::is_ours,
    switches::{Fate, KNOWN, SwitchError, Switches},
};
use crate::listener::{OverTcp, locked, reset};

/// hyper counts the idle time of a kept connection as time to read the next head. 10 s would close
/// pooled connections just when a probe with an interval of 10 s uses them again; slow clients are
/// bounded by the number of connections anyway.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
const BODY_DEADLINE: Duration = Duration::from_secs(10);
const GOODBYE_DEADLINE: Duration = Duration::from_secs(1);
const MOST_HEAD_BYTES: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
const MOST_BODY_BYTES: usize = 64 * 1024;

type Answer = Response<Full<Bytes>>;
type Answering = Pin<Box<dyn Future<Output = Result<Answer, ResetAsked>> + Send>>;

/// A switch wants this connection reset; the only error that ends a connection from our side.
#[derive(Debug, thiserror::Error)]
#[error("reset by a switch")]
struct ResetAsked;

/// Serves one connection to its end.
pub(super) async fn serve(
    service: Arc<Service>,
    stream: impl OverTcp,
    mut end: watch::Receiver<bool>,
) {
    let answers = Arc::new(AtomicU64::new(0));
    let answering = service_fn(move |request| -> Answering {
        Box::pin(answer(Arc::clone(&service), Arc::clone(&answers), request))
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_headers(MOST_HEADERS)
        .max_buf_size(MOST_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), answering);
    // Without shutdown, so that the stream can be had back and be reset.
    let ended = tokio::select! {
        ended = poll_fn(|context| connection.poll_without_shutdown(context)) => ended,
        _ = end.changed() => {
            Pin::new(&mut connection).graceful_shutdown();
            poll_fn(|context| connection.poll_without_shutdown(context)).await
        }
    };
    let mut stream = connection.into_parts().io.into_inner();
    match ended {
        // Without a goodbye, what came over TLS would look cut off. Who does not take it is gone.
        Ok(()) => drop(timeout(GOODBYE_DEADLINE, stream.shutdown()).await),
        Err(error) => {
            tracing::debug!(%error, "connection ended");
            if error.is_user() {
                reset(stream.tcp());
            }
        }
    }
}

async fn answer(
    service: Arc<Service>,
    answers: Arc<AtomicU64>,
    request: Request<Incoming>,
) -> Result<Answer, ResetAsked> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let counted = !is_ours(path);
    let nth = if counted {
        locked(&service.counts).received(path)
    } else {
        0
    };
    let mut answer = match read(body).await {
        Err(refused) => *refused,
        Ok(_) if counted => {
            let (delay, fate) = service.switches().fate(path, nth, service.uptime());
            tokio::time::sleep(delay).await;
            match fate {
                Fate::Answer => page(&service, &head.method, path),
                Fate::Status(status) => {
                    let status = StatusCode::from_u16(status).expect("switches know 200..=599");
                    respond(
                        status,
                        &json!({"status": "DOWN", "service": service.identity.name}),
                    )
                }
                Fate::Hang => match pending::<Infallible>().await {},
                Fate::Reset => return Err(ResetAsked),
            }
        }
        Ok(body) => administer(&service, &head.method, path, &body),
    };
    let headers = answer.headers_mut();
    headers.insert("x-instance", service.identity.instance_header.clone());
    headers.insert("x-version", service.identity.version_header.clone());
    if counted {
        locked(&service.counts).answered(path, answer.status().as_u16());
        let given = answers.fetch_add(1, Ordering::Relaxed) + 1;
        if service.switches().closes_after(given) {
            answer
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
    Ok(answer)
}

fn page(service: &Service, method: &Method, path: &str) -> Answer {
    let identity = &service.identity;
    if service.missing.has(path) || !matches!(path, "/" | "/health" | "/version") {
        return respond(
            StatusCode::NOT_FOUND,
            &json!({"error": "no such page", "path": path}),
        );
    }
    if method != Method::GET && method != Method::HEAD && path != "/" {
        return not_allowed("GET, HEAD");
    }
    let mut body = json!({
        "service": identity.name,
        "environment": identity.environment,
        "instance": identity.instance,
        "version": identity.version,
    });
    if path == "/health" {
        body["status"] = "UP".into();
    }
    respond(StatusCode::OK, &body)
}

fn administer(service: &Service, method: &Method, path: &str, body: &[u8]) -> Answer {
    match (path, method) {
        ("/state", &Method::GET) => respond(StatusCode::OK, &service.state()),
        ("/state", _) => not_allowed("GET"),
        ("/admin/switch", &Method::POST) => {
            let turned = service.switches().turned(body, service.uptime());
            match turned {
                Ok(next) => switched(service, next),
                Err(error) => unknown_switch(&error),
            }
        }
        ("/admin/reset", &Method::POST) => switched(service, Switches::default()),
        ("/admin/switch" | "/admin/reset", _) => not_allowed("POST"),
        _ => respond(
            StatusCode::NOT_FOUND,
            &json!({"error": "no such page", "path": path}),
        ),
    }
}

fn switched(service: &Service, next: Switches) -> Answer {
    let switches = json!({"switches": next});
    match service.turn(next) {
        Ok(()) => respond(StatusCode::OK, &switches),
        Err(error) => {
            tracing::warn!(%error, "no thread to burn with");
            let why = "no switch is turned: the system gives no thread to burn with";
            respond(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": why}))
        }
    }
}

fn unknown_switch(error: &SwitchError) -> Answer {
    let known: serde_json::Map<String, Value> = KNOWN
        .iter()
        .map(|(name, wants)| ((*name).to_owned(), Value::from(*wants)))
        .collect();
    respond(
        StatusCode::BAD_REQUEST,
        &json!({"error": error.to_string(), "known": known}),
    )
}

fn not_allowed(allowed: &'static str) -> Answer {
    let mut answer = respond(
        StatusCode::METHOD_NOT_ALLOWED,
        &json!({"error": "method not allowed"}),
    );
    answer
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allowed));
    answer
}

/// The whole body, or the answer that refuses it. Boxed, as the answer is far larger.
async fn read(body: Incoming) -> Result<Bytes, Box<Answer>> {
    match timeout(BODY_DEADLINE, Limited::new(body, MOST_BODY_BYTES).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) => Err(Box::new(hang_up(
            StatusCode::PAYLOAD_TOO_LARGE,
            &error.to_string(),
        ))),
        Err(_) => Err(Box::new(hang_up(
            StatusCode::REQUEST_TIMEOUT,
            "the body came too slowly",
        ))),
    }
}

fn hang_up(status: StatusCode, why: &str) -> Answer {
    let mut answer = respond(status, &json!({"error": why}));
    answer
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn respond(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}
