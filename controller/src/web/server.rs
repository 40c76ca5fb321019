//! The routes, behind the gate.

use std::{io, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{self, ConnectInfo, DefaultBodyLimit, Request, State},
    middleware,
    routing::{get, post},
};
use nepho_common::id::{BadName, RunId};
use nepho_controller_core::{
    planner::Planned,
    report::{Report, render::Lang},
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::net::UnixListener;

use super::{
    document::{
        Agents, Document, Enrolment, EnrolmentRequest, Log, Revoked, RunRequest, RunStarted, Runs,
        StopRequest, Stopping, Version,
    },
    events, export,
    refusal::{Blame, Refusal},
    socket::{Peer, gate},
};
use crate::{
    driver::Handle,
    view::{AgentDetail, RunView},
};

/// A scenario and its fleet, 256 KiB each, escaped as JSON in the worst case, and room.
const BODY_MAX: usize = 4 << 20;
/// A join token that lives longer than a week lies around.
const TTL_MAX_S: u64 = 7 * 24 * 3600;

/// Serves the API until `shutdown`; what is open then is cut by whoever drops this future.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(
    listener: UnixListener,
    handle: Handle,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let service = router(handle).into_make_service_with_connect_info::<Peer>();
    axum::serve(listener, service)
        .with_graceful_shutdown(shutdown)
        .await
}

/// The routes, behind the gate.
pub fn router(handle: Handle) -> Router {
    Router::new()
        .route("/v1/version", get(version))
        .route("/v1/enrolments", post(enroll))
        .route("/v1/agents", get(agents))
        .route("/v1/agents/{agent}", get(agent))
        .route("/v1/agents/{agent}/revoke", post(revoke))
        .route("/v1/plans", post(plan))
        .route("/v1/runs", get(runs).post(start))
        .route("/v1/runs/{run}", get(run))
        .route("/v1/runs/{run}/events", get(events::events))
        .route("/v1/runs/{run}/log", get(log))
        .route("/v1/runs/{run}/stop", post(stop))
        .route("/v1/runs/{run}/report", get(report))
        .route("/v1/runs/{run}/export", get(export::export))
        .fallback(nowhere)
        .layer(middleware::from_fn(gate))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(handle)
}

/// What may be asked of a report.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportQuery {
    /// The latest without it.
    revision: Option<u32>,
    /// Of its texts; figures and ids are the same in all.
    #[serde(default)]
    lang: Lang,
}

type Answer<T> = Result<Json<Document<T>>, Refusal>;

fn answer<T: super::document::Body>(body: T) -> Json<Document<T>> {
    Json(Document::of(body))
}

/// Reads a request's body; what is wrong with it is said in our own format.
fn read<T: DeserializeOwned>(
    body: Result<Bytes, extract::rejection::BytesRejection>,
) -> Result<T, Refusal> {
    let body = body.map_err(|rejection| {
        if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
            let message = format!("the request is larger than {} MiB", BODY_MAX >> 20);
            Refusal::new(Blame::TooLarge, message)
        } else {
            Refusal::new(Blame::BadRequest, rejection.body_text())
        }
    })?;
    serde_json::from_slice(&body).map_err(|error| {
        Refusal::new(
            Blame::BadRequest,
            format!("the request does not parse: {error}"),
        )
    })
}

/// Reads the run's name in a path.
pub(super) fn run_id(text: &str) -> Result<RunId, Refusal> {
    text.parse()
        .map_err(|bad: BadName| Refusal::new(Blame::NotFound, bad.to_string()))
}

async fn nowhere(request: Request) -> Refusal {
    let message = format!("there is no {} {}", request.method(), request.uri().path());
    Refusal::new(Blame::NotFound, message)
}

