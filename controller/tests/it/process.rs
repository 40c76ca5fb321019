//! Programs as children of a test: each ends with the value that holds it, whatever happens.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// A busy machine with two cores is slow; whatever takes longer than this hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// For what no event tells.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A program of ours.
pub(crate) fn program(name: &str) -> PathBuf {
    let given = std::env::var_os("NEPHO_BIN_DIR").map(PathBuf::from);
    let own = std::env::current_exe().unwrap();
    let beside = || own.parent().unwrap().parent().unwrap().to_owned();
    let path = given.unwrap_or_else(beside).join(name);
    assert!(
        path.is_file(),
        "{} is missing: run cargo build --workspace --bins first",
        path.display()
    );
    path
}

/// A program that is to be started.
pub(crate) fn command(name: &str) -> Command {
    clean(Command::new(program(name)))
}

/// Nothing that the caller's environment says may change what a test sees.
pub(crate) fn clean(mut command: Command) -> Command {
    for name in [
        "NEPHO_CONTROLLER",
        "NEPHO_AGENT_DATA",
        "NEPHO_HOLD",
        "NEPHO_LOG",
        "NEPHO_LANG",
        "LC_ALL",
        "LC_MESSAGES",
        "LANG",
    ] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// How a program ended and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// What it printed, if it ended with this code.
    pub(crate) fn with(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// Runs a program to its end.
pub(crate) fn said(command: &mut Command) -> Said {
    said_within(command, Duration::from_secs(120))
}

fn said_within(command: &mut Command, within: Duration) -> Said {
    let dir = tempfile::tempdir().unwrap();
    Running::start(command, dir.path(), "program").said(within)
}

/// A program that runs. Its output goes to files, so that no pipe ever fills.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    reader: Option<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts it; what it says is kept in `dir` under `name`.
    pub(crate) fn start(command: &mut Command, dir: &Path, name: &str) -> Self {
        let stdout = dir.join(format!("{name}.stdout"));
        let file = File::create(&stdout).unwrap();
        Self::spawn(command.stdout(file), dir, name)
    }

    /// Starts it; its first line, which is JSON, comes back.
    pub(crate) fn announced(
        command: &mut Command,
        dir: &Path,
        name: &str,
    ) -> (Self, serde_json::Value) {
        let mut running = Self::spawn(command.stdout(Stdio::piped()), dir, name);
        let mut reader = BufReader::new(running.child.stdout.take().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line);
        let ready = ready.unwrap_or_else(|_| panic!("{name}: {line}{}", running.errors()));
        // Kept open: nothing that it says later may kill it.
        running.reader = Some(reader);
        (running, ready)
    }

    fn spawn(command: &mut Command, dir: &Path, name: &str) -> Self {
        let stderr = dir.join(format!("{name}.stderr"));
        // A second start of the same agent goes on in the same file.
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&stderr)
            .unwrap();
        let child = command.stderr(log).spawn();
        Self {
            child: child.unwrap_or_else(|error| panic!("{name} does not start: {error}")),
            stdout: dir.join(format!("{name}.stdout")),
            stderr,
            reader: None,
        }
    }

    /// What it said on stderr so far.
    pub(crate) fn errors(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Its number.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// SIGKILL, and its end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGKILL, and its end; what it said can still be read.
    pub(crate) fn die(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self, within: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                start.elapsed() < within,
                "it does not end: {}",
                self.errors()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits for its end, and what it said.
    pub(crate) fn said(mut self, within: Duration) -> Said {
        let code = self.ended(within).code();
        Said {
            code,
            stdout: std::fs::read_to_string(&self.stdout).unwrap_or_default(),
            stderr: self.errors(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a child that has been waited for.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Asks again and again until there is an answer, for what no event tells.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Whoever was started with this `TMPDIR` has ended, and left nothing in it.
pub(crate) fn nothing_is_left(temp: &Path) {
    let files: Vec<_> = std::fs::read_dir(temp).unwrap().collect();
    assert!(files.is_empty(), "{files:?}");
    let theirs = format!("TMPDIR={}", temp.display());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let left = processes.filter(|process| {
        // Most entries are no processes, and some are not ours to read.
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|one| one == theirs.as_bytes())
    });
    let left: Vec<_> = left.map(|process| process.file_name()).collect();
    assert!(left.is_empty(), "processes {left:?}");
}

/// Says how long a test took when it is over.
#[derive(Debug)]
pub(crate) struct Took(&'static str, Instant);

pub(crate) fn took(what: &'static str) -> Took {
    Took(what, Instant::now())
}

impl Drop for Took {
    fn drop(&mut self) {
        println!("took {:.1} s: {}", self.1.elapsed().as_secs_f64(), self.0);
    }
}

/// Says loudly that a test is not done on this machine, and where that is counted.
pub(crate) fn skip(test: &str, why: &str) {
    println!("SKIPPED {test}: {why}");
    if let Some(path) = std::env::var_os("NEPHO_TEST_SKIPS") {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        writeln!(file, "{test}: {why}").unwrap();
    }
}

/// Whether this program, which is not ours, is on this machine.
pub(crate) fn exists(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let mut found = folders.map(|folder| folder.join(name.as_ref()));
    found.find(|path| path.is_file())
}
