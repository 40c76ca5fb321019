//! Which cores threads stay on.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores that this thread may run on, in order.
///
/// # Errors
/// The kernel has more of them than it tells.
pub(super) fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    let cores = 0..CpuSet::MAX_CPU;
    Ok(cores.filter(|core| set.is_set(*core)).collect())
}

/// From now on this thread runs on this core only.
///
/// # Errors
/// It may not.
pub(super) fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_where_it_is_put_and_others_do_not_mind() {
        let before = allowed().unwrap();
        assert!(!before.is_empty());
        for core in before.clone() {
            let thread = std::thread::spawn(move || {
                let free = allowed().unwrap();
                pin(core).unwrap();
                (free, allowed().unwrap())
            });
            assert_eq!(thread.join().unwrap(), (before.clone(), vec![core]));
        }
        assert_eq!(allowed().unwrap(), before);
        assert!(pin(CpuSet::MAX_CPU - 1).is_err(), "no host has so many");
    }
}
