//! What processes of this host use. All that fit one pick are one thing, and what they use is
//! added up. What the kernel keeps from this agent of one of them is not told of any.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::Read as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use nepho_common::{
    event::Presence,
    id::ThingName,
    plan::ProcessPick,
    recording::Unit,
    time::{Mono, Nanos},
};
use rustix::{
    param::{clock_ticks_per_second, page_size},
    time::{ClockId, clock_gettime},
};

use super::{
    Reading,
    presence::Tracker,
    proc::{Stat, Traffic, group_holds, stat, traffic},
    share::{float, rate},
};

/// A pid file holds a number and perhaps a line end.
const PID_FILE_MAX: u64 = 64;

/// One process: numbers are used again, start times are not.
type Identity = (u32, u64);

/// Reads, and knows what it read last.
#[derive(Debug, Default)]
pub(super) struct Reader {
    of: BTreeMap<ThingName, Followed>,
}

#[derive(Debug, Default)]
struct Followed {
    tracker: Tracker<Identity>,
    last: Option<Last>,
}

/// Counters of the reading before.
#[derive(Debug)]
struct Last {
    at: Mono,
    /// Ticks since boot: what started later has used all of its time since then.
    booted: u64,
    counters: BTreeMap<Identity, Counters>,
}

#[derive(Debug, Clone, Copy)]
struct Counters {
    /// Processor time in ticks.
    cpu: u64,
    /// Bytes from and to disks; `None` if the kernel does not tell us.
    traffic: Option<Traffic>,
}

/// A process that fits.
#[derive(Debug, Clone, Copy)]
struct Found {
    stat: Stat,
    counters: Counters,
    handles: Option<u64>,
}

impl Reader {
    /// Everything of these processes, and what changed about their being there.
    pub(super) fn read(
        &mut self,
        at: Mono,
        picks: &BTreeMap<ThingName, ProcessPick>,
    ) -> (Vec<Reading>, Vec<(ThingName, Presence)>) {
        let (mut readings, mut changes) = (Vec::new(), Vec::new());
        if picks.is_empty() {
            return (readings, changes);
        }
        let booted = booted();
        let mut found = find(picks);
        for name in picks.keys() {
            let mine = found.remove(name).unwrap_or_default();
            let followed = self.of.entry(name.clone()).or_default();
            let change = followed.tracker.look(mine.keys().copied().collect());
            changes.extend(change.map(|how| (name.clone(), how)));
            readings.extend(followed.read(at, booted, &mine).into_iter().map(
                |(gauge, value, unit)| Reading {
                    name: gauge,
                    thing: Some(name.clone()),
                    value,
                    unit,
                },
            ));
        }
        (readings, changes)
    }
}

impl Followed {
    fn read(
        &mut self,
        at: Mono,
        booted: u64,
        found: &BTreeMap<Identity, Found>,
    ) -> Vec<(&'static str, f64, Unit)> {
        let sum = |of: fn(&Found) -> u64| found.values().map(of).fold(0, u64::saturating_add);
        let mut all = vec![
            ("process.count", float(found.len() as u64), Unit::Count),
            (
                "process.restarts",
                float(self.tracker.restarts()),
                Unit::Count,
            ),
        ];
        if !found.is_empty() {
            let pages = sum(|one| one.stat.resident);
            let memory = pages.saturating_mul(page_size() as u64);
            all.push(("process.memory", float(memory), Unit::Bytes));
            let threads = sum(|one| one.stat.threads);
            all.push(("process.threads", float(threads), Unit::Count));
            let handles: Option<u64> = found.values().map(|one| one.handles).sum();
            all.extend(handles.map(|open| ("process.handles", float(open), Unit::Count)));
            if let Some(last) = &self.last {
                all.extend(last.rates(at, found));
            }
        }
        let counters = found.iter().map(|(of, one)| (*of, one.counters)).collect();
        self.last = Some(Last {
            at,
            booted,
            counters,
        });
        all
    }
}

