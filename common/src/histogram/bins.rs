//! The bins that hold something, in order, each once, none of them empty. A sorted list and not a
//! tree: whoever folds the recordings of a thousand agents walks tens of millions of them.

/// Bin and count, by rising bin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bins(Vec<(u32, u64)>);

impl Bins {
    pub(super) fn with_room(bins: usize) -> Self {
        Self(Vec::with_capacity(bins))
    }

    /// `bin` is above all others, and `n` is not zero.
    pub(super) fn push(&mut self, bin: u32, n: u64) {
        self.0.push((bin, n));
    }

    /// Counts one more in `bin`.
    pub(super) fn count(&mut self, bin: u32) {
        match self.0.binary_search_by_key(&bin, |&(own, _)| own) {
            Ok(place) => {
                let slot = self.0.get_mut(place);
                slot.expect("it was found there").1 += 1;
            }
            Err(place) => self.0.insert(place, (bin, 1)),
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let mut place = 0;
        for (nth, &(bin, n)) in other.0.iter().enumerate() {
            while self.0.get(place).is_some_and(|&(own, _)| own < bin) {
                place += 1;
            }
            match self.0.get_mut(place) {
                Some((own, sum)) if *own == bin => *sum = sum.saturating_add(n),
                // Seldom: a view over many agents soon has every bin that they have.
                Some(_) | None => {
                    self.weave(place, other.0.get(nth..).unwrap_or_default());
                    return;
                }
            }
        }
    }

    /// Merges `others` into what is behind `place`; what is before it is below all of them.
    fn weave(&mut self, place: usize, others: &[(u32, u64)]) {
        let tail = self.0.split_off(place);
        self.0.reserve(tail.len() + others.len());
        let (mut own, mut others) = (tail.into_iter().peekable(), others.iter().peekable());
        while let (Some(&(mine, m)), Some(&&(theirs, t))) = (own.peek(), others.peek()) {
            if mine <= theirs {
                own.next();
            }
            if theirs <= mine {
                others.next();
            }
            self.0.push(match mine.cmp(&theirs) {
                std::cmp::Ordering::Less => (mine, m),
                std::cmp::Ordering::Equal => (mine, m.saturating_add(t)),
                std::cmp::Ordering::Greater => (theirs, t),
            });
        }
        self.0.extend(own);
        self.0.extend(others);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.0.iter().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn first(&self) -> Option<(u32, u64)> {
        self.0.first().copied()
    }

    pub(super) fn last(&self) -> Option<(u32, u64)> {
        self.0.last().copied()
    }

    /// The lower and the upper half.
    pub(super) fn halves(&self) -> (Self, Self) {
        let (lower, upper) = self.0.split_at(self.0.len() / 2);
        (Self(lower.to_vec()), Self(upper.to_vec()))
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

    proptest! {
        #[test]
        fn counting_and_merging_are_those_of_a_map(
            a in prop::collection::vec(0u32..40, 0..60), b in prop::collection::vec(0u32..40, 0..60),
        ) {
            let mut model = BTreeMap::new();
            for bin in a.iter().chain(&b) {
                *model.entry(*bin).or_insert(0u64) += 1;
            }
            let mut merged = counted(&a);
            merged.merge(&counted(&b));
            prop_assert_eq!(merged.iter().collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
        }
    }
}
