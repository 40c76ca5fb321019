//! Processor time that this host did not get, or did not give us, while it was measured: whatever
//! was due then came late, and nothing that the generator sees of itself says why.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use nepho_common::{
    load::{Order, Throttled, Withheld},
    time::{Mono, Nanos},
};
use tokio::time::sleep;

use crate::{
    clock,
    work::watch::proc::{Ticks, ticks},
};

/// Where control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";

/// Reads when what is measured begins, and when it ends.
#[derive(Debug)]
pub(super) struct Watcher {
    /// From the beginning of what is measured to its end.
    span: (Mono, Mono),
    first: Option<Reading>,
    last: Option<Reading>,
}

impl Watcher {
    /// Of a load that begins at this instant.
    pub(super) fn new(order: &Order, begun: Mono) -> Self {
        // What is told apart is told by the second.
        let warm_up = Nanos::from_secs(order.warm_up.0.div_ceil(1_000_000_000));
        Self {
            span: (begun.plus(warm_up), begun.plus(order.lasts)),
            first: None,
            last: None,
        }
    }

    /// Reads once it is time to; never comes back when there is nothing more to read.
    pub(super) async fn read(&mut self) {
        let due = match (&self.first, &self.last) {
            (None, _) => self.span.0,
            (Some(_), None) => self.span.1,
            (Some(_), Some(_)) => return std::future::pending().await,
        };
        // A millisecond more or less changes no share of a second.
        sleep(Duration::from_nanos(due.since(clock::now()).0)).await;
        let reading = Some(Reading::now());
        if self.first.is_none() {
            self.first = reading;
        } else {
            self.last = reading;
        }
    }

    /// What was withheld, to the end of what was measured or to now.
    pub(super) fn told(self) -> Option<Withheld> {
        let last = self.last.unwrap_or_else(Reading::now);
        Some(last.since(&self.first?))
    }
}

/// Counters at one instant.
#[derive(Debug)]
struct Reading {
    ticks: Option<Ticks>,
    /// Of our own control group and of those that it is in.
    groups: BTreeMap<PathBuf, Throttled>,
}

impl Reading {
    fn now() -> Self {
        let read = |path: &Path| fs::read_to_string(path).ok();
        let own = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
        let of = |dir: PathBuf| {
            let stat = read(&dir.join("cpu.stat"))?;
            Some((dir, throttled(&stat)?))
        };
        Self {
            ticks: read(Path::new("/proc/stat")).as_deref().and_then(ticks),
            groups: groups(&own).into_iter().filter_map(of).collect(),
        }
    }

    fn since(&self, before: &Self) -> Withheld {
        let stolen = self.ticks.zip(before.ticks).and_then(|(now, then)| {
            let passed = now.all.saturating_sub(then.all);
            let stolen = u128::from(now.stolen.saturating_sub(then.stolen));
            u32::try_from((stolen * 1_000_000).checked_div(passed.into())?).ok()
        });
        let held = self.groups.iter().filter_map(|(dir, now)| {
            let then = before.groups.get(dir)?;
            Some(Throttled {
                times: now.times.saturating_sub(then.times),
                lasted: Nanos(now.lasted.0.saturating_sub(then.lasted.0)),
            })
        });
        Withheld {
            stolen_ppm: stolen,
            // A group is held back with the one that it is in: both times are the same time.
            throttled: held.max_by_key(|held| (held.lasted, held.times)),
        }
    }
}

/// Where the groups of `/proc/self/cgroup` that share out processor time lie, with all that they
/// are in (`cgroups(7)`): `0::/a/b` of the second version, `4:cpu,cpuacct:/a/b` of the first.
fn groups(own: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let is_ours = controllers.is_empty() || controllers.split(',').any(|one| one == "cpu");
        if !is_ours {
            continue;
        }
        let root = Path::new(GROUPS).join(controllers);
        let path = Path::new(path.trim_start_matches('/'));
        all.extend(path.ancestors().map(|path| root.join(path)));
    }
    all
}

/// How often and how long a group was held back: the second version counts microseconds, the first
/// one nanoseconds.
fn throttled(stat: &str) -> Option<Throttled> {
    let of = |key: &str| {
        let mut lines = stat.lines().filter_map(|line| line.split_once(' '));
        let (_, value) = lines.find(|(name, _)| *name == key)?;
        value.trim().parse::<u64>().ok()
    };
    let lasted = match of("throttled_usec") {
        Some(micros) => micros.saturating_mul(1_000),
        None => of("throttled_time")?,
    };
    Some(Throttled {
        times: of("nr_throttled")?,
        lasted: Nanos(lasted),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(stolen: u64, all: u64, groups: &[(&str, u64, u64)]) -> Reading {
        let group = |(dir, times, lasted): &(&str, u64, u64)| {
            let throttled = Throttled {
                times: *times,
                lasted: Nanos(*lasted),
            };
            (PathBuf::from(dir), throttled)
        };
        Reading {
            ticks: Some(Ticks {
                stolen,
                all,
                ..Ticks::default()
            }),
            groups: groups.iter().map(group).collect(),
        }
    }

    #[test]
    fn what_is_told_is_what_happened_in_between() {
        let before = reading(7, 1_000, &[("/a", 5, 50), ("/a/b", 1, 10)]);
        let after = reading(
            19,
            1_400,
            &[("/a", 9, 90), ("/a/b", 2, 15), ("/new", 99, 99)],
        );
        let expected = Withheld {
            stolen_ppm: Some(30_000),
            throttled: Some(Throttled {
                times: 4,
                lasted: Nanos(40),
            }),
        };
        assert_eq!(after.since(&before), expected);
        let nothing = reading(7, 1_000, &[]).since(&reading(7, 1_000, &[]));
        assert_eq!(nothing, Withheld::default());
    }

    #[test]
    fn a_group_is_held_back_by_itself_or_by_one_that_it_is_in() {
        let of = |text: &str| -> Vec<String> {
            let dirs = groups(text).into_iter();
            dirs.map(|dir| dir.display().to_string()).collect()
        };
        let unified = [
            "/sys/fs/cgroup/a/b.scope",
            "/sys/fs/cgroup/a",
            "/sys/fs/cgroup/",
        ];
        assert_eq!(of("0::/a/b.scope\n"), unified);
        let first = "9:memory:/x\n4:cpu,cpuacct:/x\n3:cpuset:/y\n";
        let expected = [
            "/sys/fs/cgroup/cpu,cpuacct/x",
            "/sys/fs/cgroup/cpu,cpuacct/",
        ];
        assert_eq!(of(first), expected);
        assert!(of("garbage\n:\n").is_empty());
    }

    #[test]
    fn both_versions_of_the_kernels_file_are_read() {
        let held = |times, lasted| {
            Some(Throttled {
                times,
                lasted: Nanos(lasted),
            })
        };
        let second = "usage_usec 5\nnr_periods 10\nnr_throttled 3\nthrottled_usec 1200\n";
        assert_eq!(throttled(second), held(3, 1_200_000));
        let first = "nr_periods 10\nnr_throttled 3\nthrottled_time 1200\n";
        assert_eq!(throttled(first), held(3, 1_200));
        assert_eq!(throttled("usage_usec 5\n"), None, "a group without a limit");
    }

    #[test]
    fn this_host_tells_of_itself() {
        let reading = Reading::now();
        assert!(reading.ticks.is_some_and(|ticks| ticks.all > 0));
    }
}
