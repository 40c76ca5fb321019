//! Counts side by side, for all bins from the first to the last.

use super::Bin;

/// Neither the first nor the last count is zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dense {
    pub(super) first: u32,
    pub(super) counts: Vec<u64>,
    /// How many of the counts are not zero.
    pub(super) filled: usize,
}

/// Whether counts side by side, 8 bytes each, take no more than a list of 16 bytes each.
pub(super) const fn pays(span: usize, filled: usize) -> bool {
    span <= filled.saturating_mul(2)
}

/// How many bins there are from `first` to `last`.
pub(super) const fn span(first: u32, last: u32) -> usize {
    last.saturating_sub(first) as usize + 1
}

impl Dense {
    /// `list`, with room from `first` to `last`; it lies within.
    pub(super) fn of(list: &[Bin], first: u32, last: u32) -> Self {
        let mut dense = Self {
            first,
            counts: vec![0; span(first, last)],
            filled: 0,
        };
        dense.add_all(list);
        dense
    }

    pub(super) fn last(&self) -> u32 {
        let beyond = u32::try_from(self.counts.len()).expect("at most BINS");
        self.first + beyond.saturating_sub(1)
    }

    pub(super) fn slot(&mut self, bin: u32) -> Option<&mut u64> {
        self.counts.get_mut(bin.checked_sub(self.first)? as usize)
    }

    /// Makes room from `first` to `last`. `false`, and nothing is changed, when that would not pay
    /// for so many that are filled.
    pub(super) fn reach(&mut self, first: u32, last: u32, filled: usize) -> bool {
        let (first, last) = (first.min(self.first), last.max(self.last()));
        let span = span(first, last);
        if span == self.counts.len() {
            return true;
        }
        if !pays(span, filled) {
            return false;
        }
        let below = (self.first - first) as usize;
        if below > 0 {
            self.counts.splice(0..0, std::iter::repeat_n(0, below));
            self.first = first;
        }
        self.counts.resize(span, 0);
        true
    }

    /// `bin` has its room.
    pub(super) fn add(&mut self, bin: u32, n: u64) {
        let slot = self.slot(bin).expect("room was made for it");
        let before = std::mem::replace(slot, slot.saturating_add(n));
        self.filled += usize::from(before == 0);
    }

    /// The bins of `list` have their room.
    pub(super) fn add_all(&mut self, list: &[Bin]) {
        list.iter().for_each(|&(bin, n)| self.add(bin, n));
    }

    /// The bins of `other` have their room.
    pub(super) fn merge(&mut self, other: &Self) {
        let from = (other.first - self.first) as usize;
        let all_filled = self.filled == self.counts.len();
        let own = self.counts.get_mut(from..).unwrap_or_default();
        if !all_filled {
            let both = own.iter().zip(&other.counts);
            self.filled += both.filter(|&(&own, &n)| own == 0 && n > 0).count();
        }
        let both = own.iter().zip(&other.counts);
        let bits = both.fold(0, |bits, (own, n)| bits | own | n);
        let both = own.iter_mut().zip(&other.counts);
        if bits >> 63 == 0 {
            // Without the need to look at each, the compiler adds several at once.
            both.for_each(|(own, &n)| *own = own.wrapping_add(n));
        } else {
            both.for_each(|(own, &n)| *own = own.saturating_add(n));
        }
    }
}
