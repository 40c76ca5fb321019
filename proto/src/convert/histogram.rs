//! Histograms: two columns, walked once.

use nepho_common::histogram::{Announced, Histogram, Intake, Said};
use prost::Message as _;

use super::field::at_most;
use crate::{
    bad::{BadMessage, Wrong},
    limits::HISTOGRAM_MAX,
    wire,
};

impl TryFrom<wire::Histogram> for Histogram {
    type Error = BadMessage;

    fn try_from(wire: wire::Histogram) -> Result<Self, BadMessage> {
        at_most("", wire.encoded_len(), HISTOGRAM_MAX)?;
        let announced = Announced {
            gaps: wire.gap.len(),
            counts: wire.n.len(),
            first: wire.gap.first().map_err(Wrong::from)?,
            last: wire.gap.sum().map_err(Wrong::from)?,
        };
        let mut intake = Intake::new(said(&wire.said), announced)?;
        let (mut gap, mut n) = (wire.gap.numbers(), wire.n.numbers());
        while !gap.is_empty() || !n.is_empty() {
            while let (Some((gaps, gaps_left)), Some((counts, counts_left))) =
                (gap.eight(), n.eight())
            {
                intake.eight(gaps, counts)?;
                (gap, n) = (gaps_left, counts_left);
            }
            if !gap.is_empty() || !n.is_empty() {
                let (gap, n) = (gap.one(), n.one());
                intake.one(gap.map_err(Wrong::from)?, n.map_err(Wrong::from)?)?;
            }
        }
        Ok(intake.finish()?)
    }
}

fn said(said: &wire::Said) -> Said {
    Said {
        layout: said.layout,
        count: said.count,
        overflow: said.overflow,
        min: said.min,
        max: said.max,
        sum: u128::from(said.sum_high) << 64 | u128::from(said.sum),
    }
}

