//! Whether what is watched is there, and how often another one came in its place.

use std::collections::BTreeSet;

use nepho_common::event::Presence;

/// So many changes of one thing are told in a stage. What comes and goes at every reading says no
/// more after that; `restarts` and `count` go on counting.
const TOLD_MAX: u32 = 50;

/// Follows one thing. `I` tells one process or container from the one that comes in its place.
#[derive(Debug)]
pub(super) struct Tracker<I> {
    before: Option<BTreeSet<I>>,
    /// Of those that went, how many nothing came in the place of.
    vacant: u64,
    restarts: u64,
    state: Option<Presence>,
    told: u32,
}

impl<I> Default for Tracker<I> {
    fn default() -> Self {
        Self {
            before: None,
            vacant: 0,
            restarts: 0,
            state: None,
            told: 0,
        }
    }
}

impl<I: Ord> Tracker<I> {
    /// These are there now. One that is new counts as a restart if another had gone before; one
    /// that only comes on top does not.
    pub(super) fn look(&mut self, now: BTreeSet<I>) -> Option<Presence> {
        let before = self.before.take();
        let known = before.as_ref();
        let came = known.map_or(0, |before| now.difference(before).count() as u64);
        let went = known.map_or(0, |before| before.difference(&now).count() as u64);
        self.vacant = self.vacant.saturating_add(went);
        let replaced = came.min(self.vacant);
        self.vacant -= replaced;
        self.restarts = self.restarts.saturating_add(replaced);
        let state = match (known.is_none_or(BTreeSet::is_empty), now.is_empty()) {
            (true, true) => Presence::NotThere,
            (false, true) => Presence::Gone,
            (true | false, false) => Presence::There,
        };
        self.before = Some(now);
        if state == Presence::There && self.state == Some(Presence::There) && replaced > 0 {
            return self.tell(Presence::Restarted);
        }
        self.turn(state)
    }

    /// Nothing can be seen of it, for this reason.
    pub(super) fn blind(&mut self, why: Presence) -> Option<Presence> {
        self.turn(why)
    }

    /// How often one came in the place of another, as far as was seen: one that came and went
    /// between two looks was not.
    pub(super) const fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The engine itself counted so many more than were seen.
    pub(super) fn missed(&mut self, more: u64) {
        self.restarts = self.restarts.saturating_add(more);
    }

    fn turn(&mut self, state: Presence) -> Option<Presence> {
        let first = self.state.is_none();
        let was_away = matches!(self.state, Some(Presence::Gone | Presence::NotThere));
        let is_away = matches!(state, Presence::Gone | Presence::NotThere);
        if self.state == Some(state) || (was_away && is_away) {
            return None;
        }
        self.state = Some(state);
        if first && state == Presence::There {
            return None;
        }
        self.tell(state)
    }

    fn tell(&mut self, state: Presence) -> Option<Presence> {
        self.told = self.told.saturating_add(1);
        (self.told <= TOLD_MAX).then_some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said, look by look, and how many restarts there are at the end.
    fn said(looks: &[&[u32]]) -> (Vec<Option<Presence>>, u64) {
        let mut tracker = Tracker::default();
        let said = looks
            .iter()
            .map(|now| tracker.look(now.iter().copied().collect()))
            .collect();
        (said, tracker.restarts())
    }

    #[test]
    fn what_is_simply_there_says_nothing() {
        assert_eq!(said(&[&[1], &[1], &[1]]), (vec![None, None, None], 0));
    }

    #[test]
    fn one_that_is_started_again_counts_whether_its_absence_was_seen_or_not() {
        let (words, restarts) = said(&[&[1], &[2]]);
        assert_eq!(
            (words, restarts),
            (vec![None, Some(Presence::Restarted)], 1)
        );
        let (words, restarts) = said(&[&[1], &[], &[], &[2]]);
        let seen = vec![None, Some(Presence::Gone), None, Some(Presence::There)];
        assert_eq!((words, restarts), (seen, 1));
    }

    #[test]
    fn one_more_or_one_less_is_no_restart() {
        assert_eq!(said(&[&[1], &[1, 2], &[1, 2, 3]]).1, 0);
        assert_eq!(said(&[&[1, 2], &[1]]), (vec![None, None], 0));
        assert_eq!(said(&[&[1, 2], &[1], &[1, 3]]).1, 1);
        let (words, restarts) = said(&[&[], &[], &[1]]);
        let seen = vec![Some(Presence::NotThere), None, Some(Presence::There)];
        assert_eq!((words, restarts), (seen, 0), "a first start is none");
    }

    #[test]
    fn what_can_not_be_seen_is_said_once_and_forgets_nothing() {
        let mut tracker = Tracker::default();
        assert_eq!(tracker.look([1].into()), None);
        assert_eq!(tracker.blind(Presence::NoEngine), Some(Presence::NoEngine));
        assert_eq!(tracker.blind(Presence::NoEngine), None);
        assert_eq!(tracker.look([2].into()), Some(Presence::There));
        assert_eq!(tracker.restarts(), 1);
    }

    #[test]
    fn what_changes_all_the_time_falls_silent_and_is_still_counted() {
        let mut tracker = Tracker::default();
        let told = (0..200u32).filter_map(|n| tracker.look([n].into())).count();
        assert_eq!((told, tracker.restarts()), (TOLD_MAX as usize, 199));
    }
}
