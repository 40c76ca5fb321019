//! A process that we started: what it says on its first line, the last of what it said on stderr,
//! and its end.
//!
//! Each is in a process group of its own, so that a Ctrl-C in the terminal reaches us alone and
//! we end them in order. Whatever happens to us, they end: they are told to die with their parent.

use std::{
    collections::VecDeque,
    fmt, io,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{ChildStderr, Command},
    task::JoinHandle,
    time::timeout,
};

/// What a process may take to end once asked; the sample fleet's own grace is half of it.
const GRACE: Duration = Duration::from_secs(2);
/// After SIGKILL only the kernel is waited for.
const REAP_WITHIN: Duration = Duration::from_secs(5);
/// How many lines of its stderr are kept for an error message.
const TAIL_LINES: usize = 20;
/// How much of one line is kept.
const LINE_MAX: usize = 500;
/// The first line of a proxy with a thousand routes.
const FIRST_LINE_MAX: u64 = 1 << 20;

/// Why a process is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It can't be started.
    #[error("can't start {name}")]
    Start {
        /// Who.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended.
    #[error("{name} ended ({status}) instead of {what}{tail}")]
    Ended {
        /// Who.
        name: String,
        /// How.
        status: String,
        /// What it should have done.
        what: &'static str,
        /// The last that it said.
        tail: Tail,
    },
    /// It takes too long.
    #[error("{name} took longer than {} s for {what}{tail}", within.as_secs())]
    Late {
        /// Who.
        name: String,
        /// What it should have done.
        what: &'static str,
        /// How long it had.
        within: Duration,
        /// The last that it said.
        tail: Tail,
    },
    /// Its first line is not what was agreed.
    #[error("{name} said something else than where it listens: {said:?}")]
    FirstLine {
        /// Who.
        name: String,
        /// What it said.
        said: String,
    },
}

/// The last lines of a process's stderr.
#[derive(Debug, Clone, Default)]
pub struct Tail(Vec<String>);

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| write!(f, "\n  | {line}"))
    }
}

/// A process of ours.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: tokio::process::Child,
    tail: Arc<Mutex<VecDeque<String>>>,
    listener: JoinHandle<()>,
}

impl Child {
    /// Starts `program`. The caller's thread must outlive it: the kernel takes that thread's end
    /// for the parent's.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn start(
        name: impl Into<String>,
        program: &Path,
        arguments: &[&str],
    ) -> Result<Self, ChildError> {
        let name = name.into();
        let started = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut process = match started {
            Ok(process) => process,
            Err(source) => return Err(ChildError::Start { name, source }),
        };
        let stderr = process.stderr.take().expect("it was piped");
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let listener = tokio::spawn(listen(stderr, Arc::clone(&tail)));
        Ok(Self {
            name,
            process,
            tail,
            listener,
        })
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The last that it said on stderr.
    #[must_use]
    pub fn tail(&self) -> Tail {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        Tail(tail.iter().cloned().collect())
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Reads its first line, in which it says where it listens.
    ///
    /// # Errors
    /// When it ends, says something else, or nothing in time.
    pub async fn first_line<T: DeserializeOwned>(
        &mut self,
        what: &'static str,
        within: Duration,
    ) -> Result<T, ChildError> {
        let stdout = self.process.stdout.take().expect("it is read only once");
        let mut line = String::new();
        let mut reader = BufReader::new(stdout.take(FIRST_LINE_MAX));
        let read = timeout(within, reader.read_line(&mut line)).await;
        match read {
            Err(_) => Err(self.late(what, within)),
            Ok(Ok(count)) if count > 0 => {
                // Its stdout stays open, so that nothing that it says kills it.
                self.process.stdout = Some(reader.into_inner().into_inner());
                serde_json::from_str(&line).map_err(|_| ChildError::FirstLine {
                    name: self.name.clone(),
                    said: line.trim().chars().take(200).collect(),
                })
            }
            Ok(_) => Err(self.ended(what).await),
        }
    }

    /// Waits until it has done its work and ended well.
    ///
    /// # Errors
    /// When it fails, or takes too long.
    pub async fn finish(&mut self, what: &'static str, within: Duration) -> Result<(), ChildError> {
        match timeout(within, self.process.wait()).await {
            Err(_) => Err(self.late(what, within)),
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(_) => Err(self.ended(what).await),
        }
    }

    /// Waits for its end, which nobody asked for; for use beside something that should come first.
    pub async fn unexpected_end(&mut self, what: &'static str) -> ChildError {
        // Waiting fails only for a child that was reaped already, and then it has ended.
        self.process.wait().await.ok();
        self.ended(what).await
    }

    /// Says that it took too long.
    #[must_use]
    pub fn late(&self, what: &'static str, within: Duration) -> ChildError {
        ChildError::Late {
            name: self.name.clone(),
            what,
            within,
            tail: self.tail(),
        }
    }

    async fn ended(&mut self, what: &'static str) -> ChildError {
        let status = timeout(REAP_WITHIN, self.process.wait()).await;
        // What it said last may still be in the pipe.
        timeout(REAP_WITHIN, &mut self.listener).await.ok();
        ChildError::Ended {
            name: self.name.clone(),
            status: status.map_or_else(|_| "stdout closed".to_owned(), |status| word(status.ok())),
            what,
            tail: self.tail(),
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = self.process.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // It may have ended in between; it is reaped by us alone, so its number is still its own.
            kill_process(pid, signal).ok();
        }
    }
}

fn word(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "status unknown".to_owned(), |status| status.to_string())
}

