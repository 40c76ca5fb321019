//! Files of `/proc` and of cgroups, parsed. What does not look as the kernel's documentation says is
//! no value.

/// Processor time since boot, in ticks, over all cores (`proc_stat(5)`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::work) struct Ticks {
    pub(in crate::work) busy: u64,
    pub(in crate::work) waiting: u64,
    pub(in crate::work) stolen: u64,
    pub(in crate::work) all: u64,
}

/// The first line of `/proc/stat`: user nice system idle iowait irq softirq steal. Guest time is in
/// user time already.
pub(in crate::work) fn ticks(stat: &str) -> Option<Ticks> {
    let line = stat.lines().find(|line| line.starts_with("cpu "))?;
    let numbers: Option<Vec<u64>> = line
        .split_ascii_whitespace()
        .skip(1)
        .take(8)
        .map(|one| one.parse().ok())
        .collect();
    let &[user, nice, system, idle, waiting, irq, softirq, stolen] = numbers?.as_slice() else {
        return None;
    };
    let busy = user + nice + system + irq + softirq;
    Some(Ticks {
        busy,
        waiting,
        stolen,
        all: busy + idle + waiting + stolen,
    })
}

/// The share of the last ten seconds in which somebody had to wait (`/proc/pressure/*`, `some avg10`),
/// between 0 and 1.
pub(super) fn pressure(file: &str) -> Option<f64> {
    let line = file.lines().find(|line| line.starts_with("some "))?;
    let value = line
        .split_ascii_whitespace()
        .find_map(|word| word.strip_prefix("avg10="))?;
    let percent: f64 = value.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

/// Files that are open in the whole host, and how many may be (`/proc/sys/fs/file-nr`).
pub(super) fn files(file: &str) -> Option<(u64, u64)> {
    let mut numbers = file.split_ascii_whitespace();
    let open = numbers.next()?.parse().ok()?;
    let most = numbers.nth(1)?.parse().ok()?;
    Some((open, most))
}

/// Periods, and those in which the group was held back (`cpu.stat` of cgroup v2).
pub(super) fn throttled(stat: &str) -> Option<(u64, u64)> {
    let of = |key: &str| {
        let line = stat.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().parse::<u64>().ok()
    };
    Some((of("nr_periods ")?, of("nr_throttled ")?))
}

/// What matters of one process (`proc_pid_stat(5)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// The kernel's name of it, cut to 15 bytes, and filled up with zeros.
    name: [u8; NAME_MAX],
    /// Time on a processor in ticks, without its children's.
    pub(super) cpu: u64,
    /// Threads.
    pub(super) threads: u64,
    /// When it was started, in ticks since boot.
    pub(super) started: u64,
    /// Memory that it has, in pages.
    pub(super) resident: u64,
}

/// The longest name that the kernel keeps of a process, in bytes.
const NAME_MAX: usize = 15;

impl Stat {
    /// Whether the kernel calls it exactly so. A name of 15 bytes may be the beginning of a longer
    /// one, and is taken for itself.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let length = self.name.iter().take_while(|byte| **byte != 0).count();
        self.name.get(..length) == Some(name.as_bytes())
    }
}

/// The file `stat` of a process that lives; `None` of one that is dead.
pub(super) fn stat(file: &str) -> Option<Stat> {
    // A name may hold anything, brackets and spaces too.
    let (_, named) = file.split_once('(')?;
    let (name, rest) = named.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The list of the manual begins at 1, and the state is number 3.
    let number = |nth: usize| fields.get(nth.checked_sub(3)?)?.parse::<u64>().ok();
    if matches!(*fields.first()?, "Z" | "X" | "x") {
        return None;
    }
    let mut kept = [0; NAME_MAX];
    for (place, byte) in kept.iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    Some(Stat {
        name: kept,
        cpu: number(14)?.saturating_add(number(15)?),
        threads: number(20)?,
        started: number(22)?,
        resident: number(24)?,
    })
}