impl Last {
    fn rates(
        &self,
        at: Mono,
        found: &BTreeMap<Identity, Found>,
    ) -> impl Iterator<Item = (&'static str, f64, Unit)> {
        let passed = at.since(self.at);
        let (mut ticks, mut moved) = (0u64, Some(Traffic::default()));
        for (of, now) in found {
            let before = match self.counters.get(of) {
                Some(before) => *before,
                // All that it used it used since then.
                None if of.1 >= self.booted => Counters {
                    cpu: 0,
                    traffic: Some(Traffic::default()),
                },
                // It is older and fits only now: what it used since then is not known.
                None => continue,
            };
            ticks = ticks.saturating_add(now.counters.cpu.saturating_sub(before.cpu));
            let more = now.counters.traffic.zip(before.traffic);
            moved = moved.zip(more).map(|(all, (now, before))| Traffic {
                read: all
                    .read
                    .saturating_add(now.read.saturating_sub(before.read)),
                written: all
                    .written
                    .saturating_add(now.written.saturating_sub(before.written)),
            });
        }
        let used = float(ticks) / float(clock_ticks_per_second().max(1));
        let cpu = used * 1e9 / float(passed.0.max(1));
        let cpu = [("process.cpu", cpu, Unit::Ratio)];
        let moved = moved.map(|moved| {
            [
                ("process.disk.read", moved.read),
                ("process.disk.written", moved.written),
            ]
            .map(|(name, bytes)| (name, rate(bytes, passed), Unit::BytesPerSecond))
        });
        cpu.into_iter().chain(moved.into_iter().flatten())
    }
}

/// Ticks since boot. Start times are counted in them, suspends included.
fn booted() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let [secs, nanos] = [now.tv_sec, now.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    let ticks = clock_ticks_per_second();
    let Nanos(second) = Nanos::from_secs(1);
    secs.saturating_mul(ticks)
        .saturating_add(nanos.saturating_mul(ticks) / second)
}

/// The processes that fit, by the name of the thing.
fn find(
    picks: &BTreeMap<ThingName, ProcessPick>,
) -> BTreeMap<ThingName, BTreeMap<Identity, Found>> {
    let mut found: BTreeMap<ThingName, BTreeMap<Identity, Found>> = BTreeMap::new();
    let mut by_file = BTreeMap::new();
    let mut searched = false;
    for (name, pick) in picks {
        match pick {
            ProcessPick::PidFile(path) => {
                by_file.insert(name, pid_in(Path::new(path.as_str())));
            }
            ProcessPick::Name(_) | ProcessPick::Unit(_) => searched = true,
        }
    }
    let mut pids: BTreeSet<u32> = by_file.values().flatten().copied().collect();
    if searched {
        pids.extend(all());
    }
    for pid in pids {
        // One that ended meanwhile, or is dead and waits for its parent, is not there.
        let Some(stat) = text(pid, "stat").as_deref().and_then(stat) else {
            continue;
        };
        let mut whole = None;
        for (name, pick) in picks {
            let fits = match pick {
                ProcessPick::Name(text) => is_called(pid, &stat, text.as_str()),
                ProcessPick::Unit(unit) => {
                    text(pid, "cgroup").is_some_and(|groups| group_holds(&groups, unit.as_str()))
                }
                ProcessPick::PidFile(_) => by_file.get(name) == Some(&Some(pid)),
            };
            if fits {
                let one = *whole.get_or_insert_with(|| of(pid, &stat));
                let mine = found.entry(name.clone()).or_default();
                mine.insert((pid, stat.started), one);
            }
        }
    }
    found
}

fn of(pid: u32, stat: &Stat) -> Found {
    let handles = fs::read_dir(format!("/proc/{pid}/fd"));
    Found {
        stat: *stat,
        counters: Counters {
            cpu: stat.cpu,
            traffic: text(pid, "io").as_deref().and_then(traffic),
        },
        handles: handles.ok().map(|open| open.count() as u64),
    }
}

