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
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.split_whitespace().next());
            number.unwrap().parse::<f64>().unwrap()
        };
        Self {
            resident: kib("VmRSS:"),
            peak: kib("VmHWM:"),
            cpu: cpu(pid),
            at: Instant::now(),
        }
    }

    /// Share of one core since `before`, in percent.
    pub(crate) fn core_since(&self, before: &Self) -> f64 {
        let passed = self.at.duration_since(before.at).as_secs_f64();
        (self.cpu.saturating_sub(before.cpu)).as_secs_f64() / passed * 100.0
    }

    /// Processor time since `before`.
    pub(crate) fn cpu_since(&self, before: &Self) -> Duration {
        self.cpu.saturating_sub(before.cpu)
    }
}

/// User and system time. The kernel scales their sum to what the scheduler counted to the nanosecond,
/// so ticks of 10 ms are the resolution and not an error of sampling.
fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name in parentheses may hold spaces; the two are the 12th and 13th field after it.
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields = rest.split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
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
