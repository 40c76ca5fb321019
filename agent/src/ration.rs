//! A bound on what others can make us write in our own log.

use nepho_common::time::{Mono, Nanos};

/// Lines at once: each of the eight runs that an agent can know, eight times over.
const BURST: u32 = 64;
/// Then one line in each of these.
const EVERY: Nanos = Nanos::from_secs(1);

/// Says when to speak, and how much was left unsaid.
#[derive(Debug)]
pub struct Ration {
    left: u32,
    filled: Mono,
    unsaid: u64,
}

impl Ration {
    /// A full one.
    #[must_use]
    pub const fn full(now: Mono) -> Self {
        Self {
            left: BURST,
            filled: now,
            unsaid: 0,
        }
    }

    /// Leave for one line, with how many were left out since the last one.
    pub fn line(&mut self, now: Mono) -> Option<u64> {
        let passed = now.since(self.filled).0 / EVERY.0;
        if passed > 0 {
            let more = u32::try_from(passed).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(more).min(BURST);
            self.filled = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(std::mem::take(&mut self.unsaid))
            }
            None => {
                self.unsaid += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_and_its_size_is_said() {
        let mut ration = Ration::full(Mono(0));
        let said = (0..1_000).filter_map(|_| ration.line(Mono(0))).count();
        assert_eq!(said, 64);
        let second = EVERY.0;
        assert_eq!(ration.line(Mono(second)), Some(936));
        assert_eq!(ration.line(Mono(second + 1)), None);
        assert_eq!(
            ration.line(Mono(100 * second)),
            Some(1),
            "and it fills up again"
        );
        let said = (0..1_000).filter_map(|_| ration.line(Mono(100 * second)));
        assert_eq!(said.count(), 63);
    }
}