/// Keeps the last lines. A line that never ends is cut, not gathered.
async fn listen(stderr: ChildStderr, tail: Arc<Mutex<VecDeque<String>>>) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = u64::try_from(LINE_MAX * 4).unwrap_or(u64::MAX);
        let read = (&mut reader).take(limit).read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(count) if count > 0) {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        let text: String = text.trim_end().chars().take(LINE_MAX).collect();
        tracing::debug!(line = text, "child says");
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(text);
    }
}

/// Ends these processes side by side: asked first, killed after a grace.
pub async fn end(children: Vec<Child>) {
    children.iter().for_each(|child| child.signal(Signal::TERM));
    join_all(children.into_iter().map(|mut child| async move {
        if timeout(GRACE, child.process.wait()).await.is_err() {
            tracing::warn!(name = child.name, "killed: it did not end when asked");
            child.signal(Signal::KILL);
            timeout(REAP_WITHIN, child.process.wait()).await.ok();
        }
        child.listener.abort();
    }))
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: &str = "/bin/sh";
    const HANG_GUARD: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Child {
        Child::start("it", Path::new(SHELL), &["-c", script]).unwrap()
    }

    #[tokio::test]
    async fn the_first_line_is_read_and_the_process_goes_on() {
        let mut child = shell("echo '[1,2]'; echo more; exec sleep 100");
        let said: Vec<u32> = child.first_line("speaking", HANG_GUARD).await.unwrap();
        assert_eq!(said, [1, 2]);
        assert!(child.is_alive());
        end(vec![child]).await;
    }

    #[tokio::test]
    async fn a_process_that_ends_early_is_quoted() {
        let mut child = shell("echo nothing works >&2; exit 3");
        let error = child
            .first_line::<u32>("speaking", HANG_GUARD)
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 3"), "{text}");
        assert!(text.contains("| nothing works"), "{text}");
    }

    #[tokio::test]
    async fn one_that_does_not_listen_is_killed() {
        let mut child = shell("trap '' TERM; echo 1; while :; do sleep 1; done");
        let _one: u32 = child.first_line("speaking", HANG_GUARD).await.unwrap();
        let pid = Pid::from_raw(child.process.id().unwrap() as i32).unwrap();
        end(vec![child]).await;
        assert!(rustix::process::test_kill_process(pid).is_err());
    }

    #[tokio::test]
    async fn only_the_last_lines_are_kept() {
        let mut child =
            shell("i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo line $i >&2; done; exit 1");
        let error = child.finish("its work", HANG_GUARD).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("| line 31\n") && text.ends_with("| line 50"),
            "{text}"
        );
        assert!(!text.contains("| line 30\n"), "{text}");
    }
}
