//! One run of one client: how many requests, and what they took of the machine.

use std::{collections::BTreeMap, fs, path::Path, process::Command, thread, time::Duration};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::{
    client::{Answered, Client},
    ours::{self, Times},
    target::Target,
};
use crate::{
    site::Running,
    usage::{self, Usage},
};

/// How often the client's memory is looked at. What it takes in its last moment is missed.
const LOOK: Duration = Duration::from_millis(50);
const KIB_PER_MIB: f64 = 1024.0;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial {
    pub(crate) per_second: f64,
    /// Processor seconds of the client for a million requests.
    pub(crate) cpu: f64,
    /// The most that the client's processes had resident, MiB.
    pub(crate) peak: f64,
    /// Processor seconds of the target for a million requests.
    pub(crate) target_cpu: f64,
    /// What the target had of its core, in percent. From 93 on it was the target that was measured.
    pub(crate) target_core: f64,
}

impl Trial {
    /// For progress.
    pub(crate) fn line(&self, client: Client) -> String {
        format!(
            "{} {:.0}/s, {:.2} s of processor per million, {:.0} MiB; the target {:.2} s, {:.0} % of its core",
            client.name(),
            self.per_second,
            self.cpu,
            self.peak,
            self.target_cpu,
            self.target_core
        )
    }
}

/// The open loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open {
    pub(crate) per_second: f64,
    pub(crate) times: Times,
    /// What the client had of its core, from 0 to 1.
    pub(crate) core: f64,
    /// The most that its processes had resident, MiB.
    pub(crate) peak: f64,
}

pub(crate) fn run(client: Client, bin: &Path, target: &Target, seconds: u32, dir: &Path) -> Trial {
    let command = client.command(bin, target, seconds);
    let spent = spend(command, target, dir);
    let Answered { requests, seconds } = spent.answered(client);
    let million = requests / 1e6;
    Trial {
        per_second: requests / seconds,
        cpu: spent.cpu.as_secs_f64() / million,
        peak: spent.peak_kib / KIB_PER_MIB,
        target_cpu: spent.target_cpu.as_secs_f64() / million,
        // The client began later and ended earlier than we looked, by milliseconds.
        target_core: spent.target_cpu.as_secs_f64() / seconds * 100.0,
    }
}

pub(crate) fn open(bin: &Path, target: &Target, seconds: u32, dir: &Path) -> Open {
    let spent = spend(ours::open(bin, &target.url(), seconds), target, dir);
    let Answered { requests, seconds } = spent.answered(Client::Ours);
    let Some(times) = ours::times(&spent.said) else {
        panic!("no times:\n{}", spent.said);
    };
    Open {
        per_second: requests / seconds,
        times,
        core: spent.cpu.as_secs_f64() / seconds,
        peak: spent.peak_kib / KIB_PER_MIB,
    }
}

/// What a command took of the machine.
struct Spent {
    said: String,
    errors: String,
    /// Processor time of its processes.
    cpu: Duration,
    peak_kib: f64,
    target_cpu: Duration,
}

impl Spent {
    fn answered(&self, client: Client) -> Answered {
        match client.answered(&self.said) {
            Some(answered) if answered.requests > 0.0 => answered,
            _ => panic!(
                "{} did not do what it should:\n{}\n{}",
                client.name(),
                self.said,
                self.errors
            ),
        }
    }
}

fn spend(mut command: Command, target: &Target, dir: &Path) -> Spent {
    let cpu_of_target = || -> Duration {
        let processes = usage::family(target.pid());
        processes
            .into_iter()
            .filter_map(Usage::look)
            .map(|usage| usage.cpu())
            .sum()
    };
    let before = cpu_of_target();
    let running = Running::start(&mut command, dir, "client");
    let pid = running.pid();
    let mut peaks = BTreeMap::new();
    let id = WaitId::Pid(pid_of(pid));
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    while waitid(id.clone(), ended).unwrap().is_none() {
        for process in usage::family(pid) {
            if let Some(usage) = Usage::look(process) {
                // Not the largest: before its exec, a child has its parent's memory.
                peaks.insert(process, usage.peak);
            }
        }
        thread::sleep(LOOK);
    }
    // It has ended and nobody has waited for it: the kernel still knows what it took.
    let mut cpu = usage::cpu_at_the_end(pid);
    // So it is with those that it started and did not wait for: they are ours now.
    for orphan in peaks.keys().copied().filter(|process| *process != pid) {
        let id = WaitId::Pid(pid_of(orphan));
        let left = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        if waitid(id.clone(), left).is_ok() {
            cpu += usage::cpu_at_the_end(orphan);
            waitid(id, WaitIdOptions::EXITED).unwrap();
        }
    }
    let errors = running.errors();
    // What it printed says more than its code: ours has one for figures that it doubts.
    drop(running);
    Spent {
        errors,
        said: fs::read_to_string(dir.join("client.stdout")).unwrap(),
        cpu,
        peak_kib: peaks.values().sum(),
        target_cpu: cpu_of_target().saturating_sub(before),
    }
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().unwrap()).unwrap()
}
