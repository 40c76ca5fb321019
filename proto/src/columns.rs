//! A histogram as it lies on the wire, its two columns of numbers left as bytes.
//!
//! `prost` would make a list of each column first, 12 bytes in memory for two on the wire, only for
//! [`crate::convert::histogram`] to walk both once. The wire is the one of `measure.proto`: a packed
//! column may come in several pieces, and numbers may come one by one, as every reader has to allow.

use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{self, DecodeContext, WireType, decode_varint, encode_varint},
};

const GAP: u32 = 8;
const N: u32 = 9;

/// `nepho.v1.Histogram`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Histogram {
    pub(crate) said: Said,
    pub(crate) gap: Column,
    pub(crate) n: Column,
}

/// What it says beside its columns.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub(crate) struct Said {
    #[prost(uint32, tag = "1")]
    pub(crate) layout: u32,
    #[prost(uint64, tag = "2")]
    pub(crate) count: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) overflow: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) min: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) max: u64,
    #[prost(uint64, tag = "6")]
    pub(crate) sum: u64,
    #[prost(uint64, tag = "7")]
    pub(crate) sum_high: u64,
}

/// Numbers as varints, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Column(Vec<u8>);

impl Message for Histogram {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        self.said.encode_raw(buf);
        for (tag, column) in [(GAP, &self.gap), (N, &self.n)] {
            if !column.0.is_empty() {
                encoding::bytes::encode(tag, &column.0, buf);
            }
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            GAP => self.gap.take(wire_type, buf, ctx),
            N => self.n.take(wire_type, buf, ctx),
            tag => self.said.merge_field(tag, wire_type, buf, ctx),
        }
    }

    fn encoded_len(&self) -> usize {
        let columns = [(GAP, &self.gap), (N, &self.n)].map(|(tag, column)| match column.0.len() {
            0 => 0,
            _ => encoding::bytes::encoded_len(tag, &column.0),
        });
        self.said.encoded_len() + columns.iter().sum::<usize>()
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Column {
    fn take(
        &mut self,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        if wire_type == WireType::Varint {
            encode_varint(decode_varint(buf)?, &mut self.0);
            return Ok(());
        }
        if self.0.is_empty() {
            return encoding::bytes::merge(wire_type, &mut self.0, buf, ctx);
        }
        let mut piece = Vec::new();
        encoding::bytes::merge(wire_type, &mut piece, buf, ctx)?;
        self.0.append(&mut piece);
        Ok(())
    }

    pub(crate) fn push(&mut self, number: u64) {
        match u8::try_from(number) {
            Ok(byte) if byte < 0x80 => self.0.push(byte),
            Ok(_) | Err(_) => encode_varint(number, &mut self.0),
        }
    }

    /// How many numbers there are: each ends with a byte whose highest bit is not set.
    pub(crate) fn len(&self) -> usize {
        let (eights, rest) = self.0.as_chunks::<8>();
        // With the bits moved to the lowest place, the product adds them up in its top byte.
        let ends = |eight: &[u8; 8]| (!u64::from_le_bytes(*eight) >> 7) & ONES;
        let in_eights = eights
            .iter()
            .map(|eight| ends(eight).wrapping_mul(ONES) >> 56);
        let in_rest = rest.iter().filter(|&&byte| byte < 0x80).count();
        // A column is a part of a message that lies in memory.
        usize::try_from(in_eights.sum::<u64>()).expect("no more than bytes") + in_rest
    }

    pub(crate) fn numbers(&self) -> Numbers<'_> {
        Numbers(&self.0)
    }

    /// The first number; 0 when there is none.
    pub(crate) fn first(&self) -> Result<u64, DecodeError> {
        let mut numbers = self.numbers();
        if numbers.is_empty() {
            return Ok(0);
        }
        numbers.one()
    }

    /// The sum of all numbers, `u64::MAX` when it is beyond that.
    pub(crate) fn sum(&self) -> Result<u64, DecodeError> {
        const PAIRS: u64 = 0x00ff_00ff_00ff_00ff;
        let mut sum = 0u64;
        let mut numbers = self.numbers();
        while !numbers.is_empty() {
            while let Some((eight, rest)) = numbers.eight() {
                let eight = u64::from_le_bytes(eight);
                // As above, with 16 bits for each sum.
                let pairs = (eight & PAIRS) + ((eight >> 8) & PAIRS);
                sum = sum.saturating_add(pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48);
                numbers = rest;
            }
            if !numbers.is_empty() {
                sum = sum.saturating_add(numbers.one()?);
            }
        }
        Ok(sum)
    }
}

const ONES: u64 = u64::from_le_bytes([1; 8]);

impl FromIterator<u64> for Column {
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        let mut column = Self::default();
        numbers.into_iter().for_each(|number| column.push(number));
        column
    }
}

