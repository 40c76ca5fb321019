//! The bins that hold something, in order, each once, none of them empty.
//!
//! Two forms, because whoever folds the recordings of a thousand agents walks hundreds of millions of
//! bins: a list of those that hold something, or counts side by side for all from the first to the
//! last. The second is taken where it needs no more memory than the first, so the form follows from
//! the content, equal bins are equal, and what a stranger sends takes no more than its list would.

mod dense;
mod list;

use self::dense::{Dense, pays, span};

/// A bin and how many values lie in it.
pub(super) type Bin = (u32, u64);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bins(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// By rising bin.
    Listed(Vec<Bin>),
    Dense(Dense),
}

impl Default for Bins {
    fn default() -> Self {
        Self(Form::Listed(Vec::new()))
    }
}

impl Bins {
    /// For bins that come one after the other through [`Self::push`]: so many, from `first` to `last`.
    pub(super) fn with_room(bins: usize, first: u32, last: u32) -> Self {
        let span = span(first, last);
        if bins == 0 || !pays(span, bins) {
            return Self(Form::Listed(Vec::with_capacity(bins)));
        }
        Self(Form::Dense(Dense {
            first,
            counts: vec![0; span],
            filled: 0,
        }))
    }

    /// `bin` is above all others, and `n` is not zero. `false` when there is no room for it.
    #[must_use]
    pub(super) fn push(&mut self, bin: u32, n: u64) -> bool {
        match &mut self.0 {
            Form::Listed(list) => list.push((bin, n)),
            Form::Dense(dense) => match dense.slot(bin) {
                Some(slot) => {
                    *slot = n;
                    dense.filled += 1;
                }
                None => return false,
            },
        }
        true
    }

    /// The counts from `first` to `last`, all of them zero until now, of which `filled` are about to
    /// be set. `None` in a list, or when there is no room for them.
    #[inline]
    pub(super) fn window(&mut self, first: u32, last: u32, filled: usize) -> Option<&mut [u64]> {
        match &mut self.0 {
            Form::Listed(_) => None,
            Form::Dense(dense) => {
                let from = first.checked_sub(dense.first)? as usize;
                let window = dense.counts.get_mut(from..from + span(first, last))?;
                dense.filled += filled;
                Some(window)
            }
        }
    }

