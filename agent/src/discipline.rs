//! How well the kernel thinks that the wall clock is kept: what chrony or ntpd tells it.

use nepho_common::time::{HostClock, HostWall, Nanos};
use rustix::time::{ClockId, clock_gettime};

use crate::clock;

/// What the kernel says; `None` where it says nothing, as in some sandboxes.
#[must_use]
pub fn host_clock() -> Option<HostClock> {
    let (state, timex) = adjtimex()?;
    let unset = timex.status & libc::STA_UNSYNC != 0 || state == libc::TIME_ERROR;
    // Microseconds; the kernel lets the bound grow by 500 µs a second while nobody keeps the clock.
    let nanos = |micros: i64| Nanos(u64::try_from(micros).unwrap_or(0).saturating_mul(1000));
    Some(HostClock {
        synchronised: !unset,
        max_error: nanos(timex.maxerror),
        estimated_error: nanos(timex.esterror),
    })
}

/// The wall clock against the monotonic one, and how far it may be off.
#[must_use]
pub fn host_wall() -> Option<HostWall> {
    let mut said = host_clock()?;
    let before = clock::now();
    let wall = clock_gettime(ClockId::Realtime);
    let after = clock::now();
    // The wall clock was read at some instant between the two.
    said.max_error.0 = said.max_error.0.saturating_add(after.since(before).0);
    let wall = i128::from(wall.tv_sec) * 1_000_000_000 + i128::from(wall.tv_nsec);
    let ahead = i64::try_from(wall - i128::from(after.0)).ok()?;
    Some(HostWall { clock: said, ahead })
}

#[expect(
    unsafe_code,
    reason = "neither the standard library nor rustix has adjtimex"
)]
fn adjtimex() -> Option<(i32, libc::timex)> {
    // SAFETY: a timex is numbers only, and all of them may be zero.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: it points to a timex of ours, and with `modes` zero the kernel only writes to it.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    (state >= 0).then_some((state, timex))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_asked_and_nothing_is_changed() {
        let Some(said) = host_clock() else {
            println!("this kernel says nothing of its clock");
            return;
        };
        println!("{said:?}");
        // The kernel's own end of the scale is 16 s, and an unkept clock is there soon.
        assert!(said.max_error <= Nanos::from_secs(17), "{said:?}");
        assert_eq!(
            host_clock().map(|again| again.synchronised),
            Some(said.synchronised)
        );
    }
}