/// The numbers of a column that are still to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next eight and what comes after them, if each of the eight is a single byte.
    #[inline]
    pub(crate) fn eight(self) -> Option<([u8; 8], Self)> {
        let (eight, rest) = self.0.split_first_chunk::<8>()?;
        let plain = u64::from_le_bytes(*eight) & (ONES << 7) == 0;
        plain.then_some((*eight, Numbers::<'a>(rest)))
    }

    /// The next.
    pub(crate) fn one(&mut self) -> Result<u64, DecodeError> {
        decode_varint(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As `prost` would have made it from `measure.proto`.
    #[derive(Clone, PartialEq, Message)]
    struct Derived {
        #[prost(uint32, tag = "1")]
        layout: u32,
        #[prost(uint64, tag = "2")]
        count: u64,
        #[prost(uint64, tag = "3")]
        overflow: u64,
        #[prost(uint64, tag = "4")]
        min: u64,
        #[prost(uint64, tag = "5")]
        max: u64,
        #[prost(uint64, tag = "6")]
        sum: u64,
        #[prost(uint64, tag = "7")]
        sum_high: u64,
        #[prost(uint32, repeated, tag = "8")]
        gap: Vec<u32>,
        #[prost(uint64, repeated, tag = "9")]
        n: Vec<u64>,
    }

    fn numbers(column: &Column) -> Vec<u64> {
        let mut numbers = column.numbers();
        let mut all = Vec::new();
        while !numbers.is_empty() {
            match numbers.eight() {
                Some((eight, rest)) => {
                    all.extend(eight.map(u64::from));
                    numbers = rest;
                }
                None => all.push(numbers.one().unwrap()),
            }
        }
        assert_eq!(all.len(), column.len());
        let sum: u128 = all.iter().map(|&n| u128::from(n)).sum();
        assert_eq!(
            column.sum(),
            Ok(u64::try_from(sum).unwrap_or(u64::MAX)),
            "{column:?}"
        );
        all
    }

    fn any_number() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..128, 0u64..1_000, any::<u64>()]
    }

    fn derived() -> impl Strategy<Value = Derived> {
        let columns = (
            prop::collection::vec(prop_oneof![0u32..128, any::<u32>()], 0..80),
            prop::collection::vec(any_number(), 0..80),
        );
        let said = (any::<u32>(), any_number(), any_number(), any_number());
        (said, any_number(), any_number(), columns).prop_map(
            |((layout, count, overflow, min), max, sum, (gap, n))| Derived {
                layout,
                count,
                overflow,
                min,
                max,
                sum,
                sum_high: sum / 2,
                gap,
                n,
            },
        )
    }

    proptest! {
        #[test]
        fn it_is_on_the_wire_what_the_description_says(derived in derived()) {
            let bytes = derived.encode_to_vec();
            let ours = Histogram::decode(bytes.as_slice()).unwrap();
            prop_assert_eq!(numbers(&ours.n), derived.n.clone());
            let gap: Vec<_> = derived.gap.iter().map(|&gap| u64::from(gap)).collect();
            prop_assert_eq!(numbers(&ours.gap), gap);
            prop_assert_eq!(ours.encoded_len(), bytes.len());
            prop_assert_eq!(ours.encode_to_vec(), bytes);
        }

        #[test]
        fn a_column_may_come_in_pieces_and_numbers_one_by_one(
            derived in derived(), cut in any::<prop::sample::Index>(),
        ) {
            let cut = cut.index(derived.n.len() + 1);
            let (before, behind) = derived.n.split_at(cut);
            let piece = |n: &[u64]| Derived { n: n.to_vec(), ..Default::default() }.encode_to_vec();
            let single = |n: &u64| {
                let mut bytes = vec![9 << 3];
                encode_varint(*n, &mut bytes);
                bytes
            };
            let pieces = [piece(before), piece(behind)].concat();
            let singles: Vec<u8> = derived.n.iter().flat_map(single).collect();
            let mixed = [piece(before), behind.iter().flat_map(single).collect()].concat();
            for bytes in [pieces, singles, mixed] {
                let ours = Histogram::decode(bytes.as_slice()).unwrap();
                let theirs = Derived::decode(bytes.as_slice()).unwrap();
                prop_assert_eq!(numbers(&ours.n), theirs.n);
            }
        }
    }

    #[test]
    fn a_column_of_another_kind_or_cut_short_is_refused() {
        for bytes in [
            &[9 << 3 | 5, 0, 0, 0, 0][..],
            &[9 << 3 | 2, 5, 1],
            &[9 << 3],
        ] {
            assert!(Histogram::decode(bytes).is_err(), "{bytes:?}");
            assert!(Derived::decode(bytes).is_err(), "{bytes:?}");
        }
    }
}
