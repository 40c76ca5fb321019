//! Everything that the demo starts, and its end.

use std::{io, path::PathBuf};

use nepho_common::id::EnvironmentName;
use nepho_controller_core::planner;
use tempfile::TempDir;

use super::{
    distances::{self, HOME, PAIRS, Ports},
    faults::{self, FAULTS, Fault},
    files::{self, Files},
    reference, services,
};
use crate::local::{
    child::{self, Child, ChildError},
    private::{Place, Private, PrivateError},
    sibling::{SiblingError, Siblings},
};

/// Which demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Play {
    /// All is well.
    Well,
    /// Faults are planted.
    Broken,
}

impl Play {
    /// What is broken in it.
    #[must_use]
    pub const fn faults(self) -> &'static [Fault] {
        match self {
            Self::Well => &[],
            Self::Broken => &FAULTS,
        }
    }
}

/// Why the demo does not start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A program is missing.
    #[error(transparent)]
    Sibling(#[from] SiblingError),
    /// A process does not do what it should.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The private controller or an agent does not start.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// A file can't be written.
    #[error("can't write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A route does not see its target.
    #[error("the proxy does not reach the target of {0}")]
    Closed(String),
}

/// The forty services, the distances, a controller and three agents. End it with [`Self::end`]; if
/// it is only dropped, the processes are killed.
#[derive(Debug)]
pub struct Theatre {
    /// The controller and its agents.
    pub private: Private,
    /// What the user gets to keep.
    pub files: Files,
    children: Vec<Child>,
    dir: TempDir,
}

impl Theatre {
    /// Starts everything.
    ///
    /// # Errors
    /// [`DemoError`]; what was started until then is killed.
    pub async fn start(
        siblings: &Siblings,
        play: Play,
        say: impl Fn(&str),
    ) -> Result<Self, DemoError> {
        let program = siblings.find("nepho-sample-fleet").await?;
        let dir = tempfile::Builder::new()
            .prefix("nepho-demo-")
            .tempdir()
            .map_err(|source| DemoError::Write {
                path: std::env::temp_dir(),
                source,
            })?;
        let mut children = Vec::new();
        let mut private = Box::pin(Private::start(siblings)).await?;
        let ports = Ports {
            enrolment: private.enrolment(),
            sessions: private.sessions(),
        };
        let mut services = reference::services();
        if play == Play::Broken {
            services.extend(reference::name_servers());
        }
        let faults = play.faults();
        let made = (program.as_path(), dir.path());
        let running = services::start(made, services, faults, &mut children).await?;
        say(&format!("{} services are up", running.len()));
        let map = distances::start(made, &running, ports, faults, &mut children).await?;
        say(&format!("distances: {}", distances()));
        // The proxies have seen it alive: from now on it is as gone for them as for everybody.
        let is_dead = |child: &mut Child| {
            let mut dead = running.iter().map(|one| &one.service);
            dead.any(|service| {
                faults::is_dead(faults, service)
                    && child.name() == format!("{}/{}", service.environment, service.name)
            })
        };
        child::end(children.extract_if(.., is_dead).collect()).await;
        if !faults.is_empty() {
            say(&format!("{} faults are planted", faults.len()));
        }
        let place = |environment: EnvironmentName| {
            // At home, and only there, the controller is reached without distance.
            let ports = map.controller(&environment).unwrap_or(ports);
            Place {
                environment,
                enrolment: ports.enrolment,
                sessions: ports.sessions,
            }
        };
        let places: Vec<_> = environments().map(place).collect();
        let files = files::files(&running, &map, play);
        private.allow(&planner::local_policy(&files.loaded(play)));
        Box::pin(private.populate(&places)).await?;
        say(&format!(
            "{} agents are enrolled and connected",
            places.len()
        ));
        Ok(Self {
            private,
            files,
            children,
            dir,
        })
    }

    /// Ends everything, agents first, and removes what was written outside the user's folder.
    pub async fn end(self) {
        let Self {
            private,
            children,
            dir,
            ..
        } = self;
        Box::pin(private.end()).await;
        child::end(children).await;
        let path = dir.path().to_owned();
        if let Err(error) = dir.close() {
            tracing::warn!(path = %path.display(), %error, "could not be removed");
        }
    }
}

fn environments() -> impl Iterator<Item = EnvironmentName> {
    let names = [HOME, "tencent", "aliyun"];
    names
        .into_iter()
        .map(|name| name.parse().expect("these three are names"))
}

fn distances() -> String {
    let pairs = PAIRS.map(|pair| format!("{}–{} {} ms", pair.a, pair.b, pair.round_trip_ms));
    pairs.join(", ")
}
