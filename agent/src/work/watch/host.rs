//! What this host uses and has left.

use std::fs;

use nepho_common::{
    recording::Unit,
    time::{Mono, Nanos},
};
use sysinfo::{Disks, MemoryRefreshKind, Networks, System};

use super::{
    proc::{Ticks, files, pressure, throttled, ticks},
    share::{float, rate, share},
};

/// What one reading says: a name, a value and its unit.
type Reading = (&'static str, f64, Unit);

/// Where the kernel says how much processor time this agent's own group is given.
const OWN_GROUP: &str = "/sys/fs/cgroup/cpu.stat";

/// Reads, and knows what it read last.
#[derive(Debug, Default)]
pub(super) struct Reader {
    last: Option<Last>,
    networks: Option<Networks>,
    disks: Option<Disks>,
}

/// Counters of the reading before.
#[derive(Debug)]
struct Last {
    at: Mono,
    ticks: Option<Ticks>,
    throttled: Option<(u64, u64)>,
}

impl Reader {
    /// Everything that the host says now.
    pub(super) fn read(&mut self, at: Mono) -> Vec<Reading> {
        let now = Last {
            at,
            ticks: read("/proc/stat").as_deref().and_then(ticks),
            throttled: read(OWN_GROUP).as_deref().and_then(throttled),
        };
        let mut all = Vec::new();
        if let Some(last) = &self.last {
            all.extend(processor(last, &now));
            all.extend(self.traffic(at.since(last.at)));
        } else {
            // The first look at counters: what is read next time is what has been since.
            self.networks = Networks::new_with_refreshed_list().ok();
            self.disks = Disks::new_with_refreshed_list().ok();
        }
        all.extend(memory());
        all.extend(self.space());
        if let Ok(load) = System::load_average() {
            all.push(("host.load", load.one, Unit::Count));
        }
        for (name, file) in [
            ("host.pressure.cpu", "/proc/pressure/cpu"),
            ("host.pressure.memory", "/proc/pressure/memory"),
            ("host.pressure.io", "/proc/pressure/io"),
        ] {
            let share = read(file).as_deref().and_then(pressure);
            all.extend(share.map(|share| (name, share, Unit::Ratio)));
        }
        if let Some((open, _)) = read("/proc/sys/fs/file-nr").as_deref().and_then(files) {
            all.push(("host.files", float(open), Unit::Count));
        }
        self.last = Some(now);
        all
    }

    /// The fullest of the disks.
    fn space(&mut self) -> Option<Reading> {
        let disks = self.disks.as_mut()?;
        disks.refresh(false);
        let used = disks
            .iter()
            .filter(|disk| disk.total_space() > 0)
            .map(|disk| {
                let (all, left) = (disk.total_space(), disk.available_space());
                share(all.saturating_sub(left), all)
            });
        let fullest = used.max_by(f64::total_cmp)?;
        Some(("host.disk", fullest, Unit::Ratio))
    }

    fn traffic(&mut self, since: Nanos) -> Vec<Reading> {
        let mut all = Vec::new();
        let rate = |bytes| rate(bytes, since);
        if let Some(networks) = &mut self.networks {
            networks.refresh(true);
            let outside = || networks.iter().filter(|(name, _)| *name != "lo");
            let received = outside().map(|(_, one)| one.received()).sum();
            let sent = outside().map(|(_, one)| one.transmitted()).sum();
            all.push((
                "host.network.received",
                rate(received),
                Unit::BytesPerSecond,
            ));
            all.push(("host.network.sent", rate(sent), Unit::BytesPerSecond));
        }
        if let Some(disks) = &self.disks {
            let read = disks.iter().map(|disk| disk.usage().read_bytes).sum();
            let written = disks.iter().map(|disk| disk.usage().written_bytes).sum();
            all.push(("host.disk.read", rate(read), Unit::BytesPerSecond));
            all.push(("host.disk.written", rate(written), Unit::BytesPerSecond));
        }
        all
    }
}

fn memory() -> Vec<Reading> {
    let Ok(mut system) = System::new() else {
        return Vec::new();
    };
    system.refresh_memory_specifics(MemoryRefreshKind::everything());
    let (all, left) = (system.total_memory(), system.available_memory());
    if all == 0 {
        return Vec::new();
    }
    let used = all.saturating_sub(left);
    vec![
        ("host.memory", share(used, all), Unit::Ratio),
        ("host.memory.used", float(used), Unit::Bytes),
        ("host.swap.used", float(system.used_swap()), Unit::Bytes),
    ]
}

/// Shares of the processor time that passed between two readings.
fn processor(last: &Last, now: &Last) -> Vec<Reading> {
    let mut all = Vec::new();
    if let (Some(before), Some(after)) = (last.ticks, now.ticks) {
        let passed = after.all.saturating_sub(before.all);
        let part = |of: fn(Ticks) -> u64| share(of(after).saturating_sub(of(before)), passed);
        if passed > 0 {
            all.push(("host.cpu", part(|ticks| ticks.busy), Unit::Ratio));
            all.push(("host.cpu.waiting", part(|ticks| ticks.waiting), Unit::Ratio));
            all.push(("host.cpu.stolen", part(|ticks| ticks.stolen), Unit::Ratio));
        }
    }
    if let (Some(before), Some(after)) = (last.throttled, now.throttled) {
        let periods = after.0.saturating_sub(before.0);
        if periods > 0 {
            let held = after.1.saturating_sub(before.1);
            all.push(("agent.throttled", share(held, periods), Unit::Ratio));
        }
    }
    all
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn this_host_says_what_it_has_left_and_after_a_while_what_it_uses() {
        let mut reader = Reader::default();
        let first: BTreeMap<_, _> = reader
            .read(Mono(0))
            .into_iter()
            .map(|r| (r.0, r.1))
            .collect();
        assert!(!first.contains_key("host.cpu"), "a rate needs two readings");
        let memory = first["host.memory"];
        assert!(memory > 0.0 && memory < 1.0, "{memory}");
        // Busy until the kernel has counted some ticks of it.
        let busy = |ticks: &Option<Ticks>| ticks.as_ref().map_or(0, |ticks| ticks.busy);
        let before = busy(&reader.last.as_ref().and_then(|last| last.ticks));
        while busy(&read("/proc/stat").as_deref().and_then(ticks)) < before + 5 {
            std::hint::spin_loop();
        }
        let second: BTreeMap<_, _> = reader
            .read(Mono(1_000_000_000))
            .into_iter()
            .map(|r| (r.0, r.1))
            .collect();
        let cpu = second["host.cpu"];
        assert!(cpu > 0.0 && cpu <= 1.0, "{cpu}");
        assert!(second.contains_key("host.load") && second.contains_key("host.network.sent"));
    }
}
