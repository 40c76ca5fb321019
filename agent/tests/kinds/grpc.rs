//! The health service of gRPC, played by an HTTP/2 server of the test: the distribution has none.
//! What a real one sends is written down here byte by byte.

use std::convert::Infallible;

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    body::{Bytes, Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nepho_common::{
    plan::{Check, GrpcCheck},
    recording::Outcome,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{
    ask, nobody, outcome,
    server::{Server, certified, exists, nginx},
};

/// Serves `crm` and the whole, drains `old`, knows no other.
async fn answer(
    request: Request<Incoming>,
) -> Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>> {
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    assert_eq!(request.headers()["content-type"], "application/grpc");
    assert_eq!(request.headers()["te"], "trailers");
    let asked = request.into_body().collect().await.unwrap().to_bytes();
    let (message, status) = match &asked[5..] {
        b"" | b"\x0a\x03crm" => (&b"\0\0\0\0\x02\x08\x01"[..], "0"),
        b"\x0a\x03old" => (&b"\0\0\0\0\x02\x08\x02"[..], "0"),
        _ => (&b""[..], "5"),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let frames = [
        Frame::data(Bytes::from_static(message)),
        Frame::trailers(trailers),
    ];
    let frames = frames.map(Ok::<_, Infallible>);
    let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    response
}

async fn serving(tls: Option<TlsAcceptor>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                let service =
                    service_fn(async |request| Ok::<_, Infallible>(answer(request).await));
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                match tls {
                    Some(tls) => {
                        let stream = TokioIo::new(tls.accept(stream).await.unwrap());
                        server.serve_connection(stream, service).await.ok();
                    }
                    None => {
                        let stream = TokioIo::new(stream);
                        server.serve_connection(stream, service).await.ok();
                    }
                }
            });
        }
    });
    port
}

fn grpc(scheme: &str, port: u16, service: &str) -> Check {
    Check::Grpc(GrpcCheck {
        url: format!("{scheme}://127.0.0.1:{port}"),
        service: service.to_owned(),
    })
}

#[tokio::test]
async fn a_service_serves_or_its_failure_has_a_type() {
    let port = serving(None).await;
    for (service, expected) in [
        ("", Outcome::Success),
        ("crm", Outcome::Success),
        ("old", Outcome::Content),
        ("unknown", Outcome::Status),
    ] {
        assert_eq!(
            outcome(grpc("http", port, service)).await,
            expected,
            "{service}"
        );
    }
    assert_eq!(outcome(grpc("http", nobody(), "")).await, Outcome::Refused);
}

#[tokio::test]
async fn over_tls_the_certificate_is_judged_too() {
    let good = certified(&["127.0.0.1"], 5);
    let port = serving(Some(TlsAcceptor::from(good.server(b"h2")))).await;
    let check = || grpc("https", port, "crm");
    let answer = ask(&good.roots, check()).await;
    assert_eq!(answer.outcome, Outcome::Success);
    assert!(answer.phases.handshake.is_some() && answer.certificate.is_some());
    assert_eq!(
        outcome(check()).await,
        Outcome::Tls,
        "nobody vouches for it"
    );
}

#[tokio::test]
async fn what_speaks_http_2_and_no_grpc_is_told_apart() {
    let Some(program) = exists("nginx", "what_speaks_http_2_and_no_grpc…") else {
        return;
    };
    let page = |status: u16| {
        let page = format!("server {{ listen 127.0.0.1:PORT http2; return {status}; }}");
        nginx(&program, &page, &[])
    };
    let (fine, gone): (Server, Server) = (page(200), page(404));
    assert_eq!(
        outcome(grpc("http", fine.port, "")).await,
        Outcome::Protocol
    );
    assert_eq!(outcome(grpc("http", gone.port, "")).await, Outcome::Status);
}
