//! A loop on a core that takes only what nobody else wants, so that the processor never sleeps.

use std::{path::Path, process::Command};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::site::{Running, eventually};

/// `SCHED_IDLE`, as `/proc/PID/stat` says it.
const IDLE: &str = "5";

/// Keeps a core busy until what is returned is dropped.
pub(crate) fn on(core: usize, dir: &Path) -> Running {
    let mut spin = Command::new("taskset");
    spin.args(["-c", &core.to_string(), "chrt", "-i", "0"]);
    spin.arg(std::env::current_exe().unwrap()).arg("spin");
    let running = Running::start(&mut spin, dir, &format!("spin-{core}"));
    eventually("the idle loop is one", || {
        assert_eq!(running.errors(), "");
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", running.pid())).ok()?;
        let (name, rest) = stat.rsplit_once(") ")?;
        // The 41st field of all, and the name is the second.
        let policy = rest.split_whitespace().nth(38)?;
        let began = !name.ends_with("(chrt") && !name.ends_with("(taskset");
        (began && policy == IDLE).then_some(())
    });
    running
}

/// What the program does that keeps a core busy. It ends with its parent, however that ends.
pub(crate) fn spin() -> ! {
    let parent = getppid();
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    // One that ended before the call sends no signal.
    assert_eq!(getppid(), parent);
    // Not the processor's own hint for such loops: under a hypervisor that gives the core away.
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}