/// Bytes that went from and to disks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) read: u64,
    pub(super) written: u64,
}

/// The file `io` of a process (`proc_pid_io(5)`): what really went to and from disks.
pub(super) fn traffic(file: &str) -> Option<Traffic> {
    let of = |key: &str| {
        let line = file.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().parse::<u64>().ok()
    };
    Some(Traffic {
        read: of("read_bytes:")?,
        written: of("write_bytes:")?,
    })
}

/// Whether the control groups of a process (its file `cgroup`) lie in this systemd unit.
pub(super) fn group_holds(file: &str, unit: &str) -> bool {
    let paths = file.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let mut parts = paths.flat_map(|path| path.split('/'));
    parts.any(|part| part == unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "42 (my (odd) name) S 1 42 42 0 -1 4194304 100 0 0 0 7 5 90 90 20 0 3 0 \
                        1234 1000000 256 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0";

    #[test]
    fn a_process_is_read_whatever_it_calls_itself() {
        let found = stat(OURS).unwrap();
        assert_eq!(
            (found.cpu, found.threads),
            (12, 3),
            "children's time is not its own"
        );
        assert_eq!((found.started, found.resident), (1234, 256));
        assert!(found.is_called("my (odd) name"));
        assert!(!found.is_called("my") && !found.is_called("my (odd) name2"));
        let dead = OURS.replace(") S ", ") Z ");
        assert_eq!(stat(&dead), None);
        for bad in [
            "",
            "42",
            "42 (x",
            "42 (x) S",
            "42 (x) S 1 2 3",
            &OURS.replace("1234", "-1"),
        ] {
            assert_eq!(stat(bad), None, "{bad}");
        }
    }

    #[test]
    fn traffic_is_what_went_to_disks() {
        let file = "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 50\nwrite_bytes: 60\n\
                    cancelled_write_bytes: 7\n";
        let found = traffic(file).unwrap();
        assert_eq!((found.read, found.written), (50, 60));
        assert_eq!(traffic("read_bytes: 50\n"), None);
    }

    #[test]
    fn a_unit_is_a_whole_part_of_the_path() {
        let file = "0::/system.slice/nginx.service/worker\n";
        assert!(group_holds(file, "nginx.service"));
        assert!(!group_holds(file, "nginx") && !group_holds(file, "inx.service"));
        let older = "4:cpu,cpuacct:/system.slice/db.service\n1:name=systemd:/\n";
        assert!(group_holds(older, "db.service"));
        assert!(!group_holds("garbage", "garbage"));
    }

    #[test]
    fn processor_time_is_busy_idle_waiting_and_stolen() {
        let stat = "cpu  100 20 30 500 40 5 6 7 8 9\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        let found = ticks(stat).unwrap();
        assert_eq!((found.busy, found.waiting, found.stolen), (161, 40, 7));
        assert_eq!(found.all, 708);
        assert_eq!(ticks("cpu  1 2 3"), None);
        assert_eq!(ticks("cpu  1 2 3 4 5 6 x 8"), None);
    }

    #[test]
    fn pressure_is_the_share_in_which_some_waited() {
        let file = "some avg10=12.50 avg60=1.00 avg300=0.10 total=1\nfull avg10=1.00 avg60=0 avg300=0 total=0\n";
        assert_eq!(pressure(file), Some(0.125));
        assert_eq!(pressure("some avg10=1e9 avg60=0"), None);
        assert_eq!(pressure(""), None);
    }

    #[test]
    fn open_files_and_throttled_periods_are_read() {
        assert_eq!(
            files("1024\t0\t9223372036854775807\n"),
            Some((1024, i64::MAX as u64))
        );
        assert_eq!(
            throttled("usage_usec 5\nnr_periods 10\nnr_throttled 3\n"),
            Some((10, 3))
        );
        assert_eq!(throttled("usage_usec 5\n"), None);
    }
}