impl From<&Histogram> for wire::Histogram {
    fn from(histogram: &Histogram) -> Self {
        let said = histogram.said();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the two halves of 128 bits"
        )]
        let (sum, sum_high) = (said.sum as u64, (said.sum >> 64) as u64);
        let mut last = 0;
        let gap = |(bin, _)| u64::from(bin - std::mem::replace(&mut last, bin));
        Self {
            said: wire::Said {
                layout: said.layout,
                count: said.count,
                overflow: said.overflow,
                min: said.min,
                max: said.max,
                sum,
                sum_high,
            },
            gap: histogram.bins().map(gap).collect(),
            n: histogram.bins().map(|(_, n)| n).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use nepho_common::{
        histogram::{BINS, BadHistogram, Sparse},
        time::Nanos,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::{arbitrary::histogram, columns::Column};

    fn numbers(column: &Column) -> Vec<u64> {
        let mut numbers = column.numbers();
        std::iter::from_fn(|| (!numbers.is_empty()).then(|| numbers.one().unwrap())).collect()
    }

    /// Many bins, side by side or not, with counts of one byte and of more.
    fn full() -> impl Strategy<Value = Histogram> {
        let values =
            (0u64..1 << 30, 1u64..4, 1u64..300, 1usize..40).prop_map(|(from, step, most, bins)| {
                let mut histogram = Histogram::default();
                for nth in 0..bins as u64 * 8 {
                    let value = from + nth * step * (1 << 9);
                    (0..=nth * most % most.max(2)).for_each(|_| histogram.record(Nanos(value)));
                }
                histogram
            });
        prop_oneof![values, histogram()]
    }

    proptest! {
        #[test]
        fn a_histogram_with_one_number_changed_is_refused(histogram in histogram(), which in 0usize..5) {
            prop_assume!(histogram.count() > 0);
            let mut wire = wire::Histogram::from(&histogram);
            match which {
                0 => wire.said.layout += 1,
                1 => wire.said.count += 1,
                2 => wire.gap.push(1),
                3 => {
                    let mut n = numbers(&wire.n);
                    n[0] += 1;
                    wire.n = n.into_iter().collect();
                }
                _ => wire.said.sum_high = u64::MAX,
            }
            prop_assert!(matches!(Histogram::try_from(wire).unwrap_err().wrong, Wrong::Histogram(_)));
        }

        /// The quick way through the columns and the slow one through lists agree, on what is right
        /// and on what is wrong.
        #[test]
        fn columns_are_read_as_their_numbers_are(
            histogram in full(), at in any::<prop::sample::Index>(), which in 0usize..6, value in 0u64..500,
        ) {
            let wire = wire::Histogram::from(&histogram);
            let (mut gap, mut n) = (numbers(&wire.gap), numbers(&wire.n));
            if let (Some(gap), Some(n)) = (
                gap.get_mut(at.index(wire.gap.len().max(1))),
                n.get_mut(at.index(wire.n.len().max(1))),
            ) {
                match which {
                    0 => *gap = value,
                    1 => *n = value,
                    2 => *gap = BINS.into(),
                    3 => *n = u64::MAX,
                    _ => {}
                }
            }
            let sparse = Sparse {
                gap: gap.iter().map(|&gap| u32::try_from(gap).unwrap()).collect(),
                n: n.clone(),
                ..histogram.to_sparse()
            };
            let changed = wire::Histogram {
                gap: gap.into_iter().collect(),
                n: n.into_iter().collect(),
                ..wire
            };
            let slow = Histogram::from_sparse(&sparse).map_err(BadMessage::from);
            prop_assert_eq!(&Histogram::try_from(changed), &slow);
            prop_assert!(which < 4 || slow == Ok(histogram));
        }
    }

    #[test]
    fn a_histogram_above_its_cap_is_refused_before_it_is_looked_into() {
        let wire = wire::Histogram {
            n: std::iter::repeat_n(1, HISTOGRAM_MAX + 1).collect(),
            ..Default::default()
        };
        let wrong = Histogram::try_from(wire).unwrap_err().wrong;
        assert!(
            matches!(
                wrong,
                Wrong::TooMany {
                    max: HISTOGRAM_MAX,
                    ..
                }
            ),
            "{wrong}"
        );
    }

    /// One value in each of the bins 1 and 2; whatever the columns are, the rest is right.
    fn of_bytes(gap: &[u8], n: &[u8]) -> Result<Histogram, BadMessage> {
        let mut good = Histogram::default();
        good.record(Nanos(600));
        good.record(Nanos(1_100));
        let mut bytes = wire::Histogram::from(&good).said.encode_to_vec();
        for (key, column) in [(8 << 3 | 2, gap), (9 << 3 | 2, n)] {
            bytes.extend([key, u8::try_from(column.len()).unwrap()]);
            bytes.extend(column);
        }
        Histogram::try_from(wire::Histogram::decode(bytes.as_slice()).unwrap())
    }

    #[test]
    fn columns_that_do_not_fit_together_are_refused() {
        assert_eq!(of_bytes(&[1, 1], &[1, 1]).map(|good| good.count()), Ok(2));
        // A number may be longer than it has to be.
        assert!(of_bytes(&[1, 0x81, 0], &[1, 1]).is_ok());
        let lengths = of_bytes(&[1, 1], &[1]).unwrap_err().wrong;
        let expected = BadHistogram::Lengths { gaps: 2, counts: 1 };
        assert_eq!(lengths, Wrong::Histogram(expected));
        // A number that does not end, at either end, and numbers beyond 32 and 64 bits.
        let endless = [0x81; 11];
        let long: &[u8] = &[1, 0x81, 0x80, 0x80, 0x80, 0x10];
        for (gap, n) in [
            (&[1, 1, 0x80][..], &[1, 1][..]),
            (&[1, 1], &[1, 1, 0x80]),
            (&[1, 1, 0x80], &[1, 1, 0x80]),
            (&[0x80], &[0x80]),
            (&endless, &endless),
            (long, &[1, 1]),
            (
                &[1, 1],
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 1],
            ),
        ] {
            assert!(of_bytes(gap, n).is_err(), "{gap:?} {n:?}");
        }
    }
}
