//! The API's client over a Unix socket: one connection a request, so nothing needs to be kept
//! alive and a controller that was restarted is simply the next one that answers.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use nepho_common::{
    control::StopMode,
    id::{AgentId, RunId},
};
use nepho_controller_core::{
    planner::Planned,
    report::{Report, render::Lang},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    net::UnixStream,
    time::{error::Elapsed, timeout},
};

use super::{
    answer::{Answer, Connection},
    document::{
        Agents, Document, Enrolment, EnrolmentRequest, Log, Revoked, RunRequest, RunStarted, Runs,
        StopRequest, Stopping, Version,
    },
    refusal::Refusal,
};
use crate::{
    exit::Exit,
    view::{AgentDetail, RunView},
};

/// A local socket connects at once or not at all.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The slowest answers are a report and an export's first byte over a long run's journal.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// Why there is no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not an address that this release knows.
    #[error("{0:?} is not the address of a controller")]
    Address(String),
    /// Nobody is there.
    #[error("no controller answers on {}", socket.display())]
    Unreachable {
        /// Where.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket is not ours to open.
    #[error("may not open {}", socket.display())]
    Denied {
        /// Which.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the controller broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It takes too long.
    #[error("the controller on {} does not answer in time", .0.display())]
    Late(PathBuf),
    /// The answer is not what this release reads.
    #[error("the controller's answer does not parse")]
    Answer(#[source] serde_json::Error),
    /// The controller says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl ClientError {
    /// The exit code that goes with it.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Address(_) => Exit::Usage,
            Self::Unreachable { .. } | Self::Broken(_) | Self::Late(_) => Exit::Unreachable,
            Self::Denied { .. } => Exit::NotAuthorised,
            Self::Answer(_) => Exit::Internal,
            Self::Refused(refusal) => refusal.code.exit(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Address(_) => "write unix:///path/to/nepho.sock",
            Self::Unreachable { .. } => {
                "start one with `nepho controller`, name another one with --controller, \
                 or use `nepho run SCENARIO --local`, which brings its own"
            }
            Self::Denied { .. } => "use the user who runs the controller, or root",
            Self::Broken(_) => "a run goes on without us: `nepho status` shows it",
            Self::Late(_) => "it may be overloaded or stopped; its own output says more",
            Self::Answer(_) => "use the same release of nepho on both sides",
            Self::Refused(refusal) => return refusal.hint.clone(),
        };
        Some(hint.to_owned())
    }

    /// Whether asking again may help.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken(_) | Self::Late(_) => true,
            Self::Address(_) | Self::Denied { .. } | Self::Answer(_) | Self::Refused(_) => false,
        }
    }
}