    /// Counts one more in `bin`.
    pub(super) fn count(&mut self, bin: u32) {
        match &mut self.0 {
            Form::Listed(list) => match list.binary_search_by_key(&bin, |&(own, _)| own) {
                Ok(place) => {
                    let slot = list.get_mut(place);
                    slot.expect("it was found there").1 += 1;
                }
                Err(place) => {
                    list.insert(place, (bin, 1));
                    self.settle();
                }
            },
            Form::Dense(dense) => {
                if !dense.reach(bin, bin, dense.filled + 1) {
                    self.unfold();
                    return self.count(bin);
                }
                dense.add(bin, 1);
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let (Some((first, _)), Some((last, _))) = (other.first(), other.last()) else {
            return;
        };
        if let (Form::Listed(list), Form::Dense(theirs)) = (&self.0, &other.0) {
            let least = list.first().map_or(first, |&(bin, _)| bin.min(first));
            let most = list.last().map_or(last, |&(bin, _)| bin.max(last));
            if pays(span(least, most), theirs.filled) {
                self.0 = Form::Dense(Dense::of(list, least, most));
            }
        }
        match &mut self.0 {
            Form::Listed(list) => {
                list::merge(list, other.len(), other.iter());
                self.settle();
            }
            Form::Dense(dense) => {
                if dense.reach(first, last, dense.filled.max(other.len())) {
                    match &other.0 {
                        Form::Listed(list) => dense.add_all(list),
                        Form::Dense(other) => dense.merge(other),
                    }
                } else {
                    self.unfold();
                    self.merge(other);
                }
            }
        }
    }

    /// From a list to counts side by side, if they pay.
    fn settle(&mut self) {
        if let Form::Listed(list) = &self.0
            && let (Some(&(first, _)), Some(&(last, _))) = (list.first(), list.last())
            && pays(span(first, last), list.len())
        {
            self.0 = Form::Dense(Dense::of(list, first, last));
        }
    }

    /// To a list, whether it pays or not.
    fn unfold(&mut self) {
        self.0 = Form::Listed(self.iter().collect());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Bin> + '_ {
        let (list, first, counts): (&[Bin], u32, &[u64]) = match &self.0 {
            Form::Listed(list) => (list, 0, &[]),
            Form::Dense(dense) => (&[], dense.first, &dense.counts),
        };
        let dense = (first..).zip(counts.iter().copied());
        list.iter().copied().chain(dense.filter(|&(_, n)| n > 0))
    }

    pub(super) fn len(&self) -> usize {
        match &self.0 {
            Form::Listed(list) => list.len(),
            Form::Dense(dense) => dense.filled,
        }
    }

    pub(super) fn first(&self) -> Option<Bin> {
        match &self.0 {
            Form::Listed(list) => list.first().copied(),
            Form::Dense(dense) => dense.counts.first().map(|&n| (dense.first, n)),
        }
    }

    pub(super) fn last(&self) -> Option<Bin> {
        match &self.0 {
            Form::Listed(list) => list.last().copied(),
            Form::Dense(dense) => dense.counts.last().map(|&n| (dense.last(), n)),
        }
    }

    /// The lower and the upper half.
    pub(super) fn halves(&self) -> (Self, Self) {
        let mut lower: Vec<_> = self.iter().collect();
        let upper = lower.split_off(lower.len() / 2);
        let settled = |list| {
            let mut bins = Self(Form::Listed(list));
            bins.settle();
            bins
        };
        (settled(lower), settled(upper))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn counted(bins: &[u32]) -> Bins {
        let mut counted = Bins::default();
        bins.iter().for_each(|&bin| counted.count(bin));
        counted
    }

    /// Near each other, far apart, and both: one form, the other, and from one to the other.
    fn some() -> impl Strategy<Value = Vec<u32>> {
        let near = || prop::collection::vec(20u32..60, 0..60);
        let far = || prop::collection::vec(0u32..2_000, 0..120);
        prop_oneof![
            near(),
            far(),
            (near(), far()).prop_map(|(near, far)| [near, far].concat())
        ]
    }

    fn is_dense(bins: &Bins) -> bool {
        matches!(bins.0, Form::Dense(_))
    }

    proptest! {
        #[test]
        fn counting_and_merging_are_those_of_a_map(a in some(), b in some()) {
            let mut model = BTreeMap::new();
            for bin in a.iter().chain(&b) {
                *model.entry(*bin).or_insert(0u64) += 1;
            }
            let mut merged = counted(&a);
            merged.merge(&counted(&b));
            prop_assert_eq!(merged.len(), model.len());
            let ends = [model.first_key_value(), model.last_key_value()];
            let ends = ends.map(|end| end.map(|(&bin, &n)| (bin, n)));
            prop_assert_eq!([merged.first(), merged.last()], ends);
            prop_assert_eq!(merged.iter().collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn the_form_follows_from_the_content(a in some(), b in some()) {
            let both = counted(&[a.as_slice(), &b].concat());
            let mut merged = counted(&b);
            merged.merge(&counted(&a));
            prop_assert_eq!(&merged, &both);
            if let (Some((first, _)), Some((last, _))) = (both.first(), both.last()) {
                prop_assert_eq!(is_dense(&both), pays(span(first, last), both.len()));
                let mut pushed = Bins::with_room(both.len(), first, last);
                prop_assert!(both.iter().all(|(bin, n)| pushed.push(bin, n)));
                prop_assert_eq!(pushed, both);
            }
        }
    }

    #[test]
    fn counts_that_would_overflow_stay_at_the_most_in_either_form() {
        for bins in [vec![3, 4, 5], vec![3, 400, 5_000]] {
            let mut full = Bins::with_room(3, bins[0], bins[2]);
            assert!(bins.iter().all(|&bin| full.push(bin, u64::MAX - 1)));
            full.merge(&counted(&bins.repeat(3)));
            assert!(full.iter().all(|(_, n)| n == u64::MAX), "{full:?}");
        }
    }

    #[test]
    fn there_is_no_room_but_what_was_asked_for() {
        let mut dense = Bins::with_room(3, 10, 12);
        assert!(is_dense(&dense));
        assert!(!dense.push(9, 1) && !dense.push(13, 1) && dense.push(10, 1));
        assert_eq!(dense.window(11, 13, 1), None);
        assert_eq!(dense.window(9, 10, 1), None);
        assert_eq!(dense.window(11, 12, 2).map(|counts| counts.len()), Some(2));
        assert_eq!(dense.len(), 3);
    }
}
