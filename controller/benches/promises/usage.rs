//! What a process takes, from `/proc`.

use std::{
    fs,
    time::{Duration, Instant},
};

/// One look at a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Resident memory, KiB.
    pub(crate) resident: f64,
    /// The most that it ever was, KiB.
    pub(crate) peak: f64,
    /// Processor time since it began.
    cpu: Duration,
    at: Instant,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Self {
        Self::look(pid).unwrap()
    }

    /// Nothing of a process that is over.
    pub(crate) fn look(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Self {
            resident: kib("VmRSS:")?,
            peak: kib("VmHWM:")?,
            cpu: cpu(pid, OWN)?,
            at: Instant::now(),
        })
    }

    /// Share of one core since `before`, in percent.
    pub(crate) fn core_since(&self, before: &Self) -> f64 {
        let passed = self.at.duration_since(before.at).as_secs_f64();
        (self.cpu.saturating_sub(before.cpu)).as_secs_f64() / passed * 100.0
    }

    /// Processor time since it began.
    pub(crate) fn cpu(&self) -> Duration {
        self.cpu
    }

    /// Processor time since `before`.
    pub(crate) fn cpu_since(&self, before: &Self) -> Duration {
        self.cpu.saturating_sub(before.cpu)
    }
}

/// What a process took that has ended and was not waited for, with the children that it waited for.
pub(crate) fn cpu_at_the_end(pid: u32) -> Duration {
    cpu(pid, WITH_CHILDREN).unwrap()
}

/// A process and all that it started and that are there, the oldest first.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut asked = 0;
    while let Some(&parent) = family.get(asked) {
        asked += 1;
        // Each of its threads has children of its own.
        let threads = fs::read_dir(format!("/proc/{parent}/task"));
        for thread in threads.into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children"));
            let children = children.unwrap_or_default();
            family.extend(
                children
                    .split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
    }
    family
}

/// How many of the times in `/proc/PID/stat` are summed: user and system, and the same of children.
const OWN: usize = 2;
const WITH_CHILDREN: usize = 4;

/// Processor time. The kernel scales the sum of user and system to what the scheduler counted to the
/// nanosecond, so ticks of 10 ms are the resolution and not an error of sampling.
fn cpu(pid: u32, times: usize) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces; the first time is the 12th field after it.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields = rest.split_whitespace().skip(11).take(times);
    let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap()).sum();
    Some(Duration::from_millis(ticks * 1000 / TICKS))
}

/// `USER_HZ`, the same on every Linux that we run on.
const TICKS: u64 = 100;

/// Lets this process have as many descriptors as it may.
pub(crate) fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    eprintln!("descriptors: {maximum:?}");
}
