//! A controller and its agents, each a process of its own, in a temporary directory.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Running, Said, clean, command, eventually, program, said};

/// A controller of our own. Fields are dropped in order: processes before their directory.
#[derive(Debug)]
pub(crate) struct Site {
    controller: Running,
    pub(crate) enrolment: SocketAddr,
    pub(crate) sessions: SocketAddr,
    dir: TempDir,
}

/// Where an agent is.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    pub(crate) agent: &'a str,
    pub(crate) environment: &'a str,
    /// Where it opens its session, if not at the controller itself.
    pub(crate) sessions: Option<SocketAddr>,
}

impl<'a> Place<'a> {
    pub(crate) const fn new(agent: &'a str, environment: &'a str) -> Self {
        Self {
            agent,
            environment,
            sessions: None,
        }
    }
}

impl Site {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With these options of `nepho controller` beside the usual ones.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        Self::begin(options, |_| Vec::new())
    }

    /// With `NEPHO_HOLD` as this says for the site's directory.
    pub(crate) fn start_held(hold: impl Fn(&Path) -> Option<String>) -> Self {
        let environment = |dir: &Path| hold(dir).map(|hold| ("NEPHO_HOLD", hold));
        Self::begin(&[], |dir| environment(dir).into_iter().collect())
    }

    /// With this library before all others.
    pub(crate) fn start_preloaded(library: &Path) -> Self {
        let library = library.display().to_string();
        Self::begin(&[], |_| vec![("LD_PRELOAD", library.clone())])
    }

    fn begin(options: &[&str], environment: impl Fn(&Path) -> Vec<(&'static str, String)>) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("nepho-it-")
            .tempdir()
            .unwrap();
        let mut controller = command("nepho");
        controller
            .arg("controller")
            .arg("--data-dir")
            .arg(dir.path().join("controller"));
        controller.args(["--enrolment", "127.0.0.1:0", "--sessions", "127.0.0.1:0"]);
        controller.args(options);
        controller.envs(environment(dir.path()));
        let mut controller = Running::start(&mut controller, dir.path(), "controller");
        let (enrolment, sessions) = eventually("the controller listens", || {
            assert!(controller.is_alive(), "{}", controller.errors());
            ports(&controller.errors())
        });
        Self {
            controller,
            enrolment,
            sessions,
            dir,
        }
    }

    /// SIGKILL for the controller.
    pub(crate) fn kill_controller(&mut self) {
        self.controller.die();
    }

    /// Starts the controller again on its data and ports; it listens when this returns.
    pub(crate) fn start_controller(&mut self) {
        let before = self.log().len();
        let mut controller = command("nepho");
        let data = self.dir().join("controller");
        controller.arg("controller").arg("--data-dir").arg(data);
        controller.args(["--enrolment", &self.enrolment.to_string()]);
        controller.args(["--sessions", &self.sessions.to_string()]);
        self.controller = Running::start(&mut controller, self.dir.path(), "controller");
        eventually("the controller listens again", || {
            assert!(self.controller.is_alive(), "{}", self.controller.errors());
            ports(self.log().get(before..)?)
        });
    }

    /// Where tests may write.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The API's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir().join("controller/nepho.sock")
    }

    /// `nepho` with these arguments, talking to this controller.
    pub(crate) fn nepho(&self, arguments: &[&str]) -> Command {
        let mut nepho = command("nepho");
        nepho
            .arg("--controller")
            .arg(format!("unix://{}", self.socket().display()));
        nepho.args(arguments).current_dir(self.dir());
        nepho
    }

    /// Runs it to its end.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Said {
        said(&mut self.nepho(arguments))
    }

    /// An agent's directory.
    pub(crate) fn data(&self, agent: &str) -> PathBuf {
        self.dir().join(agent)
    }

    /// A join token, in a file.
    pub(crate) fn token(&self, place: &Place<'_>) -> PathBuf {
        let path = self.dir().join(format!("{}.token", place.agent));
        let out = path.display().to_string();
        let (name, environment) = (place.agent, place.environment);
        let words = [
            "enroll",
            "--environment",
            environment,
            "--name",
            name,
            "--out",
            &out,
        ];
        self.ask(&words).with(0);
        path
    }

    /// Trades a token for an identity.
    pub(crate) fn join(&self, place: &Place<'_>, token: &Path, data: &Path) -> Said {
        let mut join = command("nepho-agent");
        join.args(["join", "--controller", &self.enrolment.to_string()]);
        let sessions = place.sessions.unwrap_or(self.sessions);
        join.args(["--sessions", &sessions.to_string()]);
        join.arg("--token-file")
            .arg(token)
            .arg("--data-dir")
            .arg(data);
        said(&mut join)
    }

    /// Enrols an agent and starts it; it has a session when this returns.
    pub(crate) fn agent(&self, place: &Place<'_>) -> Running {
        self.enrol(place);
        self.run_enrolled(place.agent)
    }

    /// Starts an agent that is enrolled.
    pub(crate) fn run_enrolled(&self, agent: &str) -> Running {
        self.run_agent(agent, &mut clean(Command::new(program("nepho-agent"))))
    }

    pub(crate) fn enrol(&self, place: &Place<'_>) {
        let token = self.token(place);
        self.join(place, &token, &self.data(place.agent)).with(0);
    }

    /// Starts an agent that is enrolled. `starter` is its program, with whatever stands before.
    pub(crate) fn run_agent(&self, agent: &str, starter: &mut Command) -> Running {
        starter
            .arg("run")
            .arg("--data-dir")
            .arg(self.data(agent))
            .arg("--die-with-parent");
        let (running, _) = Running::announced(starter, self.dir(), agent);
        // Its first line says that it was welcomed; the inventory says so a moment later.
        eventually("the agent is connected", || {
            self.is_connected(agent).then_some(())
        });
        running
    }

    fn is_connected(&self, agent: &str) -> bool {
        self.seen(agent)["connected"] == true
    }

    /// An agent as the controller shows it.
    pub(crate) fn seen(&self, agent: &str) -> Value {
        let agents = self.ask(&["agents", "ls", "-o", "json"]).with(0);
        let agents: Value = serde_json::from_str(&agents).unwrap();
        let mut agents = agents["agents"].as_array().unwrap().iter();
        let found = agents.find(|one| one["agent"] == agent);
        found.cloned().unwrap_or_default()
    }

    /// What the controller said on stderr so far.
    pub(crate) fn log(&self) -> String {
        self.controller.errors()
    }

    /// Ends the controller as a supervisor would.
    pub(crate) fn end(mut self) -> Option<i32> {
        self.controller.signal(Signal::TERM);
        self.controller.ended(crate::process::PATIENCE).code()
    }
}

/// The ports in the line in which a controller says where it listens.
fn ports(said: &str) -> Option<(SocketAddr, SocketAddr)> {
    let rest = said.split_once("enrolment ")?.1;
    let (enrolment, rest) = rest.split_once(", sessions ")?;
    let (sessions, _) = rest.split_once(", API")?;
    Some((enrolment.parse().ok()?, sessions.parse().ok()?))
}
