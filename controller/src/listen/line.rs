//! Who waits for a handshake: a line for each source, served in turn, so that one that sends
//! thousands does not stand before everybody else.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::crowd::Source;

/// Lines of whatever waits.
#[derive(Debug)]
pub(super) struct Lines<T> {
    lines: BTreeMap<Source, VecDeque<(Instant, T)>>,
    served: Option<Source>,
    length: usize,
}

impl<T> Default for Lines<T> {
    fn default() -> Self {
        Self {
            lines: BTreeMap::new(),
            served: None,
            length: 0,
        }
    }
}

impl<T> Lines<T> {
    /// Stands at the end of its source's line; `false`, and it is let go, when that is so long or
    /// all together are.
    pub(super) fn join(
        &mut self,
        source: Source,
        one: T,
        now: Instant,
        of_source: usize,
        of_all: usize,
    ) -> bool {
        let own = self.lines.get(&source).map_or(0, VecDeque::len);
        if own >= of_source || self.length >= of_all {
            return false;
        }
        self.lines.entry(source).or_default().push_back((now, one));
        self.length += 1;
        true
    }

    /// The first of the next source that may come, in turn.
    pub(super) fn next(&mut self, may: impl Fn(Source) -> bool) -> Option<T> {
        let after = |source: &Source| Some(*source) > self.served;
        let all = || self.lines.keys().copied();
        let source = all()
            .filter(after)
            .chain(all())
            .find(|source| may(*source))?;
        self.served = Some(source);
        let line = self.lines.get_mut(&source)?;
        let (_, one) = line.pop_front()?;
        if line.is_empty() {
            self.lines.remove(&source);
        }
        self.length -= 1;
        Some(one)
    }

    /// Lets go of who has waited for longer than `most`; how many those were.
    pub(super) fn tire(&mut self, now: Instant, most: Duration) -> usize {
        let before = self.length;
        self.lines.retain(|_, line| {
            while line
                .pop_front_if(|(since, _)| now >= *since + most)
                .is_some()
            {}
            !line.is_empty()
        });
        self.length = self.lines.values().map(VecDeque::len).sum();
        before - self.length
    }

    /// When the one that waits longest will have waited for `most`.
    pub(super) fn tires_at(&self, most: Duration) -> Option<Instant> {
        let first = self.lines.values().filter_map(VecDeque::front);
        first.map(|(since, _)| *since + most).min()
    }

    /// Nobody waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn source(last: u8) -> Source {
        IpAddr::from([10, 0, 0, last]).into()
    }

    #[test]
    fn sources_are_served_in_turn_however_long_a_line_is() {
        let now = Instant::now();
        let mut lines = Lines::default();
        for place in 0..50 {
            assert!(lines.join(source(1), (1, place), now, 50, 100));
        }
        for from in [2, 3] {
            assert!(lines.join(source(from), (from, 0), now, 50, 100));
        }
        let served: Vec<_> = (0..5).filter_map(|_| lines.next(|_| true)).collect();
        assert_eq!(served, [(1, 0), (2, 0), (3, 0), (1, 1), (1, 2)]);
        assert_eq!(lines.next(|one| one != source(1)), None);
    }

    #[test]
    fn a_line_is_bounded_and_whoever_waits_too_long_is_let_go() {
        let now = Instant::now();
        let mut lines = Lines::default();
        let joined = (0..9).filter(|n| lines.join(source(1), *n, now, 5, 8));
        assert_eq!(joined.count(), 5);
        let joined = (0..9).filter(|n| lines.join(source(2), *n, now, 5, 8));
        assert_eq!(joined.count(), 3, "all together are bounded too");
        let most = Duration::from_secs(5);
        assert_eq!(lines.tires_at(most), Some(now + most));
        assert_eq!(lines.tire(now + most / 2, most), 0);
        assert_eq!(lines.tire(now + most, most), 8);
        assert!(lines.is_empty() && lines.tires_at(most).is_none());
    }
}
