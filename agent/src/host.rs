//! Facts of this host: the conditions of a measurement.

use std::{fs, io, thread};

use nepho_common::control::Host;
use rustix::process::{
    Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit,
};

/// This host and program. What the host does not tell is an empty text or zero.
#[must_use]
pub fn describe() -> Host {
    let uname = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    Host {
        name: text(uname.nodename()),
        os: os(&fs::read_to_string("/etc/os-release").unwrap_or_default())
            .unwrap_or_else(|| text(uname.sysname())),
        kernel: text(uname.release()),
        arch: text(uname.machine()),
        cpus: thread::available_parallelism()
            .map_or(0, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX)),
        memory: memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default()).unwrap_or(0),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Lets this process end by SIGTERM when its parent's thread ends. False when that has happened
/// already.
///
/// # Errors
/// The kernel refuses, which it does not do to a process of its own.
pub fn end_with_parent() -> io::Result<bool> {
    let parent = getppid();
    set_parent_process_death_signal(Some(Signal::TERM))?;
    Ok(getppid() == parent)
}

/// Lets no core of this process be written: secrets would be in it.
///
/// # Errors
/// The kernel refuses, which it does not do for less than what there is.
pub fn no_core() -> io::Result<()> {
    // One byte and not zero: a core that goes to a program instead of a file is held back by
    // this value alone (`fs/coredump.c`), and a file of one byte is none.
    let limit = Some(1);
    let none = Rlimit {
        current: limit,
        maximum: limit,
    };
    Ok(setrlimit(Resource::Core, none)?)
}

fn os(release: &str) -> Option<String> {
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned()).filter(|name| !name.is_empty())
}

fn memory(meminfo: &str) -> Option<u64> {
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_described_from_its_own_files() {
        assert_eq!(
            os("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13\"\n").as_deref(),
            Some("Debian GNU/Linux 13")
        );
        assert_eq!(os("ID=x\n"), None);
        assert_eq!(
            memory("MemTotal:        2048 kB\nMemFree: 1 kB\n"),
            Some(2 << 20)
        );
        assert_eq!(memory("MemTotal: many\n"), None);
        let host = describe();
        assert!(host.cpus > 0 && host.memory > 0 && !host.kernel.is_empty());
    }
}