/// The kernel cuts its own name of a process to 15 bytes; the executable has the whole of it.
fn is_called(pid: u32, stat: &Stat, name: &str) -> bool {
    if stat.is_called(name) {
        return true;
    }
    let Ok(path) = fs::read_link(format!("/proc/{pid}/exe")) else {
        return false;
    };
    let file = path.file_name().and_then(|file| file.to_str());
    // Of an executable that was replaced by a newer one.
    file.is_some_and(|file| file.strip_suffix(" (deleted)").unwrap_or(file) == name)
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn text(pid: u32, file: &str) -> Option<String> {
    // A process may call itself anything; what matters of it is plain.
    let bytes = fs::read(format!("/proc/{pid}/{file}")).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The number in a plain file. A pipe is not waited for, and nothing of the file but a number ever
/// leaves this function.
fn pid_in(path: &Path) -> Option<u32> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).ok()?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    file.take(PID_FILE_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(pick: ProcessPick) -> BTreeMap<ThingName, ProcessPick> {
        [("it".parse().unwrap(), pick)].into()
    }

    fn named(name: &str) -> ProcessPick {
        ProcessPick::Name(name.to_owned().try_into().unwrap())
    }

    fn values(readings: &[Reading]) -> BTreeMap<&'static str, f64> {
        readings.iter().map(|one| (one.name, one.value)).collect()
    }

    /// The pid file of this very process.
    fn own(dir: &tempfile::TempDir) -> ProcessPick {
        let path = dir.path().join("own.pid");
        fs::write(&path, format!("{}\n", std::process::id())).unwrap();
        ProcessPick::PidFile(path.to_str().unwrap().to_owned().try_into().unwrap())
    }

    #[test]
    fn this_process_tells_what_it_uses_from_the_second_reading_on() {
        let dir = tempfile::tempdir().unwrap();
        let picks = pick(own(&dir));
        let mut reader = Reader::default();
        let begin = crate::clock::now();
        let (first, changes) = reader.read(begin, &picks);
        assert!(changes.is_empty(), "{changes:?}");
        let first = values(&first);
        assert!(
            !first.contains_key("process.cpu"),
            "a rate needs two readings"
        );
        assert!((first["process.count"] - 1.0).abs() < 1e-9);
        assert!(first["process.memory"] > 1e5 && first["process.handles"] >= 1.0);
        // Busy until the kernel has counted some ticks of it.
        let used = || {
            text(std::process::id(), "stat")
                .as_deref()
                .and_then(stat)
                .unwrap()
                .cpu
        };
        let before = used();
        while used() < before + 5 {
            std::hint::spin_loop();
        }
        let (second, _) = reader.read(crate::clock::now(), &picks);
        let second = values(&second);
        assert!(second["process.cpu"] > 0.0, "{second:?}");
        assert!(second.contains_key("process.disk.written"), "{second:?}");
        assert!(second["process.restarts"].abs() < 1e-9);
    }

    // No child is started here: between its fork and its exec it would hold the locks of whatever
    // test runs beside this one.
    #[test]
    fn a_name_fits_exactly_or_not_at_all() {
        let own = std::env::current_exe().unwrap();
        let own = own.file_name().unwrap().to_str().unwrap();
        let fits = |name: &str| {
            let found = find(&pick(named(name)));
            let mut found = found.values().flatten();
            found.any(|((pid, _), _)| *pid == std::process::id())
        };
        assert!(fits(own), "{own}");
        let shorter: String = own.chars().skip(1).collect();
        assert!(!fits(&format!("{own}y")) && !fits(&shorter));
    }

    #[test]
    fn what_is_gone_has_no_figures_but_how_many_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let picks = pick(own(&dir));
        let mut reader = Reader::default();
        assert_eq!(reader.read(Mono(0), &picks).1, []);
        // No kernel gives out this number.
        fs::write(dir.path().join("own.pid"), u32::MAX.to_string()).unwrap();
        let (readings, changes) = reader.read(Mono(1_000_000_000), &picks);
        assert_eq!(changes, [("it".parse().unwrap(), Presence::Gone)]);
        let told: Vec<_> = values(&readings).into_keys().collect();
        assert_eq!(told, ["process.count", "process.restarts"]);
    }

    #[test]
    fn a_pid_file_that_is_none_is_nobody_and_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for (name, text) in [
            ("words", "no number"),
            ("zero", "0"),
            ("long", &"1".repeat(100)),
        ] {
            fs::write(path(name), text).unwrap();
            assert_eq!(pid_in(&path(name)), None, "{name}");
        }
        assert_eq!(pid_in(&path("missing")), None);
        assert_eq!(pid_in(dir.path()), None);
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), 0o600.into()).unwrap();
        assert_eq!(pid_in(&path("pipe")), None);
        fs::write(path("good"), " 17 \n").unwrap();
        assert_eq!(pid_in(&path("good")), Some(17));
    }
}