async fn version() -> Json<Document<Version>> {
    answer(Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

async fn enroll(
    State(handle): State<Handle>,
    body: Result<Bytes, extract::rejection::BytesRejection>,
) -> Answer<Enrolment> {
    let request: EnrolmentRequest = read(body)?;
    if !(1..=TTL_MAX_S).contains(&request.ttl_s) {
        let message = format!(
            "a token lives from one second to {} days",
            TTL_MAX_S / 86_400
        );
        return Err(Refusal::new(Blame::BadRequest, message));
    }
    let ttl = Duration::from_secs(request.ttl_s);
    let enrolled = handle
        .enroll(request.environment, request.agent, ttl)
        .await?;
    Ok(answer(Enrolment {
        token: enrolled.token.to_string(),
        expires: enrolled.expires,
        command: enrolled.command,
    }))
}

async fn agents(State(handle): State<Handle>) -> Json<Document<Agents>> {
    answer(Agents {
        agents: handle.agents().await,
    })
}

async fn agent(
    State(handle): State<Handle>,
    extract::Path(agent): extract::Path<String>,
) -> Answer<AgentDetail> {
    let bad = |bad: BadName| Refusal::new(Blame::NotFound, bad.to_string());
    Ok(answer(handle.agent(agent.parse().map_err(bad)?).await?))
}

async fn revoke(
    State(handle): State<Handle>,
    extract::Path(agent): extract::Path<String>,
) -> Answer<Revoked> {
    let bad = |bad: BadName| Refusal::new(Blame::NotFound, bad.to_string());
    let revoked = handle.revoke(agent.parse().map_err(bad)?).await?;
    Ok(answer(Revoked {
        agent: revoked.agent,
        since: revoked.since,
        connections: revoked.connections,
    }))
}

async fn plan(
    State(handle): State<Handle>,
    body: Result<Bytes, extract::rejection::BytesRejection>,
) -> Result<Json<Planned>, Refusal> {
    let request: RunRequest = read(body)?;
    Ok(Json(handle.plan(&request.bundle, &request.options).await?))
}

async fn start(
    State(handle): State<Handle>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    body: Result<Bytes, extract::rejection::BytesRejection>,
) -> Answer<RunStarted> {
    let mut request: RunRequest = read(body)?;
    if request.options.requested_by.is_empty() {
        request.options.requested_by = peer.name();
    }
    let run = handle.start(request.bundle, request.options).await?;
    Ok(answer(RunStarted { run }))
}

async fn runs(State(handle): State<Handle>) -> Answer<Runs> {
    Ok(answer(Runs {
        runs: handle.runs().await?,
    }))
}

async fn run(
    State(handle): State<Handle>,
    extract::Path(run): extract::Path<String>,
) -> Result<Json<RunView>, Refusal> {
    Ok(Json(handle.run(&run_id(&run)?).await?))
}

async fn log(
    State(handle): State<Handle>,
    extract::Path(run): extract::Path<String>,
) -> Answer<Log> {
    let run = run_id(&run)?;
    let (lines, over) = handle.log(&run).await?;
    Ok(answer(Log { run, over, lines }))
}

async fn stop(
    State(handle): State<Handle>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    extract::Path(run): extract::Path<String>,
    body: Result<Bytes, extract::rejection::BytesRejection>,
) -> Answer<Stopping> {
    let StopRequest { mode } = read(body)?;
    let run = run_id(&run)?;
    handle.stop(&run, mode, peer.name()).await?;
    Ok(answer(Stopping { run, mode }))
}

async fn report(
    State(handle): State<Handle>,
    extract::Path(run): extract::Path<String>,
    asked: Result<extract::Query<ReportQuery>, extract::rejection::QueryRejection>,
) -> Result<Json<Report>, Refusal> {
    let extract::Query(ReportQuery { revision, lang }) =
        asked.map_err(|bad| Refusal::new(Blame::BadRequest, bad.body_text()))?;
    Ok(Json(handle.report(&run_id(&run)?, revision, lang).await?))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _};

    use http::Method;
    use nepho_common::control::StopMode;
    use nepho_controller_core::scenario::{Bundle, Source};
    use tempfile::TempDir;

    use super::*;
    use crate::{
        driver::RunOptions,
        exit::Exit,
        identity::certificate::VALID,
        service::{self, Config, Controller},
        web::{BindError, Client, ClientError, bind},
    };

    async fn controller() -> (TempDir, Controller, Client) {
        let dir = tempfile::tempdir().unwrap();
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config {
            data_dir: dir.path().to_owned(),
            enrolment: any,
            sessions: any,
            socket: dir.path().join("nepho.sock"),
            advertise: None,
            certificate_life: VALID,
        };
        let controller = service::start(config).await.unwrap();
        let client = Client::new(&controller.socket);
        (dir, controller, client)
    }

    fn refusal(error: ClientError) -> Refusal {
        match error {
            ClientError::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    fn request(scenario: &str) -> RunRequest {
        let scenario = Source {
            name: "s.yaml".to_owned(),
            text: scenario.to_owned(),
        };
        RunRequest {
            bundle: Bundle {
                scenario,
                files: BTreeMap::new(),
            },
            options: RunOptions::default(),
        }
    }

    #[tokio::test]
    async fn the_socket_is_its_owners_alone_and_goes_away() {
        let (_dir, controller, client) = controller().await;
        let mode = std::fs::metadata(client.socket())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(bind(client.socket()), Err(BindError::Taken(_))));
        controller.shutdown().await;
        assert!(!client.socket().exists());
    }

    #[tokio::test]
    async fn questions_without_an_answer_say_whose_fault_it_is() {
        let (_dir, controller, client) = controller().await;
        assert!(client.agents().await.unwrap().agents.is_empty());
        assert!(client.runs().await.unwrap().runs.is_empty());
        let run = "nosuch".parse().unwrap();
        for error in [
            client.run(&run).await.unwrap_err(),
            client
                .report(&run, None, Lang::ZhCn)
                .await
                .map(drop)
                .unwrap_err(),
            client.log(&run).await.map(drop).unwrap_err(),
            client.export(&run).await.map(drop).unwrap_err(),
            client.stop(&run, StopMode::Stop).await.unwrap_err(),
        ] {
            assert_eq!(error.exit(), Exit::Usage, "{error}");
        }
        for (path, body, expected) in [
            ("/v1/nowhere", "{}".to_owned(), Blame::NotFound),
            ("/v1/runs", "{".to_owned(), Blame::BadRequest),
            (
                "/v1/enrolments",
                r#"{"environment":"A!","ttl_s":1}"#.to_owned(),
                Blame::BadRequest,
            ),
            (
                "/v1/enrolments",
                r#"{"environment":"a","ttl_s":0}"#.to_owned(),
                Blame::BadRequest,
            ),
            ("/v1/runs", "x".repeat(BODY_MAX + 1), Blame::TooLarge),
        ] {
            let answer = client.raw(Method::POST, path, body.into_bytes()).await;
            assert_eq!(
                refusal(answer.map(drop).unwrap_err()).code,
                expected,
                "{path}"
            );
        }
        controller.shutdown().await;
    }

    #[tokio::test]
    async fn mistakes_of_files_come_back_for_people_and_for_programs() {
        let (_dir, controller, client) = controller().await;
        let error = client
            .start(&request("api: nepho/v1\nnam: s\n"))
            .await
            .unwrap_err();
        assert_eq!(error.exit(), Exit::Invalid);
        let refusal = refusal(error);
        assert!(refusal.message.contains("s.yaml:2"), "{}", refusal.message);
        let diagnostics = refusal.diagnostics.unwrap();
        assert_eq!(diagnostics["schema"], "nepho.diagnostics/v1");
        controller.shutdown().await;
    }

    #[tokio::test]
    async fn a_run_without_agents_is_refused_before_anything_runs() {
        let (_dir, controller, client) = controller().await;
        let mut request = request(
            "api: nepho/v1\nname: s\nfleet: f.yaml\nstages:\n  - name: one\n    lasts: 10s\n    \
             steps: {reach: {probe: {health: {}}}}\n",
        );
        let fleet = "api: nepho/v1\nenvironments: {local: {}}\nservices:\n  \
                     - {name: a, environment: local, tcp: {}, address: {inside: '127.0.0.1:1'}}\n";
        let fleet = Source {
            name: "f.yaml".to_owned(),
            text: fleet.to_owned(),
        };
        request.bundle.files.insert("f.yaml".to_owned(), fleet);
        let error = client.start(&request).await.unwrap_err();
        assert_eq!(error.exit(), Exit::Refused, "{error}");
        assert!(client.runs().await.unwrap().runs.is_empty());
        controller.shutdown().await;
    }
}
