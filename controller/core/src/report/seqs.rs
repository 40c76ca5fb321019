//! Sets of numbers of one spool. They lie close together, so they are kept in blocks of 64.

use std::collections::BTreeMap;

use nepho_common::id::Seq;

/// How many numbers a block has: the bits of a word.
pub(super) const BLOCK: u64 = 64;

/// Some of the numbers of one block; which block it is says somebody else.
pub(super) type Bits = u64;

/// In which block a number lies, and which of its bits it is. Numbers count from 1.
pub(super) const fn place(seq: Seq) -> (u64, Bits) {
    let place = seq.0.saturating_sub(1);
    (place / BLOCK, 1 << (place % BLOCK))
}

/// The first number of a block.
const fn start(block: u64) -> u64 {
    block.saturating_mul(BLOCK).saturating_add(1)
}

/// The first of some numbers of a block; `None` of none.
pub(super) fn first(block: u64, bits: Bits) -> Option<Seq> {
    let bit = (bits != 0).then(|| bits.trailing_zeros())?;
    Some(Seq(start(block).saturating_add(bit.into())))
}

/// Some numbers of a block, in order.
pub(super) fn each(block: u64, bits: Bits) -> impl Iterator<Item = Seq> {
    let held = (0..BLOCK).filter(move |bit| bits >> bit & 1 == 1);
    held.map(move |bit| Seq(start(block).saturating_add(bit)))
}

/// A set of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seqs(BTreeMap<u64, Bits>);

impl Seqs {
    /// Adds numbers of a block.
    pub(super) fn add(&mut self, block: u64, bits: Bits) {
        if bits != 0 {
            *self.0.entry(block).or_default() |= bits;
        }
    }

    pub(super) fn extend(&mut self, other: &Self) {
        other
            .0
            .iter()
            .for_each(|(&block, &bits)| self.add(block, bits));
    }

    pub(super) fn first(&self) -> Option<Seq> {
        let (&block, &bits) = self.0.first_key_value()?;
        first(block, bits)
    }

    pub(super) fn last(&self) -> Option<Seq> {
        let (&block, bits) = self.0.last_key_value()?;
        let bit = bits.checked_ilog2()?;
        Some(Seq(start(block).saturating_add(bit.into())))
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.0
            .values()
            .map(|bits| u64::from(bits.count_ones()))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn a_set_in_blocks_is_the_set(
            seqs in vec(prop_oneof![1u64..200, Just(u64::MAX), Just(64), Just(65)], 0..40),
        ) {
            let (mut one, mut other) = (Seqs::default(), Seqs::default());
            for (nth, &seq) in seqs.iter().enumerate() {
                let (block, bits) = place(Seq(seq));
                let half = if nth % 2 == 0 { &mut one } else { &mut other };
                half.add(block, bits);
            }
            one.extend(&other);
            let set: BTreeSet<u64> = seqs.into_iter().collect();
            prop_assert_eq!(one.count(), set.len() as u64);
            prop_assert_eq!(one.first().map(|seq| seq.0), set.first().copied());
            prop_assert_eq!(one.last().map(|seq| seq.0), set.last().copied());
        }
    }
}
