//! Files of `/proc` and of cgroups, parsed. What does not look as the kernel's documentation says is
//! no value.

/// Processor time since boot, in ticks, over all cores (`proc_stat(5)`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ticks {
    pub(super) busy: u64,
    pub(super) waiting: u64,
    pub(super) stolen: u64,
    pub(super) all: u64,
}

/// The first line of `/proc/stat`: user nice system idle iowait irq softirq steal. Guest time is in
/// user time already.
pub(super) fn ticks(stat: &str) -> Option<Ticks> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
