//! Counts what a check allocates: libFuzzer's own limit on allocations needs a sanitizer, which a
//! stable toolchain has not.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;
static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn more(bytes: usize) {
    let now = NOW.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(now, Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

/// Runs a check, and asserts that at no moment it held more than `base` bytes and `each` more for
/// every byte of its input.
pub fn within(base: usize, each: usize, input: &[u8], check: impl FnOnce(&[u8]) -> bool) {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    check(input);
    let held = PEAK.load(Relaxed) - before;
    let allowed = base + each * input.len();
    assert!(
        held <= allowed,
        "{held} bytes were held at once for {} of input; {allowed} are allowed",
        input.len()
    );
}
