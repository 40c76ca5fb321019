//! A controller that lives for one run, and its agents: real processes, enrolled by join tokens,
//! on loopback, in a temporary directory that goes away with them.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::try_join_all;
use nepho_common::{
    id::{AgentId, EnvironmentName},
    policy::Policy,
};
use tempfile::TempDir;

use super::{
    calibrated,
    child::{self, Child, ChildError},
    sibling::{SiblingError, Siblings},
};
use crate::{
    identity::certificate::VALID,
    service::{self, Config, Controller, ServiceError},
    web::{
        Client, ClientError,
        document::{Enrolment, EnrolmentRequest},
    },
};

/// Making a key, one request, one file: a second on a busy machine.
const JOIN_WITHIN: Duration = Duration::from_secs(10);
/// From the start of an agent to its session.
const SESSION_WITHIN: Duration = Duration::from_secs(10);
/// The token is used at once.
const TOKEN_TTL_S: u64 = 60;
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Why there is no private controller.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// A program is missing.
    #[error(transparent)]
    Sibling(#[from] SiblingError),
    /// A process does not do what it should.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The controller does not start.
    #[error("can't start a private controller")]
    Service(#[from] ServiceError),
    /// The controller does not answer.
    #[error("can't ask the private controller")]
    Client(#[from] ClientError),
    /// A file can't be made.
    #[error("can't make {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// An agent to be started.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where it is.
    pub environment: EnvironmentName,
    /// Where it enrols.
    pub enrolment: SocketAddr,
    /// Where it opens its session.
    pub sessions: SocketAddr,
}

/// A controller and agents of our own. End it with [`Self::end`]; if it is only dropped, the
/// processes are killed.
#[derive(Debug)]
pub struct Private {
    controller: Controller,
    client: Client,
    program: PathBuf,
    agents: Vec<Child>,
    /// What its agents may do; the careful default when nobody said.
    policy: Option<String>,
    dir: TempDir,
}

impl Private {
    /// Starts the controller, without agents yet.
    ///
    /// # Errors
    /// [`PrivateError`].
    pub async fn start(siblings: &Siblings) -> Result<Self, PrivateError> {
        let program = siblings.find("nepho-agent").await?;
        let dir = tempfile::Builder::new()
            .prefix("nepho-")
            .tempdir()
            .map_err(|source| PrivateError::File {
                path: std::env::temp_dir(),
                source,
            })?;
        let data_dir = dir.path().join("controller");
        make_dir(&data_dir)?;
        let socket = data_dir.join("nepho.sock");
        let config = Config {
            data_dir,
            enrolment: ANY_PORT,
            sessions: ANY_PORT,
            socket: socket.clone(),
            advertise: None,
            certificate_life: VALID,
        };
        let controller = service::start(config).await?;
        Ok(Self {
            controller,
            client: Client::new(socket),
            program,
            agents: Vec::new(),
            policy: None,
            dir,
        })
    }

    /// What its agents may do, instead of the careful default. For those that are started later.
    pub fn allow(&mut self, policy: &Policy) {
        self.policy = Some(policy.canonical());
    }

    /// How to ask it.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Where agents enrol.
    #[must_use]
    pub const fn enrolment(&self) -> SocketAddr {
        self.controller.enrolment
    }

    /// Where agents open sessions.
    #[must_use]
    pub const fn sessions(&self) -> SocketAddr {
        self.controller.sessions
    }

    /// An agent in each of these environments, on loopback and without distance.
    pub fn beside<'a>(
        &self,
        environments: impl IntoIterator<Item = &'a EnvironmentName>,
    ) -> Vec<Place> {
        let place = |environment: &EnvironmentName| Place {
            environment: environment.clone(),
            enrolment: self.enrolment(),
            sessions: self.sessions(),
        };
        environments.into_iter().map(place).collect()
    }

    /// Starts one agent at each place and waits until their sessions are open.
    ///
    /// # Errors
    /// [`PrivateError`]; what was started until then ends with this value.
    pub async fn populate(&mut self, places: &[Place]) -> Result<(), PrivateError> {
        let dirs = try_join_all(places.iter().map(|place| self.join(place))).await?;
        let policy_file = self.dir.path().join("policy.yaml");
        let policy_path = policy_file.display().to_string();
        if let Some(policy) = &self.policy {
            // JSON is YAML.
            write_secret(&policy_file, policy)?;
        }
        for (place, dir) in places.iter().zip(dirs) {
            let name = format!("nepho-agent of {}", place.environment);
            let dir = dir.display().to_string();
            let mut arguments = vec!["run", "--data-dir", &dir, "--die-with-parent"];
            arguments.extend(["--drain", "1"]);
            if policy_file.exists() {
                arguments.extend(["--policy", &policy_path]);
            }
            self.agents
                .push(Child::start(name, &self.program, &arguments)?);
        }
        // An agent says that it is ready once it is welcome, and then the inventory knows it.
        let ready = self
            .agents
            .iter_mut()
            .map(|agent| Box::pin(agent.first_line::<Ready>("opening a session", SESSION_WITHIN)));
        try_join_all(ready).await?;
        Ok(())
    }

    /// Enrols one agent; its data directory.
    async fn join(&self, place: &Place) -> Result<PathBuf, PrivateError> {
        let agent = name(&place.environment);
        let dir = self.dir.path().join(agent.as_str());
        let token_file = self.dir.path().join(format!("{agent}.token"));
        let request = EnrolmentRequest {
            environment: place.environment.clone(),
            agent: Some(agent),
            ttl_s: TOKEN_TTL_S,
        };
        let Enrolment { token, .. } = self.client.enroll(&request).await?;
        write_secret(&token_file, &token)?;
        let mut child = Child::start(
            format!("nepho-agent join of {}", place.environment),
            &self.program,
            &[
                "join",
                "--controller",
                &place.enrolment.to_string(),
                "--sessions",
                &place.sessions.to_string(),
                "--token-file",
                &token_file.display().to_string(),
                "--data-dir",
                &dir.display().to_string(),
            ],
        )?;
        child.finish("joining", JOIN_WITHIN).await?;
        if let Some(found) = calibrated::read(&calibrated::dir()) {
            calibrated::save(&dir, found).map_err(|source| PrivateError::File {
                path: dir.clone(),
                source,
            })?;
        }
        Ok(dir)
    }

    /// Ends agents and controller, and removes what they wrote.
    pub async fn end(self) {
        let Self {
            controller,
            agents,
            dir,
            ..
        } = self;
        child::end(agents).await;
        Box::pin(controller.shutdown()).await;
        let path = dir.path().to_owned();
        if let Err(error) = dir.close() {
            tracing::warn!(path = %path.display(), %error, "could not be removed");
        }
    }
}

/// The line that an agent prints when its first session is open.
#[derive(Debug, serde::Deserialize)]
struct Ready {
    #[expect(dead_code, reason = "that it is there is what counts")]
    agent: AgentId,
}

/// How the agent of an environment is called.
#[must_use]
pub fn name(environment: &EnvironmentName) -> AgentId {
    let whole = format!("{environment}-1");
    let cut = whole.len().saturating_sub(nepho_common::id::NAME_MAX);
    let kept = environment.as_str().len() - cut;
    let kept = environment.as_str().get(..kept).unwrap_or_default();
    format!("{kept}-1")
        .parse()
        .expect("a name's start and a number are a name")
}

fn make_dir(path: &Path) -> Result<(), PrivateError> {
    std::fs::create_dir(path).map_err(|source| PrivateError::File {
        path: path.to_owned(),
        source,
    })
}

fn write_secret(path: &Path, text: &str) -> Result<(), PrivateError> {
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()));
    written.map_err(|source| PrivateError::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_called_after_its_environment_however_long_that_is() {
        assert_eq!(name(&"local".parse().unwrap()).as_str(), "local-1");
        let long: EnvironmentName = "e".repeat(63).parse().unwrap();
        assert_eq!(name(&long).as_str(), format!("{}-1", "e".repeat(61)));
    }
}