/// Asks one controller.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Over this socket.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
        }
    }

    /// At this address: `unix:///path/to/nepho.sock`, or the path alone.
    ///
    /// # Errors
    /// When it is another kind of address.
    pub fn at(address: &str) -> Result<Self, ClientError> {
        let path = address.strip_prefix("unix://").unwrap_or(address);
        if path.starts_with('/') || (path == address && path.ends_with(".sock")) {
            Ok(Self::new(path))
        } else {
            Err(ClientError::Address(address.chars().take(200).collect()))
        }
    }

    /// Where it asks.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Makes a join token.
    ///
    /// # Errors
    /// [`ClientError`], as every method here.
    pub async fn enroll(&self, request: &EnrolmentRequest) -> Result<Enrolment, ClientError> {
        self.post("/v1/enrolments", request).await
    }

    /// Who answers.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn version(&self) -> Result<Version, ClientError> {
        self.get("/v1/version").await
    }

    /// Every agent.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn agents(&self) -> Result<Agents, ClientError> {
        self.get("/v1/agents").await
    }

    /// One agent in full.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn agent(&self, agent: &AgentId) -> Result<AgentDetail, ClientError> {
        self.get(&format!("/v1/agents/{agent}")).await
    }

    /// Takes an agent's right away.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke(&self, agent: &AgentId) -> Result<Revoked, ClientError> {
        self.post(&format!("/v1/agents/{agent}/revoke"), &()).await
    }

    /// What a run would do.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn plan(&self, request: &RunRequest) -> Result<Planned, ClientError> {
        let answer = self
            .ask(Method::POST, "/v1/plans", Some(json(request)))
            .await?;
        answer.whole().await
    }

    /// Starts a run.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn start(&self, request: &RunRequest) -> Result<RunId, ClientError> {
        let started: RunStarted = self.post("/v1/runs", request).await?;
        Ok(started.run)
    }

    /// Every run.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn runs(&self) -> Result<Runs, ClientError> {
        self.get("/v1/runs").await
    }

    /// One run.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn run(&self, run: &RunId) -> Result<RunView, ClientError> {
        let answer = self
            .ask(Method::GET, &format!("/v1/runs/{run}"), None)
            .await?;
        answer.whole().await
    }

    /// Asks for a run's end.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stop(&self, run: &RunId, mode: StopMode) -> Result<Stopping, ClientError> {
        self.post(&format!("/v1/runs/{run}/stop"), &StopRequest { mode })
            .await
    }

    /// A run's report in this language, folded anew from its journal; the latest, or this revision.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn report(
        &self,
        run: &RunId,
        revision: Option<u32>,
        lang: Lang,
    ) -> Result<Report, ClientError> {
        let revision = revision.map(|number| format!("revision={number}"));
        // An earlier release speaks English, and knows no such key.
        let lang = (lang != Lang::En).then(|| format!("lang={}", lang.tag()));
        let asked: Vec<_> = [revision, lang].into_iter().flatten().collect();
        let path = format!("/v1/runs/{run}/report?{}", asked.join("&"));
        let path = path.trim_end_matches('?').to_owned();
        self.ask(Method::GET, &path, None).await?.whole().await
    }

    /// What happened in a run so far.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log(&self, run: &RunId) -> Result<Log, ClientError> {
        self.get(&format!("/v1/runs/{run}/log")).await
    }

    /// A run's live events, as they come over one connection.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(super) async fn events(&self, run: &RunId) -> Result<Answer, ClientError> {
        let path = format!("/v1/runs/{run}/events");
        self.ask(Method::GET, &path, None).await
    }

    /// A run directory, as lines.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn export(&self, run: &RunId) -> Result<Answer, ClientError> {
        let path = format!("/v1/runs/{run}/export");
        self.ask(Method::GET, &path, None).await
    }

    /// Whatever a test wants to send.
    #[cfg(test)]
    pub(super) async fn raw(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Answer, ClientError> {
        self.ask(method, path, Some(body)).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.ask(Method::GET, path, None).await?;
        Ok(answer.whole::<Document<T>>().await?.body)
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let answer = self.ask(Method::POST, path, Some(json(body))).await?;
        Ok(answer.whole::<Document<T>>().await?.body)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, ClientError> {
        let late = |_: Elapsed| ClientError::Late(self.socket.clone());
        let stream = timeout(CONNECT_WITHIN, UnixStream::connect(&self.socket))
            .await
            .map_err(late)?
            .map_err(|source| self.unconnected(source))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let connection = Connection(tokio::spawn(async move {
            // The error is told to whoever waits for the answer.
            connection.await.ok();
        }));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "nepho")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .expect("paths are made of names");
        let response = timeout(ANSWER_WITHIN, sender.send_request(request))
            .await
            .map_err(late)?
            .map_err(broken)?;
        let status = response.status();
        let answer = Answer {
            body: response.into_body(),
            socket: self.socket.clone(),
            _connection: connection,
        };
        if status == StatusCode::OK {
            return Ok(answer);
        }
        let refusal: Refusal = answer.whole().await?;
        Err(refusal.into())
    }

    fn unconnected(&self, source: io::Error) -> ClientError {
        let socket = self.socket.clone();
        if source.kind() == io::ErrorKind::PermissionDenied {
            ClientError::Denied { socket, source }
        } else {
            ClientError::Unreachable { socket, source }
        }
    }
}

fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("our own values have string keys")
}

pub(super) fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
    ClientError::Broken(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_sockets() {
        for (address, socket) in [
            ("unix:///run/nepho.sock", "/run/nepho.sock"),
            ("/run/nepho.sock", "/run/nepho.sock"),
            ("data/nepho.sock", "data/nepho.sock"),
        ] {
            assert_eq!(Client::at(address).unwrap().socket(), Path::new(socket));
        }
        for address in ["https://controller:7480", "", "unix://x"] {
            assert!(
                matches!(Client::at(address), Err(ClientError::Address(_))),
                "{address}"
            );
        }
    }

    #[tokio::test]
    async fn nobody_there_is_unreachable_and_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let client = Client::new(dir.path().join("no.sock"));
        let error = client.agents().await.unwrap_err();
        assert_eq!(error.exit(), Exit::Unreachable);
        assert!(error.hint().unwrap().contains("nepho controller"));
        assert!(error.may_pass());
    }
}
