//! How long to wait before dialling again.

use std::time::Duration;

use crate::random;

const FIRST: Duration = Duration::from_millis(200);
const MOST: Duration = Duration::from_secs(10);

/// Doubles its bound with each failure; each wait is drawn from the whole range below the bound
/// ("full jitter"), so that a thousand agents don't come back at once.
#[derive(Debug)]
pub struct Backoff {
    bound: Duration,
}

impl Backoff {
    /// Nothing failed yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { bound: FIRST }
    }

    /// It worked: the next failure is a first one.
    pub const fn reset(&mut self) {
        self.bound = FIRST;
    }

    /// It was open for so long and then failed. A first failure again if that was longer than the
    /// longest wait; a controller that welcomes and falls over at once is left in peace ever longer.
    pub fn lasted(&mut self, open: Duration) {
        if open >= MOST {
            self.reset();
        }
    }

    /// It failed: how long to wait.
    pub fn next_wait(&mut self) -> Duration {
        let bound = u64::try_from(self.bound.as_millis()).unwrap_or(u64::MAX);
        self.bound = (self.bound * 2).min(MOST);
        // Without randomness a full wait is the careful choice.
        Duration::from_millis(random::up_to(bound).unwrap_or(bound))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_ten_seconds_and_start_again_after_a_success() {
        let mut backoff = Backoff::new();
        let bounds: Vec<_> = (0..8)
            .map(|_| {
                let bound = backoff.bound;
                assert!(backoff.next_wait() <= bound);
                bound.as_millis()
            })
            .collect();
        assert_eq!(bounds, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        backoff.reset();
        assert!(backoff.next_wait() <= FIRST);
    }

    #[test]
    fn only_what_held_for_a_while_counts_as_a_success() {
        let mut backoff = Backoff::new();
        for _ in 0..4 {
            backoff.next_wait();
            backoff.lasted(MOST / 2);
        }
        assert_eq!(backoff.bound, FIRST * 16);
        backoff.lasted(MOST);
        assert_eq!(backoff.bound, FIRST);
    }
}
