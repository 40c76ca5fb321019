//! When an answer is due: at once, after a while, or when the one server of a queue is done with it.

use std::time::Duration;

use super::clock::Stamp;

/// Turns arrivals into due times. Arrivals never go back in time, and neither do due times.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long a request occupies the one server of the virtual queue.
    occupies: Duration,
    /// How much later every answer is, whatever else goes on.
    later: Duration,
    /// When the server is done with what it has.
    free: Option<Stamp>,
}

impl Pace {
    pub(super) const fn new(occupies: Duration, later: Duration) -> Self {
        Self {
            occupies,
            later,
            free: None,
        }
    }

    /// When the answer to what arrived then is due; nothing means at once.
    ///
    /// This is Lindley's recursion: a request begins when it is there and the server is free.
    pub(super) fn due(&mut self, arrival: Stamp) -> Option<Stamp> {
        let done = self.begins(arrival)?.after(self.occupies);
        self.free = Some(done);
        Some(done.after(self.later))
    }

    /// The same for what is no request: it occupies nobody, but overtakes nobody either.
    pub(super) fn due_for_refusal(&self, arrival: Stamp) -> Option<Stamp> {
        Some(self.begins(arrival)?.after(self.later))
    }

    fn begins(&self, arrival: Stamp) -> Option<Stamp> {
        let waits = !(self.occupies.is_zero() && self.later.is_zero());
        waits.then(|| self.free.map_or(arrival, |free| free.max(arrival)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(pace: &mut Pace, arrivals: &[u64]) -> Vec<u64> {
        let due = arrivals.iter().map(|at| pace.due(Stamp::at(*at)));
        due.map(|at| at.unwrap().nanoseconds()).collect()
    }

    #[test]
    fn a_queue_of_one_server_follows_lindley() {
        let nanoseconds = Duration::from_nanos;
        let mut queue = Pace::new(nanoseconds(10), Duration::ZERO);
        assert_eq!(
            due(&mut queue, &[0, 3, 4, 35, 45, 46]),
            [10, 20, 30, 45, 55, 65]
        );
        let refused = queue.due_for_refusal(Stamp::at(50)).unwrap();
        assert_eq!((refused.nanoseconds(), due(&mut queue, &[50])[0]), (65, 75));
        let mut further = Pace::new(nanoseconds(10), nanoseconds(100));
        assert_eq!(due(&mut further, &[0, 3, 35]), [110, 120, 145]);
    }

    #[test]
    fn without_a_queue_nobody_waits_for_another() {
        let mut each = Pace::new(Duration::ZERO, Duration::from_nanos(10));
        assert_eq!(due(&mut each, &[0, 3, 3, 35]), [10, 13, 13, 45]);
        let mut at_once = Pace::new(Duration::ZERO, Duration::ZERO);
        assert_eq!(at_once.due(Stamp::at(7)), None);
        assert_eq!(at_once.due_for_refusal(Stamp::at(7)), None);
    }
}
