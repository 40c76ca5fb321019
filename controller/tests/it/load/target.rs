//! A light target with stamps of its own.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rustix::process::{Pid, Signal};

use super::Running;
use crate::process::{clean, eventually, program};

/// A target that runs.
pub(super) struct Light {
    running: Running,
    stamps: PathBuf,
    pub(super) url: String,
}

impl Light {
    pub(super) fn start(dir: &Path, words: &[&str]) -> Self {
        let stamps = dir.join("stamps");
        let mut command = clean(Command::new(program("nepho-sample-fleet")));
        command.arg("light").args(words);
        if !words.contains(&"--hostile") {
            command.arg("--stamps").arg(&stamps);
        }
        let (running, ready) = Running::announced(&mut command, dir, "light");
        let address = ready["listen"].as_str().unwrap();
        Self {
            url: format!("http://{address}/"),
            running,
            stamps,
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// It does nothing for so long.
    pub(super) fn freeze(&self, long: Duration) {
        self.signal(Signal::STOP);
        std::thread::sleep(long);
        self.signal(Signal::CONT);
    }

    /// Ends it: when the answer to each numbered request went.
    pub(super) fn went(self) -> BTreeMap<u64, u64> {
        let numbered = self.stamped().into_iter();
        let numbered = numbered.map(|[slot, _, went]| (slot, went));
        numbered.filter(|(slot, _)| *slot != u64::MAX).collect()
    }

    /// Ends it: when each request came, numbered or not, in order.
    pub(super) fn came(self) -> Vec<u64> {
        let stamped = self.stamped().into_iter();
        let mut came: Vec<_> = stamped.map(|[_, came, _]| came).collect();
        came.sort_unstable();
        came
    }

    fn stamped(mut self) -> Vec<[u64; 3]> {
        self.signal(Signal::TERM);
        self.running.ended(Duration::from_secs(30));
        let bytes = std::fs::read(&self.stamps).unwrap();
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
        let records = bytes.chunks_exact(24);
        let record = |record: &[u8]| [0, 8, 16].map(|at| number(&record[at..at + 8]));
        records.map(record).collect()
    }
}

/// The generator that this one started, if it did already: it asks the same program for its version
/// before.
pub(super) fn child(running: &Running) -> Option<Pid> {
    let pid = running.pid().as_raw_nonzero();
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(path).ok()?;
    let is_generator = |child: &&str| {
        let words = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == b"load")
    };
    let generator = children.split_whitespace().find(is_generator)?;
    Pid::from_raw(generator.parse().ok()?)
}

/// The process that this one starts.
pub(super) fn child_of(running: &Running) -> Pid {
    eventually("the generator is there", || child(running))
}
