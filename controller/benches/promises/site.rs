//! Programs as children, and their directory.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// For what must come at once; a benchmark that waits longer can't measure anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A child that ends with this value.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stderr: PathBuf,
}

impl Running {
    /// Starts it; what it says is kept in `dir` under `name`.
    pub(crate) fn start(command: &mut Command, dir: &Path, name: &str) -> Self {
        let stderr = dir.join(format!("{name}.stderr"));
        let file = |path: &Path| File::create(path).unwrap();
        command.stdin(Stdio::null()).stderr(file(&stderr));
        command.stdout(file(&dir.join(format!("{name}.stdout"))));
        for name in ["NEPHO_CONTROLLER", "NEPHO_AGENT_DATA", "NEPHO_LOG"] {
            command.env_remove(name);
        }
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn errors(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    pub(crate) fn end(mut self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
        self.child.wait().unwrap();
    }

    /// Runs it to its end, which must be a success.
    pub(crate) fn done(mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.errors());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A controller that listens.
#[derive(Debug)]
pub(crate) struct Controller {
    pub(crate) running: Running,
    pub(crate) enrolment: SocketAddr,
    pub(crate) sessions: SocketAddr,
}

impl Controller {
    /// On these ports; port 0 takes a free one.
    pub(crate) fn start(
        bin: &Path,
        dir: &Path,
        enrolment: SocketAddr,
        sessions: SocketAddr,
    ) -> Self {
        let mut command = Command::new(bin.join("nepho"));
        command.arg("controller").arg("--data-dir").arg(data(dir));
        command.args(["--enrolment", &enrolment.to_string()]);
        command.args(["--sessions", &sessions.to_string()]);
        let running = Running::start(&mut command, dir, "controller");
        let (enrolment, sessions) =
            eventually("the controller listens", || ports(&running.errors()));
        Self {
            running,
            enrolment,
            sessions,
        }
    }
}

/// The controller's data directory.
pub(crate) fn data(dir: &Path) -> PathBuf {
    dir.join("controller")
}

fn ports(said: &str) -> Option<(SocketAddr, SocketAddr)> {
    let rest = said.split_once("listens: enrolment ")?.1;
    let (enrolment, rest) = rest.split_once(", sessions ")?;
    let (sessions, _) = rest.split_once(", API")?;
    Some((enrolment.parse().ok()?, sessions.parse().ok()?))
}

/// Looks again and again, for what no event tells.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}
