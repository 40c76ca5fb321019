//! The agent in its one-shot mode, as a child of ours.

use std::{path::Path, process::Stdio, time::Duration};

use nepho_common::load::{Order, Told};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::cli::Failure;

/// A line of a lane in whose second every bin of every histogram was hit.
const LINE_MAX: u64 = 64 << 20;
/// It has told everything and only closes what is open.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// The agent in its one-shot mode.
pub(in crate::cli) struct Generator {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Generator {
    pub(in crate::cli) fn start(program: &Path, policy: Option<&Path>) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command.arg("load");
        if let Some(policy) = policy {
            command.arg("--policy").arg(policy);
        }
        let process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What it says of itself is read beside what we say.
            .stderr(Stdio::inherit())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut process = process.map_err(Failure::Pipe)?;
        let input = process.stdin.take();
        let output = process.stdout.take().expect("it was piped");
        Ok(Self {
            process,
            input,
            output: BufReader::new(output),
        })
    }

    pub(in crate::cli) async fn tell(&mut self, order: &Order) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(order).expect("an order has only string keys");
        line.push(b'\n');
        if let Some(input) = &mut self.input {
            input.write_all(&line).await.map_err(Failure::Pipe)?;
        }
        Ok(())
    }

    pub(in crate::cli) async fn next(&mut self) -> Result<Told, Failure> {
        let mut line = String::new();
        let read = (&mut self.output).take(LINE_MAX).read_line(&mut line).await;
        if read.map_err(Failure::Pipe)? == 0 {
            let status = self.process.wait().await.map_err(Failure::Pipe)?;
            return Err(Failure::GeneratorEnded(status.to_string()));
        }
        serde_json::from_str(&line).map_err(|_| Failure::GeneratorEnded("it said nonsense".into()))
    }

    /// Waits for its end, which comes by itself when it has told everything.
    ///
    /// # Errors
    /// It does not end, or not well: what it told may not be all.
    pub(in crate::cli) async fn finish(mut self) -> Result<(), Failure> {
        // It reads there until the end.
        self.input = None;
        let Ok(status) = timeout(ENDS_WITHIN, self.process.wait()).await else {
            self.process.kill().await.map_err(Failure::Pipe)?;
            let why = format!("not within {} s", ENDS_WITHIN.as_secs());
            return Err(Failure::GeneratorFailed(why));
        };
        let status = status.map_err(Failure::Pipe)?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::GeneratorFailed(status.to_string()))
    }

    /// Asks it to end: to send no more, or, when it was asked before, at once.
    pub(in crate::cli) fn end(&mut self, again: bool) {
        self.input = None;
        if again {
            // It is killed if it was closed already and still waits.
            self.process.start_kill().ok();
        }
    }
}
